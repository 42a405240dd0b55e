"""Serves a replay of a journal over the ordinary WebSocket API, so that clients can watch the past as if it were live.

The commands come from the journal instead of from clients. Each goes through the same `step` and the same gateway, in
the recorded rhythm. Clients cannot change anything; they control the replay with the replay/* methods.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from exchange.domain.commands import Command, OpenAccount, decode_command
from exchange.domain.units import US_PER_SECOND
from exchange.gateway import params as p
from exchange.gateway.authentication import checked_login, enter, log_in, open_login
from exchange.gateway.caller import Caller, Inquiry
from exchange.gateway.jsonrpc import internal_error, invalid_params
from exchange.gateway.methods import METHODS, Method, public, with_api
from exchange.history.moment import Moment, UnknownMomentError, seq_at
from exchange.history.replay_messages import ReplayStatus, SeekParams, SpeedParams, StepParams
from exchange.history.replay_moves import MovableReplay
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Record
from exchange.keys.credentials import Credentials
from exchange.keys.key import TRADE, user_of
from exchange.projections.fold import Change

# Commands before the event loop has its turn.
STEPS_AT_ONCE = 200


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


class ReplayServer(MovableReplay):
    """A replay as an exchange of its own. `now_seconds` is the clock of its rhythm."""

    # Nothing writes the history for a replay.
    history_wait_seconds = 0.0

    def __init__(
        self, reader: JournalReader, options: ReplayOptions, now_seconds: Callable[[], float] | None = None
    ) -> None:
        first_seq, last_seq, self._speed, self._is_paused = options
        self._now_seconds = now_seconds or asyncio.get_running_loop().time
        self.methods = self._methods()
        super().__init__(reader, first_seq, last_seq, self.methods)
        self._users = self._users_until_the_end()
        self._credentials = _credentials_of(self.path)
        self._has_subscribers = False
        self._wake = asyncio.Event()
        # A time of the clock and the recorded time (in µs) that was due then. None: the next command sets it.
        self._anchor: tuple[float, int] | None = None

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
            if record is None or self._is_moving or self._is_paused or not self._has_subscribers:
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

    @property
    def status(self) -> ReplayStatus:
        head = self.engine.head
        at_end = head.seq >= self._last_seq
        span = self._first_seq, self._last_seq
        return ReplayStatus(head.seq, head.ts_us, *span, self._speed, self._is_paused, at_end, self._seek.target_seq)

    @property
    def is_read_only(self) -> bool:
        return True

    @property
    def credentials(self) -> Credentials:
        return self._credentials

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
        """Log in as any user who has an account by the end, also before the replay reaches its opening.

        An account with a key needs it here, too. The administrator needs no secret, because it can change nothing.
        """
        user_id = user_of(params.client_id)
        is_known = user_id in self._users
        login = open_login(user_id) if is_known and user_id == "admin" else checked_login(caller, params)
        if is_known and caller.user_id in ("", user_id):
            # What a key may not do is refused as on every replay.
            return log_in(caller, login._replace(level=TRADE))
        return enter(caller, login)

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

    def _step_inquiry(self, params: StepParams) -> Inquiry:
        """Pause, and go some units forward or back. Forward, streams get what they would get in a replay."""
        if not params.count:
            raise invalid_params("count", "expected a number other than 0; a negative one goes back")
        self._pause(True)
        return Inquiry(partial(self._start_step, params))

    def why_history_ends(self) -> str:
        return "a replay does not write it: `exchange history rebuild` does, from the journal"

    def _users_until_the_end(self) -> set[str]:
        """The users with an account by the end. Reads commands: a crash may have left the last events unrecorded."""
        opening = self._reader.records_where(self.engine.head.seq + 1, self._last_seq, [{"kind": "open_account"}])
        commands = [decode_command(record.payload) for record in opening]
        return set(self.views.balances.users) | {one.user_id for one in commands if isinstance(one, OpenAccount)}

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


def _credentials_of(path: Path) -> Credentials:
    """The keys of the journal. A user who may not read them can still serve a replay, and sees all accounts anyway."""
    try:
        return Credentials(path)
    except PermissionError:
        return Credentials()


def _seek_result(_caller: Caller, status: ReplayStatus | None) -> ReplayStatus:
    if status is None:
        raise internal_error()
    return status
