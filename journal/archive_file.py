"""Compressed archives: the older commands of a journal with their digests and answer times, in pages.

An archive is an SQLite database. Each row of `pages` holds up to 1,000 rows of one table, column by column, as
MessagePack compressed with zlib. A command takes about 15 bytes; lzma takes a fifth less and reads half as fast.
The hashes of commands are not stored, except the one before each page and the last one: reading a page computes the
others, so a page with an altered byte is found. `states` holds the states before the first and after the last command.
"""

import os
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from exchange.journal.connection import FileConnection
from exchange.journal.errors import UNREADABLE_STEP, JournalDamagedError, JournalError, JournalUnreadableError
from exchange.journal.protocols import Fields, JournalReader
from exchange.journal.records import Checkpoint, Head, chain_hash
from exchange.journal.sqlite_part import Page

APPLICATION_ID = int.from_bytes(b"EXA1")
SUFFIX = ".archive"
_PAGE_ROWS = 1_000
_COMPRESSION = 6
_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 1;
CREATE TABLE states (
    seq INTEGER PRIMARY KEY, ts_us INTEGER NOT NULL, hash BLOB NOT NULL, snapshot BLOB NOT NULL
) STRICT;
CREATE TABLE pages (
    content TEXT NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    hash_before BLOB, last_hash BLOB, body BLOB NOT NULL, PRIMARY KEY (content, first_seq)
) STRICT;
"""


class _Kind(msgspec.Struct):
    kind: str


_decode_kind = msgspec.json.Decoder(_Kind).decode


class ArchivePart:
    """The compressed archive at `path`, read page by page. Raises a JournalError if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = _connect(path)
        self._cached: tuple[tuple[str, int], list[Any]] | None = None
        try:
            states = self._rows("SELECT seq, ts_us, hash, snapshot FROM states ORDER BY seq")
            if len(states) != 2:
                raise JournalDamagedError(f"{path} is not a whole archive: restore it from a backup")
            self.base, self.end = (Checkpoint(Head(*row[:3]), row[3]) for row in states)
        except BaseException:
            self._connection.close()
            raise

    @property
    def last_seq(self) -> int:
        """The last command."""
        return self.end.head.seq

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def page(self, table: str, first_seq: int, last_seq: int, any_of: Sequence[Fields] = ()) -> Page:
        """The first rows of these seqs, in order, at most about 1,000. See `SqlitePart.page`."""
        last_seq = min(last_seq, self.last_seq)
        found = self._rows(
            "SELECT first_seq, last_seq, hash_before, last_hash, body FROM pages WHERE content = ? AND last_seq >= ? "
            "AND first_seq <= ? ORDER BY first_seq LIMIT 1",
            (table, first_seq, last_seq),
        )
        if not found:
            return Page([], last_seq + 1)
        rows = [row for row in self._decoded(table, *found[0]) if first_seq <= row[0] <= last_seq]
        return Page([row for row in rows if _matches(row[2], any_of)], min(found[0][1], last_seq) + 1)

    def head_at(self, seq: int) -> Head | None:
        """The head after record `seq`; None if the archive does not hold it."""
        rows = self.page("commands", seq, seq).rows
        return Head(rows[0][0], rows[0][1], rows[0][3]) if rows else None

    def last_head(self) -> Head:
        """The head after the last record."""
        return self.end.head

    def kinds(self) -> list[tuple[str, int, int]]:
        """Kind, number and last seq of the commands of each kind, page by page. See `SqlitePart.kinds`."""
        found: list[tuple[str, int, int]] = []
        seq = self.base.head.seq + 1
        while seq <= self.last_seq:
            rows, seq = self.page("commands", seq, self.last_seq)
            kinds = [(_decode_kind(row[2]).kind, row[0]) for row in rows]
            last_seqs = dict(kinds)
            counts = Counter(kind for kind, _ in kinds)
            found += [(kind, count, last_seqs[kind]) for kind, count in counts.items()]
        return found

    def events_seq(self) -> int:
        """The seq of the last command whose events an earlier version recorded; 0 if there is none."""
        ((seq,),) = self._rows("SELECT max(last_seq) FROM pages WHERE content = 'events'")
        return int(seq or 0)

    def data_version(self) -> int:
        """Always the same: an archive never changes."""
        return 0

    def has_moved(self) -> bool:
        """False: an archive never changes."""
        return False

    def orphan_rows(self) -> Iterator[tuple[Path, str, int]]:
        """Nothing: a page holds no other rows than those of its seqs."""
        return iter(())

    def _decoded(
        self, table: str, first_seq: int, last_seq: int, hash_before: bytes, last_hash: bytes, body: bytes
    ) -> list[Any]:
        """The rows of a page. The last one that was decoded is kept, because questions often come in pairs."""
        if self._cached is not None and self._cached[0] == (table, first_seq):
            return self._cached[1]
        try:
            columns = msgspec.msgpack.decode(zlib.decompress(body), type=list[list[Any]])
            rows = list(zip(*columns, strict=True))
        except (zlib.error, msgspec.DecodeError, ValueError) as error:
            raise self._damaged(table, first_seq, last_seq) from error
        if table == "commands":
            rows = _with_hashes(rows, hash_before)
            if not rows or (rows[0][0], rows[-1][0], rows[-1][3]) != (first_seq, last_seq, last_hash):
                raise self._damaged(table, first_seq, last_seq)
        self._cached = (table, first_seq), rows
        return rows

    def _damaged(self, table: str, first_seq: int, last_seq: int) -> JournalUnreadableError:
        return JournalUnreadableError(
            f"{self.path} is damaged between seq {first_seq} and {last_seq} ({table}): restore it from a backup"
        )

    def _rows(self, query: str, values: Sequence[str | int] = ()) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise JournalUnreadableError(f"{self.path} cannot be read ({error}): {UNREADABLE_STEP}") from error


