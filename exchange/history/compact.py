"""Compaction: moves older commands of a journal into an archive, a journal file of its own.

The journal then continues from a base: a snapshot bound to the hash of the last archived command. The exchange starts
from the base without the archive. Questions about older commands read the archive, which must stay where it was made.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from exchange.engine.engine import STATE_SUBJECT
from exchange.engine.recovery import Progress, recover
from exchange.journal.archives import archive_path
from exchange.journal.atomic_journal import copy_rows, new_journal
from exchange.journal.errors import JournalDamagedError, JournalError
from exchange.journal.lock import JournalLock
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Checkpoint, Head
from exchange.journal.schema import prepare
from exchange.journal.write_ahead_log import sync_journal
from exchange.snapshots.store import Snapshot, pack, sync_folder


class Compacted(NamedTuple):
    """The archive, the commands in it, and the size of the journal file before and after."""

    archive: Path
    first_seq: int
    last_seq: int
    bytes_before: int
    bytes_after: int


def compact(path: Path, before_seq: int, report: Callable[[str], None], progress: Progress) -> Compacted:
    """Move the commands before `before_seq` into an archive. Takes the journal's lock, so no exchange may be running.

    A crash at any moment leaves the journal either unchanged or compacted: commands are deleted only after the archive
    is on disk and was read back. Raises JournalError; the journal is unchanged then.
    """
    with JournalLock(path):
        prepare(path)
        with open_journal_reader(path) as reader:
            base, head = reader.bases[-1], reader.head()
        first_seq, last_seq = base.head.seq + 1, before_seq - 1
        if not first_seq <= last_seq < head.seq:
            raise JournalError(
                f"{path} holds seq {first_seq} to {head.seq}: --before must be from {first_seq + 1} to {head.seq}, "
                "so that both the archive and the journal hold at least one command"
            )
        snapshot = recover(path, report, progress, up_to=last_seq).engine.snapshot()
        bytes_before = path.stat().st_size
        archive = archive_path(path, first_seq, last_seq)
        sync_journal(path)
        report(f"moving seq {first_seq} to {last_seq} into {archive}")
        _write_archive(path, archive, base, snapshot)
        _continue_from(path, snapshot, archive)
        return Compacted(archive, first_seq, last_seq, bytes_before, path.stat().st_size)


def _write_archive(path: Path, archive: Path, base: Checkpoint, snapshot: Snapshot) -> None:
    """Copy the rows up to the seq of `snapshot` into the archive, and read it back."""
    archive.parent.mkdir(exist_ok=True)
    with new_journal(archive) as draft:
        copy_rows(draft, [path], snapshot.seq)
        draft.connection.execute(
            "INSERT OR IGNORE INTO digests (seq, subject, digest) VALUES (?, ?, ?)",
            (snapshot.seq, STATE_SUBJECT, snapshot.digest),
        )
        _read_back(draft.path, base.head, Head(snapshot.seq, snapshot.ts_us, snapshot.journal_hash))
        # An archive never changes again.
        draft.path.chmod(0o444)
    sync_folder(archive.parent)


def _read_back(draft: Path, before: Head, last: Head) -> None:
    with open_journal_reader(draft) as reader:
        for _ in reader.records(before):
            pass
        if reader.head() != last:
            raise JournalDamagedError(f"{draft} differs from the journal after it was written: check the disk")


def _continue_from(path: Path, snapshot: Snapshot, archive: Path) -> None:
    """Replace all rows that `archive` now holds by the snapshot, and free their disk space."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM base")
            connection.execute(
                "INSERT INTO base (seq, ts_us, hash, snapshot) VALUES (?, ?, ?, ?)",
                (snapshot.seq, snapshot.ts_us, snapshot.journal_hash, pack(snapshot)),
            )
            for table in ("commands", "events", "digests", "answers"):
                connection.execute(f"DELETE FROM {table} WHERE seq <= ?", (snapshot.seq,))
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(
                f"{path} cannot be compacted ({error}). It is unchanged, so {archive} may be deleted"
            ) from error
        # If the disk is too full for this, later commands reuse the space.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
