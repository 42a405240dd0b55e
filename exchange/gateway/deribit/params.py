"""The parameters of Deribit's methods. As on Deribit, unknown ones are ignored."""

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from exchange.domain.enums import CancelScope, FillCondition, LinkType, OrderType, Trigger, TriggerType
from exchange.domain.units import MMP_SECONDS_MAX, NUMBER_MAX, QUOTES_MAX
from exchange.gateway import params as p
from exchange.gateway.limits import BOOK_DEPTH_MAX, HEARTBEAT_SECONDS_MAX, HEARTBEAT_SECONDS_MIN

Direction = Literal["buy", "sell"]
Kind = Literal["option", "future", "spot", "future_combo", "option_combo", "combo", "any"]
Sorting = Literal["asc", "desc", "default"]
OrderTypeName = OrderType | TriggerType
TimeInForceName = Literal["good_til_cancelled", "good_til_day", "fill_or_kill", "immediate_or_cancel"]
OrderFilter = Literal[
    "all", "limit", "trigger_all", "stop_all", "stop_limit", "stop_market", "take_all", "take_limit", "take_market",
    "trailing_all", "trailing_stop",
]  # fmt: skip
Timestamp = Annotated[int, Meta(ge=0, le=9_007_199_254_740)]
Count = Annotated[int, Meta(ge=1, le=1_000)]
TradeSeq = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
TradeId = Annotated[str, Meta(max_length=32)]
Label = Annotated[str, Meta(max_length=64)]
Token = Annotated[str, Meta(max_length=128)]
IndexName = Annotated[str, Meta(max_length=32)]
MmpSeconds = Annotated[int, Meta(ge=0, le=MMP_SECONDS_MAX)]


class DeribitParams(p.Params, frozen=True, forbid_unknown_fields=False, kw_only=True):
    """The parameters of a method, without any."""

    # No answer has a receipt, and no method a dry run.
    receipt: ClassVar[bool] = False
    dry_run: ClassVar[bool] = False


class AuthParams(DeribitParams, frozen=True, kw_only=True):
    grant_type: Literal["client_credentials", "client_signature", "refresh_token"]
    client_id: str | None = None
    client_secret: str | None = None
    refresh_token: str | None = None
    timestamp: p.Number | None = None
    nonce: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    data: Annotated[str, Meta(max_length=1024)] = ""
    signature: Annotated[str, Meta(max_length=128)] | None = None
    state: Annotated[str, Meta(max_length=1024)] | None = None


class ExchangeTokenParams(DeribitParams, frozen=True, kw_only=True):
    refresh_token: Token
    subject_id: int


class ForkTokenParams(DeribitParams, frozen=True, kw_only=True):
    refresh_token: Token
    session_name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")]


class HelloParams(DeribitParams, frozen=True, kw_only=True):
    client_name: str
    client_version: str


class TestParams(DeribitParams, frozen=True, kw_only=True):
    expected_result: Literal["exception"] | None = None


class HeartbeatParams(DeribitParams, frozen=True, kw_only=True):
    interval: Annotated[int, Meta(ge=HEARTBEAT_SECONDS_MIN, le=HEARTBEAT_SECONDS_MAX)]


class CurrencyParams(DeribitParams, frozen=True, kw_only=True):
    """`currency` is USDC, in which all options are settled, the underlying asset, or `any`."""

    currency: p.Asset = "any"
    kind: Kind = "any"


class InstrumentsParams(CurrencyParams, frozen=True, kw_only=True):
    expired: bool = False


class InstrumentParams(DeribitParams, frozen=True, kw_only=True):
    instrument_name: p.InstrumentId


class IndexParams(DeribitParams, frozen=True, kw_only=True):
    index_name: IndexName


class BookParams(InstrumentParams, frozen=True, kw_only=True):
    depth: Annotated[int, Meta(ge=1, le=10_000)] = BOOK_DEPTH_MAX


class TimesParams(DeribitParams, frozen=True, kw_only=True):
    start_timestamp: Timestamp | None = None
    end_timestamp: Timestamp | None = None


class RangeParams(TimesParams, frozen=True, kw_only=True):
    """The newest records, or those of some times."""

    count: Count = 10
    sorting: Sorting = "default"


class IndexChartParams(IndexParams, frozen=True, kw_only=True):
    range: Literal["1h", "1d", "2d", "1m", "1y", "all"]


class TradesParams(RangeParams, frozen=True, kw_only=True):
    instrument_name: p.InstrumentId
    start_seq: TradeSeq | None = None
    end_seq: TradeSeq | None = None


class CurrencyTradesParams(RangeParams, frozen=True, kw_only=True):
    currency: p.Asset = "any"
    kind: Kind = "any"
    start_id: TradeId | None = None
    end_id: TradeId | None = None


