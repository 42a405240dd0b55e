"""The order book of one instrument: price levels by price, and in each level the orders in time priority.

A level is a doubly linked list through the orders themselves. To append an order, to remove one and to find the head
take constant time, and an order needs no memory but its own fields.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from exchange.domain.enums import InstrumentState, OrderType, Side, TimeInForce
from exchange.domain.instruments import InstrumentTerms, parse_instrument_id


class Order:
    """One order, open or closed. `size_milli` includes the filled part; `original_*` are the terms when it was placed.

    `level`, `before` and `after` are set while the order rests. `display_milli` is not 0 for an iceberg order: the book
    shows at most so much of it, and now `shown_milli`.
    A quote of a mass quote has an `mmp_group` of its user and a `quote_set_id`, empty if it is in none.
    `connection` is the one whose loss cancels the order, 0 if none does.
    """

    __slots__ = (
        "after",
        "before",
        "book",
        "client_order_id",
        "connection",
        "display_milli",
        "label",
        "level",
        "mmp_group",
        "order_id",
        "original_price_micros",
        "original_size_milli",
        "post_only",
        "price_micros",
        "quote_set_id",
        "reduce_only",
        "remaining_milli",
        "reprices",
        "shown_milli",
        "side",
        "size_milli",
        "time_in_force",
        "type",
        "user_id",
    )

    def __init__(
        self,
        order_id: int,
        user_id: str,
        book: OrderBook,
        side: Side,
        order_type: OrderType,
        time_in_force: TimeInForce,
        post_only: bool,
        client_order_id: str | None,
        price_micros: int | None,
        size_milli: int,
        remaining_milli: int,
        original_price_micros: int | None,
        original_size_milli: int,
        reduce_only: bool = False,
        label: str | None = None,
        reprices: bool = False,
        display_milli: int = 0,
        shown_milli: int = 0,
        connection: int = 0,
    ) -> None:
        self.order_id = order_id
        self.user_id = user_id
        self.book = book
        self.side: Side = side
        self.type: OrderType = order_type
        self.time_in_force: TimeInForce = time_in_force
        self.post_only = post_only
        self.client_order_id = client_order_id
        self.price_micros = price_micros
        self.size_milli = size_milli
        self.remaining_milli = remaining_milli
        self.original_price_micros = original_price_micros
        self.original_size_milli = original_size_milli
        self.reduce_only = reduce_only
        self.label = label
        self.reprices = reprices
        self.display_milli = display_milli
        self.shown_milli = shown_milli
        self.connection = connection
        self.mmp_group: str | None = None
        self.quote_set_id = ""
        self.level: PriceLevel | None = None
        self.before: Order | None = None
        self.after: Order | None = None

    def copy_to(self, book: OrderBook) -> Order:
        """Return a copy for another book, in which it does not rest yet."""
        return Order(
            self.order_id,
            self.user_id,
            book,
            self.side,
            self.type,
            self.time_in_force,
            self.post_only,
            self.client_order_id,
            self.price_micros,
            self.size_milli,
            self.remaining_milli,
            self.original_price_micros,
            self.original_size_milli,
            self.reduce_only,
            self.label,
            self.reprices,
            self.display_milli,
            self.shown_milli,
        )

    @property
    def visible_milli(self) -> int:
        """The part of a resting order that the book shows."""
        return self.shown_milli if self.display_milli else self.remaining_milli

    def show_anew(self) -> None:
        """Let the book show an iceberg order's next part, as large as the remainder allows."""
        self.shown_milli = min(self.display_milli, self.remaining_milli)


class PriceLevel:
    """The orders resting at one price, in order of arrival. A level in a book is never empty."""

    __slots__ = ("head", "price_micros", "tail")

    def __init__(self, price_micros: int) -> None:
        self.price_micros = price_micros
        self.head: Order | None = None
        self.tail: Order | None = None

    def __iter__(self) -> Iterator[Order]:
        order = self.head
        while order is not None:
            yield order
            order = order.after


