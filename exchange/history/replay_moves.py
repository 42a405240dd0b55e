"""Moves of a replay: seeks and steps, while clients are served."""

import asyncio
import logging
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from exchange.domain.commands import PlaceOrder, decode_command
from exchange.domain.units import US_PER_SECOND
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, replay_step
from exchange.gateway.limits import OUTBOX_MAX
from exchange.gateway.methods import Method
from exchange.history.moment import Moment, last_seq_at, seq_at
from exchange.history.replay_checkpoints import ReplayPast, has_traded
from exchange.history.replay_messages import ReplayStatus, StepParams, StepUnit
from exchange.history.replay_seek import Seek
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Head, Record
from exchange.runtime.engine_port import ServedExchange

# Records in one read of the journal.
RECORDS_AT_ONCE = 1_000
# Bytes that a client has not read. With more the replay waits, so that no connection is closed for being slow.
CONGESTED = OUTBOX_MAX // 4
_CONGESTION_SECONDS = 0.01
# Commands that one step goes at most.
STEP_COMMANDS_MAX = 10_000
# Commands that a seek forward applies to the present state, instead of restoring another one.
NEAR_COMMANDS = 20_000
# The event loop has its turn after this time.
_SLICE_SECONDS = 0.005

_log = logging.getLogger(__name__)

# Receives the status after a move; None if it failed.
Done = Callable[[ReplayStatus | None], None]


