"""Good clients at a fixed rate: each sends an order when it is due, whether or not the last one is answered.

A latency counts from the moment at which the order was due, so that a server that stops for a while is not measured
less often during that time.

    python -m benchmarks.steady --url ws://127.0.0.1:PORT/ --rate 2000 --instrument INSTRUMENT
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from dataclasses import asdict
from functools import partial

import click
from websockets.uri import WebSocketURI, parse_uri

from benchmarks.load import LoadConnection, LoadError, fastest_event_loop
from benchmarks.meter import Meter
from benchmarks.order_flow import OrderFlow

SLOTS = 16
STEP_SECONDS = 0.002
SETUP_SECONDS = 60


class SteadyConnection(LoadConnection):
    """One client. Orders that are due wait for a free slot."""

    def __init__(self, uri: WebSocketURI, flow: OrderFlow, meter: Meter, client_id: str) -> None:
        super().__init__(uri, flow, meter, SLOTS, client_id)
        self._free = deque(range(SLOTS))
        self._due: deque[float] = deque()

    def start(self) -> None:
        """Be ready to send."""
        self._receive_message = self._receive_answer

    def send_due(self, due_seconds: float) -> None:
        """Send an order that is due at this time of `perf_counter`."""
        self._due.append(due_seconds)
        self._send_waiting()
        self._flush()

    def _send_next(self, slot: int) -> None:
        self._free.append(slot)
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._due and self._free:
            slot = self._free.popleft()
            self._sent_at[slot] = self._due.popleft()
            self._out.append(self._flow.next_frame(slot))


async def measure(
    url: str,
    connections: int,
    rate: float,
    seconds: float,
    intervals: int,
    instrument_id: str,
    warm_up_seconds: float,
    server_pid: int | None,
) -> None:
    """Send orders at this rate, and print the report of each interval. Raises LoadError if a connection fails."""
    uri, meter = parse_uri(url), Meter(server_pid)
    async with asyncio.timeout(SETUP_SECONDS):
        clients = await asyncio.gather(*(_connect(uri, meter, number, instrument_id) for number in range(connections)))
    click.echo("ready")
    for client in clients:
        client.start()
    sending = asyncio.create_task(_send(clients, rate))
    await asyncio.sleep(warm_up_seconds)
    for _ in range(intervals):
        await meter.run(seconds)
        failed = [client.failure for client in clients if client.failure is not None]
        if failed:
            raise failed[0]
        click.echo(json.dumps(asdict(meter.report("orders", connections, SLOTS))))
    sending.cancel()
    for client in clients:
        client.abort()


async def _connect(uri: WebSocketURI, meter: Meter, number: int, instrument_id: str) -> SteadyConnection:
    flow = OrderFlow(instrument_id, SLOTS, seed=number)
    make = partial(SteadyConnection, uri, flow, meter, f"good-{number}")
    _, client = await asyncio.get_running_loop().create_connection(make, uri.host, uri.port)
    await client.ready.wait()
    if client.failure is not None:
        raise client.failure
    return client


async def _send(clients: list[SteadyConnection], rate: float) -> None:
    """Send evenly: client after client."""
    due_seconds, turn = time.perf_counter(), 0
    while True:
        now_seconds = time.perf_counter()
        while due_seconds <= now_seconds:
            clients[turn % len(clients)].send_due(due_seconds)
            turn += 1
            due_seconds += 1 / rate
        await asyncio.sleep(STEP_SECONDS)


@click.command()
@click.option("--url", required=True, help="URL of the server.")
@click.option("--connections", type=click.IntRange(1, 1000), default=100, show_default=True, help="Number of clients.")
@click.option("--rate", type=click.FloatRange(1), required=True, help="Orders per second of all clients.")
@click.option(
    "--seconds", type=click.FloatRange(0.1, 3600), default=3.0, show_default=True, help="Duration of an interval."
)
@click.option("--intervals", type=click.IntRange(1), default=1, show_default=True, help="Number of intervals.")
@click.option("--warm-up", type=click.FloatRange(0), default=1.0, show_default=True, help="Seconds before that.")
@click.option("--instrument", "instrument_id", required=True, help="Instrument to trade.")
@click.option("--pid", "server_pid", type=int, help="Process of the server. Its CPU time is measured.")
def main(
    url: str,
    connections: int,
    rate: float,
    seconds: float,
    intervals: int,
    warm_up: float,
    instrument_id: str,
    server_pid: int | None,
) -> None:
    """Send orders at a fixed rate. Print `ready` when all are logged in, and a line of JSON for each interval."""
    try:
        with asyncio.Runner(loop_factory=fastest_event_loop) as runner:
            runner.run(measure(url, connections, rate, seconds, intervals, instrument_id, warm_up, server_pid))
    except (LoadError, OSError, TimeoutError) as error:
        raise click.ClickException(str(error) or type(error).__name__) from error


if __name__ == "__main__":
    main()
