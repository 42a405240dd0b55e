"""The ticker and quote channels: the newest state at once, then whenever it has changed."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from exchange.domain.instruments import asset_of
from exchange.gateway.channels import Channel
from exchange.gateway.jsonrpc import notification_text
from exchange.gateway.subscriber import Subscriber
from exchange.projections.views import Views
from exchange.projections.wire_types import Ticker, TopOfBook

# Returns the state of an instrument. Its first three fields are its instrument, seq and time.
Read = Callable[[Views, str], Ticker | TopOfBook]


class LatestFeeds:
    """All ticker channels, or all quote channels: those of instruments, and those of assets."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._of_instruments: dict[str, LatestFeed] = {}
        self._of_assets: dict[str, AssetFeed] = {}
        # The instruments whose state may have changed since the last flush, and the assets of which all may have.
        self._changed: dict[str, None] = {}
        self._changed_assets: dict[str, None] = {}

    @property
    def is_used(self) -> bool:
        """True if a channel has a subscriber."""
        return bool(self._of_instruments or self._of_assets)

    def join(self, session: Subscriber, channel: Channel, views: Views) -> None:
        """Subscribe, and send the current state."""
        feed: LatestFeed | AssetFeed | None
        if channel.asset:
            feed = self._of_assets.get(channel.asset)
            if feed is None:
                feed = self._of_assets[channel.asset] = AssetFeed(channel, self._read)
        else:
            feed = self._of_instruments.get(channel.instrument_id)
            if feed is None:
                feed = self._of_instruments[channel.instrument_id] = LatestFeed(channel, self._read)
        feed.join(session, views)

    def leave(self, session: Subscriber, channel: Channel) -> None:
        """Unsubscribe."""
        feeds: dict[str, Any] = self._of_assets if channel.asset else self._of_instruments
        of = channel.asset or channel.instrument_id
        if feed := feeds.get(of):
            feed.listeners.pop(session, None)
            if not feed.listeners:
                del feeds[of]

    def note(self, instrument_ids: Iterable[str]) -> None:
        """Note that the states of these instruments may have changed."""
        self._changed |= dict.fromkeys(instrument_ids)

    def note_assets(self, assets: Iterable[str], views: Views) -> None:
        """Note that the states of all instruments on these assets may have changed."""
        self._changed_assets |= dict.fromkeys(assets)
        for instrument_id in self._of_instruments:
            # None if it is not listed yet. Only a replay can have subscribers of it.
            instrument = views.instruments.get(instrument_id)
            if instrument is not None and instrument.asset in self._changed_assets:
                self._changed[instrument_id] = None

    def note_all(self) -> None:
        """Note that all states may have changed."""
        self._changed |= dict.fromkeys(self._of_instruments)
        self._changed_assets |= dict.fromkeys(self._of_assets)

    def flush(self, views: Views) -> int:
        """Send the states that changed since the last flush. Returns the number of messages."""
        if not self._changed and not self._changed_assets:
            return 0
        changed, assets = self._changed, self._changed_assets
        self._changed, self._changed_assets = {}, {}
        sent = 0
        for instrument_id in changed:
            if feed := self._of_instruments.get(instrument_id):
                sent += feed.flush(views)
        for asset, asset_feed in self._of_assets.items():
            sent += asset_feed.flush(views, changed, asset in assets)
        return sent

    def restart(self, views: Views) -> None:
        """Send all subscribers the current states, even if they equal the last ones."""
        self._changed, self._changed_assets = {}, {}
        for feed in self._of_instruments.values():
            feed.restart(views)
        for asset_feed in self._of_assets.values():
            asset_feed.restart(views)


class LatestFeed:
    """One channel: its subscribers and the state that was sent last."""

    def __init__(self, channel: Channel, read: Read) -> None:
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


class AssetFeed:
    """The channel of all instruments on an asset: first the states of all, then a list of those that changed."""

    def __init__(self, channel: Channel, read: Read) -> None:
        self.channel = channel
        self.listeners: dict[Subscriber, None] = {}
        self._read = read
        # The state of each instrument that was sent last, without its instrument, seq and time.
        self._last: dict[str, tuple[Any, ...]] = {}

    def join(self, session: Subscriber, views: Views) -> None:
        """Subscribe, and send the current states of the instruments that have not expired."""
        self.flush(views, (), True)
        self.listeners[session] = None
        if states := [self._read(views, one.instrument_id) for one in views.live_instruments(self.channel.asset)]:
            session.notify(self.channel.name, notification_text(self.channel.name, states))

    def restart(self, views: Views) -> None:
        """Send all subscribers the current states, even if they equal the last ones."""
        self._last = {}
        self.flush(views, (), True)

    def flush(self, views: Views, changed: Iterable[str], all_changed: bool) -> int:
        """Send the states that differ from the last ones by more than their time. Returns the number of messages."""
        asset = self.channel.asset
        names = dict.fromkeys([name for name in changed if asset_of(name) == asset and name in views.instruments])
        if all_changed:
            names |= dict.fromkeys([instrument.instrument_id for instrument in views.live_instruments(asset)])
        states = []
        for name in names:
            state = self._read(views, name)
            if (content := _content(state)) != self._last.get(name):
                self._last[name] = content
                states.append(state)
                if views.instruments[name].state == "expired":
                    del self._last[name]
        if not states:
            return 0
        text = notification_text(self.channel.name, states)
        for session in self.listeners:
            session.notify(self.channel.name, text)
        return len(self.listeners)


def _content(state: Ticker | TopOfBook) -> tuple[Any, ...]:
    """The state without its instrument, seq and time."""
    return msgspec.structs.astuple(state)[3:]
