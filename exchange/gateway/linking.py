"""The method that places linked orders: its command, and its answer."""

from __future__ import annotations

from msgspec.structs import asdict

from exchange.domain.commands import PlaceLinkedOrders, PlaceOrder, PlaceTriggerOrder
from exchange.gateway import params as p
from exchange.gateway import trading
from exchange.gateway.caller import Caller
from exchange.gateway.jsonrpc import RpcError, invalid_params
from exchange.projections import wire_types as w
from exchange.projections.fold import Change

_PLACE = {"bid": trading.place("bid"), "ask": trading.place("ask")}
_OTOCO = "one_triggers_one_cancels_other"


def place_linked_orders(caller: Caller, params: p.LinkedOrdersParams) -> PlaceLinkedOrders:
    """Make the command. Raises RpcError -32602, which names the order, if the orders cannot be linked in this way."""
    wanted = 3 if params.link == _OTOCO else 2
    if len(params.orders) != wanted:
        raise invalid_params("orders", f"{params.link} links {wanted} orders, and these are {len(params.orders)}")
    names: dict[str, int] = {}
    orders = []
    for number, one in enumerate(params.orders):
        order = _order(caller, one, f"orders[{number}]")
        name = order.client_order_id
        if name is not None and name in names:
            detail = f"orders[{names[name]}] has the client_order_id {name!r} already: each order needs its own"
            raise invalid_params(f"orders[{number}].client_order_id", detail)
        if name is not None:
            names[name] = number
        if params.link != "one_triggers_other" and number >= wanted - 2:
            _check_rests(order, f"orders[{number}]")
        orders.append(order)
    return PlaceLinkedOrders(caller.user_id, params.link, params.fill_condition, orders)


def linked_orders_answer(caller: Caller, change: Change) -> w.LinkedOrdersResult:
    """The orders in the order of the command, as they are after it. Of a repetition, those that are still known."""
    if change.duplicate:
        assert change.order is not None, "a repeated command without an order"
        ids = change.order.linked_order_ids or [change.order.order_id]
        found = [caller.views.find_order(caller.user_id, order_id) for order_id in ids]
        trades = caller.views.tape.trades_of_order(caller.user_id, change.order.order_id)
        return w.LinkedOrdersResult([order for order in found if order is not None], trades, change.seq, True)
    orders = [change.orders[order_id] for order_id in change.linked]
    trades = [
        trade for owner, trade in change.user_trades if owner == caller.user_id and trade.order_id in change.linked
    ]
    return w.LinkedOrdersResult(orders, trades, change.seq)


def _order(caller: Caller, params: p.LinkedOrderParams, where: str) -> PlaceOrder | PlaceTriggerOrder:
    """Make the command of one order, by the rules of `private/buy` and `private/sell`."""
    given = asdict(params)
    side = given.pop("side")
    try:
        order = _PLACE[side](caller, p.PlaceParams(**given))
    except RpcError as error:
        raise error.within(where) from None
    assert isinstance(order, PlaceOrder | PlaceTriggerOrder), "the command places no order"
    return order


def _check_rests(order: PlaceOrder | PlaceTriggerOrder, where: str) -> None:
    """Raise RpcError if an order that another one cancels could never wait for that."""
    if isinstance(order, PlaceTriggerOrder):
        return
    if order.type != "limit":
        detail = f"a {order.type} order cannot wait until another one cancels it: send a limit order"
        raise invalid_params(f"{where}.type", detail)
    if order.time_in_force in ("ioc", "fok"):
        detail = "an order that another one cancels must be able to rest: use gtc or day"
        raise invalid_params(f"{where}.time_in_force", detail)
