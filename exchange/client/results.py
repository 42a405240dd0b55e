"""Results of the client's methods that differ from those of the protocol, and the options of an order."""

from typing import TypedDict

import msgspec

from exchange.domain.enums import OrderType, Side, TimeInForce, Trigger, TriggerType
from exchange.projections.wire_types import Balance, BookLevel, OrderView, PositionView, Receipt, UserTrade


class PastMoment(TypedDict, total=False):
    """Asks about the past: right after command `at_seq`, or at `at_ts_us` (microseconds since 1970, UTC)."""

    at_seq: int
    at_ts_us: int


class PastRange(PastMoment, total=False):
    """Asks for records from `start_us` to `end_us` alone (microseconds since 1970, UTC)."""

    start_us: int
    end_us: int


class PastSeqRange(PastMoment, total=False):
    """Asks about a part of the journal: from one command to another, or from a time to another."""

    from_seq: int
    to_seq: int
    start_us: int
    end_us: int


class QuoteSideOptions(TypedDict, total=False):
    """One side of a quote; docs/protocol.md describes the fields."""

    amount: int
    price: int
    post_only: bool


class QuoteOptions(TypedDict, total=False):
    """A quote of `private/mass_quote`: `instrument_id`, and a bid, an ask or both."""

    instrument_id: str
    bid: QuoteSideOptions
    ask: QuoteSideOptions
    quote_set_id: str


class QuoteFilter(TypedDict, total=False):
    """The filters of `private/cancel_quotes`."""

    instrument_id: str
    asset: str
    mmp_group: str
    quote_set_id: str
    min_delta: float
    max_delta: float


class OrderOptions(TypedDict, total=False):
    """Optional parameters of `private/buy` and `private/sell`; docs/protocol.md describes them."""

    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    client_order_id: str
    dry_run: bool
    receipt: bool
    label: str
    type: OrderType | TriggerType
    trigger: Trigger
    trigger_price: int
    trigger_offset: int
    reject_post_only: bool
    display_amount: int
    valid_until_us: int


class LinkedOrderOptions(OrderOptions, total=False):
    """One order of `private/place_linked_orders`: `side`, `instrument_id`, `amount`, `price`, and the options."""

    side: Side
    instrument_id: str
    amount: int
    price: int


class PlaceResult(msgspec.Struct):
    """The result of an order, an edit, or a closed position.

    `trades` are the trades it made at once. `duplicate` is true if the client_order_id was used before: `order` is
    then the earlier order. `dry_run` is true if nothing was recorded: `balance` and `position` are then the account's
    balance and position as the order would leave them. `receipt` is None if it was not asked for.
    """

    order: OrderView
    trades: list[UserTrade]
    seq: int = 0
    duplicate: bool = False
    dry_run: bool = False
    balance: Balance | None = None
    position: PositionView | None = None
    receipt: Receipt | None = None


class OrderBookSnapshot(msgspec.Struct):
    """An order book after command `seq`, the best price first on each side."""

    instrument_id: str
    seq: int
    ts_us: int
    bids: list[BookLevel]
    asks: list[BookLevel]
