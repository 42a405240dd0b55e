"""Depth: for each price of an instrument, the size and the number of resting orders."""

from bisect import bisect_left, insort

from exchange.domain.enums import Side
from exchange.domain.events import OrderCancelled, OrderEdited, Traded
from exchange.projections.wire_types import BookLevel, OrderView


class _Level:
    """The resting orders at one price. A level in a book is never empty."""

    __slots__ = ("count", "size_milli")

    def __init__(self) -> None:
        self.size_milli = 0
        self.count = 0


class DepthSide:
    """The levels of one side by price, and their ranks in rising order: the price of a bid, and -price of an ask.

    So the best level has the highest rank, and new levels near it are cheap: they move few items of the list.
    """

    __slots__ = ("_levels", "_ranks", "_sign")

    def __init__(self, is_bid: bool) -> None:
        self._sign = 1 if is_bid else -1
        self._levels: dict[int, _Level] = {}
        self._ranks: list[int] = []

    def best(self) -> int | None:
        """Return the best price in micros; None if the side is empty."""
        return self._sign * self._ranks[-1] if self._ranks else None

    def top(self, depth: int | None = None) -> list[BookLevel]:
        """Return up to `depth` levels, the best one first."""
        ranks = self._ranks if depth is None else self._ranks[-depth:]
        return [self.level(self._sign * rank) for rank in reversed(ranks)]

    def level(self, price_micros: int) -> BookLevel:
        """Return the level at a price that has one."""
        level = self._levels[price_micros]
        return BookLevel(price_micros, level.size_milli, level.count)

    def change(self, price_micros: int, size_milli: int, count: int) -> None:
        """Add size and orders to a level; both may be negative. O(1) unless the level is new or becomes empty."""
        level = self._levels.get(price_micros)
        if level is None:
            level = self._levels[price_micros] = _Level()
            insort(self._ranks, self._sign * price_micros)
        level.size_milli += size_milli
        level.count += count
        assert level.size_milli >= 0 and (level.size_milli > 0) == (level.count > 0), (
            "depth has drifted from its events"
        )
        if not level.count:
            del self._levels[price_micros]
            del self._ranks[bisect_left(self._ranks, self._sign * price_micros)]


class Depth:
    """The aggregated book of one instrument."""

    __slots__ = ("_asks", "_bids")

    def __init__(self) -> None:
        self._bids = DepthSide(is_bid=True)
        self._asks = DepthSide(is_bid=False)

    def bids(self, depth: int | None = None) -> list[BookLevel]:
        """Return up to `depth` levels, highest price first."""
        return self._bids.top(depth)

    def asks(self, depth: int | None = None) -> list[BookLevel]:
        """Return up to `depth` levels, lowest price first."""
        return self._asks.top(depth)

    def best(self) -> tuple[int | None, int | None]:
        """Return best bid and best ask in micros, None for an empty side."""
        return self._bids.best(), self._asks.best()

    def tops(self) -> tuple[BookLevel | None, BookLevel | None]:
        """Return the best level of each side, bid first, None for an empty side."""
        bid, ask = self.best()
        return None if bid is None else self._bids.level(bid), None if ask is None else self._asks.level(ask)

    def mid_micros(self) -> int | None:
        """Return the middle of a two-sided book, rounded down; None if a side is empty."""
        bid, ask = self.best()
        return None if bid is None or ask is None else (bid + ask) // 2

    def enter(self, order: OrderView) -> None:
        """Add the remainder of an order that now rests."""
        assert order.price_micros is not None, "a market order rests"
        self._side(order.side).change(order.price_micros, order.remaining_milli, 1)

    def on_traded(self, event: Traded) -> None:
        """Deduct a fill from the level of the maker."""
        makers = self._asks if event.taker_side == "bid" else self._bids
        makers.change(event.price_micros, -event.size_milli, 0 if event.maker_remaining_milli else -1)

    def on_cancelled(self, event: OrderCancelled) -> None:
        """Remove a resting order. The caller must not pass an order that never rested."""
        assert event.price_micros is not None, "a market order rested"
        self._side(event.side).change(event.price_micros, -event.remaining_milli, -1)

    def on_edited(self, event: OrderEdited) -> None:
        """Change the size of an order that kept its place, or remove one that lost it.

        The caller enters the remainder of the latter again after its trades.
        """
        side = self._side(event.side)
        if event.kept_place:
            side.change(event.price_micros, event.remaining_milli - event.previous_remaining_milli, 0)
        else:
            side.change(event.previous_price_micros, -event.previous_remaining_milli, -1)

    def _side(self, side: Side) -> DepthSide:
        return self._bids if side == "bid" else self._asks
