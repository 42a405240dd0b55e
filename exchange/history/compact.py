"""Sealing older commands into an archive: a journal file of its own beside the journal, which goes on from a base.

The base is a snapshot bound to the hash of the last sealed command, so that the exchange starts without the archive;
every question about the time before is answered from the archive as long as it stays where it was made.
"""

import asyncio
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
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.records import Checkpoint, Head
from exchange.snapshots.store import Snapshot, pack, sync_folder


class Compacted(NamedTuple):
    """Commands `first_seq` to `last_seq` are in `archive` now; the journal's file was so large before and after."""

    archive: Path
    first_seq: int
    last_seq: int
    bytes_before: int
    bytes_after: int


def compact(path: Path, before_seq: int, report: Callable[[str], None], progress: Progress) -> Compacted:
    """Seal the commands before `before_seq`. Takes the journal's lock: no exchange may run on it.

    A crash at any moment leaves the journal either as it was or compacted; nothing is deleted before the archive is on
    disk and was read back. Raises a JournalError, where nothing has changed.
    """
    with JournalLock(path):
        asyncio.run(_complete_events(path, report, progress))
        with open_journal_reader(path) as reader:
            base, head = reader.bases[-1], reader.head()
        first_seq, last_seq = base.head.seq + 1, before_seq - 1
        if not first_seq <= last_seq < head.seq:
            raise JournalError(
                f"{path} holds seq {first_seq} to {head.seq}: --before must be one of {first_seq + 1} to {head.seq}, "
                "so that something is sealed and something stays"
            )
        snapshot = recover(path, report, progress, up_to=last_seq).engine.snapshot()
        bytes_before = path.stat().st_size
        archive = archive_path(path, first_seq, last_seq)
        report(f"sealing seq {first_seq} to {last_seq} into {archive}")
        _write_archive(path, archive, base, snapshot)
        _continue_from(path, snapshot)
        return Compacted(archive, first_seq, last_seq, bytes_before, path.stat().st_size)


async def _complete_events(path: Path, report: Callable[[str], None], progress: Progress) -> None:
    """Bring the file up to date, and record the events that a crash kept from being recorded."""
    journal = await open_journal_writer(path)
    try:
        missing_events = recover(path, report, progress).missing_events
        if missing_events:
            await journal.append_events(missing_events)
    finally:
        await journal.close()


def _write_archive(path: Path, archive: Path, base: Checkpoint, snapshot: Snapshot) -> None:
    """Copy what `snapshot` stands for into a file, and read it back."""
    archive.parent.mkdir(exist_ok=True)
    with new_journal(archive) as draft:
        copy_rows(draft, [path], snapshot.seq)
        draft.connection.execute(
            "INSERT OR IGNORE INTO digests (seq, subject, digest) VALUES (?, ?, ?)",
            (snapshot.seq, STATE_SUBJECT, snapshot.digest),
        )
        _read_back(draft.path, base.head, Head(snapshot.seq, snapshot.ts_us, snapshot.journal_hash))
        draft.path.chmod(0o444)  # nobody writes to it any more
    sync_folder(archive.parent)


def _read_back(draft: Path, before: Head, last: Head) -> None:
    with open_journal_reader(draft) as reader:
        for _ in reader.records(before):
            pass
        if reader.head() != last or reader.events_seq() != last.seq:
            raise JournalDamagedError(f"what was written to {draft} is not what the journal holds: check the disk")


def _continue_from(path: Path, snapshot: Snapshot) -> None:
    """Let the snapshot stand for everything up to its seq, and give the room back to the disk."""
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
                f"{path} cannot be compacted ({error}); it is as it was, and the archive may be deleted"
            ) from error
        with contextlib.suppress(sqlite3.Error):  # a full disk: the room is used again for commands to come
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
