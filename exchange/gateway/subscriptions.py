"""The subscribers of all channels. Streams are sent after every command, books and tickers after every batch."""

from typing import Any, Protocol

import msgspec

from exchange.catch_up.streams import Key, RecentUpdates, encode, key_of
from exchange.gateway.channels import Channel
from exchange.gateway.jsonrpc import notification_text
from exchange.projections.depth import Depth
from exchange.projections.fold import Change
from exchange.projections.rolling_volume import US_PER_MINUTE
from exchange.projections.views import Views
from exchange.projections.wire_types import BookLevel, Ticker


class Subscriber(Protocol):
    """A connection that subscribes to channels."""

    @property
    def user_id(self) -> str: ...

    @property
    def subscribed(self) -> dict[str, Channel]:
        """The channels it has subscribed to, by name."""
        ...

    def notify(self, channel_name: str, text: bytes) -> None:
        """Send a live notification."""
        ...


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


# The book of an instrument that is not listed yet. Only a replay can have subscribers of it.
_UNLISTED = Depth()


class Subscriptions:
    """All subscriptions of an exchange. Notifications leave in `seq` order, after the answer to their command."""

    def __init__(self, views: Views) -> None:
        self.recent = RecentUpdates(views.seq)
        self._views = views
        # Of streams.
        self._listeners: dict[Key, dict[Subscriber, None]] = {}
        self._books: dict[str, dict[int, _BookFeed]] = {}  # by instrument and depth
        self._changed_books: dict[str, None] = {}
        self._tickers: dict[str, _TickerFeed] = {}  # by instrument
        self._changed_tickers: dict[str, None] = {}
        # The last minute of exchange time that compared all tickers.
        self._tickers_minute = 0
        self._cancel_on_disconnect: dict[str, set[Subscriber]] = {}

    def subscribe(self, session: Subscriber, channel: Channel) -> None:
        """Start to send a channel. A book begins with a snapshot, a ticker with its current values."""
        if channel.is_stream:
            key = key_of(channel.name, session.user_id)
            self._listeners.setdefault(key, {})[session] = None
            self.recent.listen(key)
            return
        feed: _BookFeed | _TickerFeed | None
        if channel.kind == "tickers":
            feed = self._tickers.get(channel.instrument_id)
            if feed is None:
                feed = self._tickers[channel.instrument_id] = _TickerFeed(channel)
        else:
            books = self._books.setdefault(channel.instrument_id, {})
            feed = books.get(channel.depth)
            if feed is None:
                feed = books[channel.depth] = _BookFeed(channel, self._views)
        feed.flush(self._views)
        feed.join(session, self._views)

    def unsubscribe(self, session: Subscriber, channel: Channel) -> None:
        """Stop sending a channel, if it was subscribed."""
        if channel.is_stream:
            key = key_of(channel.name, session.user_id)
            listeners = self._listeners.get(key, {})
            listeners.pop(session, None)
            if not listeners and self._listeners.pop(key, None) is not None:
                self.recent.unlisten(key)
        elif channel.kind == "tickers":
            if ticker := self._tickers.get(channel.instrument_id):
                ticker.listeners.pop(session, None)
                if not ticker.listeners:
                    del self._tickers[channel.instrument_id]
        elif book := self._books.get(channel.instrument_id, {}).get(channel.depth):
            book.seen_seq.pop(session, None)
            if not book.seen_seq:
                del self._books[channel.instrument_id][channel.depth]

    def forget(self, session: Subscriber) -> None:
        """Remove all subscriptions of a closed connection."""
        for channel in session.subscribed.values():
            self.unsubscribe(session, channel)

    def set_cancel_on_disconnect(self, session: Subscriber, enabled: bool) -> bool:
        """Switch cancel-on-disconnect of one connection. Returns True if any connection of its user has it."""
        sessions = self._cancel_on_disconnect.setdefault(session.user_id, set())
        (sessions.add if enabled else sessions.discard)(session)
        return bool(sessions)

    def on_seek(self, views: Views) -> None:
        """Continue at another moment: books and tickers begin again, streams skip the commands in between."""
        self._views = views
        self.recent.restart(views.seq)
        self._changed_books = {}
        for books in self._books.values():
            for depth, book in books.items():
                books[depth] = new_book = _BookFeed(book.channel, views)
                for session in book.seen_seq:
                    new_book.join(session, views)
        self._changed_tickers = {}
        for ticker in self._tickers.values():
            ticker.restart(views)

    def publish(self, change: Change) -> None:
        """Send the stream notifications of one command, and remember them. `flush` sends books and tickers."""
        if change.books:
            self._changed_books |= dict.fromkeys(change.books)
        if self._tickers:
            self._note_tickers(change)
        update = self.recent.add(change, self._views)
        if self._listeners and update is not None:
            for key, text in encode(update, self._listeners):
                for session in self._listeners[key]:
                    session.notify(key[0], text)

    def flush(self) -> None:
        """Send the changes of all books and tickers since the last flush, merged."""
        for instrument_id in self._changed_books:
            for book in self._books.get(instrument_id, {}).values():
                book.flush(self._views)
        self._changed_books = {}
        for instrument_id in self._changed_tickers:
            if ticker := self._tickers.get(instrument_id):
                ticker.flush(self._views)
        self._changed_tickers = {}

    def _note_tickers(self, change: Change) -> None:
        """Note the tickers that a command may have changed: all of them in a new minute and after a settlement."""
        minute = change.ts_us // US_PER_MINUTE
        if minute != self._tickers_minute or change.settlements:
            self._tickers_minute = minute
            self._changed_tickers |= dict.fromkeys(self._tickers)
            return
        self._changed_tickers |= dict.fromkeys(change.books) | dict.fromkeys(change.instruments)
        if change.repriced:
            instruments = self._views.instruments
            for instrument_id in self._tickers:
                # None if it is not listed yet. Only a replay can have subscribers of it.
                instrument = instruments.get(instrument_id)
                if instrument is not None and instrument.asset in change.repriced:
                    self._changed_tickers[instrument_id] = None


