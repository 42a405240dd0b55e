"""A load generator whose cost per message is so low that the measured server is the bottleneck.

Every connection keeps a fixed number of requests outstanding: it follows each answer by the next
request. A request occupies a slot and its id names the slot, so answers may come in any order. Run
it in a separate process:

    python -m benchmarks.load --url ws://127.0.0.1:PORT/ --mode orders --json
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import cast

import click
from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.uri import WebSocketURI, parse_uri

from benchmarks.meter import Meter, Report
from benchmarks.order_flow import (
    FIN_TEXT,
    FIRST_ID,
    ID_DIGITS,
    DeribitFlow,
    EchoFlow,
    Flow,
    OrderFlow,
    masked_frame,
    request_frame,
)
from exchange.gateway.deribit import WEBSOCKET_PATH

SETUP_SECONDS_MAX = 10.0
FAREWELL_SECONDS_MAX = 2.0
IN_FLIGHT_MAX = 1_000
ECHO_INSTRUMENT_ID = "SOL_USDC-28FEB26-150-C"

FIN_CLOSE, FIN_PING, FIN_PONG = 0x88, 0x89, 0x8A
NORMAL_CLOSURE = (1000).to_bytes(2, "big")


class LoadError(Exception):
    """The run failed: a lost connection, a refused login, or an answer of an unknown form."""


class LoadConnection(asyncio.Protocol):
    """One client: connects, logs in if it has a `client_id`, then keeps its slots busy."""

    def __init__(self, uri: WebSocketURI, flow: Flow, meter: Meter, slots: int, client_id: str | None) -> None:
        self._handshake = ClientProtocol(uri)
        self._flow = flow
        self._meter = meter
        self._sent_at = [0.0] * slots
        self._client_id = client_id
        self._rest = b""
        self._closing = False
        self._transport: asyncio.Transport
        self._receive: Callable[[bytes], None] = self._receive_handshake
        self._receive_message: Callable[[bytes, int, int], None] = self._receive_login
        self._out: list[bytes] = []
        self._now = 0.0
        self._outstanding = 0
        self._farewells: list[bytes] = []
        self.failure: LoadError | None = None
        self.ready = asyncio.Event()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        """Send the first request of every slot."""
        self._receive_message = self._receive_answer
        self._now = time.perf_counter()
        for slot in range(len(self._sent_at)):
            self._send_next(slot)
        self._flush()

    def say_goodbye(self) -> None:
        """Wait for the outstanding answers, cancel the orders, and close with the closing handshake."""
        self._farewells = self._flow.farewells()
        self._outstanding = len(self._sent_at)
        self._receive_message = self._receive_last

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._handshake.send_request(self._handshake.connect())
        self._transport.writelines(self._handshake.data_to_send())

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            self._receive(data)
        except LoadError as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing:
            self._fail(LoadError(f"connection lost: {exc or 'the server hung up'}"))
        self.closed.set_result(None)

    def _fail(self, error: LoadError) -> None:
        self._closing = True
        self.failure = error
        self.ready.set()
        self._transport.abort()

    def _receive_handshake(self, data: bytes) -> None:
        self._handshake.receive_data(data)
        if not self._handshake.events_received():
            return
        if self._handshake.handshake_exc is not None:
            raise LoadError(f"handshake refused: {self._handshake.handshake_exc}")
        self._receive = self._receive_frames
        if self._client_id is None:
            self.ready.set()
            return
        params = {"grant_type": "client_credentials", "client_id": self._client_id, **self._flow.login}
        self._transport.write(request_frame(0, "public/auth", params))

    def _receive_frames(self, data: bytes) -> None:
        """Read every complete frame that has arrived, then send the next requests together."""
        self._now = time.perf_counter()
        if self._rest:
            data = self._rest + data
        position, arrived = 0, len(data)
        while arrived - position >= 2:
            length = data[position + 1]
            start = position + 2
            if length == 126:
                start += 2
                length = int.from_bytes(data[position + 2 : start], "big")
            elif length == 127:
                start += 8
                length = int.from_bytes(data[position + 2 : start], "big")
            end = start + length
            if end > arrived:
                break
            if data[position] == FIN_TEXT:
                self._receive_message(data, start, end)
            else:
                self._receive_other(data[position], data[start:end])
            position = end
        self._rest = data[position:]
        self._flush()

    def _receive_other(self, first_byte: int, payload: bytes) -> None:
        if first_byte == FIN_PING:
            self._out.append(masked_frame(payload, FIN_PONG))
        elif first_byte == FIN_CLOSE:
            raise LoadError(f"the server closed the connection: {payload!r}")
        elif first_byte != FIN_PONG:
            raise LoadError(f"unexpected frame type {first_byte:#x}; expected text, ping, pong or close")

    def _receive_login(self, data: bytes, start: int, end: int) -> None:
        if data.find(b'"error"', start, end) >= 0:
            raise LoadError(f"login refused: {data[start:end]!r}")
        self.ready.set()

    def _receive_answer(self, data: bytes, start: int, end: int) -> None:
        found = data.find(b'"id":', start, end) + len(b'"id":')
        try:
            slot = int(data[found : found + ID_DIGITS]) - FIRST_ID
            sent_at = self._sent_at[slot]
        except (ValueError, IndexError) as error:
            raise LoadError(f"no known id in compact JSON: {data[start:end]!r}") from error
        meter = self._meter
        if meter.running:
            meter.latencies_seconds.append(self._now - sent_at)
            if data.find(b'"error"', start, end) >= 0:
                meter.count_error(data, start, end)
        self._flow.answered(slot, data, start, end)
        self._send_next(slot)

    def _receive_last(self, _data: bytes, _start: int, _end: int) -> None:
        self._outstanding -= 1
        if self._outstanding > 0:
            return
        if self._farewells:
            self._out.append(self._farewells.pop())
            self._outstanding = 1
        else:
            self._closing = True
            self._out.append(masked_frame(NORMAL_CLOSURE, FIN_CLOSE))

    def _send_next(self, slot: int) -> None:
        # The clock is read once per batch: a latency includes the generator's work on the batch.
        self._sent_at[slot] = self._now
        self._out.append(self._flow.next_frame(slot))

    def _flush(self) -> None:
        if self._out:
            self._transport.write(b"".join(self._out))
            self._out.clear()


async def first_open_instrument(url: str) -> str:
    """Request an instrument to trade from the exchange."""
    async with connect(url, compression=None) as client:
        await client.send('{"jsonrpc":"2.0","id":1,"method":"public/get_instruments"}')
        instruments = json.loads(await client.recv())["result"]
    for instrument in instruments:
        if instrument["state"] == "open":
            return str(instrument["instrument_id"])
    raise LoadError("the exchange has no open instrument; name one with --instrument")


async def open_connection(
    uri: WebSocketURI, meter: Meter, slots: int, instrument_id: str, mode: str, number: int
) -> LoadConnection:
    """Connect client `load-{number}`, or one that only echoes."""
    flow: Flow
    if mode == "echo":
        flow, client_id = EchoFlow(instrument_id, slots), None
    else:
        flow_type = DeribitFlow if mode == "deribit" else OrderFlow
        flow, client_id = flow_type(instrument_id, slots, seed=number), f"load-{number}"
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: LoadConnection(uri, flow, meter, slots, client_id), uri.host, uri.port
    )
    await connection.ready.wait()
    if connection.failure is not None:
        raise connection.failure
    return connection


async def measure(
    url: str,
    mode: str,
    connections: int,
    in_flight: int,
    seconds: float,
    warm_up_seconds: float,
    instrument_id: str | None,
    server_pid: int | None,
) -> Report:
    """Run the load and return its report. Raises LoadError if a connection fails."""
    if instrument_id is None:
        instrument_id = ECHO_INSTRUMENT_ID if mode == "echo" else await first_open_instrument(url)
    uri = parse_uri(url.rstrip("/") + WEBSOCKET_PATH if mode == "deribit" else url)
    meter = Meter(server_pid)
    async with asyncio.timeout(SETUP_SECONDS_MAX):
        clients = [
            await open_connection(uri, meter, in_flight, instrument_id, mode, number) for number in range(connections)
        ]
    for client in clients:
        client.start()
    await _measure_unless_one_fails(clients, meter, warm_up_seconds, seconds)
    await _say_goodbye(clients)
    return meter.report(mode, connections, in_flight)


async def _warm_up_and_measure(meter: Meter, warm_up_seconds: float, seconds: float) -> None:
    await asyncio.sleep(warm_up_seconds)
    await meter.run(seconds)


async def _measure_unless_one_fails(
    clients: list[LoadConnection], meter: Meter, warm_up_seconds: float, seconds: float
) -> None:
    work = asyncio.create_task(_warm_up_and_measure(meter, warm_up_seconds, seconds))
    await asyncio.wait([work, *(client.closed for client in clients)], return_when=asyncio.FIRST_COMPLETED)
    work.cancel()
    for client in clients:
        if client.failure is not None:
            raise client.failure


async def _say_goodbye(clients: list[LoadConnection]) -> None:
    for client in clients:
        client.say_goodbye()
    await asyncio.wait([client.closed for client in clients], timeout=FAREWELL_SECONDS_MAX)
    for client in clients:
        client.abort()


def fastest_event_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop event loop if it is installed, else one of asyncio."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@click.command()
@click.option("--url", required=True, help="URL of the server, such as ws://127.0.0.1:8765/.")
@click.option(
    "--mode",
    type=click.Choice(["echo", "orders", "deribit"]),
    default="orders",
    show_default=True,
    help="Kind of requests.",
)
@click.option(
    "--connections", type=click.IntRange(1, 1000), default=20, show_default=True, help="Number of connections."
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, IN_FLIGHT_MAX),
    default=8,
    show_default=True,
    help="Unanswered requests per connection.",
)
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=5.0, show_default=True, help="Duration in seconds.")
@click.option("--warm-up", type=click.FloatRange(0), default=1.0, show_default=True, help="Seconds before that.")
@click.option("--pid", "server_pid", type=int, help="Process of the server. Its CPU time is measured.")
@click.option("--instrument", "instrument_id", help="Instrument to trade. Default: the first open one.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def main(
    url: str,
    mode: str,
    connections: int,
    in_flight: int,
    seconds: float,
    warm_up: float,
    server_pid: int | None,
    instrument_id: str | None,
    as_json: bool,
) -> None:
    """Load a server; print its answers per second and their latencies."""
    run = measure(url, mode, connections, in_flight, seconds, warm_up, instrument_id, server_pid)
    try:
        with asyncio.Runner(loop_factory=fastest_event_loop) as runner:
            report = runner.run(run)
    except (LoadError, OSError, TimeoutError) as error:
        raise click.ClickException(str(error) or type(error).__name__) from error
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        for name, value in asdict(report).items():
            click.echo(f"{name:<20}{value}")


if __name__ == "__main__":
    main()
