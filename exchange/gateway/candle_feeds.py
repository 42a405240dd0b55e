"""The candle channels: the running candle at once and after each change, and each candle that began since."""

from collections.abc import Iterator

from exchange.domain.units import cost_micros
from exchange.gateway.channels import Channel
from exchange.gateway.jsonrpc import notification_text
from exchange.gateway.limits import FLAT_CANDLES_MAX
from exchange.gateway.subscriber import Subscriber
from exchange.projections.candles import RunningCandle, flat
from exchange.projections.fold import Change
from exchange.projections.views import Views
from exchange.projections.wire_types import Candle, Candles


class CandleFeeds:
    """All candle channels. `note` takes the changes of each command, and `flush` sends what they changed."""

    def __init__(self) -> None:
        self._feeds: dict[str, CandleFeed] = {}  # by channel name
        # The same, by instrument or asset.
        self._of: dict[str, list[CandleFeed]] = {}
        self._changed: dict[CandleFeed, None] = {}
        self._seq = self._ts_us = 0
        # No running candle ends before this time.
        self._next_us = 0

    @property
    def is_used(self) -> bool:
        """True if a channel has a subscriber."""
        return bool(self._feeds)

    def join(self, session: Subscriber, channel: Channel, views: Views) -> None:
        """Subscribe, and send the running candle. Messages that wait for the other subscribers leave before."""
        if not self._feeds:
            self._seq, self._ts_us = views.seq, views.ts_us
        feed = self._feeds.get(channel.name)
        if feed is None:
            feed = self._feeds[channel.name] = CandleFeed(channel, views)
            self._of.setdefault(feed.of, []).append(feed)
            self._next_us = min(self._next_us, feed.next_us)
        else:
            feed.flush(self._seq, self._ts_us)
        feed.join(session)

    def leave(self, session: Subscriber, channel: Channel) -> None:
        """Unsubscribe."""
        feed = self._feeds.get(channel.name)
        if feed is not None:
            feed.listeners.pop(session, None)
            if not feed.listeners:
                del self._feeds[channel.name]
                self._changed.pop(feed, None)
                self._of[feed.of].remove(feed)
                if not self._of[feed.of]:
                    del self._of[feed.of]

    def note(self, change: Change) -> None:
        """Take the trades and the index price of a command."""
        self._seq, self._ts_us = change.seq, change.ts_us
        for trade in change.trades:
            notional_micros = cost_micros(trade.price_micros, trade.size_milli)
            for feed in self._of.get(trade.instrument_id, ()):
                feed.add(change, trade.price_micros, trade.size_milli, notional_micros)
                self._changed[feed] = None
        if change.index is not None:
            for feed in self._of.get(change.index.asset, ()):
                feed.add(change, change.index.price_micros)
                self._changed[feed] = None

    def flush(self, views: Views) -> int:
        """Send the candles that changed or began since the last flush. Returns the number of messages."""
        if self._ts_us >= self._next_us:
            due = list(self._feeds.values())
        elif self._changed:
            due = list(self._changed)
        else:
            return 0
        self._changed = {}
        sent = 0
        for feed in due:
            feed.end(views)
            sent += feed.flush(self._seq, self._ts_us)
        self._next_us = min((feed.next_us for feed in self._feeds.values()), default=0)
        return sent

    def restart(self, views: Views) -> None:
        """Continue at another moment: send all subscribers the running candles of it."""
        self._changed = {}
        self._seq, self._ts_us, self._next_us = views.seq, views.ts_us, 0
        for feed in self._feeds.values():
            feed.restart(views)


