"""CPU time of the exchange for each order with metrics, compared with that of an exchange without them.

Both exchanges run the load of `orders` in turn, several times. The CPU time is that of the process of the exchange,
without its subprocesses. It needs /proc.
"""

import asyncio
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.orders import create_journal, load
from benchmarks.servers import running
from benchmarks.table import Row, median
from exchange.journal.lock import lock_owner
from exchange.journal.opening import open_journal_reader

ROUNDS = 5
WANTED_RATIO = 1.05


class Used(NamedTuple):
    """The commands that an exchange has recorded, and the CPU time that it has used."""

    commands: int
    cpu_seconds: float


def run() -> list[Row]:
    """One row: CPU time of an order with metrics, without them, and the ratio."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        exchanges = {}
        for name, options in (("plain", ()), ("counted", ("--metrics-port", "0"))):
            db = Path(folder) / f"{name}.db"
            asyncio.run(create_journal(db))
            serve = ("-m", "exchange.cli.main", "serve", "--db", str(db), "--port", "0", "--demo", "--rate-limit", "0")
            exchanges[name] = db, stack.enter_context(running(*serve, *options))
        costs: dict[str, list[float]] = {name: [] for name in exchanges}
        for _ in range(ROUNDS):
            for name, (db, url) in exchanges.items():
                costs[name].append(_cost_us(db, url))
    plain, counted = median(costs["plain"]), median(costs["counted"])
    reference = f"{plain:.1f} us without metrics"
    return [Row("metrics", f"{counted:.1f} us/order", reference, counted / plain, WANTED_RATIO, at_most=True)]


def _cost_us(db: Path, url: str) -> float:
    """The CPU time of one order under load."""
    before = _used(db)
    load(url, "orders")
    after = _used(db)
    return 1e6 * (after.cpu_seconds - before.cpu_seconds) / (after.commands - before.commands)


def _used(db: Path) -> Used:
    owner = lock_owner(db)
    assert owner is not None, "the exchange has ended"
    # The fields after the name of the program, which is in brackets: the times are the 14th and the 15th of all.
    fields = Path(f"/proc/{owner.pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    with open_journal_reader(db) as reader:
        commands = reader.head().seq
    return Used(commands, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
