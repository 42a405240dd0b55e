"""The book channels: a snapshot first, then the levels that changed, taken from the levels that commands changed."""

import msgspec

from exchange.gateway.channels import Channel
from exchange.gateway.jsonrpc import notification_text
from exchange.gateway.subscriber import Subscriber
from exchange.projections.depth import Depth
from exchange.projections.views import Views
from exchange.projections.wire_types import BookLevel


class BookSnapshot(msgspec.Struct, tag_field="type", tag="snapshot"):
    """The best levels of an order book."""

    instrument_id: str
    seq: int
    ts_us: int
    bids: list[BookLevel]
    asks: list[BookLevel]


class BookChange(msgspec.Struct, tag_field="type", tag="change"):
    """The levels of an order book that changed, with their new values."""

    prev_seq: int
    seq: int
    ts_us: int
    bids: list[BookLevel]
    asks: list[BookLevel]


class InstrumentBooks:
    """All book channels of one instrument, by depth."""

    def __init__(self, instrument_id: str, views: Views) -> None:
        self._instrument_id = instrument_id
        self._feeds: dict[int, _BookFeed] = {}
        # An instrument that is not listed yet has no depth. Only a replay can have subscribers of it.
        self._depth = views.depths.get(instrument_id) or Depth()
        self._depth.watch(True)

    def join(self, session: Subscriber, channel: Channel, views: Views) -> None:
        """Subscribe, and send a snapshot of the current book."""
        self._collect(views)
        feed = self._feeds.get(channel.depth)
        if feed is None:
            feed = self._feeds[channel.depth] = _BookFeed(channel, self._depth)
        feed.flush(views)
        feed.join(session, views)

    def leave(self, session: Subscriber, channel: Channel) -> bool:
        """Unsubscribe. Returns False if no subscriber is left."""
        feed = self._feeds.get(channel.depth)
        if feed is not None:
            feed.seen_seq.pop(session, None)
            if not feed.seen_seq:
                del self._feeds[channel.depth]
        if not self._feeds:
            self._depth.watch(False)
        return bool(self._feeds)

    def flush(self, views: Views) -> int:
        """Send the levels that changed, if any did. Returns the number of notifications."""
        self._collect(views)
        return sum(feed.flush(views) for feed in self._feeds.values())

    def at(self, views: Views) -> "InstrumentBooks":
        """Return the same channels at another moment. Their subscribers get a snapshot of it."""
        moved = InstrumentBooks(self._instrument_id, views)
        for feed in self._feeds.values():
            for session in feed.seen_seq:
                moved.join(session, feed.channel, views)
        return moved

    def _collect(self, views: Views) -> None:
        """Hand the prices whose levels changed to all channels. A new subscriber lets one of them send early."""
        listed = views.depths.get(self._instrument_id)
        if listed is not None and listed is not self._depth:
            self._depth = listed
            self._depth.watch(True)
            for feed in self._feeds.values():
                feed.follow(listed)
        bids, asks = self._depth.take_changed()
        for feed in self._feeds.values():
            feed.changed_bids |= bids
            feed.changed_asks |= asks


class _BookFeed:
    """One book channel: the levels that its subscribers have, and the seq of the last message to each of them.

    `changed_bids` and `changed_asks` have the prices whose levels changed since the last message.
    """

    def __init__(self, channel: Channel, depth: Depth) -> None:
        self.channel = channel
        self.follow(depth)
        self.changed_bids: dict[int, None] = {}
        self.changed_asks: dict[int, None] = {}
        self.seen_seq: dict[Subscriber, int] = {}

    def follow(self, depth: Depth) -> None:
        """Take the levels from this depth. Subscribers know none of them."""
        self._depth = depth
        self._bids, self._asks = depth.top_levels(self.channel.depth)

    def join(self, session: Subscriber, views: Views) -> None:
        """Subscribe, and send a snapshot of the current book."""
        self.seen_seq[session] = views.seq
        levels = self._depth.bids(self.channel.depth), self._depth.asks(self.channel.depth)
        snapshot = BookSnapshot(self.channel.instrument_id, views.seq, views.ts_us, *levels)
        session.notify(self.channel.name, notification_text(self.channel.name, snapshot))

    def flush(self, views: Views) -> int:
        """Send the levels that differ from those that the subscribers have. Returns the number of notifications."""
        bids, asks = self._bids.take_changes(self.changed_bids), self._asks.take_changes(self.changed_asks)
        self.changed_bids, self.changed_asks = {}, {}
        if not bids and not asks:
            return 0
        texts: dict[int, bytes] = {}
        for session, prev_seq in self.seen_seq.items():
            text = texts.get(prev_seq)
            if text is None:
                change = BookChange(prev_seq, views.seq, views.ts_us, bids, asks)
                text = texts[prev_seq] = notification_text(self.channel.name, change)
            session.notify(self.channel.name, text)
        self.seen_seq = dict.fromkeys(self.seen_seq, views.seq)
        return len(self.seen_seq)
