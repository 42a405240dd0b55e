"""The objects of the wire protocol as structs. Field names end in their unit; `WIRE_NAMES` has those of the wire."""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from exchange.domain.enums import (
    CancelReason,
    FillCondition,
    InstrumentState,
    LinkType,
    Liquidity,
    MmpLimit,
    OptionType,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    Trigger,
    TriggerType,
)
from exchange.domain.reasons import Reason
from exchange.domain.rules import FIRST_RULES_VERSION, Rules
from exchange.domain.units import MILLI_PER_CONTRACT
from exchange.projections.black_scholes import Greeks, Volatility

# The names on the wire of the fields whose names here end in a unit.
WIRE_NAMES = {
    "ahead_milli": "ahead",
    "amount_micros": "amount",
    "amount_milli": "amount",
    "available_micros": "available",
    "average_price_micros": "average_price",
    "balance_micros": "balance",
    "best_ask_micros": "best_ask",
    "best_ask_size_milli": "best_ask_size",
    "best_bid_micros": "best_bid",
    "best_bid_size_milli": "best_bid_size",
    "change_micros": "change",
    "close_micros": "close",
    "contract_size_milli": "contract_size",
    "curvature_ppm": "curvature",
    "delta_limit_milli": "delta_limit",
    "delta_milli": "net_delta",
    "delivery_price_micros": "delivery_price",
    "display_milli": "display_amount",
    "displayed_milli": "display_amount",
    "equity_micros": "equity",
    "estimated_delivery_price_micros": "estimated_delivery_price",
    "expiration_s": "expiration",
    "fee_micros": "fee",
    "filled_milli": "filled",
    "forward_micros": "forward",
    "frozen_s": "frozen_time",
    "high_micros": "high",
    "index_micros": "index",
    "initial_margin_micros": "initial_margin",
    "interval_s": "interval",
    "last_micros": "last",
    "level_ppm": "level",
    "locked_micros": "locked",
    "low_micros": "low",
    "maintenance_margin_micros": "maintenance_margin",
    "maintenance_micros": "maintenance",
    "mark_micros": "mark",
    "max_price_micros": "max_price",
    "mid_micros": "mid",
    "min_price_micros": "min_price",
    "min_size_milli": "min_size",
    "needed_micros": "needed",
    "notional_micros": "notional",
    "open_interest_milli": "open_interest",
    "open_micros": "open",
    "payout_micros": "payout",
    "position_max_milli": "position_max",
    "previous_price_micros": "previous_price",
    "previous_remaining_milli": "previous_remaining",
    "price_change_ppm": "price_change",
    "price_micros": "price",
    "quantity_limit_milli": "quantity_limit",
    "quantity_milli": "quantity",
    "realised_pnl_micros": "realised_pnl",
    "refilled_milli": "refilled",
    "refresh_milli": "refresh_amount",
    "requested_price_micros": "requested_price",
    "remaining_milli": "remaining",
    "shortfall_micros": "shortfall",
    "shown_price_micros": "shown_price",
    "size_milli": "size",
    "skew_ppm": "skew",
    "strike_micros": "strike",
    "tick_micros": "tick_size",
    "total_pnl_micros": "total_pnl",
    "trigger_offset_micros": "trigger_offset",
    "trigger_price_micros": "trigger_price",
    "trigger_reference_price_micros": "trigger_reference_price",
    "unrealised_pnl_micros": "unrealised_pnl",
    "vega_limit_micros": "vega_limit",
    "vega_micros": "net_vega",
    "volume_24h_milli": "volume_24h",
    "volume_milli": "volume",
    "won_micros": "won",
}