class BookSide:
    """All resting bids, or all resting asks. `best` is the level that trades first, None if the side is empty.

    The ranks of the levels are in rising order: the price of a bid, and -price of an ask. So the best level is the last
    one, and a new level near it moves few items of the list.
    """

    __slots__ = ("_levels", "_ranks", "_sign", "best", "is_bid")

    def __init__(self, is_bid: bool) -> None:
        self.is_bid = is_bid
        self.best: PriceLevel | None = None
        self._sign = 1 if is_bid else -1
        self._levels: dict[int, PriceLevel] = {}
        self._ranks: list[int] = []

    def __iter__(self) -> Iterator[PriceLevel]:
        """Levels, best first."""
        for rank in reversed(self._ranks):
            yield self._levels[self._sign * rank]

    def append(self, order: Order, price_micros: int) -> None:
        """Rest `order` at the end of the queue at `price_micros`. O(1) unless the level is new."""
        level = self._levels.get(price_micros)
        if level is None:
            level = self._levels[price_micros] = PriceLevel(price_micros)
            insort(self._ranks, self._sign * price_micros)
            best = self.best
            if best is None or (price_micros > best.price_micros) == self.is_bid:
                self.best = level
        order.level = level
        order.before = tail = level.tail
        # All orders of a level share one int object, which saves memory.
        if tail is None:
            level.head = order
        else:
            tail.after = order
            if order.original_price_micros == order.price_micros:
                order.original_price_micros = tail.price_micros
            order.price_micros = tail.price_micros
        level.tail = order

    def remove(self, order: Order) -> None:
        """Take a resting order out of its queue. O(1) unless its level becomes empty."""
        level, before, after = order.level, order.before, order.after
        assert level is not None, "only a resting order can leave the book"
        if before is None:
            level.head = after
        else:
            before.after = after
        if after is None:
            level.tail = before
        else:
            after.before = before
        order.level = order.before = order.after = None
        if level.head is None:
            del self._levels[level.price_micros]
            if level is self.best:
                self._ranks.pop()
                self.best = self._levels[self._sign * self._ranks[-1]] if self._ranks else None
            else:
                del self._ranks[bisect_left(self._ranks, self._sign * level.price_micros)]

    def clear(self) -> None:
        """Take all orders out of the book."""
        for level in self._levels.values():
            for order in list(level):
                order.level = order.before = order.after = None
            level.head = level.tail = None
        self._levels.clear()
        self._ranks.clear()
        self.best = None

    def crosses(self, limit_micros: int | None) -> Iterator[Order]:
        """Yield the resting orders that an opposite order with this limit could trade with, in the order of trading.

        A limit of None stands for any price.
        """
        for level in self:
            if limit_micros is not None and not self.reaches(level, limit_micros):
                return
            yield from level

    def reaches(self, level: PriceLevel, limit_micros: int) -> bool:
        """True if an opposite order with this limit may trade at `level`."""
        return level.price_micros >= limit_micros if self.is_bid else level.price_micros <= limit_micros

    def check(self) -> None:
        """Check every invariant of one side; AssertionError names the broken one."""
        if not self._levels:
            assert self.best is None, "best is not best"
            return
        prices = [level.price_micros for level in self]
        assert prices == sorted(self._levels, reverse=self.is_bid), "levels are out of order"
        assert (self.best.price_micros if self.best else None) == (prices[0] if prices else None), "best is not best"
        for price_micros, level in self._levels.items():
            orders = list(level)
            assert orders, "an empty level is left in the book"
            assert level.price_micros == price_micros, "a level is filed under another price"
            assert level.head is orders[0] and level.tail is orders[-1], "a queue has lost an end"
            for before, after in zip([None, *orders], [*orders, None], strict=True):
                assert after is None or after.before is before, "a queue is broken"
            for order in orders:
                assert order.level is level and order.price_micros == price_micros, "an order rests at a wrong level"
                assert order.remaining_milli > 0, "an order without remainder rests"
                if order.display_milli:
                    most_milli = min(order.display_milli, order.remaining_milli)
                    assert 0 < order.shown_milli <= most_milli, "an iceberg order shows nothing, or too much"
                assert order.type != "market" and order.time_in_force in ("gtc", "day"), "this order may never rest"


