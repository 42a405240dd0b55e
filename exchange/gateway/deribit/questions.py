"""Questions of Deribit's dialect to the history: trades with their prices, mark prices, settlements, times of listing.

The process that answers questions about the past runs these handlers. Their results are Deribit's already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from exchange.domain.reasons import Reason
from exchange.gateway import params as p
from exchange.gateway.caller import Caller, Inquiry
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit import units as u
from exchange.gateway.deribit.market import KINDS, asset_filter
from exchange.gateway.deribit.trades import own_trade, public_trade
from exchange.gateway.deribit.trading import order_id_of
from exchange.gateway.exchange_port import PastQuestion
from exchange.gateway.instrument_ids import known_id, known_id_or_none
from exchange.gateway.jsonrpc import RpcError, invalid_params, refused
from exchange.gateway.limits import PAST_CREDITS
from exchange.gateway.methods import Method, public
from exchange.keys.key import READ
from exchange.projections import wire_types as w
from exchange.projections.market_moment import OptionSettlement
from exchange.projections.record_page import RecordPage

PREFIX = "deribit:"
MARKS_MAX = 10_000
# The continuation after the last page.
NO_MORE = "none"


def ask(name: str, caller: Caller, params: msgspec.Struct, seq: int) -> Inquiry:
    """Ask the question `name` about the moment after command `seq`."""
    caller.quota.charge(PAST_CREDITS)
    question = PastQuestion(PREFIX + name, msgspec.Raw(msgspec.json.encode(params)), caller.user_id, seq)
    return Inquiry(partial(caller.exchange.ask_past, question))


class Fallback(NamedTuple):
    """What the memory can answer. `newest_seq` is the last command that the question is about; None: there is none.

    `answer` is then the whole answer. `is_partial`: it also answers without the history, in part.
    """

    newest_seq: Callable[[Caller, Any], int | None]
    answer: Callable[[Caller, Any], Any]
    is_partial: bool = False


def of_history(name: str, summary: str, params: type[d.DeribitParams], result: Any, memory: Fallback) -> Method:
    """A public method that the history answers, with the question `name`."""

    def handle(caller: Caller, given: Any) -> Any:
        seq = memory.newest_seq(caller, given)
        return memory.answer(caller, given) if seq is None else ask(name, caller, given, seq)

    def answer(caller: Caller, outcome: msgspec.Raw | RpcError) -> Any:
        if not isinstance(outcome, RpcError):
            return outcome
        if memory.is_partial and outcome.data["reason"] == "history_unavailable":
            return memory.answer(caller, caller.asked)
        raise outcome

    return public(summary, params, handle, result, answer)._replace(waits=True)


def of_own_history(name: str, summary: str, params: type[d.DeribitParams], result: Any, memory: Fallback) -> Method:
    """A method of a user that the history answers."""
    return of_history(name, summary, params, result, memory)._replace(access="private", level=READ)


def _last_trades(caller: Caller, params: d.TradesParams) -> dict[str, Any]:
    instrument_id = known_id(params.instrument_name, caller.views)
    page = _page(params, params.start_seq, params.end_seq)
    return _public(caller, params, caller.exchange.trades_in(instrument_id, page), params.start_seq)


def _last_trades_of_currency(caller: Caller, params: d.CurrencyTradesParams) -> dict[str, Any]:
    asset, start_id, end_id = (
        asset_filter(params.currency, caller.views),
        record_id(params.start_id),
        record_id(params.end_id),
    )
    if params.kind not in KINDS:
        return {"trades": [], "has_more": False}
    page = _page(params, start_id, end_id)
    return _public(caller, params, caller.exchange.trades_on(asset, page), start_id)


def _own_trades_of_instrument(caller: Caller, params: d.TradesParams) -> dict[str, Any]:
    instrument_id = known_id(params.instrument_name, caller.views)
    page = _page(params, params.start_seq, params.end_seq)
    found = caller.exchange.user_trades_in(caller.user_id, page, instrument_id, None) or []
    return _own(caller, params, found, params.start_seq)


def _own_trades_of_currency(caller: Caller, params: d.CurrencyTradesParams) -> dict[str, Any]:
    asset, start_id, end_id = (
        asset_filter(params.currency, caller.views),
        record_id(params.start_id),
        record_id(params.end_id),
    )
    if params.kind not in KINDS:
        return {"trades": [], "has_more": False}
    page, kept = _page(params, start_id, end_id), list[w.UserTrade]()
    while len(kept) <= params.count:
        found = caller.exchange.user_trades_in(caller.user_id, page, None, None) or []
        kept += [one for one in found if asset is None or one.instrument_id.startswith(f"{asset}_")]
        if len(found) < page.count_max:
            break
        page = page._replace(before=found[-1].trade_id)
    return _own(caller, params, kept, start_id)


def _own_trades_of_order(caller: Caller, params: d.TradesOfOrderParams) -> list[Any]:
    found = caller.exchange.user_trades_in(caller.user_id, RecordPage(1_000), None, order_id_of(params.order_id))
    if found is None:
        raise refused(Reason.ORDER_NOT_FOUND)
    return _in_order(params.sorting, _priced_own(caller, found))


def _mark_prices(caller: Caller, params: d.MarkHistoryParams) -> list[tuple[int, float]]:
    instrument_id = known_id(params.instrument_name, caller.views)
    page = RecordPage(MARKS_MAX, None, u.us_of(params.start_timestamp), _last_us(params.end_timestamp))
    return [(u.ms(one.ts_us), u.price(one.mark_micros)) for one in caller.exchange.mark_prices_in(instrument_id, page)]


def _settlements(of_user: bool, caller: Caller, params: d.SettlementsParams) -> dict[str, Any]:
    """Settlements, the newest first. All of them are deliveries: there are no daily settlements and no bankruptcies."""
    asset = asset_filter(params.currency, caller.views)
    instrument_id = known_id_or_none(params.instrument_name, caller.views)
    if params.type not in (None, "delivery"):
        return {"settlements": [], "continuation": NO_MORE}
    before = None if params.continuation in (None, NO_MORE) else record_id(params.continuation, "continuation")
    latest = params.search_start_timestamp
    # As on Deribit, the search goes back from this time.
    page = RecordPage(params.count + 1, before, None, None if latest is None else _last_us(latest))
    user_id = caller.user_id if of_user else None
    found = caller.exchange.settlements_in(user_id, asset, instrument_id, page)
    more = str(found[params.count - 1].id) if len(found) > params.count else NO_MORE
    return {"settlements": [_settlement(one) for one in found[: params.count]], "continuation": more}


def _settlement(one: OptionSettlement) -> dict[str, Any]:
    profit = u.price(one.payout_micros)
    return {
        "type": "delivery",
        "timestamp": u.ms(one.ts_us),
        "instrument_name": one.instrument_id,
        "position": u.amount(one.quantity_milli),
        "index_price": u.price(one.delivery_micros),
        "mark_price": u.price(one.value_micros),
        "profit_loss": profit,
        "session_profit_loss": profit,
    }


def _created(caller: Caller, params: d.NamesParams) -> dict[str, int]:
    return {name: u.ms(ts_us) for name, ts_us in caller.exchange.created_us(params.names).items()}


def _page(params: d.RangeParams, first_id: int | None, last_id: int | None) -> RecordPage:
    """The records up to `last_id`, and one more than are asked for: it tells if there are more."""
    start, end = params.start_timestamp, params.end_timestamp
    if start is not None and end is not None and start > end:
        raise invalid_params("start_timestamp", "start_timestamp is after end_timestamp: give an earlier start")
    if first_id is not None and last_id is not None and first_id > last_id:
        raise invalid_params("start_seq", "the first trade is after the last one: give an earlier one")
    return RecordPage(
        params.count + 1,
        None if last_id is None else last_id + 1,
        None if start is None else u.us_of(start),
        None if end is None else _last_us(end),
    )


def _public(caller: Caller, params: d.RangeParams, found: list[w.Trade], first_id: int | None) -> dict[str, Any]:
    wanted = [one for one in found if first_id is None or one.trade_id >= first_id]
    trades = wanted[: params.count]
    priced = [public_trade(*pair) for pair in zip(trades, caller.exchange.trade_moments(trades), strict=True)]
    return {"trades": _in_order(params.sorting, priced), "has_more": len(wanted) > params.count}


def _own(caller: Caller, params: d.RangeParams, found: list[w.UserTrade], first_id: int | None) -> dict[str, Any]:
    wanted = [one for one in found if first_id is None or one.trade_id >= first_id]
    trades = _priced_own(caller, wanted[: params.count])
    return {"trades": _in_order(params.sorting, trades), "has_more": len(wanted) > params.count}


def _priced_own(caller: Caller, trades: list[w.UserTrade]) -> list[Any]:
    return [own_trade(*pair) for pair in zip(trades, caller.exchange.trade_moments(trades), strict=True)]


def _in_order(sorting: str, newest_first: Sequence[Any]) -> list[Any]:
    return list(reversed(newest_first)) if sorting == "asc" else list(newest_first)


def _last_us(timestamp_ms: int) -> int:
    """The end of a millisecond."""
    return u.us_of(timestamp_ms) + u.US_PER_MS - 1


def record_id(text: str | None, param: str = "start_id") -> int | None:
    """The number of an id in a request. Raises RpcError if it is none of ours."""
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise invalid_params(param, f"{param} must be an id of this exchange, such as 17")
    return int(text)


def _question(params: type[d.DeribitParams], handle: Callable[[Caller, Any], Any], is_private: bool = False) -> Method:
    method = public("", params, handle, None)
    return method._replace(access="private", level=READ, decode=p.Decoder(params)) if is_private else method


QUESTIONS: dict[str, Method] = {
    f"{PREFIX}last_trades": _question(d.TradesParams, _last_trades),
    f"{PREFIX}last_trades_of_currency": _question(d.CurrencyTradesParams, _last_trades_of_currency),
    f"{PREFIX}own_trades": _question(d.TradesParams, _own_trades_of_instrument, True),
    f"{PREFIX}own_trades_of_currency": _question(d.CurrencyTradesParams, _own_trades_of_currency, True),
    f"{PREFIX}own_trades_of_order": _question(d.TradesOfOrderParams, _own_trades_of_order, True),
    f"{PREFIX}mark_prices": _question(d.MarkHistoryParams, _mark_prices),
    f"{PREFIX}settlements": _question(d.SettlementsParams, partial(_settlements, False)),
    f"{PREFIX}own_settlements": _question(d.SettlementsParams, partial(_settlements, True), True),
    f"{PREFIX}created": _question(d.NamesParams, _created),
}
