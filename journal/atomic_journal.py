"""Writes whole journal files. A file gets its name once all of it is on disk, so that no reader sees half of one."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from exchange.journal.archive_file import ArchivePart, is_archive_file
from exchange.journal.errors import JournalDamagedError, JournalError
from exchange.journal.protocols import JournalReader
from exchange.journal.records import AnswerRow, Checkpoint, Head, Record
from exchange.journal.schema import connect_read_only, prepare, read_only_uri

_TABLES = (
    ("base", "seq, ts_us, hash, snapshot"),
    ("commands", "seq, ts_us, payload, hash"),
    ("events", "seq, n, payload"),
    ("digests", "seq, subject, digest"),
    ("answers", "seq, answered_us"),
)
# Files that SQLite keeps next to a database. It would apply their contents to a new file of the same name.
_OF_SQLITE = ("-wal", "-shm", "-journal")
_FOLDERS = (".snapshots", ".archives")
_SECRETS = (".admin", ".signing-key", ".keys", ".key-uses", ".certificate")
_BESIDE = (*_OF_SQLITE, *_SECRETS, ".lock", ".follower", ".draft", *_FOLDERS)


class Draft(NamedTuple):
    """The file under its temporary name, and a connection to it in autocommit mode."""

    path: Path
    connection: sqlite3.Connection


@contextmanager
def new_journal(path: Path) -> Iterator[Draft]:
    """Write a new journal at `path`, which replaces the file there. Nothing of it is left if the block fails.

    Raises a JournalError if the file cannot be written.
    """
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    try:
        prepare(draft)
        with closing(sqlite3.connect(draft, isolation_level=None, uri=True)) as connection:
            # Without a write-ahead log the journal is this one file.
            connection.execute("PRAGMA journal_mode = DELETE")
            yield Draft(draft, connection)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except sqlite3.Error as error:
        raise JournalError(f"{path} cannot be written ({error}); nothing was changed") from error
    finally:
        for left in (draft, *(draft.with_name(draft.name + end) for end in _OF_SQLITE)):
            left.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """Raise a JournalError if `path` exists, or if a journal keeps a file of its own there."""
    if path.exists():
        raise JournalError(f"{path} exists already: name a new file")
    if not path.parent.is_dir():
        raise JournalError(f"there is no folder {path.parent} for {path.name}: create it first")
    for place, endings in ((path, _BESIDE), (path.absolute().parent, _FOLDERS)):
        for ending in endings:
            owner = Path(str(place).removesuffix(ending))
            if owner != place and owner.is_file():
                raise JournalError(
                    f"{path} is the name of a file that belongs to the journal {owner}: name another file"
                )


def refuse_leftovers(path: Path) -> None:
    """As `refuse_existing`, and if an earlier journal left files: SQLite would apply an old -wal to the new one."""
    refuse_existing(path)
    for left in (path.with_name(path.name + ending) for ending in (*_OF_SQLITE, *_FOLDERS)):
        if left.exists():
            raise JournalError(f"{left} is left over from an earlier journal at {path}: move it away first")


def write_records(draft: Draft, base: Checkpoint, records: Iterable[Record]) -> Head:
    """Write these records after `base` in one transaction. Returns the last one."""
    connection, head = draft.connection, base.head
    connection.execute("BEGIN")
    if base.head.seq:
        connection.execute(
            "INSERT INTO base (seq, ts_us, hash, snapshot) VALUES (?, ?, ?, ?)", (*base.head, base.snapshot)
        )
    for record in records:
        connection.execute("INSERT INTO commands (seq, ts_us, payload, hash) VALUES (?, ?, ?, ?)", record)
        head = Head(record.seq, record.ts_us, record.hash)
    connection.execute("COMMIT")
    return head


def copy_measurements(draft: Draft, reader: JournalReader, after_seq: int, last_seq: int) -> None:
    """Copy the digests and the times of answers of these commands, as far as they can be read."""
    connection = draft.connection
    connection.execute("BEGIN")
    with suppress(JournalDamagedError):
        rows = (row for row in reader.digests(after_seq) if row[0] <= last_seq)
        connection.executemany("INSERT INTO digests (seq, subject, digest) VALUES (?, ?, ?)", rows)
    with suppress(JournalDamagedError):
        times = ((seq, answered_us) for seq, _, answered_us in reader.answer_times(after_seq + 1, last_seq))
        connection.executemany("INSERT INTO answers (seq, answered_us) VALUES (?, ?)", times)
    connection.execute("COMMIT")


def fill_answer_times(draft: Draft, times: Iterable[AnswerRow]) -> None:
    """Add the times of answers that are missing."""
    connection = draft.connection
    connection.execute("BEGIN")
    connection.executemany("INSERT OR IGNORE INTO answers (seq, answered_us) VALUES (?, ?)", times)
    connection.execute("COMMIT")


def copy_rows(draft: Draft, sources: list[Path], last_seq: int) -> None:
    """Copy all rows up to `last_seq` from these consecutive journal files, and the base of the first one."""
    connection = draft.connection
    # The trigger doubles the time, and the readers check the chain of the copied commands.
    with _without_trigger(connection, "commands_follow_each_other"):
        for number, source in enumerate(sources):
            if is_archive_file(source):
                _copy_archive(connection, source, last_seq, with_base=number == 0)
                continue
            connection.execute("ATTACH ? AS source", (read_only_uri(source),))
            connection.execute("BEGIN")
            found = _tables_in(connection, "source")
            tables = [(name, columns) for name, columns in _TABLES if name in found and (name != "base" or number == 0)]
            for table, columns in tables:
                connection.execute(
                    f"INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM source.{table} "
                    f"WHERE seq <= ? ORDER BY {columns}",
                    (last_seq,),
                )
            connection.execute("COMMIT")
            connection.execute("DETACH source")


def _copy_archive(connection: sqlite3.Connection, source: Path, last_seq: int, with_base: bool) -> None:
    """Copy the rows up to `last_seq` of a compressed archive, and its base if asked."""
    with closing(ArchivePart(source)) as part:
        connection.execute("BEGIN")
        if with_base and part.base.head.seq:
            row = (*part.base.head, part.base.snapshot)
            connection.execute("INSERT INTO base (seq, ts_us, hash, snapshot) VALUES (?, ?, ?, ?)", row)
        for table, columns in _TABLES:
            seq = part.base.head.seq + 1
            while table != "base" and seq <= min(last_seq, part.last_seq):
                rows, seq = part.page(table, seq, last_seq)
                if table == "answers":
                    rows = [(answer[0], answer[2]) for answer in rows]
                marks = ", ".join("?" * len(columns.split(", ")))
                connection.executemany(f"INSERT OR IGNORE INTO main.{table} ({columns}) VALUES ({marks})", rows)
        connection.execute("COMMIT")


def copy_pages(draft: Draft, source: Path, last_seq: int) -> None:
    """Copy a whole journal file and delete the rows after `last_seq`. Their space is free for new commands.

    If most rows stay, this takes a tenth of the time of `copy_rows`. An older schema is brought up to date.
    """
    connection = draft.connection
    with closing(connect_read_only(source)) as opened:
        opened.backup(connection)
    prepare(draft.path)
    connection.execute("PRAGMA journal_mode = DELETE")
    with _without_trigger(connection, "commands_are_never_deleted"):
        connection.execute("BEGIN")
        found = _tables_in(connection, "main")
        for table in (name for name, _ in _TABLES if name in found and name != "base"):
            connection.execute(f"DELETE FROM {table} WHERE seq > ?", (last_seq,))
        connection.execute("COMMIT")


def _tables_in(connection: sqlite3.Connection, schema: str) -> set[str]:
    return {name for (name,) in connection.execute(f"SELECT name FROM {schema}.sqlite_schema WHERE type = 'table'")}


@contextmanager
def _without_trigger(connection: sqlite3.Connection, name: str) -> Iterator[None]:
    """Remove a trigger of the draft for the duration of the block."""
    query = "SELECT sql FROM main.sqlite_schema WHERE type = 'trigger' AND name = ?"
    (text,) = connection.execute(query, (name,)).fetchone()
    connection.execute(f"DROP TRIGGER main.{name}")
    yield
    connection.execute(text)
