"""The methods that trade: their commands and their results, dry runs, and the life of an order."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UNSET, UnsetType

from exchange.domain.commands import CancelAll, CancelOrder, Command, EditOrder, PlaceOrder
from exchange.domain.enums import OptionType, Side
from exchange.domain.reasons import REFUSALS, Reason
from exchange.domain.units import NUMBER_MAX, SIZE_MAX_MILLI
from exchange.gateway import params as p
from exchange.gateway import results as r
from exchange.gateway.caller import Caller
from exchange.gateway.dry_run import dry_run_result
from exchange.gateway.instrument_ids import canonical_id, canonical_id_or_none, listed_id
from exchange.gateway.jsonrpc import invalid_params, rate_limited, read_only_replay, refused
from exchange.gateway.trigger_params import ICEBERG_RESTS, NEEDS_POST_ONLY, trigger_order
from exchange.projections import wire_types as w
from exchange.projections.fold import Change

DRY_RUN_RETRY_MS = 100
PLAIN_TYPES = ("limit", "market", "market_limit")


def place(side: Side) -> Callable[[Caller, p.PlaceParams], Command]:
    """The handler of `private/buy` or `private/sell`: makes the command."""
    place_plain = _place_plain(side)

    def place_on_side(caller: Caller, params: p.PlaceParams) -> Command:
        if params.type != "limit" and params.type != "market" and params.type != "market_limit":
            return trigger_order(caller, params, side)
        for name in ("trigger", "trigger_price", "trigger_offset"):
            if getattr(params, name) is not None:
                raise invalid_params(name, f"a {params.type} order waits for no price: choose another type")
        return place_plain(caller, params)

    return place_on_side


def _place_plain(side: Side) -> Callable[[Caller, p.PlaceParams], PlaceOrder]:
    """Make the command of an order that waits for no price."""

    def place_on_side(caller: Caller, params: p.PlaceParams) -> PlaceOrder:
        kind = params.type
        assert kind == "limit" or kind == "market" or kind == "market_limit", "a trigger order"
        is_market = kind == "market"
        if kind != "limit" and params.price is not None:
            raise invalid_params("price", f"a {kind} order has no price: leave it out, or send a limit order")
        if kind == "limit" and params.price is None:
            raise invalid_params("price", "a limit order needs a price, in micros of USDC", "missing_param")
        time_in_force = p.TIMES_IN_FORCE[params.time_in_force or ("ioc" if is_market else "gtc")]
        may_rest = time_in_force not in ("ioc", "fok")
        if is_market and may_rest:
            raise invalid_params("time_in_force", "a market order never rests: use ioc or fok")
        if kind == "market_limit" and not may_rest:
            raise invalid_params("time_in_force", "a market_limit order must be able to rest: use gtc or day")
        if kind == "market_limit" and params.post_only:
            raise invalid_params("post_only", "a market_limit order trades on arrival: leave post_only out")
        if params.post_only and not may_rest:
            raise invalid_params("post_only", "a post_only order must be able to rest: use gtc or day")
        if params.display_amount is not None and not may_rest:
            raise invalid_params("display_amount", ICEBERG_RESTS)
        if params.reject_post_only and not params.post_only:
            raise invalid_params("reject_post_only", NEEDS_POST_ONLY)
        return PlaceOrder(
            caller.user_id,
            canonical_id(params.instrument_id, caller.views),
            side,
            kind,
            time_in_force,
            params.price,
            params.amount,
            params.post_only,
            params.client_order_id,
            True if params.reduce_only else UNSET,
            UNSET if params.label is None else params.label,
            True if params.post_only and not params.reject_post_only else UNSET,
            UNSET if params.display_amount is None else params.display_amount,
            UNSET if params.valid_until_us is None else params.valid_until_us,
            caller.connection.order_mark,
        )

    return place_on_side


def dry_run(side: Side) -> Callable[[Caller, p.PlaceParams], r.DryRunResult]:
    """The handler of the same methods with `dry_run`: shows the effects of the order without placing it."""

    def dry_run_on_side(caller: Caller, params: p.PlaceParams) -> r.DryRunResult:
        if params.type not in PLAIN_TYPES:
            raise invalid_params(
                "dry_run", "a trigger order is checked when it triggers: do a dry run of the order that it places"
            )
        command = _place_plain(side)(caller, params)
        if caller.exchange.is_read_only:
            raise read_only_replay()
        events = caller.exchange.dry_run(command)
        if events is None:
            raise rate_limited("the exchange is too busy for a dry run: try again later", DRY_RUN_RETRY_MS)
        return dry_run_result(caller.views, caller.exchange.now_us(), command, events)

    return dry_run_on_side


def close_position(caller: Caller, params: p.ClosePositionParams) -> Command:
    """Return the command that closes a position: a reduce-only IOC order for its size.

    Raises RpcError if there is no position, or in a replay.
    """
    if caller.exchange.is_read_only:
        raise read_only_replay()
    instrument_id = listed_id(params.instrument_id, caller.views)
    funds = caller.views.balances.users[caller.user_id]
    position = funds.positions.get(instrument_id)
    quantity_milli = position.quantity_milli if position is not None else 0
    if not quantity_milli:
        raise refused(Reason.NOTHING_TO_REDUCE)
    # By rules version 1, a smaller order is refused. Reduce-only cuts a larger one to the position.
    min_size_milli = caller.views.instruments[instrument_id].min_size_milli
    size_milli = min(max(abs(quantity_milli), min_size_milli), SIZE_MAX_MILLI)
    side: Side = "ask" if quantity_milli > 0 else "bid"
    return place(side)(
        caller, p.PlaceParams(instrument_id, size_milli, params.type, params.price, "ioc", reduce_only=True)
    )


def get_margin(caller: Caller, params: p.MarginParams) -> w.MarginResult:
    """Compute the cash that a limit order would lock, and check if it would be accepted.

    Raises RpcError -32602 if that cash is more than the largest number of the protocol.
    """
    instrument_id = listed_id(params.instrument_id, caller.views)
    if caller.exchange.is_read_only:
        raise read_only_replay()
    command = _place_plain(params.side)(caller, p.PlaceParams(instrument_id, params.amount, price=params.price))
    quote = caller.exchange.margin(command)
    if quote.needed_micros > NUMBER_MAX:
        detail = "the order would lock more than 2^53 - 1 micros, the largest number of the protocol"
        raise invalid_params("amount", f"{detail}: send a smaller amount")
    return w.MarginResult(
        instrument_id,
        params.side,
        params.amount,
        params.price,
        quote.needed_micros,
        caller.views.balance(caller.user_id).available_micros,
        quote.initial_micros,
        quote.maintenance_micros,
        quote.reason is None,
        quote.reason,
        None if quote.reason is None else REFUSALS[quote.reason].detail,
    )


def edit(caller: Caller, params: p.EditParams) -> Command:
    if (params.amount, params.price, params.trigger_price, params.trigger_offset) == (None, None, None, None):
        raise invalid_params("amount", "give a new amount, price, trigger_price or trigger_offset", "missing_param")
    order_id, client_order_id, label = _order_name(params)
    instrument_id = UNSET if params.instrument_id is None else canonical_id(params.instrument_id, caller.views)
    return EditOrder(
        caller.user_id,
        order_id,
        client_order_id,
        params.price,
        params.amount,
        label,
        instrument_id,
        UNSET if params.trigger_price is None else params.trigger_price,
        UNSET if params.trigger_offset is None else params.trigger_offset,
        UNSET if params.valid_until_us is None else params.valid_until_us,
    )


def cancel(caller: Caller, params: p.CancelParams) -> Command:
    order_id, client_order_id, label = _order_name(params)
    instrument_id = canonical_id_or_none(params.instrument_id, caller.views)
    return CancelOrder(caller.user_id, order_id, client_order_id, instrument_id, label)


def cancel_all(caller: Caller, params: p.CancelAllParams) -> Command:
    option_type: OptionType | UnsetType = UNSET
    if params.kind is not None and params.kind != "option":
        option_type = params.kind
    return CancelAll(
        caller.user_id,
        canonical_id_or_none(params.instrument_id, caller.views),
        UNSET if params.asset is None else params.asset,
        option_type,
        UNSET if params.label is None else params.label,
    )


def order_answer(caller: Caller, change: Change) -> r.OrderResult:
    order = change.order
    assert order is not None, "an order command without an order"
    if change.duplicate:
        return r.OrderResult(order, caller.views.tape.trades_of_order(caller.user_id, order.order_id), change.seq, True)
    trades = [
        trade for owner, trade in change.user_trades if owner == caller.user_id and trade.order_id == order.order_id
    ]
    return r.OrderResult(order, trades, change.seq)


def cancel_answer(_caller: Caller, change: Change) -> w.CancelResult:
    assert change.order is not None, "a cancellation without an order"
    return w.CancelResult(change.order, change.seq)


def cancel_all_answer(_caller: Caller, change: Change) -> w.CancelAllResult:
    return w.CancelAllResult(len(change.cancelled), change.cancelled, change.seq)


def explain_order(caller: Caller, params: p.ExplainParams) -> r.TimelineResult:
    if (params.order_id is None) == (params.client_order_id is None):
        raise invalid_params("order_id", "give exactly one of order_id and client_order_id")
    steps = caller.exchange.order_timeline(caller.user_id, params.order_id, params.client_order_id)
    if not steps:
        raise refused(Reason.ORDER_NOT_FOUND)
    return r.TimelineResult(steps)


def _order_name(params: p.EditParams | p.CancelParams) -> tuple[int | None, str | None, str | UnsetType]:
    p.check_order_name(params)
    return params.order_id, params.client_order_id, UNSET if params.label is None else params.label
