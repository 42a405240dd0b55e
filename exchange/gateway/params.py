"""The parameters of each method. The decoder refuses unknown ones: a misspelt `pricee` must never trade at market.

The meaning of each parameter is in `fields.py`. The documents of the wire are made from both.
"""

import re
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from exchange.domain.enums import (
    CancelScope,
    FillCondition,
    InstrumentKind,
    LinkType,
    OrderType,
    Side,
    TimeInForce,
    Trigger,
    TriggerType,
)
from exchange.domain.rules import Rules
from exchange.domain.units import (
    CLIENT_ORDER_ID_MAX,
    LABEL_MAX,
    MMP_SECONDS_MAX,
    NAME_PATTERN,
    NUMBER_MAX,
    QUOTES_MAX,
    SIZE_MAX_MILLI,
)
from exchange.gateway.jsonrpc import RpcError, invalid_params
from exchange.gateway.limits import (
    ASSET_MAX,
    BOOK_DEPTH_MAX,
    CHANNELS_PER_CALL_MAX,
    COUNT_MAX,
    HEARTBEAT_SECONDS_MAX,
    HEARTBEAT_SECONDS_MIN,
    INSTRUMENT_ID_MAX,
    SETTLEMENTS_MAX,
    SIMULATED_MAX,
    WHAT_IF_ORDERS_MAX,
    WHAT_IF_RULES_MAX,
)
from exchange.keys.key import CLIENT_ID_PATTERN
from exchange.projections.candles import CANDLES_MAX
from exchange.projections.timeline import BUCKETS_MAX, PROFIT_POINTS_MAX, STEPS_MAX
from exchange.projections.wire_types import Resolution, StepUnit

Number = Annotated[int, Meta(ge=-NUMBER_MAX, le=NUMBER_MAX)]
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
# The journal records also the ids of instruments that do not exist, so their length has a limit.
InstrumentId = Annotated[str, Meta(max_length=INSTRUMENT_ID_MAX)]
Asset = Annotated[str, Meta(max_length=ASSET_MAX)]
Label = Annotated[str, Meta(min_length=1, max_length=LABEL_MAX)]
ClientOrderId = Annotated[str, Meta(min_length=1, max_length=CLIENT_ORDER_ID_MAX)]
Delta = Annotated[float, Meta(ge=-1, le=1)]
Time = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
Seq = Annotated[int, Meta(ge=1, le=NUMBER_MAX)]
Count = Annotated[int, Meta(ge=1, le=COUNT_MAX)]
SettlementsCount = Annotated[int, Meta(ge=1, le=SETTLEMENTS_MAX)]
CandlesCount = Annotated[int, Meta(ge=1, le=CANDLES_MAX)]
Contracts = Annotated[int, Meta(ge=-SIZE_MAX_MILLI, le=SIZE_MAX_MILLI)]
Limit = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
Channels = Annotated[list[str], Meta(min_length=1, max_length=CHANNELS_PER_CALL_MAX)]
TimeInForceName = Literal[
    "gtc", "ioc", "fok", "day", "good_til_cancelled", "immediate_or_cancel", "fill_or_kill", "good_til_day"
]

