"""The write-ahead log of a journal: syncing it, and detecting one that does not belong to the journal next to it.

After a crash the -wal holds the last commands, and SQLite applies it to whatever file has the journal's name. If a
backup was copied there in the meantime, the result is a mixture of both, and the first program that opens it for
writing makes it permanent.
"""

import logging
import os
from pathlib import Path

from exchange.journal.chain_check import check_chain
from exchange.journal.errors import JournalDamagedError
from exchange.journal.file_header import log_path

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


def check_log_of_crash(path: Path) -> None:
    """If a crash left a -wal, check that it and the journal at `path` make one whole journal. Changes nothing.

    The caller holds the journal's lock. Raises JournalDamagedError. SQLite knows no mark that binds a -wal to its
    database, so the chain of hashes has to show it: all commands are read. After a clean stop there is no -wal.
    """
    log = log_path(path)
    if not log.exists() or not log.stat().st_size or not path.exists():
        return
    _log.info("%s: the last run did not stop cleanly, checking the chain of its commands", path)
    try:
        check_chain(path, lambda done, total: None)
    except JournalDamagedError as error:
        raise JournalDamagedError(
            f"{path} and {log.name} make no whole journal: {error}. If {path.name} was copied here from a backup, "
            f"move {log.name} and {path.name}-shm to another folder, then start again"
        ) from error
