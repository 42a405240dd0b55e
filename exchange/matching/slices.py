"""Liquidation in slices, from rules version 2 on: as little as restores the margin, at prices near the mark.

First the orders that add risk are cancelled. Then shorts are bought and longs are sold, slice by slice: each time the
one that reduces the margin shortfall most for each USDC that it costs. If the market does not take enough, the
insurance takes over the rest at the mark, after a number of index prices. Model: Deribit's incremental liquidation;
docs/market.md has the rules.
"""

from collections.abc import Iterable
from typing import NamedTuple

from exchange.domain.events import LiquidationStarted, PositionTakenOver, Traded
from exchange.domain.margin_rates import nanos_to_micros
from exchange.domain.units import MILLI_PER_CONTRACT, PPM, PRICE_MAX_MICROS, PRICE_STEP_MICROS, SIZE_MAX_MILLI
from exchange.matching.accounts import FEES, INSURANCE, Account, Position
from exchange.matching.book import Order, OrderBook
from exchange.matching.cancellation import cancel_resting, cancel_unaffordable_bids
from exchange.matching.execution import accept
from exchange.matching.fills import traders
from exchange.matching.insurance import charge_liquidation_fee, cover_shortfall, is_insolvent, repay_debt
from exchange.matching.reduce_only import shrink_reduce_only
from exchange.matching.reopening import is_reopening
from exchange.matching.state import Changes, State

# Of one account in one command. The rest waits for the next index price.
SLICES_MAX = 200


class Leg(NamedTuple):
    """A position that a slice can reduce, and at which price.

    `score` is the reduction of the margin shortfall for each USDC of cost, in thousandths; the cost is the part of the
    price that is worse than the mark, and the fees.
    """

    position: Position
    price_micros: int
    score: int


def liquidate_in_slices(
    state: State,
    ts_us: int,
    changes: Changes,
    candidates: Iterable[Account],
    done: dict[str, None],
    by_index_price: bool,
) -> None:
    """Liquidate those of the accounts that must be, worst margin ratio first, then those that traded with them.

    An account is liquidated at most once in one command: those in `done` are not, and those of this call join them.
    `by_index_price`: an index price caused the check.
    """
    due = _due(state, changes, candidates, done)
    while due:
        start = len(changes.events)
        due.sort(key=_worst_first)
        for account in due:
            # An account of this round may have traded with one before it, and be restored.
            if account.cash_micros < account.maintenance_micros:
                done[account.user_id] = None
                _liquidate(state, ts_us, changes, account, by_index_price)
        due = _due(state, changes, traders(state, changes.events[start:]), done)


def _due(state: State, changes: Changes, candidates: Iterable[Account], done: dict[str, None]) -> list[Account]:
    """Return the candidates below their maintenance margin, each once. Debts of the others are repaid."""
    due: dict[str, Account] = {}
    for account in candidates:
        if account.cash_micros >= account.maintenance_micros:
            account.prices_below = 0
            if account.shortfall_micros and account.cash_micros > 0:
                repay_debt(state, changes, account)
        elif account.user_id not in done and account.user_id not in (INSURANCE, FEES):
            due[account.user_id] = account
    return list(due.values())


def margin_ratio_ppm(account: Account) -> int:
    """Return the cash in millionths of the maintenance margin, rounded down."""
    return account.cash_micros * PPM // max(1, account.maintenance_micros)


def _worst_first(account: Account) -> tuple[int, str]:
    return margin_ratio_ppm(account), account.user_id


def _liquidate(state: State, ts_us: int, changes: Changes, account: Account, by_index_price: bool) -> None:
    start = len(changes.events)
    changes.events.append(LiquidationStarted(account.user_id, account.cash_micros, account.maintenance_micros))
    if by_index_price:
        account.prices_below += 1
    _cancel_risk(state, changes, account)
    if not state.is_halted:
        _trade_slices(state, ts_us, changes, account)
        limit = state.liquidation_rules.takeover_after
        if account.cash_micros < account.maintenance_micros and 0 < limit <= account.prices_below:
            _take_over(state, ts_us, changes, account)
    if account.cash_micros >= account.maintenance_micros:
        account.prices_below = 0
    if is_insolvent(account):
        cover_shortfall(state, changes, account)
    # If nothing could be cancelled, traded or paid now, no liquidation has started.
    if len(changes.events) == start + 1:
        changes.events.pop()


