"""Refusals of the exchange in the words of the command line: its options and arguments, USDC and contracts."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from exchange.amounts import cash, contracts, usdc
from exchange.cli.names import nearest_instruments, nearest_users
from exchange.client import ExchangeError
from exchange.domain.reasons import Reason
from exchange.domain.units import NUMBER_MAX
from exchange.gateway.limits import COUNT_MAX
from exchange.projections.wire_types import Instrument

# Answers a question to the running exchange: the result of a method with these parameters.
Ask = Callable[..., Any]

_CASH_MAX = f"{cash(NUMBER_MAX)} USDC"
_PRICE_MAX = "10,000,000 USDC"


class Translation(NamedTuple):
    """The detail of a reason on the command line, and the argument that was wrong."""

    detail: str
    param: str | None = None


# The names in braces are those of `_Figures`, which asks the exchange, or of parameters.
TRANSLATIONS: dict[str, Translation] = {
    Reason.INSTRUMENT_NOT_FOUND: Translation(
        "{instrument_id} is not listed{nearest_instruments}; `exchange instrument list` shows those that are",
        "INSTRUMENT",
    ),
    Reason.SIZE_BELOW_MINIMUM: Translation("the smallest order has {min_size} contracts", "SIZE"),
    Reason.SIZE_ABOVE_MAXIMUM: Translation("the largest order has 1,000,000 contracts", "SIZE"),
    Reason.COST_ABOVE_MAXIMUM: Translation(f"PRICE times SIZE would exceed {_CASH_MAX}; use a smaller SIZE", "SIZE"),
    Reason.PRICE_NOT_POSITIVE: Translation("the price must be positive", "PRICE"),
    Reason.PRICE_OFF_TICK: Translation("the price must be a multiple of the tick; the tick is {tick} USDC", "PRICE"),
    Reason.PRICE_ABOVE_MAXIMUM: Translation(f"the price is above the limit of {_PRICE_MAX}", "PRICE"),
    Reason.VALID_UNTIL_PASSED: Translation("the time until which the order is valid has passed", "--valid-until"),
    Reason.NO_OPPOSITE_PRICE: Translation("no order of the other side gives the order its price; name a PRICE"),
    Reason.DISPLAY_ABOVE_SIZE: Translation("the part to show is larger than SIZE; use a smaller one", "--display"),
    Reason.DISPLAY_BELOW_MINIMUM: Translation(
        "the part to show is too small: it must be at least 100 times the smallest order of {min_size} contracts, and "
        "more than SIZE / 101",
        "--display",
    ),
    Reason.PRICE_BEYOND_BAND: Translation(
        "the price is too far from the mark: it must lie between {min_price} and {max_price} USDC", "PRICE"
    ),
    Reason.CLIENT_ORDER_ID_USED: Translation(
        "another order has this key; a new order needs a new --client-order-id", "--client-order-id"
    ),
    Reason.INSUFFICIENT_BALANCE: Translation("the available balance is too small; `exchange account show` shows it"),
    Reason.ORDER_NOT_FOUND: Translation(
        "the user has no order with this id; `exchange order list` shows the open orders", "ORDER_ID"
    ),
    Reason.UNKNOWN_USER: Translation(
        "there is no account {user_id}{nearest_users}; the first order of a user opens one", "USER"
    ),
    Reason.ACCOUNT_EXISTS: Translation("this user has an account already", "USER"),
    Reason.INVALID_TERMS: Translation(
        "expected an id like SOL_USDC-28FEB26-150-C that expires in the future and before 2099, a --tick-size "
        "that is a positive multiple of 0.001 USDC, and a positive --min-size",
        "INSTRUMENT_ID",
    ),
    Reason.INVALID_AMOUNT: Translation(
        f"the amount must be positive, and all cash on the exchange at most {_CASH_MAX}", "AMOUNT"
    ),
    Reason.NOTHING_TO_REDUCE: Translation(
        "the user needs a position on the other side; `exchange account show` shows the positions"
    ),
    Reason.POSITION_ABOVE_MAXIMUM: Translation(
        "position, open orders on this side and this order together would exceed the account's limit; "
        "use a smaller SIZE",
        "SIZE",
    ),
    Reason.LABEL_NOT_UNIQUE: Translation(
        "several open orders have this label; name one by its ORDER_ID, or add --instrument if that tells them apart",
        "--label",
    ),
    Reason.MMP_GROUP_UNKNOWN: Translation(
        "the user has no such MMP group; `exchange mmp list` shows those there are, `exchange mmp set` creates one",
        "GROUP",
    ),
    Reason.CANCEL_ON_DISCONNECT_OFF: Translation("mass quotes need a connection with cancel-on-disconnect"),
    Reason.MMP_FROZEN: Translation(
        "fills reached a limit of the MMP group; wait until its frozen time ends, or use `exchange mmp reset`"
    ),
    Reason.INVALID_MMP_CONFIG: Translation(
        "an MMP group needs at least one limit, each limit above 0, and times of at most 3600 seconds", "--interval"
    ),
    Reason.MMP_GROUP_OF_OTHER_ASSET: Translation(
        "the MMP group is for options on another asset; remove it first, or set another group", "--asset"
    ),
    Reason.NO_MODEL: Translation(
        "limits of delta and vega need marks by a model, which this market does not have; use --quantity-limit",
        "--delta-limit",
    ),
    Reason.ORDER_TRIGGERED: Translation("the order was triggered; `exchange order show` shows how it ended"),
    Reason.TRIGGER_PRICE_INVALID: Translation(
        f"a trigger price and an offset must be positive, and at most {_PRICE_MAX}", "--trigger-price"
    ),
    Reason.NO_MARKET: Translation("the rules have no market; `exchange admin rules --set market={{}}` adds one"),
    Reason.INVALID_INDEX_PRICE: Translation(f"an index price must be positive and at most {_PRICE_MAX}", "PRICE"),
    Reason.INDEX_JUMP: Translation(
        "the price is further from the last one than the rule market.index_jump_max allows. If it is right, use "
        "--force; the last price was {last_price}",
        "PRICE",
    ),
    Reason.EXPOSURE_ABOVE_MAXIMUM: Translation(
        f"margins or payouts of an account would exceed {_CASH_MAX}; choose another price or other rules", "PRICE"
    ),
    Reason.UNKNOWN_SERIES: Translation(
        "no instrument of this asset and date can be changed; see `exchange instrument list --all`", "DATE"
    ),
    Reason.INVALID_DELIVERY_PRICE: Translation(
        f"a delivery price must be positive, a multiple of 0.001 USDC, and at most {_PRICE_MAX}", "PRICE"
    ),
    Reason.INVALID_LIMITS: Translation("limits must not be negative, and not too large", "--open-orders"),
    Reason.INVALID_RULES: Translation(
        "the rules contradict each other, or remove the market; begin with those of `exchange admin rules`", "--set"
    ),
}

_KEY = "--client-order-id"
# Parameters of the wire, as the command line names them.
_PARAMS = {
    "amount": "SIZE",
    "price": "PRICE",
    "instrument_id": "INSTRUMENT",
    "user_id": "USER",
    "client_id": "--user",
    "asset": "ASSET",
    "expiration": "DATE",
    "order_id": "ORDER_ID",
    "client_order_id": "--client-order-id",
    "label": "--label",
    "trigger": "--trigger",
    "trigger_price": "--trigger-price",
    "trigger_offset": "--trigger-offset",
    "mmp_group": "GROUP",
    "quantity_limit": "--quantity-limit",
    "delta_limit": "--delta-limit",
    "vega_limit": "--vega-limit",
    "frozen_time": "--frozen-time",
    "time_in_force": "--tif",
    "post_only": "--post-only",
    "reject_post_only": "--reject-post-only",
    "display_amount": "--display",
    "valid_until_us": "--valid-until",
    "reduce_only": "--reduce-only",
    "dry_run": "--dry-run",
    "tick_size": "--tick-size",
    "min_size": "--min-size",
    "open_orders_max": "--open-orders",
    "position_max": "--position",
    "rules": "--set",
}
# Only these names cannot be words of a sentence.
_WIRE_WORDS = re.compile(r"\b(" + "|".join(name for name in _PARAMS if "_" in name) + r")\b")


def translated(error: ExchangeError, params: Mapping[str, Any], ask: Ask) -> ExchangeError:
    """The error in the words of the command line. `params` are those of the refused request."""
    if params.get("orders"):
        # Linked orders of the command line are all in one instrument.
        params = {**params["orders"][0], **params}
    param = error.data.get("param")
    found = TRANSLATIONS.get(error.reason)
    if found is None:
        detail = _WIRE_WORDS.sub(lambda word: _PARAMS[word[0]], error.detail)
        shown = _PARAMS.get(param, param) if isinstance(param, str) else None
    else:
        band = {name: usdc(error.data[name]) for name in ("min_price", "max_price") if name in error.data}
        detail, shown = found.detail.format_map(_Figures({**params, **band}, ask)), found.param
        if error.reason == Reason.ORDER_NOT_FOUND.value and params.get("order_id") is None:
            name, shown = ("label", "--label") if params.get("client_order_id") is None else ("key", _KEY)
            detail = f"the user has no order with this {name}; `exchange order list` shows the open orders"
    return ExchangeError(error.code, error.message, error.reason, detail, {**error.data, "param": shown})


class _Figures(dict[str, str]):
    """The figures behind a refusal, which are asked from the exchange when a text needs them."""

    def __init__(self, params: Mapping[str, Any], ask: Ask) -> None:
        super().__init__()
        self._params = params
        self._ask = ask

    def __missing__(self, name: str) -> str:
        if name in self._params:
            return str(self._params[name])
        if name == "last_price":
            return usdc(self._ask("public/get_index_price", asset=self._params["asset"])["price"])
        if name == "nearest_users":
            accounts = self._ask("admin/get_accounts", count=COUNT_MAX)["accounts"]
            return nearest_users(self._params["user_id"], [one["user_id"] for one in accounts])
        listed = self._ask("public/get_instruments")
        if name == "nearest_instruments" and "instrument_id" in self._params:
            return nearest_instruments(self._params["instrument_id"], msgspec.convert(listed, list[Instrument]))
        found = next((one for one in listed if one["instrument_id"] == self._params.get("instrument_id")), None)
        if found is None:
            return "?"
        return usdc(found["tick_size"]) if name == "tick" else contracts(found["min_size"])
