"""One TCP connection of a client: from bytes to frames to the session, and from texts to frames to bytes.

state        bytes                                       ends with
handshake    are an HTTP request                         the answer to it
listening    are frames                                  a Close, a broken rule, or the end of the bytes
closing      are ignored; requests are still answered    the last answer, then the Close
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Protocol, cast

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from exchange.gateway.dialect import Dialect
from exchange.gateway.handshake import AllowedPeers, HandshakeRefusal, refusal_of
from exchange.gateway.limits import (
    CLOSE_SECONDS,
    FRAGMENTS_MAX,
    IGNORED_MAX,
    IN_FLIGHT_MAX,
    OUTBOX_MAX,
    REFUSALS_PER_TURN,
    REST_SECONDS_MAX,
    REST_SECONDS_MIN,
    REST_WORK_SECONDS,
    SLICE_BYTES,
    UNREAD_MAX,
    UNSENT_MAX,
    GatewayLimits,
)
from exchange.gateway.quotas import ConnectionQuota
from exchange.gateway.session import Session
from exchange.gateway.turns import Turn, Turns
from exchange.gateway.websocket import HeldCloseProtocol, quiet_log

# The first bytes of requests over HTTP. A GET is one if its head does not ask for a WebSocket.
HTTP_BEGINS = (b"POST /", b"HEAD /")
_GET = b"GET /"
_HEAD_ENDS = b"\r\n\r\n"


class ConnectionOwner(Protocol):
    """The gateway as a connection sees it."""

    turns: Turns
    dialects: dict[str, Dialect]
    allowed_peers: AllowedPeers
    limits: GatewayLimits

    def admit(self, connection: SocketConnection) -> ConnectionQuota | HandshakeRefusal:
        """The quota of a new connection, or the reason to refuse it."""
        ...

    def open_session(self, connection: SocketConnection) -> Session:
        """Register a connection and open its session."""
        ...

    def send_all(self) -> None:
        """Write the queued messages of all connections."""
        ...

    def serve_http(self, connection: SocketConnection, transport: asyncio.Transport, data: bytes) -> None:
        """Serve a connection whose first bytes are no handshake, but a request over HTTP."""
        ...

    def note_unsent(self, connection: SocketConnection) -> None:
        """Note that this connection has queued messages: the next `send_all` writes them."""
        ...

    def note_blocked(self, connection: SocketConnection, is_blocked: bool) -> None:
        """Note that `send_all` must look if this connection can go on, or that it need not any more."""
        ...

    def note_outbox(self, changed_bytes: int) -> None:
        """Note by how much a client's unread bytes grew."""
        ...

    def forget(self, connection: SocketConnection) -> None:
        """Remove a closed connection."""
        ...


