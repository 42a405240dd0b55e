"""The codes and messages of Deribit's table of errors for every reason of a refusal.

Source: https://docs.deribit.com/articles/errors and the table "RPC error codes" of its API documentation.
"""

from typing import NamedTuple

from exchange.domain.reasons import Reason
from exchange.gateway.error_kinds import ERROR_KINDS


class DeribitError(NamedTuple):
    """A code and its message."""

    code: int
    message: str


_INVALID_PARAMS = DeribitError(-32602, "Invalid params")
_BOOK_CLOSED = DeribitError(10012, "book_closed")
_NOT_OPEN = DeribitError(11044, "not_open_order")
_LOCKED = DeribitError(10019, "locked_by_admin")
_UNAVAILABLE = DeribitError(10040, "retry")
_TRIGGER_TOO_LOW = DeribitError(10035, "trigger_price_too_low")
_TRIGGER_TOO_HIGH = DeribitError(10034, "trigger_price_too_high")
_OTHER = DeribitError(11030, "other_reject")

ERRORS: dict[str, DeribitError] = {
    "parse_error": DeribitError(-32700, "Parse error"),
    "invalid_request": DeribitError(-32600, "Invalid Request"),
    "invalid_id": DeribitError(-32600, "Invalid Request"),
    "empty_batch": DeribitError(-32600, "Invalid Request"),
    "batch_too_long": DeribitError(-32600, "Invalid Request"),
    "method_not_found": DeribitError(-32601, "Method not found"),
    "invalid_params": _INVALID_PARAMS,
    "missing_param": _INVALID_PARAMS,
    "unknown_param": _INVALID_PARAMS,
    "from_seq_ahead": _INVALID_PARAMS,
    "from_seq_archived": _INVALID_PARAMS,
    "order_archived": DeribitError(10004, "order_not_found"),
    "unknown_moment": _INVALID_PARAMS,
    "internal_error": DeribitError(-32603, "Internal error"),
    "must_authenticate": DeribitError(13009, "unauthorized"),
    "rate_limit_exceeded": DeribitError(10028, "too_many_requests"),
    "too_many_connections": DeribitError(10028, "too_many_requests"),
    "invalid_credentials": DeribitError(13004, "invalid_credentials"),
    "unknown_channel": _INVALID_PARAMS,
    "journal_unavailable": _UNAVAILABLE,
    "not_permitted": DeribitError(13021, "forbidden"),
    "read_only_replay": DeribitError(13021, "forbidden"),
    "history_unavailable": _UNAVAILABLE,
    "clock_jumped": DeribitError(11051, "system_maintenance"),
    "not_offered": DeribitError(10033, "not_implemented"),
    "not_over_http": DeribitError(10030, "must_be_websocket_request"),
    Reason.USER_SUSPENDED: _LOCKED,
    Reason.INSTRUMENT_NOT_FOUND: DeribitError(10020, "invalid_or_unsupported_instrument"),
    Reason.EXCHANGE_HALTED: DeribitError(11051, "system_maintenance"),
    Reason.CANCEL_ONLY: _BOOK_CLOSED,
    Reason.POST_ONLY_PHASE: _BOOK_CLOSED,
    Reason.INSTRUMENT_EXPIRED: _BOOK_CLOSED,
    Reason.INSTRUMENT_PAUSED: _BOOK_CLOSED,
    Reason.SIZE_BELOW_MINIMUM: DeribitError(10002, "qty_too_low"),
    Reason.SIZE_ABOVE_MAXIMUM: DeribitError(10022, "invalid_quantity"),
    Reason.SIZE_NOT_ABOVE_FILLED: DeribitError(10022, "invalid_quantity"),
    Reason.COST_ABOVE_MAXIMUM: DeribitError(10022, "invalid_quantity"),
    Reason.PRICE_NOT_POSITIVE: DeribitError(10023, "invalid_price"),
    Reason.PRICE_OFF_TICK: DeribitError(10043, "price_wrong_tick"),
    Reason.PRICE_ABOVE_MAXIMUM: DeribitError(10007, "price_too_high"),
    Reason.PRICE_BEYOND_BAND: DeribitError(10011, "price_not_allowed"),
    Reason.CLIENT_ORDER_ID_USED: DeribitError(11029, "invalid_arguments"),
    Reason.TOO_MANY_OPEN_ORDERS: DeribitError(10013, "pme_max_total_open_orders"),
    Reason.NOTHING_TO_REDUCE: _OTHER,
    Reason.POSITION_ABOVE_MAXIMUM: DeribitError(10018, "non_pme_max_future_position_size"),
    Reason.POST_ONLY_WOULD_TRADE: DeribitError(11054, "post_only_reject"),
    Reason.INDEX_STALE: _UNAVAILABLE,
    Reason.INSUFFICIENT_BALANCE: DeribitError(10009, "not_enough_funds"),
    Reason.TOO_MANY_TRIGGER_ORDERS: DeribitError(11035, "no_more_triggers"),
    Reason.NO_TRIGGER_PRICE: DeribitError(11036, "invalid_trigger_price"),
    Reason.TRIGGER_PRICE_INVALID: DeribitError(11036, "invalid_trigger_price"),
    Reason.TRIGGER_PRICE_TOO_LOW: _TRIGGER_TOO_LOW,
    Reason.TRIGGER_PRICE_TOO_HIGH: _TRIGGER_TOO_HIGH,
    Reason.NO_OPPOSITE_PRICE: _OTHER,
    Reason.DISPLAY_ABOVE_SIZE: DeribitError(10036, "invalid_max_show_amount"),
    Reason.DISPLAY_BELOW_MINIMUM: DeribitError(10036, "invalid_max_show_amount"),
    Reason.ORDER_NOT_FOUND: DeribitError(10004, "order_not_found"),
    Reason.LABEL_NOT_UNIQUE: DeribitError(11029, "invalid_arguments"),
    Reason.ORDER_TRIGGERED: _NOT_OPEN,
    Reason.TERMS_DO_NOT_FIT: DeribitError(11029, "invalid_arguments"),
    Reason.ORDER_ALREADY_FILLED: _NOT_OPEN,
    Reason.ORDER_ALREADY_CANCELLED: _NOT_OPEN,
}


def error_of(reason: str) -> DeribitError:
    """The code and the message of a reason. Those of the administrator's commands have none at Deribit."""
    return ERRORS.get(reason, _OTHER if ERROR_KINDS[reason].code > 0 else _INVALID_PARAMS)
