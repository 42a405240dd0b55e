"""Trading: price-time priority at the resting order's price, self-trade prevention, the budget of market orders.

The budget of a market order is fixed when it arrives. A buyer may spend the available cash. A seller may sell the
contracts that no ask offers, and as many more as the available cash can back. Cash that its own fills release is not
added to the budget.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from exchange.domain.enums import Side
from exchange.domain.events import Event, Traded
from exchange.domain.units import MILLI_PER_CONTRACT
from exchange.matching.accounts import FEES, Account
from exchange.matching.book import Order, OrderBook
from exchange.matching.cancellation import cancel_resting
from exchange.matching.fees import FeeSchedule
from exchange.matching.linked_fills import after_fill
from exchange.matching.maker_protection import protect
from exchange.matching.margin_profiles import collateral_micros, coverable_milli
from exchange.matching.possible_fills import first_maker, possible_fills
from exchange.matching.reduce_only import shrink_reduce_only
from exchange.matching.state import Changes, State


def match(state: State, changes: Changes, taker: Order, budget: BuyingPower | None) -> bool:
    """Trade `taker` until it is filled or nothing more crosses (True), or its budget is spent (False)."""
    opposite = taker.book.opposite(taker.side)
    limit_micros, user_id = taker.book.limit_micros(taker.side, taker.price_micros), taker.user_id
    prevents_self_trade = state.rules.self_trade_prevention == "cancel_resting"
    while taker.remaining_milli:
        level = opposite.best
        if level is None or (limit_micros is not None and not opposite.reaches(level, limit_micros)):
            return True
        maker = level.head
        assert maker is not None, "an empty level is left in the book"
        if maker.user_id == user_id and prevents_self_trade:
            cancel_resting(state, changes, maker, "self_trade_prevention")
            continue
        wanted = size = min(taker.remaining_milli, maker.remaining_milli)
        if maker.display_milli:
            wanted = size = min(size, maker.shown_milli)
        if budget is not None:
            size = budget.affords_milli(level.price_micros, wanted)
        if size:
            paid = _fill(state, changes, maker, taker, level.price_micros, size)
            if budget is not None:
                budget.spend(paid, size)
            if state.links is not None:
                after_fill(state, changes, maker, level.price_micros, size)
                after_fill(state, changes, taker, level.price_micros, size)
            if (maker.mmp_group is not None or taker.mmp_group is not None) and protect(
                state, changes, maker, taker, size
            ):
                return True
        if size < wanted:
            return False
    return True


def traders(state: State, events: list[Event]) -> list[Account]:
    """Return the accounts of the trades among these events: of each trade the maker, then the taker."""
    return [
        state.accounts[user_id]
        for event in events
        if type(event) is Traded
        for user_id in (event.maker_user_id, event.taker_user_id)
    ]


def fillable(state: State, order: Order) -> int:
    """Return how much of `order` the book can fill now, up to its remainder; the user's own orders do not count."""
    terms = order.user_id, order.book, order.side, order.price_micros, order.remaining_milli
    fills = possible_fills(state, order.order_id, *terms)
    return sum(size for _, size in fills)


def can_pay(state: State, account: Account, book: OrderBook, side: Side, size_milli: int, in_full: bool) -> bool:
    """True if the account can pay for a market order: for all of it with `in_full` (FOK), else for a part.

    A bid that would not trade costs nothing, so the result is True. An ask is checked without the book.
    """
    budget = BuyingPower(state, account, book, side)
    if side == "ask":
        return budget.affords_milli(0, size_milli) >= (size_milli if in_full else 1)
    if not in_full:
        first = first_maker(state, account.user_id, book, side, None)
        if first is None:
            return True
        assert first.price_micros is not None, "a market order rests"
        return budget.affords_milli(first.price_micros, min(size_milli, first.remaining_milli)) > 0
    fills = possible_fills(state, state.next_order_id, account.user_id, book, side, None, size_milli)
    if sum(size for _, size in fills) < size_milli:
        return True
    return budget.pays(sum(budget.paid_micros(price, size) for price, size in fills), size_milli)


def released_micros(book: OrderBook, uncovered_milli: int, size_milli: int) -> int:
    """Return the collateral that a purchase of `size_milli` releases, if `uncovered_milli` contracts need some."""
    if uncovered_milli <= 0:
        return 0
    return collateral_micros(book, uncovered_milli) - collateral_micros(book, uncovered_milli - size_milli)


