"""Who listens to what, and what they are sent: streams after every command, books and tickers after every batch."""

from typing import Any, Protocol

import msgspec

from exchange.catch_up.streams import Key, RecentUpdates, encode, key_of, update_of
from exchange.gateway.channels import Channel
from exchange.gateway.jsonrpc import notification_text
from exchange.projections.depth import Depth
from exchange.projections.rolling_volume import US_PER_MINUTE
from exchange.projections.views import Change, Views
from exchange.projections.wire_types import BookLevel, Ticker


class Subscriber(Protocol):
    """A connection that subscribes to channels."""

    @property
    def user_id(self) -> str: ...

    @property
    def channels(self) -> dict[str, Channel]:
        """The channels it has subscribed to, by name."""
        ...

    def notify(self, channel_name: str, text: bytes) -> None:
        """Send a live notification."""
        ...


class BookSnapshot(msgspec.Struct, tag_field="type", tag="snapshot"):
    instrument_id: str
    seq: int
    ts_us: int
    bids: list[BookLevel]
    asks: list[BookLevel]


class BookChange(msgspec.Struct, tag_field="type", tag="change"):
    """The levels that changed since `prev_seq`, with their new values. Size 0: the level left the view."""

    prev_seq: int
    seq: int
    ts_us: int
    bids: list[BookLevel]
    asks: list[BookLevel]


_UNLISTED = Depth()  # of an instrument before it was listed, which only a replay can come to


class Subscriptions:
    """All subscriptions. Notifications leave in `seq` order: first what a command tells, after its answer."""

    def __init__(self, views: Views) -> None:
        self.recent = RecentUpdates(views.seq)
        self._views = views
        self._listeners: dict[Key, dict[Subscriber, None]] = {}  # of streams
        self._books: dict[str, dict[int, _BookFeed]] = {}  # by instrument and depth
        self._changed_books: dict[str, None] = {}
        self._tickers: dict[str, _TickerFeed] = {}  # by instrument
        self._changed_tickers: dict[str, None] = {}
        self._tickers_minute = 0  # of exchange time, when they were looked at last
        self._cancel_on_disconnect: dict[str, set[Subscriber]] = {}

    def subscribe(self, session: Subscriber, channel: Channel) -> None:
        """Start sending a channel; a book begins with a snapshot, a ticker with how it is."""
        if channel.is_stream:
            self._listeners.setdefault(key_of(channel.name, session.user_id), {})[session] = None
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
        """Stop sending a channel, where it was being sent."""
        if channel.is_stream:
            key = key_of(channel.name, session.user_id)
            listeners = self._listeners.get(key, {})
            listeners.pop(session, None)
            if not listeners:
                self._listeners.pop(key, None)
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
        """The connection is gone."""
        for channel in session.channels.values():
            self.unsubscribe(session, channel)

    def set_cancel_on_disconnect(self, session: Subscriber, enabled: bool) -> bool:
        """Note whether this connection wants it. Returns whether any connection of the same user does."""
        sessions = self._cancel_on_disconnect.setdefault(session.user_id, set())
        (sessions.add if enabled else sessions.discard)(session)
        return bool(sessions)

    def on_seek(self, views: Views) -> None:
        """Go on from another moment: books and tickers begin again there, streams say nothing of what is left out."""
        self._views = views
        self.recent.restart(views.seq)
        self._changed_books = {}
        for books in self._books.values():
            for depth, book in books.items():
                books[depth] = begun = _BookFeed(book.channel, views)
                for session in book.seen_seq:
                    begun.join(session, views)
        self._changed_tickers = {}
        for ticker in self._tickers.values():
            ticker.begin(views)

    def publish(self, change: Change) -> None:
        """Send what one command has to tell on the streams, and remember it; `flush` sends books and tickers."""
        if change.books:
            self._changed_books |= dict.fromkeys(change.books)
        if self._tickers:
            self._note_tickers(change)
        told = update_of(change, self._views)
        self.recent.add(told)
        if self._listeners:
            for key, text in encode(told, self._listeners):
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
        """Which tickers a command may have changed. A minute that passes may change them all, as may a settlement."""
        minute = change.ts_us // US_PER_MINUTE
        if minute != self._tickers_minute or change.settlements:
            self._tickers_minute = minute
            self._changed_tickers |= dict.fromkeys(self._tickers)
            return
        self._changed_tickers |= dict.fromkeys(change.books) | dict.fromkeys(change.instruments)
        if change.repriced:
            instruments = self._views.instruments
            for instrument_id in self._tickers:
                instrument = instruments.get(instrument_id)  # None: not listed yet, which only a replay can come to
                if instrument is not None and instrument.asset in change.repriced:
                    self._changed_tickers[instrument_id] = None


class _TickerFeed:
    """One ticker channel: who listens, and what they were sent last."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.listeners: dict[Subscriber, None] = {}
        self._last: Ticker | None = None

    def join(self, session: Subscriber, views: Views) -> None:
        """Send the ticker as of now."""
        self.listeners[session] = None
        if self.channel.instrument_id in views.instruments:
            ticker = views.ticker(self.channel.instrument_id)
            session.notify(self.channel.name, notification_text(self.channel.name, ticker))

    def begin(self, views: Views) -> None:
        """Send everybody the ticker as of now, whatever they were sent before."""
        self._last = None
        self.flush(views)

    def flush(self, views: Views) -> None:
        """Send the ticker, where more of it than its time is different from what was sent last."""
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
    """What a ticker says besides when."""
    return msgspec.structs.astuple(ticker)[3:]


class _BookFeed:
    """One book channel: what its listeners have seen, and up to which seq each has seen it."""

    def __init__(self, channel: Channel, views: Views) -> None:
        self.channel = channel
        self._bids, self._asks = self._levels(views)
        self.seen_seq: dict[Subscriber, int] = {}

    def join(self, session: Subscriber, views: Views) -> None:
        """Send a snapshot, as of now."""
        self.seen_seq[session] = views.seq
        snapshot = BookSnapshot(self.channel.instrument_id, views.seq, views.ts_us, self._bids, self._asks)
        session.notify(self.channel.name, notification_text(self.channel.name, snapshot))

    def flush(self, views: Views) -> None:
        """Send the levels that differ from what was sent last; nothing where none does."""
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
    """The levels of `new` that are not in `old`, and those that left, with size 0."""
    if old == new:
        return []
    before = {level.price_micros: level for level in old}
    changes = [level for level in new if before.pop(level.price_micros, None) != level]
    return changes + [BookLevel(price_micros, 0, 0) for price_micros in before]