TIMES_IN_FORCE: dict[str, TimeInForce] = {
    "gtc": "gtc",
    "ioc": "ioc",
    "fok": "fok",
    "day": "day",
    "good_til_cancelled": "gtc",
    "immediate_or_cancel": "ioc",
    "fill_or_kill": "fok",
    "good_til_day": "day",
}


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of a method."""


class NoParams(Params, frozen=True):
    """The parameters of a method that takes none."""


class CommandParams(Params, frozen=True, kw_only=True):
    """The parameters of a method that records a command; many such methods have no others."""

    receipt: bool = False


class CancelOnDisconnectParams(CommandParams, frozen=True):
    scope: CancelScope = "connection"


class ReadParams(Params, frozen=True, kw_only=True):
    """The parameters of a method that can also answer about the past; many such methods have no others."""

    at_seq: Seq | None = None
    at_ts_us: Time | None = None


class AuthParams(CommandParams, frozen=True):
    """A key with its secret or a signature; or a user without a key, or the administrator with the secret."""

    grant_type: Literal["client_credentials", "client_signature"]
    client_id: Annotated[str, Meta(pattern=CLIENT_ID_PATTERN)]
    client_secret: str | None = None
    timestamp: Number | None = None
    nonce: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    data: Annotated[str, Meta(max_length=1024)] = ""
    signature: Annotated[str, Meta(max_length=128)] | None = None


class PlaceParams(CommandParams, frozen=True):
    instrument_id: InstrumentId
    amount: Number
    type: OrderType | TriggerType = "limit"
    price: Number | None = None
    time_in_force: TimeInForceName | None = None
    post_only: bool = False
    client_order_id: ClientOrderId | None = None
    reduce_only: bool = False
    dry_run: bool = False
    label: Label | None = None
    trigger: Trigger | None = None
    trigger_price: Number | None = None
    trigger_offset: Number | None = None
    reject_post_only: bool = False
    display_amount: Number | None = None
    valid_until_us: Time | None = None


class LinkedOrderParams(Params, frozen=True):
    """One order of linked orders: its side, and what `private/buy` and `private/sell` take."""

    side: Side
    instrument_id: InstrumentId
    amount: Number
    type: OrderType | TriggerType = "limit"
    price: Number | None = None
    time_in_force: TimeInForceName | None = None
    post_only: bool = False
    client_order_id: ClientOrderId | None = None
    reduce_only: bool = False
    label: Label | None = None
    trigger: Trigger | None = None
    trigger_price: Number | None = None
    trigger_offset: Number | None = None
    reject_post_only: bool = False
    display_amount: Number | None = None
    valid_until_us: Time | None = None


class LinkedOrdersParams(CommandParams, frozen=True):
    link: LinkType
    orders: Annotated[list[LinkedOrderParams], Meta(min_length=2, max_length=3)]
    fill_condition: FillCondition = "first_hit"


class ClosePositionParams(CommandParams, frozen=True):
    instrument_id: InstrumentId
    type: Literal["limit", "market"] = "market"
    price: Number | None = None


class MarginParams(Params, frozen=True):
    instrument_id: InstrumentId
    side: Side
    amount: Number
    price: Number


class SimulateParams(Params, frozen=True):
    positions: Annotated[dict[InstrumentId, Contracts], Meta(max_length=SIMULATED_MAX)]
    add_positions: bool = True


class EditParams(CommandParams, frozen=True):
    order_id: Number | None = None
    client_order_id: ClientOrderId | None = None
    amount: Number | None = None
    price: Number | None = None
    label: Label | None = None
    instrument_id: InstrumentId | None = None
    trigger_price: Number | None = None
    trigger_offset: Number | None = None
    valid_until_us: Time | None = None


class CancelParams(CommandParams, frozen=True):
    order_id: Number | None = None
    client_order_id: ClientOrderId | None = None
    instrument_id: InstrumentId | None = None
    label: Label | None = None


class CancelAllParams(CommandParams, frozen=True):
    instrument_id: InstrumentId | None = None
    asset: Asset | None = None
    kind: InstrumentKind | None = None
    label: Label | None = None


class QuoteSideParams(Params, frozen=True):
    amount: Number | None = None
    price: Number | None = None
    post_only: bool = False


class QuoteParams(Params, frozen=True):
    instrument_id: InstrumentId
    bid: QuoteSideParams | None = None
    ask: QuoteSideParams | None = None
    quote_set_id: Label | None = None


class MassQuoteParams(CommandParams, frozen=True):
    mmp_group: Label
    quotes: Annotated[list[QuoteParams], Meta(min_length=1, max_length=QUOTES_MAX)]
    quote_id: Label


class CancelQuotesParams(CommandParams, frozen=True):
    instrument_id: InstrumentId | None = None
    asset: Asset | None = None
    mmp_group: Label | None = None
    quote_set_id: Label | None = None
    min_delta: Delta | None = None
    max_delta: Delta | None = None


class MmpConfigParams(CommandParams, frozen=True):
    mmp_group: Label
    asset: Asset
    interval: Annotated[int, Meta(ge=0, le=MMP_SECONDS_MAX)]
    frozen_time: Annotated[int, Meta(ge=0, le=MMP_SECONDS_MAX)] = 0
    quantity_limit: Number | None = None
    delta_limit: Number | None = None
    vega_limit: Number | None = None


class MmpGroupRef(CommandParams, frozen=True):
    mmp_group: Label


class MmpGroupFilter(ReadParams, frozen=True):
    mmp_group: Label | None = None


class OrderRef(ReadParams, frozen=True):
    order_id: Number | None = None
    client_order_id: ClientOrderId | None = None


class ExplainParams(OrderRef, frozen=True):
    user_id: Name | None = None


class LabelledOrderRef(OrderRef, frozen=True):
    label: Label | None = None


class OpenOrdersParams(ReadParams, frozen=True):
    instrument_id: InstrumentId | None = None
    label: Label | None = None


class AssetFilter(ReadParams, frozen=True):
    asset: Asset | None = None


class AssetRef(ReadParams, frozen=True):
    asset: Asset


class SettlementsParams(ReadParams, frozen=True):
    asset: Asset | None = None
    count: SettlementsCount = 20
    before: Number | None = None


class DeliveryPricesParams(ReadParams, frozen=True):
    asset: Asset
    count: SettlementsCount = 20
    before: Number | None = None


class UserSettlementsParams(ReadParams, frozen=True):
    count: SettlementsCount = 20
    before: Number | None = None


class OrderBookParams(ReadParams, frozen=True):
    instrument_id: InstrumentId
    depth: Annotated[int, Meta(ge=1, le=BOOK_DEPTH_MAX)] = 20


class RangeParams(ReadParams, frozen=True, kw_only=True):
    """The parameters of a method that answers with a page of records, at any times or at some."""

    count: Count = 100
    before: Number | None = None
    start_us: Time | None = None
    end_us: Time | None = None

    @property
    def needs_history(self) -> bool:
        """True if only the history can answer: the read models keep the newest records alone."""
        return self.start_us is not None or self.end_us is not None


class SeqRangeParams(ReadParams, frozen=True, kw_only=True):
    """The parameters of a method that answers about a part of the journal, given by seqs or by times."""

    from_seq: Seq | None = None
    to_seq: Seq | None = None
    start_us: Time | None = None
    end_us: Time | None = None


class TimelineParams(SeqRangeParams, frozen=True):
    buckets: Annotated[int, Meta(ge=1, le=BUCKETS_MAX)] = 500
    asset: Asset | None = None


class AccountRangeParams(SeqRangeParams, frozen=True, kw_only=True):
    user_id: Name | None = None


class ProfitHistoryParams(AccountRangeParams, frozen=True):
    points: Annotated[int, Meta(ge=2, le=PROFIT_POINTS_MAX)] = 500


class WhatIfParams(Params, frozen=True):
    """The account and the edits: orders that are left out, rules by name, and points of index paths by asset."""

    user_id: Name | None = None
    without_orders: Annotated[list[Seq], Meta(max_length=WHAT_IF_ORDERS_MAX)] = []
    rules: Annotated[dict[str, str], Meta(max_length=WHAT_IF_RULES_MAX)] = {}
    index_paths: dict[Asset, list[tuple[Time, Seq]]] = {}
    from_seq: Seq | None = None
    to_seq: Seq | None = None


class MomentParams(ReadParams, frozen=True):
    seq: Seq | None = None
    ts_us: Time | None = None
    by: StepUnit = "command"
    count: Annotated[int, Meta(ge=-STEPS_MAX, le=STEPS_MAX)] = 1


class TradesParams(RangeParams, frozen=True):
    instrument_id: InstrumentId


class VolatilityParams(ReadParams, frozen=True, kw_only=True):
    asset: Asset
    count: Count = 24
    end_us: Time | None = None


class CandlesParams(ReadParams, frozen=True, kw_only=True):
    instrument_id: InstrumentId | None = None
    asset: Asset | None = None
    resolution: Resolution
    start_us: Time | None = None
    end_us: Time | None = None
    count: CandlesCount | None = None


class HistoryParams(RangeParams, frozen=True):
    instrument_id: InstrumentId | None = None


class OrderHistoryParams(HistoryParams, frozen=True):
    label: Label | None = None


class UserTradesParams(HistoryParams, frozen=True):
    order_id: Number | None = None

    @property
    def needs_history(self) -> bool:
        return self.order_id is not None or super().needs_history


class SubscribeParams(Params, frozen=True):
    channels: Channels
    from_seq: Seq | None = None


class UnsubscribeParams(Params, frozen=True):
    channels: Channels


class HeartbeatParams(Params, frozen=True):
    interval: Annotated[int, Meta(ge=HEARTBEAT_SECONDS_MIN, le=HEARTBEAT_SECONDS_MAX)]


class NewInstrumentParams(CommandParams, frozen=True):
    instrument_id: InstrumentId
    tick_size: Number = 10_000
    min_size: Number = 1


class InstrumentRef(ReadParams, frozen=True):
    instrument_id: InstrumentId


class InstrumentsSelector(CommandParams, frozen=True):
    instrument_id: InstrumentId | None = None
    asset: Asset | None = None
    expiration: Number | None = None


class IndexPriceParams(CommandParams, frozen=True):
    asset: Asset
    price: Number
    forced: bool = False


class SettleParams(CommandParams, frozen=True):
    asset: Asset
    expiration: Number
    price: Number


class UserRef(ReadParams, frozen=True):
    user_id: Name


class AccountsParams(ReadParams, frozen=True):
    count: Count = 100
    after: Name | None = None


class SuspensionParams(CommandParams, frozen=True):
    user_id: Name


class AccountSelector(CommandParams, frozen=True):
    user_id: Name


class UserLimitsParams(CommandParams, frozen=True):
    user_id: Name
    open_orders_max: Limit | None = None
    position_max: Limit | None = None


class UserInstrumentFilter(CommandParams, frozen=True):
    user_id: Name
    instrument_id: InstrumentId | None = None


class NewRulesParams(CommandParams, frozen=True):
    rules: Rules
    rules_version: Annotated[int, Meta(ge=1, le=NUMBER_MAX)] | None = None
    dry_run: bool = False


class PaymentParams(CommandParams, frozen=True):
    user_id: Name
    amount: Number


def check_order_name(params: EditParams | CancelParams | LabelledOrderRef) -> None:
    """Check that the request names its order in one way. Raises RpcError -32602."""
    if [params.order_id, params.client_order_id, params.label].count(None) != 2:
        raise invalid_params("order_id", "give exactly one of order_id, client_order_id and label")


_PATH = re.compile(r" - at `\$\.?([A-Za-z_]+)?(.*)`$")
_FIELD = re.compile(r"(?:unknown field|required field) `([^`]*)`")


class Decoder:
    """Decodes the parameters of one method."""

    def __init__(self, shape: type[Params], is_strict: bool = True) -> None:
        """`is_strict`: a number is not given as a text."""
        self.shape = shape
        self._decode = msgspec.json.Decoder(shape, strict=is_strict).decode
        self._expected = ", ".join(shape.__struct_fields__) or "none"

    def __call__(self, raw: msgspec.Raw) -> Any:
        """Decode the parameters. Raises RpcError -32602, which names the wrong parameter."""
        try:
            return self._decode(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._explain(str(error)) from error

    def _explain(self, text: str) -> RpcError:
        what, path = _PATH.sub("", text), _PATH.search(text)
        # The wrong field may be inside a parameter that is an object itself.
        if path is not None and path[1] and (path[2].startswith(".") or _FIELD.search(what)):
            return invalid_params(path[1], f"{what} in '{path[1]}{path[2]}'")
        if path is not None and what.startswith("Invalid enum value") and (names := self._names_of(path[1])):
            return invalid_params(path[1], f"{what} for {path[1]!r}; expected one of {', '.join(names)}")
        named = _FIELD.search(text) or path
        param = named.group(1) if named else None
        if "unknown field" in text:
            return invalid_params(
                param, f"unknown parameter {param!r:.80}; expected: {self._expected}", "unknown_param"
            )
        if "missing required" in text:
            return invalid_params(param, f"parameter {param!r} is missing", "missing_param")
        return invalid_params(param, f"{what}{f' for {param!r}' if param else '; params is an object'}")

    def _names_of(self, field: str | None) -> list[str]:
        """The names that a parameter may have; none if it is not a name."""
        return _literals(get_type_hints(self.shape).get(field or ""))


def _literals(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return [str(name) for name in get_args(hint)]
    return [name for part in get_args(hint) for name in _literals(part)]
