"""JSON-RPC 2.0: parses requests, and encodes answers, errors and notifications."""

import json
import re
from typing import Any, Self

import msgspec

from exchange.domain.reasons import REFUSALS, Reason
from exchange.gateway.envelope import Envelope, EnvelopeOfAnyVersion
from exchange.gateway.error_kinds import ERROR_KINDS
from exchange.gateway.limits import ID_MAX
from exchange.projections.wire_types import Receipt

_INTEGER = re.compile(rb"-?(0|[1-9][0-9]*)")
_encoder = msgspec.json.Encoder()
encode = _encoder.encode

TEST_REQUEST = b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'


class RpcError(Exception):
    """A request that is answered with an error. The stable `reason` has its code and its message in `ERROR_KINDS`."""

    def __init__(self, reason: str, detail: str, **data: Any) -> None:
        super().__init__(detail)
        code, message = ERROR_KINDS[reason]
        self.data: dict[str, Any] = {"reason": reason, "detail": detail, **data}
        self.body = {"code": code, "message": message, "data": self.data}

    def within(self, where: str) -> Self:
        """This error, about a parameter of the part `where` of the request."""
        if self.data.get("param") is not None:
            self.data["param"] = f"{where}.{self.data['param']}"
        return self

    def detached(self) -> Self:
        """This error without its origin. An error that is kept must not hold the frames that raised it.

        They hold the request, which holds the error: a reference cycle, which stays in memory for a long time.
        """
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self


def parse_error(detail: str) -> RpcError:
    return RpcError("parse_error", detail)


def invalid_request(detail: str, reason: str = "invalid_request") -> RpcError:
    return RpcError(reason, detail)


def method_not_found(method: str) -> RpcError:
    return RpcError("method_not_found", f"unknown method {method!r:.80}: public/get_api lists all methods")


def invalid_params(param: str | None, detail: str, reason: str = "invalid_params", **data: Any) -> RpcError:
    """The error of a request whose parameter `param` is wrong."""
    return RpcError(reason, detail, param=param, **data)


def must_authenticate() -> RpcError:
    return RpcError("must_authenticate", "send public/auth on this connection first")


def internal_error() -> RpcError:
    """The error of a request that failed by a fault of the exchange."""
    return RpcError("internal_error", "unexpected error in the server: its log has the details")


def order_archived(first_seq: int) -> RpcError:
    """The error of a question about an order in a missing archive; `first_seq` is the first command at hand."""
    detail = f"the order was placed before command {first_seq}, in a missing archive: restore the archive first"
    return invalid_params("order_id", detail, "order_archived", first_seq=first_seq)


def refused(reason: Reason, **data: Any) -> RpcError:
    """The error of a command that the state machine refused."""
    refusal = REFUSALS[reason]
    if refusal.param is not None:
        data["param"] = refusal.param
    return RpcError(reason.value, refusal.detail, **data)


def rate_limited(detail: str, retry_after_ms: int, **data: int) -> RpcError:
    """The error of a request that comes too early; a client may try again after `retry_after_ms`."""
    return RpcError("rate_limit_exceeded", detail, retry_after_ms=retry_after_ms, **data)


def history_unavailable(detail: str, retry_after_ms: int) -> RpcError:
    """The error of a question that the history cannot answer now."""
    return RpcError("history_unavailable", detail, retry_after_ms=retry_after_ms)


def read_only_replay() -> RpcError:
    return RpcError(
        "read_only_replay",
        "this is a replay of the past: any user of that time can read it, but nothing can be changed",
    )


def clock_jumped(jump_us: int) -> RpcError:
    """The error of a command while the system clock is not believed."""
    return RpcError(
        "clock_jumped",
        "the system clock jumped, so that the time of a command is in doubt: commands are refused until the clock is "
        "set right or the administrator calls admin/confirm_time",
        jump_us=jump_us,
    )


def journal_unavailable() -> RpcError:
    return RpcError("journal_unavailable", "the command was not recorded and has no effect: try again later")


class Request:
    """One request. `id` is the raw JSON of the id, None for a notification."""

    __slots__ = ("id", "method", "params")

    def __init__(self, raw_id: bytes | None, method: str, params: msgspec.Raw) -> None:
        self.id = raw_id
        self.method = method
        self.params = params


_NO_PARAMS = msgspec.Raw(b"{}")
_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_any_version = msgspec.json.Decoder(EnvelopeOfAnyVersion).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def is_batch(text: bytes) -> bool:
    return text[:1] != b"{" and text.lstrip(b" \t\r\n")[:1] == b"["