def _cancel_risk(state: State, changes: Changes, account: Account) -> None:
    """Cancel the orders that could do more than reduce a position, oldest first, and bids that the cash cannot pay."""
    left: dict[str, int] = {}
    for order in list(account.open_orders.values()):
        if order.level is None:
            # It ended with an order before it, to which it is linked.
            continue
        instrument_id = order.book.instrument_id
        position_milli = left.get(instrument_id, account.position_milli(instrument_id))
        change_milli = order.remaining_milli if order.side == "bid" else -order.remaining_milli
        after_milli = position_milli + change_milli
        if position_milli * change_milli < 0 and after_milli * position_milli >= 0:
            left[instrument_id] = after_milli
        else:
            cancel_resting(state, changes, order, "liquidation")
    cancel_unaffordable_bids(state, changes, account)


def _trade_slices(state: State, ts_us: int, changes: Changes, account: Account) -> None:
    """Trade slices until the margin is restored with the cushion, or nothing more can be traded."""
    for _ in range(SLICES_MAX):
        if _is_restored(state, account.cash_micros, account.maintenance_micros):
            return
        for leg in _sorted_legs(state, ts_us, account, at_mark=False):
            size_milli = _slice_milli(state, account, leg, with_trade_fee=True)
            if size_milli:
                _trade_slice(state, changes, account, leg, size_milli)
                break
        else:
            return


def _trade_slice(state: State, changes: Changes, account: Account, leg: Leg, size_milli: int) -> None:
    book, start = leg.position.book, len(changes.events)
    order = Order(
        state.next_order_id,
        account.user_id,
        book,
        "bid" if leg.position.position_milli < 0 else "ask",
        "limit",
        "ioc",
        False,
        None,
        leg.price_micros,
        size_milli,
        size_milli,
        leg.price_micros,
        size_milli,
    )
    accept(state, changes, order, is_liquidation=True)
    cost_micros = filled_milli = 0
    for event in changes.events[start:]:
        if type(event) is Traded:
            cost_micros += event.price_micros * event.size_milli // MILLI_PER_CONTRACT
            filled_milli += event.size_milli
    fee_micros = state.fee_schedule.liquidation_fee_micros(cost_micros, filled_milli, book.index_micros)
    charge_liquidation_fee(state, changes, account, book.instrument_id, order.order_id, fee_micros)
    _cancel_risk(state, changes, account)


def _take_over(state: State, ts_us: int, changes: Changes, account: Account) -> None:
    """Let the insurance take over positions at the mark until the margin is restored, as far as it can carry them."""
    for leg in _sorted_legs(state, ts_us, account, at_mark=True):
        if _is_restored(state, account.cash_micros, account.maintenance_micros):
            return
        size_milli = _slice_milli(state, account, leg, with_trade_fee=False)
        size_milli = _carried_milli(state, leg, size_milli)
        if size_milli:
            _move_to_insurance(state, changes, account, leg, size_milli)


def _move_to_insurance(state: State, changes: Changes, account: Account, leg: Leg, size_milli: int) -> None:
    position, book, insurance = leg.position, leg.position.book, state.accounts[INSURANCE]
    taken = insurance.position(book)
    cost_micros = leg.price_micros * size_milli // MILLI_PER_CONTRACT
    quantity_milli, paid_micros = -size_milli, cost_micros
    if position.position_milli > 0:
        quantity_milli, paid_micros = size_milli, -cost_micros
    changes.track_position(account, position)
    changes.track_position(insurance, taken)
    account.move(position, -quantity_milli, 0)
    insurance.move(taken, quantity_milli, 0)
    account.update_margin(position)
    insurance.update_margin(taken)
    account.cash_micros -= paid_micros
    insurance.cash_micros += paid_micros
    changes.events.append(PositionTakenOver(account.user_id, book.instrument_id, quantity_milli, leg.price_micros))
    shrink_reduce_only(state, changes, account, book)
    fee_micros = state.fee_schedule.liquidation_fee_micros(cost_micros, size_milli, book.index_micros)
    charge_liquidation_fee(state, changes, account, book.instrument_id, None, fee_micros)
    _cancel_risk(state, changes, account)


