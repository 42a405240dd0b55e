"""Durable, answered orders per second over real sockets, compared with a plain `websockets` echo server.

Exchange and load generator are separate processes. 20 connections keep 8 requests in flight each. The echo server
receives frames of the same size. Both servers are measured in turn, several times, in one run.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from benchmarks.servers import running
from benchmarks.table import Row, median
from exchange.domain.units import MICROS_PER_USDC
from exchange.runtime.demo import DEMO_RULES
from exchange.runtime.node import open_journal
from exchange.runtime.server_settings import ServerSettings

ROUNDS = 5
SECONDS = 3
CONNECTIONS = 20
IN_FLIGHT = 8
WANTED_RATIO = 0.5


def run() -> list[Row]:
    """One row: our answered orders/s, the echo's messages/s, and the ratio."""
    orders, echoes, latencies = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "bench.db"
        asyncio.run(create_journal(db))
        serve = ("-m", "exchange.cli.main", "serve", "--db", str(db), "--port", "0", "--demo", "--rate-limit", "0")
        with running(*serve) as exchange_url, running("-m", "benchmarks.echo") as echo_url:
            for _ in range(ROUNDS):
                report = load(exchange_url, "orders")
                orders.append(report["answers_per_second"])
                latencies.append(report["p50_us"])
                echoes.append(load(echo_url, "echo")["answers_per_second"])
    figure, reference = median(orders), median(echoes)
    return [
        Row(
            "orders",
            f"{figure:,.0f} orders/s",
            f"bare echo {reference:,.0f}/s",
            figure / reference,
            WANTED_RATIO,
            f"median latency {median(latencies) / 1000:.1f} ms at {CONNECTIONS * IN_FLIGHT} in flight",
        )
    ]


async def create_journal(db: Path) -> None:
    """Create a journal of the demo's market in which each account has enough cash."""
    rules = msgspec.structs.replace(DEMO_RULES, starting_cash_micros=10_000_000 * MICROS_PER_USDC)
    await (await open_journal(ServerSettings(db, rules=rules))).close()


def load(url: str, mode: str) -> dict[str, float]:
    """Run the load generator once. An error answer makes the measurement fail."""
    arguments = ["--url", url, "--mode", mode, "--connections", str(CONNECTIONS), "--in-flight", str(IN_FLIGHT)]
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", *arguments, "--seconds", str(SECONDS), "--json"],
        check=True,
        capture_output=True,
    ).stdout
    report = msgspec.json.decode(output)
    assert not report["errors"], f"the load met errors: {report['errors']}"
    return {"answers_per_second": report["answers_per_second"], "p50_us": report["p50_us"]}