def split_batch(text: bytes, count_max: int) -> list[bytes]:
    """Split a batch into its requests. Raises RpcError if it is not JSON, empty, or too long."""
    try:
        parts = _decode_array(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise parse_error(f"the frame is not JSON: {error}") from error
    if not parts:
        raise invalid_request("a batch must hold at least one request", "empty_batch")
    if len(parts) > count_max:
        raise invalid_request(
            f"a batch may hold at most {count_max} requests, this one has {len(parts)}", "batch_too_long"
        )
    return [bytes(part) for part in parts]


def parse_request(text: bytes, needs_version: bool = True) -> tuple[Request | None, RpcError | None, bytes | None]:
    """Parse a request. Returns it; or an error and the id (raw JSON) for the answer."""
    try:
        envelope = _decode_envelope(text) if needs_version else _decode_any_version(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return None, *_explain(text, error)
    params = _NO_PARAMS if envelope.params is msgspec.UNSET else envelope.params
    raw_id = None if envelope.id is msgspec.UNSET else bytes(envelope.id)
    if raw_id is not None and not _is_id(raw_id):
        return None, _invalid_id(), b"null"
    if _may_repeat_a_key(text, 2 + (raw_id is not None) + (params is not _NO_PARAMS), params):
        error_of_key = _repeated_key(text, params)
        if error_of_key is not None:
            return None, error_of_key, raw_id
    return Request(raw_id, envelope.method, params), None, None


def result_with(result: Any, receipt: Receipt) -> msgspec.Raw:
    """A result, which must be an object with fields, with the receipt as one more field."""
    return msgspec.Raw(b'%b,"receipt":%b}' % (encode(result).removesuffix(b"}"), encode(receipt)))


def result_text(raw_id: bytes, result: Any) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (raw_id, encode(result))


def error_text(raw_id: bytes, error: RpcError) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (raw_id, encode(error.body))


def notification_text(channel: str, data: Any) -> bytes:
    return b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":%b,"data":%b}}' % (
        encode(channel),
        encode(data),
    )


def _is_id(raw: bytes) -> bool:
    if len(raw) > ID_MAX and (raw[:1] != b'"' or len(_decode_leniently(raw.decode())) > ID_MAX):
        return False
    return raw.isdigit() or raw[:1] == b'"' or raw == b"null" or _INTEGER.fullmatch(raw) is not None


def _invalid_id() -> RpcError:
    return invalid_request(f"id must be a string, an integer or null, of at most {ID_MAX} characters", "invalid_id")


def _may_repeat_a_key(text: bytes, keys: int, params: msgspec.Raw) -> bool:
    """False if each colon follows a key of its own, so that no key is given twice.

    A quick test, because msgspec keeps the last of two equal keys in silence. `keys` counts those around the
    parameters.
    """
    try:
        return text.count(b":") != keys + len(_decode_object(params))
    except (msgspec.DecodeError, RecursionError):
        # The parameters are refused, because they are not an object.
        return False


def _repeated_key(text: bytes, params: msgspec.Raw) -> RpcError | None:
    """The error of a request that gives a key twice in one object; None if it does not."""
    try:
        if (key := _first_repeated(text)) is None:
            return None
        if _first_repeated(bytes(params)) is None:
            return invalid_request(f"{key!r:.80} is given twice")
        return invalid_params(key, f"parameter {key!r:.80} is given twice")
    except RecursionError as error:
        return parse_error(f"the frame is not JSON: {error}")


class _RepeatedKeyError(Exception):
    """Two keys of an object are equal."""


def _unique_keys(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) == len(pairs):
        return
    # In linear time, because a hostile frame has thousands of keys.
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            raise _RepeatedKeyError(name)
        names.add(name)


def _nothing(_text: str) -> None:
    """The value of any number: only keys and strings count here, and Python refuses to parse very long numbers."""


_decode_leniently = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_int=_nothing, parse_float=_nothing, strict=False
).decode


def _first_repeated(text: bytes) -> str | None:
    try:
        _decode_leniently(text.decode())
    except _RepeatedKeyError as error:
        return str(error)
    return None


def _explain(text: bytes, error: Exception) -> tuple[RpcError, bytes]:
    """The error of a text that is not a request, and its id if that can be read."""
    try:
        fields = _decode_object(text)
    except msgspec.ValidationError:
        try:
            msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as deeper:
            return parse_error(f"the frame is not JSON: {deeper}"), b"null"
        return invalid_request('a request is an object like {"jsonrpc":"2.0","id":1,"method":"public/test"}'), b"null"
    except (msgspec.DecodeError, RecursionError) as deeper:
        return parse_error(f"the frame is not JSON: {deeper}"), b"null"
    raw_id = bytes(fields.get("id", b"null"))
    return invalid_request(f"not a JSON-RPC 2.0 request: {error}"), raw_id if _is_id(raw_id) else b"null"