def is_archive_file(path: Path) -> bool:
    """True if the name is that of a compressed archive."""
    return path.suffix == SUFFIX


def write_archive(path: Path, base: Checkpoint, end: Checkpoint, reader: JournalReader) -> None:
    """Write the commands after `base` up to `end` into an archive at `path`, and read it back.

    The file gets its name once all of it is on disk. Raises a JournalError; nothing of the file is left then.
    """
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.executescript(_SCHEMA)
            connection.execute("BEGIN")
            rows = [(*state.head, state.snapshot) for state in (base, end)]
            connection.executemany("INSERT INTO states VALUES (?, ?, ?, ?)", rows)
            _write_pages(connection, base.head, end.head, reader)
            connection.execute("COMMIT")
        _read_back(draft, end.head)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.chmod(0o444)
        draft.replace(path)
    except sqlite3.Error as error:
        raise JournalError(f"{path} cannot be written ({error}); the journal is unchanged") from error
    finally:
        draft.unlink(missing_ok=True)


def _write_pages(connection: sqlite3.Connection, before: Head, last: Head, reader: JournalReader) -> None:
    first_seq, last_seq = before.seq + 1, last.seq
    hash_before = before.hash
    for records in _grouped(reader.records(before, last_seq)):
        columns = [[r.seq for r in records], [r.ts_us for r in records], [r.payload for r in records]]
        _insert_page(connection, "commands", columns, hash_before, records[-1].hash)
        hash_before = records[-1].hash
    digests = (row for row in reader.digests(before.seq) if row[0] <= last_seq)
    for content, found in (
        ("events", reader.events(first_seq, last_seq)),
        ("digests", digests),
        ("answers", reader.answer_times(first_seq, last_seq)),
    ):
        for rows in _grouped(found):
            _insert_page(connection, content, [list(column) for column in zip(*rows, strict=True)], None, None)


def _insert_page(
    connection: sqlite3.Connection, content: str, columns: list[list[Any]], before: bytes | None, last: bytes | None
) -> None:
    body = zlib.compress(msgspec.msgpack.encode(columns), _COMPRESSION)
    values = (content, columns[0][0], columns[0][-1], before, last, body)
    connection.execute("INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?)", values)


def _grouped(rows: Iterator[Any]) -> Iterator[list[Any]]:
    """Groups of about 1,000 rows; all rows of one seq are in one group."""
    group: list[Any] = []
    for row in rows:
        if len(group) >= _PAGE_ROWS and row[0] != group[-1][0]:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _read_back(draft: Path, last: Head) -> None:
    with closing(ArchivePart(draft)) as part:
        seq = part.base.head.seq + 1
        head = part.base.head
        while seq <= last.seq:
            rows, seq = part.page("commands", seq, last.seq)
            for row in rows:
                if row[0] != head.seq + 1:
                    raise JournalDamagedError(f"{draft} lacks seq {head.seq + 1} after it was written: check the disk")
                head = Head(row[0], row[1], row[3])
    if head != last:
        raise JournalDamagedError(f"{draft} differs from the journal after it was written: check the disk")


def _with_hashes(rows: list[Any], hash_before: bytes) -> list[Any]:
    """The rows of commands with their hashes, which continue the hash before them."""
    complete, previous = [], hash_before
    for seq, ts_us, payload in rows:
        previous = chain_hash(previous, seq, ts_us, payload)
        complete.append((seq, ts_us, payload, previous))
    return complete if all(b[0] == a[0] + 1 for a, b in pairwise(complete)) else []


def _matches(payload: object, any_of: Sequence[Fields]) -> bool:
    if not any_of:
        return True
    found = msgspec.json.decode(str(payload))
    return any(all(found.get(name) == value for name, value in fields.items()) for fields in any_of)


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None, factory=FileConnection
        )
    except sqlite3.Error as error:
        raise JournalError(f"cannot open {path} ({error}): check that you can read it") from error
    try:
        (found,) = connection.execute("PRAGMA application_id").fetchone()
    except sqlite3.DatabaseError as error:
        connection.close()
        raise JournalUnreadableError(f"{path} cannot be read ({error}): {UNREADABLE_STEP}") from error
    if found != APPLICATION_ID:
        connection.close()
        raise JournalDamagedError(f"{path} is not an archive of the exchange: move it to another folder")
    return connection
