"""The follower: a subprocess that reads the exchange's journal and applies every command a second time.

It writes the history and the snapshots, so that the exchange never pauses for them, however large its state is. It
compares its digests with those that the exchange records, and raises the alarm if they differ. While the alarm stands,
no follower runs, no snapshots are written, and the history ends at the last command whose digests matched.
"""

import gc
import logging
import os
import sqlite3
import sys
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec

from exchange.atomic_write import write_atomic
from exchange.domain.events import Event
from exchange.engine.alarm import Alarm, dismissed_seq, raise_alarm, standing_alarm
from exchange.engine.chain import ChainCheck
from exchange.engine.digests import EVENTS_SUBJECT, OLD_EVENTS_SUBJECT, OldEventsDigest
from exchange.engine.engine import STATE_SUBJECT
from exchange.engine.recovery import Report, event_rows, replay_step, restore_base, restore_newest
from exchange.free_space import SpaceGuard
from exchange.history_db.file import history_path
from exchange.history_db.update import (
    end_history,
    engine_for,
    history_lock,
    new_answers,
    open_fitting_writer,
)
from exchange.history_db.writer import HistoryWriter
from exchange.inside_subprocess import end_with, is_orphaned, set_up_subprocess
from exchange.journal.errors import JournalDamagedError, JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import DigestRow
from exchange.journal.write_ahead_log import sync_journal
from exchange.runtime.clock import thread_cpu_us
from exchange.runtime.follower_pace import FollowerPace
from exchange.snapshots.ladder import SavePolicy, dense_gap_of
from exchange.snapshots.store import Snapshot, SnapshotStore
from exchange.subprocesses import Supervisor

DIVERGED = 3  # exit code of the process
LOOK_SECONDS = 0.1  # between two reads of a journal without new commands
STATUS_SECONDS = 1.0  # at least, between two writes of the status file
COMMANDS_AT_ONCE = 2_000
_LADDER = "ladder"
_CHECKSUM = b',"checksum":'
# At least, between two transactions of the history while commands keep coming: their syncs delay those of the exchange.
HISTORY_SECONDS = 0.5
LOCK_SECONDS = 30.0  # at most, until a command that writes the history has ended
RETRY_SECONDS_MAX = 60.0  # between two starts of a follower that fails
HOW_TO_DEAL = (
    "`exchange journal verify` names the command; when its cause is repaired, `exchange follow --once` compares again; "
    "`exchange follow --dismiss` ignores the mismatch from now on"
)

_log = logging.getLogger(__name__)


class DivergedError(Exception):
    """The commands gave other events or another state than the exchange recorded. The message is for operators."""


class FollowerStatus(msgspec.Struct, frozen=True):
    """The progress of a follower. `compared_seq` is the seq of the last digest that matched.

    `commands_per_second` is the slowest measured speed of its replay, 0 if none was measured. `history_seq` is the last
    command in the history.
    """

    pid: int
    seq: int
    ts_us: int
    snapshot_seq: int
    compared_seq: int
    commands_per_second: float = 0.0
    history_seq: int = 0


