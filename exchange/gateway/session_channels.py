"""The channels of one connection: subscribed, catching up, or waiting for the answer that confirms them.

    state         messages                                   becomes live
    pending       none                                       when the answer to the subscription has left
    catching up   missed ones; live ones are buffered        at the end of the catch-up (streams with `from_seq`)
    live          sent, or held while a batch is answered    -

A book or a ticker that is live becomes pending when it is subscribed again: it starts again with a snapshot. A stream
that is live stays live, or starts again with a catch-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from exchange.catch_up.catch_ups import CatchUps
from exchange.catch_up.outbox import Outbox
from exchange.catch_up.request import CatchUpHandle, CatchUpRequest, Done, Take
from exchange.gateway.caller import Caller
from exchange.gateway.channels import Channel
from exchange.gateway.jsonrpc import invalid_params
from exchange.gateway.subscriptions import Subscriptions


class SessionChannels:
    """A subscriber of `subscriptions`. Its notifications leave through `send`."""

    def __init__(
        self,
        caller: Caller,
        subscriptions: Subscriptions,
        send: Callable[[bytes], None],
        close_connection: Callable[[str], None],
    ) -> None:
        self.subscribed: dict[str, Channel] = {}
        self.close_connection = close_connection
        self._caller = caller
        self._subscriptions = subscriptions
        self._pending: list[Channel] = []
        self._outbox = Outbox(send, close_connection)
        self._catch_ups = CatchUps(self, self._outbox)
        self._is_backpressured = False
        # Sends a live notification. Bound once, because it is called for every subscriber of every message.
        self.notify = self._outbox.notify

    @property
    def user_id(self) -> str:
        """The user of the connection; empty until the client has authenticated."""
        return self._caller.user_id

    @property
    def next_seq(self) -> int:
        """The first command that the streams have not published yet."""
        return self._subscriptions.recent.next_seq

    def subscribe(self, channels: list[Channel], from_seq: int | None = None) -> list[str]:
        """Subscribe to channels; with `from_seq`, streams catch up from that command. Returns the names.

        Raises RpcError if the connection would have too many channels.
        """
        wanted = {channel.name: channel for channel in channels}
        maximum = self._caller.exchange.limits.subscriptions_max
        if len(self.subscribed | wanted) > maximum:
            raise invalid_params("channels", f"a connection may have at most {maximum} channels")
        if from_seq is not None:
            streams = {name: channel for name, channel in wanted.items() if channel.is_stream}
            self.unsubscribe(list(streams.values()))
            self.subscribed |= streams
            self._catch_ups.add(streams, from_seq)
        self._pending += [c for c in wanted.values() if not (c.is_stream and c.name in self.subscribed)]
        self.subscribed |= wanted
        return list(wanted)

    def unsubscribe(self, channels: list[Channel]) -> list[str]:
        """Unsubscribe from channels. Returns the names of those that were subscribed."""
        removed = [channel for channel in channels if self.subscribed.pop(channel.name, None) is not None]
        for channel in removed:
            self._subscriptions.unsubscribe(self, channel)
        names = [channel.name for channel in removed]
        self._pending = [channel for channel in self._pending if channel.name not in names]
        self._catch_ups.discard(names)
        self._outbox.discard(names)
        return names

    def translate(self, translate: Callable[[bytes], list[bytes]]) -> None:
        """Send, for each notification, these texts instead."""
        self._outbox.translate(translate)

    def start_pending(self) -> None:
        """Let pending channels go live: the answer that confirms them has left."""
        if self._pending:
            pending, self._pending = self._pending, []
            for channel in pending:
                self._subscriptions.begin(self, channel)

    def hold(self) -> None:
        """Hold notifications while a batch is answered in part: the batch may have caused them."""
        if not self._outbox.is_holding:
            self._outbox.hold()
            self._pause_catch_ups()

    def release(self) -> None:
        """Send the notifications that were held: the batch is answered."""
        if self._outbox.is_holding:
            self._outbox.release()
            self._pause_catch_ups()

    def set_backpressure(self, is_backpressured: bool) -> None:
        """Pause catch-ups while the client does not read."""
        self._is_backpressured = is_backpressured
        self._pause_catch_ups()

    def on_seek(self) -> None:
        """The exchange moved to another moment: streams do not catch up any more."""
        self._catch_ups.on_seek()

    def end(self) -> None:
        """The connection is closed."""
        self._pending = []
        self._catch_ups.end()
        self._subscriptions.forget(self)

    def subscribe_streams(self, channel_names: Iterable[str]) -> int:
        """Subscribe to live notifications. Returns the seq of the first command whose notifications come live."""
        for name in channel_names:
            self._subscriptions.subscribe(self, self.subscribed[name])
        return self.next_seq

    def start_catch_up(self, request: CatchUpRequest, take: Take, done: Done) -> CatchUpHandle:
        """As `ExchangePort.catch_up`."""
        return self._caller.exchange.catch_up(request, take, done)

    def _pause_catch_ups(self) -> None:
        self._catch_ups.pause(self._is_backpressured or self._outbox.is_holding)
