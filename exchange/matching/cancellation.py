"""Cancellations: how orders end without being filled."""

from collections.abc import Iterable

from msgspec import UNSET

from exchange.domain.enums import CancelReason
from exchange.domain.events import OrderCancelled
from exchange.matching.accounts import Account
from exchange.matching.book import Order
from exchange.matching.state import Changes, State


def cancel_each(state: State, changes: Changes, orders: Iterable[Order], reason: CancelReason) -> None:
    """Cancel these resting orders, in the given order."""
    for order in orders:
        cancel_resting(state, changes, order, reason)


def cancel_unaffordable_bids(state: State, changes: Changes, account: Account) -> None:
    """Cancel the newest bids until the cash covers the locks of the others, so that every fill can be paid."""
    for order in reversed(list(account.open_orders.values())):
        if account.bids_micros <= max(0, account.cash_micros):
            return
        if order.side == "bid":
            cancel_resting(state, changes, order, "insufficient_balance")


def cancel_resting(state: State, changes: Changes, order: Order, reason: CancelReason) -> None:
    """Take a resting order out of its book and close it."""
    order.book.side(order.side).remove(order)
    close_order(state, changes, order, reason)


def close_order(state: State, changes: Changes, order: Order, reason: CancelReason) -> None:
    """Close an order that does not rest, and release the lock of its remainder."""
    account = state.accounts[order.user_id]
    if order.price_micros is not None:
        changes.track_order(account, order)
        account.release(order, state.fee_schedule)
    account.close_order(order, state.rules.finished_orders_kept)
    changes.events.append(
        OrderCancelled(
            order.order_id,
            account.user_id,
            order.book.instrument_id,
            order.side,
            order.price_micros,
            order.remaining_milli,
            reason,
            order.shown_milli if order.display_milli else UNSET,
        )
    )
