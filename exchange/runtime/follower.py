"""The follower: a process beside the exchange that reads its journal and applies every command once more.

It writes the snapshots, so that the exchange never pauses for one, however large its state is; and it compares what it
comes to with the digests that the exchange records, and raises the alarm where they differ. While that stands there is
no follower, and so no snapshot.
"""

import asyncio
import gc
import logging
import os
import sys
import time
from pathlib import Path

import msgspec

from exchange.atomic_write import write_atomic
from exchange.domain.events import Event
from exchange.engine.digests import EventsDigest, span_start
from exchange.engine.engine import STATE_SUBJECT, Engine
from exchange.engine.recovery import Report, event_rows, replay, restore_base, restore_newest
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.runtime.alarm import Alarm, dismissed_seq, raise_alarm, standing_alarm
from exchange.runtime.server_settings import SNAPSHOTS_KEPT
from exchange.snapshots.store import Snapshot, SnapshotStore
from exchange.subprocesses import run_module, set_up_subprocess

DIVERGED = 3  # exit code of the process
LOOK_SECONDS = 0.1  # between two looks at a journal that has nothing new
TELL_SECONDS = 1.0  # at least, between two writings of how far it is
COMMANDS_AT_ONCE = 2_000
RETRY_SECONDS_MAX = 60.0  # before a follower that failed is started again
ALARM_LOOK_SECONDS = 1.0  # between two looks whether the alarm still stands
HOW_TO_DEAL = (
    "`exchange journal verify` names the command; when it is dealt with, `exchange follow --once` compares anew, and "
    "`exchange follow --dismiss` passes over it"
)

_log = logging.getLogger(__name__)


class DivergedError(Exception):
    """The same commands gave something else than the exchange recorded; the message is for people."""


class FollowerStatus(msgspec.Struct, frozen=True):
    """How far a follower is. `compared_seq`: the last digest that came out the same."""

    pid: int
    seq: int
    ts_us: int
    snapshot_seq: int
    compared_seq: int


class Follower:
    """Follows the journal at `path`, and saves a snapshot every `every` commands (0: never).

    It begins with the newest snapshot but one, so that the newest, which the exchange itself may have saved when it
    stopped, is compared, too; with `from_first` with the first command there is, to compare everything.
    """

    def __init__(self, path: Path, every: int, report: Report, from_first: bool = False) -> None:
        self._path = path
        self._every = every
        with open_journal_reader(path) as reader:
            self._engine = (
                restore_base(reader, reader.bases[0].head.seq) if from_first else _restore(path, reader, report)
            )
            self._digest = _digest_so_far(reader, self._engine.head.seq)
        self.is_idle = False  # nothing was new when it last looked
        self._computed: dict[tuple[int, str], str] = {}  # by seq and subject, until the exchange has recorded its own
        self._snapshot_seq = max(SnapshotStore(path).seqs(), default=0)
        self._compared_seq = 0
        self._dismissed_seq = dismissed_seq(path)

    @property
    def seq(self) -> int:
        """The last command that was applied."""
        return self._engine.head.seq

    @property
    def compared_seq(self) -> int:
        """The last digest that was compared; 0: none yet."""
        return self._compared_seq

    def catch_up(self, reader: JournalReader) -> bool:
        """Apply some of what is new; False where nothing is. Raises a JournalError, or the alarm by a DivergedError."""
        head = self._engine.head
        records = list(reader.records(head, head.seq + COMMANDS_AT_ONCE))
        states = {seq for seq, subject, _ in reader.digests(head.seq) if subject == STATE_SUBJECT} if records else ()
        caused: list[tuple[int, list[Event]]] = []
        for record in records:
            caused.append((record.seq, replay(self._engine, record)))
            if record.seq in states:
                self._computed[record.seq, STATE_SUBJECT] = self._engine.digest()
        for seq, subject, digest in self._digest.add(event_rows(caused)):
            self._computed[seq, subject] = digest
        if self._computed:
            self._compare(reader)
        if self._every and self.seq - self._snapshot_seq >= self._every:
            save_and_prune(self._path, self._engine.snapshot())
            self._snapshot_seq = self.seq
        self.is_idle = not records
        return bool(records)

    def tell(self) -> None:
        """Write down how far it is, for `exchange journal info`."""
        head = self._engine.head
        status = FollowerStatus(os.getpid(), head.seq, head.ts_us, self._snapshot_seq, self._compared_seq)
        write_atomic(status_file(self._path), msgspec.json.encode(status))

    def _compare(self, reader: JournalReader) -> None:
        for seq, subject, recorded in reader.digests(min(self._computed)[0] - 1):
            computed = self._computed.pop((seq, subject), recorded)
            if computed != recorded and seq > self._dismissed_seq:
                what = "recorded other events" if subject == "events" else "was in another state"
                text = (
                    f"up to seq {seq} the exchange {what} than its commands cause now: the digest is {recorded}, and "
                    f"comes out as {computed}"
                )
                raise_alarm(self._path, Alarm(seq, text))
                raise DivergedError(text)
            self._compared_seq = seq