class CandleFeed:
    """One channel: its subscribers, the running candle, and the candles that ended since the last message.

    `of` is its instrument or asset. `next_us` is the end of the running candle.
    """

    def __init__(self, channel: Channel, views: Views) -> None:
        self.channel = channel
        self.of = channel.asset or channel.instrument_id
        self.listeners: dict[Subscriber, None] = {}
        self._running: RunningCandle | None = None
        self._ended: list[Candle] = []
        self._is_changed = self._has_ended = False
        # The last command that is included, the last one that the running candle had when it began here, and the begin
        # of the first candle.
        self._seq = self._since_seq = self._first_us = 0
        self.next_us = 0
        self._begin(views)

    def join(self, session: Subscriber) -> None:
        """Subscribe, and send the running candle, if there is one."""
        self.listeners[session] = None
        if self._running is not None:
            session.notify(self.channel.name, self._text([self._running.view()]))

    def restart(self, views: Views) -> None:
        """Begin again with the running candle of this moment."""
        self._begin(views)
        if self._running is not None:
            self._send([self._running.view()])

    def end(self, views: Views) -> None:
        """Let no candle begin after the expiration of the instrument."""
        instrument = views.instruments.get(self.channel.instrument_id)
        self._has_ended = instrument is not None and instrument.state == "expired"

    def add(self, change: Change, price_micros: int, size_milli: int = 0, notional_micros: int = 0) -> None:
        """Add a trade or a price, unless the candle had it when it began here."""
        if change.seq <= self._since_seq:
            return
        self._advance(change.ts_us)
        if self._running is None:
            begin_us = change.ts_us - change.ts_us % self.channel.length_us
            if begin_us < self._first_us:
                return
            self._running = flat(begin_us, price_micros)
        self._running.add(price_micros, size_milli, notional_micros)
        self._is_changed = True

    def flush(self, seq: int, ts_us: int) -> int:
        """Send the candles that ended or began, and the running one if it changed. Returns the number of messages."""
        self._seq = max(seq, self._seq)
        self._advance(ts_us)
        candles, self._ended = self._ended, []
        if self._running is not None and self._is_changed:
            candles.append(self._running.view())
        self._is_changed = False
        return self._send(candles) if candles else 0

    def _begin(self, views: Views) -> None:
        if self.channel.asset:
            self._running = views.index_candle(self.of, self.channel.length_us)
        elif self.of in views.instruments:
            self._running = views.trade_candle(self.of, self.channel.length_us)
        else:
            # Not listed yet. Only a replay can have subscribers of it.
            self._running = None
        self._seq = self._since_seq = views.seq
        begin_us = views.ts_us - views.ts_us % self.channel.length_us
        self.next_us = begin_us + self.channel.length_us
        # If the present interval has trades that are not known any more, the first candle is that of the next one.
        is_known = self._running is not None or not self._has_prices(views)
        self._first_us = begin_us if is_known else self.next_us
        self._ended = []
        self._is_changed = self._has_ended = False

    def _has_prices(self, views: Views) -> bool:
        if self.channel.asset:
            return self.of in views.indexes
        return self.of in views.instruments and views.last_price_micros(self.of) is not None

    def _advance(self, ts_us: int) -> None:
        """Enter the interval of `ts_us`: the running candle ends, and flat ones fill the time since."""
        if ts_us < self.next_us:
            return
        length_us = self.channel.length_us
        begin_us = ts_us - ts_us % length_us
        running = self._running
        if running is not None and not self._has_ended:
            if self._is_changed:
                self._ended.append(running.view())
            self._ended += self._flat_until(begin_us, running)
            self._running = flat(begin_us, running.close_micros)
            self._is_changed = True
        self.next_us = begin_us + length_us

    def _flat_until(self, begin_us: int, running: RunningCandle) -> Iterator[Candle]:
        """The flat candles after the running one, at most FLAT_CANDLES_MAX and the newest of them."""
        length_us = self.channel.length_us
        first_us = max(running.begin_us + length_us, begin_us - FLAT_CANDLES_MAX * length_us)
        return (flat(at_us, running.close_micros).view() for at_us in range(first_us, begin_us, length_us))

    def _send(self, candles: list[Candle]) -> int:
        text = self._text(candles)
        for session in self.listeners:
            session.notify(self.channel.name, text)
        return len(self.listeners)

    def _text(self, candles: list[Candle]) -> bytes:
        return notification_text(self.channel.name, Candles(candles, self._seq))
