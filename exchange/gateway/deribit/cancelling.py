"""The methods that cancel many orders: how many, or with `detailed` which ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from exchange.gateway import params as p
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit import shapes
from exchange.gateway.deribit.market import CURRENCY, KINDS, asset_filter, asset_of_index
from exchange.gateway.deribit.method_kinds import commanded
from exchange.gateway.deribit.trading import ORDER_TYPES, label_given
from exchange.gateway.instrument_ids import listed_id
from exchange.gateway.jsonrpc import invalid_params
from exchange.gateway.methods import Method
from exchange.projections import wire_types as w

ToCancel = Callable[[Caller, Any], p.CancelAllParams | None]


def cancelling_methods(native: Mapping[str, Method]) -> dict[str, Method]:
    """The methods on `private/cancel_all` of the exchange."""
    of_native = native["private/cancel_all"]

    def method(summary: str, params: type[d.CancelManyParams], to: ToCancel) -> Method:
        def handle(caller: Caller, given: d.CancelManyParams) -> Any:
            refuse_freeze(given)
            wanted = to(caller, given)
            if wanted is None:
                return [] if given.detailed else 0
            return of_native.handle(caller, wanted)

        return commanded(of_native, summary, params, handle, cancelled_all, int | list[dict[str, Any]])

    return {
        "private/cancel_all": method("Cancel all orders.", d.CancelManyParams, lambda _caller, _params: _ALL),
        "private/cancel_all_by_instrument": method(
            "Cancel the orders in one option.", d.CancelOfInstrumentParams, _of_instrument
        ),
        "private/cancel_all_by_currency": method(
            "Cancel the orders of a currency.", d.CancelOfCurrencyParams, _of_currency
        ),
        "private/cancel_all_by_currency_pair": method("Cancel the orders on an index.", d.CancelOfPairParams, _of_pair),
        "private/cancel_all_by_kind_or_type": method(
            "Cancel the orders of currencies, a kind or a type.", d.CancelOfKindParams, _of_kind
        ),
        "private/cancel_by_label": method("Cancel the orders with a label.", d.CancelOfLabelParams, _of_label),
    }


def cancelled_all(caller: Caller, result: w.CancelAllResult) -> int | list[dict[str, Any]]:
    """The number of orders; with `detailed` the orders, in groups of one instrument and type."""
    if not caller.asked.detailed:
        return result.cancelled
    groups: dict[tuple[str, str], list[shapes.Order]] = {}
    for order_id in result.order_ids:
        order = caller.views.find_order(caller.user_id, order_id)
        assert order is not None, "an order was cancelled that the views do not know"
        kind = "quote" if order.mmp_group is not None else "trigger" if order.trigger is not None else "limit"
        groups.setdefault((order.instrument_id, kind), []).append(shapes.order(order))
    return [
        {"type": kind, "instrument_name": instrument_id, "currency": CURRENCY, "result": orders}
        for (instrument_id, kind), orders in groups.items()
    ]


def refuse_freeze(params: d.CancelManyParams) -> None:
    """Raise RpcError if later quotes are to be refused for a second: the exchange has no such rule."""
    if params.freeze_quotes:
        raise invalid_params("freeze_quotes", "quotes are not frozen by a cancellation: leave freeze_quotes out")


_ALL = p.CancelAllParams()


def _of_instrument(caller: Caller, params: d.CancelOfInstrumentParams) -> p.CancelAllParams | None:
    instrument_id = listed_id(params.instrument_name, caller.views)
    return _of_type(params.type, p.CancelAllParams(instrument_id=instrument_id))


def _of_currency(caller: Caller, params: d.CancelOfCurrencyParams) -> p.CancelAllParams | None:
    asset = asset_filter(params.currency, caller.views)
    return _of_type(params.type, p.CancelAllParams(asset=asset)) if params.kind in KINDS else None


def _of_pair(caller: Caller, params: d.CancelOfPairParams) -> p.CancelAllParams | None:
    asset = asset_of_index(params.currency_pair, caller.views, "currency_pair")
    return _of_type(params.type, p.CancelAllParams(asset=asset)) if params.kind in KINDS else None


def _of_kind(caller: Caller, params: d.CancelOfKindParams) -> p.CancelAllParams | None:
    currencies = [params.currency] if isinstance(params.currency, str) else params.currency
    assets = dict.fromkeys(asset_filter(one, caller.views) for one in currencies)
    if len(assets) != 1 and None not in assets:
        raise invalid_params(
            "currency", f"one command cancels the orders of one asset, or of all: name one, or {CURRENCY}"
        )
    asset = None if None in assets else next(iter(assets))
    return _of_type(params.type, p.CancelAllParams(asset=asset)) if params.kind in KINDS else None


def _of_label(caller: Caller, params: d.CancelOfLabelParams) -> p.CancelAllParams:
    return p.CancelAllParams(asset=asset_filter(params.currency, caller.views), label=label_given(params.label))


def _of_type(wanted: str, params: p.CancelAllParams) -> p.CancelAllParams:
    """Raise RpcError if only some types are to be cancelled: one command cancels all of them."""
    if wanted not in ORDER_TYPES:
        raise invalid_params("type", f"one command cancels the orders of all types: send type {ORDER_TYPES[0]!r}")
    return params
