"""The methods of market makers: mass quotes, their cancellation, and market maker protection."""

from __future__ import annotations

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from exchange.domain.commands import (
    CancelQuotes,
    Command,
    InstrumentQuote,
    MassQuote,
    QuoteSide,
    ResetMmp,
    SetMmpConfig,
)
from exchange.domain.events import QuoteRefused
from exchange.domain.reasons import REFUSALS, Reason
from exchange.domain.units import PPM
from exchange.gateway import params as p
from exchange.gateway.caller import Caller
from exchange.gateway.instrument_ids import canonical_id
from exchange.gateway.jsonrpc import invalid_params, refused
from exchange.projections import wire_types as w
from exchange.projections.fold import Change


def mass_quote(caller: Caller, params: p.MassQuoteParams) -> Command:
    """Make the command. Raises RpcError -32602, which names the quote, if the quotes contradict each other.

    Each quote costs a credit, because it is as much work as an order.
    """
    numbers: dict[str, int] = {}
    quotes: list[InstrumentQuote] = []
    for number, quote in enumerate(params.quotes):
        where = f"quotes[{number}]"
        instrument_id = canonical_id(quote.instrument_id, caller.views)
        if instrument_id in numbers:
            detail = f"quotes[{numbers[instrument_id]}] has {instrument_id} already: name each instrument once"
            raise invalid_params(f"{where}.instrument_id", detail)
        numbers[instrument_id] = number
        bid, ask = _side(quote.bid, f"{where}.bid"), _side(quote.ask, f"{where}.ask")
        if bid is UNSET and ask is UNSET:
            raise invalid_params(where, f"{instrument_id} has no side: give a bid, an ask or both", "missing_param")
        _check_uncrossed(where, instrument_id, bid, ask)
        set_id = UNSET if quote.quote_set_id is None else quote.quote_set_id
        quotes.append(InstrumentQuote(instrument_id, bid, ask, set_id))
    # The request itself costs one.
    caller.quota.charge(max(0, len(quotes) - 1))
    return MassQuote(caller.user_id, params.mmp_group, params.quote_id, quotes, caller.connection.order_mark)


def mass_quote_answer(caller: Caller, change: Change) -> w.MassQuoteResult:
    """The quotes in the order of the command. The id is that of the command."""
    ids = {order.order_id: None for order in change.quotes}
    trades = [trade for owner, trade in change.user_trades if owner == caller.user_id and trade.order_id in ids]
    return w.MassQuoteResult(
        change.quote_id, change.quotes, trades, [_error(one) for one in change.refused_quotes], change.seq
    )


def cancel_quotes(caller: Caller, params: p.CancelQuotesParams) -> Command:
    """Make the command. Deltas are rounded to millionths."""
    lowest, highest = params.min_delta, params.max_delta
    if lowest is not None and highest is not None and lowest > highest:
        raise invalid_params("min_delta", f"{lowest:g} is above max_delta, {highest:g}: no delta lies between them")
    return CancelQuotes(
        caller.user_id,
        UNSET if params.instrument_id is None else canonical_id(params.instrument_id, caller.views),
        UNSET if params.asset is None else params.asset,
        UNSET if params.mmp_group is None else params.mmp_group,
        UNSET if params.quote_set_id is None else params.quote_set_id,
        UNSET if lowest is None else round(lowest * PPM),
        UNSET if highest is None else round(highest * PPM),
    )


def set_mmp_config(caller: Caller, params: p.MmpConfigParams) -> Command:
    """Make the command. Raises RpcError -32602 for a limit of zero, or without a limit."""
    limits = {name: getattr(params, name) for name in ("quantity_limit", "delta_limit", "vega_limit")}
    if params.interval:
        for name, limit in limits.items():
            if limit is not None and limit <= 0:
                detail = f"{limit} would freeze the group at its first fill: send a limit above 0, or leave it out"
                raise invalid_params(name, detail)
        if not any(limits.values()):
            detail = "give quantity_limit, delta_limit or vega_limit; an interval of 0 removes the group"
            raise invalid_params("quantity_limit", detail, "missing_param")
    return SetMmpConfig(
        caller.user_id,
        params.mmp_group,
        params.asset,
        params.interval,
        params.frozen_time,
        *(UNSET if limit is None else limit for limit in limits.values()),
    )


def reset_mmp(caller: Caller, params: p.MmpGroupRef) -> Command:
    return ResetMmp(caller.user_id, params.mmp_group)


def mmp_answer(caller: Caller, change: Change) -> w.MmpGroupResult:
    group = change.mmp_group
    return w.MmpGroupResult(None if group is None else _as_of(group, caller), change.seq)


def get_mmp_config(caller: Caller, params: p.MmpGroupFilter) -> list[w.MmpGroupView]:
    """The MMP groups of the user, or the one that is named. Raises RpcError if the user has none of this name."""
    groups = [_as_of(group, caller) for group in caller.views.mmp_groups(caller.user_id)]
    if params.mmp_group is None:
        return groups
    named = [group for group in groups if group.mmp_group == params.mmp_group]
    if not named:
        raise refused(Reason.MMP_GROUP_UNKNOWN)
    return named


def _side(params: p.QuoteSideParams | None, where: str) -> QuoteSide | UnsetType:
    """Return the side as the command has it. Only a cancellation, an amount of 0, needs no price."""
    if params is None:
        return UNSET
    if params.price is None and params.amount != 0:
        raise invalid_params(f"{where}.price", "a quote needs a price, in micros of USDC", "missing_param")
    return QuoteSide(params.price or 0, params.amount, params.post_only)


def _check_uncrossed(where: str, instrument_id: str, bid: QuoteSide | UnsetType, ask: QuoteSide | UnsetType) -> None:
    """Raise RpcError if the bid is not below the ask."""
    if bid is UNSET or ask is UNSET or bid.size_milli == 0 or ask.size_milli == 0:
        return
    if bid.price_micros >= ask.price_micros:
        detail = f"{instrument_id} crosses itself: the bid of {bid.price_micros} must be below the ask of "
        raise invalid_params(f"{where}.bid.price", f"{detail}{ask.price_micros} micros")


def _error(refusal: QuoteRefused) -> w.QuoteError:
    code, message, detail, _ = REFUSALS[refusal.reason]
    return w.QuoteError(refusal.instrument_id, refusal.side, code, message, refusal.reason.value, detail)


def _as_of(group: w.MmpGroupView, caller: Caller) -> w.MmpGroupView:
    """The group as it is now: a freeze that has ended is none."""
    if group.frozen_until_us and group.frozen_until_us <= caller.exchange.now_us():
        return replace(group, frozen_until_us=None)
    return group
