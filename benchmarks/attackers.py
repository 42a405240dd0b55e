"""Hostile clients, for `benchmarks.attack`: each kind tries to slow down the other clients, or to fill the memory.

    python -m benchmarks.attackers KIND --url ws://127.0.0.1:PORT/ --connections 50

Client N connects from 127.0.0.(2 + N), so that each has an address of its own. It never stops: it connects again
when the server closes its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random

import click

from benchmarks.load import fastest_event_loop
from benchmarks.order_flow import ZERO_MASK, OrderFlow, masked_frame
from exchange.gateway.limits import BATCH_MAX, FRAME_MAX
from exchange.gateway.methods import METHODS

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# Bytes of one write of a flood.
WRITE_BYTES = 64 * 1024
CHANNELS = 400
RETRY_SECONDS = 0.05
INSTRUMENT = "SOL_USDC-28FEB26-150-C"


class Attacker:
    """One hostile client, with its address and its connection."""

    def __init__(self, number: int, host: str, port: int, instrument_ids: list[str]) -> None:
        self.number = number
        self.random = Random(number)
        self.instrument_ids = instrument_ids
        self._host, self._port = host, port
        self.handshake = HANDSHAKE % port
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def dial(self, receive_buffer: int = 2**20) -> None:
        """Open a TCP connection."""
        self.reader, self.writer = await asyncio.open_connection(
            self._host, self._port, local_addr=(f"127.0.0.{2 + self.number}", 0), limit=receive_buffer
        )

    async def connect(self, user_id: str = "") -> None:
        """Open a WebSocket connection, and log in."""
        await self.dial()
        self.writer.write(self.handshake)
        if not (await self.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 "):
            raise ConnectionError("the server refused the handshake")
        if user_id:
            self.writer.write(login(user_id))
            await self.reader.read(1)

    async def flood(self, frames: bytes, reads: bool = True) -> None:
        """Write these frames again and again, and read the answers, until the server closes the connection."""
        reading = asyncio.create_task(self.discard()) if reads else None
        try:
            while True:
                self.writer.write(frames)
                await self.writer.drain()
        finally:
            if reading is not None:
                reading.cancel()

    async def discard(self) -> None:
        """Read to the end."""
        while await self.reader.read(2**20):
            pass

    def hang_up(self) -> None:
        """Cut the connection."""
        with contextlib.suppress(AttributeError):
            self.writer.transport.abort()


def frame(text: str | bytes) -> bytes:
    """A masked text frame of any length."""
    payload = text.encode() if isinstance(text, str) else text
    if len(payload) < 65_536:
        return masked_frame(payload)
    return bytes((0x81, 0xFF)) + len(payload).to_bytes(8) + ZERO_MASK + payload


def request(method: str, params: object, request_id: int = 1) -> bytes:
    """A frame with a request."""
    return frame(json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}))


def login(user_id: str) -> bytes:
    return request("public/auth", {"grant_type": "client_credentials", "client_id": user_id})


def filled(frames: list[bytes]) -> bytes:
    """These frames, repeated to the length of one write."""
    once = b"".join(frames)
    return once * max(1, WRITE_BYTES // len(once))


async def garbage(attacker: Attacker) -> None:
    texts = ["", "{", "\x00", "[1,", "".join(attacker.random.choices("{}[]:,\"'abc01 ", k=60))]
    await attacker.connect()
    await attacker.flood(filled([frame(text) for text in texts]))


async def deep_nesting(attacker: Attacker) -> None:
    await attacker.connect()
    await attacker.flood(filled([frame("[" * 900 + "]" * 900), frame('{"a":' * 30_000)]))


async def huge_frames(attacker: Attacker) -> None:
    long = "x" * (FRAME_MAX - 200)
    await attacker.connect()
    batch = b"[" + b",".join([b'{"jsonrpc":"2.0","id":1,"method":"public/get_instruments"}'] * BATCH_MAX) + b"]"
    await attacker.flood(filled([request("public/test", {long: 1}), frame("[1" + ",1" * 30_000 + "]"), frame(batch)]))


async def refusals(attacker: Attacker) -> None:
    frames = [request(method, {"pricee": 1}) for method in sorted(METHODS)]
    await attacker.connect(f"hostile-{attacker.number}")
    await attacker.flood(filled(frames))


async def every_method(attacker: Attacker) -> None:
    """Plausible requests of every method that only reads."""
    names = {"instrument_id": attacker.instrument_ids[0]}
    frames = [request(method, {}) for method in sorted(METHODS) if method.startswith(("public/get", "private/get"))]
    frames += [request(f"public/{name}", names) for name in ("get_order_book", "get_trades", "get_ticker")]
    await attacker.connect(f"hostile-{attacker.number}")
    await attacker.flood(filled(frames))


async def orders(attacker: Attacker) -> None:
    """Valid orders and cancellations, as fast as the server takes them."""
    flow = OrderFlow(attacker.instrument_ids[0], 1, seed=attacker.number)
    await attacker.connect(f"hostile-{attacker.number}")
    await attacker.flood(filled([flow.next_frame(0) for _ in range(100)]))


async def slow_readers(attacker: Attacker) -> None:
    """Clients of all channels that request much and read nothing."""
    await attacker.dial(receive_buffer=1024)
    attacker.writer.write(attacker.handshake + login(f"hostile-{attacker.number}") + subscribe(attacker, "subscribe"))
    await attacker.flood(filled([request("public/get_instruments", {})]), reads=False)


async def reconnects(attacker: Attacker) -> None:
    while True:
        await attacker.connect()
        attacker.hang_up()


async def accounts(attacker: Attacker) -> None:
    for n in itertools.count():
        await attacker.connect(f"storm-{attacker.number}-{n}-{attacker.random.random()}"[:30])
        attacker.hang_up()


def subscribe(attacker: Attacker, verb: str) -> bytes:
    names = [f"book.{name}.{depth}" for name in attacker.instrument_ids for depth in (1, 10)][: CHANNELS - 1]
    return request(f"public/{verb}", {"channels": ["user.orders", *names]})


async def subscription_churn(attacker: Attacker) -> None:
    await attacker.connect(f"hostile-{attacker.number}")
    await attacker.flood(filled([subscribe(attacker, "subscribe"), subscribe(attacker, "unsubscribe")]))


async def from_seq(attacker: Attacker) -> None:
    channels = ["instruments.SOL", f"trades.{attacker.instrument_ids[0]}", "user.orders"]
    await attacker.connect(f"hostile-{attacker.number}")
    await attacker.flood(filled([request("public/subscribe", {"channels": channels, "from_seq": 1})]))


async def explain_order(attacker: Attacker) -> None:
    await attacker.connect(f"hostile-{attacker.number}")
    await attacker.flood(filled([request("private/explain_order", {"order_id": n}) for n in range(1, 50)]))


async def half_open(attacker: Attacker) -> None:
    """Handshakes that never end, as many as the server takes from one address."""
    opened = []
    try:
        while True:
            await attacker.dial()
            attacker.writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
            opened.append(attacker.writer)
            await asyncio.sleep(0)
            if len(opened) > 100:
                opened.pop(0).transport.abort()
    finally:
        for writer in opened:
            writer.transport.abort()


KINDS: dict[str, Callable[[Attacker], Awaitable[None]]] = {
    "garbage": garbage,
    "deep nesting": deep_nesting,
    "huge frames": huge_frames,
    "refusals": refusals,
    "every method": every_method,
    "orders": orders,
    "slow readers": slow_readers,
    "reconnects": reconnects,
    "accounts": accounts,
    "subscription churn": subscription_churn,
    "from_seq": from_seq,
    "explain_order": explain_order,
    "half-open handshakes": half_open,
}


async def attack(kind: str, url: str, connections: int, instrument_ids: list[str]) -> None:
    """Attack without an end."""
    host, port = url.removeprefix("ws://").rstrip("/").rsplit(":", 1)
    attackers = [Attacker(number, host, int(port), instrument_ids) for number in range(connections)]
    async with asyncio.TaskGroup() as group:
        for attacker in attackers:
            group.create_task(_keep_attacking(KINDS[kind], attacker))


async def _keep_attacking(attack_once: Callable[[Attacker], Awaitable[None]], attacker: Attacker) -> None:
    while True:
        try:
            with contextlib.suppress(OSError, EOFError):
                await attack_once(attacker)
        finally:
            attacker.hang_up()
        await asyncio.sleep(RETRY_SECONDS)


@contextlib.asynccontextmanager
async def attacking(kind: str, url: str, connections: int, instrument_ids: list[str]) -> AsyncIterator[None]:
    """Attack in the background."""
    task = asyncio.create_task(attack(kind, url, connections, instrument_ids))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("--url", required=True, help="URL of the server.")
@click.option("--connections", type=click.IntRange(1, 250), default=50, show_default=True, help="Number of attackers.")
@click.option("--instruments", default=INSTRUMENT, help="Comma-separated instruments.")
def main(kind: str, url: str, connections: int, instruments: str) -> None:
    """Attack a server until the process ends."""
    with asyncio.Runner(loop_factory=fastest_event_loop) as runner:
        runner.run(attack(kind, url, connections, instruments.split(",")))


if __name__ == "__main__":
    main()
