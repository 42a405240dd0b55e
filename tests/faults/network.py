"""The simulated network: it delays, splits and cuts. Bytes of one connection stay in order; connections overtake."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from tests.faults.machine import Machine

# Bytes on their way, from which the transport of the exchange asks its protocol to pause writing, or to resume.
PORT = 8765
HIGH_WATER, LOW_WATER = 64 * 1024, 16 * 1024


class ClientEnd(Protocol):
    """The client of a connection."""

    def on_connected(self) -> None: ...

    def on_data(self, data: bytes) -> None: ...

    def on_lost(self) -> None: ...


class Network:
    """Connections between the clients and the exchange of the present life."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.random = machine.random("network")
        self._factory: Callable[[], Any] | None = None
        self._loop: Any = None
        self._connections: list[Connection] = []
        # Connections that are cut, by their number, after so many writes of the exchange.
        self.cuts: dict[int, int] = {}
        self.connected = 0

    def listen(self, loop: Any, factory: Callable[[], Any], host: str, port: int, is_serving: bool) -> "_Server":
        """The exchange listens."""
        return _Server(self, loop, factory, host, port, is_serving)

    def serve(self, loop: Any, factory: Callable[[], Any]) -> None:
        """The exchange accepts clients."""
        self._loop, self._factory = loop, factory

    def stop_serving(self, factory: Callable[[], Any]) -> None:
        """A server of the exchange is closed."""
        if self._factory is factory:
            self._factory = None

    @property
    def is_serving(self) -> bool:
        """True while clients can connect."""
        return self._factory is not None

    def connect(self, client: ClientEnd) -> None:
        """Connect a client. Later, it is told that it is connected, or that this failed."""
        self.machine.call_later(self.random.randint(20, 400), lambda: self._accept(client))

    def _accept(self, client: ClientEnd) -> None:
        if self._factory is None or not self.machine.is_up:
            client.on_lost()
            return
        self.connected += 1
        connection = Connection(self, self._loop, client, self._factory(), self.cuts.get(self.connected))
        self._connections = [one for one in self._connections if not one.is_lost]
        self._connections.append(connection)
        connection.to_server(connection.protocol.connection_made, connection)
        client.on_connected()

    def connection_of(self, client: ClientEnd) -> "Connection | None":
        """The present connection of a client."""
        return next((one for one in self._connections if one.client is client and not one.is_lost), None)

    def end_life(self) -> None:
        """The exchange is gone. Some of the bytes that had left it still arrive."""
        self._factory = None
        for connection in self._connections:
            connection.cut()
        self._connections.clear()


class _Server:
    """What `create_server` returns. Clients connect to PORT."""

    def __init__(self, network: Network, loop: Any, factory: Any, host: str, port: int, is_serving: bool) -> None:
        self._network = network
        self._loop = loop
        self._factory = factory
        self._name = host, port
        self.sockets = [self]
        if is_serving:
            self._serve()

    def getsockname(self) -> tuple[str, int]:
        return self._name

    async def start_serving(self) -> None:
        self._serve()

    def close(self) -> None:
        self._network.stop_serving(self._factory)

    def _serve(self) -> None:
        if self._name[1] == PORT:
            self._network.serve(self._loop, self._factory)


class Connection(asyncio.Transport):
    """One connection; the transport of the exchange."""

    def __init__(self, network: Network, loop: Any, client: ClientEnd, protocol: Any, cut_after: int | None) -> None:
        super().__init__()
        self._network = network
        self._loop = loop
        self._life = network.machine.life
        self.client = client
        self.protocol = protocol
        self._cut_after = cut_after
        self.is_lost = False
        self._is_closing = False
        self._unread = 0
        self._is_paused = False
        self._is_reading = True
        self._held: list[bytes] = []
        self._to_client_us = self._to_server_us = 0
        # After a cut, so many more pieces arrive at the client.
        self._pieces_left: int | None = None
        self.stalled_until_us = 0

    # The side of the exchange.

    def write(self, data: Any) -> None:
        machine = self._network.machine
        if self.is_lost or self._life != machine.life:
            return
        machine.step("send")
        random = self._network.random
        pieces = [bytes(data)]
        if random.random() < 0.1 and len(pieces[0]) > 1:
            at = random.randint(1, len(pieces[0]) - 1)
            pieces = [pieces[0][:at], pieces[0][at:]]
        for piece in pieces:
            self._unread += len(piece)
            self._to_client_us = max(self._to_client_us, machine.now_us + random.choice((10, 50, 200, 2_000)))
            machine.call_later(self._to_client_us - machine.now_us, partial(self._arrive, piece))
        if self._unread > HIGH_WATER and not self._is_paused:
            self._is_paused = True
            self.protocol.pause_writing()
        if self._cut_after is not None:
            self._cut_after -= 1
            if self._cut_after == 0:
                machine.call_later(random.randint(1, 300), self.cut)
        machine.step("sent")

    def is_closing(self) -> bool:
        return self.is_lost or self._is_closing

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        if not self.is_closing():
            self._is_closing = True
            self._loop.call_soon(self._lose, None)

    def write_eof(self) -> None:
        # The client closes its side when it has read everything.
        machine = self._network.machine
        machine.call_later(max(0, self._to_client_us - machine.now_us) + 50, lambda: self._lose(None))

    def get_write_buffer_size(self) -> int:
        return max(0, self._unread - LOW_WATER)

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True
        held, self._held = self._held, []
        for data in held:
            self.to_server(self._receive, data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", PORT)}.get(name, default)

    # The side of the client.

    def send(self, data: bytes) -> None:
        """The client sends bytes."""
        machine, random = self._network.machine, self._network.random
        at = random.randint(1, len(data)) if random.random() < 0.1 else len(data)
        for piece in (data[:at], data[at:]):
            if piece:
                self._to_server_us = max(self._to_server_us, machine.now_us + random.choice((10, 50, 200, 2_000)))
                arrive = partial(self.to_server, self._receive, piece)
                machine.call_later(self._to_server_us - machine.now_us, arrive)

    def cut(self) -> None:
        """Cut it. What is on its way is lost, but for some first pieces to the client."""
        if not self.is_lost:
            self._pieces_left = self._network.random.choice((0, 1, 5))
            self._lose(ConnectionResetError())

    def to_server(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Call the exchange, if it still lives."""
        if self._life == self._network.machine.life and self._network.machine.is_up:
            self._loop.call_soon(call, *arguments)

    def _receive(self, data: bytes) -> None:
        if self.is_closing():
            return
        if self._is_reading:
            self.protocol.data_received(data)
        else:
            self._held.append(data)

    def _arrive(self, piece: bytes) -> None:
        machine = self._network.machine
        if machine.now_us < self.stalled_until_us and self._pieces_left is None:
            machine.call_later(self.stalled_until_us - machine.now_us, lambda: self._arrive(piece))
            return
        self._unread -= len(piece)
        if self._pieces_left is not None:
            self._pieces_left -= 1
            if self._pieces_left < 0:
                return
        self.client.on_data(piece)
        if self._is_paused and self._unread < LOW_WATER and not self.is_lost:
            self._is_paused = False
            self.to_server(self.protocol.resume_writing)

    def _lose(self, error: Exception | None) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self.to_server(self.protocol.connection_lost, error)
        machine = self._network.machine
        machine.call_later(max(0, self._to_client_us - machine.now_us) + 10, self.client.on_lost)
