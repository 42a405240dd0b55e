"""Reduce-only orders that rest: together they are never larger than the position that they reduce.

The rules are Deribit's (https://insights.deribit.com/exchange-updates/introduction-to-reduce-only-on-deribit/): the
order that can trade first keeps its size, those behind it shrink, and none grows again if the position does. Of two
orders at one price, that with the lower id keeps its size.
"""

from msgspec import UNSET, UnsetType

from exchange.domain.events import OrderEdited
from exchange.domain.units import NUMBER_MAX
from exchange.matching.accounts import Account
from exchange.matching.book import Order, OrderBook
from exchange.matching.cancellation import cancel_resting
from exchange.matching.state import Changes, State


def rest_reduce_only(state: State, changes: Changes, account: Account, order: Order) -> None:
    """File a reduce-only order that rests from now on, and shrink those behind it."""
    account.reduce_only_orders[order.order_id] = order
    shrink_reduce_only(state, changes, account, order.book)


def shrink_reduce_only(state: State, changes: Changes, account: Account, book: OrderBook) -> None:
    """Shrink the account's resting reduce-only orders in an instrument to its position; cancel those without a rest."""
    position_milli = account.position_milli(book.instrument_id)
    left_milli = abs(position_milli)
    for order in first_to_trade(account, book):
        if (order.side == "ask") != (position_milli > 0):
            left_milli = 0
        kept_milli = min(order.remaining_milli, left_milli)
        left_milli -= kept_milli
        if not kept_milli:
            cancel_resting(state, changes, order, "nothing_to_reduce")
        elif kept_milli < order.remaining_milli:
            _shrink(state, changes, account, order, kept_milli)


def first_to_trade(account: Account, book: OrderBook) -> list[Order]:
    """Return the account's resting reduce-only orders in an instrument, the first to trade first."""
    # An order that is edited is filed, and does not rest while it trades.
    orders = [it for it in account.reduce_only_orders.values() if it.book is book and it.level is not None]
    return sorted(orders, key=_rank) if len(orders) > 1 else orders


def _rank(order: Order) -> tuple[int, int]:
    assert order.price_micros is not None, "a market order rests"
    # An order of a dry run has no id yet, and is the newest.
    return order.price_micros if order.side == "ask" else -order.price_micros, order.order_id or NUMBER_MAX


def _shrink(state: State, changes: Changes, account: Account, order: Order, remaining_milli: int) -> None:
    """Make a resting order smaller. It keeps its place in the queue."""
    assert order.price_micros is not None, "a market order rests"
    previous_milli = order.remaining_milli
    changes.track_order(account, order)
    account.release(order, state.fee_schedule)
    order.size_milli -= previous_milli - remaining_milli
    order.remaining_milli = remaining_milli
    account.reserve(order, state.fee_schedule)
    shown: int | UnsetType = UNSET
    previous_shown: int | UnsetType = UNSET
    if order.display_milli:
        previous_shown = order.shown_milli
        order.shown_milli = shown = min(order.shown_milli, remaining_milli)
    changes.events.append(
        OrderEdited(
            order.order_id,
            account.user_id,
            order.book.instrument_id,
            order.side,
            order.price_micros,
            order.size_milli,
            remaining_milli,
            True,
            order.price_micros,
            previous_milli,
            "reduce_only",
            shown,
            previous_shown,
        )
    )
