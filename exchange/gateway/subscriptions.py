"""The subscribers of all channels. Streams are sent after every command, the other channels after every batch."""

from exchange.catch_up.streams import Key, RecentUpdates, encode, key_of, message_text
from exchange.gateway.book_feeds import InstrumentBooks
from exchange.gateway.candle_feeds import CandleFeeds
from exchange.gateway.channels import STATEFUL, Channel
from exchange.gateway.latest_feed import LatestFeeds
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
        self._tickers = LatestFeeds(Views.ticker)
        self._quotes = LatestFeeds(Views.quote)
        self._candles = CandleFeeds()
        # The last minute of exchange time that compared all tickers.
        self._tickers_minute = 0
        # Streams with a state that begin after the command that is published next.
        self._waiting: list[tuple[Subscriber, Channel]] = []
        self._cancel_on_disconnect: dict[str, set[Subscriber]] = {}
        self._last_connection = 0

    def subscribe(self, session: Subscriber, channel: Channel) -> None:
        """Start to send a channel. A book begins with a snapshot, a ticker, quote or candle with its values."""
        if channel.is_stream:
            key = key_of(channel.name, session.user_id)
            self._listeners.setdefault(key, {})[session] = None
            self.recent.listen(key)
            return
        if feeds := self._feeds(channel):
            feeds.join(session, channel, self._views)
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
        elif feeds := self._feeds(channel):
            feeds.leave(session, channel)
        elif (books := self._books.get(channel.instrument_id)) and not books.leave(session, channel):
            del self._books[channel.instrument_id]

    def forget(self, session: Subscriber) -> None:
        """Remove all subscriptions of a closed connection."""
        for channel in session.subscribed.values():
            self.unsubscribe(session, channel)

    def number_connection(self) -> int:
        """Return a number for a connection that orders depend on: from 1, each once in a run of the server."""
        self._last_connection += 1
        return self._last_connection

    def set_cancel_on_disconnect(self, session: Subscriber, enabled: bool) -> bool:
        """Switch cancel-on-disconnect of a connection for all orders of its user.

        Returns True if any connection of the user has it.
        """
        sessions = self._cancel_on_disconnect.setdefault(session.user_id, set())
        (sessions.add if enabled else sessions.discard)(session)
        return bool(sessions)

    def on_seek(self, views: Views) -> None:
        """Continue at another moment: streams skip the commands in between, and all other channels begin again."""
        self._views = views
        self.recent.restart(views.seq)
        self._begin_waiting()
        self._changed_books = {}
        self._books = {name: books.at(views) for name, books in self._books.items()}
        for feeds in (self._tickers, self._quotes, self._candles):
            feeds.restart(views)

    def publish(self, change: Change) -> None:
        """Send the stream notifications of one command, and remember them. `flush` sends the others."""
        if self._books and change.books:
            self._changed_books |= dict.fromkeys(change.books)
        if self._tickers.is_used:
            self._note_tickers(change)
        if self._quotes.is_used:
            self._note_quotes(change)
        if self._candles.is_used:
            self._candles.note(change)
        update = self.recent.add(change, self._views)
        if self._listeners and update is not None:
            for key, text in encode(update, self._listeners):
                for session in self._listeners[key]:
                    session.notify(key[0], text)
        if self._waiting:
            self._begin_waiting()

    def flush(self) -> int:
        """Send the changes of books, tickers, quotes and candles since the last flush, merged. Returns their number."""
        sent = 0
        for instrument_id in self._changed_books:
            if books := self._books.get(instrument_id):
                sent += books.flush(self._views)
        self._changed_books = {}
        for feeds in (self._tickers, self._quotes, self._candles):
            sent += feeds.flush(self._views)
        return sent

    def _begin_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for session, channel in waiting:
            self.begin(session, channel)

    def _feeds(self, channel: Channel) -> LatestFeeds | CandleFeeds | None:
        """Return the feeds of a channel; None for a book."""
        name = channel.kind.partition(".")[0]
        if name == "candles":
            return self._candles
        return {"tickers": self._tickers, "quote": self._quotes}.get(name)

    def _note_tickers(self, change: Change) -> None:
        """Note the tickers that a command may have changed: all of them in a new minute and after a settlement."""
        minute = change.ts_us // US_PER_MINUTE
        if minute != self._tickers_minute or change.settlements:
            self._tickers_minute = minute
            self._tickers.note_all()
        self._tickers.note((*change.books, *change.instruments))
        if change.repriced:
            self._tickers.note_assets(change.repriced, self._views)

    def _note_quotes(self, change: Change) -> None:
        """Note the quotes that a command may have changed. A new instrument has one, too."""
        self._quotes.note((*change.books, *change.instruments))
