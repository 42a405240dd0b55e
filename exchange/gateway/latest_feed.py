"""The ticker and quote channels: the newest state at once, then whenever it has changed."""

from collections.abc import Callable
from typing import Any

import msgspec

from exchange.gateway.channels import Channel
from exchange.gateway.jsonrpc import notification_text
from exchange.gateway.subscriber import Subscriber
from exchange.projections.views import Views
from exchange.projections.wire_types import Ticker, TopOfBook


class LatestFeed:
    """One channel: its subscribers and the state that was sent last. `read` returns the state of an instrument.

    The first three fields of a state are its instrument, seq and time.
    """

    def __init__(self, channel: Channel, read: Callable[[Views, str], Ticker | TopOfBook]) -> None:
        self.channel = channel
        self.listeners: dict[Subscriber, None] = {}
        self._read = read
        self._last: Ticker | TopOfBook | None = None

    def join(self, session: Subscriber, views: Views) -> None:
        """Subscribe, and send the current state."""
        self.flush(views)
        self.listeners[session] = None
        if self.channel.instrument_id in views.instruments:
            state = self._read(views, self.channel.instrument_id)
            session.notify(self.channel.name, notification_text(self.channel.name, state))

    def restart(self, views: Views) -> None:
        """Send all subscribers the current state, even if it equals the last one."""
        self._last = None
        self.flush(views)

    def flush(self, views: Views) -> int:
        """Send the state if anything but its time differs from the last one. Returns the number of messages."""
        if self.channel.instrument_id not in views.instruments:
            return 0
        state = self._read(views, self.channel.instrument_id)
        if self._last is not None and _content(state) == _content(self._last):
            return 0
        self._last = state
        text = notification_text(self.channel.name, state)
        for session in self.listeners:
            session.notify(self.channel.name, text)
        return len(self.listeners)


def _content(state: Ticker | TopOfBook) -> tuple[Any, ...]:
    """The state without its instrument, seq and time."""
    return msgspec.structs.astuple(state)[3:]
