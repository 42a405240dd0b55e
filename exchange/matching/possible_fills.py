"""The fills that an order would get now, found without a change: what a fill-or-kill order needs to know.

Where no reduce-only order rests, the sizes of the resting orders are their fills. Reduce-only orders shrink while
others of their account trade, and the parts of iceberg orders trade in turn, so a price with reduce-only orders is
traded part by part, in the same order as by `fills.match`.
"""

from collections import deque

from exchange.domain.enums import Side
from exchange.matching.book import Order, OrderBook, PriceLevel
from exchange.matching.linked_sweep import Sweep
from exchange.matching.state import State


def possible_fills(
    state: State,
    order_id: int,
    user_id: str,
    book: OrderBook,
    side: Side,
    limit_micros: int | None,
    size_milli: int,
) -> list[tuple[int, int]]:
    """Return price and size of the fills that an order of the user with these terms would get, by resting order.

    `limit_micros` is None for a market order. The user's own orders are skipped if self-trades are prevented.
    """
    opposite = book.opposite(side)
    limit_micros = book.limit_micros(side, limit_micros)
    if state.links is not None:
        return Sweep(state, order_id, user_id, book, size_milli).fills(side, limit_micros)
    taker = _Taker(state, user_id, book, size_milli)
    for level in opposite:
        if not taker.left_milli or (limit_micros is not None and not opposite.reaches(level, limit_micros)):
            break
        taker.trade(level)
    return taker.fills


def first_maker(state: State, user_id: str, book: OrderBook, side: Side, limit_micros: int | None) -> Order | None:
    """Return the first resting order that an order of the user would trade with; None if there is none."""
    own_trade = state.rules.self_trade_prevention == "off"
    for maker in book.opposite(side).crosses(book.limit_micros(side, limit_micros)):
        if own_trade or maker.user_id != user_id:
            return maker
    return None


class _Reduction:
    """The reduce-only orders of one maker in the instrument, and its position. `left_milli` are their remainders.

    To trade and to shrink takes O(1), and all changes together O(orders).
    """

    __slots__ = ("_ids", "_position_milli", "_sum_milli", "left_milli")

    def __init__(self, orders: list[Order], position_milli: int) -> None:
        """`orders` are those that trade first, first."""
        self.left_milli = {order.order_id: order.remaining_milli for order in orders}
        self._ids = list(self.left_milli)
        self._sum_milli = sum(self.left_milli.values())
        self._position_milli = position_milli

    def trade(self, order_id: int, size_milli: int) -> None:
        """Trade with one of the orders."""
        self.left_milli[order_id] -= size_milli
        self._sum_milli -= size_milli
        self._position_milli -= size_milli

    def shrink(self, size_milli: int) -> None:
        """Make the position smaller by the fill of another order, and the orders with it, the last to trade first."""
        self._position_milli = max(0, self._position_milli - size_milli)
        while self._sum_milli > self._position_milli:
            order_id = self._ids[-1]
            less_milli = min(self.left_milli[order_id], self._sum_milli - self._position_milli)
            self.left_milli[order_id] -= less_milli
            self._sum_milli -= less_milli
            if not self.left_milli[order_id]:
                self._ids.pop()


class _Taker:
    """An order that trades with one price level after another. `left_milli` is the part that is not filled."""

    __slots__ = ("_book", "_moved_milli", "_own_trade", "_reductions", "_state", "_user_id", "fills", "left_milli")

    def __init__(self, state: State, user_id: str, book: OrderBook, size_milli: int) -> None:
        self._state = state
        self._user_id = user_id
        self._book = book
        self._own_trade = state.rules.self_trade_prevention == "off"
        # By user: the fills of orders that are not reduce-only, until the first reduce-only order trades.
        self._moved_milli: dict[str, int] = {}
        self._reductions: dict[str, _Reduction] = {}
        self.fills: list[tuple[int, int]] = []
        self.left_milli = size_milli

    def trade(self, level: PriceLevel) -> None:
        """Trade with all orders of a level, or until the order is filled."""
        sizes: list[tuple[Order, int]] = []
        left_milli = self.left_milli
        for maker in level:
            if not left_milli:
                break
            if self._is_reducing(maker):
                self._trade_in_turn(level)
                return
            if self._own_trade or maker.user_id != self._user_id:
                size_milli = min(left_milli, maker.remaining_milli)
                left_milli -= size_milli
                sizes.append((maker, size_milli))
        self.left_milli = left_milli
        for maker, size_milli in sizes:
            self._move(maker, size_milli)
            self.fills.append((level.price_micros, size_milli))

    def _trade_in_turn(self, level: PriceLevel) -> None:
        """Trade with the orders of a level part by part."""
        queue = deque(
            [
                (maker, maker.visible_milli, maker.remaining_milli)
                for maker in level
                if self._own_trade or maker.user_id != self._user_id
            ]
        )
        filled_milli: dict[int, int] = {}
        while queue and self.left_milli:
            maker, shown_milli, remaining_milli = queue.popleft()
            reduction = self._reduction(maker) if self._is_reducing(maker) else None
            if reduction is not None:
                remaining_milli = reduction.left_milli[maker.order_id]
            size_milli = min(self.left_milli, shown_milli, remaining_milli)
            if not size_milli:
                continue
            self.left_milli -= size_milli
            filled_milli[maker.order_id] = filled_milli.get(maker.order_id, 0) + size_milli
            if reduction is not None:
                reduction.trade(maker.order_id, size_milli)
            else:
                self._move(maker, size_milli)
            remaining_milli -= size_milli
            if remaining_milli:
                queue.append((maker, min(maker.display_milli, remaining_milli), remaining_milli))
        self.fills += [(level.price_micros, size_milli) for size_milli in filled_milli.values()]

    def _is_reducing(self, maker: Order) -> bool:
        """True if the order shrinks with the position of its user. That of the taker stays in a trade with itself."""
        return maker.reduce_only and maker.user_id != self._user_id

    def _reduction(self, maker: Order) -> _Reduction:
        user_id = maker.user_id
        reduction = self._reductions.get(user_id)
        if reduction is None:
            account = self._state.accounts[user_id]
            position_milli = abs(account.position_milli(self._book.instrument_id))
            orders = account.reducing[self._book.instrument_id].first_to_trade()
            reduction = _Reduction(orders, position_milli)
            reduction.shrink(self._moved_milli.get(user_id, 0))
            self._reductions[user_id] = reduction
        return reduction

    def _move(self, maker: Order, size_milli: int) -> None:
        """Note the fill of an order that is not reduce-only, for the reduce-only orders of its user."""
        user_id = maker.user_id
        if user_id == self._user_id or not self._state.accounts[user_id].reducing:
            return
        reduction = self._reductions.get(user_id)
        if reduction is None:
            self._moved_milli[user_id] = self._moved_milli.get(user_id, 0) + size_milli
        else:
            reduction.shrink(size_milli)
