"""The archives of a journal: files next to it with its older commands, compressed or each a journal that has ended."""

import re
from pathlib import Path
from typing import NamedTuple

_NAME = re.compile(r"(\d{16})-(\d{16})\.(?:db|archive)")


class Archive(NamedTuple):
    """The journal file at `path` with commands `first_seq` to `last_seq`."""

    first_seq: int
    last_seq: int
    path: Path


def archive_folder(journal_path: Path) -> Path:
    """The folder of the archives of the journal at `journal_path`."""
    return journal_path.with_name(journal_path.name + ".archives")


def archive_path(journal_path: Path, first_seq: int, last_seq: int) -> Path:
    """The path of the archive with these commands of the journal at `journal_path`."""
    return archive_folder(journal_path) / f"{first_seq:016d}-{last_seq:016d}.db"


def sealed_archive_path(journal_path: Path, first_seq: int, last_seq: int) -> Path:
    """The path of the compressed archive with these commands of the journal at `journal_path`."""
    return archive_path(journal_path, first_seq, last_seq).with_suffix(".archive")


def all_archives(journal_path: Path) -> list[Archive]:
    """All archives in the folder of the journal at `journal_path`, oldest first, whether they lead to it or not."""
    folder = archive_folder(journal_path)
    names = ((_NAME.fullmatch(file.name), file) for file in (folder.iterdir() if folder.is_dir() else ()))
    return sorted(Archive(int(name[1]), int(name[2]), file) for name, file in names if name)


def archives_of(journal_path: Path, before_seq: int) -> list[Archive]:
    """The archives that lead to command `before_seq` without a gap, oldest first."""
    # Of several that end at the same command, the longest: a merge that a crash cut off leaves the others.
    by_end = {archive.last_seq: archive for archive in reversed(all_archives(journal_path))}
    found: list[Archive] = []
    while archive := by_end.pop(before_seq - 1, None):
        found.append(archive)
        before_seq = archive.first_seq
    return found[::-1]
