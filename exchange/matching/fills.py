"""Trading: price, then time, at the resting order's price; self-trade prevention; the budget of market orders.

A market order's budget is fixed when it arrives: a buyer may spend what is available then, a seller may sell the
contracts held free and as many more as what is available can back. What its own fills release does not add to it.
"""

from exchange.domain.events import Traded
from exchange.domain.rules import Fees
from exchange.domain.units import MILLI_PER_CONTRACT, PPM
from exchange.domain.words import Side
from exchange.matching.accounts import Account, bid_lock_micros
from exchange.matching.book import Book, Order
from exchange.matching.collateral import coverable_milli
from exchange.matching.endings import withdraw
from exchange.matching.state import Outcome, State


def match(state: State, outcome: Outcome, taker: Order) -> bool:
    """Trade `taker` until it is filled, nothing more crosses, or its budget is spent: False says the last."""
    opposite = taker.book.opposite(taker.side)
    limit_micros, account = taker.price_micros, taker.account
    prevents_self_trade = state.rules.self_trade_prevention == "cancel_resting"
    budget = None if limit_micros is not None else _Budget(state, account, taker.book, taker.side)
    while taker.remaining_milli:
        level = opposite.best
        if level is None or (limit_micros is not None and not opposite.reaches(level, limit_micros)):
            return True
        maker = level.head
        assert maker is not None, "an empty level is left in the book"
        if maker.account is account and prevents_self_trade:
            withdraw(state, outcome, maker, "self_trade_prevention")
            continue
        wanted = size = min(taker.remaining_milli, maker.remaining_milli)
        if budget is not None:
            size = min(wanted, budget.affords_milli(level.price_micros))
        if size:
            paid = _fill(state, outcome, maker, taker, level.price_micros, size)
            if budget is not None:
                budget.spend(paid, size)
        if size < wanted:
            return False
    return True


def fillable(state: State, order: Order) -> int:
    """How much of `order` the book could fill now, up to its remainder, without the user's own resting orders."""
    found = _walk(state, order.account, order.book, order.side, order.price_micros, order.remaining_milli)
    return sum(size for _, size in found)


def can_pay(state: State, account: Account, book: Book, side: Side, size_milli: int, in_full: bool) -> bool:
    """Whether a market order's budget buys or sells anything at all, or (`in_full`) all that the book would fill."""
    budget = _Budget(state, account, book, side)
    if side == "ask":
        return budget.milli >= (size_milli if in_full else 1)
    found = _walk(state, account, book, side, None, size_milli)
    if not in_full:
        return not found or budget.affords_milli(found[0][0]) > 0
    if sum(size for _, size in found) < size_milli:
        return True  # it will be cancelled as unfilled, which costs nothing
    costs = [price * size // MILLI_PER_CONTRACT for price, size in found]
    return sum(cost + _fee(cost, state.rules.fees.taker_premium_ppm) for cost in costs) <= budget.micros


class _Budget:
    """What a market order may still spend: `micros` of cash to buy with, `milli` contracts to sell."""

    __slots__ = ("_fee_ppm", "_side", "micros", "milli")

    def __init__(self, state: State, account: Account, book: Book, side: Side) -> None:
        self._side = side
        self._fee_ppm = state.rules.fees.taker_premium_ppm
        self.micros = account.available_micros
        holding = account.holdings.get(book.instrument_id)
        free_milli = max(0, holding.free_milli) if holding is not None else 0
        self.milli = free_milli + coverable_milli(book, account.available_micros)

    def affords_milli(self, price_micros: int) -> int:
        """The largest size at this price whose cost and fee (rounded down) the budget covers, exactly."""
        if self._side == "ask":
            return self.milli
        milli_price = price_micros // MILLI_PER_CONTRACT
        return ((self.micros + 1) * PPM - 1) // (milli_price * (PPM + self._fee_ppm))

    def spend(self, paid_micros: int, size_milli: int) -> None:
        self.micros -= paid_micros
        self.milli -= size_milli


def _walk(
    state: State, account: Account, book: Book, side: Side, limit_micros: int | None, size_milli: int
) -> list[tuple[int, int]]:
    """The (price, size) of the fills that such an order would get now, up to `size_milli`."""
    own_trade = state.rules.self_trade_prevention == "off"
    found = []
    for maker in book.opposite(side).crosses(limit_micros):
        if size_milli == 0:
            break
        if own_trade or maker.account is not account:
            size = min(size_milli, maker.remaining_milli)
            assert maker.price_micros is not None
            found.append((maker.price_micros, size))
            size_milli -= size
    return found


def _fill(state: State, outcome: Outcome, maker: Order, taker: Order, price: int, size: int) -> int:
    """Exchange `size` contracts for cash between two orders. Returns what the taker pays, fee included, in micros."""
    fees, book = state.rules.fees, maker.book
    cost = price * size // MILLI_PER_CONTRACT
    maker_fee = _fee(cost, fees.maker_premium_ppm)
    taker_fee = _fee(cost, fees.taker_premium_ppm)
    maker_remaining = maker.remaining_milli - size
    taker_remaining = taker.remaining_milli - size
    trade_id = state.next_trade_id
    state.next_trade_id = trade_id + 1
    outcome.events.append(
        Traded(
            trade_id,
            book.instrument_id,
            price,
            size,
            taker.side,
            maker.order_id,
            maker.account.user_id,
            maker_remaining,
            maker_fee,
            taker.order_id,
            taker.account.user_id,
            taker_remaining,
            taker_fee,
        )
    )
    if taker.side == "bid":
        _settle_ask(outcome, maker, cost - maker_fee, size)
        _settle_bid(outcome, fees, taker, cost + taker_fee, size)
    else:
        _settle_bid(outcome, fees, maker, cost + maker_fee, size)
        _settle_ask(outcome, taker, cost - taker_fee, size)
    if maker_fee or taker_fee:
        collector = state.accounts["fees"]
        outcome.touch(collector)
        collector.cash_micros += maker_fee + taker_fee
    if not maker_remaining:
        book.side(maker.side).remove(maker)
        maker.account.finish(maker, state.rules.finished_orders_kept)
    return cost + taker_fee


def _settle_bid(outcome: Outcome, fees: Fees, order: Order, paid: int, size: int) -> None:
    """The buyer pays, gets the contracts, and gets back what the filled part had locked beyond that."""
    account, price = order.account, order.price_micros
    holding = account.holding(order.book)
    outcome.touch_holding(account, holding)
    account.cash_micros -= paid
    remaining = order.remaining_milli - size
    if price is not None:
        account.locked_micros -= bid_lock_micros(fees, price, order.remaining_milli) - bid_lock_micros(
            fees, price, remaining
        )
    order.remaining_milli = remaining
    holding.position_milli += size
    if holding.collateral_micros:
        account.relock(holding)


def _settle_ask(outcome: Outcome, order: Order, received: int, size: int) -> None:
    """The seller is paid and gives the contracts: those of a limit order were counted as offered until now."""
    account = order.account
    holding = account.holding(order.book)
    outcome.touch_holding(account, holding)
    account.cash_micros += received
    order.remaining_milli -= size
    holding.position_milli -= size
    if order.price_micros is not None:
        holding.open_asks_milli -= size
    account.relock(holding)


def _fee(cost_micros: int, premium_ppm: int) -> int:
    return cost_micros * premium_ppm // PPM if premium_ppm else 0
