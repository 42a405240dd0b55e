"""Serves a replay of a journal over the ordinary WebSocket API, so that clients can watch the past as if it were live.

The commands come from the journal instead of from clients. Each goes through the same `step` and the same gateway, in
the recorded rhythm. Clients cannot change anything; they control the replay with the replay/* methods.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from exchange.domain.commands import Command, OpenAccount, PlaceOrder, decode_command
from exchange.domain.units import US_PER_SECOND
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, replay_step
from exchange.gateway import params as p
from exchange.gateway.authentication import log_in
from exchange.gateway.caller import Caller, Inquiry
from exchange.gateway.jsonrpc import internal_error, invalid_params
from exchange.gateway.limits import OUTBOX_MAX
from exchange.gateway.methods import METHODS, Method, public, with_api
from exchange.history.moment import Moment, UnknownMomentError, last_seq_at, seq_at
from exchange.history.replay_checkpoints import ReplayPast, has_traded
from exchange.history.replay_messages import ReplayStatus, SeekParams, SpeedParams, StepParams, StepUnit
from exchange.history.replay_seek import Seek
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Head, Record
from exchange.projections.views import Change
from exchange.runtime.engine_port import ServedExchange

# Commands before the event loop has its turn.
STEPS_AT_ONCE = 200
# Records in one read of the journal.
RECORDS_AT_ONCE = 1_000
# Bytes that a client has not read. With more the replay waits, so that no connection is closed for being slow.
CONGESTED = OUTBOX_MAX // 4
_CONGESTION_SECONDS = 0.01

_log = logging.getLogger(__name__)

# Commands that one step goes at most.
STEP_COMMANDS_MAX = 10_000
# Commands that a seek forward applies to the present state, instead of restoring another one.
NEAR_COMMANDS = 20_000
# The event loop has its turn after this time.
_SLICE_SECONDS = 0.005


# Receives the status after a seek; None if the seek failed.
Done = Callable[[ReplayStatus | None], None]


class ReplayOptions(NamedTuple):
    """The first and the last command to replay, and the speed as a multiple of the recorded one; None: unlimited."""

    first_seq: int
    last_seq: int
    speed: float | None = 1.0
    is_paused: bool = False


async def serve_replay(
    path: Path, options: ReplayOptions, host: str, port: int, listening: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Serve a replay of the journal at `path` until `stop` is set. It starts with the first subscription.

    Raises OSError if the address is taken, and a JournalError, also in the middle of a damaged journal.
    """
    with open_journal_reader(path) as reader:
        server = ReplayServer(reader, options)
        playing = asyncio.create_task(server.play())
        stopping = asyncio.create_task(stop.wait())
        try:
            listening(await server.open(host, port))
            await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                # It ends only by an exception.
                await playing
        finally:
            for task in (playing, stopping):
                task.cancel()
            await asyncio.gather(playing, stopping, return_exceptions=True)
            await server.close()


