"""Orders in the dialect of Deribit: over WebSocket compared with the native API, over HTTP with an echo of aiohttp.

The echo syncs each body to disk before it answers, as the exchange does with each batch of commands.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from benchmarks import cpu
from benchmarks.meter import Report
from benchmarks.orders import CONNECTIONS, IN_FLIGHT, cpu_medians, create_journal, load
from benchmarks.scale import Scale
from benchmarks.servers import Server, exchange_arguments, running
from benchmarks.table import Goal, Row, median

WEBSOCKET_GOAL = Goal(ratio=0.85)
HTTP_GOAL = Goal(ratio=0.5)


def run(scale: Scale) -> list[Row]:
    """Two rows."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "bench.db"
        asyncio.run(create_journal(db))
        echo_arguments = ("-m", "benchmarks.http_echo", "--sync", str(Path(folder) / "synced"))
        with running(*exchange_arguments(db)) as exchange, running(*echo_arguments) as echo:
            native, deribit, http, echoes = [], [], [], []
            for _ in range(scale.rounds):
                native.append(load(exchange, scale))
                deribit.append(load(exchange, scale, "deribit"))
                http.append(_http_load(exchange, scale, "orders"))
                echoes.append(_http_load(echo, scale, "echo"))
    return [
        Row(
            "deribit, WebSocket",
            _rate(deribit),
            "orders/s",
            _rate(native),
            "native API",
            WEBSOCKET_GOAL,
            f"{CONNECTIONS} x {IN_FLIGHT} in flight; CPU \u00b5s/order: {cpu.text_of(cpu_medians(deribit))}; native: "
            f"{cpu.text_of(cpu_medians(native))}",
        ),
        Row(
            "deribit, HTTP",
            _rate(http),
            "orders/s",
            _rate(echoes),
            "echo of aiohttp, one fdatasync each",
            HTTP_GOAL,
            f"{CONNECTIONS} x 1 in flight; CPU \u00b5s/order: {cpu.text_of(cpu_medians(http))}; echo: "
            f"{cpu.text_of(cpu_medians(echoes))}",
        ),
    ]


def _rate(reports: list[Report]) -> float:
    return median([report.answers_per_second for report in reports])


def _http_load(server: Server, scale: Scale, mode: str) -> Report:
    url = server.url.replace("ws://", "http://")
    arguments = ["--url", url, "--pid", str(server.pid), "--mode", mode, "--connections", str(CONNECTIONS), "--json"]
    arguments += ["--seconds", str(scale.seconds), "--warm-up", str(scale.warm_up_seconds)]
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.http_load", *arguments], check=True, stdout=subprocess.PIPE
    ).stdout
    return msgspec.json.decode(output, type=Report)
