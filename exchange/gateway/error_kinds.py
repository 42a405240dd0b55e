"""The errors of the wire: the code and message of each reason, and the reasons that each method can answer."""

from typing import NamedTuple

from exchange.domain.reasons import REFUSALS, Reason


class ErrorKind(NamedTuple):
    """The code and the message that go with one reason. Several reasons may share a code."""

    code: int
    message: str


_INVALID_REQUEST = ErrorKind(-32600, "Invalid Request")
_INVALID_PARAMS = ErrorKind(-32602, "Invalid params")

# By the reason in `data.reason`: first those of the gateway, then those of commands that the exchange refused.
ERROR_KINDS: dict[str, ErrorKind] = {
    "parse_error": ErrorKind(-32700, "Parse error"),
    "invalid_request": _INVALID_REQUEST,
    "invalid_id": _INVALID_REQUEST,
    "empty_batch": _INVALID_REQUEST,
    "batch_too_long": _INVALID_REQUEST,
    "method_not_found": ErrorKind(-32601, "Method not found"),
    "invalid_params": _INVALID_PARAMS,
    "missing_param": _INVALID_PARAMS,
    "unknown_param": _INVALID_PARAMS,
    "from_seq_ahead": _INVALID_PARAMS,
    "from_seq_archived": _INVALID_PARAMS,
    "order_archived": _INVALID_PARAMS,
    "unknown_moment": _INVALID_PARAMS,
    "what_if_too_long": _INVALID_PARAMS,
    "internal_error": ErrorKind(-32603, "Internal error"),
    "must_authenticate": ErrorKind(1001, "Must authenticate first"),
    "rate_limit_exceeded": ErrorKind(1007, "Rate limit exceeded"),
    "too_many_connections": ErrorKind(1007, "Rate limit exceeded"),
    "invalid_credentials": ErrorKind(1020, "Invalid credentials"),
    "unknown_channel": ErrorKind(1023, "Unknown channel"),
    "journal_unavailable": ErrorKind(1024, "Journal unavailable"),
    "not_permitted": ErrorKind(1025, "Not permitted"),
    "read_only_replay": ErrorKind(1027, "Replay is read-only"),
    "history_unavailable": ErrorKind(1031, "History unavailable"),
    "clock_jumped": ErrorKind(1032, "Clock jumped"),
    "not_over_http": _INVALID_REQUEST,
    "not_offered": _INVALID_REQUEST,
    **{reason.value: ErrorKind(refusal.code, refusal.message) for reason, refusal in REFUSALS.items()},
}

_COMMAND = ("journal_unavailable", "clock_jumped", "read_only_replay")
_CLOSED = (
    Reason.EXCHANGE_HALTED,
    Reason.INSTRUMENT_EXPIRED,
    Reason.INSTRUMENT_PAUSED,
    Reason.CANCEL_ONLY,
    Reason.POST_ONLY_PHASE,
)
_BAD_PRICE = (
    Reason.PRICE_NOT_POSITIVE,
    Reason.PRICE_OFF_TICK,
    Reason.PRICE_ABOVE_MAXIMUM,
    Reason.NO_OPPOSITE_PRICE,
    Reason.DISPLAY_ABOVE_SIZE,
    Reason.DISPLAY_BELOW_MINIMUM,
    Reason.PRICE_BEYOND_BAND,
)
_ANY_ORDER = (
    *_COMMAND,
    "missing_param",
    Reason.USER_SUSPENDED,
    *_CLOSED,
    Reason.COST_ABOVE_MAXIMUM,
    *_BAD_PRICE,
    Reason.INDEX_STALE,
    Reason.INSUFFICIENT_BALANCE,
)
_ORDER_OR_EDIT = (
    *_ANY_ORDER,
    Reason.VALID_UNTIL_PASSED,
    Reason.SIZE_BELOW_MINIMUM,
    Reason.SIZE_ABOVE_MAXIMUM,
    Reason.POSITION_ABOVE_MAXIMUM,
    Reason.POST_ONLY_WOULD_TRADE,
)
_NEW = (Reason.INSTRUMENT_NOT_FOUND, Reason.NOTHING_TO_REDUCE, Reason.TOO_MANY_OPEN_ORDERS)
_TRIGGER_PRICE = (
    Reason.NO_TRIGGER_PRICE,
    Reason.TRIGGER_PRICE_INVALID,
    Reason.TRIGGER_PRICE_TOO_LOW,
    Reason.TRIGGER_PRICE_TOO_HIGH,
)
_PLACE = (
    *_ORDER_OR_EDIT,
    *_NEW,
    Reason.CLIENT_ORDER_ID_USED,
    Reason.TOO_MANY_TRIGGER_ORDERS,
    *_TRIGGER_PRICE,
)
_NO_OPEN_ORDER = (
    Reason.ORDER_TRIGGERED,
    Reason.ORDER_NOT_FOUND,
    Reason.LABEL_NOT_UNIQUE,
    Reason.ORDER_ALREADY_FILLED,
    Reason.ORDER_ALREADY_CANCELLED,
)
_INSTRUMENT = (Reason.INSTRUMENT_NOT_FOUND, Reason.INSTRUMENT_EXPIRED)
_PAUSE = (*_COMMAND, Reason.INSTRUMENT_NOT_FOUND, Reason.INSTRUMENT_EXPIRED, Reason.UNKNOWN_SERIES)
# Of questions that only the administrator may ask about another account.
_OTHER_ACCOUNT = ("not_permitted", Reason.UNKNOWN_USER)
_USER = (*_COMMAND, Reason.UNKNOWN_USER)