class SocketConnection(asyncio.Protocol):
    """One TCP connection: the handshake, messages from frames to the session, and texts from the session to frames."""

    def __init__(self, owner: ConnectionOwner) -> None:
        self._owner = owner
        self.turn = Turn(lambda: owner.turns.add(self))
        self._websocket = HeldCloseProtocol()
        # Bytes that wait for a turn; those before `_unread_from` are decoded.
        self._unread = b""
        self._unread_from = 0
        self._fragments: list[bytes] = []
        self._is_writing_paused = False
        self._is_reading_paused = False
        # The session makes no more messages than it must.
        self._is_backpressured = False
        # Bytes wait until the client reads or some requests are answered.
        self._is_blocked = False
        self._is_resting = False
        self._rest_seconds = REST_SECONDS_MIN
        # Bytes are taken until either side closes.
        self._is_listening = True
        # The client has closed its side, or the connection is lost.
        self._has_ended = False
        self._is_lost = False
        self._is_refused = False
        # The first bytes do not tell yet if they are a handshake.
        self._is_new = True
        self._handshake_bytes = 0
        # Bytes that came after the connection stopped to listen.
        self._ignored_bytes = 0
        self.age_ticks = 0
        self._silent_s = 0
        # The bytes that the client had not received after the last write.
        self._outbox_bytes = 0
        # Bytes since the last write.
        self._unsent_size = 0
        self._timer: asyncio.TimerHandle | None = None
        self.quota: ConnectionQuota
        self._session: Session
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = loop.create_future()
        admitted = self._owner.admit(self)
        if isinstance(admitted, HandshakeRefusal):
            self._refuse(admitted)
            return
        self.quota = admitted
        self._session = self._owner.open_session(self)
        self._timer = loop.call_later(self._owner.limits.handshake_s, self.abort)

    def take_over(self, transport: asyncio.Transport, quota: ConnectionQuota) -> None:
        """Begin with a connection that was admitted before."""
        self._transport, self.quota = transport, quota
        # The client asked for a WebSocket, on whatever path, and does not go back to HTTP.
        self._is_new = False
        loop = asyncio.get_running_loop()
        self.gone = loop.create_future()
        quota.log_out()
        self._session = self._owner.open_session(self)
        self._timer = loop.call_later(self._owner.limits.handshake_s, self.abort)

    def data_received(self, data: bytes) -> None:
        self._silent_s = 0
        if self._is_listening and not self._transport.is_closing():
            self._unread = self._unread[self._unread_from :] + data if self._unread else data
            self._unread_from = 0
            self.turn.read_seconds = time.perf_counter()
            self._owner.turns.add(self)
            if len(self._unread) > UNREAD_MAX:
                # At once, because uvloop would read many times more before it serves others.
                self._set_reading_paused(True)
        elif self._websocket.held_close is None:
            self._ignored_bytes += len(data)
            if self._ignored_bytes > IGNORED_MAX:
                self._set_reading_paused(True)

    def eof_received(self) -> bool:
        if self._is_refused:
            return False
        self._has_ended = True
        self._owner.turns.add(self)
        # Requests that came before may wait for a turn or an answer. The connection is half open until then; TLS knows
        # no such state.
        return not self._is_tls

    def connection_lost(self, _error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._has_ended = self._is_lost = True
        if self._is_refused:
            return
        if self._unread and self._is_listening:
            # Requests that waited for the client to read can go on: their answers go nowhere.
            self._is_writing_paused = False
            self._set_backpressure(False)
            self._owner.turns.add(self)
        else:
            self._finish()

    def pause_writing(self) -> None:
        self._is_writing_paused = True
        self._set_backpressure(True)
        self.go_on()

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        self.write()
        self._owner.send_all()

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
        """Decode bytes and start requests until that time of `perf_counter`. Returns True if some are left."""
        if self._is_new and not self._is_handshake():
            return False
        turn = self.turn
        refused_before = self.quota.refused
        turn.begin(ends_seconds)
        while self._unread and not turn.has_waiting and not self._must_wait():
            self._decode_slice()
            if turn.is_over or self.quota.refused - refused_before > REFUSALS_PER_TURN:
                break
        self._rest_after(self.quota.refused - refused_before)
        if self._websocket.writes:
            self._owner.note_unsent(self)
        if self._has_ended and not self._unread:
            self._end()
        self.go_on()
        return turn.has_waiting or bool(self._unread and not self._is_blocked)

    def send(self, text: bytes) -> None:
        """Queue a text for the next `write`."""
        if self._websocket.state is State.OPEN and not self._is_lost:
            self._websocket.queue_text(text)
            self._unsent_size += len(text)
            if self._is_writing_paused and self._unsent_size < UNREAD_MAX:
                # They are written when the client reads.
                return
            self._owner.note_unsent(self)
            if self._unsent_size > UNSENT_MAX:
                self._set_backpressure(True)

    def write(self) -> None:
        """Hand the queued texts to the transport, and close it when the protocol says so."""
        if self._transport.is_closing():
            return
        chunks = self._websocket.data_to_send()
        if chunks:
            self._transport.write(b"".join(chunks))
            if chunks[-1] == b"":
                self._write_eof()
        self._unsent_size = 0
        outbox_bytes = self._transport.get_write_buffer_size()
        if outbox_bytes != self._outbox_bytes:
            self._note_outbox(outbox_bytes)
        if outbox_bytes > OUTBOX_MAX:
            quiet_log.warning("a client reads too slowly: its connection is aborted")
            self.abort()
        elif self._websocket.state is not State.OPEN and self._websocket.close_expected():
            self._abort_later()
        if self._is_backpressured and not self._is_writing_paused:
            self._set_backpressure(False)
        if self._is_blocked or self._is_reading_paused:
            self.go_on()

    def close(self, code: CloseCode, reason: str) -> None:
        """Start the closing handshake."""
        self._stop_listening()
        if self._websocket.state is State.OPEN:
            self._websocket.fail(code, reason)
            self.write()
        elif self._websocket.state is State.CONNECTING:
            self.abort()

    def stop_reading(self) -> None:
        """Take no more requests. Those that have begun are answered."""
        if self._websocket.state is State.CONNECTING:
            self.abort()
        self._stop_listening()

    def reject(self, reason: str, code: CloseCode = CloseCode.POLICY_VIOLATION) -> None:
        """Close the connection because of what the client did, after the messages of this turn are written."""
        asyncio.get_running_loop().call_soon(self.close, code, reason)

    @property
    def address(self) -> str:
        """The client's IP address; empty if it is gone already."""
        return (self._transport.get_extra_info("peername") or ("",))[0]

    @property
    def backlog(self) -> int:
        """The bytes that the client has not received yet."""
        return 0 if self._transport.is_closing() else self._transport.get_write_buffer_size()

    def on_seek(self) -> None:
        self._session.on_seek()

    def on_tick(self) -> None:
        """One second passed."""
        self.turn.worked_seconds /= 2
        self.age_ticks += 1
        self._silent_s += 1
        self._end_silence()
        self._session.on_tick()

    def abort(self) -> None:
        """Abort the connection."""
        self._stop_listening()
        self._transport.abort()

    def go_on(self) -> None:
        """Continue to read if the client reads and enough of its requests are answered; otherwise stop."""
        if self._websocket.held_close is not None:
            self._answer_close()
            return
        if self.gone.done():
            return
        is_blocked = self._must_wait()
        if is_blocked != self._is_blocked:
            self._is_blocked = is_blocked
            self._owner.note_blocked(self, is_blocked)
            if self._unread and not is_blocked:
                self._owner.turns.add(self)
        self._set_reading_paused(is_blocked or len(self._unread) - self._unread_from > UNREAD_MAX)

    def _rest_after(self, refused: int) -> None:
        """Let a client rest that goes on although its requests are refused because of a rate."""
        if not refused:
            self._rest_seconds = REST_SECONDS_MIN
        elif refused > REFUSALS_PER_TURN and not self._is_lost:
            self._is_resting = True
            # Afterwards it goes behind the clients that keep to their rates.
            self.turn.worked_seconds += REST_WORK_SECONDS
            asyncio.get_running_loop().call_later(self._rest_seconds, self._end_rest)
            self._rest_seconds = min(2 * self._rest_seconds, REST_SECONDS_MAX)

    def _end_rest(self) -> None:
        self._is_resting = False
        self.go_on()

    def _must_wait(self) -> bool:
        return (
            self._is_resting
            or (self._is_writing_paused and not self._is_lost)
            or self._session.unanswered > IN_FLIGHT_MAX
        )

    def _set_backpressure(self, is_backpressured: bool) -> None:
        self._is_backpressured = is_backpressured
        self._session.set_backpressure(is_backpressured)

    def _note_outbox(self, outbox_bytes: int) -> None:
        changed_bytes, self._outbox_bytes = outbox_bytes - self._outbox_bytes, outbox_bytes
        self._owner.note_outbox(changed_bytes)

    def _refuse(self, refusal: HandshakeRefusal) -> None:
        """Answer a connection that has no place, before its handshake."""
        self._is_refused, self._is_listening = True, False
        self._transport.write(self._websocket.reject(refusal.status, refusal.text).serialize())
        self._transport.close()

    def _end_silence(self) -> None:
        """Ping a client that was silent for long, and close the connection if it stays silent."""
        limits = self._owner.limits
        if self._websocket.state is not State.OPEN:
            return
        if limits.unauthenticated_s and self._silent_s >= limits.unauthenticated_s and not self._session.is_engaged:
            self.close(CloseCode.POLICY_VIOLATION, f"no login, no channel and no message for {self._silent_s} s")
        elif limits.idle_s and self._silent_s >= limits.idle_s:
            self.close(CloseCode.POLICY_VIOLATION, f"no message and no pong for {self._silent_s} s")
        elif limits.idle_s and self._silent_s == limits.idle_s // 2:
            self._websocket.send_ping(b"")
            self._owner.note_unsent(self)

    def _is_handshake(self) -> bool:
        """True if the bytes are no request over HTTP. If they are, another object takes the connection."""
        begin = self._unread[: len(HTTP_BEGINS[0])]
        is_http = begin.startswith(HTTP_BEGINS)
        if not is_http and begin.startswith(_GET):
            head, ends, _ = self._unread.partition(_HEAD_ENDS)
            limits = self._owner.limits
            is_short = len(head) <= limits.handshake_bytes_max and head.count(b"\n") <= limits.handshake_headers_max
            if not ends and is_short and not self._has_ended:
                return False
            is_http = bool(ends) and b"\r\nupgrade:" not in head.lower()
        if is_http:
            data = self._unread
            self._stop_listening()
            if self._timer is not None:
                self._timer.cancel()
            self._owner.serve_http(self, self._transport, data)
            return False
        if any(known.startswith(begin) for known in (*HTTP_BEGINS, _GET)) and not self._has_ended:
            return False
        self._is_new = False
        return True

    def _decode_slice(self) -> None:
        """Decode the next bytes, and take their frames."""
        begin, end = self._unread_from, self._unread_from + SLICE_BYTES
        if end < len(self._unread):
            self._unread_from = end
            piece = self._unread[begin:end]
        else:
            piece = self._unread[begin:] if begin else self._unread
            self._drop_unread()
        if self._websocket.state is State.CONNECTING and self._is_handshake_too_long(len(piece)):
            return
        self._websocket.receive_data(piece)
        self._take_events()
        if self._websocket.eof_sent:
            self._stop_listening()

    def _take_events(self) -> None:
        for event in self._websocket.events_received():
            if isinstance(event, Request):
                self._answer_handshake(event)
                # The frames after the handshake, which waited for the answer.
                self._websocket.receive_data(b"")
                self._take_events()
            elif self._is_listening:
                self._on_frame(cast(Frame, event))

    def _drop_unread(self) -> None:
        self._unread, self._unread_from = b"", 0

    def _stop_listening(self) -> None:
        self._is_listening = False
        self._drop_unread()

    def _end(self) -> None:
        """The client has closed its side, and all its bytes are decoded."""
        if self._is_lost:
            self._finish()
            return
        self._websocket.receive_eof()
        self.write()
        if self._websocket.held_close is None:
            self._transport.close()

    def _finish(self) -> None:
        """The connection is gone."""
        if self.gone.done():
            # This turn was for commands that the client sent before.
            return
        self._stop_listening()
        self._note_outbox(0)
        self._owner.forget(self)
        try:
            self._session.close()
        finally:
            if not self.gone.done():
                self.gone.set_result(None)

    def _is_handshake_too_long(self, more_bytes: int) -> bool:
        """Count bytes of the handshake, and refuse it if they become too many."""
        self._handshake_bytes += more_bytes
        bytes_max = self._owner.limits.handshake_bytes_max
        if self._handshake_bytes <= bytes_max:
            return False
        text = f"a handshake may have at most {bytes_max} bytes\n"
        self._websocket.send_response(self._websocket.reject(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text))
        self._stop_listening()
        return True

    def _answer_handshake(self, request: Request) -> None:
        local = self._transport.get_extra_info("sockname")[:2]
        refusal = refusal_of(request.headers, local, self._owner.allowed_peers, self._is_tls)
        headers_max = self._owner.limits.handshake_headers_max
        if len(list(request.headers.raw_items())) > headers_max:
            text = f"a handshake may have at most {headers_max} headers\n"
            response = self._websocket.reject(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text)
        elif refusal is not None:
            response = self._websocket.reject(refusal.status, refusal.text)
        elif (dialect := self._owner.dialects.get(request.path.partition("?")[0])) is not None:
            response = self._websocket.accept(request)
            self._session.speak(dialect)
        else:
            paths = " or ".join(self._owner.dialects)
            text = f"nothing is served at {request.path:.100}: connect to {paths}\n"
            response = self._websocket.reject(HTTPStatus.NOT_FOUND, text)
        self._websocket.send_response(response)
        if self._websocket.state is not State.OPEN:
            self._stop_listening()
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self._stop_listening()
            self._owner.note_blocked(self, True)
            self._abort_later()
        elif frame.opcode is Opcode.BINARY:
            self._fail(CloseCode.UNSUPPORTED_DATA, "binary frames are not supported: send JSON in text frames")
        elif frame.opcode is Opcode.TEXT or frame.opcode is Opcode.CONT:
            if frame.fin and not self._fragments:
                self._on_message(bytes(frame.data))
                return
            self._fragments.append(bytes(frame.data))
            if len(self._fragments) > FRAGMENTS_MAX:
                self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message may have at most {FRAGMENTS_MAX} fragments")
            elif frame.fin:
                message, self._fragments = b"".join(self._fragments), []
                self._on_message(message)

    def _on_message(self, message: bytes) -> None:
        if not message.isascii():
            try:
                message.decode()
            except UnicodeDecodeError:
                self._fail(CloseCode.INVALID_DATA, "the text is not UTF-8")
                return
        self._session.receive(message)

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Close the connection because the client broke the protocol."""
        self._stop_listening()
        self._websocket.fail(code, reason)

    def _set_reading_paused(self, is_paused: bool) -> None:
        if is_paused != self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = is_paused
            (self._transport.pause_reading if is_paused else self._transport.resume_reading)()

    def _answer_close(self) -> None:
        """Answer the client's Close frame when all requests before it are answered."""
        if not self._session.unanswered:
            self._owner.note_blocked(self, False)
            self._set_reading_paused(False)
            self._websocket.echo_close()
            self.write()
            if self._has_ended:
                self._transport.close()

    @property
    def _is_tls(self) -> bool:
        return self._transport.get_extra_info("sslcontext") is not None

    def _write_eof(self) -> None:
        if self._is_tls:
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:
            # The client is gone, but `connection_lost` was not called yet.
            self.abort()

    def _abort_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.abort)
