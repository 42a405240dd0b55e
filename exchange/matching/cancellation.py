"""How orders end other than by being filled."""

from collections.abc import Iterable

from exchange.domain.enums import CancelReason
from exchange.domain.events import OrderCancelled
from exchange.matching.accounts import Account
from exchange.matching.book import Order
from exchange.matching.state import Changes, State


def cancel_each(state: State, outcome: Changes, orders: Iterable[Order], reason: CancelReason) -> None:
    """Take these resting orders out of their books, in the order given."""
    for order in orders:
        cancel_resting(state, outcome, order, reason)


def cancel_unaffordable_bids(state: State, outcome: Changes, account: Account) -> None:
    """Cancel the newest bids until the cash covers what the others lock: nothing may be bought that cannot be paid."""
    for order in reversed(list(account.open_orders.values())):
        if account.bids_micros <= max(0, account.cash_micros):
            return
        if order.side == "bid":
            cancel_resting(state, outcome, order, "insufficient_balance")


def cancel_resting(state: State, outcome: Changes, order: Order, reason: CancelReason) -> None:
    """Take a resting order out of its book and end it."""
    order.book.side(order.side).remove(order)
    close_order(state, outcome, order, reason)


def close_order(state: State, outcome: Changes, order: Order, reason: CancelReason) -> None:
    """End an order that does not rest: release what its remainder had locked, and say why."""
    account = state.accounts[order.user_id]
    if order.price_micros is not None:
        outcome.track_for(account, order)
        account.release(order, state.charges)
    account.close_order(order, state.rules.finished_orders_kept)
    outcome.events.append(
        OrderCancelled(
            order.order_id,
            account.user_id,
            order.book.instrument_id,
            order.side,
            order.price_micros,
            order.remaining_milli,
            reason,
        )
    )
