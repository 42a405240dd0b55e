"""Depth: for each price of an instrument, the size and the number of resting orders."""

from itertools import islice

from sortedcontainers import SortedDict

from exchange.domain.enums import Side
from exchange.domain.events import OrderCancelled, OrderEdited, Traded
from exchange.projections.wire_types import BookLevel, OrderView


class Depth:
    """The aggregated book of one instrument."""

    __slots__ = ("_asks", "_bids")

    def __init__(self) -> None:
        # From price to [size, count].
        self._bids: SortedDict[int, list[int]] = SortedDict()
        self._asks: SortedDict[int, list[int]] = SortedDict()

    def bids(self, depth: int | None = None) -> list[BookLevel]:
        """Return up to `depth` levels, highest price first."""
        return [BookLevel(price, *self._bids[price]) for price in islice(reversed(self._bids), depth)]

    def asks(self, depth: int | None = None) -> list[BookLevel]:
        """Return up to `depth` levels, lowest price first."""
        return [BookLevel(price, *self._asks[price]) for price in islice(self._asks, depth)]

    def best(self) -> tuple[int | None, int | None]:
        """Return best bid and best ask in micros, None for an empty side."""
        return (
            self._bids.peekitem(-1)[0] if self._bids else None,
            self._asks.peekitem(0)[0] if self._asks else None,
        )

    def tops(self) -> tuple[BookLevel | None, BookLevel | None]:
        """Return the best level of each side, bid first, None for an empty side."""
        bid, ask = self.best()
        return (
            None if bid is None else BookLevel(bid, *self._bids[bid]),
            None if ask is None else BookLevel(ask, *self._asks[ask]),
        )

    def mid_micros(self) -> int | None:
        """Return the middle of a two-sided book, rounded down; None if a side is empty."""
        bid, ask = self.best()
        return None if bid is None or ask is None else (bid + ask) // 2

    def enter(self, order: OrderView) -> None:
        """Add the remainder of an order that now rests."""
        assert order.price_micros is not None, "a market order rests"
        self._change(order.side, order.price_micros, order.remaining_milli, 1)

    def on_traded(self, event: Traded) -> None:
        """Deduct a fill from the level of the maker."""
        maker_side: Side = "ask" if event.taker_side == "bid" else "bid"
        self._change(maker_side, event.price_micros, -event.size_milli, 0 if event.maker_remaining_milli else -1)

    def on_cancelled(self, event: OrderCancelled) -> None:
        """Remove a resting order. The caller must not pass an order that never rested."""
        assert event.price_micros is not None, "a market order rested"
        self._change(event.side, event.price_micros, -event.remaining_milli, -1)

    def on_edited(self, event: OrderEdited) -> None:
        """Change the size of an order that kept its place, or remove one that lost it.

        The caller enters the remainder of the latter again after its trades.
        """
        if event.kept_place:
            self._change(event.side, event.price_micros, event.remaining_milli - event.previous_remaining_milli, 0)
        else:
            self._change(event.side, event.previous_price_micros, -event.previous_remaining_milli, -1)

    def _change(self, side: Side, price_micros: int, size_milli: int, count: int) -> None:
        levels = self._bids if side == "bid" else self._asks
        level = levels.get(price_micros)
        if level is None:
            levels[price_micros] = [size_milli, count]
            return
        level[0] += size_milli
        level[1] += count
        assert level[0] >= 0 and (level[0] > 0) == (level[1] > 0), "depth has drifted from its events"
        if not level[1]:
            del levels[price_micros]