class Follower:
    """Follows the journal at `path` and saves snapshots: every `every` commands, 0: never, None: as the ladder says.

    It starts from the second newest snapshot, so that it also compares the newest, which the exchange may have saved
    when it stopped. With `from_first` it starts from the first command here, to compare everything. With `history` it
    also writes the history, and starts at or before the end of that.
    """

    def __init__(
        self,
        path: Path,
        every: int | None,
        report: Report,
        from_first: bool = False,
        history: HistoryWriter | None = None,
        checked_seq: int = 0,
        history_seq: int = 0,
    ) -> None:
        """The chain of the commands after `checked_seq` and before those that are applied is checked in pauses.

        `history_seq` is the end of a history that this follower does not write.
        """
        self._path = path
        self._history = history
        # The last command in the history when this follower stopped writing it.
        self._stopped_seq = history_seq
        self._written_seconds = time.monotonic()
        with open_journal_reader(path) as reader:
            if from_first:
                self._engine = restore_base(reader, reader.bases[0].head.seq)
            elif history is None:
                self._engine = restore_newest(path, reader, _start_seq(path, reader), report)
            else:
                self._engine = engine_for(reader, history, _start_seq(path, reader), report)
            self._old_digest = _old_digest(reader, self._engine.head.seq)
        # True if the last read found no new command.
        self.is_idle = False
        # Own digests by seq and subject, until the exchange has recorded its digest.
        self._computed: dict[tuple[int, str], str] = {}
        head, known_speed = self._engine.head, speed_of_replay(path)
        self._saving = SavePolicy(every, SnapshotStore(path).rungs(), head.seq, head.ts_us, known_speed)
        # The seqs whose digests matched, in the order in which they were compared.
        self._matched = [] if from_first else _matched_before(path)
        self._dismissed_seq = dismissed_seq(path)
        self._space = SpaceGuard(path, "snapshots", _log.warning)
        self._chain = ChainCheck(checked_seq, head.seq)

    @property
    def seq(self) -> int:
        """The last applied command."""
        return self._engine.head.seq

    @property
    def history_seq(self) -> int:
        """The last command in the history, as far as this follower knows; 0 if it does not."""
        return self._stopped_seq if self._history is None else self._history.head.seq

    @property
    def replay_speed(self) -> float:
        """Commands per second of CPU time in the newest part of the replay."""
        return self._saving.last_speed

    @property
    def compared_seq(self) -> int:
        """The highest seq whose digest matched; 0 if none did."""
        return max(self._matched, default=0)

    @property
    def writes_history(self) -> bool:
        """False once it has stopped writing."""
        return self._history is not None

    def stop_writing(self) -> None:
        """Write no more rows of the history, and forget those that are not written: only another follower can go on."""
        self._stopped_seq, self._history = self.history_seq, None

    def catch_up(self, reader: JournalReader) -> bool:
        """Apply some new commands; returns False if there are none.

        Raises a JournalError, or raises the alarm and then DivergedError.
        """
        head, began_us, began_seconds = self._engine.head, thread_cpu_us(), time.perf_counter()
        records = list(reader.records(head, head.seq + self._saving.batch(COMMANDS_AT_ONCE)))
        recorded = {(seq, subject) for seq, subject, _ in reader.digests(head.seq)} if records else set()
        caused: list[tuple[int, list[Event]]] = []
        rows_seconds = 0.0
        for record in records:
            command, events, change = replay_step(self._engine, record)
            caused.append((record.seq, events))
            if self._history is not None and record.seq > self._history.head.seq:
                replayed_seconds = time.perf_counter()
                self._history.add(record, command, events, change, self._engine)
                rows_seconds += time.perf_counter() - replayed_seconds
            if (record.seq, STATE_SUBJECT) in recorded:
                self._computed[record.seq, STATE_SUBJECT] = self._engine.digest()
            if (record.seq, EVENTS_SUBJECT) in recorded:
                self._note(self._engine.events_digest.rows())
        # Snapshots shorten a replay, which makes no rows.
        spent_us, spent_seconds = thread_cpu_us() - began_us, time.perf_counter() - began_seconds
        replay_us = round(spent_us * (1 - rows_seconds / spent_seconds))
        self._saving.replayed(self.seq, self._engine.head.ts_us, replay_us)
        self._note(self._engine.events_digest.take_complete())
        if self._old_digest is not None:
            self._note(self._old_digest.add(event_rows(caused)))
        if self._computed:
            self._compare(reader)
        if not records or time.monotonic() - self._written_seconds >= HISTORY_SECONDS:
            self.write_history(reader)
        if self._saving.is_due and self._space.allows():
            self._saving.saved()
            save_and_prune(self._path, self._engine.snapshot(), self._saving.commands_per_second)
        self.is_idle = not records
        return bool(records)

    def check_chain(self, reader: JournalReader) -> bool:
        """Check some of the commands that are not applied again; False if all are checked.

        Raises the alarm and then DivergedError if one is damaged.
        """
        if self._chain.is_done:
            return False
        try:
            self._chain.step(reader)
        except JournalDamagedError as error:
            seq = self._chain.checked_seq + 1
            if seq <= self._dismissed_seq:
                self._chain.checked_seq = seq
                return True
            text = f"{error}: the state was right when seq {self.seq} was applied, but no replay gives it any more"
            raise_alarm(self._path, Alarm(seq, text, compared_seq=self.seq))
            raise DivergedError(text) from error
        return True

    def write_history(self, reader: JournalReader) -> None:
        """Write the rows of the commands that were applied since the last call."""
        history = self._history
        if history is not None and history.seq != history.head.seq:
            self._written_seconds = time.monotonic()
            sync_journal(self._path)
            history.flush(new_answers(reader, history))

    def write_status(self) -> None:
        """Write the status file, for `exchange journal info`."""
        head = self._engine.head
        saving = self._saving
        speed = saving.commands_per_second
        status = FollowerStatus(
            os.getpid(), head.seq, head.ts_us, saving.newest_seq, self.compared_seq, speed, self.history_seq
        )
        write_status_file(self._path, status)

    def _note(self, computed: list[DigestRow]) -> None:
        """Keep digests until the exchange has recorded its own."""
        for seq, subject, digest in computed:
            self._computed[seq, subject] = digest

    def _compare(self, reader: JournalReader) -> None:
        for seq, subject, recorded in reader.digests(min(self._computed)[0] - 1):
            computed = self._computed.pop((seq, subject), None)
            if computed is None:
                continue
            if computed == recorded:
                self._matched.append(seq)
            elif seq > self._dismissed_seq:
                what = "was in another state" if subject == STATE_SUBJECT else "recorded other events"
                text = (
                    f"up to seq {seq} the exchange {what} than its commands cause now: the recorded digest is "
                    f"{recorded}, the computed one {computed}"
                )
                # Another digest of the same seq may have matched.
                before = max((matched for matched in self._matched if matched < seq), default=0)
                raise_alarm(self._path, Alarm(seq, text, compared_seq=before))
                raise DivergedError(text)


