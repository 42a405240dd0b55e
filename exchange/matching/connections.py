"""Orders that depend on their connection: cancel-on-disconnect with the scope `connection`, as on Deribit.

Source: https://docs.deribit.com/api-reference/session-management/private-enable_cancel_on_disconnect: orders of other
connections remain active. The command that places an order names the connection, so a replay cancels the same ones.
"""

from exchange.domain.events import AllCancelled
from exchange.matching.accounts import Account
from exchange.matching.book import Order
from exchange.matching.cancellation import cancel_each, cancel_triggers
from exchange.matching.state import Changes, State
from exchange.matching.trigger_orders import TriggerOrder


def cancel_of_connection(state: State, changes: Changes, account: Account, connection: int) -> None:
    """Cancel the account's orders that depend on this connection, oldest first, then its trigger orders."""
    orders, triggers = _of_connection(account, connection)
    _cancel(state, changes, account, orders, triggers)


def cancel_of_lost_connections(state: State, changes: Changes, account: Account) -> None:
    """Cancel the account's orders that depend on any connection; do nothing if there are none. O(open orders)."""
    orders = [order for order in account.open_orders.values() if order.connection]
    triggers = [order for order in account.triggers.values() if order.connection]
    if orders or triggers:
        _cancel(state, changes, account, orders, triggers)


def release_orders(account: Account, connection: int) -> None:
    """Let the orders of this connection stay when it is lost."""
    orders, triggers = _of_connection(account, connection)
    for order in orders:
        order.connection = 0
    for trigger in triggers:
        trigger.connection = 0


def _of_connection(account: Account, connection: int) -> tuple[list[Order], list[TriggerOrder]]:
    orders = [order for order in account.open_orders.values() if order.connection == connection]
    return orders, [order for order in account.triggers.values() if order.connection == connection]


def _cancel(
    state: State, changes: Changes, account: Account, orders: list[Order], triggers: list[TriggerOrder]
) -> None:
    ended = changes.count_ended()
    cancel_each(state, changes, orders, "cancel_on_disconnect")
    cancel_triggers(state, changes, triggers, "cancel_on_disconnect")
    changes.events.append(AllCancelled(account.user_id, changes.count_ended() - ended))
