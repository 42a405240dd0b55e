"""What single orders lock, and the log of trigger orders."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from exchange.domain.margin_rates import margin_rates, nanos_to_micros
from exchange.domain.reasons import Reason
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit import shapes
from exchange.gateway.deribit import units as u
from exchange.gateway.deribit.market import CURRENCY, asset_filter
from exchange.gateway.deribit.trading import LOOKED_AT_MAX, order_id_of
from exchange.gateway.instrument_ids import known_id_or_none
from exchange.gateway.jsonrpc import invalid_params, refused
from exchange.matching.fees import fee_schedule_of
from exchange.projections import wire_types as w
from exchange.projections.views import Views


def order_margins(caller: Caller, params: d.OrderIdsParams) -> list[dict[str, Any]]:
    """What each of these open orders locks: its cancellation alone would free it."""
    views, found = caller.views, []
    for text in params.ids:
        order = views.find_order(caller.user_id, order_id_of(text))
        if order is None:
            raise refused(Reason.ORDER_NOT_FOUND)
        locked = _locked_micros(views, caller.user_id, order)
        found.append({"order_id": text, "initial_margin": u.price(locked), "initial_margin_currency": CURRENCY})
    return found


def trigger_history(caller: Caller, params: d.TriggerHistoryParams) -> dict[str, Any]:
    """The trigger orders of the user that are kept, the newest first, in their last states."""
    views, user_id = caller.views, caller.user_id
    asset, instrument_id = asset_filter(params.currency, views), known_id_or_none(params.instrument_name, views)
    before = _before(params.continuation)
    finished, waiting = views.finished_orders(user_id, LOOKED_AT_MAX), views.open_orders(user_id)
    placed = {one.trigger_order_id: one.order_id for one in (*finished, *waiting) if one.trigger_order_id is not None}
    newest = sorted(
        (
            one
            for one in (*finished, *waiting)
            if one.trigger is not None
            and (before is None or one.order_id < before)
            and instrument_id in (None, one.instrument_id)
            and (asset is None or one.instrument_id.startswith(f"{asset}_"))
        ),
        key=lambda one: -one.order_id,
    )
    page = newest[: params.count]
    entries = [_trigger_entry(one, placed.get(one.order_id)) for one in page]
    more = {"continuation": str(page[-1].order_id)} if len(newest) > len(page) else {}
    return {"entries": entries} | more


def _locked_micros(views: Views, user_id: str, order: w.OrderView) -> int:
    if order.status not in ("open", "partially_filled"):
        # A trigger order locks nothing before it triggers.
        return 0
    if order.side == "bid":
        assert order.price_micros is not None, "an order without a price rests"
        return fee_schedule_of(views.rules).bid_lock_micros(order.price_micros, order.remaining_milli)
    instrument = views.instruments[order.instrument_id]
    index, mark = views.indexes.get(instrument.asset), views.marks.get(order.instrument_id)
    index_micros = None if index is None else index.price_micros
    is_call = instrument.option_type == "call"
    rates = margin_rates(views.rules, is_call, instrument.strike_micros, index_micros, mark)
    resting = [one for one in views.open_orders(user_id, order.instrument_id) if one.status != "untriggered"]
    offered_milli = sum(one.remaining_milli for one in resting if one.side == "ask")
    held = views.balances.users[user_id].positions.get(order.instrument_id)
    uncovered_milli = offered_milli - (0 if held is None else held.quantity_milli)
    with_it, without_it = max(0, uncovered_milli), max(0, uncovered_milli - order.remaining_milli)
    return nanos_to_micros(rates.initial_nanos, with_it) - nanos_to_micros(rates.initial_nanos, without_it)


_LINK_FIELDS = ("is_secondary_oto", "oco_ref")


def _trigger_entry(order: w.OrderView, placed_id: int | None) -> dict[str, Any]:
    shown = shapes.order(order)
    request = {"untriggered": "trigger:order", "triggered": "trigger:order", "rejected": "trigger:order"}
    return {
        "timestamp": shown.creation_timestamp,
        "last_update_timestamp": shown.last_update_timestamp,
        "trigger": order.trigger,
        "trigger_price": u.price_or_none(order.trigger_price_micros),
        "trigger_offset": u.price_or_none(order.trigger_offset_micros),
        "trigger_order_id": shown.order_id,
        "order_id": None if placed_id is None else str(placed_id),
        "order_state": shown.order_state,
        "instrument_name": shown.instrument_name,
        "request": request.get(order.status, "trigger:cancel"),
        "direction": shown.direction,
        "price": shown.price,
        "amount": shown.amount,
        "reduce_only": shown.reduce_only,
        "post_only": shown.post_only,
        "order_type": "limit" if order.type in ("stop_limit", "take_limit") else "market",
        "label": shown.label,
        **{name: value for name in _LINK_FIELDS if (value := getattr(shown, name)) is not UNSET},
    }


def _before(continuation: str | None) -> int | None:
    if continuation is None:
        return None
    if not continuation.isascii() or not continuation.isdigit():
        raise invalid_params("continuation", "continuation must be that of the page before")
    return int(continuation)
