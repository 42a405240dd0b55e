"""The methods of market makers: mass quotes, their cancellation, and MMP groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from exchange.domain.reasons import Reason
from exchange.gateway import params as p
from exchange.gateway.caller import Caller
from exchange.gateway.deribit import params as d
from exchange.gateway.deribit import shapes
from exchange.gateway.deribit import units as u
from exchange.gateway.deribit.cancelling import cancelled_all, refuse_freeze
from exchange.gateway.deribit.errors import error_of
from exchange.gateway.deribit.market import KINDS, asset_filter, asset_of_index
from exchange.gateway.deribit.method_kinds import commanded, read
from exchange.gateway.deribit.trades import own_trades_now
from exchange.gateway.jsonrpc import RpcError, invalid_params, refused
from exchange.gateway.methods import Method
from exchange.projections import wire_types as w


def quoting_methods(native: Mapping[str, Method]) -> dict[str, Method]:
    """The methods on these of the exchange."""
    groups = native["private/get_mmp_config"].handle
    return {
        "private/mass_quote": commanded(
            native["private/mass_quote"],
            "Place, replace or cancel many quotes.",
            d.MassQuoteParams,
            lambda caller, params: native["private/mass_quote"].handle(caller, mass_quote(params)),
            quoted,
            dict[str, Any],
        ),
        "private/cancel_quotes": commanded(
            native["private/cancel_quotes"],
            "Cancel quotes.",
            d.CancelQuotesParams,
            lambda caller, params: cancel_quotes(native["private/cancel_quotes"], caller, params),
            cancelled_all,
            int | list[dict[str, Any]],
        ),
        "private/set_mmp_config": commanded(
            native["private/set_mmp_config"],
            "Create, replace or remove an MMP group.",
            d.MmpConfigParams,
            lambda caller, params: native["private/set_mmp_config"].handle(caller, mmp_config(caller, params)),
            _configured,
            list[dict[str, Any]],
        ),
        "private/reset_mmp": commanded(
            native["private/reset_mmp"],
            "End the freeze of an MMP group.",
            d.MmpGroupParams,
            lambda caller, params: native["private/reset_mmp"].handle(caller, reset_mmp(caller, params)),
            lambda _caller, _result: "ok",
            str,
        ),
        "private/get_mmp_config": read(
            "The MMP groups.", d.MmpFilterParams, _of_groups(groups, _config), list[dict[str, Any]]
        ),
        "private/get_mmp_status": read(
            "The MMP groups that are frozen.", d.MmpFilterParams, _of_groups(groups, _status), list[dict[str, Any]]
        ),
    }


def mass_quote(params: d.MassQuoteParams) -> p.MassQuoteParams:
    """The parameters of the method on `/`. The answer always waits for the command: it is recorded first."""
    if params.valid_until is not None:
        raise invalid_params("valid_until", "mass quotes have no last time: leave it out")
    quotes = [
        p.QuoteParams(
            quote.instrument_name,
            _side(quote.bid, f"quotes[{number}].bid"),
            _side(quote.ask, f"quotes[{number}].ask"),
            quote.quote_set_id,
        )
        for number, quote in enumerate(params.quotes)
    ]
    return p.MassQuoteParams(params.mmp_group, quotes, params.quote_id)


def quoted(caller: Caller, result: w.MassQuoteResult) -> dict[str, Any]:
    """The orders, trades and errors, or the errors alone without `detailed`."""
    errors = [_error(one) for one in result.errors]
    if not caller.asked.detailed:
        return {"errors_count": len(errors), "errors": errors}
    return {
        "orders": [shapes.order(one) for one in result.orders],
        "trades": own_trades_now(caller.views, caller.user_id, result.trades),
        "errors": errors,
    }


def cancel_quotes(native: Method, caller: Caller, params: d.CancelQuotesParams) -> Any:
    """The command; or the answer, if the quotes that are asked for cannot exist."""
    refuse_freeze(params)
    nothing: int | list[Any] = [] if params.detailed else 0
    match params.cancel_type:
        case "delta":
            if params.min_delta is None or params.max_delta is None:
                raise invalid_params("min_delta", "give min_delta and max_delta", "missing_param")
            wanted = p.CancelQuotesParams(min_delta=params.min_delta, max_delta=params.max_delta)
        case "quote_set_id":
            wanted = p.CancelQuotesParams(quote_set_id=_given(params.quote_set_id, "quote_set_id"))
        case "instrument":
            wanted = p.CancelQuotesParams(instrument_id=_given(params.instrument_name, "instrument_name"))
        case "instrument_kind":
            if params.kind not in KINDS:
                return nothing
            wanted = p.CancelQuotesParams(asset=asset_filter(params.currency, caller.views))
        case "currency":
            wanted = p.CancelQuotesParams(asset=asset_filter(params.currency, caller.views))
        case "currency_pair":
            index_name = _given(params.currency_pair, "currency_pair")
            wanted = p.CancelQuotesParams(asset=asset_of_index(index_name, caller.views, "currency_pair"))
        case "all":
            wanted = p.CancelQuotesParams()
    return native.handle(caller, wanted)


def mmp_config(caller: Caller, params: d.MmpConfigParams) -> p.MmpConfigParams:
    """The parameters of the method on `/`."""
    _refuse_block_rfq(params)
    return p.MmpConfigParams(
        _given(params.mmp_group, "mmp_group", "MMP is for mass quotes here: name a group"),
        asset_of_index(params.index_name, caller.views),
        params.interval,
        params.frozen_time,
        _milli_or_none(params.quantity_limit, "quantity_limit"),
        _milli_or_none(params.delta_limit, "delta_limit"),
        None if params.vega_limit is None else u.micros_of(params.vega_limit, "vega_limit"),
    )


def reset_mmp(caller: Caller, params: d.MmpGroupParams) -> p.MmpGroupRef:
    """The parameters of the method on `/`. Raises RpcError if the group is for another asset."""
    _refuse_block_rfq(params)
    asset = asset_of_index(params.index_name, caller.views)
    name = _given(params.mmp_group, "mmp_group", "MMP is for mass quotes here: name a group")
    if any(one.mmp_group == name and one.asset != asset for one in caller.views.mmp_groups(caller.user_id)):
        raise refused(Reason.MMP_GROUP_OF_OTHER_ASSET)
    return p.MmpGroupRef(name)


def mmp_trigger(view: w.MmpTriggerView) -> dict[str, Any]:
    """The message of a freeze. `frozen_until` is 0 if only a reset ends it."""
    return {
        "index_name": shapes.index_name(view.asset),
        "frozen_until": u.ms(view.frozen_until_us),
        "mmp_group": view.mmp_group,
    }


def _of_groups(
    groups: Callable[[Caller, p.MmpGroupFilter], list[w.MmpGroupView]],
    shape: Callable[[w.MmpGroupView], dict[str, Any] | None],
) -> Callable[[Caller, d.MmpFilterParams], list[dict[str, Any]]]:
    def handle(caller: Caller, params: d.MmpFilterParams) -> list[dict[str, Any]]:
        _refuse_block_rfq(params)
        is_all = params.index_name in (None, "all")
        asset = None if is_all else asset_of_index(params.index_name or "", caller.views)
        found = [
            shape(one)
            for one in groups(caller, p.MmpGroupFilter())
            if asset in (None, one.asset) and params.mmp_group in (None, one.mmp_group)
        ]
        return [one for one in found if one is not None]

    return handle


def _configured(_caller: Caller, result: w.MmpGroupResult) -> list[dict[str, Any]]:
    return [] if result.group is None else [_config(result.group)]


def _config(group: w.MmpGroupView) -> dict[str, Any]:
    limits = {
        "quantity_limit": None if group.quantity_limit_milli is None else u.amount(group.quantity_limit_milli),
        "delta_limit": None if group.delta_limit_milli is None else u.amount(group.delta_limit_milli),
        "vega_limit": u.price_or_none(group.vega_limit_micros),
    }
    return {
        "index_name": shapes.index_name(group.asset),
        "mmp_group": group.mmp_group,
        "interval": group.interval_s,
        "frozen_time": group.frozen_s,
        **{name: limit for name, limit in limits.items() if limit is not None},
    }


def _status(group: w.MmpGroupView) -> dict[str, Any] | None:
    if group.frozen_until_us is None:
        return None
    return {
        "index_name": shapes.index_name(group.asset),
        "frozen_until": u.ms(group.frozen_until_us),
        "mmp_group": group.mmp_group,
    }


def _error(refusal: w.QuoteError) -> dict[str, Any]:
    code, message = error_of(refusal.reason)
    data = {"reason": refusal.detail, "code": refusal.reason}
    return {
        "instrument_name": refusal.instrument_id,
        "side": refusal.side,
        "error": {"code": code, "message": message, "data": data},
    }


def _side(side: d.QuoteSideParams | None, where: str) -> p.QuoteSideParams | None:
    if side is None:
        return None
    return p.QuoteSideParams(
        None if side.amount is None else u.milli_of(side.amount, f"{where}.amount"),
        None if side.price is None else u.micros_of(side.price, f"{where}.price"),
        side.post_only,
    )


def _refuse_block_rfq(params: d.MmpFilterParams | d.MmpConfigParams | d.MmpGroupParams) -> None:
    if params.block_rfq:
        raise RpcError("not_offered", "there are no quotes on request: leave block_rfq out")


def _milli_or_none(limit: Decimal | None, param: str) -> int | None:
    return None if limit is None else u.milli_of(limit, param)


def _given(text: str | None, param: str, detail: str = "") -> str:
    if not text:
        raise invalid_params(param, detail or f"give {param}", "missing_param")
    return text
