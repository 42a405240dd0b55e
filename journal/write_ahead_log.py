"""The write-ahead log of a journal: syncing it, and detecting one that does not belong to the journal next to it.

After a crash the -wal holds the last commands, and SQLite applies it to whatever file has the journal's name. If a
backup was copied there in the meantime, the result is a mixture of both, and the first program that opens it for
writing makes it permanent.
"""

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from exchange.journal.chain_check import check_chain
from exchange.journal.connection import FileConnection
from exchange.journal.errors import CommandsLostError, JournalDamagedError
from exchange.journal.file_header import log_path
from exchange.journal.log_scan import scan_log
from exchange.journal.sqlite_reader import SqliteJournalReader

# A loss of power breaks at most the last transaction: each one is synced before the next.
_UNSYNCED_MAX = 1

_log = logging.getLogger(__name__)


def sync_journal(path: Path) -> None:
    """Write the -wal of the journal at `path` to disk.

    A process that writes another file from what it read in the journal calls this in between. Otherwise a loss of power
    could take back commands that the other file has: a process that was killed may have written them without a sync.
    """
    # Windows syncs only files that are open for writing.
    if os.name == "nt":
        return
    try:
        descriptor = os.open(log_path(path), os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_log_of_crash(path: Path) -> bool:
    """True if the journal at `path` has a -wal with content, which a clean stop never leaves."""
    log = log_path(path)
    return path.exists() and log.exists() and log.stat().st_size > 0


def check_log_of_crash(path: Path) -> None:
    """If a crash left a -wal, check that it is whole, and that it and the journal at `path` make one whole journal.

    The caller holds the journal's lock. Raises JournalDamagedError, and changes nothing then. SQLite knows no mark that
    binds a -wal to its database, so the chain of hashes has to show it: all commands are read. After a clean stop there
    is no -wal.
    """
    if not is_log_of_crash(path):
        return
    _log.info("%s: the last run did not stop cleanly, checking the chain of its commands", path)
    is_whole = is_log_whole(path, _log.warning)
    refuse_mixture(path)
    if not is_whole:
        begin_log_anew(path)


def refuse_mixture(path: Path) -> None:
    """Raise JournalDamagedError if the -wal and the journal at `path` make no whole journal. Reads all commands."""
    log = log_path(path)
    try:
        check_chain(path, lambda done, total: None)
    except JournalDamagedError as error:
        if not log.exists():
            raise
        raise JournalDamagedError(
            f"{path} and {log.name} make no whole journal: {error}. If {path.name} was copied here from a backup, "
            f"move {log.name} and {path.name}-shm to another folder, then start again"
        ) from error


def is_log_whole(path: Path, report: Callable[[str], None]) -> bool:
    """False if SQLite leaves out the last transaction in the -wal of the journal at `path`. No process may write to it.

    This is no loss, because the exchange answers only after the sync; `report` receives a sentence about it. Raises
    CommandsLostError if it leaves out several transactions: the file is damaged.
    """
    scan = scan_log(path)
    if scan.broken_frame is None or not scan.left_out:
        return True
    log = log_path(path)
    where = f"at frame {scan.broken_frame}" if scan.broken_frame else "in its header"
    with SqliteJournalReader(path) as reader:
        seq = reader.head().seq
    if scan.left_out > _UNSYNCED_MAX:
        raise CommandsLostError(
            seq + 1,
            f"{log} is damaged {where}, and {scan.left_out} transactions after that cannot be "
            f"read. {path} ends with seq {seq} without them: the commands from seq {seq + 1} on are lost",
        )
    report(
        f"{log} ends with an incomplete transaction ({where}), as after a loss of power before its sync: it is left "
        f"out, and {path} ends with seq {seq}"
    )
    return False


def begin_log_anew(path: Path) -> None:
    """Move the content of the -wal into the database, so that the next scan does not find an old broken frame."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, factory=FileConnection)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
