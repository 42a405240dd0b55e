"""Notices that the files of an open journal were deleted, replaced or cut off.

SQLite writes on to the files that it opened, whatever has their names now, so commands would be answered that no start
finds. The files are compared with `os.stat` and never opened: closing a second descriptor of a file would drop the
locks that SQLite has on it.
"""

import os
from pathlib import Path

from exchange.journal.errors import JournalBrokenError
from exchange.journal.file_header import log_path

_GONE_STEP = (
    "the exchange stopped before its next answer. Find out which program did this, and put the file back if you can; "
    "`exchange journal repair` restores the commands that the history holds"
)


class FileWatch:
    """The journal at `path` and its -wal as they are now. Make it when a connection has read from the journal."""

    def __init__(self, path: Path) -> None:
        self._files = {file: _stat(file) for file in (str(path), str(log_path(path)))}

    def check(self, has_written: bool = False) -> None:
        """Raise JournalBrokenError if a file is not the one that was open. Takes two system calls.

        A file may not be shorter than before either, unless the exchange itself has just written, `has_written`: SQLite
        cuts a long -wal.
        """
        for file, before in self._files.items():
            now = _stat(file)
            if now.st_ino != before.st_ino or now.st_dev != before.st_dev:
                raise JournalBrokenError(f"{file} was replaced by another file: {_GONE_STEP}")
            if not has_written and now.st_size < before.st_size:
                raise JournalBrokenError(
                    f"{file} was cut off from {before.st_size:,} to {now.st_size:,} bytes: {_GONE_STEP}"
                )
            self._files[file] = now


def _stat(file: str) -> os.stat_result:
    try:
        return os.stat(file)
    except FileNotFoundError:
        raise JournalBrokenError(f"{file} was deleted: {_GONE_STEP}") from None
    except OSError as error:
        raise JournalBrokenError(f"{file} cannot be reached any more ({error.strerror}): {_GONE_STEP}") from error
