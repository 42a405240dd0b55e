"""The subscribers of all channels. Streams are sent after every command, the other channels after every batch."""

from exchange.catch_up.streams import Key, RecentUpdates, encode, key_of, message_text
from exchange.gateway.book_feeds import InstrumentBooks
from exchange.gateway.channels import STATEFUL, Channel
from exchange.gateway.latest_feed import LatestFeed
from exchange.gateway.subscriber import Subscriber
from exchange.projections.fold import Change
from exchange.projections.rolling_statistics import US_PER_MINUTE
from exchange.projections.views import Views


class Subscriptions:
    """All subscriptions of an exchange. Notifications leave in `seq` order, after the answer to their command."""

    def __init__(self, views: Views) -> None:
        self.recent = RecentUpdates(views.seq)
        self._views = views
        # Of streams.
        self._listeners: dict[Key, dict[Subscriber, None]] = {}
        self._books: dict[str, InstrumentBooks] = {}  # by instrument
        self._changed_books: dict[str, None] = {}
        self._tickers: dict[str, LatestFeed] = {}  # by instrument
        self._changed_tickers: dict[str, None] = {}
        self._quotes: dict[str, LatestFeed] = {}  # by instrument
        self._changed_quotes: dict[str, None] = {}
        # The last minute of exchange time that compared all tickers.
        self._tickers_minute = 0
        # Streams with a state that begin after the command that is published next.
        self._waiting: list[tuple[Subscriber, Channel]] = []
        self._cancel_on_disconnect: dict[str, set[Subscriber]] = {}

    def subscribe(self, session: Subscriber, channel: Channel) -> None:
        """Start to send a channel. A book begins with a snapshot, a ticker or quote with its values."""
        if channel.is_stream:
            key = key_of(channel.name, session.user_id)
            self._listeners.setdefault(key, {})[session] = None
            self.recent.listen(key)
            return
        if channel.kind in ("tickers", "quote"):
            feeds = self._feeds(channel)
            feed = feeds.get(channel.instrument_id)
            if feed is None:
                read = Views.ticker if channel.kind == "tickers" else Views.quote
                feed = feeds[channel.instrument_id] = LatestFeed(channel, read)
            feed.join(session, self._views)
        else:
            books = self._books.get(channel.instrument_id)
            if books is None:
                books = self._books[channel.instrument_id] = InstrumentBooks(channel.instrument_id, self._views)
            books.join(session, channel, self._views)

    def begin(self, session: Subscriber, channel: Channel) -> None:
        """Start to send a channel. A stream with a state begins with it, as it is after the last published command."""
        if channel.kind not in STATEFUL:
            self.subscribe(session, channel)
        elif self._views.seq >= self.recent.next_seq:
            # The answer to a command lets the channel begin, and the messages of that command are still to come.
            self._waiting.append((session, channel))
        else:
            self.subscribe(session, channel)
            views, user_id = self._views, session.user_id
            state = views.balance(user_id) if channel.kind == "user.balance" else views.position_views(user_id)
            session.notify(channel.name, message_text(channel.name, views.seq, state))

    def unsubscribe(self, session: Subscriber, channel: Channel) -> None:
        """Stop sending a channel, if it was subscribed."""
        if self._waiting:
            self._waiting = [one for one in self._waiting if one != (session, channel)]
        if channel.is_stream:
            key = key_of(channel.name, session.user_id)
            listeners = self._listeners.get(key, {})
            listeners.pop(session, None)
            if not listeners and self._listeners.pop(key, None) is not None:
                self.recent.unlisten(key)
        elif channel.kind in ("tickers", "quote"):
            feeds = self._feeds(channel)
            if feed := feeds.get(channel.instrument_id):
                feed.listeners.pop(session, None)
                if not feed.listeners:
                    del feeds[channel.instrument_id]
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
        """Continue at another moment: books, tickers and quotes begin again, streams skip the commands in between."""
        self._views = views
        self.recent.restart(views.seq)
        self._begin_waiting()
        self._changed_books = {}
        self._books = {name: books.at(views) for name, books in self._books.items()}
        self._changed_tickers, self._changed_quotes = {}, {}
        for feed in (*self._tickers.values(), *self._quotes.values()):
            feed.restart(views)

    def publish(self, change: Change) -> None:
        """Send the stream notifications of one command, and remember them. `flush` sends the others."""
        if self._books and change.books:
            self._changed_books |= dict.fromkeys(change.books)
        if self._tickers:
            self._note_tickers(change)
        if self._quotes and change.books:
            self._changed_quotes |= dict.fromkeys(change.books)
        update = self.recent.add(change, self._views)
        if self._listeners and update is not None:
            for key, text in encode(update, self._listeners):
                for session in self._listeners[key]:
                    session.notify(key[0], text)
        if self._waiting:
            self._begin_waiting()

    def flush(self) -> int:
        """Send the changes of books, tickers and quotes since the last flush, merged. Returns their number."""
        sent = 0
        for instrument_id in self._changed_books:
            if books := self._books.get(instrument_id):
                sent += books.flush(self._views)
        self._changed_books = {}
        for feeds, changed in ((self._tickers, self._changed_tickers), (self._quotes, self._changed_quotes)):
            for instrument_id in changed:
                if feed := feeds.get(instrument_id):
                    sent += feed.flush(self._views)
        self._changed_tickers, self._changed_quotes = {}, {}
        return sent

    def _begin_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for session, channel in waiting:
            self.begin(session, channel)

    def _feeds(self, channel: Channel) -> dict[str, LatestFeed]:
        return self._tickers if channel.kind == "tickers" else self._quotes

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
