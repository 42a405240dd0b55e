"""Changes a journal in place while no exchange runs. The caller of each function holds the journal's lock."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from exchange.journal.backup import back_up_before_migration
from exchange.journal.errors import JournalError
from exchange.journal.records import Checkpoint, EventRow
from exchange.journal.schema import prepare
from exchange.journal.write_ahead_log import check_log_of_crash

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
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
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
    connection = sqlite3.connect(path, isolation_level=None)
    with contextlib.closing(connection), contextlib.suppress(sqlite3.Error):
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