class FollowerProcess:
    """Keeps a follower running beside the exchange. One that fails is started again, unless it raised the alarm."""

    def __init__(self, path: Path, every: int) -> None:
        self._path = path
        self._every = every
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if alarm := standing_alarm(self._path):
            _log.error("ALARM: %s. It stands, and no snapshots are made: %s", alarm.text, HOW_TO_DEAL)
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
            if standing_alarm(self._path):  # until somebody deals with it
                await asyncio.sleep(ALARM_LOOK_SECONDS)
                continue
            began_seconds = time.monotonic()
            try:
                arguments = str(self._path), str(self._every), str(os.getpid())
                async with run_module(__name__, *arguments, stdout=asyncio.subprocess.DEVNULL) as process:
                    code = await process.wait()
            except OSError as error:
                _log.warning("no snapshots are made: %s", error)
            else:
                if code == DIVERGED:
                    _log.error("the follower raised the alarm and has stopped, no snapshots are made: %s", HOW_TO_DEAL)
                    continue
                _log.warning("the follower ended with code %d, and is started again", code)
            if time.monotonic() - began_seconds > RETRY_SECONDS_MAX:
                pause_seconds = 1.0
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, RETRY_SECONDS_MAX)


def _restore(path: Path, reader: JournalReader, report: Report) -> Engine:
    seqs = SnapshotStore(path).seqs()
    recorded_seq = min(reader.head().seq, reader.events_seq())
    return restore_newest(path, reader, min([recorded_seq, *seqs[-2:-1]]), report)


def _digest_so_far(reader: JournalReader, seq: int) -> EventsDigest:
    """The digest of the span that goes on after command `seq`: with what is recorded up to there."""
    begin = max(span_start(seq), reader.bases[0].head.seq)
    digest = EventsDigest(begin)
    digest.add(list(reader.events(begin + 1, seq)))
    return digest


def save_and_prune(path: Path, snapshot: Snapshot) -> None:
    """Save a snapshot of the journal at `path`, and delete old ones."""
    store = SnapshotStore(path)
    store.save(snapshot)
    store.prune(SNAPSHOTS_KEPT)


def status_file(path: Path) -> Path:
    return path.with_name(path.name + ".follower")


def read_status(path: Path) -> FollowerStatus | None:
    """What the last follower of the journal at `path` said; None where there never was one."""
    try:
        return msgspec.json.decode(status_file(path).read_bytes(), type=FollowerStatus)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def main() -> None:
    """The process: follows the journal that its first argument names until the exchange, its parent, is gone."""
    set_up_subprocess()
    gc.set_threshold(100_000, 20, 100)
    path, every, exchange_pid = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    try:
        with open_journal_reader(path) as reader:
            _follow(Follower(path, every, _log.info), reader, exchange_pid)
    except DivergedError as error:
        _log.critical("%s", error)
        sys.exit(DIVERGED)
    except JournalError as error:
        sys.exit(str(error))


def _follow(follower: Follower, reader: JournalReader, exchange_pid: int) -> None:
    told_seq, told_seconds = 0, 0.0
    try:
        while os.getppid() == exchange_pid:
            if not follower.catch_up(reader):
                time.sleep(LOOK_SECONDS)
            if follower.seq != told_seq and time.monotonic() - told_seconds > TELL_SECONDS:
                follower.tell()
                told_seq, told_seconds = follower.seq, time.monotonic()
    finally:
        follower.tell()


if __name__ == "__main__":
    main()
