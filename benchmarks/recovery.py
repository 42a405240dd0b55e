"""Duration of a start with a recent snapshot, compared with a replay of the whole journal.

The journal has a million commands (or RECOVERY_COMMANDS), a twentieth of them after the snapshot. The duration is that
of `exchange serve`, from the start of the process until it listens.
"""

import asyncio
import os
import shutil
import tempfile
import time
from itertools import islice
from pathlib import Path

from benchmarks.scale import Scale
from benchmarks.servers import running
from benchmarks.table import Goal, Row, median
from exchange.domain.commands import (
    CancelOrder,
    Command,
    CreateInstrument,
    Genesis,
    OpenAccount,
    PlaceOrder,
    encode_commands,
)
from exchange.domain.enums import Side
from exchange.domain.events import Event
from exchange.domain.units import NUMBER_MAX
from exchange.engine.engine import Engine
from exchange.journal.opening import open_journal_writer
from exchange.journal.records import chain
from exchange.snapshots.store import SnapshotStore

COMMANDS = int(os.environ.get("RECOVERY_COMMANDS", "1000000"))
# Commands after the snapshot.
BACK = COMMANDS // 20
QUOTES = 2_000
AT_ONCE = 20_000
RUNS = 3
INSTRUMENT = "BENCH_USDC-31DEC99-1-C"
USERS = ("alice", "bob", "carol", "dave")
START_US = 1_772_000_000_000_000


def run(_scale: Scale) -> list[Row]:
    """Return one row: seconds of a start with the snapshot and of a full replay; the ratio should be at most 0.1."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        asyncio.run(_prepare(path))
        kept = SnapshotStore(path).folder.rename(Path(folder) / "kept")
        whole = _seconds(path, None)
        short = median([_seconds(path, kept) for _ in range(RUNS)])
    name, note = f"start, {COMMANDS:,} commands", f"snapshot {BACK:,} commands back"
    return [Row(name, short, "s", whole, "full replay", Goal(ratio=0.1, at_most=True), note)]


def _seconds(path: Path, snapshots: Path | None) -> float:
    """Return the seconds of a start with these snapshots; those of the previous run are removed."""
    folder = SnapshotStore(path).folder
    shutil.rmtree(folder, ignore_errors=True)
    if snapshots is not None:
        shutil.copytree(snapshots, folder)
    began = time.perf_counter()
    with running("-m", "exchange.cli.main", "serve", "--db", str(path), "--port", "0", "--snapshot-every", "0"):
        return time.perf_counter() - began


async def _prepare(path: Path) -> None:
    engine, commands = Engine(), iter(_commands())
    journal = await open_journal_writer(path)
    try:
        while some := list(islice(commands, AT_ONCE)):
            times_us = [START_US + engine.head.seq + n for n in range(1, len(some) + 1)]
            records = chain(engine.head, zip(times_us, encode_commands(some), strict=True))
            caused: list[tuple[int, list[Event]]] = []
            for record, command in zip(records, some, strict=True):
                caused.append((record.seq, engine.step(record, command)[0]))
                if record.seq == COMMANDS - BACK:
                    SnapshotStore(path).save(engine.snapshot())
            await journal.append(records)
    finally:
        await journal.close()


def _commands() -> list[Command]:
    """Yield quotes around a moving price. Each is cancelled after QUOTES newer ones, unless it trades before."""
    made: list[Command] = [Genesis(), CreateInstrument(INSTRUMENT, 1_000, 1)]
    made += [OpenAccount(user_id, NUMBER_MAX // len(USERS)) for user_id in USERS]
    placed = 0
    while len(made) < COMMANDS:
        placed += 1
        side: Side = "bid" if placed % 2 else "ask"
        middle = 500_000 + placed % 1_000 * 100 // 1_000 * 1_000
        price = middle - placed % 7 * 1_000 if placed % 2 else middle + placed % 5 * 1_000 - placed % 3 * 2_000
        made.append(PlaceOrder(USERS[placed % 4], INSTRUMENT, side, "limit", "gtc", price, 1_000 + placed % 9 * 100))
        if placed > QUOTES and len(made) < COMMANDS:
            made.append(CancelOrder(USERS[(placed - QUOTES) % 4], placed - QUOTES))
    return made
