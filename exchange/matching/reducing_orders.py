"""The resting reduce-only orders of an account in one instrument, in the order in which they trade, and their sum.

To file an order, to take it out and to find those that are too large takes O(log n), and no fill looks at all of them.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from exchange.domain.units import NUMBER_MAX
from exchange.matching.book import Order

# The price, negative for a bid, and the id.
Rank = tuple[int, int]


class ReducingOrders:
    """Reduce-only orders that rest. They trade in the order of their prices, then of their ids.

    `sum_milli` is the sum of their remainders. It must follow each change of them: `change`.
    """

    __slots__ = ("_orders", "_ranks", "sum_milli")

    def __init__(self) -> None:
        self._ranks: list[Rank] = []
        self._orders: dict[Rank, Order] = {}
        self.sum_milli = 0

    def __len__(self) -> int:
        return len(self._ranks)

    def add(self, order: Order) -> None:
        """Add an order that rests."""
        rank = _rank(order)
        insort(self._ranks, rank)
        self._orders[rank] = order
        self.sum_milli += order.remaining_milli

    def remove(self, order: Order) -> None:
        """Take an order out, if it is there. Its price must be the one with which it was added."""
        rank = _rank(order)
        if self._orders.pop(rank, None) is not None:
            del self._ranks[bisect_left(self._ranks, rank)]
            self.sum_milli -= order.remaining_milli

    def change(self, more_milli: int) -> None:
        """Note that the remainder of an order became larger by this, or smaller, if it is negative."""
        self.sum_milli += more_milli

    def reduces(self, position_milli: int) -> bool:
        """True if the orders bring this position nearer to zero. All of them are on one side."""
        return (self._ranks[0][0] > 0) == (position_milli > 0)

    def first_to_trade(self) -> list[Order]:
        """Return all orders, the first to trade first."""
        return [self._orders[rank] for rank in self._ranks]

    def too_large(self, allowed_milli: int) -> list[Order]:
        """Return the orders that must shrink for a sum of `allowed_milli`: the last to trade, the first of them first.

        Only the first of them may keep a part.
        """
        excess_milli = self.sum_milli - allowed_milli
        found: list[Order] = []
        for rank in reversed(self._ranks):
            if excess_milli <= 0:
                break
            order = self._orders[rank]
            found.append(order)
            excess_milli -= order.remaining_milli
        found.reverse()
        return found


def _rank(order: Order) -> Rank:
    assert order.price_micros is not None, "a market order rests"
    # An order of a dry run has no id yet, and is the newest.
    return order.price_micros if order.side == "ask" else -order.price_micros, order.order_id or NUMBER_MAX
