"""A WebSocket client that can also break the protocol, and an exchange on a real socket for it."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from exchange.catch_up.streams import RecentUpdates
from exchange.engine.recovery import recover
from exchange.gateway.handshake import AllowedPeers, Authority
from exchange.gateway.http_connection import HttpConnection
from exchange.gateway.socket_connection import SocketConnection
from exchange.journal.protocols import JournalWriter
from exchange.runtime.node import Node, open_journal
from exchange.runtime.server_settings import ServerSettings, admin_secret_file
from tests.fake_exchange import START_US
from tests.lawyer import Lawyer

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
INSTRUMENT = "SOL_USDC-28FEB26-150-C"
# The time limit of one test.
PATIENCE_SECONDS = 60.0


class Closed(Exception):  # noqa: N818 - closing is not an error in these tests
    """The server closed the connection with this code; None: without a closing handshake."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Frame(NamedTuple):
    opcode: int
    payload: bytes


def frame_bytes(opcode: int, payload: bytes, *, fin: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """Encode one frame as a client sends it (RFC 6455, 5.2)."""
    length = len(payload)
    if length < 126:
        size = bytes([length | 128 * masked])
    elif length < 65_536:
        size = bytes([126 | 128 * masked]) + length.to_bytes(2)
    else:
        size = bytes([127 | 128 * masked]) + length.to_bytes(8)
    head = bytes([128 * fin | reserved << 4 | opcode]) + size
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[n % 4] for n, byte in enumerate(payload))


class Wire:
    """The client's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        # The name and the port of the server, as a handshake names them.
        self.host = "127.0.0.1:{}".format(writer.get_extra_info("peername")[1])
        self.lawyer = Lawyer()

    @classmethod
    async def dial(cls, url: str, receive_buffer: int | None = None) -> "Wire":
        """Open a TCP connection without a handshake. `receive_buffer` is the size of the socket's buffer in bytes."""
        host, port = url.removeprefix("ws://").rstrip("/").rsplit(":", 1)
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        return cls(*await asyncio.open_connection(sock=sock, limit=receive_buffer or 2**24))

    async def shake_hands(self, path: str = "/", upgrade: bool = True) -> str:
        """Send the handshake. Returns the head of the answer."""
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.host}"]
        if upgrade:
            lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
            lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    def send(self, text: str) -> None:
        """Send one text frame."""
        self.lawyer.sent(text.encode())
        self.writer.write(frame_bytes(TEXT, text.encode()))

    async def frame(self) -> Frame:
        """Read the next frame. Raises Closed if the connection is closed."""
        try:
            first, length = await self.reader.readexactly(2)
            if length > 125:
                length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8))
            payload = await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Closed(None) from None
        assert first & 0xF0 == 0x80, "the server sent a fragment or used reserved bits"
        if first & 0xF == CLOSE:
            raise Closed(int.from_bytes(payload[:2]) if payload else 1005)
        return Frame(first & 0xF, payload)

    async def text(self) -> Any:
        """Read and parse the next message."""
        opcode, payload = await self.frame()
        assert opcode == TEXT
        self.lawyer.got(payload)
        return json.loads(payload)

    async def ask(self, method: str, request_id: Any = 1, **params: Any) -> Any:
        """Send a request and return its answer. Notifications before it are skipped; the lawyer has checked them."""
        self.send(request(method, request_id, **params))
        await self.writer.drain()
        while "method" in (answer := await self.text()):
            pass
        assert answer["id"] == request_id
        return answer

    async def log_in(self, user_id: str, **params: Any) -> None:
        params |= {"grant_type": "client_credentials", "client_id": user_id}
        assert (await self.ask("public/auth", **params))["result"] == {"user_id": user_id}

    async def buy(self, request_id: Any = 1) -> Any:
        return await self.ask("private/buy", request_id, instrument_id=INSTRUMENT, price=1_500_000, amount=1_000)

    async def closing(self) -> int | None:
        """Read until the server closes. Returns the code."""
        try:
            while True:
                await self.frame()
        except Closed as closed:
            return closed.code

    async def hang_up(self) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)


def request(method: str, request_id: Any = 1, **params: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


class PatientNode(Node):
    """A node whose questions about the past wait as long as a test does: on a busy machine the history is late."""

    history_wait_seconds = PATIENCE_SECONDS


class Server:
    """A node with one listed instrument, on a free port."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path = path
        # `bad_network` leads to the exchange from another port.
        peers = AllowedPeers(hosts=(Authority("127.0.0.1", None),))
        known: dict[str, Any] = {"port": 0, "clock_start_us": START_US, "snapshot_every": 0, "allowed_peers": peers}
        self.settings = ServerSettings(path, **known | settings)
        self.wires: list[Wire] = []
        # True if the test makes the node fail.
        self.breaks = False
        self._stop = asyncio.Event()

    async def start(self) -> None:
        listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.journal: JournalWriter = await open_journal(self.settings)
        recent = RecentUpdates(0)
        engine = recover(self.path, lambda _: None, lambda _done, _all: None, watch=recent.add_replayed).engine
        self.engine = engine
        self.node = PatientNode(self.settings, engine, self.journal, recent)
        self.running = asyncio.create_task(self.node.run(listening.set_result, self._stop))
        self.running.add_done_callback(lambda _: listening.cancel())
        self.url = await listening
        if not engine.views.instruments:
            admin = await self.connect()
            await admin.log_in("admin", client_secret=admin_secret_file(self.path).read_text().strip())
            await admin.ask("admin/create_instrument", instrument_id=INSTRUMENT)
            await admin.hang_up()

    async def connect(self, receive_buffer: int | None = None) -> Wire:
        """Connect a client, with the handshake."""
        wire = await self.dial(receive_buffer)
        assert (await wire.shake_hands()).startswith("HTTP/1.1 101 ")
        return wire

    async def dial(self, receive_buffer: int | None = None) -> Wire:
        wire = await Wire.dial(self.url, receive_buffer)
        self.wires.append(wire)
        return wire

    async def client(self, user_id: str) -> Wire:
        """Connect a client and log it in."""
        wire = await self.connect()
        await wire.log_in(user_id)
        return wire

    def stop(self) -> None:
        self._stop.set()

    async def close(self) -> None:
        """Close all clients and the journal. The node must have ended, or `stop` was called."""
        await asyncio.gather(*(wire.hang_up() for wire in self.wires))
        try:
            await asyncio.gather(self.running, return_exceptions=self.breaks)
        finally:
            await self.journal.close()


@asynccontextmanager
async def exchange(path: Path, **settings: Any) -> AsyncIterator[Server]:
    """Run a server for a test. Afterwards it must have no connections and subscriptions, and a consistent state."""
    server = Server(path, **settings)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await server.start()
        try:
            yield server
        finally:
            server.stop()
            await server.close()
    gateway = server.node.gateway
    assert not gateway._connections and not gateway._unsent and not gateway._blocked, "a connection is still registered"
    assert not gateway._subscriptions._listeners and not any(gateway._subscriptions._books.values()), (
        "somebody is still listened for"
    )
    server.engine.state.check()


def unread_of(connection: SocketConnection | HttpConnection) -> bytes:
    """The bytes of a WebSocket's client that wait for a turn."""
    assert isinstance(connection, SocketConnection)
    return connection._unread