class BuyingPower:
    """The budget of an order that never rests: how much it may still spend or sell.

    A buyer has the available cash. In a market it also has the collateral that its purchase of shorts releases, up to
    the cash that no bid locks. A liquidation has all the cash that no bid locks.
    """

    __slots__ = (
        "_book",
        "_bought_milli",
        "_cash_micros",
        "_fees",
        "_free_micros",
        "_milli",
        "_side",
        "_uncovered_milli",
    )

    def __init__(
        self, state: State, account: Account, book: OrderBook, side: Side, is_liquidation: bool = False
    ) -> None:
        self._book = book
        self._side = side
        self._fees = state.fee_schedule
        self._bought_milli = self._milli = self._uncovered_milli = 0
        position = account.positions.get(book.instrument_id)
        free_milli = position.free_milli if position is not None else 0
        if side == "ask":
            covered = coverable_milli(book, account.available_micros + collateral_micros(book, -free_milli))
            self._milli = max(0, free_milli + covered)
            return
        self._cash_micros = account.cash_micros - account.bids_micros
        self._free_micros = self._cash_micros if is_liquidation else max(0, account.available_micros)
        if state.market is not None and not is_liquidation:
            self._uncovered_milli = -free_milli

    def affords_milli(self, price_micros: int, wanted_milli: int) -> int:
        """Return how many of the wanted contracts the budget covers at this price, fees included. Exact.

        O(log wanted) for a buyer, by bisection, because fees are rounded for each fill.
        """
        if self._side == "ask":
            return min(wanted_milli, self._milli)
        if self.pays(self.paid_micros(price_micros, wanted_milli), wanted_milli):
            return wanted_milli
        affordable, too_many = 0, wanted_milli
        while too_many - affordable > 1:
            size_milli = (affordable + too_many) // 2
            if self.pays(self.paid_micros(price_micros, size_milli), size_milli):
                affordable = size_milli
            else:
                too_many = size_milli
        return affordable

    def paid_micros(self, price_micros: int, size_milli: int) -> int:
        """Return the sum that a buyer pays for one fill, fee included."""
        cost = price_micros * size_milli // MILLI_PER_CONTRACT
        if self._fees.are_none:
            return cost
        return cost + self._fees.taker_fee_micros(cost, size_milli, self._book.index_micros)

    def pays(self, paid_micros: int, size_milli: int) -> bool:
        """True if the budget covers `paid_micros` for `size_milli` more contracts."""
        bought = self._bought_milli
        freed = (
            released_micros(self._book, self._uncovered_milli - bought, size_milli) if self._uncovered_milli > 0 else 0
        )
        return paid_micros <= self._free_micros + freed and paid_micros <= self._cash_micros

    def spend(self, paid_micros: int, size_milli: int) -> None:
        """Deduct a fill."""
        if self._side == "ask":
            self._milli -= size_milli
            return
        if self._uncovered_milli > 0:
            self._free_micros += released_micros(self._book, self._uncovered_milli - self._bought_milli, size_milli)
            self._bought_milli += size_milli
        self._free_micros -= paid_micros
        self._cash_micros -= paid_micros


def _fill(state: State, changes: Changes, maker: Order, taker: Order, price: int, size: int) -> int:
    """Exchange `size` contracts for cash between two orders. Return the taker's cost, fee included, in micros."""
    fees, book = state.fee_schedule, maker.book
    maker_account, taker_account = state.accounts[maker.user_id], state.accounts[taker.user_id]
    cost = price * size // MILLI_PER_CONTRACT
    maker_fee = taker_fee = 0
    if not fees.are_none:
        maker_fee = fees.maker_fee_micros(cost, size, book.index_micros)
        taker_fee = fees.taker_fee_micros(cost, size, book.index_micros)
    book.last_micros = price
    maker_remaining = maker.remaining_milli - size
    taker_remaining = taker.remaining_milli - size
    refilled: int | UnsetType = UNSET
    if maker.display_milli:
        maker.shown_milli -= size
        if not maker.shown_milli and maker_remaining:
            refilled = maker.shown_milli = min(maker.display_milli, maker_remaining)
    trade_id = state.next_trade_id
    state.next_trade_id = trade_id + 1
    changes.events.append(
        Traded(
            trade_id,
            book.instrument_id,
            price,
            size,
            taker.side,
            maker.order_id,
            maker.user_id,
            maker_remaining,
            maker_fee,
            taker.order_id,
            taker.user_id,
            taker_remaining,
            taker_fee,
            refilled,
        )
    )
    if taker.side == "bid":
        _settle_ask(changes, maker_account, maker, cost - maker_fee, size)
        _settle_bid(changes, fees, taker_account, taker, cost + taker_fee, size)
    else:
        _settle_bid(changes, fees, maker_account, maker, cost + maker_fee, size)
        _settle_ask(changes, taker_account, taker, cost - taker_fee, size)
    if maker_fee or taker_fee:
        collector = state.accounts[FEES]
        changes.track(collector)
        collector.cash_micros += maker_fee + taker_fee
    if maker.reduce_only:
        maker_account.change_reducing(maker, -size)
    if not maker_remaining:
        book.side(maker.side).remove(maker)
        maker_account.close_order(maker, state.rules.finished_orders_kept)
    elif refilled is not UNSET:
        book.side(maker.side).remove(maker)
        book.side(maker.side).append(maker, price)
    # A fill of a resting reduce-only order makes the position and the orders that reduce it smaller by the same size.
    if maker_account.reducing and not maker.reduce_only:
        shrink_reduce_only(state, changes, maker_account, book)
    if taker_account.reducing:
        shrink_reduce_only(state, changes, taker_account, book)
    return cost + taker_fee


def _settle_bid(changes: Changes, fees: FeeSchedule, account: Account, order: Order, paid: int, size: int) -> None:
    """The buyer pays and receives the contracts; the lock of the filled part is released."""
    price = order.price_micros
    position = account.position(order.book)
    changes.track_position(account, position)
    account.cash_micros -= paid
    remaining = order.remaining_milli - size
    if price is not None:
        locked = fees.bid_lock_micros(price, order.remaining_milli)
        account.locked_micros -= locked - fees.bid_lock_micros(price, remaining)
        account.move_bids(order.book, -size)
    order.remaining_milli = remaining
    account.move(position, size, 0)
    if position.collateral_micros:
        account.update_margin(position)


def _settle_ask(changes: Changes, account: Account, order: Order, received: int, size: int) -> None:
    """The seller is paid and delivers the contracts. A limit order no longer offers them."""
    position = account.position(order.book)
    changes.track_position(account, position)
    account.cash_micros += received
    order.remaining_milli -= size
    account.move(position, -size, 0 if order.price_micros is None else -size)
    account.update_margin(position)
