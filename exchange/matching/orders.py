"""Orders: place, edit, cancel. Each function first checks, which only reads, and then changes, which cannot fail."""

from msgspec import UNSET
from msgspec.structs import replace

from exchange.domain.commands import CancelAll, CancelOrder, CancelUserOrders, EditOrder, PlaceOrder
from exchange.domain.enums import CancelReason
from exchange.domain.events import AllCancelled, OrderRepeated
from exchange.domain.reasons import Reason
from exchange.domain.rules import FAIR_MARKET_VERSION
from exchange.matching.accounts import Account
from exchange.matching.book import Order
from exchange.matching.cancellation import cancel_each, cancel_resting, cancel_trigger, cancel_triggers
from exchange.matching.execution import accept
from exchange.matching.liquidation import liquidate_traders
from exchange.matching.order_changes import change_terms
from exchange.matching.order_checks import (
    Edit,
    best_price_micros,
    resting_price_micros,
    size_to_place_milli,
    too_late,
    why_not_edited,
    why_not_placed,
)
from exchange.matching.order_lookup import group_of, named_order, why_no_group
from exchange.matching.refusal import FailedCheck, Result
from exchange.matching.state import Changes, State
from exchange.matching.trigger_changes import edit_trigger, named_trigger


def place(
    state: State,
    ts_us: int,
    command: PlaceOrder,
    trigger_order_id: int | None = None,
    liquidated: dict[str, None] | None = None,
    checked: list[Order] | None = None,
) -> Result:
    """Accept an order, trade it as far as it goes, and rest or cancel the remainder.

    `trigger_order_id`: the trigger order that places it, None if its user does. `liquidated`: the accounts whose
    liquidation started in this command before; they are not liquidated again. `checked`: the list that gets the order,
    with the next id, if it passes every check; then it is not accepted, and nothing changes.
    """
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    if command.valid_until_us is not UNSET and ts_us > command.valid_until_us:
        return too_late(ts_us, command.valid_until_us)
    known = account.find_client_order(command.client_order_id) if command.client_order_id is not None else None
    if known is not None and checked is None and same_order(known, command):
        return [OrderRepeated(known.order_id, account.user_id)]
    book = state.books.get(command.instrument_id)
    size = command.size_milli if command.reduce_only is UNSET else size_to_place_milli(account, book, command)
    wanted_micros = command.price_micros
    if command.reprices is not UNSET and book is not None and wanted_micros is not None:
        price = resting_price_micros(state, account, book, command.side, wanted_micros)
        command = replace(command, price_micros=price)
    elif wanted_micros is None and command.type == "market_limit" and book is not None:
        best_micros = best_price_micros(state, account, book, command.side, None)
        command = replace(command, price_micros=best_micros)
    used_by_id = None if known is None else known.order_id
    if command.client_order_id is not None and (account.triggers or account.closed_triggers):
        trigger = account.find_trigger(None, command.client_order_id)
        used_by_id = used_by_id if trigger is None else trigger.order_id
    if failed := why_not_placed(state, ts_us, account, book, used_by_id, command, size):
        return failed
    assert book is not None, "an order in no instrument passed every check"
    order = Order(
        state.next_order_id,
        account.user_id,
        book,
        command.side,
        command.type,
        command.time_in_force,
        command.post_only,
        command.client_order_id,
        command.price_micros,
        size,
        size,
        wanted_micros,
        command.size_milli,
        command.reduce_only is True,
        command.label or None,
        command.reprices is True,
        command.display_milli or 0,
        connection=command.connection or 0,
    )
    if checked is not None:
        checked.append(order)
        return []
    changes = Changes()
    accept(state, changes, order, trigger_order_id=trigger_order_id)
    liquidate_traders(state, ts_us, changes, liquidated)
    return changes.take_events()