class _TickerFeed:
    """One ticker channel: its subscribers and the ticker that was sent last."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.listeners: dict[Subscriber, None] = {}
        self._last: Ticker | None = None

    def join(self, session: Subscriber, views: Views) -> None:
        """Subscribe, and send the current ticker."""
        self.listeners[session] = None
        if self.channel.instrument_id in views.instruments:
            ticker = views.ticker(self.channel.instrument_id)
            session.notify(self.channel.name, notification_text(self.channel.name, ticker))

    def restart(self, views: Views) -> None:
        """Send all subscribers the current ticker, even if it equals the last one."""
        self._last = None
        self.flush(views)

    def flush(self, views: Views) -> None:
        """Send the ticker if anything but its time differs from the last one."""
        if self.channel.instrument_id not in views.instruments:
            return
        ticker = views.ticker(self.channel.instrument_id)
        if self._last is not None and _content(ticker) == _content(self._last):
            return
        self._last = ticker
        text = notification_text(self.channel.name, ticker)
        for session in self.listeners:
            session.notify(self.channel.name, text)


def _content(ticker: Ticker) -> tuple[Any, ...]:
    """The ticker without its instrument, seq and time."""
    return msgspec.structs.astuple(ticker)[3:]


class _BookFeed:
    """One book channel: the levels that its subscribers have, and the seq of the last message to each of them."""

    def __init__(self, channel: Channel, views: Views) -> None:
        self.channel = channel
        self._bids, self._asks = self._levels(views)
        self.seen_seq: dict[Subscriber, int] = {}

    def join(self, session: Subscriber, views: Views) -> None:
        """Subscribe, and send a snapshot of the current book."""
        self.seen_seq[session] = views.seq
        snapshot = BookSnapshot(self.channel.instrument_id, views.seq, views.ts_us, self._bids, self._asks)
        session.notify(self.channel.name, notification_text(self.channel.name, snapshot))

    def flush(self, views: Views) -> None:
        """Send the levels that differ from the last ones, if any do."""
        bids, asks = self._levels(views)
        bid_changes, ask_changes = _differences(self._bids, bids), _differences(self._asks, asks)
        if not bid_changes and not ask_changes:
            return
        self._bids, self._asks = bids, asks
        texts: dict[int, bytes] = {}
        for session, prev_seq in self.seen_seq.items():
            text = texts.get(prev_seq)
            if text is None:
                change = BookChange(prev_seq, views.seq, views.ts_us, bid_changes, ask_changes)
                text = texts[prev_seq] = notification_text(self.channel.name, change)
            session.notify(self.channel.name, text)
        self.seen_seq = dict.fromkeys(self.seen_seq, views.seq)

    def _levels(self, views: Views) -> tuple[list[BookLevel], list[BookLevel]]:
        depth = views.depths.get(self.channel.instrument_id, _UNLISTED)
        return depth.bids(self.channel.depth), depth.asks(self.channel.depth)


def _differences(old: list[BookLevel], new: list[BookLevel]) -> list[BookLevel]:
    """The levels of `new` that are not in `old`, and those that were removed, with size 0."""
    if old == new:
        return []
    before = {level.price_micros: level for level in old}
    changes = [level for level in new if before.pop(level.price_micros, None) != level]
    return changes + [BookLevel(price_micros, 0, 0) for price_micros in before]
