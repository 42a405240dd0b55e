"""How orders end other than by being filled."""

from collections.abc import Iterable

from exchange.domain.events import OrderCancelled
from exchange.domain.words import CancelReason
from exchange.matching.accounts import Account
from exchange.matching.book import Order
from exchange.matching.state import Outcome, State


def withdraw_each(state: State, outcome: Outcome, orders: Iterable[Order], reason: CancelReason) -> None:
    """Take these resting orders out of their books, in the order given."""
    for order in orders:
        withdraw(state, outcome, order, reason)


def trim_bids(state: State, outcome: Outcome, account: Account) -> None:
    """Cancel the newest bids until the cash covers what the others lock: nothing may be bought that cannot be paid."""
    for order in reversed(list(account.open_orders.values())):
        if account.bids_micros <= max(0, account.cash_micros):
            return
        if order.side == "bid":
            withdraw(state, outcome, order, "insufficient_balance")


def withdraw(state: State, outcome: Outcome, order: Order, reason: CancelReason) -> None:
    """Take a resting order out of its book and end it."""
    order.book.side(order.side).remove(order)
    end(state, outcome, order, reason)


def end(state: State, outcome: Outcome, order: Order, reason: CancelReason) -> None:
    """End an order that does not rest: release what its remainder had locked, and say why."""
    account = order.account
    if order.price_micros is not None:
        outcome.touch_for(order)
        account.release(order, state.charges)
    account.finish(order, state.rules.finished_orders_kept)
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
