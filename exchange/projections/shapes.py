"""The shapes of `docs/protocol.md` as structs, named on the wire as the protocol names them. Units are in our names."""

import msgspec

from exchange.domain.units import MILLI_PER_CONTRACT
from exchange.domain.words import (
    CancelReason,
    InstrumentState,
    Liquidity,
    OptionType,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)

# The protocol's names for those fields whose names here say their unit.
_WIRE_NAMES = {
    "available_micros": "available",
    "average_price_micros": "average_price",
    "contract_size_milli": "contract_size",
    "equity_micros": "equity",
    "expiration_s": "expiration",
    "fee_micros": "fee",
    "filled_milli": "filled",
    "locked_micros": "locked",
    "min_size_milli": "min_size",
    "price_micros": "price",
    "quantity_milli": "quantity",
    "remaining_milli": "remaining",
    "size_milli": "size",
    "strike_micros": "strike",
    "tick_micros": "tick_size",
    "total_pnl_micros": "total_pnl",
}


class OrderView(msgspec.Struct, gc=False, rename=_WIRE_NAMES, omit_defaults=True):
    """`Order`. One object an order, brought up to date in place: encode it before the next command is projected."""

    order_id: int
    instrument_id: str
    user_id: str
    side: Side
    type: OrderType
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


class Trade(msgspec.Struct, frozen=True, gc=False, rename=_WIRE_NAMES):
    trade_id: int
    instrument_id: str
    price_micros: int
    size_milli: int
    taker_side: Side
    seq: int
    ts_us: int


class UserTrade(msgspec.Struct, frozen=True, gc=False, rename=_WIRE_NAMES, omit_defaults=True):
    """A trade as one of its two sides sees it."""

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


class Instrument(msgspec.Struct, gc=False, rename=_WIRE_NAMES):
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


class Level(msgspec.Struct, frozen=True, gc=False, rename=_WIRE_NAMES):
    """One price of a book: the size resting there and in how many orders. Size 0: the level left the view."""

    price_micros: int
    size_milli: int
    count: int


class Balance(msgspec.Struct, frozen=True, gc=False, rename=_WIRE_NAMES):
    user_id: str
    available_micros: int
    locked_micros: int
    seq: int
    currency: str = "USDC"
    decimals: int = 6


class PositionView(msgspec.Struct, frozen=True, gc=False, rename=_WIRE_NAMES):
    instrument_id: str
    quantity_milli: int
    average_price_micros: int | None
    locked_micros: int


class AccountView(msgspec.Struct, frozen=True, rename=_WIRE_NAMES):
    """The balance, the positions, and what they are worth."""

    user_id: str
    available_micros: int
    locked_micros: int
    seq: int
    positions: list[PositionView]
    total_pnl_micros: int
    equity_micros: int
    currency: str = "USDC"
    decimals: int = 6
