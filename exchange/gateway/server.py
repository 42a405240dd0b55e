"""The sockets: WebSocket connections over the sans-I/O protocol of websockets, each with a session.

Measured against the server of websockets on the same machine, this one answers two to three times as many messages a
second, mainly because all messages for a connection in one turn of the event loop leave in one write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import cast

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from exchange.gateway.exchange_port import ExchangePort
from exchange.gateway.handshake import AllowedPeers, refusal_of
from exchange.gateway.limits import (
    CLOSE_SECONDS,
    FRAGMENTS_MAX,
    HANDSHAKE_SECONDS,
    IN_FLIGHT_MAX,
    OUTBOX_MAX,
    UNSENT_MAX,
)
from exchange.gateway.methods import METHODS, Method
from exchange.gateway.session import Peer, Session
from exchange.gateway.subscriptions import Subscriptions
from exchange.gateway.websocket import HeldCloseProtocol, quiet_log
from exchange.projections.views import Change, Views

# The length of a second for heartbeats; tests make it shorter.
TICK_SECONDS = 1.0


class Gateway:
    """All connections. As the pipeline's publisher it sends the changes by commands to the subscribers."""

    def __init__(self, exchange: ExchangePort, methods: Mapping[str, Method] = METHODS) -> None:
        self._exchange = exchange
        self._methods = methods
        self._subscriptions = Subscriptions(exchange.views)
        self.recent = self._subscriptions.recent
        # The origins and hosts that a handshake may name besides the exchange's own.
        self.allowed_peers = AllowedPeers()
        self._connections: dict[_Connection, None] = {}
        self._unsent: dict[_Connection, None] = {}
        # Connections that are not read from for now.
        self._paused: dict[_Connection, None] = {}
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.TimerHandle | None = None

    async def bind(self, host: str, port: int) -> str:
        """Bind the address, without accepting connections yet. Returns the URL. Raises OSError if it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, start_serving=False)
        bound_host, bound_port = self._server.sockets[0].getsockname()[:2]
        return f"ws://{f'[{bound_host}]' if ':' in bound_host else bound_host}:{bound_port}/"

    async def open(self) -> None:
        """Start to accept connections."""
        assert self._server is not None, "open before bind"
        for method in self._methods.values():
            if method.prepare is not None:
                method.prepare()
        await self._server.start_serving()
        self._tick_later()

    async def close(self) -> None:
        """Close all connections with code 1001, and wait until they are closed."""
        self._stop_serving()
        connections = list(self._connections)
        for connection in connections:
            connection.close(CloseCode.GOING_AWAY, "the exchange is stopping")
        if connections:
            await asyncio.wait([connection.gone for connection in connections], timeout=2 * CLOSE_SECONDS)

    def abort(self) -> None:
        """Abort all connections."""
        self._stop_serving()
        for connection in list(self._connections):
            connection.abort()

    def publish(self, change: Change) -> None:
        """Queue one command's notifications on the streams."""
        self._subscriptions.publish(change)

    def flush(self) -> None:
        """Queue the changes of books and tickers, and write all queued messages."""
        self._subscriptions.flush()
        self.send_all()

    def on_seek(self, views: Views) -> None:
        """The exchange moved to another moment."""
        for connection in self._connections:
            connection.on_seek()
        self._subscriptions.on_seek(views)
        self.send_all()

    @property
    def connected(self) -> int:
        """The number of connections."""
        return len(self._connections)

    @property
    def backlog(self) -> int:
        """The bytes that the slowest client has not received yet."""
        return max((connection.backlog for connection in self._connections), default=0)

    @property
    def backlog_of_all(self) -> int:
        """The bytes that all clients together have not received yet."""
        return sum(connection.backlog for connection in self._connections)

    @property
    def unanswered(self) -> int:
        """The number of requests that wait or are in flight, of all connections."""
        return sum(connection.unanswered for connection in self._connections)

    def send_all(self) -> None:
        """Write the queued messages, with one write for each connection."""
        while self._unsent:
            connection, _ = self._unsent.popitem()
            connection.write()
        # JSON-RPC notifications finish without an answer, and so without a write that would check this.
        for connection in list(self._paused):
            connection.apply_read_backpressure()
        if self._exchange.meter is not None:
            self._exchange.meter.handed_over()

    def _stop_serving(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._ticking is not None:
            self._ticking.cancel()

    def _tick_later(self) -> None:
        self._ticking = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._tick_later()
        self._exchange.credentials.refresh()
        for connection in list(self._connections):
            connection.on_tick()
        self.send_all()

    def open_session(self, connection: _Connection) -> Session:
        """Register a connection and open its session."""
        self._connections[connection] = None
        close = partial(connection.close, CloseCode.INTERNAL_ERROR)
        peer = Peer(connection.address, connection.reject)
        return Session(
            self._exchange, self._methods, self._subscriptions, connection.send, close, self._call_later, peer
        )

    def open_local_session(self, send: Callable[[bytes], None], close: Callable[[str], None]) -> Session:
        """Open a session inside this process; `send` receives its messages. It need not share time with others."""
        return Session(self._exchange, self._methods, self._subscriptions, send, close)

    def _call_later(self, call: Callable[[], None]) -> None:
        """Call a function after other connections had their turn, then write the messages it caused."""
        loop = asyncio.get_running_loop()
        loop.call_soon(call)
        loop.call_soon(self.send_all)

    def note_unsent(self, connection: _Connection) -> None:
        """Note that this connection has queued messages: the next `send_all` writes them."""
        self._unsent[connection] = None

    def note_paused(self, connection: _Connection, paused: bool) -> None:
        """Note that reading from this connection was paused or resumed."""
        if paused:
            self._paused[connection] = None
        else:
            self._paused.pop(connection, None)

    def forget(self, connection: _Connection) -> None:
        """Remove a closed connection."""
        self._connections.pop(connection, None)
        self._unsent.pop(connection, None)
        self._paused.pop(connection, None)


class _Connection(asyncio.Protocol):
    """One TCP connection: the handshake, messages from frames to the session, and texts from the session to frames."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._websocket = HeldCloseProtocol()
        self._fragments: list[bytes] = []
        self._is_writing_paused = False
        self._is_reading_paused = False
        # Messages are taken from the handshake until either side closes.
        self._is_listening = False
        # The client has closed its side, and still gets answers.
        self._is_half_open = False
        # Bytes since the last write.
        self._unsent_size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._session: Session | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = loop.create_future()
        self._session = self._gateway.open_session(self)
        self._timer = loop.call_later(HANDSHAKE_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._websocket.state is State.CLOSED or self._transport.is_closing():
            return
        self._websocket.receive_data(data)
        for event in self._websocket.events_received():
            if isinstance(event, Request):
                self._answer_handshake(event)
            else:
                self._on_frame(cast(Frame, event))
        self.write()
        self._gateway.send_all()

    def eof_received(self) -> bool:
        self._websocket.receive_eof()
        self.write()
        # If requests before a Close frame wait for their answers, the connection stays half open until then.
        self._is_half_open = self._websocket.held_close is not None
        return self._is_half_open

    def connection_lost(self, _error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._gateway.forget(self)
        try:
            if self._session is not None:
                self._session.close()
        finally:
            self.gone.set_result(None)

    def pause_writing(self) -> None:
        self._is_writing_paused = True
        if self._session is not None:
            self._session.set_backpressure(True)
        self.apply_read_backpressure()

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        self.write()
        self._gateway.send_all()

    def send(self, text: bytes) -> None:
        """Queue a text for the next `write`."""
        if self._websocket.state is State.OPEN:
            self._websocket.send_text(text)
            self._gateway.note_unsent(self)
            self._unsent_size += len(text)
            if self._unsent_size > UNSENT_MAX and self._session is not None:
                self._session.set_backpressure(True)

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
        if self._transport.get_write_buffer_size() > OUTBOX_MAX:
            quiet_log.warning("a client reads too slowly: its connection is aborted")
            self._transport.abort()
        elif self._websocket.close_expected():
            self._abort_later()
        if not self._is_writing_paused and self._session is not None:
            self._session.set_backpressure(False)
        self.apply_read_backpressure()

    def close(self, code: CloseCode, reason: str) -> None:
        """Start the closing handshake."""
        if self._websocket.state is State.OPEN:
            self._websocket.fail(code, reason)
            self.write()
        elif self._websocket.state is State.CONNECTING:
            self._transport.abort()
        self._is_listening = False

    def reject(self, reason: str) -> None:
        """Close the connection because of what the client did, after the messages of this turn are written."""
        asyncio.get_running_loop().call_soon(self.close, CloseCode.POLICY_VIOLATION, reason)

    @property
    def address(self) -> str:
        """The client's IP address; empty if it is gone already."""
        return (self._transport.get_extra_info("peername") or ("",))[0]

    @property
    def backlog(self) -> int:
        """The bytes that the client has not received yet."""
        return 0 if self._transport.is_closing() else self._transport.get_write_buffer_size()

    @property
    def unanswered(self) -> int:
        """The number of the client's requests that wait or are in flight."""
        return 0 if self._session is None else self._session.unanswered

    def on_seek(self) -> None:
        assert self._session is not None
        self._session.on_seek()

    def on_tick(self) -> None:
        assert self._session is not None
        self._session.on_tick()

    def abort(self) -> None:
        """Abort the connection."""
        self._transport.abort()

    def _answer_handshake(self, request: Request) -> None:
        local = self._transport.get_extra_info("sockname")[:2]
        refusal = refusal_of(request.headers, local, self._gateway.allowed_peers)
        if refusal is not None:
            response = self._websocket.reject(refusal.status, refusal.text)
        elif request.path.partition("?")[0] == "/":
            response = self._websocket.accept(request)
        else:
            text = f"nothing is served at {request.path:.100}: connect to the root path, /\n"
            response = self._websocket.reject(HTTPStatus.NOT_FOUND, text)
        self._websocket.send_response(response)
        if self._websocket.state is State.OPEN and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._is_listening = True

    def _on_frame(self, frame: Frame) -> None:
        if not self._is_listening:
            return
        if frame.opcode is Opcode.CLOSE:
            self._is_listening = False
            self._gateway.note_paused(self, True)
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
        assert self._session is not None
        if not message.isascii():
            try:
                message.decode()
            except UnicodeDecodeError:
                self._fail(CloseCode.INVALID_DATA, "the text is not UTF-8")
                return
        self._session.receive(message)

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Close the connection because the client broke the protocol."""
        self._is_listening = False
        self._websocket.fail(code, reason)

    def apply_read_backpressure(self) -> None:
        """Stop reading while the client does not read, or has too many unanswered requests."""
        assert self._session is not None
        if self._websocket.held_close is not None:
            self._answer_close()
            return
        pause = self._is_writing_paused or self._session.unanswered > IN_FLIGHT_MAX
        if pause != self._is_reading_paused:
            self._set_reading_paused(pause)

    def _set_reading_paused(self, is_paused: bool) -> None:
        self._gateway.note_paused(self, is_paused)
        if is_paused != self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = is_paused
            (self._transport.pause_reading if is_paused else self._transport.resume_reading)()

    def _answer_close(self) -> None:
        """Answer the client's Close frame when all requests before it are answered."""
        if self._session is not None and not self._session.unanswered:
            self._set_reading_paused(False)
            self._websocket.echo_close()
            self.write()
            if self._is_half_open:
                self._transport.close()

    def _write_eof(self) -> None:
        try:
            self._transport.write_eof()
        except OSError:
            # The client is gone, but `connection_lost` was not called yet.
            self._transport.abort()

    def _abort_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transport.abort)
