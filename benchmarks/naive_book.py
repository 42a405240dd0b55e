"""A plain-Python order book without accounts, rules and events: the reference for all that the matcher does besides.

Prices of a side are a sorted list, best last. Each price has a dict of its orders, oldest first.
"""

from bisect import bisect_left, insort

# The id of an order, its size that is left, and its price with the sign of its side: bids are positive.
_Order = list[int]


class NaiveBook:
    """One book. Sides are 1 for bids and -1 for asks. Within it, prices of asks are negative: higher is better."""

    def __init__(self) -> None:
        self._prices: dict[int, list[int]] = {1: [], -1: []}
        self._levels: dict[int, dict[int, _Order]] = {}
        self._orders: dict[int, tuple[int, _Order]] = {}
        self.traded = 0

    def add(self, order_id: int, side: int, price: int, size: int, is_ioc: bool) -> None:
        """Match an order; let the rest of it rest, unless it is IOC."""
        prices, levels, limit = self._prices[-side], self._levels, price * side
        # The signs of the two sides differ, so a price that crosses the limit is at least its opposite.
        while size and prices and prices[-1] >= -limit:
            best = prices[-1]
            level = levels[best]
            for order in list(level.values()):
                fill = min(size, order[1])
                size -= fill
                order[1] -= fill
                self.traded += fill
                if not order[1]:
                    del level[order[0]], self._orders[order[0]]
                if not size:
                    break
            if not level:
                prices.pop()
                del levels[best]
        if size and not is_ioc:
            self._rest(order_id, side, price, size)

    def cancel(self, order_id: int) -> None:
        """Remove an order, if it rests."""
        found = self._orders.pop(order_id, None)
        if found is None:
            return
        side, order = found
        level = self._levels[order[2]]
        del level[order_id]
        if not level:
            prices = self._prices[side]
            del prices[bisect_left(prices, order[2])]
            del self._levels[order[2]]

    def edit(self, order_id: int, price: int, size: int) -> None:
        """Give an order that rests this price and this rest of its size; a smaller size alone keeps its place."""
        found = self._orders.get(order_id)
        if found is None:
            return
        side, order = found
        if order[2] == price * side and size <= order[1]:
            order[1] = size
        else:
            self.cancel(order_id)
            self.add(order_id, side, price, size, False)

    def levels(self) -> dict[int, int]:
        """Size by price; prices of asks are negative."""
        return {price: sum(order[1] for order in level.values()) for price, level in self._levels.items()}

    def _rest(self, order_id: int, side: int, price: int, size: int) -> None:
        price *= side
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = {}
            insort(self._prices[side], price)
        order = level[order_id] = [order_id, size, price]
        self._orders[order_id] = side, order
