"""Reduce-only orders that rest: together they are never larger than the position that they reduce.

The rules are Deribit's (https://insights.deribit.com/exchange-updates/introduction-to-reduce-only-on-deribit/): the
order that can trade first keeps its size, those behind it shrink, and none grows again if the position does. Of two
orders at one price, that with the lower id keeps its size.
"""

from exchange.matching.accounts import Account
from exchange.matching.book import Order, OrderBook
from exchange.matching.cancellation import cancel_resting, shrink
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
        if order.level is None:
            # It ended with an order before it, to which it is linked.
            continue
        if kept_milli:
            shrink(state, changes, account, order, kept_milli, "reduce_only")
            kept_milli = 0
        else:
            cancel_resting(state, changes, order, "nothing_to_reduce")
