"""The modes of new files: readable by their owner only, or by a group too. Files that exist keep theirs."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Every command imports this module first.
    from collections.abc import Iterator
    from pathlib import Path

# A file of mode 0600 is in a folder of mode 0700, and so on.
_FOLDER_BITS = {0o600: 0o700, 0o640: 0o750, 0o644: 0o755}
FILE_MODES = {f"{mode:04o}": mode for mode in _FOLDER_BITS}


def set_file_mode(mode: int) -> None:
    """Give new files of this process and of its subprocesses this mode, which is one of FILE_MODES.

    SQLite gives the -wal and the -shm the mode of their database.
    """
    os.umask(0o777 & ~_FOLDER_BITS[mode])


@contextmanager
def file_mode(mode: int) -> Iterator[None]:
    """Give new files this mode, until the end of the block."""
    previous = os.umask(0o777 & ~_FOLDER_BITS[mode])
    try:
        yield
    finally:
        os.umask(previous)


def more_open_files(journal: Path) -> list[Path]:
    """The files of a journal that more users can read or write than new ones, and those in its folders."""
    denied = os.umask(0o077)
    os.umask(denied)
    name = journal.name.removesuffix(".db")
    found = sorted(journal.parent.glob(f"{_escaped(name)}.*"))
    files = [file for one in found for file in (sorted(one.iterdir()) if one.is_dir() else [one])]
    return [file for file in files if file.is_file() and file.stat().st_mode & denied & 0o066]


def _escaped(name: str) -> str:
    return "".join(f"[{character}]" if character in "[*?" else character for character in name)