# The reasons of single methods, by name. `api_document.errors_of` adds those that follow from the kind of method.
METHOD_REASONS: dict[str, tuple[str, ...]] = {
    "public/auth": (*_COMMAND, "invalid_credentials", "too_many_connections", Reason.INVALID_AMOUNT),
    "public/subscribe": ("must_authenticate", "unknown_channel", "from_seq_ahead", "from_seq_archived"),
    "public/unsubscribe": ("must_authenticate", "unknown_channel"),
    "public/get_order_book": _INSTRUMENT,
    "public/get_trades": _INSTRUMENT,
    "public/get_ticker": _INSTRUMENT,
    "public/get_index_price": (Reason.UNKNOWN_ASSET,),
    "public/get_mark_surface": (Reason.UNKNOWN_ASSET,),
    "public/get_candles": (*_INSTRUMENT, Reason.UNKNOWN_ASSET),
    "public/get_historical_volatility": (Reason.UNKNOWN_ASSET,),
    "public/get_timeline": (Reason.UNKNOWN_ASSET,),
    "private/buy": _PLACE,
    "private/sell": _PLACE,
    "private/place_linked_orders": (*_PLACE, Reason.INVALID_LINKED_ORDERS),
    "private/edit": (
        *_ORDER_OR_EDIT,
        *_INSTRUMENT,
        *_NO_OPEN_ORDER,
        Reason.SIZE_NOT_ABOVE_FILLED,
        Reason.TERMS_DO_NOT_FIT,
        *_TRIGGER_PRICE[1:],
    ),
    "private/cancel": (*_COMMAND, *_INSTRUMENT, *_NO_OPEN_ORDER),
    "private/cancel_all": (*_COMMAND, *_INSTRUMENT, Reason.UNKNOWN_ASSET),
    "private/mass_quote": (
        *_COMMAND,
        "missing_param",
        Reason.MMP_GROUP_UNKNOWN,
        Reason.CANCEL_ON_DISCONNECT_OFF,
        Reason.MMP_FROZEN,
    ),
    "private/cancel_quotes": (*_COMMAND, *_INSTRUMENT, Reason.UNKNOWN_ASSET, Reason.MMP_GROUP_UNKNOWN),
    "private/set_mmp_config": (
        *_COMMAND,
        "missing_param",
        Reason.MMP_GROUP_UNKNOWN,
        Reason.UNKNOWN_ASSET,
        Reason.MMP_GROUP_OF_OTHER_ASSET,
        Reason.TOO_MANY_MMP_GROUPS,
        Reason.NO_MODEL,
    ),
    "private/reset_mmp": (*_COMMAND, Reason.MMP_GROUP_UNKNOWN),
    "private/get_mmp_config": (Reason.MMP_GROUP_UNKNOWN,),
    "private/close_position": (*_ANY_ORDER, *_NEW),
    "private/get_margin": (*_INSTRUMENT, "read_only_replay"),
    "private/simulate": _INSTRUMENT,
    "private/explain_order": (*_OTHER_ACCOUNT, Reason.ORDER_NOT_FOUND, "order_archived"),
    "private/get_order": (Reason.ORDER_NOT_FOUND,),
    "private/get_profit_history": _OTHER_ACCOUNT,
    "private/what_if": (
        *_OTHER_ACCOUNT,
        Reason.UNKNOWN_ASSET,
        Reason.ORDER_NOT_FOUND,
        "unknown_moment",
        "what_if_too_long",
        "history_unavailable",
    ),
    "private/get_open_orders": _INSTRUMENT,
    "private/get_order_history": _INSTRUMENT,
    "private/get_user_trades": (*_INSTRUMENT, Reason.ORDER_NOT_FOUND),
    "private/enable_cancel_on_disconnect": _COMMAND,
    "private/disable_cancel_on_disconnect": _COMMAND,
    "admin/create_instrument": (*_COMMAND, Reason.INVALID_TERMS, Reason.INSTRUMENT_EXISTS),
    "admin/pause": _PAUSE,
    "admin/resume": _PAUSE,
    "admin/halt": _COMMAND,
    "admin/end_halt": _COMMAND,
    "admin/set_index_price": (
        *_COMMAND,
        Reason.NO_MARKET,
        Reason.UNKNOWN_ASSET,
        Reason.INVALID_INDEX_PRICE,
        Reason.INDEX_JUMP,
        Reason.EXPOSURE_ABOVE_MAXIMUM,
    ),
    "admin/settle": (
        *_COMMAND,
        Reason.NO_MARKET,
        Reason.UNKNOWN_SERIES,
        Reason.SERIES_NOT_EXPIRED,
        Reason.SERIES_SETTLED,
        Reason.INVALID_DELIVERY_PRICE,
        Reason.EXPOSURE_ABOVE_MAXIMUM,
    ),
    "admin/set_rules": (*_COMMAND, Reason.INVALID_RULES, Reason.EXPOSURE_ABOVE_MAXIMUM),
    "admin/deposit": (*_USER, Reason.INVALID_AMOUNT),
    "admin/withdraw": (*_USER, Reason.INVALID_AMOUNT, Reason.INSUFFICIENT_BALANCE),
    "admin/reset_account": (*_USER, Reason.POSITIONS_OPEN, Reason.INVALID_AMOUNT),
    "admin/suspend": _USER,
    "admin/reinstate": _USER,
    "admin/set_limits": (*_USER, Reason.INVALID_LIMITS),
    "admin/cancel_all": (*_USER, *_INSTRUMENT),
    "admin/get_account": (Reason.UNKNOWN_USER,),
    "admin/get_accounts": (Reason.UNKNOWN_USER,),
}
