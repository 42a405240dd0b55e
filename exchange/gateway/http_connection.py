"""HTTP on the WebSocket's port: Deribit's API (`/api/v2/METHOD`, `/api/v2`), and the files of the screen.

h11 parses the bytes. A connection serves one request at a time, in the turns of all connections, and stays open for
more. A request of the API becomes one of the session: rights, limits, methods and answers are those of the WebSocket.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qsl, unquote

import h11
import msgspec
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader
from websockets.frames import CloseCode

from exchange.gateway.deribit import API_PATH
from exchange.gateway.deribit.authorization import Authorization, signed_text
from exchange.gateway.deribit.dialect import DeribitDialects
from exchange.gateway.deribit.errors import error_of
from exchange.gateway.handshake import AllowedPeers, HandshakeRefusal, refusal_of
from exchange.gateway.jsonrpc import RpcError, encode, internal_error, invalid_request
from exchange.gateway.limits import FRAME_MAX, OUTBOX_MAX, REFUSED_CREDITS, UNREAD_MAX, GatewayLimits
from exchange.gateway.quotas import ConnectionQuota
from exchange.gateway.screen import Screen
from exchange.gateway.session import Session
from exchange.gateway.turns import Turn, Turns

_log = logging.getLogger(__name__)

# Parameters in a query string.
QUERY_FIELDS_MAX = 100
_FOREIGN_SITES = ("cross-site", "same-site")
_STATUS_OF_REASON = {
    "must_authenticate": HTTPStatus.UNAUTHORIZED,
    "invalid_credentials": HTTPStatus.UNAUTHORIZED,
    "not_permitted": HTTPStatus.FORBIDDEN,
    "method_not_found": HTTPStatus.NOT_FOUND,
    "rate_limit_exceeded": HTTPStatus.TOO_MANY_REQUESTS,
    "too_many_connections": HTTPStatus.TOO_MANY_REQUESTS,
    "internal_error": HTTPStatus.INTERNAL_SERVER_ERROR,
    "journal_unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
}
_RETRY_SECONDS = 1
# No page may read an answer as something else, or keep it.
_HEADERS = (
    ("Content-Type", "application/json"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)
# The codes of the errors that have an HTTP status of their own.
_STATUS_OF_CODE = {error_of(reason).code: status for reason, status in _STATUS_OF_REASON.items()}


class HttpOwner(Protocol):
    """The gateway as an HTTP connection sees it."""

    turns: Turns
    allowed_peers: AllowedPeers
    limits: GatewayLimits
    screen: Screen

    def open_http_session(self, connection: HttpConnection) -> Session:
        """Register a connection and open its session."""
        ...

    def serve_websocket(self, connection: HttpConnection, transport: asyncio.Transport, data: bytes) -> None:
        """Serve a connection whose client wants to go on with a WebSocket: `data` begins with the handshake."""
        ...

    def note_unsent(self, connection: HttpConnection) -> None:
        """Note that this connection has an answer: the next `send_all` writes it."""
        ...

    def forget(self, connection: HttpConnection) -> None:
        """Remove a closed connection."""
        ...


class HttpConnection(asyncio.Protocol):
    """One TCP connection of an HTTP client."""

    def __init__(
        self, owner: HttpOwner, transport: asyncio.Transport, quota: ConnectionQuota, dialects: DeribitDialects
    ) -> None:
        self._owner = owner
        self._transport = transport
        self.quota = quota
        self._dialects = dialects
        self.turn = Turn(lambda: owner.turns.add(self))
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.age_ticks = 0
        self._silent_s = 0
        # The seconds for which a request has been incomplete.
        self._partial_s = 0
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=owner.limits.handshake_bytes_max)
        self._session = owner.open_http_session(self)
        self._request: h11.Request | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        # A request waits for its answer; the bytes after it wait.
        self._is_busy = False
        self._unread_bytes = 0
        self._is_ending = False
        self._is_reading_paused = False
        self._authorized = b""
        self._unsent: list[bytes] = []

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        self._silent_s = 0
        if self._is_ending:
            return
        self.turn.read_seconds = time.perf_counter()
        self._http.receive_data(data)
        self._unread_bytes += len(data)
        if self._is_busy and self._unread_bytes > UNREAD_MAX:
            self._set_reading_paused(True)
        self._owner.turns.add(self)

    def eof_received(self) -> bool:
        if not self._is_ending:
            self._http.receive_data(b"")
            self._owner.turns.add(self)
        return self._transport.get_extra_info("sslcontext") is None

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_ending = True
        self._owner.forget(self)
        try:
            self._session.close()
        finally:
            if not self.gone.done():
                self.gone.set_result(None)

    # What the gateway calls, as for a WebSocket connection.

    @property
    def worked_seconds(self) -> float:
        """The recent work of this connection, and of others from its address."""
        address = self.quota.address
        return self.turn.worked_seconds + (0.0 if address is None else address.worked_seconds)

    def note_work(self, seconds: float) -> None:
        """Note how long a turn took."""
        self.turn.worked_seconds += seconds
        if self.quota.address is not None:
            self.quota.address.worked_seconds += seconds

    @property
    def unanswered(self) -> int:
        """The number of the client's requests that wait or are in flight."""
        return self._session.unanswered

    def take_turn(self, ends_seconds: float) -> bool:
        """Serve requests until that time of `perf_counter`. Returns True if some are left."""
        self.turn.begin(ends_seconds)
        while not self._is_busy and not self._is_ending:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                self._refuse(HTTPStatus(error.error_status_hint), str(error))
                break
            if not isinstance(event, h11.Event):
                # There is no whole event yet.
                self._unread_bytes = 0
                self._set_reading_paused(False)
                return self.turn.has_waiting
            self._take(event)
            if self.turn.is_over:
                break
        return self.turn.has_waiting or not (self._is_busy or self._is_ending)

    def send(self, text: bytes) -> None:
        """Take the answer of the session to the request. Nobody waits for it if the connection is lost."""
        if self._is_busy and not self.gone.done():
            self._answer(_status_of(text), text)

    def write(self) -> None:
        """Hand the queued answers to the transport, and close it after the last one."""
        self._flush()
        if self._is_ending and not self._is_busy and not self._transport.is_closing():
            self._transport.close()

    def _flush(self) -> None:
        if self._unsent and not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
            if self._transport.get_write_buffer_size() > OUTBOX_MAX:
                self.abort()
        self._unsent.clear()

    def close(self, _code: CloseCode, _reason: str) -> None:
        """End the connection, after the answers that are queued."""
        self._is_ending, self._is_busy = True, False
        self.write()

    def reject(self, _reason: str, _code: CloseCode = CloseCode.POLICY_VIOLATION) -> None:
        """End the connection, after the answer to its request if it has one."""
        self._is_ending = True
        if not self._is_busy:
            self._owner.note_unsent(self)

    def stop_reading(self) -> None:
        """Take no more requests."""
        self._is_ending = True

    def abort(self) -> None:
        """Abort the connection."""
        self._is_ending = True
        self._transport.abort()

    def go_on(self) -> None:
        """Nothing blocks it for longer than its request."""

    def on_seek(self) -> None:
        """The exchange moved to another moment."""
        self._session.on_seek()

    def on_tick(self) -> None:
        """One second passed. A client that sends nothing is disconnected."""
        self.turn.worked_seconds /= 2
        self.age_ticks += 1
        self._silent_s += 1
        limits = self._owner.limits
        is_partial = bool(self._http.trailing_data[0]) or self._http.their_state is h11.SEND_BODY
        self._partial_s = self._partial_s + 1 if is_partial and not self._is_busy else 0
        is_idle = limits.unauthenticated_s and self._silent_s >= limits.unauthenticated_s
        if self._partial_s > limits.handshake_s or (is_idle and not self._is_busy):
            self.close(CloseCode.POLICY_VIOLATION, "")
        self._session.on_tick()

    @property
    def address(self) -> str:
        """The client's IP address; empty if it is gone already."""
        return (self._transport.get_extra_info("peername") or ("",))[0]

    @property
    def backlog(self) -> int:
        """The bytes that the client has not received yet."""
        return 0 if self._transport.is_closing() else self._transport.get_write_buffer_size()

    # One request.

    def _take(self, event: h11.Event) -> None:
        if isinstance(event, h11.Request):
            self._request, self._body, self._body_bytes = event, [], 0
            if _wants_websocket(event):
                self._flush()
                self._is_ending = True
                data = _bytes_of(event) + self._http.trailing_data[0]
                self._owner.serve_websocket(self, self._transport, data)
                return
            if (refusal := self._why_refused(event)) is not None:
                self._refuse(refusal.status, refusal.text.rstrip())
            elif self._http.they_are_waiting_for_100_continue:
                self._queue(h11.InformationalResponse(status_code=100, headers=[]))
        elif isinstance(event, h11.Data):
            self._body_bytes += len(event.data)
            if self._body_bytes > FRAME_MAX:
                self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have at most {FRAME_MAX} bytes")
            else:
                self._body.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            self._serve()
        elif isinstance(event, h11.ConnectionClosed):
            self._is_ending = True
            self._owner.note_unsent(self)

    def _why_refused(self, request: h11.Request) -> HandshakeRefusal | None:
        try:
            headers = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
        except InvalidHeader:
            # h11 takes control characters in values, and websockets does not.
            return HandshakeRefusal(HTTPStatus.BAD_REQUEST, "a header has characters that are not allowed")
        limits = self._owner.limits
        # h11 counts only heads that arrive in parts.
        if (
            len(request.target) + sum(len(name) + len(value) for name, value in headers.raw_items())
            > limits.handshake_bytes_max
        ):
            text = f"a target and its headers may have at most {limits.handshake_bytes_max} bytes"
            return HandshakeRefusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text)
        if len(request.headers) > limits.handshake_headers_max:
            return HandshakeRefusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many headers")
        if "Content-Length" in headers and "Transfer-Encoding" in headers:
            # A proxy in between may believe the other one, and so find a second request in the body.
            return HandshakeRefusal(HTTPStatus.BAD_REQUEST, "Content-Length and Transfer-Encoding: send one of them")
        local = self._transport.get_extra_info("sockname")[:2]
        is_tls = self._transport.get_extra_info("sslcontext") is not None
        refusal = refusal_of(headers, local, self._owner.allowed_peers, is_tls)
        is_link = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
        if (
            refusal is None
            and headers.get("Sec-Fetch-Site") in _FOREIGN_SITES
            and "Origin" not in headers
            and (_is_api(_path_of(request)) or not is_link)
        ):
            # An image of another page sends no origin. A link of another page may lead to the screen.
            return HandshakeRefusal(HTTPStatus.FORBIDDEN, "pages of other sites may not use this exchange")
        return refusal

    def _serve(self) -> None:
        """Give the request to the session."""
        request = self._request
        assert request is not None, "a body without a request"
        path, _, query = request.target.decode("latin-1").partition("?")
        name = unquote(path).removeprefix(API_PATH).strip("/")
        self._is_busy = True
        if not _is_api(path):
            self._serve_screen(request, path)
            return
        body = b"".join(self._body)
        try:
            text = self._text_of(request.method, name, query, body)
            self._authorize(request, body)
        except RpcError as error:
            self._answer_error(self._charged(error))
        except Exception:
            _log.exception("a request over HTTP failed: %.100r", path)
            self._answer_error(internal_error())
        else:
            self._session.receive(text)

    def _serve_screen(self, request: h11.Request, path: str) -> None:
        """Answer a request for a file of the screen, which costs a credit as any other."""
        try:
            self.quota.take()
        except RpcError as error:
            self._answer_error(error)
            return
        if request.method not in (b"GET", b"HEAD"):
            self._answer(HTTPStatus.METHOD_NOT_ALLOWED, self._error(invalid_request("send GET")))
            return
        accepted = next((value for name, value in request.headers if name == b"accept-encoding"), b"")
        self._answer(*self._owner.screen.answer(path, b"gzip" in accepted))

    def _text_of(self, method: bytes, name: str, query: str, body: bytes) -> bytes:
        """The request as JSON-RPC. Raises RpcError."""
        if method == b"GET":
            if not name:
                raise invalid_request(f"name a method in the path, such as {API_PATH}/public/test")
            self._session.speak(self._dialects.of_texts)
            try:
                pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
            except ValueError:
                raise invalid_request(f"a query may have at most {QUERY_FIELDS_MAX} parameters") from None
            return encode({"jsonrpc": "2.0", "id": None, "method": name, "params": dict(pairs)})
        if method != b"POST":
            raise invalid_request("send GET or POST")
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise RpcError("parse_error", "the body is not UTF-8") from error
        self._session.speak(self._dialects.of_numbers)
        if not name:
            return _with_id(body)
        if body.lstrip()[:1] != b"{":
            raise invalid_request("the body must be a JSON object: the parameters, or a JSON-RPC request")
        try:
            given = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, RecursionError) as error:
            raise RpcError("parse_error", f"the body is not JSON: {error}") from error
        # As on Deribit, the body is a whole request, or the parameters alone.
        params = given.get("params", msgspec.Raw(b"{}")) if "jsonrpc" in given else msgspec.Raw(body)
        raw_id = given.get("id", msgspec.Raw(b"null")) if "jsonrpc" in given else msgspec.Raw(b"null")
        return encode({"jsonrpc": "2.0", "id": raw_id, "method": name, "params": params})

    def _authorize(self, request: h11.Request, body: bytes) -> None:
        """Log the session in as the header `Authorization` says; each request has one of its own. Raises RpcError."""
        given = next((value for name, value in request.headers if name == b"authorization"), b"")
        if given and given == self._authorized:
            return
        self._authorized = b""
        if not given:
            self._session.log_out()
            return
        authorization = Authorization.parse(given.decode("latin-1"))
        signed = signed_text(request.method.decode(), request.target.decode("latin-1"), body.decode("utf-8", "replace"))
        self._session.log_in(authorization.login(self._session.check_login, self._dialects.tokens, signed))
        if authorization.may_be_repeated:
            self._authorized = given

    # Answers.

    def _answer_error(self, error: RpcError) -> None:
        self._answer(_status_of_error(error), self._error(error))

    def _charged(self, error: RpcError) -> RpcError:
        """The error of a request that the session never sees; the error of the rate if that is exceeded."""
        try:
            self.quota.take()
            self.quota.charge(REFUSED_CREDITS)
        except RpcError as limited:
            return limited
        return error

    def _answer(self, status: HTTPStatus, body: bytes, more: Iterable[tuple[str, str]] = _HEADERS) -> None:
        self._is_busy = False
        headers = [("Content-Length", str(len(body))), *more]
        if status is HTTPStatus.TOO_MANY_REQUESTS:
            headers.append(("Retry-After", str(_RETRY_SECONDS)))
        if self._is_ending:
            headers.append(("Connection", "close"))
        self._queue(h11.Response(status_code=status, reason=status.phrase, headers=headers))
        if self._request is None or self._request.method != b"HEAD":
            self._queue(h11.Data(data=body))
        self._queue(h11.EndOfMessage())
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._owner.turns.add(self)
        else:
            self._is_ending = True
        self._owner.note_unsent(self)

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        """Answer a request that cannot be served, and end the connection."""
        self._is_ending = True
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._answer(status, self._error(invalid_request(text)))
        else:
            self._owner.note_unsent(self)

    def _error(self, error: RpcError) -> bytes:
        return self._dialects.of_numbers.error_text(b"null", error, self._dialects.now_us())

    def _queue(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._unsent.append(data)

    def _set_reading_paused(self, is_paused: bool) -> None:
        if is_paused != self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = is_paused
            (self._transport.pause_reading if is_paused else self._transport.resume_reading)()


class _Outcome(msgspec.Struct):
    """The part of an answer that decides its status."""

    error: dict[str, msgspec.Raw] | None = None


_decode_outcome = msgspec.json.Decoder(_Outcome).decode


def _status_of(answer: bytes) -> HTTPStatus:
    """The status of an answer: errors have 400 unless they say another one, as on Deribit."""
    if not answer.startswith(b'{"jsonrpc":"2.0",') or b'"error":{' not in answer[:200]:
        return HTTPStatus.OK
    error = _decode_outcome(answer).error
    return HTTPStatus.OK if error is None else _STATUS_OF_CODE.get(int(bytes(error["code"])), HTTPStatus.BAD_REQUEST)


def _status_of_error(error: RpcError) -> HTTPStatus:
    return _STATUS_OF_CODE.get(error_of(error.data["reason"]).code, HTTPStatus.BAD_REQUEST)


def _with_id(body: bytes) -> bytes:
    """A request that is answered, also if it has no id. Raises RpcError if it is a batch."""
    begin = body.lstrip()
    if not begin.startswith(b"{"):
        raise invalid_request("send one request in a body: a JSON object")
    try:
        has_id = "id" in msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        # The session says why.
        return body
    return body if has_id else b'{"id":null,' + begin[1:]


def _path_of(request: h11.Request) -> str:
    return request.target.decode("latin-1").partition("?")[0]


def _is_api(path: str) -> bool:
    return path == API_PATH or path.startswith(f"{API_PATH}/")


def _wants_websocket(request: h11.Request) -> bool:
    return any(name == b"upgrade" and value.lower() == b"websocket" for name, value in request.headers)


def _bytes_of(request: h11.Request) -> bytes:
    """The head of a request as it is on the wire."""
    lines = [b"%b %b HTTP/1.1" % (request.method, request.target)]
    lines += [b"%b: %b" % (name, value) for name, value in request.headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"
