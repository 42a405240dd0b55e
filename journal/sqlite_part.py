"""One SQLite file of a journal: the journal itself, or an archive of the first kind. Read in pages.

A page is one statement that ends before the caller sees a row. So a reader holds no transaction while it waits, and
SQLite can reset the write-ahead log of a running exchange, however slowly its output is read.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from exchange.journal.errors import UNREADABLE_STEP, JournalUnreadableError
from exchange.journal.protocols import Fields
from exchange.journal.records import Checkpoint, Head
from exchange.journal.schema import connect_read_only

# The rows of a page. A page of commands is read in about a millisecond.
PAGE_ROWS = 1_000
# These are counted in about a tenth of a second.
_SEQS_COUNTED_AT_ONCE = 100_000


class _Table(NamedTuple):
    """Where the rows of a table come from, their order, and the first schema that has them."""

    select: str
    order: str
    first_schema: int = 1


_TABLES = {
    "commands": _Table("seq, ts_us, payload, hash FROM commands", "seq"),
    "events": _Table("seq, n, payload FROM events", "seq, n"),
    "digests": _Table("seq, subject, digest FROM digests", "seq, subject", 2),
    "answers": _Table("seq, ts_us, answered_us FROM answers JOIN commands USING (seq)", "seq", 4),
}


class Page(NamedTuple):
    """Rows in order, and the first seq that is not in the page."""

    rows: list[Any]
    next_seq: int


class SqlitePart:
    """The file at `path`, whose last command is `last_seq`. Raises a JournalError if it cannot be opened."""

    def __init__(self, path: Path, last_seq: int) -> None:
        self.path = path
        self.last_seq = last_seq
        self._connection = connect_read_only(path)
        try:
            # An older program may have written the file last.
            ((self._schema,),) = self._rows("PRAGMA user_version")
            self.base = self._read_base()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def page(self, table: str, first_seq: int, last_seq: int, any_of: Sequence[Fields] = ()) -> Page:
        """The first rows of these seqs, in order, at most about 1,000; all rows of one seq are in one page.

        With `any_of`, only those whose payload has all fields of at least one of its entries.
        """
        select, order, first_schema = _TABLES[table]
        first_seq, last_seq = max(first_seq, self.base.head.seq + 1), min(last_seq, self.last_seq)
        if self._schema < first_schema:
            return Page([], last_seq + 1)
        condition, values = _condition(any_of)
        query = f"SELECT {select} WHERE seq BETWEEN ? AND ? {condition} ORDER BY {order}"
        rows, is_readable = self._readable_rows(f"{query} LIMIT {PAGE_ROWS}", (first_seq, last_seq, *values))
        if is_readable and len(rows) < PAGE_ROWS:
            return Page(rows, last_seq + 1)
        if order != "seq":
            last = rows[-1][0]
            whole = [row for row in rows if row[0] != last]
            if whole and not is_readable:
                # The next page begins with the seq that may be unreadable, so that no row before it is lost.
                return Page(whole, last)
            rows = whole + self._rows(query, (last, last, *values))
        return Page(rows, rows[-1][0] + 1)

    def head_at(self, seq: int) -> Head | None:
        """The head after record `seq`; None if the file does not hold it."""
        rows = self._rows("SELECT seq, ts_us, hash FROM commands WHERE seq = ?", (seq,))
        return Head(*rows[0]) if rows else None

    def last_head(self) -> Head:
        """The head after the last record."""
        rows = self._rows(
            "SELECT seq, ts_us, hash FROM commands WHERE seq > ? ORDER BY seq DESC LIMIT 1", (self.base.head.seq,)
        )
        return Head(*rows[0]) if rows else self.base.head

    def kinds(self) -> list[tuple[str, int, int]]:
        """Kind, number and last seq of the commands of each kind, page by page: a kind may occur several times."""
        query = "SELECT kind, count(*), max(seq) FROM commands WHERE seq BETWEEN ? AND ? GROUP BY kind"
        first_seq, last_seq = self.base.head.seq + 1, self.last_head().seq
        pages = range(first_seq, last_seq + 1, _SEQS_COUNTED_AT_ONCE)
        ends = ((start, min(start + _SEQS_COUNTED_AT_ONCE - 1, last_seq)) for start in pages)
        return [row for end in ends for row in self._rows(query, end)]

    def events_seq(self) -> int:
        """The seq of the last command whose events an earlier version recorded; 0 if there is none."""
        ((seq,),) = self._rows("SELECT max(seq) FROM events")
        return int(seq or 0)

    def data_version(self) -> int:
        """A number that changes when another connection has written to the file."""
        ((version,),) = self._rows("PRAGMA data_version")
        return int(version)

    def has_moved(self) -> bool:
        """True if the commands that the file begins with were sealed into an archive since it was opened."""
        if self._schema < 2:
            return False
        ((seq,),) = self._rows("SELECT max(seq) FROM base")
        return bool((seq or 0) != self.base.head.seq)

    def orphan_rows(self) -> Iterator[tuple[Path, str, int]]:
        """File, table and seq of rows that belong to no command of the file, so that no page has them.

        The last commands before the base are no orphans: a crash can leave sealed rows that a start deletes.
        """
        first_seq = self._first_leftover_seq()
        for table in ("commands", "events"):
            query = f"SELECT seq FROM {table} WHERE seq < ? OR seq > ? ORDER BY seq LIMIT 1"
            for (seq,) in self._rows(query, (first_seq, self.last_seq)):
                yield self.path, table, seq
        if self._schema >= _TABLES["answers"].first_schema:
            # An answer is recorded after its command, also while an exchange runs.
            for (seq,) in self._rows("SELECT seq FROM answers WHERE seq NOT IN (SELECT seq FROM commands) LIMIT 1"):
                yield self.path, "answers", seq

    def _first_leftover_seq(self) -> int:
        """The first seq of sealed commands that are not deleted yet; the seq after the base if there are none."""
        base = self.base.head
        count, first_seq = self._rows("SELECT count(*), min(seq) FROM commands WHERE seq <= ?", (base.seq,))[0]
        is_sealed = count and count == base.seq - first_seq + 1 and self.head_at(base.seq) == base
        return int(first_seq) if is_sealed else base.seq + 1

    def _read_base(self) -> Checkpoint:
        if self._schema < 2:
            return Checkpoint()
        rows = self._rows("SELECT seq, ts_us, hash, snapshot FROM base ORDER BY seq DESC LIMIT 1")
        return Checkpoint(Head(*rows[0][:3]), rows[0][3]) if rows else Checkpoint()

    def _rows(self, query: str, values: Sequence[str | int] = ()) -> list[Any]:
        """The rows of a query. Raises JournalUnreadableError if SQLite cannot read the file."""
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise JournalUnreadableError(f"{self.path} cannot be read ({error}): {UNREADABLE_STEP}") from error

    def _readable_rows(self, query: str, values: Sequence[str | int]) -> tuple[list[Any], bool]:
        """The rows up to the first one that SQLite cannot read, and whether they are all rows of the query.

        Raises JournalUnreadableError if SQLite cannot read the first one.
        """
        rows = []
        try:
            for row in self._connection.execute(query, values):
                rows.append(row)  # noqa: PERF402 - the rows before an error must remain
        except sqlite3.DatabaseError as error:
            if not rows:
                raise JournalUnreadableError(f"{self.path} cannot be read ({error}): {UNREADABLE_STEP}") from error
            return rows, False
        return rows, True


def _condition(any_of: Sequence[Fields]) -> tuple[str, list[str | int]]:
    """An SQL condition that a payload has all fields of at least one entry, and its parameters."""
    if not any_of:
        return "", []
    entries = [" AND ".join(f"payload ->> '$.{name}' = ?" for name in fields) for fields in any_of]
    return f"AND ({' OR '.join(f'({entry})' for entry in entries)})", [v for fields in any_of for v in fields.values()]
