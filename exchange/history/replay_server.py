"""A replay to connect to: the ordinary WebSocket API on the past. Clients and screens watch as if it were happening.

The stage is a desk whose commands come from the journal instead of from clients: each goes through the same `step` and
the same gateway, in the recorded rhythm. Nothing can be changed on it, only steered with the replay/* methods.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from exchange.domain.commands import Command, OpenAccount, PlaceOrder, decode_command
from exchange.domain.units import US_PER_SECOND
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, recover, replay_step
from exchange.gateway import params as p
from exchange.gateway.authentication import log_in
from exchange.gateway.caller import Caller, Inquiry
from exchange.gateway.jsonrpc import internal_error, invalid_params
from exchange.gateway.limits import OUTBOX_MAX
from exchange.gateway.methods import METHODS, Method, public, with_api
from exchange.history.moment import Moment, UnknownMomentError, seq_at
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Record
from exchange.projections.order_timeline import TimelineStep
from exchange.projections.views import Change
from exchange.runtime.engine_port import ServedExchange
from exchange.runtime.order_audit_trail import own_order_timeline

STEPS_AT_ONCE = 200  # commands, before others get their turn
RECORDS_AT_ONCE = 1_000  # read from the journal
CONGESTED = OUTBOX_MAX // 4  # bytes that a client has not taken: then the replay waits
_CONGESTION_SECONDS = 0.01

_log = logging.getLogger(__name__)

Done = Callable[["ReplayStatus | None"], None]  # hears where the replay stands; None: it could not get there


class ReplayOptions(NamedTuple):
    """Which commands are played, both included, and how many times as fast as it was; None: as fast as it goes."""

    first_seq: int
    last_seq: int
    speed: float | None = 1.0
    is_paused: bool = False


class ReplayStatus(msgspec.Struct, frozen=True):
    """The position and the speed of a replay.

    `speed` is None for as fast as possible. `seeking` is the destination of a seek; until then the replay stands still.
    """

    seq: int
    ts_us: int
    first_seq: int
    last_seq: int
    speed: float | None
    paused: bool
    at_end: bool
    seeking: int | None = None


class _SupersededError(Exception):
    """Somebody wants to be elsewhere, or nobody anywhere any more."""


class SeekParams(p.Params, frozen=True):
    """Parameters of `replay/seek`: one of the two."""

    seq: p.Seq | None = None
    ts_us: p.Number | None = None


class SpeedParams(p.Params, frozen=True):
    """Parameters of `replay/speed`."""

    speed: Annotated[float, Meta(gt=0)] | None


async def serve_replay(
    path: Path, scope: ReplayOptions, host: str, port: int, listening: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Serve a replay of the journal at `path` until `stop` is set. It begins to play with the first subscription.

    Raises a JournalError, also in the middle where the journal is damaged, or OSError where the address cannot be had.
    """
    with open_journal_reader(path) as reader:
        player = ReplayServer(reader, scope)
        playing = asyncio.create_task(player.play())
        stopping = asyncio.create_task(stop.wait())
        try:
            listening(await player.open(host, port))
            await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                await playing  # which only ends by failing
        finally:
            for task in (playing, stopping):
                task.cancel()
            await asyncio.gather(playing, stopping, return_exceptions=True)
            await player.close()


