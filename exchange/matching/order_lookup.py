"""How a command names an order or a group of orders: by id, by client_order_id, by label, or by what they trade."""

from typing import TypeVar

from msgspec import UNSET

from exchange.domain.commands import CancelAll, CancelOrder, CancelUserOrders, EditOrder
from exchange.domain.reasons import Reason
from exchange.matching.accounts import Account
from exchange.matching.book import Order
from exchange.matching.refusal import FailedCheck, Figures
from exchange.matching.state import State
from exchange.matching.trigger_orders import TriggerOrder

AnyOrder = TypeVar("AnyOrder", Order, TriggerOrder)


def find_order(account: Account | None, order_id: int | None, client_order_id: str | None) -> Order | None:
    """Return the account's order with this id, or else with this client_order_id, open or closed.

    None if there is no such order, or if it is among the closed orders that are no longer kept.
    """
    if account is None:
        return None
    if order_id is not None:
        return account.find_order(order_id)
    return account.find_client_order(client_order_id)


def labelled_orders(account: Account, label: str, instrument_id: str | None = None) -> list[Order]:
    """Return the open orders with this label, oldest first; only those in the instrument, if it is given."""
    return [
        order
        for order in account.open_orders.values()
        if order.label == label and instrument_id in (None, order.book.instrument_id)
    ]


def named_order(state: State, command: EditOrder | CancelOrder) -> Order | FailedCheck:
    """Return the order that the command names, open or closed; or why there is no such order.

    A label names an open order, and only if no other open order has it, as on Deribit
    (https://docs.deribit.com/api-reference/trading/private-edit_by_label).
    """
    instrument_id = None if command.instrument_id is UNSET else command.instrument_id
    if instrument_id is not None and not state.knows(instrument_id):
        return FailedCheck(Reason.INSTRUMENT_NOT_FOUND)
    account = state.accounts.get(command.user_id)
    if command.label is not UNSET and account is not None:
        orders = labelled_orders(account, command.label, instrument_id)
        count = len(orders) + (_labelled_triggers(account, command.label, instrument_id) if account.triggers else 0)
        if count > 1:
            return FailedCheck(Reason.LABEL_NOT_UNIQUE, {"open_orders": count})
        return orders[0] if orders else _not_found(state)
    order = find_order(account, command.order_id, command.client_order_id)
    if order is None or instrument_id not in (None, order.book.instrument_id):
        return _not_found(state)
    return order


def why_no_group(state: State, command: CancelAll | CancelUserOrders) -> FailedCheck | None:
    """Fail if the command names an instrument or an asset that was never listed."""
    if command.instrument_id is not None and not state.knows(command.instrument_id):
        return FailedCheck(Reason.INSTRUMENT_NOT_FOUND)
    if isinstance(command, CancelUserOrders) or command.asset is UNSET:
        return None
    return None if command.asset in state.live else FailedCheck(Reason.UNKNOWN_ASSET)


def group_of(orders: list[AnyOrder], command: CancelAll | CancelUserOrders) -> list[AnyOrder]:
    """Return those of the orders that a mass cancellation names. Filters that are not given fit any order."""
    if command.instrument_id is not None:
        orders = [order for order in orders if order.book.instrument_id == command.instrument_id]
    if isinstance(command, CancelUserOrders):
        return orders
    if command.asset is not UNSET:
        orders = [order for order in orders if order.book.asset == command.asset]
    if command.option_type is not UNSET:
        orders = [order for order in orders if order.book.is_call == (command.option_type == "call")]
    if command.label is not UNSET:
        orders = [order for order in orders if order.label == command.label]
    return orders


def _labelled_triggers(account: Account, label: str, instrument_id: str | None) -> int:
    """Return the number of untriggered orders with this label."""
    return sum(
        1
        for order in account.triggers.values()
        if order.label == label and instrument_id in (None, order.book.instrument_id)
    )


def _not_found(state: State) -> FailedCheck:
    figures: Figures = {"orders_so_far": state.next_order_id - 1}
    return FailedCheck(Reason.ORDER_NOT_FOUND, figures)
