"""Reduce-only orders that rest: together they are never larger than the position that they reduce.

The rules are Deribit's (https://insights.deribit.com/exchange-updates/introduction-to-reduce-only-on-deribit/): the
order that can trade first keeps its size, those behind it shrink, and none grows again if the position does. Of two
orders at one price, that with the lower id keeps its size.
"""

from msgspec import UNSET, UnsetType

from exchange.domain.events import OrderEdited
from exchange.matching.accounts import Account
from exchange.matching.book import Order, OrderBook
from exchange.matching.cancellation import cancel_resting
from exchange.matching.state import Changes, State


def rest_reduce_only(state: State, changes: Changes, account: Account, order: Order) -> None:
    """File a reduce-only order that rests from now on, and shrink those behind it."""
    account.file_reducing(order)
    shrink_reduce_only(state, changes, account, order.book)


def shrink_reduce_only(state: State, changes: Changes, account: Account, book: OrderBook) -> None:
    """Shrink the account's resting reduce-only orders in an instrument to its position; cancel those without a rest."""
    reducing = account.reducing.get(book.instrument_id)
    if reducing is None:
        return
    position_milli = account.position_milli(book.instrument_id)
    if reducing.sum_milli <= abs(position_milli) and reducing.reduces(position_milli):
        return
    allowed_milli = abs(position_milli) if reducing.reduces(position_milli) else 0
    kept_milli = allowed_milli - reducing.sum_milli
    orders = reducing.too_large(allowed_milli)
    # The first of them keeps what the others leave of the position.
    kept_milli += sum(order.remaining_milli for order in orders)
    for order in orders:
        if kept_milli:
            _shrink(state, changes, account, order, kept_milli)
            kept_milli = 0
        else:
            cancel_resting(state, changes, order, "nothing_to_reduce")


def _shrink(state: State, changes: Changes, account: Account, order: Order, remaining_milli: int) -> None:
    """Make a resting order smaller. It keeps its place in the queue."""
    assert order.price_micros is not None, "a market order rests"
    previous_milli = order.remaining_milli
    changes.track_order(account, order)
    account.release(order, state.fee_schedule)
    order.size_milli -= previous_milli - remaining_milli
    order.remaining_milli = remaining_milli
    account.change_reducing(order, remaining_milli - previous_milli)
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
