"""The follower: a process beside the exchange that reads its journal and applies every command once more.

It writes the snapshots, so that the exchange never pauses for one, however large its state is; and it compares what it
comes to with the digests that the exchange records, and raises the alarm where they differ.
"""

import asyncio
import gc
import logging
import os
import sys
import time
from pathlib import Path

import msgspec

from exchange.domain.events import Event
from exchange.runtime.digests import EventsDigest
from exchange.runtime.recovery import Report, event_rows, replay, restore_base, restore_newest
from exchange.runtime.settings import SNAPSHOTS_KEPT
from exchange.runtime.workers import begin_as_worker, worker
from journal.errors import JournalError
from journal.reader import JournalReader
from snapshots.store import Snapshot, SnapshotStore

DIVERGED = 3  # exit code of the process
LOOK_SECONDS = 0.1  # between two looks at a journal that has nothing new
TELL_SECONDS = 1.0  # at least, between two writings of how far it is
COMMANDS_AT_ONCE = 2_000
RETRY_SECONDS_MAX = 60.0  # before a follower that failed is started again

_log = logging.getLogger(__name__)


class DivergedError(Exception):
    """The same commands gave other events than the exchange recorded; the message is for people."""


class Status(msgspec.Struct, frozen=True):
    """How far a follower is. `compared_seq`: the last digest that came out the same; `differs_at`: one that did not."""

    pid: int
    seq: int
    ts_us: int
    snapshot_seq: int
    compared_seq: int
    differs_at: int | None


class Follower:
    """Follows the journal at `path`, and saves a snapshot every `every` commands (0: never).

    It begins with the newest snapshot; with `from_first` with the first command there is, to compare everything.
    """

    def __init__(self, path: Path, every: int, report: Report, from_first: bool = False) -> None:
        self._path = path
        self._every = every
        with JournalReader(path) as reader:
            self._core = (
                restore_base(reader, reader.bases[0].head.seq)
                if from_first
                else restore_newest(path, reader, reader.head().seq, report)
            )
        self.is_idle = False  # nothing was new when it last looked
        self._digest = EventsDigest(self._core.head.seq)
        self._computed: dict[int, str] = {}  # by seq, until the exchange has recorded its own
        self._snapshot_seq = SnapshotStore(path).newest_seq()
        self._compared_seq = 0
        self._differs_at: int | None = None

    @property
    def seq(self) -> int:
        """The last command that was applied."""
        return self._core.head.seq

    @property
    def compared_seq(self) -> int:
        """The last digest that was compared; 0: none yet."""
        return self._compared_seq

    def catch_up(self, reader: JournalReader) -> bool:
        """Apply some of what is new; False where nothing is. Raises DivergedError, or a JournalError."""
        head = self._core.head
        records = list(reader.records(head, head.seq + COMMANDS_AT_ONCE))
        caused: list[tuple[int, list[Event]]] = [(record.seq, replay(self._core, record)) for record in records]
        for seq, _, digest in self._digest.add(event_rows(caused)):
            self._computed[seq] = digest
        if self._computed:
            self._compare(reader)
        if self._every and self.seq - self._snapshot_seq >= self._every:
            save(self._path, self._core.snapshot())
            self._snapshot_seq = self.seq
        self.is_idle = not records
        return bool(records)

    def tell(self) -> None:
        """Write down how far it is, for `exchange journal info`."""
        head = self._core.head
        status = Status(os.getpid(), head.seq, head.ts_us, self._snapshot_seq, self._compared_seq, self._differs_at)
        draft = status_file(self._path).with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(status))
        draft.replace(status_file(self._path))

    def _compare(self, reader: JournalReader) -> None:
        for seq, subject, recorded in reader.digests():
            if subject != "events" or (computed := self._computed.pop(seq, None)) is None:
                continue
            if computed != recorded:
                self._differs_at = seq
                raise DivergedError(
                    f"up to seq {seq} the exchange recorded other events than its commands cause now: the digest is "
                    f"{recorded}, and comes out as {computed}. `exchange journal verify` names the command"
                )
            self._compared_seq = seq


class FollowerProcess:
    """Keeps a follower running beside the exchange. One that fails is started again, unless it raised the alarm."""

    def __init__(self, path: Path, every: int) -> None:
        self._path = path
        self._every = every
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._every:
            self._task = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        """End it; a snapshot half made leaves nothing behind."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        pause_seconds = 1.0
        while True:
            try:
                arguments = str(self._path), str(self._every), str(os.getpid())
                async with worker(__name__, *arguments, stdout=asyncio.subprocess.DEVNULL) as process:
                    code = await process.wait()
            except OSError as error:
                _log.warning("no snapshots are made: %s", error)
            else:
                if code == DIVERGED:
                    _log.error("the follower raised the alarm and has stopped: no more snapshots are made")
                    return
                _log.warning("the follower ended with code %d, and is started again", code)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, RETRY_SECONDS_MAX)


def save(path: Path, snapshot: Snapshot) -> None:
    """Save a snapshot of the journal at `path`, and delete old ones."""
    store = SnapshotStore(path)
    store.save(snapshot)
    store.prune(SNAPSHOTS_KEPT)


def status_file(path: Path) -> Path:
    return path.with_name(path.name + ".follower")


def read_status(path: Path) -> Status | None:
    """What the last follower of the journal at `path` said; None where there never was one."""
    try:
        return msgspec.json.decode(status_file(path).read_bytes(), type=Status)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def main() -> None:
    """The process: follows the journal that its first argument names until the exchange, its parent, is gone."""
    begin_as_worker()
    gc.set_threshold(100_000, 20, 100)
    path, every, exchange_pid = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    try:
        with JournalReader(path) as reader:
            _follow(Follower(path, every, _log.info), reader, exchange_pid)
    except DivergedError as error:
        _log.critical("%s", error)
        sys.exit(DIVERGED)
    except JournalError as error:
        sys.exit(str(error))


def _follow(follower: Follower, reader: JournalReader, exchange_pid: int) -> None:
    told_seconds = 0.0
    try:
        while os.getppid() == exchange_pid:
            if not follower.catch_up(reader):
                time.sleep(LOOK_SECONDS)
            elif time.monotonic() - told_seconds > TELL_SECONDS:
                follower.tell()
                told_seconds = time.monotonic()
    finally:
        follower.tell()


if __name__ == "__main__":
    main()
