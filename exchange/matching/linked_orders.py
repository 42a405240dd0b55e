"""Linked orders: one cancels the other (OCO), one triggers the other (OTO), and both (OTOCO), in one command.

The rules are Deribit's for `linked_order_type` (https://docs.deribit.com/api-reference/trading/private-buy). All orders
of a command are placed, or none: each passes the checks that can be made before. The secondaries of OTO and OTOCO wait
as untriggered orders and are checked again when they are placed.
"""

from typing import NamedTuple

from msgspec import UNSET

from exchange.domain.commands import PlaceLinkedOrders, PlaceOrder, PlaceTriggerOrder
from exchange.domain.enums import CancelReason
from exchange.domain.events import LinkedOrdersPlaced, OrderRepeated
from exchange.domain.reasons import Reason
from exchange.matching.accounts import Account
from exchange.matching.book import Order, OrderBook
from exchange.matching.execution import accept
from exchange.matching.linked_fills import part_milli
from exchange.matching.links import Links, OrderPair, Primary
from exchange.matching.liquidation import liquidate_traders
from exchange.matching.order_checks import is_available, lock_needed, too_late
from exchange.matching.orders import place, same_order
from exchange.matching.refusal import FailedCheck, Figures, Result
from exchange.matching.state import Changes, State
from exchange.matching.trigger_changes import (
    file_new_trigger,
    new_trigger,
    reference_of,
    same_trigger,
    why_invalid_level,
    why_no_reference,
    why_not_waiting,
    why_trigger_not_placed,
)
from exchange.matching.trigger_orders import TriggerOrder


class _Checked(NamedTuple):
    """The orders of a command that passed every check: those that enter their books, and those that wait."""

    plain: list[Order]
    waiting: list[TriggerOrder]


def place_linked(state: State, ts_us: int, command: PlaceLinkedOrders) -> Result:
    """Place linked orders: first those that wait, which lock nothing, then those that enter their books."""
    account = state.accounts.get(command.user_id)
    if account is None:
        return FailedCheck(Reason.UNKNOWN_USER)
    for order in command.orders:
        if order.valid_until_us is not UNSET and ts_us > order.valid_until_us:
            return too_late(ts_us, order.valid_until_us)
    if failed := _why_contradictory(command):
        return failed
    repeated_id = _repeated_id(account, command.orders[0])
    if repeated_id is not None:
        return [OrderRepeated(repeated_id, account.user_id)]
    checked = _checked(state, ts_us, account, command)
    if isinstance(checked, FailedCheck):
        return checked

    first_id = state.next_order_id
    ids = [first_id + number for number in range(len(command.orders))]
    changes = Changes()
    changes.events.append(LinkedOrdersPlaced(account.user_id, command.link, command.fill_condition, ids))
    _add_links(state, account, command, ids)
    for trigger in checked.waiting:
        if command.link != "one_cancels_other" and trigger.order_id != first_id:
            trigger.primary_order_id = first_id
        changes.events.append(file_new_trigger(state, account, trigger))
    for plain in checked.plain:
        if plain is checked.plain[0]:
            accept(state, changes, plain)
        else:
            _place_second(state, changes, account, command, checked.plain[0], plain)
    state.next_order_id = first_id + len(ids)
    liquidate_traders(state, ts_us, changes)
    return changes.take_events()


def _add_links(state: State, account: Account, command: PlaceLinkedOrders, ids: list[int]) -> None:
    if state.links is None:
        state.links = Links()
    if command.link != "one_triggers_other":
        state.links.add_pair(OrderPair(account.user_id, command.fill_condition, ids[-2], ids[-1]))
    if command.link != "one_cancels_other":
        primary = Primary(account.user_id, command.fill_condition, ids[0], dict.fromkeys(ids[1:], 0))
        state.links.primaries[primary.order_id] = primary


def _place_second(
    state: State, changes: Changes, account: Account, command: PlaceLinkedOrders, first: Order, second: Order
) -> None:
    """Place the second of two orders in books, after the first may have traded.

    If the first one has cancelled it, or left nothing for it, it is accepted and cancelled at once.
    """
    filled_milli = first.size_milli - first.remaining_milli
    if command.fill_condition == "incremental" and filled_milli and first.remaining_milli:
        second.remaining_milli -= part_milli(second.remaining_milli, filled_milli, first.size_milli)
        second.size_milli = second.remaining_milli
    if second.reduce_only:
        reducible_milli = _reducible_milli(account, second)
        if reducible_milli:
            second.size_milli = second.remaining_milli = min(second.remaining_milli, reducible_milli)
    assert second.price_micros is not None, "a market order is in a pair"
    reason: CancelReason | None = None
    if state.links is None or second.order_id not in state.links.pairs:
        reason = "linked_order"
    elif second.reduce_only and not _reducible_milli(account, second):
        reason = "nothing_to_reduce"
    elif not is_available(
        account,
        lock_needed(state, account, second.book, second.side, second.price_micros, second.remaining_milli),
    ):
        reason = "insufficient_balance"
    accept(state, changes, second, ends_at_once=reason)


def _reducible_milli(account: Account, order: Order) -> int:
    position_milli = account.position_milli(order.book.instrument_id)
    return max(0, -position_milli if order.side == "bid" else position_milli)


