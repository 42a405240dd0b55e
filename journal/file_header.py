"""The header of a journal's database file, read without SQLite."""

from pathlib import Path

from exchange.journal.connection import is_open_here
from exchange.journal.errors import ForeignLogError

# SQLite's file format: the two bytes at 18 are 1 for a file with a rollback journal, 2 for one with a -wal.
_FORMAT_AT, _ROLLBACK = 18, b"\x01\x01"


def log_path(path: Path) -> Path:
    """The write-ahead log of the journal at `path`."""
    return path.with_name(path.name + "-wal")


def refuse_foreign_log(path: Path) -> None:
    """Raise ForeignLogError if the -wal next to `path` cannot belong to this file.

    Backups, forks and imports are files without a -wal, and say so in their header until an exchange opens them. A -wal
    next to such a file is left over from an earlier journal of this name. SQLite would apply it nevertheless.
    """
    if is_open_here(path):
        # It was checked when it was opened. To open it again would release the locks of that connection.
        return
    log = log_path(path)
    try:
        # In this order: a journal that an exchange is just creating has its header before its -wal.
        if not log.stat().st_size:
            return
        with path.open("rb") as file:
            header = file.read(_FORMAT_AT + 2)
    except OSError:
        return
    if header[_FORMAT_AT:] == _ROLLBACK:
        raise ForeignLogError(
            f"{log} does not belong to {path}: it is left over from an earlier journal of this name, and {path.name} "
            f"is a backup or another new file. Move {log.name} and {path.name}-shm to another folder, then try again"
        )
