"""Streams that are filled from the journal before they go live, without a hole and without a repeat."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from exchange.gateway.channels import Channel
from exchange.gateway.desk import Backfill, Missed
from exchange.gateway.limits import HELD_MAX

if TYPE_CHECKING:
    from exchange.gateway.session import Session


class _Fill:
    """Streams that were subscribed together, and the first command that they have not told of yet.

    `held` is what they tell live while what they missed up to `up_to` is brought; None once that became too much.
    """

    def __init__(self, channels: dict[str, Channel], from_seq: int) -> None:
        self.channels = channels
        self.from_seq = from_seq
        self.up_to = 0
        self.backfill: Backfill | None = None
        self.held: list[tuple[str, bytes]] | None = []
        self.held_size = 0


class Filling:
    """The streams of one session that are not live yet: one subscription after the other is filled.

    Its streams are joined the moment it is settled up to which command they will be filled. What they tell from then
    on is held, and follows; where it becomes too much it is let go, and brought from the journal in its turn.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._fills: dict[str, _Fill] = {}  # by channel name
        self._waiting: dict[_Fill, None] = {}
        self._current: _Fill | None = None
        self._is_paused = False

    def add(self, channels: dict[str, Channel], from_seq: int) -> None:
        """Fill these streams from command `from_seq` on, then let them go live. They must have been left before."""
        if channels:
            fill = _Fill(channels.copy(), from_seq)
            self._fills |= dict.fromkeys(channels, fill)
            self._waiting[fill] = None
            self._next()

    def leave(self, names: Iterable[str]) -> None:
        """These channels are not wanted any more."""
        for name in names:
            if fill := self._fills.pop(name, None):
                del fill.channels[name]
                if not fill.channels:
                    self._drop(fill)
        self._next()

    def holds(self, channel_name: str, text: bytes) -> bool:
        """Whether a live notification has to wait; then it is taken care of."""
        fill = self._fills.get(channel_name)
        if fill is None:
            return False
        if fill.held is not None:
            fill.held.append((channel_name, text))
            fill.held_size += len(text)
            if fill.held_size > HELD_MAX:
                fill.held = None
        return True

    def pause(self, is_paused: bool) -> None:
        """Bring no more for now, or go on."""
        self._is_paused = is_paused
        if self._current is not None and self._current.backfill is not None:
            self._current.backfill.pause(is_paused)

    def move(self) -> None:
        """The exchange is at another moment: what was missed is left out, and every stream is live from there."""
        for fill in dict.fromkeys(self._fills.values()):
            if fill.backfill is not None:
                fill.backfill.end()
            for channel in fill.channels.values():
                self._session.feeds.join(self._session, channel)
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
            self._bring(fill)

    def _bring(self, fill: _Fill) -> None:
        """Have brought what was missed until now. Where that is nothing, it is filled."""
        session = self._session
        for channel in fill.channels.values():
            session.feeds.join(session, channel)
        fill.up_to = session.feeds.recent.next_seq - 1
        fill.held, fill.held_size = [], 0
        if fill.from_seq > fill.up_to:
            self._go_live(fill)
            return
        missed = Missed(fill.from_seq, fill.up_to, session.user_id, tuple(fill.channels))
        fill.backfill = session.desk.backfill(missed, self._take, self._done)
        fill.backfill.pause(self._is_paused)

    def _take(self, channel_name: str, text: bytes) -> None:
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
            self._session.hang_up(error)
            return
        if fill.held is None:
            self._bring(fill)
        else:
            self._go_live(fill)
        self._next()

    def _go_live(self, fill: _Fill) -> None:
        """Nothing is missing any more but what was held."""
        self._current = None
        for name in fill.channels:
            del self._fills[name]
        for name, text in fill.held or ():
            if name in fill.channels:
                self._session.deliver(name, text)

    def _drop(self, fill: _Fill) -> None:
        self._waiting.pop(fill, None)
        if fill is self._current:
            self._current = None
            if fill.backfill is not None:
                fill.backfill.end()
