"""The subscribers of all channels. Streams are sent after every command, books and tickers after every batch."""

from typing import Any

import msgspec

from exchange.catch_up.streams import Key, RecentUpdates, encode, key_of
from exchange.gateway.book_feeds import InstrumentBooks
from exchange.gateway.channels import Channel
from exchange.gateway.jsonrpc import notification_text
from exchange.gateway.subscriber import Subscriber
from exchange.projections.fold import Change
from exchange.projections.rolling_volume import US_PER_MINUTE
from exchange.projections.views import Views
from exchange.projections.wire_types import Ticker


class Subscriptions:
    """All subscriptions of an exchange. Notifications leave in `seq` order, after the answer to their command."""

    def __init__(self, views: Views) -> None:
        self.recent = RecentUpdates(views.seq)
        self._views = views
        # Of streams.
        self._listeners: dict[Key, dict[Subscriber, None]] = {}
        self._books: dict[str, InstrumentBooks] = {}  # by instrument
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
        if channel.kind == "tickers":
            ticker = self._tickers.get(channel.instrument_id)
            if ticker is None:
                ticker = self._tickers[channel.instrument_id] = _TickerFeed(channel)
            ticker.flush(self._views)
            ticker.join(session, self._views)
        else:
            books = self._books.get(channel.instrument_id)
            if books is None:
                books = self._books[channel.instrument_id] = InstrumentBooks(channel.instrument_id, self._views)
            books.join(session, channel, self._views)

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
        elif (books := self._books.get(channel.instrument_id)) and not books.leave(session, channel):
            del self._books[channel.instrument_id]

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
        self._books = {name: books.at(views) for name, books in self._books.items()}
        self._changed_tickers = {}
        for ticker in self._tickers.values():
            ticker.restart(views)

    def publish(self, change: Change) -> None:
        """Send the stream notifications of one command, and remember them. `flush` sends books and tickers."""
        if self._books and change.books:
            self._changed_books |= dict.fromkeys(change.books)
        if self._tickers:
            self._note_tickers(change)
        update = self.recent.add(change, self._views)
        if self._listeners and update is not None:
            for key, text in encode(update, self._listeners):
                for session in self._listeners[key]:
                    session.notify(key[0], text)

    def flush(self) -> int:
        """Send the changes of all books and tickers since the last flush, merged. Returns the number of messages."""
        sent = 0
        for instrument_id in self._changed_books:
            if books := self._books.get(instrument_id):
                sent += books.flush(self._views)
        self._changed_books = {}
        for instrument_id in self._changed_tickers:
            if ticker := self._tickers.get(instrument_id):
                sent += ticker.flush(self._views)
        self._changed_tickers = {}
        return sent

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

    def flush(self, views: Views) -> int:
        """Send the ticker if anything but its time differs from the last one. Returns the number of messages."""
        if self.channel.instrument_id not in views.instruments:
            return 0
        ticker = views.ticker(self.channel.instrument_id)
        if self._last is not None and _content(ticker) == _content(self._last):
            return 0
        self._last = ticker
        text = notification_text(self.channel.name, ticker)
        for session in self.listeners:
            session.notify(self.channel.name, text)
        return len(self.listeners)


def _content(ticker: Ticker) -> tuple[Any, ...]:
    """The ticker without its instrument, seq and time."""
    return msgspec.structs.astuple(ticker)[3:]
