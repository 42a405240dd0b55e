"""The account: Deribit's methods for positions and the account summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exchange.domain.enums import Side
from exchange.domain.units import PRICE_MAX_MICROS
from exchange.gateway import params as p
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit import shapes
from exchange.gateway.deribit import units as u
from exchange.gateway.deribit.market import CURRENCY, KINDS, asset_filter
from exchange.gateway.instrument_ids import listed_id
from exchange.gateway.jsonrpc import invalid_params
from exchange.gateway.methods import Method
from exchange.projections import wire_types as w


def positions(caller: Caller, params: d.CurrencyParams) -> list[shapes.Position]:
    asset = asset_filter(params.currency, caller.views)
    if params.kind not in KINDS:
        return []
    return [shapes.position(one) for one in caller.views.positions(caller.user_id, asset).positions]


def position(caller: Caller, params: d.InstrumentParams) -> shapes.Position:
    """The position in one instrument; one of size 0 if the user has none, as on Deribit."""
    views, instrument_id = caller.views, listed_id(params.instrument_name, caller.views)
    held = views.positions(caller.user_id, views.instruments[instrument_id].asset).positions
    found = next((one for one in held if one.instrument_id == instrument_id), None)
    if found is not None:
        return shapes.position(found)
    ticker = views.ticker(instrument_id)
    return shapes.position(
        w.PositionDetails(instrument_id, 0, None, 0, ticker.mark_micros, ticker.index_micros, 0, 0, 0, 0, 0, None)
    )


def summary(caller: Caller, params: d.AccountParams) -> shapes.AccountSummary:
    if params.currency not in (CURRENCY, "any"):
        raise invalid_params("currency", f"an account holds {CURRENCY} only: ask for the currency {CURRENCY}")
    return shapes.account_summary(caller.views, caller.user_id, params.extended)


def summaries(caller: Caller, params: d.AccountParams) -> dict[str, Any]:
    return {"summaries": [shapes.account_summary(caller.views, caller.user_id, params.extended)]}


def margins(native: Method) -> Callable[[Caller, d.MarginsParams], dict[str, float]]:
    """The method for what an order would lock on each side; `native` is the one of `/` for one side."""

    def handle(caller: Caller, params: d.MarginsParams) -> dict[str, float]:
        instrument_id = listed_id(params.instrument_name, caller.views)
        milli, micros = u.milli_of(params.amount, "amount"), u.micros_of(params.price, "price")
        sides: tuple[Side, Side] = ("bid", "ask")
        bid, ask = (native.handle(caller, p.MarginParams(instrument_id, side, milli, micros)) for side in sides)
        lowest, highest = caller.views.price_band(instrument_id) or (0, PRICE_MAX_MICROS)
        return {
            "buy": u.price(bid.needed_micros),
            "sell": u.price(ask.needed_micros),
            "min_price": u.price(lowest),
            "max_price": u.price(highest),
        }

    return handle