class MovableReplay(ServedExchange):
    """An exchange whose state is that of a journal after one of its commands. Seeks and steps go to other commands."""

    def __init__(self, reader: JournalReader, first_seq: int, last_seq: int, methods: Mapping[str, Method]) -> None:
        self._reader = reader
        self._first_seq, self._last_seq = first_seq, last_seq
        self._past = ReplayPast(reader.path)
        super().__init__(reader.path, self._engine_before_the_first_order(), methods)
        self._upcoming: deque[Record] = deque()
        self._seek = Seek()
        # Held while a seek or a step moves the replay; the next one waits.
        self._moving = asyncio.Lock()
        self._seek_callbacks: list[Done] = []

    @property
    @abstractmethod
    def status(self) -> ReplayStatus:
        """The position and the settings."""

    @abstractmethod
    def _restart_rhythm(self) -> None:
        """Called after each move: the next command is due from the present moment on."""

    @property
    def _is_moving(self) -> bool:
        return self._moving.locked() or self._seek.target_seq is not None

    def _start_seek(self, seq: int, done: Done) -> None:
        """Seek to `seq`. A running seek changes its target; all its callers get the result of the last one."""
        if seq == self.engine.head.seq and self._seek.target_seq is None and not self._moving.locked():
            done(self.status)
            return
        self._seek_callbacks.append(done)
        if self._seek.begin(seq):
            self.start_task(self._run_seek())

    async def _run_seek(self) -> None:
        """Continue the replay from the target of the seek, and answer its callers."""
        async with self._moving:
            before_seq = self.engine.head.seq
            engine = await self._seek.run(self._engine_for)
            if engine is not None or self.engine.head.seq != before_seq:
                self._continue_from(engine or self.engine)
        self._restart_rhythm()
        callbacks, self._seek_callbacks = self._seek_callbacks, []
        for done in callbacks:
            done(None if engine is None else self.status)
        self.gateway.send_all()

    def _continue_from(self, engine: Engine) -> None:
        """Continue from another moment. Books begin again there."""
        before, self.engine = self.engine, engine
        self._upcoming.clear()
        self.gateway.on_seek(self.views)
        if before is not engine:
            before.state.dismantle()

    async def _engine_for(self, seq: int, progress: Progress) -> Engine:
        """The engine after `seq`: the present one after a short way forward, otherwise another one, in a thread."""
        ahead = seq - self.engine.head.seq
        if 0 <= ahead <= min(NEAR_COMMANDS, self._past.distance_to(seq)):
            await self._go_forward(seq, progress)
            return self.engine
        return await asyncio.to_thread(self._engine_after, seq, progress)

    async def _go_forward(self, seq: int, progress: Progress) -> None:
        """Apply the commands up to `seq` in slices, without telling the streams. Raises JournalError before the first
        one if the chain of hashes is broken."""
        await asyncio.to_thread(_check_chain, self.path, self.engine.head, seq)
        slice_end = time.monotonic() + _SLICE_SECONDS
        while self.engine.head.seq < seq and (record := self._next_record()) is not None:
            self._upcoming.popleft()
            replay_step(self.engine, record)
            if time.monotonic() > slice_end:
                progress(record.seq, seq)
                await asyncio.sleep(0)
                slice_end = time.monotonic() + _SLICE_SECONDS

    def _start_step(self, params: StepParams, done: Done) -> None:
        self.start_task(self._run_step(params, done))

    async def _run_step(self, params: StepParams, done: Done) -> None:
        """Make one step, after the seek or step that is under way, and answer its caller."""
        status: ReplayStatus | None = None
        async with self._moving:
            try:
                if params.count > 0:
                    await self._step_forward(params)
                else:
                    await self._step_back(params)
                status = self.status
            except JournalError as error:
                _log.error("a step failed: %s", error)
        self._restart_rhythm()
        done(status)
        self.gateway.send_all()

    async def _step_forward(self, params: StepParams) -> None:
        """Play up to the target. A step by trades ends after STEP_COMMANDS_MAX commands at the latest."""
        head, left = self.engine.head, params.count
        end_seq = head.seq + STEP_COMMANDS_MAX
        if params.by is StepUnit.SECOND:
            ts_us = head.ts_us + params.count * US_PER_SECOND
            end_seq = min(end_seq, max(seq_at(self._reader, Moment(None, ts_us)), head.seq + 1))
        slice_end = time.monotonic() + _SLICE_SECONDS
        while left and self.engine.head.seq < end_seq and (record := self._next_record()) is not None:
            has_traded = self._play(record)
            if params.by is StepUnit.COMMAND or (params.by is StepUnit.TRADE and has_traded):
                left -= 1
            if time.monotonic() > slice_end:
                await self._yield_to_clients()
                slice_end = time.monotonic() + _SLICE_SECONDS
        self.gateway.flush()

    async def _step_back(self, params: StepParams) -> None:
        """Continue from an earlier moment, at most STEP_COMMANDS_MAX commands before."""
        head = self.engine.head
        lowest_seq = max(self._first_seq, head.seq - STEP_COMMANDS_MAX)
        if head.seq <= lowest_seq:
            return
        match params.by:
            case StepUnit.COMMAND:
                seq = head.seq + params.count
            case StepUnit.SECOND:
                seq = min(last_seq_at(self._reader, head.ts_us + params.count * US_PER_SECOND), head.seq - 1)
            case StepUnit.TRADE:
                back = -params.count
                seq = await asyncio.to_thread(self._past.seq_of_trade, head.seq, back, lowest_seq, _no_progress)
        self._continue_from(await asyncio.to_thread(self._engine_after, max(seq, lowest_seq), _no_progress))

    def _play(self, record: Record) -> bool:
        """Apply the next record and publish what it changes. Returns True if it traded."""
        self._upcoming.popleft()
        _, events, change = replay_step(self.engine, record)
        self.gateway.publish(change)
        return has_traded(events)

    def _next_record(self) -> Record | None:
        if not self._upcoming:
            head = self.engine.head
            self._upcoming += self._reader.records(head, min(head.seq + RECORDS_AT_ONCE, self._last_seq))
        return self._upcoming[0] if self._upcoming else None

    async def _yield_to_clients(self) -> None:
        """Let the event loop serve clients, and wait for those that read slowly."""
        self.gateway.flush()
        await asyncio.sleep(0)
        while self.gateway.backlog > CONGESTED:  # noqa: ASYNC110 - transports do not report how much is left
            await asyncio.sleep(_CONGESTION_SECONDS)

    def _engine_before_the_first_order(self) -> Engine:
        """The state in which the replay starts: before the first order, so that all first instruments are listed."""
        engine = self._engine_after(self._first_seq - 1, _no_progress)
        for record in self._reader.records(engine.head, self._last_seq):
            if isinstance(decode_command(record.payload), PlaceOrder):
                break
            replay_step(engine, record)
        return engine

    def _engine_after(self, seq: int, progress: Progress) -> Engine:
        return self._past.engine_at(seq, progress)


def _no_progress(_done: int, _total: int) -> None:
    """A step is short, so nobody is told how far it is."""


def _check_chain(path: Path, head: Head, last_seq: int) -> None:
    """Read the records after `head` up to `last_seq`. Raises JournalDamagedError if one does not continue the chain."""
    with open_journal_reader(path) as reader:
        deque(reader.records(head, last_seq), maxlen=0)
