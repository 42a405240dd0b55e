"""Latency of one durable order at a time, compared with an echo that writes and syncs the same bytes first.

One connection has one request in flight. The echo server appends each message to a file, waits for one `fdatasync` and
sends it back, all in its event loop: no server that answers after a sync can be quicker by much.
"""

import asyncio
import tempfile
from pathlib import Path

from benchmarks import cpu
from benchmarks.meter import Report
from benchmarks.orders import cpu_medians, create_journal, load
from benchmarks.scale import Scale
from benchmarks.servers import exchange_arguments, running
from benchmarks.table import Goal, Row, median

GOAL = Goal(ratio=2.5, at_most=True)


def run(scale: Scale) -> list[Row]:
    """Two rows: the median and the 99th percentile."""
    orders: list[Report] = []
    echoes: list[Report] = []
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "bench.db"
        asyncio.run(create_journal(db))
        echo_arguments = ("-m", "benchmarks.echo", "--sync", str(Path(folder) / "synced"))
        with running(*exchange_arguments(db)) as exchange, running(*echo_arguments) as echo:
            for _ in range(scale.rounds):
                orders.append(load(exchange, scale, connections=1, in_flight=1))
                echoes.append(load(echo, scale, "echo", connections=1, in_flight=1))
    used, echo_used = cpu_medians(orders), cpu_medians(echoes)
    note = f"CPU µs/order: {cpu.text_of(used)}; echo: {cpu.text_of(echo_used)}"
    return [
        _row("latency, median", [r.p50_us for r in orders], [r.p50_us for r in echoes], note),
        _row("latency, 99th percentile", [r.p99_us for r in orders], [r.p99_us for r in echoes], ""),
    ]


def _row(name: str, ours_us: list[int], echo_us: list[int], note: str) -> Row:
    return Row(name, median(ours_us), "µs", median(echo_us), "echo + one fdatasync", GOAL, note)
