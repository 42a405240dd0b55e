"""Lists of trades: the history answers with their prices; without it, the newest ones in memory are told without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exchange.domain.reasons import Reason
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit import shapes
from exchange.gateway.deribit.market import KINDS, asset_filter
from exchange.gateway.deribit.questions import Fallback, of_history, of_own_history, record_id
from exchange.gateway.deribit.trades import UNKNOWN, own_trade, without_prices
from exchange.gateway.deribit.trading import order_id_of
from exchange.gateway.deribit.units import us_of
from exchange.gateway.instrument_ids import known_id
from exchange.gateway.jsonrpc import refused
from exchange.gateway.methods import Method
from exchange.projections import wire_types as w

# The most trades of a user that a list without the history looks at.
LOOKED_AT_MAX = 1_000


def trade_list_methods() -> dict[str, Method]:
    """The methods that list trades."""
    newest = Fallback(_newest_of_instrument, _last_trades, is_partial=True)
    newest_of_currency = Fallback(_newest_of_currency, _last_trades_of_currency, is_partial=True)
    own = Fallback(_newest_own, _own_trades, is_partial=True)
    own_of_currency = Fallback(_newest_own, _own_trades_of_currency, is_partial=True)
    page = dict[str, Any]
    found = {
        "private/get_user_trades_by_order": of_own_history(
            "own_trades_of_order",
            "The trades of one order.",
            d.TradesOfOrderParams,
            list[shapes.OwnTrade],
            Fallback(_newest_of_order, _own_trades_of_order, is_partial=True),
        )
    }
    for times in ("", "_and_time"):
        found |= {
            f"public/get_last_trades_by_instrument{times}": of_history(
                "last_trades", "Trades of an option.", d.TradesParams, page, newest
            ),
            f"public/get_last_trades_by_currency{times}": of_history(
                "last_trades_of_currency", "Trades of a currency.", d.CurrencyTradesParams, page, newest_of_currency
            ),
            f"private/get_user_trades_by_instrument{times}": of_own_history(
                "own_trades", "The user's trades in one option.", d.TradesParams, page, own
            ),
            f"private/get_user_trades_by_currency{times}": of_own_history(
                "own_trades_of_currency", "The user's trades.", d.CurrencyTradesParams, page, own_of_currency
            ),
        }
    return found


def _newest_of_instrument(caller: Caller, params: d.TradesParams) -> int | None:
    views, instrument_id = caller.views, known_id(params.instrument_name, caller.views)
    kept = views.tape.instruments.get(instrument_id)
    # The memory has no trades of an instrument that is no longer listed.
    return kept[-1].seq if kept else None if instrument_id in views.instruments else views.seq


def _newest_of_currency(caller: Caller, params: d.CurrencyTradesParams) -> int | None:
    # That asks for no more than is needed: the newest trade may be on another asset.
    asset_filter(params.currency, caller.views)
    return max((kept[-1].seq for kept in caller.views.tape.instruments.values() if kept), default=None)


def _newest_own(caller: Caller, params: d.TradesParams | d.CurrencyTradesParams) -> int | None:
    if isinstance(params, d.TradesParams):
        known_id(params.instrument_name, caller.views)
    kept = caller.views.tape.users.get(caller.user_id)
    return kept[-1].seq if kept else None


def _newest_of_order(caller: Caller, params: d.TradesOfOrderParams) -> int | None:
    order_id_of(params.order_id)
    kept = caller.views.tape.users.get(caller.user_id)
    return kept[-1].seq if kept else None


def _last_trades(caller: Caller, params: d.TradesParams) -> dict[str, Any]:
    instrument_id = known_id(params.instrument_name, caller.views)
    # Those before the oldest give it its tick direction, and tell if there are more.
    found = _wanted(caller.views.trades(instrument_id, LOOKED_AT_MAX), params, params.start_seq, params.end_seq)
    return _page(without_prices(found, params.count), len(found) > params.count, params.sorting)


def _last_trades_of_currency(caller: Caller, params: d.CurrencyTradesParams) -> dict[str, Any]:
    views, asset = caller.views, asset_filter(params.currency, caller.views)
    first_id, last_id = record_id(params.start_id), record_id(params.end_id)
    of_each = [
        without_prices(_wanted(found, params, first_id, last_id), params.count + 1)
        for name, one in views.instruments.items()
        if asset in (None, one.asset)
        and params.kind in KINDS
        and (found := views.trades(name, min(LOOKED_AT_MAX, params.count + 1)))
    ]
    newest = sorted((one for trades in of_each for one in trades), key=lambda one: -one.trade_seq)
    return _page(newest[: params.count], len(newest) > params.count, params.sorting)


def _own_trades(caller: Caller, params: d.TradesParams) -> dict[str, Any]:
    instrument_id = known_id(params.instrument_name, caller.views)
    kept = caller.views.user_trades(caller.user_id, LOOKED_AT_MAX, None, instrument_id)
    found = _wanted(kept, params, params.start_seq, params.end_seq)
    return _own_page(found, params)


def _own_trades_of_currency(caller: Caller, params: d.CurrencyTradesParams) -> dict[str, Any]:
    asset = asset_filter(params.currency, caller.views)
    kept = caller.views.user_trades(caller.user_id, LOOKED_AT_MAX) if params.kind in KINDS else []
    on_asset = [one for one in kept if asset is None or one.instrument_id.startswith(f"{asset}_")]
    return _own_page(_wanted(on_asset, params, record_id(params.start_id), record_id(params.end_id)), params)


def _own_trades_of_order(caller: Caller, params: d.TradesOfOrderParams) -> list[shapes.OwnTrade]:
    order_id = order_id_of(params.order_id)
    if caller.views.find_order(caller.user_id, order_id) is None:
        raise refused(Reason.ORDER_NOT_FOUND)
    found = [own_trade(trade, UNKNOWN) for trade in caller.views.tape.trades_of_order(caller.user_id, order_id)]
    return found if params.sorting == "asc" else found[::-1]


def _wanted(newest_first: Sequence[Any], params: d.RangeParams, first_id: int | None, last_id: int | None) -> list[Any]:
    start_us = None if params.start_timestamp is None else us_of(params.start_timestamp)
    end_us = None if params.end_timestamp is None else us_of(params.end_timestamp + 1)
    return [
        one
        for one in newest_first
        if (first_id is None or one.trade_id >= first_id)
        and (last_id is None or one.trade_id <= last_id)
        and (start_us is None or one.ts_us >= start_us)
        and (end_us is None or one.ts_us < end_us)
    ]


def _own_page(found: list[w.UserTrade], params: d.RangeParams) -> dict[str, Any]:
    trades = [own_trade(one, UNKNOWN) for one in found[: params.count]]
    return _page(trades, len(found) > params.count, params.sorting)


def _page(trades: Sequence[Any], has_more: bool, sorting: str) -> dict[str, Any]:
    return {"trades": list(reversed(trades)) if sorting == "asc" else list(trades), "has_more": has_more}
