"""The result of a dry run, made from the events that the order would cause."""

from msgspec.structs import replace

from exchange.domain.commands import PlaceOrder
from exchange.domain.events import (
    BalanceChanged,
    Event,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    PositionChanged,
    Refused,
    Traded,
)
from exchange.gateway.jsonrpc import refused
from exchange.gateway.results import DryRunResult
from exchange.projections.balances import PositionRecord
from exchange.projections.orders import Orders
from exchange.projections.tape import Tape
from exchange.projections.views import Views
from exchange.projections.wire_types import OrderView, UserTrade


def dry_run_result(views: Views, ts_us: int, command: PlaceOrder, events: list[Event]) -> DryRunResult:
    """Make the result of a dry run. Its order_id, trade_ids and their `seq` are 0. Raises RpcError for a refusal."""
    user_id, instrument_id = command.user_id, command.instrument_id
    funds = views.balances.users[user_id].copy()
    position = funds.positions.get(instrument_id, PositionRecord()).copy()
    orders = Orders(finished_kept=1)
    order: OrderView | None = None
    trades: list[UserTrade] = []
    is_duplicate = False
    for event in events:
        match event:
            case Refused():
                band = {"min_price": event.band[0], "max_price": event.band[1]} if event.band else {}
                raise refused(event.reason, **band)
            case OrderRepeated():
                order, is_duplicate = views.orders.find(user_id, event.order_id), True
                trades = views.tape.trades_of_order(user_id, event.order_id)
            # Later accepted orders are liquidations that this one would cause.
            case OrderAccepted() if order is None:
                order = orders.on_accepted(event, ts_us)
            case Traded():
                if order is not None and order.order_id in (event.maker_order_id, event.taker_order_id):
                    trades.append(_fill(orders, order, ts_us, event))
                _trade(position, user_id, instrument_id, event)
            case OrderEdited() if order is not None and event.order_id == order.order_id:
                orders.on_edited(event, ts_us)
            case OrderCancelled() if order is not None and event.order_id == order.order_id:
                orders.on_cancelled(event, ts_us)
            case PositionChanged() if (event.user_id, event.instrument_id) == (user_id, instrument_id):
                position.locked_micros = event.locked_micros
            case BalanceChanged() if event.user_id == user_id:
                funds.on_balance(event)
            case _:
                pass
    assert order is not None, "an order that is neither accepted nor refused"
    return DryRunResult(
        order,
        trades,
        True,
        funds.balance(user_id, views.seq),
        views.position(instrument_id, position),
        is_duplicate,
    )


def _fill(orders: Orders, order: OrderView, ts_us: int, event: Traded) -> UserTrade:
    event = replace(event, trade_id=0)
    is_maker = event.maker_order_id == order.order_id
    orders.fill(order, event, event.maker_remaining_milli if is_maker else event.taker_remaining_milli, ts_us)
    _, maker, taker = Tape().on_traded(event, 0, ts_us, order, order)
    return maker if is_maker else taker


def _trade(position: PositionRecord, user_id: str, instrument_id: str, event: Traded) -> None:
    if event.instrument_id != instrument_id:
        return
    signed = event.size_milli if event.taker_side == "bid" else -event.size_milli
    if event.maker_user_id == user_id:
        position.trade(-signed, event.price_micros, event.maker_fee_micros)
    if event.taker_user_id == user_id:
        position.trade(signed, event.price_micros, event.taker_fee_micros)
