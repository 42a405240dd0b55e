"""Streams that are filled from the journal before they go live, without a hole and without a repeat."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from exchange.gateway.channels import Channel
from exchange.gateway.exchange_port import CatchUpHandle, CatchUpRequest, ExchangePort
from exchange.gateway.limits import CATCH_UP_BUFFER_MAX
from exchange.gateway.subscriptions import Subscriber, Subscriptions


class CatchUpSubscriber(Subscriber, Protocol):
    """A connection whose streams catch up before they go live."""

    @property
    def exchange(self) -> ExchangePort: ...

    @property
    def subscriptions(self) -> Subscriptions: ...

    def deliver(self, channel_name: str, text: bytes) -> None:
        """Send a notification of a catch-up."""
        ...

    def close_connection(self, reason: str) -> None: ...


class _CatchUp:
    """Streams that were subscribed together, and the first command that they have not told of yet.

    `held` is what they tell live while what they missed up to `up_to` is brought; None once that became too much.
    """

    def __init__(self, channels: dict[str, Channel], from_seq: int) -> None:
        self.channels = channels
        self.from_seq = from_seq
        self.up_to = 0
        self.backfill: CatchUpHandle | None = None
        self.held: list[tuple[str, bytes]] | None = []
        self.held_size = 0


class CatchUps:
    """The streams of one session that are not live yet: one subscription after the other is filled.

    Its streams are joined the moment it is settled up to which command they will be filled. What they tell from then
    on is held, and follows; where it becomes too much it is let go, and brought from the journal in its turn.
    """

    def __init__(self, session: CatchUpSubscriber) -> None:
        self._session = session
        self._fills: dict[str, _CatchUp] = {}  # by channel name
        self._waiting: dict[_CatchUp, None] = {}
        self._current: _CatchUp | None = None
        self._is_paused = False

    def add(self, channels: dict[str, Channel], from_seq: int) -> None:
        """Fill these streams from command `from_seq` on, then let them go live. They must have been left before."""
        if channels:
            fill = _CatchUp(channels.copy(), from_seq)
            self._fills |= dict.fromkeys(channels, fill)
            self._waiting[fill] = None
            self._next()

    def discard(self, names: Iterable[str]) -> None:
        """These channels are not wanted any more."""
        for name in names:
            if fill := self._fills.pop(name, None):
                del fill.channels[name]
                if not fill.channels:
                    self._drop(fill)
        self._next()

    def buffer_if_pending(self, channel_name: str, text: bytes) -> bool:
        """Whether a live notification has to wait; then it is taken care of."""
        fill = self._fills.get(channel_name)
        if fill is None:
            return False
        if fill.held is not None:
            fill.held.append((channel_name, text))
            fill.held_size += len(text)
            if fill.held_size > CATCH_UP_BUFFER_MAX:
                fill.held = None
        return True

    def pause(self, is_paused: bool) -> None:
        """Bring no more for now, or go on."""
        self._is_paused = is_paused
        if self._current is not None and self._current.backfill is not None:
            self._current.backfill.pause(is_paused)

    def on_seek(self) -> None:
        """The exchange is at another moment: what was missed is left out, and every stream is live from there."""
        for fill in dict.fromkeys(self._fills.values()):
            if fill.backfill is not None:
                fill.backfill.end()
            for channel in fill.channels.values():
                self._session.subscriptions.subscribe(self._session, channel)
        self._fills.clear()
        self._waiting.clear()
        self._current = None

    def end(self) -> None:
        """The connection is gone."""
        self._fills.clear()
        self._waiting.clear()
        if self._current is not None:
            self._drop(self._current)

    def _next(self) -> None:
        """Begin with the next subscription, unless another one is being filled."""
        while self._current is None and self._waiting:
            self._current = fill = next(iter(self._waiting))
            del self._waiting[fill]
            self._start(fill)

    def _start(self, fill: _CatchUp) -> None:
        """Have brought what was missed until now. Where that is nothing, it is filled."""
        session = self._session
        for channel in fill.channels.values():
            session.subscriptions.subscribe(session, channel)
        fill.up_to = session.subscriptions.recent.next_seq - 1
        fill.held, fill.held_size = [], 0
        if fill.from_seq > fill.up_to:
            self._go_live(fill)
            return
        missed = CatchUpRequest(fill.from_seq, fill.up_to, session.user_id, tuple(fill.channels))
        fill.backfill = session.exchange.catch_up(missed, self._deliver, self._done)
        fill.backfill.pause(self._is_paused)

    def _deliver(self, channel_name: str, text: bytes) -> None:
        assert self._current is not None, "something is brought to nobody"
        if channel_name in self._current.channels:
            self._session.deliver(channel_name, text)

    def _done(self, error: str | None) -> None:
        """What was missed has been brought. Where it cannot be, the connection ends: better than a hole."""
        fill = self._current
        assert fill is not None, "something was brought to nobody"
        fill.backfill = None
        fill.from_seq = fill.up_to + 1
        if error is not None:
            self._session.close_connection(error)
            return
        if fill.held is None:
            self._start(fill)
        else:
            self._go_live(fill)
        self._next()

    def _go_live(self, fill: _CatchUp) -> None:
        """Nothing is missing any more but what was held."""
        self._current = None
        for name in fill.channels:
            del self._fills[name]
        for name, text in fill.held or ():
            if name in fill.channels:
                self._session.deliver(name, text)

    def _drop(self, fill: _CatchUp) -> None:
        self._waiting.pop(fill, None)
        if fill is self._current:
            self._current = None
            if fill.backfill is not None:
                fill.backfill.end()
