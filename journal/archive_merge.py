"""Merges all archives of a journal into one compressed archive; archives of the first kind are compressed by that."""

import os
from pathlib import Path

from exchange.journal.archive_file import write_archive
from exchange.journal.archives import Archive, archives_of, sealed_archive_path
from exchange.journal.errors import JournalError
from exchange.journal.sqlite_reader import SqliteJournalReader


def merge_archives(path: Path) -> tuple[list[Archive], Archive]:
    """Merge the archives of the journal at `path`, also while an exchange runs. Returns the old ones and the new one.

    The old files are deleted once the new one is on disk and was read back. After a crash in between, readers take the
    longest archive. Raises a JournalError; no archive is changed then.
    """
    with SqliteJournalReader(path) as reader:
        base, end = reader.bases[0], reader.bases[-1]
        merged = archives_of(path, end.head.seq + 1)
        if len(merged) < 2:
            raise JournalError(f"{path} has {len(merged)} of the two archives or more that a merge needs")
        new = sealed_archive_path(path, base.head.seq + 1, end.head.seq)
        write_archive(new, base, end, reader)
    _sync_names(new.parent)
    for archive in merged:
        archive.path.unlink(missing_ok=True)
    return merged, Archive(base.head.seq + 1, end.head.seq, new)


def _sync_names(folder: Path) -> None:
    # Windows cannot open a folder; it keeps renames by itself.
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
