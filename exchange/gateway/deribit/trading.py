"""Orders: Deribit's trading methods, translated into those of the exchange and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import asdict

from exchange.domain.enums import LinkType, Side
from exchange.domain.reasons import Reason
from exchange.gateway import params as p
from exchange.gateway import results as r
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit import shapes
from exchange.gateway.deribit import units as u
from exchange.gateway.deribit.market import asset_filter
from exchange.gateway.deribit.trades import own_trades_now
from exchange.gateway.instrument_ids import listed_id
from exchange.gateway.jsonrpc import RpcError, invalid_params, refused
from exchange.gateway.linking import linked_orders_answer
from exchange.gateway.methods import Method
from exchange.projections import wire_types as w
from exchange.projections.fold import Change

_STOPS = ("stop_market", "stop_limit")
_TAKES = ("take_market", "take_limit")
_AT_MARKET = ("market", "stop_market", "take_market", "trailing_stop")
# The order filters that stand for all types.
ORDER_TYPES = ("all",)
_TYPES: dict[str, tuple[str, ...]] = {
    "trigger_all": (*_STOPS, *_TAKES, "trailing_stop"),
    "stop_all": _STOPS,
    "take_all": _TAKES,
    "trailing_all": ("trailing_stop",),
}
# The most finished orders that a question by currency looks at.
LOOKED_AT_MAX = 1_000


def place(params: d.OrderParams) -> p.PlaceParams:
    """The parameters of `private/buy` or `private/sell` on `/`."""
    never_rests = params.type in _AT_MARKET
    return p.PlaceParams(
        params.instrument_name,
        _amount(params.amount, params.contracts),
        params.type,
        _price_or_none(params.price, "price"),
        # An order at market does not rest here either, whatever the default of Deribit says.
        None if never_rests and params.time_in_force == "good_til_cancelled" else params.time_in_force,
        params.post_only,
        reduce_only=params.reduce_only,
        label=params.label or None,
        trigger=params.trigger,
        trigger_price=_price_or_none(params.trigger_price, "trigger_price"),
        trigger_offset=_price_or_none(params.trigger_offset, "trigger_offset"),
        reject_post_only=params.reject_post_only,
        display_amount=_amount_or_none(params.display_amount, params.max_show),
        valid_until_us=None if params.valid_until is None else u.us_of(params.valid_until),
    )


def placing_method(summary: str, side: Side, native: Mapping[str, Method]) -> Method:
    """`private/buy` or `private/sell`. Its command is that of one order, or of linked ones."""
    single, linked = native["private/buy" if side == "bid" else "private/sell"], native["private/place_linked_orders"]
    of_one = single.answer
    assert of_one is not None, "an order has no answer"

    def handle(caller: Caller, params: d.OrderParams) -> Any:
        if params.linked_order_type is not None:
            return linked.handle(caller, _linked(side, params, params.linked_order_type))
        if params.otoco_config:
            raise invalid_params("linked_order_type", "say how the orders of otoco_config are linked", "missing_param")
        return single.handle(caller, place(params))

    def answer(caller: Caller, change: Change) -> shapes.Placed:
        if not change.linked:
            return placed(caller, of_one(caller, change))
        found = linked_orders_answer(caller, change)
        return shapes.Placed(shapes.order(found.orders[0]), own_trades_now(caller.views, caller.user_id, found.trades))

    return single._replace(
        summary=summary,
        decode=p.Decoder(d.OrderParams),
        handle=handle,
        result=shapes.Placed,
        answer=answer,
        dry_run=None,
        dry_run_result=None,
    )


def _linked(side: Side, params: d.OrderParams, link: LinkType) -> p.LinkedOrdersParams:
    """The order, then those of its `otoco_config`. Each of them is for the same amount, unless it has its own."""
    orders = [_linked_order(side, place(params))]
    for number, one in enumerate(params.otoco_config):
        terms = asdict(one)
        other: Side = "bid" if terms.pop("direction") == "buy" else "ask"
        if one.amount is None:
            terms |= {"amount": params.amount, "contracts": params.contracts}
        try:
            orders.append(_linked_order(other, place(d.OrderParams(instrument_name=params.instrument_name, **terms))))
        except RpcError as error:
            raise error.within(f"otoco_config[{number}]") from None
    others = 2 if link == "one_triggers_one_cancels_other" else 1
    if len(params.otoco_config) != others:
        detail = f"{link} links the order with {others} of otoco_config, and there are {len(params.otoco_config)}"
        raise invalid_params("otoco_config", detail)
    return p.LinkedOrdersParams(link, orders, params.trigger_fill_condition)


def _linked_order(side: Side, order: p.PlaceParams) -> p.LinkedOrderParams:
    given = asdict(order)
    terms = {name: given[name] for name in p.LinkedOrderParams.__struct_fields__ if name != "side"}
    return p.LinkedOrderParams(side, **terms)


def edit(params: d.EditParams) -> p.EditParams:
    """The parameters of `private/edit` on `/`."""
    return p.EditParams(
        order_id=order_id_of(params.order_id),
        amount=_amount_or_none(params.amount, params.contracts),
        price=_price_or_none(params.price, "price"),
        trigger_price=_price_or_none(params.trigger_price, "trigger_price"),
        trigger_offset=_price_or_none(params.trigger_offset, "trigger_offset"),
    )


def edit_by_label(params: d.EditByLabelParams) -> p.EditParams:
    return p.EditParams(
        label=label_given(params.label),
        instrument_id=params.instrument_name,
        amount=_amount_or_none(params.amount, params.contracts),
        price=_price_or_none(params.price, "price"),
        trigger_price=_price_or_none(params.trigger_price, "trigger_price"),
    )


def cancel(params: d.OrderIdParams) -> p.CancelParams:
    return p.CancelParams(order_id=order_id_of(params.order_id))


def close_position(params: d.ClosePositionParams) -> p.ClosePositionParams:
    return p.ClosePositionParams(params.instrument_name, params.type, _price_or_none(params.price, "price"))


def placed(caller: Caller, result: r.OrderResult) -> shapes.Placed:
    return shapes.Placed(shapes.order(result.order), own_trades_now(caller.views, caller.user_id, result.trades))


def cancelled(_caller: Caller, result: w.CancelResult) -> shapes.Order:
    return shapes.order(result.order)


def open_orders(caller: Caller, params: d.OpenOrdersParams) -> list[shapes.Order]:
    asset = asset_filter(params.currency, caller.views)
    if params.kind not in ("option", "any"):
        return []
    return _open(caller, None, params.type, lambda one: _is_on(one, asset) and params.label in (None, one.label))


def open_orders_of_instrument(caller: Caller, params: d.OpenOrdersOfInstrumentParams) -> list[shapes.Order]:
    return _open(caller, listed_id(params.instrument_name, caller.views), params.type, lambda _one: True)


def open_orders_by_label(caller: Caller, params: d.LabelParams) -> list[shapes.Order]:
    asset = asset_filter(params.currency, caller.views)
    return _open(caller, None, "all", lambda one: one.label == params.label and _is_on(one, asset))


def order_state(caller: Caller, params: d.OrderIdParams) -> shapes.Order:
    found = caller.views.find_order(caller.user_id, order_id_of(params.order_id))
    if found is None:
        raise refused(Reason.ORDER_NOT_FOUND)
    return shapes.order(found)


def order_states_by_label(caller: Caller, params: d.LabelParams) -> list[shapes.Order]:
    """The open orders with this label, and the finished ones that are kept."""
    label, asset = label_given(params.label), asset_filter(params.currency, caller.views)
    views, user_id = caller.views, caller.user_id
    found = [
        *views.open_orders(user_id, None, label),
        *views.finished_orders(user_id, LOOKED_AT_MAX, None, None, label),
    ]
    return [shapes.order(one) for one in found if _is_on(one, asset)]


def order_history(caller: Caller, params: d.HistoryParams) -> list[shapes.Order]:
    asset = asset_filter(params.currency, caller.views)
    found = caller.views.finished_orders(caller.user_id, LOOKED_AT_MAX)
    return _history_page([one for one in found if _is_on(one, asset)], params)


def order_history_of_instrument(caller: Caller, params: d.HistoryOfInstrumentParams) -> list[shapes.Order]:
    instrument_id = listed_id(params.instrument_name, caller.views)
    return _history_page(caller.views.finished_orders(caller.user_id, LOOKED_AT_MAX, None, instrument_id), params)


def order_id_of(text: str) -> int:
    """The number of an order id. Raises RpcError order_not_found if it is none of ours."""
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise refused(Reason.ORDER_NOT_FOUND)
    return int(text)


def _open(
    caller: Caller, instrument_id: str | None, type_filter: str, matches: Callable[[w.OrderView], bool]
) -> list[shapes.Order]:
    types = _TYPES.get(type_filter, (type_filter,))
    return [
        shapes.order(one)
        for one in caller.views.open_orders(caller.user_id, instrument_id)
        if (type_filter == "all" or one.type in types) and matches(one)
    ]


def _history_page(
    newest_first: list[w.OrderView], params: d.HistoryParams | d.HistoryOfInstrumentParams
) -> list[shapes.Order]:
    wanted = [one for one in newest_first if params.include_unfilled or one.filled_milli]
    return [shapes.order(one) for one in wanted[params.offset : params.offset + params.count]]


def _is_on(record: w.OrderView | w.UserTrade, asset: str | None) -> bool:
    return asset is None or record.instrument_id.startswith(f"{asset}_")


def label_given(label: str) -> str:
    """The label. Raises RpcError if there is none."""
    if not label:
        raise invalid_params("label", "give a label of 1 to 64 characters", "missing_param")
    return label


def _amount(amount: Decimal | None, contracts: Decimal | None) -> int:
    milli = _amount_or_none(amount, contracts)
    if milli is None:
        raise invalid_params("amount", "give an amount, or contracts", "missing_param")
    return milli


def _amount_or_none(amount: Decimal | None, contracts: Decimal | None) -> int | None:
    """The size in millicontracts. A contract is one unit of the asset, so that both parameters mean the same."""
    if amount is not None and contracts is not None and amount != contracts:
        raise invalid_params("contracts", "amount and contracts differ: give one of them")
    if amount is not None:
        return u.milli_of(amount, "amount")
    return None if contracts is None else u.milli_of(contracts, "contracts")


def _price_or_none(price: Decimal | None, param: str) -> int | None:
    return None if price is None else u.micros_of(price, param)
