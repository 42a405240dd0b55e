"""Execution of an accepted order: it is recorded, trades as far as it goes, and its remainder rests or is cancelled."""

from msgspec import UNSET

from exchange.domain.enums import CancelReason
from exchange.domain.events import OrderAccepted
from exchange.matching.book import Order
from exchange.matching.cancellation import close_order
from exchange.matching.fills import BuyingPower, fillable, match
from exchange.matching.maker_protection import is_frozen
from exchange.matching.reduce_only import rest_reduce_only
from exchange.matching.state import Changes, State


def accept(
    state: State,
    changes: Changes,
    order: Order,
    budget: BuyingPower | None = None,
    is_liquidation: bool = False,
    trigger_order_id: int | None = None,
    ends_at_once: CancelReason | None = None,
) -> None:
    """Accept and execute an order that passed every check.

    The exchange places liquidation orders itself. They may have a budget, as market orders have. With `ends_at_once`, a
    limit order is cancelled before it trades.
    """
    account = state.accounts[order.user_id]
    state.next_order_id += 1
    changes.events.append(
        OrderAccepted(
            order.order_id,
            account.user_id,
            order.book.instrument_id,
            order.side,
            order.type,
            order.time_in_force,
            order.price_micros,
            order.size_milli,
            order.post_only,
            order.client_order_id,
            order.reduce_only or UNSET,
            is_liquidation or UNSET,
            UNSET if order.label is None else order.label,
            UNSET if trigger_order_id is None else trigger_order_id,
            order.display_milli or UNSET,
        )
    )
    if order.client_order_id is not None:
        account.client_orders[order.client_order_id] = order
    account.open_orders[order.order_id] = order
    if ends_at_once is not None:
        changes.track_order(account, order)
        account.reserve(order, state.fee_schedule)
        close_order(state, changes, order, ends_at_once)
        return
    trade_and_rest(state, changes, order, budget)


def trade_and_rest(state: State, changes: Changes, order: Order, budget: BuyingPower | None = None) -> None:
    """Trade an order that enters the book, then rest its remainder or cancel it."""
    account = state.accounts[order.user_id]
    reason: CancelReason = "ioc_remainder"
    if order.price_micros is None:
        reason = "market_remainder"
        # A FOK market order needs no budget: a check has found that the account can pay for all of it.
        if order.time_in_force != "fok":
            budget = BuyingPower(state, account, order.book, order.side)
    else:
        changes.track_order(account, order)
        account.reserve(order, state.fee_schedule)
    if order.time_in_force == "fok" and fillable(state, order) < order.remaining_milli:
        reason = "fok_unfilled"
    elif not match(state, changes, order, budget):
        reason = "insufficient_balance"
    if not order.remaining_milli:
        account.close_order(order, state.rules.finished_orders_kept)
    elif order.mmp_group is not None and is_frozen(state, order):
        close_order(state, changes, order, "mmp_trigger")
    elif order.time_in_force in ("gtc", "day"):
        assert order.price_micros is not None, "a market order may not rest"
        if order.display_milli:
            order.show_anew()
        order.book.side(order.side).append(order, order.price_micros)
        if order.reduce_only:
            rest_reduce_only(state, changes, account, order)
    else:
        close_order(state, changes, order, reason)
