"""A gateway in this process that takes hostile connections, byte for byte, over transports without sockets."""

import asyncio
from random import Random

from exchange.gateway.limits import FRAGMENTS_MAX, FRAME_MAX, UNREAD_MAX
from exchange.gateway.server import Gateway
from exchange.gateway.socket_connection import SocketConnection
from exchange.projections.fold import Change
from tests.fake_exchange import TURNS_MAX
from tests.fake_transport import Conversation, FakeTransport, conversation_of
from tests.fuzzed_exchange import FuzzedExchange, Tally, check_replay
from tests.hostile_bytes import LOCAL, Script, ScriptMaker
from tests.lawyer import Lawyer

# Never 1011: that would be a fault of the exchange. 1000 and other codes repeat the client's.
FAULTS = {1006, 1011}
# The last answer to a client that opened no WebSocket: a page for it, or a refusal.
ANSWERS = {None, 200, 400, 401, 403, 404, 405, 413, 414, 426, 431, 501}


class FuzzedGateway(FuzzedExchange):
    """The fuzzed exchange with a real gateway, whose connections have fake transports."""

    async def open_market(self) -> None:
        """As in the fuzzed exchange; then the gateway takes the place of the sessions without sockets."""
        await super().open_market()
        for connection in list(self.connections):
            self.disconnect(connection)
        self.gateway = Gateway(self)

    def publish(self, change: Change) -> None:
        """Send the changes to the clients of the gateway."""
        if hasattr(self, "gateway"):
            self.gateway.publish(change)
        else:
            super().publish(change)

    def flush(self) -> None:
        """Write all queued messages."""
        if hasattr(self, "gateway"):
            self.gateway.flush()
        else:
            super().flush()

    async def rest(self) -> None:
        """Wait until the gateway has nothing to do."""
        for _ in range(TURNS_MAX):
            await asyncio.sleep(0)
            if not (self._outstanding or self.gateway.turns._ready or self.gateway.unanswered):
                break
        else:
            raise AssertionError("a request is never answered")
        await self.settle()
        self.gateway.send_all()
        await asyncio.sleep(0)


def fuzz_connections(seed: int, connections: int, tally: Tally) -> None:
    """Open so many connections to one gateway, some at the same time. Raises AssertionError if it breaks a promise."""
    asyncio.run(_fuzz(Random(seed), connections, tally))


async def _fuzz(random: Random, connections: int, tally: Tally) -> None:
    exchange, maker = FuzzedGateway(None), ScriptMaker(random)
    await exchange.open_market()
    recorded = exchange.journal.head.seq
    left = connections
    while left > 0:
        clients = [_Client(exchange, maker.script()) for _ in range(min(left, random.randrange(1, 5)))]
        left -= len(clients)
        await _talk(random, exchange, clients)
        for client in clients:
            client.check()
            tally.frames += 1
            tally.answers += client.lawyer.answers
        assert exchange.gateway.connected == 0, "a connection is still registered"
    gateway = exchange.gateway
    assert not gateway._unsent and not gateway._blocked and not gateway.backlog_of_all
    assert not gateway._subscriptions._listeners and not any(gateway._subscriptions._books.values())
    await exchange.stop()
    tally.commands += exchange.journal.head.seq - recorded
    check_replay(exchange)


async def _talk(random: Random, exchange: FuzzedGateway, clients: list["_Client"]) -> None:
    """Let the clients send their pieces in any order, then end their connections."""
    sending = list(clients)
    while sending:
        client = random.choice(sending)
        if not client.send_piece():
            sending.remove(client)
        if random.random() < 0.1:
            client.stop_reading(not client.is_reading_stopped)
        if random.random() < 0.3:
            await asyncio.sleep(0)
    for client in clients:
        client.stop_reading(False)
    await exchange.rest()
    for client in clients:
        if random.random() < 0.5 and not client.transport.is_closing():
            client.connection.eof_received()
    await exchange.rest()
    for client in clients:
        client.transport.lose()
    await exchange.rest()


class _Client:
    """A client that sends the pieces of its script."""

    def __init__(self, exchange: FuzzedGateway, script: Script) -> None:
        self.script = script
        self.lawyer = Lawyer()
        connection = SocketConnection(exchange.gateway)
        self.transport = FakeTransport(connection, ("127.0.0.2", 40_000), LOCAL)
        connection.connection_made(self.transport)
        self.is_reading_stopped = False
        self._pieces = list(reversed(script.pieces))

    @property
    def connection(self) -> asyncio.Protocol:
        """The server's end: that of a WebSocket, or of HTTP after a request that is no handshake."""
        return self.transport.protocol

    def send_piece(self) -> bool:
        """Send the next piece, unless the server does not read. Returns False if none is left to send."""
        if not self._pieces or self.transport.is_closing():
            return False
        if self.transport.is_reading_paused and self.is_reading_stopped:
            self.stop_reading(False)
        if not self.transport.is_reading_paused:
            piece = self._pieces.pop()
            self.connection.data_received(piece)
            connection = self.connection
            if isinstance(connection, SocketConnection):
                assert len(connection._unread) <= UNREAD_MAX + FRAME_MAX + len(piece), "unread bytes pile up"
                assert len(connection._fragments) <= FRAGMENTS_MAX + 1, "fragments pile up"
        return True

    def stop_reading(self, is_stopped: bool) -> None:
        """Let the transport report that the client does not read, or reads again."""
        if is_stopped != self.is_reading_stopped and not self.transport.is_closing():
            self.is_reading_stopped = is_stopped
            (self.connection.pause_writing if is_stopped else self.connection.resume_writing)()

    def check(self) -> None:
        """Check everything that the server wrote to this client."""
        script, said = self.script, conversation_of(bytes(self.transport.written))
        assert said.close_code not in FAULTS, said
        assert said.status == 101 or said.status in ANSWERS, said.status
        if script.opens is not None:
            assert (said.status == 101) is script.opens, f"{said.status}: {script.pieces[0][:300]!r}"
        if script.texts is not None:
            self._check_answers(script.texts, said)

    def _check_answers(self, texts: list[bytes], said: Conversation) -> None:
        """Each message of a client that keeps the protocol is answered."""
        for text in texts:
            self.lawyer.sent(text)
        for message in said.messages:
            self.lawyer.got(message)
        if said.close_code is None:
            self.lawyer.rest()
