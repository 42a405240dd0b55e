"""How long the exchange stands still while a snapshot of 100,000 open orders is made.

The process that makes it is started; until it ends, a loop asks every millisecond how late it is. The reference is the
same loop before, with nothing else going on.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.memory import INSTRUMENT, NUMBER_MAX
from benchmarks.table import Row
from exchange.domain.commands import Command, CreateInstrument, Genesis, OpenAccount, PlaceOrder, encode_command
from exchange.domain.rules import Rules
from exchange.runtime.core import Core
from exchange.runtime.recovery import event_rows
from journal.log import Journal
from journal.records import EventRow, Record, chain

ORDERS = 100_000
WANTED_MS = 50.0


def run() -> list[Row]:
    """One row: the longest stall in milliseconds; at most 50 is wanted."""
    with tempfile.TemporaryDirectory() as folder:
        stall_ms, quiet_ms, seconds = asyncio.run(_measure(Path(folder) / "bench.db"))
    return [
        Row(
            "snapshot of 100,000 orders",
            f"longest stall {stall_ms:.1f} ms",
            f"{WANTED_MS:.0f} ms ({quiet_ms:.1f} ms without)",
            stall_ms / WANTED_MS,
            1.0,
            f"made in {seconds:.1f} s beside the exchange",
            at_most=True,
        )
    ]


async def _measure(path: Path) -> tuple[float, float, float]:
    core = Core()
    records: list[Record] = []
    events: list[EventRow] = []
    for command in _commands():
        (record,) = chain(core.head, [(core.head.ts_us + 1, encode_command(command).decode())])
        caused, _ = core.step(record, command)
        records.append(record)
        events += event_rows([(record.seq, caused)])
    journal = await Journal.open(path)
    for start in range(0, len(records), 1_000):
        await journal.append(records[start : start + 1_000])
    await journal.append_events(events)
    await journal.close()
    quiet_ms = await _longest_stall_ms(asyncio.sleep(1))
    start_s = time.perf_counter()
    worker = await asyncio.create_subprocess_exec(sys.executable, "-m", "exchange.runtime.snapshotter", str(path))
    stall_ms = await _longest_stall_ms(worker.wait())
    assert worker.returncode == 0
    return stall_ms, quiet_ms, time.perf_counter() - start_s


async def _longest_stall_ms(until: asyncio.Future[object]) -> float:
    longest, task = 0.0, asyncio.ensure_future(until)
    while not task.done():
        start = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - start - 0.001)
    return longest * 1_000


def _commands() -> list[Command]:
    commands: list[Command] = [
        Genesis(Rules(open_orders_max=ORDERS)),
        CreateInstrument(INSTRUMENT, 1_000, 1),
        OpenAccount("user", NUMBER_MAX),
    ]
    for number in range(ORDERS):
        price_micros = 1_000_000 + 1_000 * (number * 7 % 1_000)
        commands.append(PlaceOrder("user", INSTRUMENT, "bid", "limit", "gtc", price_micros, 1_000))
    return commands