def _sorted_legs(state: State, ts_us: int, account: Account, at_mark: bool) -> list[Leg]:
    """Return the positions that can be reduced now, the best first, equal ones in order of listing.

    With `at_mark` the price is the mark, otherwise the best price in the book. Positions on an asset that reopens wait:
    its makers must have time to renew their quotes.
    """
    legs = []
    loss_ppm = bearable_loss_ppm(account)
    for asset, positions in account.exposures.items():
        if is_reopening(state, ts_us, asset):
            continue
        for position in positions.values():
            if position.position_milli and position.book.state == "open" and position.book.mark_micros is not None:
                leg = _leg(state, position, at_mark, loss_ppm)
                if leg is not None:
                    legs.append(leg)
    legs.sort(key=_best_first)
    return legs


def _best_first(leg: Leg) -> tuple[int, int]:
    return -leg.score, leg.position.book.number


def _leg(state: State, position: Position, at_mark: bool, loss_ppm: int) -> Leg | None:
    """Return how a position can be reduced; None if nothing is offered near the mark or if it would not help."""
    book, is_short = position.book, position.position_milli < 0
    mark_micros = book.mark_micros
    assert mark_micros is not None, "a leg without a mark"
    if at_mark:
        price_micros = mark_micros // PRICE_STEP_MICROS * PRICE_STEP_MICROS
        fee_micros = 0
    else:
        opposite = book.asks if is_short else book.bids
        best = opposite.best
        if best is None or not opposite.reaches(best, slice_limit_micros(state, book, is_short, loss_ppm)):
            return None
        price_micros = best.price_micros
        fee_micros = state.fee_schedule.taker_fee_micros(price_micros, MILLI_PER_CONTRACT, book.index_micros)
    fee_micros += state.fee_schedule.liquidation_fee_micros(price_micros, MILLI_PER_CONTRACT, book.index_micros)
    if is_short:
        maintenance_micros = nanos_to_micros(book.maintenance_nanos, MILLI_PER_CONTRACT)
        relief_micros = _target_micros(state, maintenance_micros) - price_micros - fee_micros
        cost_micros = price_micros - mark_micros + fee_micros
    else:
        relief_micros = price_micros - fee_micros
        cost_micros = mark_micros - price_micros + fee_micros
    if relief_micros <= 0:
        return None
    score = relief_micros * MILLI_PER_CONTRACT // max(1, cost_micros)
    return Leg(position, price_micros, score)


def bearable_loss_ppm(account: Account) -> int:
    """Return the equity in millionths of the maintenance margin and the value of the options owned, rounded down.

    If each position is closed at this part of its maintenance margin, or of its value, beyond the mark, no equity is
    left, and no debt but the fees of a taker. 0 if there is no equity.
    """
    equity_micros, weight_micros = account.cash_micros, account.maintenance_micros
    for positions in account.exposures.values():
        for position in positions.values():
            mark_micros = position.book.mark_micros
            if mark_micros is not None:
                value_micros = mark_micros * position.position_milli // MILLI_PER_CONTRACT
                equity_micros += value_micros
                weight_micros += max(0, value_micros)
    return max(0, equity_micros) * PPM // max(1, weight_micros)