class FollowerProcess:
    """Keeps a follower running alongside the exchange, except while an alarm stands. `every`: see `Follower`."""

    def __init__(self, path: Path, every: int | None) -> None:
        self._path = path
        self._every = every
        self._supervisor = Supervisor(
            "follower", __name__, retry_seconds_max=RETRY_SECONDS_MAX, blocked=self._reason_to_wait
        )

    def start(self, checked_seq: int = 0) -> None:
        """Start the follower. Logs an error if an alarm stands. The start checked the chain up to `checked_seq`."""
        every = _LADDER if self._every is None else str(self._every)
        self._supervisor.start(str(self._path), every, str(checked_seq))

    @property
    def is_running(self) -> bool:
        """False while the follower waits for its next start."""
        return self._supervisor.is_running

    async def stop(self) -> None:
        """End the follower. It leaves no incomplete snapshot behind."""
        await self._supervisor.stop()

    def _reason_to_wait(self) -> str | None:
        alarm = standing_alarm(self._path)
        return f"ALARM: {alarm.text}. No snapshots are made while it stands: {HOW_TO_DEAL}" if alarm else None


def _start_seq(path: Path, reader: JournalReader) -> int:
    seqs = SnapshotStore(path).seqs()
    return min([reader.head().seq, *seqs[-2:-1]])


def _old_digest(reader: JournalReader, seq: int) -> OldEventsDigest | None:
    """The digest to compare with those that an earlier version recorded after command `seq`; None if it did not."""
    is_needed = any(subject == OLD_EVENTS_SUBJECT for _, subject, _ in reader.digests(seq))
    return OldEventsDigest(seq) if is_needed else None


def _matched_before(path: Path) -> list[int]:
    """The seq of the last digest that matched in an earlier follower, if the journal still has that digest."""
    status = read_status(path)
    if status is None or not status.compared_seq:
        return []
    with open_journal_reader(path) as reader:
        first = next(reader.digests(status.compared_seq - 1), None)
    return [status.compared_seq] if first is not None and first[0] == status.compared_seq else []


def save_and_prune(path: Path, snapshot: Snapshot, commands_per_second: float | None = None) -> None:
    """Save a snapshot of the journal at `path`, and delete those that the ladder does not need.

    `commands_per_second` is the speed of a replay; None: as the follower measured it.
    """
    store = SnapshotStore(path)
    sync_journal(path)
    store.save(snapshot)
    speed = speed_of_replay(path) if commands_per_second is None else commands_per_second
    store.thin(dense_gap_of(speed), snapshot.seq)


def speed_of_replay(path: Path) -> float:
    """The slowest speed that the follower of the journal at `path` measured, in commands per second; 0: none."""
    status = read_status(path)
    return 0.0 if status is None else status.commands_per_second


def status_file(path: Path) -> Path:
    """The status file that the follower of the journal at `path` writes."""
    return path.with_name(path.name + ".follower")


def write_status_file(path: Path, status: FollowerStatus) -> None:
    """Write the status file of the journal at `path`, with a checksum as its last field."""
    content = msgspec.json.encode(status)
    write_atomic(status_file(path), content[:-1] + _CHECKSUM + b"%d}" % zlib.crc32(content))


def read_status(path: Path) -> FollowerStatus | None:
    """The status of the last follower of the journal at `path`; None if there is none that can be read."""
    try:
        content = status_file(path).read_bytes()
        status = msgspec.json.decode(content, type=FollowerStatus)
    except (OSError, msgspec.MsgspecError):
        return None
    fields, _, checksum = content.partition(_CHECKSUM)
    # Earlier versions wrote no checksum.
    return status if not checksum or checksum == b"%d}" % zlib.crc32(fields + b"}") else None


