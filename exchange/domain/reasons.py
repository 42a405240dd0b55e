"""Reasons of refusals: for each a stable word for programs, a code for the wire, and a sentence for people.

The reasons of an order are listed in the order of their checks. The same command on the same state always gets the
same code.
"""

from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """The reason of a refusal, as journals and the wire have it."""

    VALID_UNTIL_PASSED = "valid_until_passed"
    USER_SUSPENDED = "user_suspended"
    INSTRUMENT_NOT_FOUND = "instrument_not_found"
    EXCHANGE_HALTED = "exchange_halted"
    CANCEL_ONLY = "cancel_only"
    POST_ONLY_PHASE = "post_only_phase"
    INSTRUMENT_EXPIRED = "instrument_expired"
    INSTRUMENT_PAUSED = "instrument_paused"
    SIZE_BELOW_MINIMUM = "size_below_minimum"
    SIZE_ABOVE_MAXIMUM = "size_above_maximum"
    SIZE_NOT_ABOVE_FILLED = "size_not_above_filled"
    COST_ABOVE_MAXIMUM = "cost_above_maximum"
    PRICE_NOT_POSITIVE = "price_not_positive"
    PRICE_OFF_TICK = "price_off_tick"
    PRICE_ABOVE_MAXIMUM = "price_above_maximum"
    NO_OPPOSITE_PRICE = "no_opposite_price"
    DISPLAY_ABOVE_SIZE = "display_above_size"
    DISPLAY_BELOW_MINIMUM = "display_below_minimum"
    PRICE_BEYOND_BAND = "price_beyond_band"
    CLIENT_ORDER_ID_USED = "client_order_id_used"
    TOO_MANY_OPEN_ORDERS = "too_many_open_orders"
    NOTHING_TO_REDUCE = "nothing_to_reduce"
    POSITION_ABOVE_MAXIMUM = "position_above_maximum"
    POST_ONLY_WOULD_TRADE = "post_only_would_trade"
    INDEX_STALE = "index_stale"
    INSUFFICIENT_BALANCE = "insufficient_balance"

    TOO_MANY_TRIGGER_ORDERS = "too_many_trigger_orders"
    NO_TRIGGER_PRICE = "no_trigger_price"
    TRIGGER_PRICE_INVALID = "trigger_price_invalid"
    TRIGGER_PRICE_TOO_LOW = "trigger_price_too_low"
    TRIGGER_PRICE_TOO_HIGH = "trigger_price_too_high"

    ORDER_NOT_FOUND = "order_not_found"
    LABEL_NOT_UNIQUE = "label_not_unique"
    ORDER_TRIGGERED = "order_triggered"
    TERMS_DO_NOT_FIT = "terms_do_not_fit"
    ORDER_ALREADY_FILLED = "order_already_filled"
    ORDER_ALREADY_CANCELLED = "order_already_cancelled"

    INVALID_LINKED_ORDERS = "invalid_linked_orders"

    INVALID_QUOTES = "invalid_quotes"
    MMP_GROUP_UNKNOWN = "mmp_group_unknown"
    CANCEL_ON_DISCONNECT_OFF = "cancel_on_disconnect_off"
    MMP_FROZEN = "mmp_frozen"
    MMP_GROUP_OF_OTHER_ASSET = "mmp_group_of_other_asset"
    QUOTE_CROSSES_OWN = "quote_crosses_own"
    NO_QUOTE = "no_quote"
    INVALID_MMP_CONFIG = "invalid_mmp_config"
    TOO_MANY_MMP_GROUPS = "too_many_mmp_groups"
    NO_MODEL = "no_model"

    UNKNOWN_USER = "unknown_user"
    ACCOUNT_EXISTS = "account_exists"
    INSTRUMENT_EXISTS = "instrument_exists"
    INVALID_TERMS = "invalid_terms"
    INVALID_AMOUNT = "invalid_amount"
    NO_MARKET = "no_market"
    UNKNOWN_ASSET = "unknown_asset"
    INVALID_INDEX_PRICE = "invalid_index_price"
    INDEX_JUMP = "index_jump"
    EXPOSURE_ABOVE_MAXIMUM = "exposure_above_maximum"
    UNKNOWN_SERIES = "unknown_series"
    SERIES_NOT_EXPIRED = "series_not_expired"
    SERIES_SETTLED = "series_settled"
    INVALID_DELIVERY_PRICE = "invalid_delivery_price"
    INVALID_LIMITS = "invalid_limits"
    INVALID_RULES = "invalid_rules"
    POSITIONS_OPEN = "positions_open"


