"""New terms of an open order, after every check."""

from msgspec import UNSET, UnsetType

from exchange.domain.events import OrderEdited
from exchange.matching.execution import trade_and_rest
from exchange.matching.order_checks import Edit
from exchange.matching.state import Changes, State


def change_terms(state: State, changes: Changes, terms: Edit, keeps_place: bool) -> None:
    """Give an open order its new price and size. Without `keeps_place` it leaves the book and enters again."""
    order = terms.order
    account = state.accounts[order.user_id]
    previous_price, previous_remaining = order.price_micros, order.remaining_milli
    assert previous_price is not None, "a market order rests"
    changes.track_order(account, order)
    account.release(order, state.fee_schedule)
    if order.reduce_only:
        account.unfile_reducing(order)
    if not keeps_place:
        order.book.side(order.side).remove(order)
        order.price_micros = terms.price_micros
    order.size_milli = terms.size_milli
    order.remaining_milli = terms.remaining_milli
    shown: int | UnsetType = UNSET
    previous_shown: int | UnsetType = UNSET
    if order.display_milli:
        previous_shown = order.shown_milli
        if not keeps_place or order.shown_milli > order.remaining_milli:
            order.show_anew()
        shown = order.shown_milli
    changes.events.append(
        OrderEdited(
            order.order_id,
            account.user_id,
            order.book.instrument_id,
            order.side,
            terms.price_micros,
            terms.size_milli,
            terms.remaining_milli,
            keeps_place,
            previous_price,
            previous_remaining,
            UNSET,
            shown,
            previous_shown,
        )
    )
    if keeps_place:
        account.reserve(order, state.fee_schedule)
        if order.reduce_only:
            account.file_reducing(order)
    else:
        trade_and_rest(state, changes, order)
