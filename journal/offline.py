"""Changes a journal in place while no exchange runs. The caller of each function holds the journal's lock."""

import contextlib
import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from exchange.journal.backup import back_up_before_migration
from exchange.journal.connection import FileConnection
from exchange.journal.errors import JournalError
from exchange.journal.file_header import log_path
from exchange.journal.records import AnswerRow, Checkpoint, EventRow, Record
from exchange.journal.schema import prepare
from exchange.journal.write_ahead_log import begin_log_anew, check_log_of_crash

_COPY_BYTES = 1024 * 1024
# The tables whose rows belong to commands.
TABLES_OF_COMMANDS = ("commands", "events", "digests", "answers")


def prepare_offline(path: Path) -> None:
    """Bring the schema of the journal at `path` up to date, after a backup. Raises JournalError.

    A -wal that a crash left must belong to the file.
    """
    check_log_of_crash(path)
    back_up_before_migration(path)
    prepare(path)


def continue_from(path: Path, base: Checkpoint) -> None:
    """Replace all rows up to `base`, which an archive on disk holds, by `base`, and free their space.

    Raises JournalError.
    """
    with _changing(path) as connection:
        connection.execute("DELETE FROM base")
        row = (*base.head, base.snapshot)
        connection.execute("INSERT INTO base (seq, ts_us, hash, snapshot) VALUES (?, ?, ?, ?)", row)
        for table in TABLES_OF_COMMANDS:
            connection.execute(f"DELETE FROM {table} WHERE seq <= ?", (base.head.seq,))
    _shrink(path)


def set_aside(path: Path, reason: str) -> Path:
    """Copy the journal at `path` and its -wal into a new folder next to it. They are on disk when this returns.

    `reason` is a part of the folder's name, such as "before-repair". Raises OSError; nothing is left of the copy then.
    """
    files = [file for file in (path, log_path(path)) if file.exists()]
    size_bytes = sum(file.stat().st_size for file in files)
    if shutil.disk_usage(path.absolute().parent).free < 2 * size_bytes:
        raise JournalError(
            f"{path} cannot be copied first: {2 * size_bytes:,} bytes of free space are needed. Nothing was changed"
        )
    names = (path.with_name(f"{path.name}.{reason}-{number}") for number in itertools.count(1))
    folder = next(name for name in names if not name.exists())
    folder.mkdir()
    try:
        for file in files:
            with file.open("rb") as source, (folder / file.name).open("wb") as copy:
                shutil.copyfileobj(source, copy, _COPY_BYTES)
                copy.flush()
                os.fsync(copy.fileno())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def continue_with(path: Path, records: Iterable[Record], answers: Iterable[AnswerRow] = ()) -> None:
    """Append `records` to the journal at `path`, and the times of answers that it lacks, all or nothing.

    Rows of later commands than its last one are deleted before.

    A part of the -wal that SQLite leaves out is deleted: copy the files first. Raises JournalError.
    """
    begin_log_anew(path)
    with _changing(path) as connection:
        for table in ("digests", "answers"):
            connection.execute(
                f"DELETE FROM {table} WHERE seq > (SELECT coalesce(max(seq), 0) FROM (SELECT seq FROM commands UNION "
                "ALL SELECT seq FROM base))"
            )
        connection.executemany("INSERT INTO commands (seq, ts_us, payload, hash) VALUES (?, ?, ?, ?)", records)
        connection.executemany("INSERT OR IGNORE INTO answers (seq, answered_us) VALUES (?, ?)", answers)


def delete_events(path: Path) -> int:
    """Delete the events that an earlier version recorded, and free their space. Returns their number.

    Raises JournalError.
    """
    with _changing(path) as connection:
        count = connection.execute("DELETE FROM events").rowcount
    _shrink(path)
    return count


@contextlib.contextmanager
def replaced_events(path: Path) -> Iterator[Callable[[list[EventRow]], None]]:
    """Delete the recorded events and yield a function that records others, all or nothing. Raises JournalError."""
    with _changing(path) as connection:
        connection.execute("DELETE FROM events")

        def record(rows: list[EventRow]) -> None:
            connection.executemany("INSERT INTO events (seq, n, payload) VALUES (?, ?, ?)", rows)

        yield record


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in a transaction that is committed at the end; nothing of it is kept if the block fails."""
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, factory=FileConnection)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise JournalError(
            f"{path} cannot be changed ({error}), and nothing was: check the permissions and the disk"
        ) from error


def _shrink(path: Path) -> None:
    """Free the space of deleted rows. If the disk is too full for this, later commands reuse the space."""
    connection = sqlite3.connect(path, isolation_level=None, factory=FileConnection)
    with contextlib.closing(connection), contextlib.suppress(sqlite3.Error):
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