def slice_limit_micros(state: State, book: OrderBook, is_purchase: bool, loss_ppm: int) -> int:
    """Return the worst price of slices: the mark and a part of the index, rounded away from it, and within the band.

    It is no worse than the price that the equity can bear (`bearable_loss_ppm`): otherwise an accomplice could offer to
    the liquidation of an account until the insurance has to pay for it.
    """
    mark_micros, tick = book.mark_micros, book.tick_micros
    assert mark_micros is not None, "a slice without a mark"
    weight_micros = nanos_to_micros(book.maintenance_nanos, MILLI_PER_CONTRACT) if is_purchase else mark_micros
    bearable = weight_micros * loss_ppm // PPM // tick * tick
    allowed = min(book.index_micros * state.liquidation_rules.limit_ppm // PPM, bearable)
    if is_purchase:
        highest = -(-min(mark_micros + allowed, PRICE_MAX_MICROS) // tick) * tick
        return highest if book.band is None else min(highest, book.band[1])
    lowest = max(1, (mark_micros - allowed) // tick) * tick
    return lowest if book.band is None else max(lowest, book.band[0])


def _target_micros(state: State, maintenance_micros: int) -> int:
    """Return the cash at which slices end: the maintenance margin and the cushion, rounded up."""
    return -(-maintenance_micros * (PPM + state.liquidation_rules.cushion_ppm) // PPM)


def _is_restored(state: State, cash_micros: int, maintenance_micros: int) -> bool:
    return cash_micros >= _target_micros(state, maintenance_micros)


def _slice_milli(state: State, account: Account, leg: Leg, with_trade_fee: bool) -> int:
    """Return the smallest size that restores the margin at the price of the leg, at most the position.

    A purchase is at most what the cash pays, fees included. Both are found by bisection: O(log size).
    """
    most = min(abs(leg.position.position_milli), SIZE_MAX_MILLI)
    if leg.position.position_milli < 0 and not _pays(state, account, leg, most, with_trade_fee):
        most = _largest_paid_milli(state, account, leg, most, with_trade_fee)
    if not most or not _restores(state, account, leg, most, with_trade_fee):
        return most
    too_few, enough = 0, most
    while enough - too_few > 1:
        size_milli = (too_few + enough) // 2
        if _restores(state, account, leg, size_milli, with_trade_fee):
            enough = size_milli
        else:
            too_few = size_milli
    return enough


def _largest_paid_milli(state: State, account: Account, leg: Leg, too_many: int, with_trade_fee: bool) -> int:
    paid = 0
    while too_many - paid > 1:
        size_milli = (paid + too_many) // 2
        if _pays(state, account, leg, size_milli, with_trade_fee):
            paid = size_milli
        else:
            too_many = size_milli
    return paid


def _pays(state: State, account: Account, leg: Leg, size_milli: int, with_trade_fee: bool) -> bool:
    """True if the cash pays a purchase of this size, fees included."""
    cost, fee = _cost_and_fees(state, leg.position.book, leg.price_micros, size_milli, with_trade_fee)
    return cost + fee <= account.cash_micros


def _restores(state: State, account: Account, leg: Leg, size_milli: int, with_trade_fee: bool) -> bool:
    """True if the margin is restored after a slice of this size at the price of the leg."""
    position, book = leg.position, leg.position.book
    cost, fee = _cost_and_fees(state, book, leg.price_micros, size_milli, with_trade_fee)
    if position.position_milli > 0:
        return _is_restored(state, account.cash_micros + cost - fee, account.maintenance_micros)
    kept = nanos_to_micros(book.maintenance_nanos, -position.position_milli - size_milli)
    maintenance = account.maintenance_micros - position.maintenance_micros + kept
    return _is_restored(state, account.cash_micros - cost - fee, maintenance)


def _cost_and_fees(
    state: State, book: OrderBook, price_micros: int, size_milli: int, with_trade_fee: bool
) -> tuple[int, int]:
    fees, cost_micros = state.fee_schedule, price_micros * size_milli // MILLI_PER_CONTRACT
    fee_micros = fees.liquidation_fee_micros(cost_micros, size_milli, book.index_micros)
    if with_trade_fee:
        fee_micros += fees.taker_fee_micros(cost_micros, size_milli, book.index_micros)
    return cost_micros, fee_micros


def _carried_milli(state: State, leg: Leg, most: int) -> int:
    """Return the largest part of a position that the insurance can carry, found by bisection."""
    if not most or _is_carried(state, leg, most):
        return most
    carried, too_many = 0, most
    while too_many - carried > 1:
        size_milli = (carried + too_many) // 2
        if _is_carried(state, leg, size_milli):
            carried = size_milli
        else:
            too_many = size_milli
    return carried


def _is_carried(state: State, leg: Leg, size_milli: int) -> bool:
    """True if the available cash of the insurance is at its floor or above after it takes over this size."""
    book, insurance = leg.position.book, state.accounts[INSURANCE]
    position = insurance.positions.get(book.instrument_id)
    held_milli, locked_micros = (0, 0) if position is None else (position.position_milli, position.collateral_micros)
    cost_micros = leg.price_micros * size_milli // MILLI_PER_CONTRACT
    if leg.position.position_milli < 0:
        held_milli, cash_micros = held_milli - size_milli, insurance.cash_micros + cost_micros
    else:
        held_milli, cash_micros = held_milli + size_milli, insurance.cash_micros - cost_micros
    locked_micros = insurance.locked_micros - locked_micros + nanos_to_micros(book.initial_nanos, max(0, -held_milli))
    return cash_micros - locked_micros >= state.liquidation_rules.insurance_floor_micros
