"""Compaction: moves older commands of a journal into a compressed archive.

The journal then continues from a base: a snapshot bound to the hash of the last archived command. The exchange starts
from the base without the archive. Questions about older commands read the archive, which must stay where it was made.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from exchange.engine.recovery import Progress, recover
from exchange.journal.archive_file import write_archive
from exchange.journal.archives import sealed_archive_path
from exchange.journal.errors import JournalError
from exchange.journal.lock import JournalLock
from exchange.journal.offline import continue_from, prepare_offline
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Checkpoint, Head
from exchange.journal.write_ahead_log import sync_journal
from exchange.runtime.lost_commands import refuse_lost_commands
from exchange.snapshots.store import pack, sync_folder


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
        refuse_lost_commands(path)
        prepare_offline(path)
        bytes_before = path.stat().st_size
        with open_journal_reader(path) as reader:
            base, head = reader.bases[-1], reader.head()
            first_seq, last_seq = base.head.seq + 1, before_seq - 1
            if not first_seq <= last_seq < head.seq:
                raise JournalError(
                    f"{path} holds seq {first_seq} to {head.seq}: --before must be from {first_seq + 1} to {head.seq}, "
                    "so that both the archive and the journal hold at least one command"
                )
            snapshot = recover(path, report, progress, up_to=last_seq).engine.snapshot()
            end = Checkpoint(Head(snapshot.seq, snapshot.ts_us, snapshot.journal_hash), pack(snapshot))
            archive = sealed_archive_path(path, first_seq, last_seq)
            report(f"moving seq {first_seq} to {last_seq} into {archive}")
            sync_journal(path)
            write_archive(archive, base, end, reader)
        sync_folder(archive.parent)
        continue_from(path, end)
        return Compacted(archive, first_seq, last_seq, bytes_before, path.stat().st_size)
