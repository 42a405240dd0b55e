"""The catch-ups of one session: streams that replay what the client missed before they go live."""

from collections.abc import Iterable
from typing import Protocol

from exchange.catch_up.outbox import Buffer, Outbox
from exchange.catch_up.request import CatchUpHandle, CatchUpRequest, Done, Take


class CatchUpSession(Protocol):
    """A session, as its catch-ups see it."""

    @property
    def user_id(self) -> str: ...

    def subscribe_streams(self, channel_names: Iterable[str]) -> int:
        """Subscribe to live notifications. Returns the seq of the first command whose notifications come live."""
        ...

    def start_catch_up(self, request: CatchUpRequest, take: Take, done: Done) -> CatchUpHandle:
        """Start the replay of missed notifications; it calls `take` and `done` later, never at once."""
        ...

    def close_connection(self, reason: str, /) -> None:
        """Close the connection with code 1011 and this reason."""
        ...


class _CatchUp:
    """Streams that were subscribed together, and the first command whose notifications are not delivered yet.

    It has a `buffer` since it runs, and a `handle` while the service replays for it.
    """

    def __init__(self, channel_names: Iterable[str], from_seq: int) -> None:
        self.channels = dict.fromkeys(channel_names)
        self.from_seq = from_seq
        self.up_to = 0
        self.buffer: Buffer | None = None
        self.handle: CatchUpHandle | None = None


class CatchUps:
    """Runs the catch-ups of one session, one at a time.

    A catch-up subscribes to its streams when it starts. That fixes the last command to replay: the outbox buffers the
    notifications of later commands until the replay is complete. If the buffer is overrun, the catch-up starts again
    after the last replayed command.
    """

    def __init__(self, session: CatchUpSession, outbox: Outbox) -> None:
        self._session = session
        self._outbox = outbox
        self._by_channel: dict[str, _CatchUp] = {}
        self._queued: dict[_CatchUp, None] = {}
        self._running: _CatchUp | None = None
        self._is_paused = False

    def add(self, channel_names: Iterable[str], from_seq: int) -> None:
        """Replay these streams from command `from_seq` on, then let them go live. They must not be subscribed."""
        catch_up = _CatchUp(channel_names, from_seq)
        if catch_up.channels:
            self._by_channel |= dict.fromkeys(catch_up.channels, catch_up)
            self._queued[catch_up] = None
            self._start_next()

    def discard(self, channel_names: Iterable[str]) -> None:
        """Forget these channels: they were unsubscribed."""
        for name in channel_names:
            if catch_up := self._by_channel.pop(name, None):
                del catch_up.channels[name]
                if not catch_up.channels:
                    self._cancel(catch_up)
        self._start_next()

    def pause(self, is_paused: bool) -> None:
        """Stop replaying for now, or continue."""
        self._is_paused = is_paused
        if self._running is not None and self._running.handle is not None:
            self._running.handle.pause(is_paused)

    def on_seek(self) -> None:
        """Skip missed notifications and let every stream go live, because the exchange moved to another moment."""
        names = list(self._by_channel)
        if self._running is not None and self._running.buffer is not None:
            self._outbox.stop_buffering(self._running.buffer)
        self.end()
        self._session.subscribe_streams(names)

    def end(self) -> None:
        """Cancel all catch-ups."""
        self._by_channel.clear()
        self._queued.clear()
        if self._running is not None:
            self._cancel(self._running)

    def _start_next(self) -> None:
        while self._running is None and self._queued:
            self._running = catch_up = next(iter(self._queued))
            del self._queued[catch_up]
            self._start(catch_up)

    def _start(self, catch_up: _CatchUp) -> None:
        """Start the catch-up; finish at once if nothing was missed."""
        catch_up.buffer = self._outbox.buffer(catch_up.channels)
        catch_up.up_to = self._session.subscribe_streams(catch_up.channels) - 1
        if catch_up.from_seq > catch_up.up_to:
            self._go_live(catch_up, catch_up.buffer)
            return
        request = CatchUpRequest(catch_up.from_seq, catch_up.up_to, self._session.user_id, tuple(catch_up.channels))
        catch_up.handle = self._session.start_catch_up(request, self._deliver, self._done)
        catch_up.handle.pause(self._is_paused)

    def _deliver(self, channel_name: str, text: bytes) -> None:
        assert self._running is not None, "a notification was replayed for no catch-up"
        # The channel may have been unsubscribed after the replay began.
        if channel_name in self._running.channels:
            self._outbox.deliver(channel_name, text)

    def _done(self, error: str | None) -> None:
        """Go live, or replay again if the buffer is overrun. An error closes the connection, to leave no hole."""
        catch_up = self._running
        assert catch_up is not None and catch_up.buffer is not None, "a replay ended for no catch-up"
        catch_up.handle = None
        catch_up.from_seq = catch_up.up_to + 1
        if error is not None:
            self._session.close_connection(error)
            return
        if catch_up.buffer.is_overrun:
            self._start(catch_up)
        else:
            self._go_live(catch_up, catch_up.buffer)
        self._start_next()

    def _go_live(self, catch_up: _CatchUp, buffer: Buffer) -> None:
        self._running = None
        for name in catch_up.channels:
            del self._by_channel[name]
        self._outbox.go_live(buffer)

    def _cancel(self, catch_up: _CatchUp) -> None:
        self._queued.pop(catch_up, None)
        if catch_up is self._running:
            self._running = None
            if catch_up.handle is not None:
                catch_up.handle.end()