class ReplayServer(ServedExchange):
    """The desk of a replay, and its player. `now_seconds` is what the rhythm is kept by."""

    def __init__(
        self, reader: JournalReader, scope: ReplayOptions, now_seconds: Callable[[], float] | None = None
    ) -> None:
        self._reader = reader
        self._first_seq, self._last_seq, self._speed, self._is_paused = scope
        self._now_seconds = now_seconds or asyncio.get_running_loop().time
        self.methods = self._methods()
        super().__init__(reader.path, self._engine_before_the_first_order(), self.methods)
        self._users = self._users_to_come()
        self._upcoming: deque[Record] = deque()
        self._has_audience = False
        self._wake = asyncio.Event()
        self._anchor: tuple[float, int] | None = None  # when which time was played, since the rhythm last changed
        self._destination: int | None = None  # where seekers want to be
        self._seekers: list[Done] = []

    async def open(self, host: str, port: int) -> str:
        url = await self.gateway.bind(host, port)
        await self.gateway.open()
        return url

    async def close(self) -> None:
        self._destination = None
        await self.cancel_tasks()
        await self.gateway.close()
        self.gateway.abort()
        await self.catch_up_service.stop()

    async def play(self) -> None:
        """Carry out command after command, each when it is due. Never returns; raises a JournalError."""
        steps = 0
        while True:
            record = self._next_record()
            is_seeking = self._destination is not None
            if record is None or is_seeking or self._is_paused or not self._has_audience:
                self.gateway.flush()
                await self._wait(None)
            elif (due_in_seconds := self._due_in_seconds(record)) > 0:
                self.gateway.flush()
                await self._wait(due_in_seconds)
            else:
                self._upcoming.popleft()
                _, _, change = replay_step(self.engine, record)
                self.gateway.publish(change)
                steps += 1
                if steps % STEPS_AT_ONCE == 0:
                    await self._give_way()

    @property
    def status(self) -> ReplayStatus:
        head = self.engine.head
        at_end = head.seq >= self._last_seq
        span = self._first_seq, self._last_seq
        return ReplayStatus(head.seq, head.ts_us, *span, self._speed, self._is_paused, at_end, self._destination)

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
            "public/auth": METHODS["public/auth"]._replace(handle=self._enter),
            "public/subscribe": METHODS["public/subscribe"]._replace(handle=self._subscribe),
            "replay/status": public(
                "Where the replay stands.", p.NoParams, lambda caller, params: self.status, ReplayStatus
            ),
            "replay/pause": public(
                "Pause the replay.", p.NoParams, lambda caller, params: self._pause(True), ReplayStatus
            ),
            "replay/resume": public(
                "Resume the replay.", p.NoParams, lambda caller, params: self._pause(False), ReplayStatus
            ),
            "replay/speed": public(
                "Replay so many times as fast as recorded; null: as fast as possible.",
                SpeedParams,
                lambda caller, params: self._set_speed(params.speed),
                ReplayStatus,
            ),
            "replay/seek": public(
                "Go to the moment after a command, or to a time.",
                SeekParams,
                lambda caller, params: self._seek(params),
                ReplayStatus,
                _seek_result,
            ),
        }
        return with_api(methods)

    def _enter(self, caller: Caller, params: p.AuthParams) -> Any:
        """Enter any account that there is by the end, so that a client may be there before its account was opened."""
        if params.client_id in self._users and caller.user_id in ("", params.client_id):
            return log_in(caller, params.client_id)
        return METHODS["public/auth"].handle(caller, params)

    def _subscribe(self, caller: Caller, params: Any) -> Any:
        """As ever; and the first one lets the replay begin, once it is answered."""
        result = METHODS["public/subscribe"].handle(caller, params)
        asyncio.get_running_loop().call_soon(self._begin)
        return result

    def _begin(self) -> None:
        if not self._has_audience:
            self._has_audience = True
            self._keep_new_rhythm()

    def _pause(self, is_paused: bool) -> ReplayStatus:
        self._is_paused = is_paused
        self._has_audience = True  # somebody is there, subscribed or not
        self._keep_new_rhythm()
        return self.status

    def _set_speed(self, speed: float | None) -> ReplayStatus:
        self._speed = speed
        self._keep_new_rhythm()
        return self.status

    def _seek(self, params: SeekParams) -> Inquiry:
        """Go to right after a command, or to a time: books begin again there, streams leave out what lies between."""
        if (params.seq is None) == (params.ts_us is None):
            raise invalid_params("seq", "say where to: either seq or ts_us, one of the two")
        named = "seq" if params.ts_us is None else "ts_us"
        try:
            seq = seq_at(self._reader, Moment(params.seq, params.ts_us))
        except UnknownMomentError as error:
            raise invalid_params(named, str(error)) from error
        if not self._first_seq <= seq <= self._last_seq:
            raise invalid_params(
                named, f"this replay is of seq {self._first_seq} to {self._last_seq}, not of seq {seq}"
            )
        return Inquiry(partial(self._start_seek, seq))

    def _start_seek(self, seq: int, done: Done) -> None:
        """Be on the way to `seq`, wherever it was going before: who asked for that hears of this instead."""
        was_on_the_way = self._destination is not None
        self._destination = seq
        self._seekers.append(done)
        if not was_on_the_way:
            self.start_task(self._run_seek())

    async def _run_seek(self) -> None:
        """Work out on a thread how it was at the destination, while everyone else is answered; then be there."""
        engine: Engine | None = None
        try:
            engine = await self._engine_at_destination()
        except JournalError as error:
            _log.error("the replay stays where it is: %s", error)
        except Exception:
            _log.exception("the replay stays where it is")
        self._destination = None
        if engine is not None:
            self.engine = engine
            self._upcoming.clear()
            self.gateway.on_seek(self.views)
        self._keep_new_rhythm()
        seekers, self._seekers = self._seekers, []
        for done in seekers:
            done(None if engine is None else self.status)
        self.gateway.send_all()

    async def _engine_at_destination(self) -> Engine:
        while True:
            seq = self._destination
            assert seq is not None, "on the way to nowhere"

            def check(_done: int, _total: int, seq: int = seq) -> None:  # while it is replayed
                if self._destination != seq:
                    raise _SupersededError

            with contextlib.suppress(_SupersededError):
                engine = await asyncio.to_thread(self._engine_after, seq, check)
                if self._destination == seq:
                    return engine

    async def read_timeline(self, user_id: str, order_id: int) -> list[TimelineStep]:
        """As in `ServedExchange`, in a thread. Works out events that a crash left unrecorded."""
        return await asyncio.to_thread(_life, self.path, user_id, order_id, self.engine.head.seq)

    def _engine_before_the_first_order(self) -> Engine:
        """Where the doors open: everything is listed that was listed before anyone could trade it."""
        engine = self._engine_after(self._first_seq - 1)
        for record in self._reader.records(engine.head, self._last_seq):
            if isinstance(decode_command(record.payload), PlaceOrder):
                break
            replay_step(engine, record)
        return engine

    def _users_to_come(self) -> set[str]:
        """Who has an account by the end. Read from the commands: after a crash the last events are not recorded."""
        opening = self._reader.records_where(self.engine.head.seq + 1, self._last_seq, [{"kind": "open_account"}])
        commands = [decode_command(record.payload) for record in opening]
        return set(self.views.balances.users) | {one.user_id for one in commands if isinstance(one, OpenAccount)}

    def _engine_after(self, seq: int, progress: Progress = lambda done, total: None) -> Engine:
        return recover(self._reader.path, lambda sentence: None, progress, up_to=seq).engine

    def _next_record(self) -> Record | None:
        if not self._upcoming:
            head = self.engine.head
            self._upcoming += self._reader.records(head, min(head.seq + RECORDS_AT_ONCE, self._last_seq))
        return self._upcoming[0] if self._upcoming else None

    def _keep_new_rhythm(self) -> None:
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
        """Until so much time has passed, or somebody steers."""
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _give_way(self) -> None:
        """Let others have a turn, and clients take what they were sent: nobody is cut off for being slow."""
        self.gateway.flush()
        await asyncio.sleep(0)
        while self.gateway.backlog > CONGESTED:  # noqa: ASYNC110 - transports tell nobody how much is left
            await asyncio.sleep(_CONGESTION_SECONDS)


def _seek_result(_caller: Caller, status: ReplayStatus | None) -> ReplayStatus:
    if status is None:
        raise internal_error()
    return status


def _life(path: Path, user_id: str, order_id: int, last_seq: int) -> list[TimelineStep]:
    """The life of the user's own order up to `last_seq`; what a crash kept from being recorded is worked out."""
    with open_journal_reader(path) as reader:
        is_recorded = reader.events_seq() >= last_seq
    unrecorded = [] if is_recorded else recover(path, lambda sentence: None, lambda *_: None, last_seq).missing_events
    return own_order_timeline(path, user_id, order_id, last_seq, unrecorded)
