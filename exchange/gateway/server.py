"""The server: it listens, knows all connections, and sends each its answers and notifications.

Measured against the server of websockets on the same machine, this one answers two to three times as many messages a
second, mainly because all messages for a connection in one turn of the event loop leave in one write.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
from collections.abc import Callable, Mapping
from functools import cached_property, partial

from websockets.frames import CloseCode

from exchange.free_memory import give_back_memory
from exchange.gateway.chaos import Chaos
from exchange.gateway.deribit import WEBSOCKET_PATH
from exchange.gateway.deribit.dialect import DeribitDialects
from exchange.gateway.dialect import Dialect
from exchange.gateway.exchange_port import ExchangePort
from exchange.gateway.handshake import AllowedPeers, HandshakeRefusal
from exchange.gateway.http_connection import HttpConnection
from exchange.gateway.limits import LAST_ANSWERS_SECONDS, LAST_CLOSES_SECONDS
from exchange.gateway.methods import METHODS, Method
from exchange.gateway.pace import Pace
from exchange.gateway.quotas import ConnectionQuota, Quotas
from exchange.gateway.screen import Screen
from exchange.gateway.session import Peer, Session
from exchange.gateway.socket_connection import SocketConnection
from exchange.gateway.subscriptions import Subscriptions
from exchange.gateway.turns import Turns
from exchange.gateway.websocket import quiet_log
from exchange.projections.fold import Change
from exchange.projections.views import Views

# The length of a second for heartbeats; tests make it shorter.
TICK_SECONDS = 1.0
# A closed connection is a cycle of references of about 15 kB. The collection of garbage in each tick finds those that
# were open for fewer ticks than this. After this number of others, a whole collection is worth it: it stops the loop.
OLD_TICKS = 1
OLD_CLOSED_MAX = 5_000
# The gateway gives memory back in the tick after this number of connections is closed. It stops the loop for about
# 0.1 ms per MiB, so it does not wait until a flood has left more.
FREED_CONNECTIONS = 20


Connection = SocketConnection | HttpConnection


class Gateway:
    """All connections. As the pipeline's publisher it sends the changes by commands to the subscribers."""

    def __init__(self, exchange: ExchangePort, methods: Mapping[str, Method] = METHODS) -> None:
        self._exchange = exchange
        self._dialect = Dialect(methods)
        # By the path of the handshake.
        self._deribit = DeribitDialects(methods, exchange.now_us)
        self.dialects: dict[str, Dialect] = {"/": self._dialect, WEBSOCKET_PATH: self._deribit.of_websocket}
        self._subscriptions = Subscriptions(exchange.views)
        self.screen = Screen()
        self.recent = self._subscriptions.recent
        # Faults on purpose; None: there are none.
        self.chaos: Chaos | None = None
        # The origins and hosts that a handshake may name besides the exchange's own.
        self.allowed_peers = AllowedPeers()
        self._connections: dict[Connection, None] = {}
        self._unsent: dict[Connection, None] = {}
        # Done when messages were written; only while the gateway closes.
        self._sent: asyncio.Future[None] | None = None
        # Connections that wait until the client reads or some requests are answered.
        self._blocked: dict[Connection, None] = {}
        # The bytes that clients have not received yet, as of their last writes.
        self._outboxes_bytes = 0
        # Old connections that were closed since the last whole collection of garbage.
        self._old_closed = 0
        # Connections that were closed since memory was last given back.
        self._closed = 0
        self.limits = exchange.limits
        self.turns = Turns(lambda: exchange.is_crowded, self.send_all)
        self._pace = Pace(self._subscriptions.flush, self.send_all)
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.TimerHandle | None = None

    async def bind(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> str:
        """Bind the address, without accepting connections yet. Raises OSError if it is taken.

        Returns the URL for programs on this machine.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SocketConnection(self),
            host,
            port,
            start_serving=False,
            ssl=tls,
            ssl_handshake_timeout=None if tls is None else self.limits.handshake_s,
        )
        bound_host, bound_port = self._server.sockets[0].getsockname()[:2]
        # `Host` may not be the address that stands for all addresses.
        reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound_host, bound_host)
        return f"{'ws' if tls is None else 'wss'}://{f'[{reached}]' if ':' in reached else reached}:{bound_port}/"

    async def open(self) -> None:
        """Start to accept connections."""
        assert self._server is not None, "open before bind"
        for method in self._dialect.methods.values():
            if method.prepare is not None:
                method.prepare()
        await self._server.start_serving()
        self._tick_later()

    async def close(self) -> None:
        """Read no more requests, answer those that have begun, and close all connections with code 1001.

        A client that does not read, or does not answer the Close, is aborted after a short time.
        """
        self._stop_serving()
        for connection in list(self._connections):
            connection.stop_reading()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_ANSWERS_SECONDS):
                while self.unanswered:
                    self._sent = asyncio.get_running_loop().create_future()
                    await self._sent
        connections = self.close_all(CloseCode.GOING_AWAY, "the exchange is stopping")
        if connections:
            await asyncio.wait([connection.gone for connection in connections], timeout=LAST_CLOSES_SECONDS)
        for connection in list(self._connections):
            connection.abort()

    def close_all(self, code: CloseCode, reason: str) -> list[Connection]:
        """Close all connections, and return them."""
        connections = list(self._connections)
        for connection in connections:
            connection.close(code, reason)
        return connections

    def abort(self) -> None:
        """Abort all connections."""
        self._stop_serving()
        for connection in list(self._connections):
            connection.abort()

    def publish(self, change: Change) -> None:
        """Queue one command's notifications on the streams."""
        self._subscriptions.publish(change)
        self._pace.on_command()

    def flush(self) -> None:
        """Queue the changes of books and tickers, and write all queued messages."""
        self._pace.on_batch()
        self.turns.on_batch()

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
        for connection in list(self._blocked):
            connection.go_on()
        if self._exchange.meter is not None:
            self._exchange.meter.handed_over()
        if self._sent is not None and not self._sent.done():
            self._sent.set_result(None)

    def _stop_serving(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._ticking is not None:
            self._ticking.cancel()
        self._pace.stop()

    def _tick_later(self) -> None:
        self._ticking = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._tick_later()
        self._exchange.credentials.refresh()
        self._quotas.on_tick()
        if self.chaos is not None and self.chaos.is_maintenance_due():
            self.close_all(CloseCode.SERVICE_RESTART, "maintenance")
        for connection in list(self._connections):
            connection.on_tick()
        self.send_all()
        if self._old_closed >= OLD_CLOSED_MAX:
            self._old_closed = 0
            gc.collect()
        else:
            # Python counts new objects less freed ones. Each order replaces an old one that is forgotten, so under load
            # it would wait for a minute, and then look at the objects of a million orders at once, for 150 ms.
            gc.collect(1)
        if self._closed >= FREED_CONNECTIONS:
            self._closed = 0
            give_back_memory()

    @cached_property
    def _quotas(self) -> Quotas:
        # Not made before the exchange has its clock.
        return Quotas(self._exchange.limits, self._exchange.now_us)

    def admit(self, connection: SocketConnection) -> ConnectionQuota | HandshakeRefusal:
        """The quota of a new connection, or the reason to refuse it."""
        if self.chaos is not None and (refusal := self.chaos.why_refused()) is not None:
            return refusal
        return self._quotas.admit(connection.address)

    def open_session(self, connection: Connection) -> Session:
        """Register a connection and open its session."""
        self._connections[connection] = None
        close = partial(connection.close, CloseCode.INTERNAL_ERROR)
        peer = Peer(connection.address, connection.reject, connection.turn, connection.quota)
        if self.chaos is None:
            return Session(self._exchange, self._dialect, self._subscriptions, connection.send, close, peer)
        chaos = self.chaos.of_connection(connection.send, self.send_all, connection.abort)
        return Session(self._exchange, self._dialect, self._subscriptions, chaos.send, close, peer, chaos.on_request)

    def open_http_session(self, connection: HttpConnection) -> Session:
        """Register an HTTP connection and open its session."""
        return self.open_session(connection)

    def serve_http(self, connection: SocketConnection, transport: asyncio.Transport, data: bytes) -> None:
        """Serve a connection whose first bytes are no handshake, but a request over HTTP."""
        self.forget(connection)
        http = HttpConnection(self, transport, connection.quota, self._deribit)
        transport.set_protocol(http)
        http.data_received(data)

    def serve_websocket(self, connection: HttpConnection, transport: asyncio.Transport, data: bytes) -> None:
        """Serve a connection whose client goes on with a WebSocket after requests over HTTP."""
        self.forget(connection)
        websocket = SocketConnection(self)
        websocket.take_over(transport, connection.quota)
        transport.set_protocol(websocket)
        websocket.data_received(data)

    def open_local_session(self, send: Callable[[bytes], None], close: Callable[[str], None]) -> Session:
        """Open a session inside this process; `send` receives its messages. It need not share time with others."""
        return Session(self._exchange, self._dialect, self._subscriptions, send, close)

    def note_unsent(self, connection: Connection) -> None:
        """Note that this connection has queued messages: the next `send_all` writes them."""
        self._unsent[connection] = None

    def note_blocked(self, connection: Connection, is_blocked: bool) -> None:
        """Note that `send_all` must look if this connection can go on, or that it need not any more."""
        if is_blocked:
            self._blocked[connection] = None
        else:
            self._blocked.pop(connection, None)

    def note_outbox(self, changed_bytes: int) -> None:
        """Note by how much a client's unread bytes grew. If all together have too many, the slowest is closed."""
        self._outboxes_bytes += changed_bytes
        bytes_max = self.limits.outboxes_bytes_max
        # The sum is too large if clients have read since their last writes, so it is counted again before it matters.
        if changed_bytes > 0 and self._outboxes_bytes > bytes_max and self.backlog_of_all > bytes_max:
            slowest = max(self._connections, key=lambda connection: connection.backlog)
            quiet_log.warning("the unread messages of all clients take too much memory: the slowest is closed")
            slowest.abort()

    def forget(self, connection: Connection) -> None:
        """Remove a closed connection."""
        self._connections.pop(connection, None)
        self._closed += 1
        self._old_closed += connection.age_ticks >= OLD_TICKS
        self._unsent.pop(connection, None)
        self._blocked.pop(connection, None)
        self.turns.remove(connection)
