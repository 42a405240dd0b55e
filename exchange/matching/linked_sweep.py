"""What an order could fill now if orders are linked: each fill may cancel others in the book, or make them smaller.

An order that must be filled completely, or that must be paid in full, is checked before it trades. This module goes
through the fills as the match would, icebergs, reduce-only orders and pairs included, and changes nothing.
"""

from exchange.domain.enums import Side
from exchange.matching.accounts import Account
from exchange.matching.book import Order, OrderBook
from exchange.matching.linked_fills import part_milli
from exchange.matching.state import State


class Sweep:
    """One order that goes through a book on paper.

    `left` is what is left of the orders that a fill has changed, by id, and `shown` what such an iceberg order shows.
    `alone` are the orders whose pair is over. `moved` are the contracts that each user bought, or sold if negative.
    `reducing` are the reduce-only orders of each user that may have something left, the first to trade first, and
    `sums` what is left of them together: with these, a fill looks at no more orders than it changes.
    """

    __slots__ = (
        "alone",
        "book",
        "left",
        "moved",
        "order_id",
        "reducing",
        "shown",
        "size_milli",
        "state",
        "sums",
        "user_id",
    )

    def __init__(self, state: State, order_id: int, user_id: str, book: OrderBook, size_milli: int) -> None:
        self.state = state
        self.order_id = order_id
        self.user_id = user_id
        self.book = book
        self.size_milli = size_milli
        self.left: dict[int, int] = {}
        self.shown: dict[int, int] = {}
        self.alone: dict[int, None] = {}
        self.moved: dict[str, int] = {}
        self.reducing: dict[str, list[Order]] = {}
        self.sums: dict[str, int] = {}

    def fills(self, side: Side, limit_micros: int | None) -> list[tuple[int, int]]:
        """Return price and size of the fills, by resting order. A limit of None stands for any price."""
        prices: dict[int, int] = {}
        filled: dict[int, int] = {}
        own_trade = self.state.rules.self_trade_prevention == "off"
        opposite = self.book.opposite(side)
        for level in opposite:
            if limit_micros is not None and not opposite.reaches(level, limit_micros):
                break
            # The loop appends to the queue that it reads.
            queue = list(level)
            for maker in queue:
                if not self.size_milli:
                    break
                if maker.user_id == self.user_id and not own_trade:
                    continue
                size_milli = min(self.size_milli, self._offered_milli(maker))
                if not size_milli:
                    continue
                prices[maker.order_id] = level.price_micros
                filled[maker.order_id] = filled.get(maker.order_id, 0) + size_milli
                if self._fill(maker, size_milli):
                    queue.append(maker)
        return [(prices[order_id], size_milli) for order_id, size_milli in filled.items()]

    def _left_milli(self, order: Order) -> int:
        return self.left.get(order.order_id, order.remaining_milli)

    def _offered_milli(self, maker: Order) -> int:
        left_milli = self._left_milli(maker)
        return min(left_milli, self.shown.get(maker.order_id, maker.shown_milli)) if maker.display_milli else left_milli

    def _fill(self, maker: Order, size_milli: int) -> bool:
        """Note a fill. True if the maker is an iceberg order that shows its next part at the back of its queue."""
        left_milli = self._left_milli(maker) - size_milli
        self._set_left(maker, left_milli)
        self.size_milli -= size_milli
        is_refilled = False
        if maker.display_milli:
            shown_milli = self.shown.get(maker.order_id, maker.shown_milli) - size_milli
            if not shown_milli:
                shown_milli = min(maker.display_milli, left_milli)
                is_refilled = left_milli > 0
            self.shown[maker.order_id] = shown_milli
        signed_milli = size_milli if maker.side == "bid" else -size_milli
        self.moved[maker.user_id] = self.moved.get(maker.user_id, 0) + signed_milli
        self.moved[self.user_id] = self.moved.get(self.user_id, 0) - signed_milli
        accounts = self.state.accounts
        if not maker.reduce_only:
            self._shrink_reduce_only(accounts[maker.user_id])
        self._shrink_reduce_only(accounts[self.user_id])
        self._after_fill(accounts[maker.user_id], maker.order_id, size_milli, self.left[maker.order_id])
        self._after_fill(accounts[self.user_id], self.order_id, size_milli, self.size_milli)
        return is_refilled and self.left[maker.order_id] > 0

    def _shrink_reduce_only(self, account: Account) -> None:
        reducing = account.reducing.get(self.book.instrument_id)
        if reducing is None:
            return
        position_milli = account.position_milli(self.book.instrument_id) + self.moved.get(account.user_id, 0)
        allowed_milli = abs(position_milli) if reducing.reduces(position_milli) else 0
        self._know_reducing(account)
        excess_milli = self.sums[account.user_id] - allowed_milli
        orders, too_large = self.reducing[account.user_id], []
        while excess_milli > 0:
            order = orders[-1]
            too_large.append(order)
            excess_milli -= self._left_milli(order)
            if excess_milli < 0:
                # It keeps a part.
                break
            orders.pop()
        for order in reversed(too_large):
            if excess_milli < 0:
                self._keep(order, -excess_milli)
                excess_milli = 0
            elif self._left_milli(order):
                self._end(account, order.order_id)

    def _know_reducing(self, account: Account) -> None:
        """Add up the reduce-only orders of an account, before the first change of one of them."""
        if account.user_id not in self.sums:
            reducing = account.reducing[self.book.instrument_id]
            self.sums[account.user_id] = reducing.sum_milli
            self.reducing[account.user_id] = reducing.first_to_trade()

    def _set_left(self, order: Order, left_milli: int) -> None:
        if order.reduce_only and order.book is self.book:
            account = self.state.accounts[order.user_id]
            self._know_reducing(account)
            self.sums[order.user_id] += left_milli - self._left_milli(order)
        self.left[order.order_id] = left_milli

    def _keep(self, order: Order, left_milli: int) -> None:
        self._set_left(order, left_milli)
        if order.display_milli:
            self.shown[order.order_id] = min(self.shown.get(order.order_id, order.shown_milli), left_milli)

    def _end(self, account: Account, order_id: int) -> None:
        """Note that an order is cancelled, and the other one of its pair with it."""
        self._end_alone(account, order_id)
        pair = None if self.state.links is None else self.state.links.pairs.get(order_id)
        if pair is not None and order_id not in self.alone:
            self.alone[pair.first_id] = self.alone[pair.second_id] = None
            self._end_alone(account, pair.other(order_id))

    def _end_alone(self, account: Account, order_id: int) -> None:
        """Note that an order is cancelled, if it rests."""
        order = account.open_orders.get(order_id)
        if order is not None and order.level is not None:
            self._set_left(order, 0)

    def _after_fill(self, account: Account, order_id: int, fill_milli: int, left_milli: int) -> None:
        pair = None if self.state.links is None else self.state.links.pairs.get(order_id)
        if pair is None or order_id in self.alone:
            return
        other_id = pair.other(order_id)
        if pair.condition == "first_hit" or not left_milli:
            self.alone[pair.first_id] = self.alone[pair.second_id] = None
            self._end_alone(account, other_id)
        elif pair.condition == "incremental":
            other = account.open_orders.get(other_id)
            if other is not None and other.level is not None:
                other_milli = self._left_milli(other)
                self._keep(other, other_milli - part_milli(other_milli, fill_milli, left_milli + fill_milli))
