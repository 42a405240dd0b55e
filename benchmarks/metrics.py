"""CPU time of the exchange for each order with metrics, compared with that of an exchange without them.

Both exchanges run the load of `orders` in turn, several times. The CPU time is that of the process of the exchange,
without its subprocesses. It needs /proc.
"""

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks import cpu
from benchmarks.orders import create_journal, load
from benchmarks.scale import Scale
from benchmarks.servers import exchange_arguments, running
from benchmarks.table import Goal, Row, median

GOAL = Goal(ratio=1.05, at_most=True)


def run(scale: Scale) -> list[Row]:
    """One row: CPU time of an order with metrics, without them, and the ratio."""
    costs: dict[str, list[float]] = {"plain": [], "counted": []}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        exchanges = {}
        for name, options in (("plain", ()), ("counted", ("--metrics-port", "0"))):
            db = Path(folder) / f"{name}.db"
            asyncio.run(create_journal(db))
            exchanges[name] = stack.enter_context(running(*exchange_arguments(db, *options)))
        for _ in range(scale.rounds):
            for name, exchange in exchanges.items():
                used_us = load(exchange, scale).server_cpu_us
                costs[name].append(sum(us for part, us in used_us.items() if part in cpu.OWN_PARTS))
    plain, counted = median(costs["plain"]), median(costs["counted"])
    return [Row("metrics", counted, "µs/order", plain, "without metrics", GOAL)]