class IndexNamesParams(DeribitParams, frozen=True, kw_only=True):
    extended: bool = False


class ExpirationsParams(DeribitParams, frozen=True, kw_only=True):
    currency: p.Asset = "any"
    kind: Kind = "any"
    currency_pair: IndexName | None = None


class BookByIdParams(DeribitParams, frozen=True, kw_only=True):
    instrument_id: Annotated[int, Meta(ge=0, le=NUMBER_MAX)]
    depth: Annotated[int, Meta(ge=1, le=10_000)] = BOOK_DEPTH_MAX


class SubaccountsParams(DeribitParams, frozen=True, kw_only=True):
    with_portfolio: bool = False


class SubaccountsDetailsParams(DeribitParams, frozen=True, kw_only=True):
    currency: p.Asset = "any"
    with_open_orders: bool = False


class SimulatePortfolioParams(DeribitParams, frozen=True, kw_only=True):
    """`simulated_positions` has sizes by `instrument_name`, as an object or as its text."""

    currency: p.Asset = "USDC"
    add_positions: bool = True
    simulated_positions: dict[str, Decimal] | str | None = None


class MarkHistoryParams(InstrumentParams, frozen=True, kw_only=True):
    start_timestamp: Timestamp
    end_timestamp: Timestamp


class SettlementsParams(DeribitParams, frozen=True, kw_only=True):
    """Of the methods by currency, and of those by instrument."""

    currency: p.Asset = "any"
    instrument_name: p.InstrumentId | None = None
    type: Literal["settlement", "delivery", "bankruptcy"] | None = None
    count: Count = 20
    continuation: TradeId | None = None
    search_start_timestamp: Timestamp | None = None


class InstrumentSettlementsParams(SettlementsParams, frozen=True, kw_only=True):
    instrument_name: p.InstrumentId


class NamesParams(DeribitParams, frozen=True, kw_only=True):
    """Names of instruments, which the dialect itself asks about."""

    names: list[str]


class DeliveryPricesParams(IndexParams, frozen=True, kw_only=True):
    offset: Annotated[int, Meta(ge=0, le=100_000)] = 0
    count: Count = 10


class OrderTerms(DeribitParams, frozen=True, kw_only=True):
    amount: Decimal | None = None
    type: OrderTypeName = "limit"
    label: Label = ""
    price: Decimal | None = None
    time_in_force: TimeInForceName = "good_til_cancelled"
    post_only: bool = False
    reject_post_only: bool = False
    reduce_only: bool = False
    trigger_price: Decimal | None = None
    trigger_offset: Decimal | None = None
    trigger: Trigger | None = None


class LinkedOrderParams(OrderTerms, frozen=True, kw_only=True):
    """An order that is linked to the one it is sent with, in the same instrument."""

    direction: Direction


class OrderParams(OrderTerms, frozen=True, kw_only=True):
    """An order. With a `linked_order_type` it comes with those in `otoco_config`."""

    instrument_name: p.InstrumentId
    contracts: Decimal | None = None
    display_amount: Decimal | None = None
    max_show: Decimal | None = None
    valid_until: Timestamp | None = None
    linked_order_type: LinkType | None = None
    trigger_fill_condition: FillCondition = "first_hit"
    otoco_config: Annotated[list[LinkedOrderParams], Meta(max_length=2)] = field(default_factory=list)


class EditParams(DeribitParams, frozen=True, kw_only=True):
    order_id: str
    amount: Decimal | None = None
    contracts: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_offset: Decimal | None = None


class EditByLabelParams(InstrumentParams, frozen=True, kw_only=True):
    label: Label
    amount: Decimal | None = None
    contracts: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None


class OrderIdParams(DeribitParams, frozen=True, kw_only=True):
    order_id: str


class LabelParams(DeribitParams, frozen=True, kw_only=True):
    label: Label
    currency: p.Asset = "any"


class QuoteSideParams(DeribitParams, frozen=True, kw_only=True):
    amount: Decimal | None = None
    price: Decimal | None = None
    post_only: bool = False
    reject_post_only: bool = False


class QuoteParams(InstrumentParams, frozen=True, kw_only=True):
    quote_set_id: p.Label | None = None
    bid: QuoteSideParams | None = None
    ask: QuoteSideParams | None = None


class MassQuoteParams(DeribitParams, frozen=True, kw_only=True):
    quote_id: p.Label
    mmp_group: p.Label
    quotes: Annotated[list[QuoteParams], Meta(min_length=1, max_length=QUOTES_MAX)]
    detailed: bool = False
    wait_for_response: bool = True
    valid_until: Timestamp | None = None


class CancelManyParams(DeribitParams, frozen=True, kw_only=True):
    detailed: bool = False
    freeze_quotes: bool = False


