"""The rules of the wire for trigger orders: which parameters go together."""

from msgspec import UNSET

from exchange.domain.commands import PlaceTriggerOrder
from exchange.domain.enums import Side, TriggerType
from exchange.gateway import params as p
from exchange.gateway.caller import Caller
from exchange.gateway.instrument_ids import canonical_id
from exchange.gateway.jsonrpc import invalid_params

NEEDS_POST_ONLY = "reject_post_only says what becomes of a post_only order that would trade: add post_only"
ICEBERG_RESTS = "an order with a display_amount must be able to rest: use a limit type with gtc or day"
_LIMITS = ("stop_limit", "take_limit")


def trigger_order(caller: Caller, params: p.PlaceParams, side: Side) -> PlaceTriggerOrder:
    """Make the command of a trigger order. Raises RpcError -32602 if its parameters contradict each other."""
    kind = params.type
    assert kind != "limit" and kind != "market" and kind != "market_limit", "not a trigger order"
    if params.trigger is None:
        raise invalid_params(
            "trigger", f"a {kind} order needs a trigger: index_price, mark_price or last_price", "missing_param"
        )
    _check_prices(kind, params)
    time_in_force = p.TIMES_IN_FORCE[params.time_in_force or ("gtc" if kind in _LIMITS else "ioc")]
    may_rest = time_in_force not in ("ioc", "fok")
    if kind not in _LIMITS and may_rest:
        raise invalid_params("time_in_force", f"a {kind} order trades at market and never rests: use ioc or fok")
    if params.post_only and not may_rest:
        raise invalid_params("post_only", "a post_only order must be able to rest: use a limit type with gtc or day")
    if params.display_amount is not None and not may_rest:
        raise invalid_params("display_amount", ICEBERG_RESTS)
    if params.reject_post_only and not params.post_only:
        raise invalid_params("reject_post_only", NEEDS_POST_ONLY)
    return PlaceTriggerOrder(
        caller.user_id,
        canonical_id(params.instrument_id, caller.views),
        side,
        kind,
        params.trigger,
        params.trigger_price,
        params.trigger_offset,
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


def _check_prices(kind: TriggerType, params: p.PlaceParams) -> None:
    """Check that a limit has a price, a trailing stop an offset, and any other trigger order a trigger price."""
    if kind in _LIMITS and params.price is None:
        raise invalid_params("price", f"a {kind} order needs a price, in micros of USDC", "missing_param")
    if kind not in _LIMITS and params.price is not None:
        raise invalid_params("price", f"a {kind} order trades at market: leave the price out, or choose a limit type")
    if kind == "trailing_stop":
        if params.trigger_price is not None:
            raise invalid_params("trigger_price", "a trailing_stop follows the best price: give trigger_offset instead")
        if params.trigger_offset is None:
            raise invalid_params("trigger_offset", "a trailing_stop needs a trigger_offset, in micros", "missing_param")
        return
    if params.trigger_offset is not None:
        raise invalid_params("trigger_offset", f"only a trailing_stop has an offset: give trigger_price for a {kind}")
    if params.trigger_price is None:
        raise invalid_params(
            "trigger_price", f"a {kind} order needs a trigger_price, in micros of USDC", "missing_param"
        )
