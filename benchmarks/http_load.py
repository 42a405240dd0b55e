"""A load generator over HTTP: each connection has one request in flight, and follows each answer by the next request.

python -m benchmarks.http_load --url http://127.0.0.1:PORT/ --mode orders --json
"""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from dataclasses import asdict
from functools import partial
from typing import cast
from urllib.parse import urlsplit

import click

from benchmarks.load import (
    ECHO_INSTRUMENT_ID,
    FAREWELL_SECONDS_MAX,
    LoadError,
    fastest_event_loop,
    first_open_instrument,
)
from benchmarks.meter import Meter, Report
from benchmarks.order_flow import MID_PRICE_MICROS, deribit_order
from exchange.gateway.deribit import API_PATH


class HttpClient(asyncio.Protocol):
    """One connection that sends its requests in turn, and counts the answers."""

    def __init__(self, requests: list[bytes], meter: Meter) -> None:
        self._requests = requests
        self._meter = meter
        self._turn = 0
        self._sent_at = 0.0
        self._unread = b""
        self._transport: asyncio.WriteTransport
        self.failure: LoadError | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._send_next()

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, found, body = self._unread.partition(b"\r\n\r\n")
        if not found:
            return
        length_at = head.lower().index(b"content-length:") + len(b"content-length:")
        if len(body) < int(head[length_at:].split(b"\r\n", 1)[0]):
            return
        self._unread = b""
        if not head.startswith(b"HTTP/1.1 200"):
            self.failure = LoadError(f"an answer that is no success: {head[:200]!r} {body[:300]!r}")
            self._transport.abort()
            return
        if self._meter.running:
            self._meter.latencies_seconds.append(time.perf_counter() - self._sent_at)
        if self.is_ending:
            self._transport.close()
        else:
            self._send_next()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.is_ending and self.failure is None:
            self.failure = LoadError("the server closed the connection")
        self.closed.set_result(None)

    def _send_next(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._requests[self._turn])
        self._turn = (self._turn + 1) % len(self._requests)


def requests_of(host: str, instrument_id: str, number: int) -> list[bytes]:
    """Buys and sells at one price in turn: about every second order trades. Every other client begins to sell."""
    secret = b64encode(f"load-{number}:any".encode()).decode()
    sides = ("buy", "sell") if number % 2 else ("sell", "buy")
    return [_request(host, side, secret, instrument_id) for side in sides]


def _request(host: str, side: str, secret: str, instrument_id: str) -> bytes:
    body = json.dumps(deribit_order(instrument_id, MID_PRICE_MICROS), separators=(",", ":")).encode()
    lines = [
        f"POST {API_PATH}/private/{side} HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Basic {secret}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def measure(
    url: str, mode: str, connections: int, seconds: float, warm_up_seconds: float, server_pid: int | None
) -> Report:
    """Run the load and return its report. Raises LoadError if a connection fails."""
    parts = urlsplit(url)
    instrument_id = ECHO_INSTRUMENT_ID if mode == "echo" else await first_open_instrument(f"ws://{parts.netloc}/")
    meter, loop = Meter(server_pid), asyncio.get_running_loop()
    assert parts.hostname is not None and parts.port is not None, "a URL without an address"
    clients = []
    for number in range(connections):
        client = partial(HttpClient, requests_of(parts.netloc, instrument_id, number), meter)
        _, connected = await loop.create_connection(client, parts.hostname, parts.port)
        clients.append(connected)
    await asyncio.sleep(warm_up_seconds)
    await meter.run(seconds)
    for connected in clients:
        connected.is_ending = True
    await asyncio.wait([connected.closed for connected in clients], timeout=FAREWELL_SECONDS_MAX)
    for connected in clients:
        if connected.failure is not None:
            raise connected.failure
    return meter.report(mode, connections, 1)


@click.command()
@click.option("--url", required=True, help="URL of the server, such as http://127.0.0.1:8765/.")
@click.option("--mode", type=click.Choice(["echo", "orders"]), default="orders", help="Kind of server.")
@click.option("--connections", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=5.0, show_default=True, help="Duration in seconds.")
@click.option("--warm-up", type=click.FloatRange(0), default=1.0, show_default=True, help="Seconds before that.")
@click.option("--pid", "server_pid", type=int, help="Process of the server. Its CPU time is measured.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def main(
    url: str,
    mode: str,
    connections: int,
    seconds: float,
    warm_up: float,
    server_pid: int | None,
    as_json: bool,
) -> None:
    """Load a server over HTTP; print its answers per second and their latencies."""
    try:
        with asyncio.Runner(loop_factory=fastest_event_loop) as runner:
            report = runner.run(measure(url, mode, connections, seconds, warm_up, server_pid))
    except (LoadError, OSError, TimeoutError) as error:
        raise click.ClickException(str(error) or type(error).__name__) from error
    click.echo(json.dumps(asdict(report)) if as_json else report)


if __name__ == "__main__":
    main()
