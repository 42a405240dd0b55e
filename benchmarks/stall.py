"""Minutes of load at 80 % of the maximum rate: the longest stall of the event loop, and whether all stays flat.

The server runs as always, with its follower and its snapshots, and with a task that measures stalls. A program that has
read the journal keeps it open. Each interval, a minute in the long run, has its own figures.
"""

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.follower import lag
from benchmarks.load import first_open_instrument
from benchmarks.meter import Report
from benchmarks.orders import CONNECTIONS, create_journal, load
from benchmarks.scale import Scale
from benchmarks.servers import Server, resident_bytes, running
from benchmarks.table import NO_GOAL, Goal, Row, number
from benchmarks.watched_server import VARIABLE
from exchange.snapshots.store import SnapshotStore

RATE_SHARE = 0.8
GOAL = Goal(figure=20, at_most=True)
NOT_LESS, NOT_MORE = Goal(ratio=0.9), Goal(ratio=1.1, at_most=True)
# At least so many intervals, however short the load is.
INTERVALS_MIN = 3


class Interval(NamedTuple):
    """The figures of one interval. `stall_cpu_ms`: the longest stall without the waits for a core."""

    rate: float
    p99_ms: float
    memory_mib: float
    wal_mib: float
    descriptors: float
    lag_commands: float
    stall_ms: float
    stall_cpu_ms: float


FLAT = (
    ("rate", "orders/s", "rate", NOT_LESS),
    ("p99_ms", "ms", "p99", NOT_MORE),
    ("memory_mib", "MiB", "memory", NOT_MORE),
    ("wal_mib", "MiB", "size of -wal", NOT_MORE),
    ("descriptors", "files", "file descriptors", NOT_MORE),
    ("lag_commands", "commands", "history lag", NO_GOAL),
)


def run(scale: Scale) -> list[Row]:
    """One row for the longest stall, and one for each figure that should stay flat: the last interval to the second."""
    count = max(INTERVALS_MIN, round(scale.minutes))
    with tempfile.TemporaryDirectory() as folder:
        db, stalls = Path(folder) / "bench.db", Path(folder) / "stalls"
        asyncio.run(create_journal(db))
        os.environ[VARIABLE] = str(stalls)
        serve = ("serve", "--db", str(db), "--port", "0", "--demo", "--rate-limit", "0")
        with (
            running("-m", "benchmarks.watched_server", *serve) as exchange,
            closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as reader,
        ):
            reader.execute("SELECT max(seq) FROM commands").fetchone()
            rate = RATE_SHARE * load(exchange, scale).answers_per_second
            before = set(SnapshotStore(db).files())
            intervals = list(_intervals(exchange, db, stalls, rate, 60 * scale.minutes / count, count))
            made = len(set(SnapshotStore(db).files()) - before)
    seconds, stall_ms = 60 * scale.minutes, max(one.stall_ms for one in intervals)
    note = (
        f"{seconds:,.0f} s at {rate:,.0f} orders/s, {made} snapshots; without waits for a core "
        f"{max(one.stall_cpu_ms for one in intervals):.1f} ms; "
        f"by interval: {_texts(one.stall_ms for one in intervals)}"
    )
    rows = [Row("stall of the loop, longest", stall_ms, "ms", goal=GOAL, note=note)]
    return rows + [_flat_row(intervals, *row) for row in FLAT]


def _flat_row(intervals: list[Interval], field: str, unit: str, name: str, goal: Goal) -> Row:
    values = [float(getattr(one, field)) for one in intervals]
    note = f"by interval: {_texts(values)}"
    # The first interval fills caches.
    return Row(f"long load, {name}", values[-1], unit, values[1], "second interval", goal, note)


def _texts(values: Iterator[float] | list[float]) -> str:
    return ", ".join(map(number, values))


def _intervals(exchange: Server, db: Path, stalls: Path, rate: float, seconds: float, count: int) -> Iterator[Interval]:
    arguments = ["--url", exchange.url, "--connections", str(CONNECTIONS), "--rate", f"{rate:.0f}", "--pid"]
    arguments += [str(exchange.pid), "--seconds", f"{seconds:.3f}", "--intervals", str(count)]
    arguments += ["--instrument", asyncio.run(first_open_instrument(exchange.url)), "--warm-up", "0.2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.steady", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the clients could not log in"
        seen = len(_stalls(stalls))
        for line in process.stdout:
            new = _stalls(stalls)[seen:] or [(0.0, 0.0)]
            seen += len(new)
            yield _interval(exchange, db, msgspec.json.decode(line, type=Report), new)
        assert process.wait() == 0, "the load failed"
    finally:
        process.terminate()
        process.communicate()


def _interval(exchange: Server, db: Path, report: Report, stalls: list[tuple[float, float]]) -> Interval:
    assert not report.errors, f"the load met errors: {report.errors}"
    stall_ms, stall_cpu_ms = map(max, zip(*stalls, strict=True))
    return Interval(
        rate=report.answers_per_second,
        p99_ms=report.p99_us / 1000,
        memory_mib=resident_bytes(exchange.pid) / 2**20,
        wal_mib=db.with_name(db.name + "-wal").stat().st_size / 2**20,
        descriptors=len(list(Path(f"/proc/{exchange.pid}/fd").iterdir())),
        lag_commands=lag(db),
        stall_ms=stall_ms,
        stall_cpu_ms=stall_cpu_ms,
    )


def _stalls(file: Path) -> list[tuple[float, float]]:
    """The longest stalls of each second, as `watched_server` writes them."""
    if not file.exists():
        return []
    pairs = (line.split() for line in file.read_text(encoding="ascii").splitlines())
    return [(float(pair[0]), float(pair[1])) for pair in pairs if len(pair) == 2]