def main() -> None:
    """Run the subprocess: follow the journal in the first argument until the exchange, its parent, is gone."""
    set_up_subprocess()
    gc.set_threshold(100_000, 20, 100)
    path, checked_seq, exchange_pid = Path(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4])
    every = None if sys.argv[2] == _LADDER else int(sys.argv[2])
    try:
        with history_lock(path, LOCK_SECONDS), open_journal_reader(path) as reader:
            keep_following(path, every, reader, exchange_pid, checked_seq)
    except sqlite3.Error as error:
        end_with(f"{history_path(path)} cannot be written ({error}): check the disk")
    except DivergedError as error:
        _log.critical("%s", error)
        _end_history(path)
        sys.exit(DIVERGED)
    except JournalError as error:
        end_with(str(error))


def keep_following(
    path: Path, every: int | None, reader: JournalReader, exchange_pid: int, checked_seq: int = 0
) -> None:
    """Follow the journal at `path` until the exchange is gone. Raises as `follow` does.

    The follower works in a thread with the lowest priority: clients wait for the exchange and the workers of catch-ups,
    which must not share the processor with it. A process that gave its priority up could not get it back, so this
    thread keeps that of the exchange, for work that is urgent.
    """
    pace = FollowerPace()
    looks = follow(path, every, reader, lambda: is_orphaned(exchange_pid), checked_seq, pace)
    # If an exception ends the process, `closing` lets the follower write its status.
    with closing(looks), ThreadPoolExecutor(1, initializer=lower_priority) as low:
        while True:
            seconds = next(looks, None) if pace.is_urgent else low.submit(next, looks, None).result()
            if seconds is None:
                return
            if seconds:
                time.sleep(seconds)


def lower_priority() -> None:
    """Give the calling thread the lowest priority; on systems other than Linux, its process."""
    if hasattr(os, "nice"):
        os.nice(19)


def follow(
    path: Path,
    every: int | None,
    reader: JournalReader,
    is_ended: Callable[[], bool],
    checked_seq: int = 0,
    pace: FollowerPace | None = None,
) -> Generator[float, None, None]:
    """Follow the journal at `path` until `is_ended`. Yields the seconds until its next look, often 0.

    `pace` decides when it works, and knows how urgent this is.

    Raises DivergedError at an alarm, a JournalError, and sqlite3.Error if the history cannot be written. While space is
    low, a follower compares and writes nothing. While it is overloaded, it writes snapshots only. After either, another
    follower begins where the history ends.
    """
    pace = pace or FollowerPace()
    space = SpaceGuard(path, "rows of the history", _log.warning)
    history_seq = 0
    while not is_ended():
        pace.begin()
        if pace.is_overloaded:
            _log.warning(
                "more commands arrive than the follower can write into the history, which ends at seq %s: it writes "
                "only snapshots until the load ends",
                history_seq,
            )
            follower = Follower(path, every, _log.info, checked_seq=checked_seq, history_seq=history_seq)
            yield from _follow(follower, reader, is_ended, space, pace)
            continue
        with closing(open_fitting_writer(reader, _log.warning)) as history:
            history.set_alarm(None)
            follower = Follower(path, every, _log.info, history=history, checked_seq=checked_seq)
            yield from _follow(follower, reader, is_ended, space, pace)
            history_seq = history.head.seq


def _end_history(path: Path) -> None:
    try:
        end_history(path, _log.warning)
    except JournalError as error:
        _log.warning("%s", error)


def _follow(
    follower: Follower, reader: JournalReader, is_ended: Callable[[], bool], space: SpaceGuard, pace: FollowerPace
) -> Iterator[float]:
    """Follow until `is_ended`, or until another follower should write the history, or should no longer write it.

    Raises DivergedError at an alarm, also at one of `exchange follow --once`.
    """
    written, written_seconds = (0, 0), 0.0
    try:
        while not is_ended():
            if not space.allows():
                follower.stop_writing()
            elif follower.writes_history == pace.is_overloaded:
                return
            if pace.is_time_to_work(time.monotonic(), reader.head().seq, follower.seq, follower.replay_speed):
                has_worked = follower.catch_up(reader) or follower.check_chain(reader)
                yield 0.0 if has_worked else LOOK_SECONDS
            else:
                follower.write_history(reader)
                yield LOOK_SECONDS
            if time.monotonic() - written_seconds > STATUS_SECONDS:
                if (alarm := standing_alarm(reader.path)) is not None:
                    raise DivergedError(alarm.text)
                if (seqs := (follower.seq, follower.history_seq)) != written:
                    follower.write_status()
                written, written_seconds = seqs, time.monotonic()
                follower.check_chain(reader)
    finally:
        follower.write_status()


if __name__ == "__main__":
    main()