class OrderBook:
    """One instrument: its terms, state, prices and margin rates, and both sides of its order book.

    `number` counts listings. `index_micros` is 0 and `mark_micros` None while the asset has no index. `initial_nanos`
    and `maintenance_nanos` are the margins of one short contract, in thousandths of a micro. `delivery_micros` is None
    until the instrument is settled. `band` are the lowest and the highest price of an order, None if any is possible.
    """

    __slots__ = (
        "asks",
        "asset",
        "band",
        "bids",
        "delivery_micros",
        "expiration_us",
        "index_micros",
        "initial_nanos",
        "instrument_id",
        "is_call",
        "last_micros",
        "maintenance_nanos",
        "mark_micros",
        "min_size_milli",
        "number",
        "state",
        "strike_micros",
        "tick_micros",
    )

    def __init__(
        self, terms: InstrumentTerms, tick_micros: int, min_size_milli: int, state: InstrumentState, number: int
    ) -> None:
        self.instrument_id = terms.instrument_id
        self.asset = terms.asset
        self.is_call = terms.option_type == "call"
        self.strike_micros = terms.strike_micros
        self.expiration_us = terms.expiration_s * 1_000_000
        self.tick_micros = tick_micros
        self.min_size_milli = min_size_milli
        self.number = number
        self.state: InstrumentState = state
        self.bids = BookSide(is_bid=True)
        self.asks = BookSide(is_bid=False)
        self.last_micros: int | None = None
        self.index_micros = 0
        self.mark_micros: int | None = None
        self.initial_nanos = 0
        self.maintenance_nanos = 0
        self.delivery_micros: int | None = None
        self.band: tuple[int, int] | None = None

    def copy_without_orders(self) -> OrderBook:
        """Return a copy in which no order rests."""
        terms = parse_instrument_id(self.instrument_id)
        copied = OrderBook(terms, self.tick_micros, self.min_size_milli, self.state, self.number)
        copied.last_micros = self.last_micros
        copied.index_micros = self.index_micros
        copied.mark_micros = self.mark_micros
        copied.initial_nanos = self.initial_nanos
        copied.maintenance_nanos = self.maintenance_nanos
        copied.delivery_micros = self.delivery_micros
        copied.band = self.band
        return copied

    @staticmethod
    def delisted(instrument_id: str) -> OrderBook:
        """Return a book in the place of one that is no longer listed, for the closed orders of its instrument."""
        return OrderBook(parse_instrument_id(instrument_id), 1, 1, "expired", 0)

    def limit_micros(self, side: Side, price_micros: int | None) -> int | None:
        """Return the limit of an order: its price, for a market order the end of the band, None without a band."""
        if price_micros is not None or self.band is None:
            return price_micros
        return self.band[1] if side == "bid" else self.band[0]

    def side(self, side: Side) -> BookSide:
        """The side on which an order on `side` rests."""
        return self.bids if side == "bid" else self.asks

    def opposite(self, side: Side) -> BookSide:
        """The side that an order on `side` trades against."""
        return self.asks if side == "bid" else self.bids

    def resting(self) -> list[Order]:
        """All resting orders, oldest first."""
        orders = [order for side in (self.bids, self.asks) for level in side for order in level]
        return sorted(orders, key=lambda order: order.order_id)

    def check(self) -> None:
        """Check every invariant of the book; AssertionError names the broken one."""
        self.bids.check()
        self.asks.check()
        bid, ask = self.bids.best, self.asks.best
        assert bid is None or ask is None or bid.price_micros < ask.price_micros, "book is crossed"
        assert self.state != "expired" or (bid is None and ask is None), "orders rest in an expired instrument"
        assert self.delivery_micros is None or self.state == "expired", "a live instrument is settled"
        assert (self.mark_micros is None) == (self.index_micros == 0), (
            "a mark without an index, or an index without one"
        )
        assert self.initial_nanos >= self.maintenance_nanos >= 0 < self.initial_nanos, (
            "initial margin below maintenance"
        )
        for side, orders in (("bid", self.bids), ("ask", self.asks)):
            assert all(order.side == side for level in orders for order in level), "an order rests on the wrong side"