class CancelQuotesParams(CancelManyParams, frozen=True, kw_only=True):
    cancel_type: Literal["delta", "quote_set_id", "instrument", "instrument_kind", "currency", "currency_pair", "all"]
    min_delta: p.Delta | None = None
    max_delta: p.Delta | None = None
    quote_set_id: p.Label | None = None
    instrument_name: p.InstrumentId | None = None
    kind: Kind = "any"
    currency: p.Asset = "any"
    currency_pair: IndexName | None = None


class CancelOfInstrumentParams(CancelManyParams, frozen=True, kw_only=True):
    instrument_name: p.InstrumentId
    type: OrderFilter = "all"


class CancelOfCurrencyParams(CancelManyParams, frozen=True, kw_only=True):
    currency: p.Asset
    kind: Kind = "any"
    type: OrderFilter = "all"


class CancelOfPairParams(CancelManyParams, frozen=True, kw_only=True):
    currency_pair: IndexName
    kind: Kind = "any"
    type: OrderFilter = "all"


class CancelOfKindParams(CancelManyParams, frozen=True, kw_only=True):
    currency: p.Asset | Annotated[list[p.Asset], Meta(min_length=1, max_length=100)]
    kind: Kind = "any"
    type: OrderFilter = "all"


class CancelOfLabelParams(CancelManyParams, frozen=True, kw_only=True):
    label: Label
    currency: p.Asset = "any"


class MmpConfigParams(DeribitParams, frozen=True, kw_only=True):
    index_name: IndexName
    interval: MmpSeconds
    frozen_time: MmpSeconds
    mmp_group: p.Label | None = None
    quantity_limit: Decimal | None = None
    delta_limit: Decimal | None = None
    vega_limit: Decimal | None = None
    # Deribit's clients must send it. Here each quote locks its own margin, so that it limits nothing.
    max_quote_quantity: Decimal | None = None
    block_rfq: bool = False


class MmpGroupParams(DeribitParams, frozen=True, kw_only=True):
    index_name: IndexName
    mmp_group: p.Label | None = None
    block_rfq: bool = False


class MmpFilterParams(DeribitParams, frozen=True, kw_only=True):
    index_name: IndexName | None = None
    mmp_group: p.Label | None = None
    block_rfq: bool = False


class OrderIdsParams(DeribitParams, frozen=True, kw_only=True):
    ids: Annotated[list[str], Meta(min_length=1, max_length=100)]


class TriggerHistoryParams(DeribitParams, frozen=True, kw_only=True):
    currency: p.Asset = "any"
    instrument_name: p.InstrumentId | None = None
    count: Count = 20
    continuation: Annotated[str, Meta(max_length=32)] | None = None


class LogoutParams(DeribitParams, frozen=True, kw_only=True):
    invalidate_token: bool = True


class ClosePositionParams(InstrumentParams, frozen=True, kw_only=True):
    type: Literal["limit", "market"]
    price: Decimal | None = None


class OpenOrdersParams(CurrencyParams, frozen=True, kw_only=True):
    type: OrderFilter = "all"
    label: Label | None = None


class OpenOrdersOfInstrumentParams(InstrumentParams, frozen=True, kw_only=True):
    type: OrderFilter = "all"


class HistoryParams(CurrencyParams, frozen=True, kw_only=True):
    count: Count = 20
    offset: Annotated[int, Meta(ge=0, le=1_000)] = 0
    include_unfilled: bool = True
    sorting: Sorting = "default"


class HistoryOfInstrumentParams(InstrumentParams, frozen=True, kw_only=True):
    count: Count = 20
    offset: Annotated[int, Meta(ge=0, le=1_000)] = 0
    include_unfilled: bool = True
    sorting: Sorting = "default"


class TradesOfOrderParams(OrderIdParams, frozen=True, kw_only=True):
    sorting: Sorting = "default"


class MarginsParams(InstrumentParams, frozen=True, kw_only=True):
    amount: Decimal
    price: Decimal


class AccountParams(DeribitParams, frozen=True, kw_only=True):
    currency: p.Asset = "USDC"
    extended: bool = False


class ScopeParams(DeribitParams, frozen=True, kw_only=True):
    scope: CancelScope = "connection"


class ChannelsParams(DeribitParams, frozen=True, kw_only=True):
    channels: p.Channels


class ChartParams(InstrumentParams, frozen=True, kw_only=True):
    start_timestamp: Timestamp
    end_timestamp: Timestamp
    resolution: str


class TransactionLogParams(TimesParams, frozen=True, kw_only=True):
    currency: p.Asset = "USDC"
    count: Annotated[int, Meta(ge=1, le=250)] = 100
    continuation: Annotated[int, Meta(ge=1, le=9_007_199_254_740_991)] | None = None


class VolatilityParams(DeribitParams, frozen=True, kw_only=True):
    currency: p.Asset
