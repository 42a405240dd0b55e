"""Detects a write-ahead log that does not belong to the journal next to it.

After a crash the -wal holds the last commands, and SQLite applies it to whatever file has the journal's name. If a
backup was copied there in the meantime, the result is a mixture of both, and the first program that opens it for
writing makes it permanent.
"""

import logging
from pathlib import Path

from exchange.journal.chain_check import check_chain
from exchange.journal.errors import JournalDamagedError
from exchange.journal.file_header import log_path

_log = logging.getLogger(__name__)


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
