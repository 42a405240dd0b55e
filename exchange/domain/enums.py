"""Enumerations: side, order type, time in force, states, and the reasons of cancellations."""

from typing import Literal

Side = Literal["bid", "ask"]
OrderType = Literal["limit", "market"]
TimeInForce = Literal["gtc", "ioc", "fok", "day"]
OrderStatus = Literal["open", "partially_filled", "filled", "cancelled"]
OptionType = Literal["call", "put"]
# As on Deribit, `option` names all options; there is nothing else here.
InstrumentKind = Literal["option", "call", "put"]
InstrumentState = Literal["open", "paused", "expired"]
Liquidity = Literal["maker", "taker"]
CancelReason = Literal[
    "user_request",
    "ioc_remainder",
    "market_remainder",
    "fok_unfilled",
    "self_trade_prevention",
    "instrument_expired",
    "day_end",
    "cancel_on_disconnect",
    "insufficient_balance",
    "admin",
    "liquidation",
]
