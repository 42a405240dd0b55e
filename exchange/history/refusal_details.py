"""The figures behind a refusal: those of the check that failed, and the owner of an order that was not found."""

from msgspec import UNSET

from exchange.domain.commands import CancelOrder, Command, EditOrder
from exchange.domain.reasons import Reason
from exchange.matching.apply import why_refused
from exchange.matching.order_lookup import find_order
from exchange.matching.refusal import Figures
from exchange.matching.state import State


def refusal_figures(state: State, ts_us: int, command: Command) -> Figures:
    """Return the figures by name, each name with its unit; empty if the reason says everything.

    `state` must be one that refuses the command; a refusal does not change it.
    """
    failed = why_refused(state, ts_us, command)
    if isinstance(command, EditOrder | CancelOrder) and failed.reason == Reason.ORDER_NOT_FOUND:
        return failed.figures | _owner(state, command)
    return failed.figures


def _owner(state: State, command: EditOrder | CancelOrder) -> Figures:
    """Return owner and instrument of the order that the command names, if its account still keeps it.

    A client_order_id is looked up only among the orders of the command's own user, and a label names open orders alone.
    """
    owner: Figures = {}
    if command.label is not UNSET:
        return owner
    for account in state.accounts.values():
        if account.user_id == command.user_id or command.order_id is not None:
            order = find_order(account, command.order_id, command.client_order_id)
            if order is not None:
                owner = {"owner": account.user_id, "instrument_id": order.book.instrument_id}
    return owner
