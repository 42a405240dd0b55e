"""Enumerations: side, order type, time in force, states, and the reasons of cancellations."""

from typing import Literal

Side = Literal["bid", "ask"]
OrderType = Literal["limit", "market", "market_limit"]
TimeInForce = Literal["gtc", "ioc", "fok", "day"]
# The types of orders that wait for a price, with the names of Deribit, and the prices that they wait for.
TriggerType = Literal["stop_market", "stop_limit", "take_market", "take_limit", "trailing_stop"]
Trigger = Literal["index_price", "mark_price", "last_price"]
OrderStatus = Literal["open", "partially_filled", "filled", "cancelled", "untriggered", "triggered", "rejected"]
# The ends of a trigger order: it placed an order, or that order was refused, or it was cancelled before.
TriggerEnd = Literal["triggered", "rejected", "cancelled"]
OptionType = Literal["call", "put"]
# As on Deribit, `option` names all options; there is nothing else here.
InstrumentKind = Literal["option", "call", "put"]
InstrumentState = Literal["open", "paused", "expired"]
Liquidity = Literal["maker", "taker"]
# The limits of an MMP group, which its fills can reach.
MmpLimit = Literal["quantity", "delta", "vega"]
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
    "nothing_to_reduce",
    "mmp_trigger",
    "mmp_removed",
    "linked_order",
]
# Why the exchange itself made an order smaller.
EditCause = Literal["reduce_only", "linked_order"]
# How orders are linked, and which fills of one act on the others, with the names of Deribit.
LinkType = Literal["one_cancels_other", "one_triggers_other", "one_triggers_one_cancels_other"]
FillCondition = Literal["first_hit", "complete_fill", "incremental"]
# The orders that cancel-on-disconnect cancels: those that the connection placed, or all of the user.
CancelScope = Literal["connection", "account"]