class OrderView(msgspec.Struct, gc=False, rename=WIRE_NAMES, omit_defaults=True):
    """An order of a user.

    There is one object for each order, and each command changes it in place: encode it before the next command is
    projected.
    """

    order_id: int
    instrument_id: str
    user_id: str
    side: Side
    type: OrderType | TriggerType
    time_in_force: TimeInForce
    post_only: bool
    price_micros: int | None
    size_milli: int
    filled_milli: int
    remaining_milli: int
    average_price_micros: int | None
    status: OrderStatus
    created_us: int
    updated_us: int
    client_order_id: str | None = None
    cancel_reason: CancelReason | None = None
    reduce_only: bool = False
    liquidation: bool = False
    label: str | None = None
    trigger_order_id: int | None = None
    trigger: Trigger | None = None
    trigger_price_micros: int | None = None
    trigger_offset_micros: int | None = None
    trigger_reference_price_micros: int | None = None
    reject_reason: Reason | None = None
    displayed_milli: int | None = None
    refresh_milli: int | None = None
    mmp_group: str | None = None
    quote_set_id: str | None = None
    quote_id: str | None = None
    link: LinkType | None = None
    fill_condition: FillCondition | None = None
    linked_order_ids: list[int] | None = None
    primary_order_id: int | None = None


