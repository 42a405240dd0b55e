"""The reader of a journal in SQLite and of the archives next to it, through read-only connections."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from exchange.journal.archives import archive_folder, archives_of
from exchange.journal.errors import UNREADABLE_STEP, JournalArchivedError, JournalDamagedError, JournalUnreadableError
from exchange.journal.protocols import Fields
from exchange.journal.records import Checkpoint, DigestRow, EventRow, Head, Record, check_link
from exchange.journal.schema import connect_read_only

_LAST = 2**63 - 1


class _Part(NamedTuple):
    """One file: an archive, or the journal itself, whose `last_seq` is unlimited because it grows."""

    path: Path
    connection: sqlite3.Connection
    base: Checkpoint
    last_seq: int


class SqliteJournalReader:
    """Reads the journal at `path`, see `JournalReader`. Raises a JournalError if it is missing or not a journal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open = ExitStack()
        try:
            self._parts = self._open_parts()
        except BaseException:
            self._open.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self._open.close()

    @property
    def files(self) -> list[Path]:
        """The archives, oldest first, and the journal itself."""
        return [part.path for part in self._parts]

    @property
    def bases(self) -> list[Checkpoint]:
        """The checkpoint before each file, oldest first."""
        return [part.base for part in self._parts]

    def head(self) -> Head:
        """The last record; an empty head if there is none."""
        return _last_record(self._parts[-1]) or self._parts[-1].base.head

    def head_at(self, seq: int) -> Head | None:
        """The head after record `seq`; None if the files do not hold it."""
        for base in self.bases:
            if base.head.seq == seq:
                return base.head
        for part in self._parts:
            if part.base.head.seq < seq <= part.last_seq:
                rows = _rows(part, "SELECT seq, ts_us, hash FROM commands WHERE seq = ?", (seq,))
                return next((Head(*row) for row in rows), None)
        return None

    def events_seq(self) -> int:
        """The seq of the last command whose events are recorded."""
        ((seq,),) = _rows(self._parts[-1], "SELECT max(seq) FROM events")
        return self._parts[-1].base.head.seq if seq is None else int(seq)

    def records(self, after: Head, up_to: int | None = None) -> Iterator[Record]:
        """The records after `after`, up to seq `up_to`, checked to continue the chain. See `JournalReader.records`."""
        if after.seq < (first := self._parts[0].base.head.seq):
            raise JournalArchivedError(
                f"commands up to seq {first} of {self.path} are in an archive that is missing: "
                f"put the archive back into {archive_folder(self.path)}"
            )
        head = after
        last = _LAST if up_to is None else up_to
        for part in self._parts:
            if part.last_seq <= head.seq:
                continue
            rows = part.connection.execute(
                "SELECT seq, ts_us, payload, hash FROM commands WHERE seq > ? AND seq <= ? ORDER BY seq",
                (head.seq, last),
            )
            try:
                for row in rows:
                    record = Record(*row)
                    head = check_link(head, record)
                    yield record
            except sqlite3.DatabaseError as error:
                raise JournalDamagedError(f"seq {head.seq + 1} cannot be read ({error}): {UNREADABLE_STEP}") from error

    def records_where(self, first_seq: int, last_seq: int, any_of: Sequence[Fields] = ()) -> Iterator[Record]:
        """The records of these seqs, in order, without a check of the chain. See `JournalReader.records_where`."""
        condition, values = _condition(any_of)
        query = f"SELECT seq, ts_us, payload, hash FROM commands WHERE seq BETWEEN ? AND ? {condition} ORDER BY seq"
        for row in self._rows_of_all(query, values, first_seq, last_seq):
            yield Record(*row)

    def events(self, first_seq: int, last_seq: int, any_of: Sequence[Fields] = ()) -> Iterator[EventRow]:
        """The recorded events of these commands, in order. See `JournalReader.events`."""
        condition, values = _condition(any_of)
        query = f"SELECT seq, n, payload FROM events WHERE seq BETWEEN ? AND ? {condition} ORDER BY seq, n"
        return self._rows_of_all(query, values, first_seq, last_seq)

    def digests(self, after_seq: int = 0) -> Iterator[DigestRow]:
        """The digests that the exchange recorded after `after_seq`, by seq."""
        for part in self._parts:
            if _schema_version(part.connection) >= 2:
                query = "SELECT seq, subject, digest FROM digests WHERE seq > ? ORDER BY seq, subject"
                for row in _rows(part, query, (after_seq,)):
                    yield row

    def orphan_rows(self) -> Iterator[tuple[Path, str, int]]:
        """File, table and seq of rows whose seq is outside the range of their file, so that no method returns them."""
        for part in self._parts:
            for table in ("commands", "events"):
                query = f"SELECT seq FROM {table} WHERE seq <= ? OR seq > ? ORDER BY seq LIMIT 1"
                for (seq,) in _rows(part, query, (part.base.head.seq, part.last_seq)):
                    yield part.path, table, seq

    def answer_times(self, first_seq: int, last_seq: int) -> Iterator[tuple[int, int, int]]:
        """Seq, time of arrival and time of the answer for each answered batch. See `JournalReader.answer_times`."""
        joined = "SELECT seq, ts_us, answered_us FROM answers JOIN commands USING (seq)"
        query = f"{joined} WHERE seq BETWEEN ? AND ? ORDER BY seq"
        for part in self._parts:
            if _schema_version(part.connection) >= 4:
                for row in _rows(part, query, (first_seq, last_seq)):
                    yield row

    def data_version(self) -> int:
        """A number that changes when another connection has written to the journal."""
        ((version,),) = _rows(self._parts[-1], "PRAGMA data_version")
        return int(version)

    def _rows_of_all(self, query: str, values: list[str | int], first_seq: int, last_seq: int) -> Iterator[Any]:
        """The rows of a query to every file that holds some of these commands."""
        for part in self._parts:
            if part.last_seq >= first_seq and part.base.head.seq < last_seq:
                for row in _rows(part, query, (first_seq, last_seq, *values)):
                    yield row

    def _open_parts(self) -> list[_Part]:
        main = self._open_part(self.path, _LAST)
        archives = archives_of(self.path, main.base.head.seq + 1)
        parts = [self._open_part(archive.path, archive.last_seq) for archive in archives] + [main]
        for (first_seq, _, path), part in zip(archives, parts, strict=False):
            if part.base.head.seq + 1 != first_seq:
                raise JournalDamagedError(
                    f"{path} begins with seq {part.base.head.seq + 1}, not with the seq in its name: restore its name"
                )
        for part, following in pairwise(parts):
            if _last_record(part) != following.base.head:
                raise JournalDamagedError(
                    f"{part.path} is an archive of another journal: it does not end with seq "
                    f"{following.base.head.seq} of {self.path}. Move it to another folder"
                )
        return parts

    def _open_part(self, path: Path, last_seq: int) -> _Part:
        connection = self._open.enter_context(closing(connect_read_only(path)))
        try:
            return _Part(path, connection, _read_base(connection), last_seq)
        except sqlite3.DatabaseError as error:
            raise JournalUnreadableError(f"{path} cannot be read ({error}): {UNREADABLE_STEP}") from error