class Refusal(NamedTuple):
    """The error of a reason on the wire. `param` is the wrong parameter if the code is -32602 (Invalid params)."""

    code: int
    message: str
    detail: str
    param: str | None = None


REFUSALS: dict[Reason, Refusal] = {
    Reason.INSTRUMENT_NOT_FOUND: Refusal(
        1004, "Instrument not found", "no such instrument is listed; public/get_instruments lists those that are"
    ),
    Reason.INSTRUMENT_EXPIRED: Refusal(
        1009, "Market closed or instrument expired", "the instrument has expired; trade one with a later expiration"
    ),
    Reason.INSTRUMENT_PAUSED: Refusal(
        1014, "Instrument paused", "new orders and edits are refused until it resumes; cancelling is possible"
    ),
    Reason.SIZE_BELOW_MINIMUM: Refusal(
        1006, "Invalid size", "amount is below the instrument's min_size (in millicontracts: 1000 = 1 contract)"
    ),
    Reason.SIZE_ABOVE_MAXIMUM: Refusal(
        1006, "Invalid size", "amount is beyond the limit of 1000000000 millicontracts (1,000,000 contracts)"
    ),
    Reason.SIZE_NOT_ABOVE_FILLED: Refusal(
        1006,
        "Invalid size",
        "amount is the new total size and must exceed the filled part; to stop the order, cancel it",
    ),
    Reason.COST_ABOVE_MAXIMUM: Refusal(
        1006, "Invalid size", "price * amount / 1000 would exceed 2^53 - 1 micros; send a smaller amount"
    ),
    Reason.PRICE_NOT_POSITIVE: Refusal(1005, "Invalid price", "price must be positive, in micros of USDC"),
    Reason.PRICE_OFF_TICK: Refusal(
        1005, "Invalid price", "price must be a multiple of the instrument's tick_size (in micros: 1500000 = 1.50 USDC)"
    ),
    Reason.PRICE_ABOVE_MAXIMUM: Refusal(
        1005, "Invalid price", "price is beyond the limit of 10000000000000 micros (10,000,000 USDC)"
    ),
    Reason.NO_OPPOSITE_PRICE: Refusal(
        1005, "Invalid price", "no order of the other side gives a market_limit order its price; send a limit order"
    ),
    Reason.DISPLAY_ABOVE_SIZE: Refusal(
        1006,
        "Invalid size",
        "display_amount is above amount: send a smaller one, or leave it out to show the whole order",
    ),
    Reason.DISPLAY_BELOW_MINIMUM: Refusal(
        1006,
        "Invalid size",
        "display_amount is too small: it must be at least 100 times the min_size, and more than amount / 101",
    ),
    Reason.PRICE_BEYOND_BAND: Refusal(
        1005, "Invalid price", "price is too far from the mark: it must lie between min_price and max_price"
    ),
    Reason.CLIENT_ORDER_ID_USED: Refusal(
        1022, "client_order_id already used", "another order has this client_order_id; a new order needs a new one"
    ),
    Reason.TOO_MANY_OPEN_ORDERS: Refusal(
        1026, "Too many open orders", "the account is at its limit of open orders; cancel some first"
    ),
    Reason.POST_ONLY_WOULD_TRADE: Refusal(
        1021, "Post-only order would trade", "the price crosses the book; send a less aggressive price"
    ),
    Reason.INSUFFICIENT_BALANCE: Refusal(
        1002, "Insufficient balance", "the available balance is too small; private/get_balance shows it"
    ),
    Reason.ORDER_NOT_FOUND: Refusal(
        1003, "Order not found", "you have no order with this id; private/get_open_orders lists your open orders"
    ),
    Reason.LABEL_NOT_UNIQUE: Refusal(
        1033,
        "Label not unique",
        "several open orders have this label: name one by its order_id, or add the instrument_id if they differ in it",
    ),
    Reason.ORDER_TRIGGERED: Refusal(
        1008,
        "Order already cancelled or filled",
        "the order was triggered; private/get_order shows how it ended",
    ),
    Reason.TERMS_DO_NOT_FIT: Refusal(
        -32602,
        "Invalid params",
        "the order has no such terms: an untriggered order has a trigger_price, or a trailing stop a trigger_offset; a "
        "market order has no price",
    ),
    Reason.TOO_MANY_TRIGGER_ORDERS: Refusal(
        1026,
        "Too many open orders",
        "the account has 100 untriggered orders in this instrument, or 1,000 in all; cancel some first",
    ),
    Reason.NO_TRIGGER_PRICE: Refusal(
        1005, "Invalid price", "the instrument has no such price yet; choose another trigger, or wait for the first one"
    ),
    Reason.TRIGGER_PRICE_INVALID: Refusal(
        1005, "Invalid price", "a trigger price and an offset must be positive and at most 10000000000000 micros"
    ),
    Reason.TRIGGER_PRICE_TOO_LOW: Refusal(
        1005, "Invalid price", "the price is already at or above the trigger price; send a higher one, or an order"
    ),
    Reason.TRIGGER_PRICE_TOO_HIGH: Refusal(
        1005, "Invalid price", "the price is already at or below the trigger price; send a lower one, or an order"
    ),
    Reason.ORDER_ALREADY_FILLED: Refusal(1008, "Order already cancelled or filled", "the order was filled"),
    Reason.ORDER_ALREADY_CANCELLED: Refusal(1008, "Order already cancelled or filled", "the order was cancelled"),
    Reason.INVALID_LINKED_ORDERS: Refusal(
        -32602,
        "Invalid params",
        "two orders are linked, or three if one triggers a pair, none with the client_order_id of another; orders that "
        "cancel each other must be limit orders with gtc or day, or trigger orders, and must not cross each other",
        "orders",
    ),
    Reason.INVALID_QUOTES: Refusal(
        -32602,
        "Invalid params",
        "a mass quote has 1 to 100 quotes, each of another instrument, with a bid, an ask or both, the bid below the "
        "ask; nothing was changed",
        "quotes",
    ),
    Reason.MMP_GROUP_UNKNOWN: Refusal(
        -32602,
        "Invalid params",
        "the account has no such MMP group; private/set_mmp_config creates one, private/get_mmp_config lists them",
        "mmp_group",
    ),
    Reason.CANCEL_ON_DISCONNECT_OFF: Refusal(
        1035,
        "Mass quotes not possible",
        "mass quotes need cancel-on-disconnect; call private/enable_cancel_on_disconnect first",
    ),
    Reason.MMP_FROZEN: Refusal(
        1036,
        "Quotes frozen",
        "fills reached a limit of the MMP group; wait until its frozen time ends, or call private/reset_mmp",
    ),
    Reason.MMP_GROUP_OF_OTHER_ASSET: Refusal(
        -32602,
        "Invalid params",
        "the MMP group is for options on another asset; use a group of this asset",
        "mmp_group",
    ),
    Reason.QUOTE_CROSSES_OWN: Refusal(
        1005,
        "Invalid price",
        "the price crosses the other side of your own quote; send both sides in one mass quote",
    ),
    Reason.NO_QUOTE: Refusal(
        1003, "Order not found", "there is no quote on this side whose amount could stay; send an amount"
    ),
    Reason.INVALID_MMP_CONFIG: Refusal(
        -32602,
        "Invalid params",
        "an MMP group needs at least one limit, each limit above 0, and an interval and a frozen_time of at most 3600 "
        "seconds",
        "interval",
    ),
    Reason.TOO_MANY_MMP_GROUPS: Refusal(
        1026, "Too many open orders", "the account has 16 MMP groups; remove one with an interval of 0 first"
    ),
    Reason.NO_MODEL: Refusal(
        -32602,
        "Invalid params",
        "limits of delta and vega need marks by a model, which this market does not have; use quantity_limit",
        "delta_limit",
    ),
    Reason.UNKNOWN_USER: Refusal(
        -32602, "Invalid params", "no account has this user_id; public/auth opens one", "user_id"
    ),
    Reason.ACCOUNT_EXISTS: Refusal(-32602, "Invalid params", "an account with this user_id is open already", "user_id"),
    Reason.INSTRUMENT_EXISTS: Refusal(-32602, "Invalid params", "the instrument is listed already", "instrument_id"),
    Reason.INVALID_TERMS: Refusal(
        -32602,
        "Invalid params",
        "expected an instrument_id like SOL_USDC-28FEB26-150-C that expires in the future "
        "and before 2099, a tick_size that is a positive multiple of 1000, and a positive min_size",
        "instrument_id",
    ),
    Reason.INVALID_AMOUNT: Refusal(
        -32602,
        "Invalid params",
        "amount must be positive, and all cash on the exchange at most 2^53 - 1 micros",
        "amount",
    ),
    Reason.VALID_UNTIL_PASSED: Refusal(
        -32602,
        "Invalid params",
        "the request came after valid_until_us: send it again with a later time; public/get_time tells the exchange's",
        "valid_until_us",
    ),
    Reason.USER_SUSPENDED: Refusal(
        1025, "Not permitted", "the account is suspended: new orders and edits are refused, cancelling is possible"
    ),
    Reason.EXCHANGE_HALTED: Refusal(
        1009, "Market closed or instrument expired", "the exchange is halted: reading and cancelling are possible"
    ),
    Reason.CANCEL_ONLY: Refusal(
        1009,
        "Market closed or instrument expired",
        "the market reopens: until the next index price, orders can only be cancelled",
    ),
    Reason.POST_ONLY_PHASE: Refusal(
        1009,
        "Market closed or instrument expired",
        "the market reopens: for a short time only post_only orders are accepted",
    ),
    Reason.NOTHING_TO_REDUCE: Refusal(
        1030,
        "Nothing to reduce",
        "a reduce_only order needs a position on the other side; private/get_account shows your positions",
    ),
    Reason.POSITION_ABOVE_MAXIMUM: Refusal(
        1029,
        "Position limit exceeded",
        "position, open orders on this side and this order together would exceed the account's limit; "
        "send a smaller amount",
    ),
    Reason.INDEX_STALE: Refusal(
        1028,
        "Index price stale",
        "the index price is too old to compute the collateral of this sale; try again after the next index price",
    ),
    Reason.NO_MARKET: Refusal(-32602, "Invalid params", "the rules have no market; admin/set_rules can add one"),
    Reason.UNKNOWN_ASSET: Refusal(
        -32602, "Invalid params", "nothing is listed on this asset, and no rule lists anything on it", "asset"
    ),
    Reason.INVALID_INDEX_PRICE: Refusal(
        -32602, "Invalid params", "an index price must be positive and at most 10000000000000 micros", "price"
    ),
    Reason.INDEX_JUMP: Refusal(
        -32602,
        "Invalid params",
        "the price is further from the last one than the rules' index_jump_max allows; if it is right, force it",
        "price",
    ),
    Reason.EXPOSURE_ABOVE_MAXIMUM: Refusal(
        -32602,
        "Invalid params",
        "margins or payouts of an account would exceed 2^53 - 1 micros; choose another price or other rules",
        "price",
    ),
    Reason.UNKNOWN_SERIES: Refusal(
        -32602,
        "Invalid params",
        "no instrument with this asset and expiration can be changed; see public/get_instruments",
        "expiration",
    ),
    Reason.SERIES_NOT_EXPIRED: Refusal(
        -32602, "Invalid params", "the series has not expired; it settles automatically at its expiration", "expiration"
    ),
    Reason.SERIES_SETTLED: Refusal(-32602, "Invalid params", "the series is settled already", "expiration"),
    Reason.INVALID_DELIVERY_PRICE: Refusal(
        -32602,
        "Invalid params",
        "a delivery price must be positive and at most 10000000000000 micros, by rules version 1 a multiple of 1000 "
        "micros",
        "price",
    ),
    Reason.INVALID_LIMITS: Refusal(
        -32602, "Invalid params", "limits must not be negative, and at most 2^53 - 1", "open_orders_max"
    ),
    Reason.INVALID_RULES: Refusal(
        -32602,
        "Invalid params",
        "the rules contradict each other, or remove the market; begin with those of public/get_rules",
        "rules",
    ),
    Reason.POSITIONS_OPEN: Refusal(
        -32602,
        "Invalid params",
        "the account has positions, or belongs to the exchange: only an account without positions can be reset",
        "user_id",
    ),
}
