"""Seals older commands of a running exchange into compressed archives, and deletes archives if asked.

A subprocess writes the archive and reads it back, so that the exchange does not pause. The exchange then records the
state at the end of the archive as the base of its journal, and deletes the sealed rows, 1,000 at a time between two
batches. A crash is harmless at every moment. Before the base is recorded, the journal still holds every command, and
the next sealing takes the archive that is there. After it, the next start deletes the rows that are left.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import PIPE

from exchange.engine.recovery import recover
from exchange.free_space import SpaceGuard, is_space_low
from exchange.inside_subprocess import end_with, set_up_subprocess
from exchange.journal.archive_file import ArchivePart, is_archive_file, write_archive
from exchange.journal.archives import Archive, all_archives, archives_of, sealed_archive_path
from exchange.journal.errors import JournalBrokenError, JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader, JournalWriter
from exchange.journal.records import Checkpoint
from exchange.journal.write_ahead_log import sync_journal
from exchange.snapshots.store import pack, sync_folder
from exchange.subprocesses import run_module

LOOK_SECONDS_MAX = 60.0  # between two looks for commands that are old enough
_DELETE_AT_ONCE = 1_000
_DELETE_PAUSE_SECONDS = 0.02
# The commands of one archive. A longer past is sealed into several.
_COMMANDS_MAX = 1_000_000
# Commands are sealed once the oldest is older than the limit by this part of it, so that archives do not get tiny.
_PARTS = 10

_log = logging.getLogger(__name__)


class Archiver:
    """Keeps the journal at `path` short while the exchange runs. Ages are in exchange time, `now_us`."""

    def __init__(
        self,
        path: Path,
        journal: JournalWriter,
        now_us: Callable[[], int],
        archive_after_us: int | None,
        delete_after_us: int | None,
    ) -> None:
        """None: nothing is sealed, or no archive is deleted."""
        self._path = path
        self._journal = journal
        self._now_us = now_us
        self._archive_after_us = archive_after_us
        self._delete_after_us = delete_after_us
        self._space = SpaceGuard(path, "archives", _log.warning)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin: first delete the sealed rows that a crash left in the journal."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End it. An archive that is being written is not kept."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        limits_us = [limit for limit in (self._archive_after_us, self._delete_after_us) if limit]
        pause_seconds = min([LOOK_SECONDS_MAX, *(limit_us / 1e6 / _PARTS for limit_us in limits_us)])
        while True:
            try:
                await self._delete_sealed_rows()
                if self._archive_after_us and self._space.allows():
                    await self._seal(self._archive_after_us)
                if self._delete_after_us:
                    await asyncio.to_thread(delete_archives, self._path, self._now_us() - self._delete_after_us)
            except JournalBrokenError:
                raise
            except (JournalError, OSError) as error:
                _log.warning("older commands stay in the journal for now: %s", error)
            if not limits_us:
                return
            await asyncio.sleep(pause_seconds)

    async def _seal(self, archive_after_us: int) -> None:
        """Seal the commands that are old enough, if there are any."""
        last_seq = await asyncio.to_thread(last_seq_to_seal, self._path, self._now_us(), archive_after_us)
        if last_seq is None:
            return
        arguments = (str(self._path), str(last_seq), str(os.getpid()))
        async with run_module(__name__, *arguments, stdout=PIPE) as process:
            assert process.stdout is not None
            written = (await process.stdout.read()).decode()
            await process.wait()
        if process.returncode:
            _log.warning("no archive was written: the process ended with code %d", process.returncode)
            return
        archive = Path(written.strip())
        end = await asyncio.to_thread(_end_of, archive)
        await self._journal.seal(end)
        await self._delete_sealed_rows()
        _log.info("sealed the commands up to seq %d into %s", end.head.seq, archive)

    async def _delete_sealed_rows(self) -> None:
        is_left = True
        while is_left:
            is_left = await self._journal.delete_sealed(_DELETE_AT_ONCE)
            await asyncio.sleep(_DELETE_PAUSE_SECONDS)


def last_seq_to_seal(path: Path, now_us: int, archive_after_us: int) -> int | None:
    """The last command to seal now, of those older than `archive_after_us`; None if it is too early."""
    with open_journal_reader(path) as reader:
        base, head = reader.bases[-1].head, reader.head()
        first = reader.head_at(base.seq + 1)
        if first is None or first.ts_us >= now_us - archive_after_us - archive_after_us // _PARTS:
            return None
        last_seq = _last_before(reader, now_us - archive_after_us, base.seq, head.seq)
    # The journal keeps at least one command.
    last_seq = min(last_seq, head.seq - 1, base.seq + _COMMANDS_MAX)
    return last_seq if last_seq > base.seq else None


def seal(path: Path, last_seq: int) -> Archive:
    """Write the archive that ends with `last_seq`, or take the one that an earlier attempt left.

    The journal is only read. Raises a JournalError or OSError; there is no new archive then.
    """
    with open_journal_reader(path) as reader:
        base = reader.bases[-1]
        first_seq = base.head.seq + 1
        for found in all_archives(path):
            if found.first_seq == first_seq and is_archive_file(found.path):
                if reader.head_at(found.last_seq) != _end_of(found.path).head:
                    raise JournalError(f"{found.path} is an archive of another journal: move it to another folder")
                return found
        if is_space_low(path.absolute().parent):
            raise JournalError("less than 5 % of the disk is free: free some space")
        sync_journal(path)
        snapshot = recover(path, lambda sentence: None, lambda done, total: None, up_to=last_seq).engine.snapshot()
        head = reader.head_at(last_seq)
        assert head is not None, "the caller must pass a command of the journal"
        archive = sealed_archive_path(path, first_seq, last_seq)
        write_archive(archive, base, Checkpoint(head, pack(snapshot)), reader)
    sync_folder(archive.parent)
    return Archive(first_seq, last_seq, archive)


def delete_archives(path: Path, before_us: int) -> list[Path]:
    """Delete the archives whose last command is older than `before_us`, oldest first. Returns their paths."""
    with open_journal_reader(path) as reader:
        bases = reader.bases
        archives = archives_of(path, bases[-1].head.seq + 1)
    deleted = []
    for archive, end in zip(archives, bases[1:], strict=False):
        if end.head.ts_us >= before_us:
            break
        archive.path.unlink(missing_ok=True)
        deleted.append(archive.path)
        _log.info("deleted the archive %s, as --delete-archives-after asks", archive.path)
    return deleted


def _last_before(reader: JournalReader, before_us: int, low_seq: int, high_seq: int) -> int:
    """The last command before a time, by bisection between two seqs; `low_seq` if there is none."""
    while low_seq < high_seq:
        middle = (low_seq + high_seq + 1) // 2
        head = reader.head_at(middle)
        if head is not None and head.ts_us < before_us:
            low_seq = middle
        else:
            high_seq = middle - 1
    return low_seq


def _end_of(archive: Path) -> Checkpoint:
    with closing(ArchivePart(archive)) as part:
        return part.end


def main() -> None:
    """Run the subprocess: seal the journal in the first argument up to the seq in the second; print the archive."""
    set_up_subprocess()
    try:
        archive = seal(Path(sys.argv[1]), int(sys.argv[2]))
    except (JournalError, OSError) as error:
        end_with(str(error))
    sys.stdout.write(f"{archive.path}\n")


if __name__ == "__main__":
    main()
