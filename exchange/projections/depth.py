"""Depth: for each price of an instrument, the size and the number of resting orders."""

from bisect import bisect_left, insort

from msgspec import UNSET

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
    `changed` has the prices that changed since they were last taken; None while nobody takes them.
    """

    __slots__ = ("_levels", "_ranks", "changed", "sign")

    def __init__(self, is_bid: bool) -> None:
        self.sign = 1 if is_bid else -1
        self.changed: dict[int, None] | None = None
        self._levels: dict[int, _Level] = {}
        self._ranks: list[int] = []

    def best(self) -> int | None:
        """Return the best price in micros; None if the side is empty."""
        return self.sign * self._ranks[-1] if self._ranks else None

    def top(self, depth: int | None = None) -> list[BookLevel]:
        """Return up to `depth` levels, the best one first."""
        ranks = self._ranks if depth is None else self.top_ranks(depth)
        return [self.level(self.sign * rank) for rank in reversed(ranks)]

    def top_ranks(self, depth: int) -> list[int]:
        """Return the ranks of up to `depth` levels, the best one last."""
        return self._ranks[-depth:]

    def level(self, price_micros: int) -> BookLevel:
        """Return the level at a price that has one."""
        level = self._levels[price_micros]
        return BookLevel(price_micros, level.size_milli, level.count)

    def change(self, price_micros: int, size_milli: int, count: int) -> None:
        """Add size and orders to a level; both may be negative. O(1) unless the level is new or becomes empty."""
        level = self._levels.get(price_micros)
        if level is None:
            level = self._levels[price_micros] = _Level()
            insort(self._ranks, self.sign * price_micros)
        if self.changed is not None:
            self.changed[price_micros] = None
        level.size_milli += size_milli
        level.count += count
        assert level.size_milli >= 0 and (level.size_milli > 0) == (level.count > 0), (
            "depth has drifted from its events"
        )
        if not level.count:
            del self._levels[price_micros]
            del self._ranks[bisect_left(self._ranks, self.sign * price_micros)]


class TopLevels:
    """The best `count` levels of one side, as subscribers know them. A new one knows none."""

    __slots__ = ("_count", "_levels", "_ranks", "_side")

    def __init__(self, side: DepthSide, count: int) -> None:
        self._side = side
        self._count = count
        self._ranks: list[int] = []
        self._levels: dict[int, BookLevel] = {}

    def take_changes(self, changed: dict[int, None]) -> list[BookLevel]:
        """Return the levels that differ from the known ones, best first, then those that are gone, with size 0.

        From now on they are known. `changed` has the prices whose levels changed since the last call.
        """
        side, levels, sign = self._side, self._levels, self._side.sign
        known, ranks = self._ranks, side.top_ranks(self._count)
        candidates = ranks
        if ranks == known:
            candidates = sorted([sign * price_micros for price_micros in changed if price_micros in levels])
        self._ranks = ranks
        changes: list[BookLevel] = []
        for rank in reversed(candidates):
            price_micros = sign * rank
            before = levels.get(price_micros)
            if before is None or price_micros in changed:
                level = side.level(price_micros)
                if level != before:
                    levels[price_micros] = level
                    changes.append(level)
        if len(levels) > len(ranks):
            remaining = dict.fromkeys(ranks)
            for rank in reversed(known):
                if rank not in remaining:
                    del levels[sign * rank]
                    changes.append(BookLevel(sign * rank, 0, 0))
        return changes


class Depth:
    """The aggregated book of one instrument."""

    __slots__ = ("_asks", "_bids")

    def __init__(self) -> None:
        self._bids = DepthSide(is_bid=True)
        self._asks = DepthSide(is_bid=False)

    def top_levels(self, depth: int) -> "tuple[TopLevels, TopLevels]":
        """Return what finds the changes of the best levels of bids and asks."""
        return TopLevels(self._bids, depth), TopLevels(self._asks, depth)

    def bids(self, depth: int | None = None) -> list[BookLevel]:
        """Return up to `depth` levels, highest price first."""
        return self._bids.top(depth)

    def asks(self, depth: int | None = None) -> list[BookLevel]:
        """Return up to `depth` levels, lowest price first."""
        return self._asks.top(depth)

    def watch(self, is_watched: bool) -> None:
        """Note from now on which levels change, or stop noting them."""
        self._bids.changed = {} if is_watched else None
        self._asks.changed = {} if is_watched else None

    def take_changed(self) -> tuple[dict[int, None], dict[int, None]]:
        """Return the prices whose levels changed since the last call or `watch`, those of bids first."""
        bids, asks = self._bids.changed, self._asks.changed
        assert bids is not None and asks is not None, "nobody watches this book"
        self.watch(True)
        return bids, asks

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
        """Add the remainder of an order that now rests; of an iceberg order the part that shows."""
        assert order.price_micros is not None, "a market order rests"
        size_milli = order.remaining_milli if order.displayed_milli is None else order.displayed_milli
        self._side(order.side).change(order.price_micros, size_milli, 1)

    def on_traded(self, event: Traded) -> None:
        """Deduct a fill from the level of the maker."""
        makers = self._asks if event.taker_side == "bid" else self._bids
        size_milli = -event.size_milli
        if event.maker_refilled_milli is not UNSET:
            size_milli += event.maker_refilled_milli
        makers.change(event.price_micros, size_milli, 0 if event.maker_remaining_milli else -1)

    def on_cancelled(self, event: OrderCancelled) -> None:
        """Remove a resting order. The caller must not pass an order that never rested."""
        assert event.price_micros is not None, "a market order rested"
        size_milli = event.remaining_milli if event.displayed_milli is UNSET else event.displayed_milli
        self._side(event.side).change(event.price_micros, -size_milli, -1)

    def on_edited(self, event: OrderEdited) -> None:
        """Change the size of an order that kept its place, or remove one that lost it.

        The caller enters the remainder of the latter again after its trades.
        """
        side = self._side(event.side)
        size_milli, previous_milli = event.remaining_milli, event.previous_remaining_milli
        if event.displayed_milli is not UNSET and event.previous_displayed_milli is not UNSET:
            size_milli, previous_milli = event.displayed_milli, event.previous_displayed_milli
        if event.kept_place:
            side.change(event.price_micros, size_milli - previous_milli, 0)
        else:
            side.change(event.previous_price_micros, -previous_milli, -1)

    def _side(self, side: Side) -> DepthSide:
        return self._bids if side == "bid" else self._asks
