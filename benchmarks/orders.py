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

from benchmarks import cpu
from benchmarks.meter import Report
from benchmarks.scale import Scale
from benchmarks.servers import Server, exchange_arguments, running
from benchmarks.table import Goal, Row, median
from exchange.domain.rules import IndexFees, Market, market_of
from exchange.domain.units import MICROS_PER_USDC
from exchange.runtime.demo import DEMO_RULES
from exchange.runtime.node import open_journal
from exchange.runtime.server_settings import ServerSettings

CONNECTIONS = 20
IN_FLIGHT = 8
GOAL = Goal(ratio=0.45)
CPU_GOAL = Goal(figure=80, at_most=True)


def run(scale: Scale) -> list[Row]:
    """Two rows: our answered orders/s, and the CPU time of the whole server for one of them."""
    orders, echoes = [], []
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "bench.db"
        asyncio.run(create_journal(db))
        with running(*exchange_arguments(db)) as exchange, running("-m", "benchmarks.echo") as echo:
            for _ in range(scale.rounds):
                orders.append(load(exchange, scale))
                echoes.append(load(echo, scale, "echo"))
    latency_ms = median([report.p50_us for report in orders]) / 1000
    return [
        Row(
            "orders",
            median([report.answers_per_second for report in orders]),
            "orders/s",
            median([report.answers_per_second for report in echoes]),
            "plain echo",
            GOAL,
            f"{CONNECTIONS} x {IN_FLIGHT} in flight, median latency {latency_ms:.1f} ms",
        ),
        Row(
            "orders, CPU of the server",
            median([report.server_us for report in orders]),
            "µs/order",
            median([report.server_cpu_us["main thread"] for report in echoes]),
            "main thread of the echo",
            CPU_GOAL,
            cpu.text_of(cpu_medians(orders)),
        ),
    ]


def plain_market() -> Market:
    """The demo's market without fees and without price bands, so that orders far from the mark are accepted."""
    market = market_of(DEMO_RULES)
    assert market is not None, "the demo has a market"
    return msgspec.structs.replace(market, fees=IndexFees(), band=None)


async def create_journal(db: Path) -> None:
    """Create a journal of the plain market in which each account has enough cash."""
    rules = msgspec.structs.replace(
        DEMO_RULES, starting_cash_micros=10_000_000 * MICROS_PER_USDC, market=plain_market()
    )
    await (await open_journal(ServerSettings(db, rules=rules))).close()


def load(
    server: Server,
    scale: Scale,
    mode: str = "orders",
    connections: int = CONNECTIONS,
    in_flight: int = IN_FLIGHT,
    instrument_id: str | None = None,
) -> Report:
    """Run the load generator once. An error answer makes the measurement fail."""
    arguments = ["--url", server.url, "--pid", str(server.pid), "--mode", mode, "--json"]
    arguments += ["--connections", str(connections), "--in-flight", str(in_flight)]
    arguments += ["--seconds", str(scale.seconds), "--warm-up", str(scale.warm_up_seconds)]
    if instrument_id is not None:
        arguments += ["--instrument", instrument_id]
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", *arguments], check=True, stdout=subprocess.PIPE
    ).stdout
    report = msgspec.json.decode(output, type=Report)
    assert not report.errors, f"the load met errors: {report.errors}"
    return report


def cpu_medians(reports: list[Report]) -> dict[str, float]:
    """The median CPU time of each part of the server, in µs for one answer."""
    return {part: median([report.server_cpu_us[part] for report in reports]) for part in cpu.PARTS}