class ReplayServer(ServedExchange):
    """A replay as an exchange of its own. `now_seconds` is the clock of its rhythm."""

    # Nothing writes the history for a replay.
    history_wait_seconds = 0.0

    def __init__(
        self, reader: JournalReader, options: ReplayOptions, now_seconds: Callable[[], float] | None = None
    ) -> None:
        self._reader = reader
        self._first_seq, self._last_seq, self._speed, self._is_paused = options
        self._now_seconds = now_seconds or asyncio.get_running_loop().time
        self._past = ReplayPast(reader.path)
        self.methods = self._methods()
        super().__init__(reader.path, self._engine_before_the_first_order(), self.methods)
        self._users = self._users_until_the_end()
        self._upcoming: deque[Record] = deque()
        self._has_subscribers = False
        self._wake = asyncio.Event()
        # A time of the clock and the recorded time (in µs) that was due then. None: the next command sets it.
        self._anchor: tuple[float, int] | None = None
        self._seek = Seek()
        # Held while a seek or a step moves the replay; the next one waits.
        self._moving = asyncio.Lock()
        self._seek_callbacks: list[Done] = []

    async def open(self, host: str, port: int) -> str:
        """Start to accept clients. Returns the URL."""
        url = await self.gateway.bind(host, port)
        await self.gateway.open()
        return url

    async def close(self) -> None:
        """Close all connections and stop all work."""
        self._seek.cancel()
        await self.cancel_tasks()
        await self.gateway.close()
        self.gateway.abort()
        await self.catch_up_service.stop()
        await self.past_service.stop()

    async def play(self) -> None:
        """Apply the commands, each when it is due. Never returns; raises a JournalError."""
        steps = 0
        while True:
            record = self._next_record()
            is_moving = self._moving.locked() or self._seek.target_seq is not None
            if record is None or is_moving or self._is_paused or not self._has_subscribers:
                self.gateway.flush()
                await self._wait(None)
            elif (due_in_seconds := self._due_in_seconds(record)) > 0:
                self.gateway.flush()
                await self._wait(due_in_seconds)
            else:
                self._play(record)
                steps += 1
                if steps % STEPS_AT_ONCE == 0:
                    await self._yield_to_clients()

    def _play(self, record: Record) -> bool:
        """Apply the next record and publish what it changes. Returns True if it traded."""
        self._upcoming.popleft()
        _, events, change = replay_step(self.engine, record)
        self.gateway.publish(change)
        return has_traded(events)

    @property
    def status(self) -> ReplayStatus:
        head = self.engine.head
        at_end = head.seq >= self._last_seq
        span = self._first_seq, self._last_seq
        return ReplayStatus(head.seq, head.ts_us, *span, self._speed, self._is_paused, at_end, self._seek.target_seq)

    @property
    def is_read_only(self) -> bool:
        return True

    def now_us(self) -> int:
        return self.engine.head.ts_us

    def submit(self, command: Command, done: Callable[[Change | None], None]) -> None:
        raise AssertionError(f"a command on a replay: {command!r}")

    def _methods(self) -> Mapping[str, Method]:
        """The methods of the exchange, and those that control the replay."""
        methods = METHODS | {
            "public/auth": METHODS["public/auth"]._replace(handle=self._log_in),
            "public/subscribe": METHODS["public/subscribe"]._replace(handle=self._subscribe),
            "replay/status": public(
                "Position and settings of the replay.",
                p.NoParams,
                lambda caller, params: self.status,
                ReplayStatus,
            ),
            "replay/pause": public(
                "Pause the replay.", p.NoParams, lambda caller, params: self._pause(True), ReplayStatus
            ),
            "replay/resume": public(
                "Resume the replay.", p.NoParams, lambda caller, params: self._pause(False), ReplayStatus
            ),
            "replay/speed": public(
                "Set the speed as a multiple of the recorded one; null: unlimited.",
                SpeedParams,
                lambda caller, params: self._set_speed(params.speed),
                ReplayStatus,
            ),
            "replay/seek": public(
                "Go to the moment after a command, or to a time.",
                SeekParams,
                lambda caller, params: self._seek_inquiry(params),
                ReplayStatus,
                _seek_result,
            ),
            "replay/step": public(
                "Pause, and go some commands, trades or seconds forward; back with a negative `count`.",
                StepParams,
                lambda caller, params: self._step_inquiry(params),
                ReplayStatus,
                _seek_result,
            ),
        }
        return with_api(methods)

    def _log_in(self, caller: Caller, params: p.AuthParams) -> Any:
        """Log in as any user who has an account by the end, also before the replay reaches its opening."""
        if params.client_id in self._users and caller.user_id in ("", params.client_id):
            return log_in(caller, params.client_id)
        return METHODS["public/auth"].handle(caller, params)

    def _subscribe(self, caller: Caller, params: Any) -> Any:
        """Subscribe as usual. The first subscription starts the replay, after its answer."""
        result = METHODS["public/subscribe"].handle(caller, params)
        asyncio.get_running_loop().call_soon(self._start_playing)
        return result

    def _start_playing(self) -> None:
        if not self._has_subscribers:
            self._has_subscribers = True
            self._restart_rhythm()

    def _pause(self, is_paused: bool) -> ReplayStatus:
        self._is_paused = is_paused
        # A client that pauses or resumes is there, even if it has not subscribed.
        self._has_subscribers = True
        self._restart_rhythm()
        return self.status

    def _set_speed(self, speed: float | None) -> ReplayStatus:
        self._speed = speed
        self._restart_rhythm()
        return self.status

    def _seek_inquiry(self, params: SeekParams) -> Inquiry:
        """Go to the moment after a command, or to a time. Books begin again there; streams skip what is between."""
        if (params.seq is None) == (params.ts_us is None):
            raise invalid_params("seq", "give exactly one of seq and ts_us")
        named = "seq" if params.ts_us is None else "ts_us"
        try:
            seq = seq_at(self._reader, Moment(params.seq, params.ts_us))
        except UnknownMomentError as error:
            raise invalid_params(named, str(error)) from error
        if not self._first_seq <= seq <= self._last_seq:
            raise invalid_params(
                named, f"seq {seq} is outside of this replay: expected {self._first_seq} to {self._last_seq}"
            )
        return Inquiry(partial(self._start_seek, seq))

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
        self.engine = engine
        self._upcoming.clear()
        self.gateway.on_seek(self.views)

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

    def _step_inquiry(self, params: StepParams) -> Inquiry:
        """Pause, and go some units forward or back. Forward, streams get what they would get in a replay."""
        if not params.count:
            raise invalid_params("count", "expected a number other than 0; a negative one goes back")
        self._pause(True)
        return Inquiry(partial(self._start_step, params))

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

    def why_history_ends(self) -> str:
        return "a replay does not write it: `exchange history rebuild` does, from the journal"

    def _engine_before_the_first_order(self) -> Engine:
        """The state in which the replay starts: before the first order, so that all first instruments are listed."""
        engine = self._engine_after(self._first_seq - 1)
        for record in self._reader.records(engine.head, self._last_seq):
            if isinstance(decode_command(record.payload), PlaceOrder):
                break
            replay_step(engine, record)
        return engine

    def _users_until_the_end(self) -> set[str]:
        """The users with an account by the end. Reads commands: a crash may have left the last events unrecorded."""
        opening = self._reader.records_where(self.engine.head.seq + 1, self._last_seq, [{"kind": "open_account"}])
        commands = [decode_command(record.payload) for record in opening]
        return set(self.views.balances.users) | {one.user_id for one in commands if isinstance(one, OpenAccount)}

    def _engine_after(self, seq: int, progress: Progress = lambda done, total: None) -> Engine:
        return self._past.engine_at(seq, progress, is_back=hasattr(self, "engine") and seq < self.engine.head.seq)

    def _next_record(self) -> Record | None:
        if not self._upcoming:
            head = self.engine.head
            self._upcoming += self._reader.records(head, min(head.seq + RECORDS_AT_ONCE, self._last_seq))
        return self._upcoming[0] if self._upcoming else None

    def _restart_rhythm(self) -> None:
        self._anchor = None
        self._wake.set()

    def _due_in_seconds(self, record: Record) -> float:
        if self._speed is None:
            return 0.0
        if self._anchor is None:
            self._anchor = (self._now_seconds(), self.engine.head.ts_us or record.ts_us)
        began_seconds, from_us = self._anchor
        return began_seconds + (record.ts_us - from_us) / US_PER_SECOND / self._speed - self._now_seconds()

    async def _wait(self, seconds: float | None) -> None:
        """Wait until the time has passed, or a client controls the replay; None: no time limit."""
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _yield_to_clients(self) -> None:
        """Let the event loop serve clients, and wait for those that read slowly."""
        self.gateway.flush()
        await asyncio.sleep(0)
        while self.gateway.backlog > CONGESTED:  # noqa: ASYNC110 - transports do not report how much is left
            await asyncio.sleep(_CONGESTION_SECONDS)


def _seek_result(_caller: Caller, status: ReplayStatus | None) -> ReplayStatus:
    if status is None:
        raise internal_error()
    return status


def _no_progress(_done: int, _total: int) -> None:
    """A step is short, so nobody is told how far it is."""


def _check_chain(path: Path, head: Head, last_seq: int) -> None:
    """Read the records after `head` up to `last_seq`. Raises JournalDamagedError if one does not continue the chain."""
    with open_journal_reader(path) as reader:
        deque(reader.records(head, last_seq), maxlen=0)