def _why_contradictory(command: PlaceLinkedOrders) -> FailedCheck | None:
    """Fail if the orders cannot be linked in this way, whatever the market is."""
    orders = command.orders
    wanted = 3 if command.link == "one_triggers_one_cancels_other" else 2
    if len(orders) != wanted:
        return FailedCheck(Reason.INVALID_LINKED_ORDERS, {"orders": len(orders), "wanted_orders": wanted})
    names: dict[str, None] = {}
    for number, order in enumerate(orders):
        figures: Figures = {"order": number}
        if order.user_id != command.user_id:
            return FailedCheck(Reason.INVALID_LINKED_ORDERS, figures)
        if order.client_order_id is not None:
            if order.client_order_id in names:
                return FailedCheck(Reason.INVALID_LINKED_ORDERS, figures)
            names[order.client_order_id] = None
        is_in_pair = command.link != "one_triggers_other" and number >= wanted - 2
        if is_in_pair and isinstance(order, PlaceOrder) and not _rests(order):
            return FailedCheck(Reason.INVALID_LINKED_ORDERS, figures)
    return None


def _rests(order: PlaceOrder) -> bool:
    return order.type == "limit" and (order.time_in_force == "gtc" or order.time_in_force == "day")


def _repeated_id(account: Account, primary: PlaceOrder | PlaceTriggerOrder) -> int | None:
    """Return the id of the order that the same command has placed before, as the primary's client_order_id tells."""
    if isinstance(primary, PlaceOrder):
        order = account.find_client_order(primary.client_order_id)
        return order.order_id if order is not None and same_order(order, primary) else None
    trigger = account.find_trigger(None, primary.client_order_id)
    return trigger.order_id if trigger is not None and same_trigger(trigger, primary) else None


def _checked(state: State, ts_us: int, account: Account, command: PlaceLinkedOrders) -> _Checked | FailedCheck:
    """Check each order, in the order of the command, and make it; or return the first check that fails."""
    checked = _Checked([], [])
    for number, order in enumerate(command.orders):
        order_id = state.next_order_id + number
        is_secondary = command.link != "one_cancels_other" and number > 0
        if isinstance(order, PlaceOrder) and not is_secondary:
            plain = _checked_plain(state, ts_us, account, order, checked.plain)
            if isinstance(plain, FailedCheck):
                return plain
            plain.order_id = order_id
            checked.plain.append(plain)
            continue
        book, used_by_id = state.books.get(order.instrument_id), _used_by_id(account, order.client_order_id)
        before = len(checked.waiting)
        failed = why_not_waiting(state, ts_us, account, book, used_by_id, order, before)
        if failed is None and isinstance(order, PlaceTriggerOrder):
            failed = _why_bad_trigger(state, ts_us, account, book, order, is_secondary)
        if failed is not None:
            return failed
        assert book is not None, "an order in no instrument passed every check"
        checked.waiting.append(_waiting(account, book, order, order_id))
    return checked


def _checked_plain(
    state: State, ts_us: int, account: Account, command: PlaceOrder, before: list[Order]
) -> Order | FailedCheck:
    """Check an order that enters its book, with the locks of the order of the same command before it, if any."""
    checked: list[Order] = []
    if not before:
        failed = place(state, ts_us, command, checked=checked)
        return failed if isinstance(failed, FailedCheck) else checked[0]
    first = before[0]
    # The locks are taken and given back: a refused command leaves no position behind that was not there.
    is_new_position = first.side == "ask" and first.book.instrument_id not in account.positions
    account.open_orders[first.order_id] = first
    account.reserve(first, state.fee_schedule)
    failed = place(state, ts_us, command, checked=checked)
    account.release(first, state.fee_schedule)
    del account.open_orders[first.order_id]
    if is_new_position:
        del account.positions[first.book.instrument_id]
    if isinstance(failed, FailedCheck):
        return failed
    order = checked[0]
    if _crosses(first, order):
        return FailedCheck(Reason.INVALID_LINKED_ORDERS, {"order": 1})
    return order


def _crosses(first: Order, second: Order) -> bool:
    if first.book is not second.book or first.side == second.side:
        return False
    bid, ask = (first, second) if first.side == "bid" else (second, first)
    assert bid.price_micros is not None and ask.price_micros is not None, "a market order is in a pair"
    return bid.price_micros >= ask.price_micros


def _why_bad_trigger(
    state: State,
    ts_us: int,
    account: Account,
    book: OrderBook | None,
    command: PlaceTriggerOrder,
    is_secondary: bool,
) -> FailedCheck | None:
    """Fail if the price cannot trigger the order. That of a secondary counts from the fill of its primary on."""
    if not is_secondary:
        return why_trigger_not_placed(state, ts_us, account, book, None, command)
    assert book is not None, "an order in no instrument passed a check"
    level, offset = command.trigger_price_micros, command.trigger_offset_micros
    return why_invalid_level(level, offset) or why_no_reference(
        reference_of(state, book, command.trigger), offset, command.trigger
    )


def _used_by_id(account: Account, client_order_id: str | None) -> int | None:
    """Return the id of the order, or of the trigger order, that has this client_order_id."""
    order = account.find_client_order(client_order_id)
    if order is not None:
        return order.order_id
    trigger = account.find_trigger(None, client_order_id)
    return None if trigger is None else trigger.order_id


def _waiting(account: Account, book: OrderBook, command: PlaceOrder | PlaceTriggerOrder, order_id: int) -> TriggerOrder:
    """Return an order that waits, for a price or, a plain secondary, for nothing but its primary."""
    if isinstance(command, PlaceTriggerOrder):
        return new_trigger(account, book, command, order_id)
    return TriggerOrder(
        order_id,
        account.user_id,
        book,
        command.side,
        command.type,
        None,
        0,
        None,
        command.time_in_force,
        command.price_micros,
        command.size_milli,
        command.post_only,
        command.client_order_id,
        command.reduce_only is True,
        command.label or None,
        (None, None, command.price_micros, command.size_milli),
        reprices=command.reprices is True,
        display_milli=command.display_milli or 0,
        connection=command.connection or 0,
    )
