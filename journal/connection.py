"""SQLite connections: those to files that may be damaged, and those to journals, counted by file.

POSIX releases all locks of a process on a file when the process closes any descriptor of that file. If a process opens
and closes a journal beside SQLite's own connection, it releases SQLite's locks. Another program that reads the journal
then takes itself for the only one, and deletes the -wal under the running exchange. So no file is opened here that this
process has open through SQLite; `is_open_here` tells.
"""

import os
import sqlite3
import threading
from collections import Counter
from pathlib import Path
from typing import Any

# Device and inode of a file.
_Identity = tuple[int, int]

_MALFORMED = "the schema of the file is malformed"

_open_here: Counter[_Identity] = Counter()
_turn = threading.Lock()


class FileConnection(sqlite3.Connection):
    """A connection to a file that may be damaged: SQLite's message about it may hold bytes that are not UTF-8.

    Python's module then raises UnicodeDecodeError. This class raises sqlite3.DatabaseError instead.
    """

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """As in sqlite3."""
        try:
            return super().execute(*arguments)
        except UnicodeDecodeError as error:
            raise sqlite3.DatabaseError(_MALFORMED) from error

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        """As in sqlite3."""
        try:
            return super().executemany(*arguments)
        except UnicodeDecodeError as error:
            raise sqlite3.DatabaseError(_MALFORMED) from error

    def executescript(self, *arguments: Any) -> sqlite3.Cursor:
        """As in sqlite3."""
        try:
            return super().executescript(*arguments)
        except UnicodeDecodeError as error:
            raise sqlite3.DatabaseError(_MALFORMED) from error


class JournalConnection(FileConnection):
    """A connection that counts as open until it is closed. `sqlite3.connect` takes the class as `factory`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        ((_, _, file),) = self.execute("PRAGMA database_list").fetchall()
        self._identity = _identity_of(Path(file))
        with _turn:
            if any(self._identity):
                _open_here[self._identity] += 1

    def close(self) -> None:
        """Close the file. A second call has no effect."""
        super().close()
        with _turn:
            identity, self._identity = self._identity, (0, 0)
            if identity in _open_here:
                _open_here[identity] -= 1
                # Nothing is left of a file that is closed: its inode may get another content.
                if not _open_here[identity]:
                    del _open_here[identity]


def is_open_here(path: Path) -> bool:
    """True if this process has the file at `path` open through SQLite, so that it may not be opened otherwise."""
    with _turn:
        return _identity_of(path) in _open_here


def _identity_of(path: Path) -> _Identity:
    """Device and inode; zeros if there is no file."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino
