"""Liquidation: an account whose cash is below its maintenance margin loses its orders, then its shorts, worst first."""

from collections.abc import Iterable

from exchange.domain.events import LiquidationStarted, Traded
from exchange.domain.units import PPM, PRICE_MAX_MICROS, SIZE_MAX_MILLI
from exchange.matching.accounts import INSURANCE, Account, Position
from exchange.matching.book import Order, OrderBook
from exchange.matching.cancellation import cancel_each
from exchange.matching.execution import accept
from exchange.matching.fills import BuyingPower
from exchange.matching.state import Changes, State


def liquidate_traders(state: State, outcome: Changes) -> None:
    """Look at the accounts of the trades in this outcome."""
    if state.market is not None:
        liquidate(state, outcome, _traders(state, outcome, 0))


def liquidate(state: State, outcome: Changes, candidates: Iterable[Account]) -> None:
    """Liquidate those of the accounts that must be, in turn; then whoever traded with them. Each is looked at once."""
    queue = list(candidates)
    looked_at: dict[str, None] = {}
    for account in queue:  # which grows
        if account.cash_micros >= account.maintenance_micros or account.user_id == INSURANCE:
            continue
        if account.user_id not in looked_at:
            looked_at[account.user_id] = None
            before = len(outcome.events)
            _liquidate(state, outcome, account)
            queue += _traders(state, outcome, before)


def _traders(state: State, outcome: Changes, start: int) -> list[Account]:
    """Who traded, from event `start` on: the maker, then the taker, of each trade in turn."""
    return [
        state.accounts[user_id]
        for event in outcome.events[start:]
        if type(event) is Traded
        for user_id in (event.maker_user_id, event.taker_user_id)
    ]


def _liquidate(state: State, outcome: Changes, account: Account) -> None:
    start = len(outcome.events)
    outcome.events.append(LiquidationStarted(account.user_id, account.cash_micros, account.maintenance_micros))
    cancel_each(state, outcome, list(account.open_orders.values()), "liquidation")
    shorts = [holding for holding in account.positions.values() if holding.maintenance_micros]
    for holding in sorted(shorts, key=lambda short: (-short.maintenance_micros, short.book.number)):
        if account.cash_micros >= account.maintenance_micros:
            break
        if holding.book.state == "open" and not state.is_halted:
            _buy_back(state, outcome, account, holding)
    if len(outcome.events) == start + 1:
        outcome.events.pop()  # nothing could be done now


def _buy_back(state: State, outcome: Changes, account: Account, short: Position) -> None:
    book = short.book
    limit_micros = _limit_micros(state, book)
    best, size_milli = book.asks.best, min(-short.position_milli, SIZE_MAX_MILLI)
    budget = BuyingPower(state, account, book, "bid", is_liquidation=True)
    if best is None or best.price_micros > limit_micros or not budget.affords_milli(best.price_micros, size_milli):
        return
    order = Order(
        state.next_order_id,
        account.user_id,
        book,
        "bid",
        "limit",
        "ioc",
        False,
        None,
        limit_micros,
        size_milli,
        size_milli,
        limit_micros,
        size_milli,
    )
    accept(state, outcome, order, budget)


def _limit_micros(state: State, book: OrderBook) -> int:
    """The highest price that a liquidation pays: so much of the index above the mark, rounded up to the tick."""
    assert state.market is not None and book.mark_micros is not None, "a maintenance margin without a mark"
    above = book.index_micros * state.market.liquidation_limit_ppm // PPM
    highest = min(book.mark_micros + above, PRICE_MAX_MICROS)
    return -(-highest // book.tick_micros) * book.tick_micros
