"""Liquidation of accounts whose cash is below their maintenance margin.

By rules version 1, first their orders are cancelled, then their shorts are bought back whole, the one with the highest
maintenance margin first. From version 2 on, slices.py has the rules.
"""

from collections.abc import Iterable

from exchange.domain.events import LiquidationStarted
from exchange.domain.units import PPM, PRICE_MAX_MICROS, SIZE_MAX_MILLI
from exchange.matching.accounts import INSURANCE, Account, Position
from exchange.matching.book import Order, OrderBook
from exchange.matching.cancellation import cancel_each
from exchange.matching.execution import accept
from exchange.matching.fills import BuyingPower, traders
from exchange.matching.slices import liquidate_in_slices
from exchange.matching.state import Changes, State


def liquidate_traders(state: State, ts_us: int, changes: Changes, liquidated: dict[str, None] | None = None) -> None:
    """Liquidate the accounts of the trades in these changes, if they must be, but none that is `liquidated`."""
    if state.market is not None:
        liquidate(state, ts_us, changes, traders(state, changes.events), liquidated=liquidated)


def liquidate(
    state: State,
    ts_us: int,
    changes: Changes,
    candidates: Iterable[Account],
    by_index_price: bool = False,
    liquidated: dict[str, None] | None = None,
) -> None:
    """Liquidate those of the accounts that must be, by the rules in force, then the accounts that traded with them.

    An account is liquidated at most once in one command: `liquidated` are those of the same command before.
    `by_index_price`: an index price caused the check.
    """
    done = {} if liquidated is None else dict(liquidated)
    if state.has_fair_market:
        liquidate_in_slices(state, ts_us, changes, candidates, done, by_index_price)
    else:
        _liquidate_in_turn(state, changes, candidates, done)


def _liquidate_in_turn(state: State, changes: Changes, candidates: Iterable[Account], done: dict[str, None]) -> None:
    # The loop appends to the queue that it reads.
    queue = list(candidates)
    for account in queue:
        if account.cash_micros >= account.maintenance_micros or account.user_id == INSURANCE:
            continue
        if account.user_id not in done:
            done[account.user_id] = None
            before = len(changes.events)
            _liquidate(state, changes, account)
            queue += traders(state, changes.events[before:])


def _liquidate(state: State, changes: Changes, account: Account) -> None:
    start = len(changes.events)
    changes.events.append(LiquidationStarted(account.user_id, account.cash_micros, account.maintenance_micros))
    cancel_each(state, changes, list(account.open_orders.values()), "liquidation")
    shorts = [position for position in account.positions.values() if position.maintenance_micros]
    for position in sorted(shorts, key=lambda short: (-short.maintenance_micros, short.book.number)):
        if account.cash_micros >= account.maintenance_micros:
            break
        if position.book.state == "open" and not state.is_halted:
            _buy_back(state, changes, account, position)
    # If nothing could be cancelled or bought now, no liquidation has started.
    if len(changes.events) == start + 1:
        changes.events.pop()


def _buy_back(state: State, changes: Changes, account: Account, short: Position) -> None:
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
    accept(state, changes, order, budget, is_liquidation=True)


def _limit_micros(state: State, book: OrderBook) -> int:
    """Return the highest price that a liquidation pays: the mark plus a part of the index, rounded up to the tick."""
    assert state.market is not None and book.mark_micros is not None, "a maintenance margin without a mark"
    above = book.index_micros * state.market.liquidation_limit_ppm // PPM
    highest = min(book.mark_micros + above, PRICE_MAX_MICROS)
    return -(-highest // book.tick_micros) * book.tick_micros