class MmpGroupView(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """An MMP group of a user. `frozen_until_us` is None if it is not frozen, 0 if only a reset ends the freeze."""

    mmp_group: str
    asset: str
    interval_s: int
    frozen_s: int
    quantity_limit_milli: int | None
    delta_limit_milli: int | None
    vega_limit_micros: int | None
    frozen_until_us: int | None = None


class MmpTriggerView(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """The freeze of an MMP group, and the sums of its interval. `delta` and `vega` are None if no limit needs them."""

    mmp_group: str
    asset: str
    limit: MmpLimit
    frozen_until_us: int
    quantity_milli: int
    delta_milli: int | None
    vega_micros: int | None
    ts_us: int


class Trade(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES, omit_defaults=True):
    """A trade, without its two users. `liquidation`: the exchange sent the incoming order."""

    trade_id: int
    instrument_id: str
    price_micros: int
    size_milli: int
    taker_side: Side
    seq: int
    ts_us: int
    liquidation: bool = False


class UserTrade(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES, omit_defaults=True):
    """A trade as one of its two users sees it."""

    trade_id: int
    instrument_id: str
    price_micros: int
    size_milli: int
    taker_side: Side
    seq: int
    ts_us: int
    order_id: int
    side: Side
    liquidity: Liquidity
    fee_micros: int
    client_order_id: str | None = None
    liquidation: bool = False
    label: str | None = None


class Instrument(msgspec.Struct, gc=False, rename=WIRE_NAMES):
    """An option."""

    instrument_id: str
    asset: str
    option_type: OptionType
    strike_micros: int
    expiration_s: int
    tick_micros: int
    min_size_milli: int
    state: InstrumentState = "open"
    contract_size_milli: int = MILLI_PER_CONTRACT
    price_decimals: int = 6
    size_decimals: int = 3
    delivery_price_micros: int | None = None


Resolution = Literal[
    "1s", "5s", "15s", "30s", "1m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "3h", "6h", "12h", "1d"
]


class Candle(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """The trades of an instrument, or the prices of an index, in the interval that begins at `ts_us`."""

    ts_us: int
    open_micros: int
    high_micros: int
    low_micros: int
    close_micros: int
    volume_milli: int
    notional_micros: int | None


class Candles(msgspec.Struct, frozen=True, gc=False):
    """Candles as of command `seq`, the oldest first."""

    candles: list[Candle]
    seq: int


class HistoricalVolatility(msgspec.Struct, frozen=True, gc=False):
    """The volatility of an index over the 15 days before `ts_us`."""

    ts_us: int
    volatility: Volatility


class BookLevel(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """One price level of an order book."""

    price_micros: int
    size_milli: int
    count: int


class Balance(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """The cash of a user, and how much of it is locked."""

    user_id: str
    available_micros: int
    locked_micros: int
    maintenance_micros: int
    shortfall_micros: int
    seq: int
    currency: str = "USDC"
    decimals: int = 6


class AccountSummary(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """The cash of a user, whether the user is suspended, and the number of open orders."""

    user_id: str
    available_micros: int
    locked_micros: int
    maintenance_micros: int
    shortfall_micros: int
    suspended: bool
    open_orders: int


class PositionView(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """A position of a user in one instrument."""

    instrument_id: str
    quantity_milli: int
    average_price_micros: int | None
    locked_micros: int
    mark_micros: int | None
    unrealised_pnl_micros: int | None
    realised_pnl_micros: int | None


class PositionDetails(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """A position with its margins, profits and Greeks. The margins are those of its short contracts alone."""

    instrument_id: str
    quantity_milli: int
    average_price_micros: int | None
    locked_micros: int
    mark_micros: int | None
    index_micros: int | None
    initial_margin_micros: int
    maintenance_margin_micros: int
    unrealised_pnl_micros: int | None
    realised_pnl_micros: int | None
    total_pnl_micros: int | None
    greeks: Greeks | None


class PositionsResult(msgspec.Struct, frozen=True):
    """The positions of a user as of command `seq`, and their Greeks by asset."""

    positions: list[PositionDetails]
    greeks: dict[str, Greeks]
    seq: int


class SimulatedPositionView(msgspec.Struct, frozen=True, rename=WIRE_NAMES):
    """A position in a simulation, with its margins and Greeks. Open asks lock collateral, too."""

    instrument_id: str
    quantity_milli: int
    locked_micros: int | None
    maintenance_margin_micros: int | None
    greeks: Greeks | None


class SimulatedAccount(msgspec.Struct, frozen=True, rename=WIRE_NAMES):
    """The margins and Greeks of an account with other positions, as of command `seq`."""

    available_micros: int | None
    locked_micros: int | None
    maintenance_micros: int | None
    positions: list[SimulatedPositionView]
    greeks: dict[str, Greeks]
    seq: int


TransactionType = Literal[
    "opening",
    "deposit",
    "withdrawal",
    "reset",
    "trade",
    "liquidation",
    "settlement",
    "fee",
    "shortfall",
    "liquidation_fee",
    "debt",
    "shared_loss",
]


class Transaction(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """A movement of the cash of an account, by one event of command `seq`, and the balance after it."""

    id: int
    seq: int
    ts_us: int
    type: TransactionType
    cause: str
    instrument_id: str | None
    trade_id: int | None
    change_micros: int
    fee_micros: int
    balance_micros: int


class TransactionsResult(msgspec.Struct, frozen=True):
    """A page of the transaction log as of command `seq`, the newest entry first."""

    transactions: list[Transaction]
    seq: int


class UserChanges(msgspec.Struct, frozen=True, gc=False):
    """The orders and positions of a user that one command changed, and the trades that it made."""

    orders: list[OrderView]
    trades: list[UserTrade]
    positions: list[PositionView]


class Limits(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """The limits that hold for one user."""

    open_orders_max: int
    position_max_milli: int


class AccountView(msgspec.Struct, frozen=True, rename=WIRE_NAMES):
    """The balance of a user, the positions, their value and the limits."""

    user_id: str
    available_micros: int
    locked_micros: int
    maintenance_micros: int
    shortfall_micros: int
    seq: int
    positions: list[PositionView]
    total_pnl_micros: int | None
    realised_pnl_micros: int | None
    unrealised_pnl_micros: int | None
    equity_micros: int | None
    suspended: bool
    limits: Limits
    greeks: dict[str, Greeks]
    currency: str = "USDC"
    decimals: int = 6


MarkKind = Literal[
    "start",
    "stop",
    "crash",
    "halt",
    "pause",
    "resume",
    "rules",
    "expiry",
    "delayed",
    "liquidation",
    "loss",
    "alarm",
]
StepUnit = Literal["command", "trade", "second"]


class TimelineBucket(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """Commands that follow each other. `index_prices` has the last price of each asset up to the end."""

    first_seq: int
    last_seq: int
    first_ts_us: int
    last_ts_us: int
    commands: int
    trades: int
    volume_milli: int
    index_prices: dict[str, int]


class TimelineMark(msgspec.Struct, frozen=True, gc=False):
    """An event of the market or of the server, in words."""

    seq: int
    ts_us: int
    kind: MarkKind
    text: str


class Timeline(msgspec.Struct, frozen=True):
    """The buckets and marks of a part of the journal, oldest first, as of command `seq`.

    `first_seq` and `last_seq` are the first and the last moment that can be shown, whatever part was asked for.
    """

    first_seq: int
    last_seq: int
    first_ts_us: int
    last_ts_us: int
    buckets: list[TimelineBucket]
    marks: list[TimelineMark]
    marks_left_out: int
    seq: int


class MomentResult(msgspec.Struct, frozen=True, gc=False):
    """A moment, and the first and the last one that can be shown. `clipped`: there were fewer steps than asked for."""

    seq: int
    ts_us: int
    clipped: bool
    first_seq: int
    first_ts_us: int
    last_seq: int
    last_ts_us: int


_PROFIT_PARTS = ("profit", "trading", "settlement", "fees", "liquidation", "payments")


class ProfitPoint(msgspec.Struct, frozen=True, rename=WIRE_NAMES | {f"{name}_micros": name for name in _PROFIT_PARTS}):
    """An account after command `seq`. The parts of the profit count from the first point.

    equity = equity of the first point + payments + profit; profit = trading + settlement + fees + liquidation.
    """

    seq: int
    ts_us: int
    equity_micros: int | None
    profit_micros: int | None
    trading_micros: int | None
    settlement_micros: int | None
    fees_micros: int | None
    liquidation_micros: int | None
    payments_micros: int | None
    locked_micros: int
    maintenance_micros: int
    greeks: dict[str, Greeks]


class ProfitHistory(msgspec.Struct, frozen=True):
    """The profit of an account at moments that are evenly spread in time, oldest first, as of command `seq`."""

    user_id: str
    points: list[ProfitPoint]
    seq: int


class RealAndEdited(msgspec.Struct, frozen=True, gc=False):
    """A figure in the real history and in the edited one."""

    real: int
    edited: int


class WhatIfResult(
    msgspec.Struct, frozen=True, rename={f"{name}_micros": name for name in ("profit", "cash", "settled", "shortfall")}
):
    """An account after command `to_seq` in the real history and in the edited one. Both are the same up to `from_seq`.

    `positions` has those that differ. `first_seq` is the first command that is left out, has another index price, or
    has another outcome. `changed` counts the commands with another outcome, without those that were left out
    (`dropped`) and index prices with another price (`replaced`).
    """

    user_id: str
    from_seq: int
    to_seq: int
    profit_micros: RealAndEdited
    cash_micros: RealAndEdited
    settled_micros: RealAndEdited
    shortfall_micros: RealAndEdited
    fills: RealAndEdited
    positions: dict[str, RealAndEdited]
    commands: int
    dropped: int
    replaced: int
    changed: int
    first_seq: int | None


class MarketStatus(msgspec.Struct, frozen=True):
    """The state of the whole exchange."""

    halted: bool


class Reopening(msgspec.Struct, frozen=True, rename=WIRE_NAMES):
    """The phase in which an asset reopens after a halt or a crash."""

    asset: str
    phase: Literal["cancel_only", "post_only"]
    until_us: int | None


class ExchangeStatus(msgspec.Struct, frozen=True):
    """Whether the exchange is halted, and the assets that are reopening."""

    halted: bool
    reopening: list[Reopening]
    seq: int


def reopening_view(phases: Mapping[str, int]) -> list[Reopening]:
    """Return the phases of assets by the end of their time of post-only orders; 0: it has not begun."""
    return [
        Reopening(asset, "post_only", until_us) if until_us else Reopening(asset, "cancel_only", None)
        for asset, until_us in phases.items()
    ]


class IndexPrice(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """The index price of an asset, and the command that set it."""

    asset: str
    price_micros: int
    seq: int
    ts_us: int


class SmileView(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """The parameters of the smile of one expiration, in millionths."""

    expiration_s: int
    level_ppm: int
    skew_ppm: int
    curvature_ppm: int
    forward_micros: int | UnsetType = UNSET


class MarkSurface(msgspec.Struct, frozen=True, rename=WIRE_NAMES):
    """The volatility surface of an asset, by expiration, and the last command that set a smile."""

    asset: str
    smiles: list[SmileView]
    seq: int
    ts_us: int


class DayStatistics(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """The trades of one instrument in the last 24 hours. The prices and their change are None if there were none."""

    high_micros: int | None
    low_micros: int | None
    volume_milli: int
    notional_micros: int | None
    price_change_ppm: int | None


class Ticker(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """The prices, volumes and Greeks of one instrument."""

    instrument_id: str
    seq: int
    ts_us: int
    state: InstrumentState
    best_bid_micros: int | None
    best_bid_size_milli: int
    best_ask_micros: int | None
    best_ask_size_milli: int
    mid_micros: int | None
    mark_micros: int | None
    last_micros: int | None
    index_micros: int | None
    volume_24h_milli: int
    open_interest_milli: int
    mark_iv: Volatility | None
    greeks: Greeks | None
    min_price_micros: int | None
    max_price_micros: int | None
    bid_iv: Volatility | None
    ask_iv: Volatility | None
    estimated_delivery_price_micros: int | None
    stats: DayStatistics
    forward_micros: int | UnsetType = UNSET


class TopOfBook(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """Best bid and best ask of one instrument."""

    instrument_id: str
    seq: int
    ts_us: int
    best_bid_micros: int | None
    best_bid_size_milli: int
    best_ask_micros: int | None
    best_ask_size_milli: int


class Settlement(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """The settlement of the series of an asset that expired at one time."""

    seq: int
    ts_us: int
    asset: str
    expiration_s: int
    delivery_price_micros: int | None
    state: Literal["settled", "delayed"]


class UserSettlement(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """The settlement of one position of a user. The fee is not part of the payout."""

    seq: int
    ts_us: int
    instrument_id: str
    quantity_milli: int
    delivery_price_micros: int
    payout_micros: int
    fee_micros: int


class SharedLoss(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """What an account that won in a settlement, or all of them, bore of a loss that the insurance did not pay."""

    seq: int
    ts_us: int
    amount_micros: int
    won_micros: int


class TimeResult(msgspec.Struct, frozen=True, gc=False):
    """Exchange time."""

    ts_us: int


class DeliveryPrice(msgspec.Struct, frozen=True, gc=False, rename=WIRE_NAMES):
    """The price that command `seq` settled a series at."""

    asset: str
    expiration_s: int
    delivery_price_micros: int
    seq: int
    ts_us: int


class RulesResult(msgspec.Struct, frozen=True):
    """The rules in force after command `seq`, and their version."""

    rules: Rules
    seq: int
    rules_version: int = FIRST_RULES_VERSION


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The place of a command in the journal, and its hash in hexadecimal. `exchange journal prove` looks for it."""

    seq: int
    ts_us: int
    hash: str


class CancelResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The order as command `seq` cancelled it."""

    order: OrderView
    seq: int
    receipt: Receipt | None = None


class QuoteError(msgspec.Struct, frozen=True, gc=False):
    """One side of a quote that was refused. The quote that it would have replaced stays as it is."""

    instrument_id: str
    side: Side
    code: int
    message: str
    reason: str
    detail: str


class MassQuoteResult(msgspec.Struct, omit_defaults=True):
    """The orders of the quotes after the command, the trades that they made at once, and the refused sides."""

    quote_id: str
    orders: list[OrderView]
    trades: list[UserTrade]
    errors: list[QuoteError]
    seq: int
    receipt: Receipt | UnsetType = UNSET


class LinkedOrdersResult(msgspec.Struct, omit_defaults=True):
    """The linked orders after the command, the primary first, and the trades that they made at once."""

    orders: list[OrderView]
    trades: list[UserTrade]
    seq: int
    duplicate: bool = False
    receipt: Receipt | UnsetType = UNSET


class MmpGroupResult(msgspec.Struct, frozen=True):
    """The MMP group after the command; null if it was removed."""

    group: MmpGroupView | None
    seq: int
    receipt: Receipt | UnsetType = UNSET


class CancelAllResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many orders were cancelled, and which."""

    cancelled: int
    order_ids: list[int]
    seq: int
    receipt: Receipt | None = None


class MarginResult(msgspec.Struct, frozen=True, omit_defaults=True, rename=WIRE_NAMES):
    """The cash that a limit order would lock, and the margins of one short contract.

    The margins are None if they do not follow an index. `reason` and `detail` are there if the order would be refused.
    """

    instrument_id: str
    side: Side
    amount_milli: int
    price_micros: int
    needed_micros: int
    available_micros: int
    initial_margin_micros: int | None
    maintenance_margin_micros: int | None
    passes: bool
    reason: Reason | None = None
    detail: str | None = None