def _rows(part: _Part, query: str, values: Sequence[str | int] = ()) -> Iterator[Any]:
    """The rows of a query to one file. Raises JournalUnreadableError if SQLite cannot read the file."""
    try:
        # `yield from` would close the cursor when the generator ends, and fail if the connection is closed by then.
        for row in part.connection.execute(query, values):
            yield row
    except sqlite3.DatabaseError as error:
        raise JournalUnreadableError(f"{part.path} cannot be read ({error}): {UNREADABLE_STEP}") from error


def _last_record(part: _Part) -> Head | None:
    rows = _rows(part, "SELECT seq, ts_us, hash FROM commands ORDER BY seq DESC LIMIT 1")
    return next((Head(*row) for row in rows), None)


def _condition(any_of: Sequence[Fields]) -> tuple[str, list[str | int]]:
    """An SQL condition that a payload has all fields of at least one entry, and its parameters."""
    if not any_of:
        return "", []
    entries = [" AND ".join(f"payload ->> '$.{name}' = ?" for name in fields) for fields in any_of]
    return f"AND ({' OR '.join(f'({entry})' for entry in entries)})", [v for fields in any_of for v in fields.values()]


def _read_base(connection: sqlite3.Connection) -> Checkpoint:
    if _schema_version(connection) < 2:
        return Checkpoint()
    row = connection.execute("SELECT seq, ts_us, hash, snapshot FROM base ORDER BY seq DESC LIMIT 1").fetchone()
    return Checkpoint(Head(*row[:3]), row[3]) if row else Checkpoint()


def _schema_version(connection: sqlite3.Connection) -> int:
    """The number of migrations that the journal has had; an older program may have written it last."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