def edit(state: State, ts_us: int, command: EditOrder) -> Result:
    """Give an open order another price or size. Same price and no larger size keep its place in the queue.

    By rules version 1, an edit to the same size loses it.
    """
    if command.valid_until_us is not UNSET and ts_us > command.valid_until_us:
        return too_late(ts_us, command.valid_until_us)
    order = named_order(state, command)
    if isinstance(order, FailedCheck):
        trigger = named_trigger(state, command, order)
        return trigger if isinstance(trigger, FailedCheck) else edit_trigger(state, ts_us, trigger, command)
    if order.level is None:
        return FailedCheck(_why_closed(order), {"order_id": order.order_id})
    if command.trigger_price_micros is not UNSET or command.trigger_offset_micros is not UNSET:
        return FailedCheck(Reason.TERMS_DO_NOT_FIT, {"order_id": order.order_id})
    account = state.accounts[order.user_id]
    terms = _edited_terms(account, order, command)
    if order.reprices:
        price = resting_price_micros(state, account, order.book, order.side, terms.price_micros)
        terms = terms._replace(price_micros=price)
    if failed := why_not_edited(state, ts_us, account, terms):
        return failed

    changes = Changes()
    # A size keeps its place up to this one.
    size_kept_milli = order.size_milli if state.rules_version >= FAIR_MARKET_VERSION else order.size_milli - 1
    keeps_place = terms.price_micros == order.price_micros and terms.size_milli <= size_kept_milli
    change_terms(state, changes, terms, keeps_place)
    if not keeps_place:
        liquidate_traders(state, ts_us, changes)
    return changes.take_events()


def cancel(state: State, command: CancelOrder) -> Result:
    """Cancel one open order of the user."""
    order = named_order(state, command)
    if isinstance(order, FailedCheck):
        trigger = named_trigger(state, command, order)
        if isinstance(trigger, FailedCheck):
            return trigger
        changes = Changes()
        cancel_trigger(state, changes, trigger, "user_request")
        return changes.take_events()
    if order.level is None:
        return FailedCheck(_why_closed(order))
    changes = Changes()
    cancel_resting(state, changes, order, "user_request")
    return changes.take_events()


def cancel_all(state: State, command: CancelAll | CancelUserOrders, reason: CancelReason) -> Result:
    """Cancel the user's open orders that the command names, oldest first."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    if failed := why_no_group(state, command):
        return failed
    orders = group_of(list(account.open_orders.values()), command)
    changes = Changes()
    cancel_each(state, changes, orders, reason)
    triggers = group_of(list(account.triggers.values()), command) if account.triggers else []
    cancel_triggers(state, changes, triggers, reason)
    changes.events.append(AllCancelled(account.user_id, changes.count_ended()))
    return changes.take_events()


def same_order(known: Order, command: PlaceOrder) -> bool:
    """True if `command` repeats the one that placed `known`."""
    return (
        known.book.instrument_id == command.instrument_id
        and known.side == command.side
        and known.type == command.type
        and known.time_in_force == command.time_in_force
        and known.post_only == command.post_only
        and known.original_price_micros == command.price_micros
        and known.original_size_milli == command.size_milli
        and known.reduce_only == (command.reduce_only is True)
        and known.label == (command.label or None)
        and known.reprices == (command.reprices is True)
        and known.display_milli == (command.display_milli or 0)
    )


def _edited_terms(account: Account, order: Order, command: EditOrder) -> Edit:
    """Price and size after the edit; one that the command does not name stays as it is.

    A reduce-only order is not larger than the position.
    """
    assert order.price_micros is not None, "a market order rests"
    price = order.price_micros if command.price_micros is None else command.price_micros
    size = order.size_milli if command.size_milli is None else command.size_milli
    filled_milli = order.size_milli - order.remaining_milli
    if order.reduce_only:
        size = min(size, filled_milli + abs(account.position_milli(order.book.instrument_id)))
    return Edit(order, price, size, size - filled_milli)


def _why_closed(order: Order) -> Reason:
    return Reason.ORDER_ALREADY_CANCELLED if order.remaining_milli else Reason.ORDER_ALREADY_FILLED
