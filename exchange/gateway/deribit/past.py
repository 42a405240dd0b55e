"""Deribit's methods that only the history can answer: candles, volatilities and the cash of an account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from exchange.gateway import params as p
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit import shapes
from exchange.gateway.deribit import units as u
from exchange.gateway.deribit.market import CURRENCY, asset_filter, asset_of_index
from exchange.gateway.instrument_ids import listed_id
from exchange.gateway.jsonrpc import invalid_params
from exchange.gateway.limits import PAST_CREDITS
from exchange.gateway.methods import Method
from exchange.gateway.past_questions import as_inquiry
from exchange.projections import wire_types as w
from exchange.projections.candles import CANDLES_MAX

RESOLUTIONS: dict[str, w.Resolution] = {
    "1": "1m", "3": "3m", "5": "5m", "10": "10m", "15": "15m", "30": "30m",
    "60": "1h", "120": "2h", "180": "3h", "360": "6h", "720": "12h", "1D": "1d",
}  # fmt: skip
# How the prices of a time are told: so many intervals of this length.
RANGES: dict[str, tuple[w.Resolution, int]] = {
    "1h": ("1m", 60), "1d": ("5m", 288), "2d": ("10m", 288), "1m": ("2h", 360), "1y": ("1d", 365),
    "all": ("1d", CANDLES_MAX),
}  # fmt: skip
# A Deribit answer has so many.
HOURS = 384
_TRANSACTION_TYPES = {"opening": "deposit", "settlement": "delivery", "reset": "correction"}


def past_methods(native: Mapping[str, Method]) -> dict[str, Method]:
    """The methods on these of the exchange."""
    return {
        "public/get_tradingview_chart_data": _past(
            native, "public/get_candles", "Candles.", d.ChartParams, _candle_params, w.Candles, _chart, dict[str, Any]
        ),
        "public/get_index_chart_data": _past(
            native,
            "public/get_candles",
            "The prices of an index.",
            d.IndexChartParams,
            _index_params,
            w.Candles,
            lambda _caller, _params, found: [(u.ms(one.ts_us), u.price(one.close_micros)) for one in found.candles],
            list[tuple[int, float]],
        ),
        "public/get_historical_volatility": _past(
            native,
            "public/get_historical_volatility",
            "The volatility of an index at each of the last hours.",
            d.VolatilityParams,
            _volatility_params,
            list[w.HistoricalVolatility],
            _volatilities,
            list[tuple[int, float]],
        ),
        "private/get_transaction_log": _past(
            native,
            "private/get_transaction_log",
            "The movements of cash.",
            d.TransactionLogParams,
            _log_params,
            w.TransactionsResult,
            _log,
            dict[str, Any],
        ),
    }


def _past(
    native: Mapping[str, Method],
    name: str,
    summary: str,
    params: type[d.DeribitParams],
    to: Callable[[Caller, Any], p.ReadParams],
    outcome: Any,
    back: Callable[[Caller, Any, Any], Any],
    result: Any,
) -> Method:
    """A question of `/` with other parameters and another result: `back` takes the parameters and the outcome."""
    inquiry, decode = as_inquiry(name, native[name]), msgspec.json.Decoder(outcome).decode
    answer = inquiry.answer
    assert answer is not None, "an inquiry without an answer"

    def handle(caller: Caller, given: Any) -> Any:
        caller.quota.charge(PAST_CREDITS)
        return inquiry.handle(caller, to(caller, given))

    def answered(caller: Caller, change: Any) -> Any:
        return back(caller, caller.asked, decode(answer(caller, change)))

    return inquiry._replace(
        summary=summary,
        decode=p.Decoder(params),
        handle=handle,
        answer=answered,
        result=result,
        always_past=False,
        inquires=True,
    )


def _start_us(params: d.TimesParams) -> int | None:
    return None if params.start_timestamp is None else u.us_of(params.start_timestamp)


def _end_us(params: d.TimesParams) -> int | None:
    """The end of the last millisecond."""
    return None if params.end_timestamp is None else u.us_of(params.end_timestamp) + u.US_PER_MS - 1


def _candle_params(caller: Caller, params: d.ChartParams) -> p.CandlesParams:
    resolution = RESOLUTIONS.get(params.resolution)
    if resolution is None:
        raise invalid_params("resolution", f"unknown resolution; expected one of {', '.join(RESOLUTIONS)}")
    # Deribit's charts may end in the future.
    end_us = min(u.us_of(params.end_timestamp), caller.exchange.now_us())
    return p.CandlesParams(
        instrument_id=listed_id(params.instrument_name, caller.views),
        resolution=resolution,
        start_us=min(u.us_of(params.start_timestamp), end_us),
        end_us=end_us,
    )


def _index_params(caller: Caller, params: d.IndexChartParams) -> p.CandlesParams:
    resolution, count = RANGES[params.range]
    asset = asset_of_index(params.index_name, caller.views)
    return p.CandlesParams(asset=asset, resolution=resolution, count=count)


def _volatility_params(caller: Caller, params: d.VolatilityParams) -> p.VolatilityParams:
    asset = asset_filter(params.currency, caller.views)
    if asset is None:
        raise invalid_params("currency", "name the currency of an index, such as SOL")
    return p.VolatilityParams(asset=asset, count=HOURS)


def _volatilities(_caller: Caller, _params: Any, found: list[w.HistoricalVolatility]) -> list[tuple[int, float]]:
    """Times and volatilities in percent, the oldest first."""
    in_order = sorted(found, key=lambda one: one.ts_us)
    return [(u.ms(one.ts_us), round(shapes.PERCENT * one.volatility, 2)) for one in in_order]


def _chart(_caller: Caller, _params: d.ChartParams, found: w.Candles) -> dict[str, Any]:
    candles = found.candles
    return {
        "status": "ok" if candles else "no_data",
        "ticks": [u.ms(one.ts_us) for one in candles],
        "open": [u.price(one.open_micros) for one in candles],
        "high": [u.price(one.high_micros) for one in candles],
        "low": [u.price(one.low_micros) for one in candles],
        "close": [u.price(one.close_micros) for one in candles],
        "volume": [u.amount(one.volume_milli) for one in candles],
        "cost": [u.price_or_zero(one.notional_micros) for one in candles],
    }


def _log_params(_caller: Caller, params: d.TransactionLogParams) -> p.RangeParams:
    if params.currency not in (CURRENCY, "any"):
        raise invalid_params("currency", f"an account holds {CURRENCY} only: ask for the currency {CURRENCY}")
    start_us, end_us = _start_us(params), _end_us(params)
    return p.RangeParams(count=params.count, before=params.continuation, start_us=start_us, end_us=end_us)


def _log(caller: Caller, params: d.TransactionLogParams, found: w.TransactionsResult) -> dict[str, Any]:
    entries, number = found.transactions, shapes.account_number(caller.views, caller.user_id)
    logs = [
        {
            "id": one.id,
            "user_seq": one.id,
            "user_id": number,
            "username": caller.user_id,
            "type": _TRANSACTION_TYPES.get(one.type, one.type),
            "timestamp": u.ms(one.ts_us),
            "currency": CURRENCY,
            "change": u.price(one.change_micros),
            "cashflow": u.price(one.change_micros + one.fee_micros),
            "commission": u.price(one.fee_micros),
            "balance": u.price(one.balance_micros),
            "instrument_name": one.instrument_id,
            "trade_id": None if one.trade_id is None else str(one.trade_id),
            "info": {"cause": one.cause, "seq": one.seq},
        }
        for one in entries
    ]
    # The next page begins before the oldest entry of this one.
    return {"logs": logs, "continuation": entries[-1].id if len(entries) == params.count else None}
