"""Commands per second that the journal makes durable, compared with plain `sqlite3`.

Ours computes the chain of hashes, hands the batch to the journal's thread and notes the last seq in the lock file, as a
running exchange does. The reference inserts the same rows with `executemany` into a table with the same columns, in one
transaction for each batch, with the same settings: write-ahead log and a sync at each commit.
"""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.load import fastest_event_loop
from benchmarks.order_streams import deep_stream
from benchmarks.scale import Scale
from benchmarks.table import Goal, Row, median
from exchange.domain.commands import encode_commands
from exchange.journal.lock import JournalLock
from exchange.journal.opening import open_journal_writer
from exchange.journal.records import Head, Record, chain

# Commands in a batch, and batches in one round at full scale.
BATCHES = ((1, 400), (10, 300), (100, 150), (1_000, 40))
GOAL = Goal(ratio=0.7)
TABLE = (
    "CREATE TABLE commands (seq INTEGER PRIMARY KEY, ts_us INTEGER NOT NULL, payload TEXT NOT NULL, "
    "hash BLOB NOT NULL) STRICT"
)


def run(scale: Scale) -> list[Row]:
    """One row for each size of a batch."""
    payloads = encode_commands(deep_stream(0.01).commands)
    return [_row(payloads, size, scale.sized(count, least=2), scale) for size, count in BATCHES]


class _Clock:
    """The time since it was made, and the CPU time of all threads, in µs for one command."""

    def __init__(self) -> None:
        self._began_seconds, self._began_cpu_seconds = time.perf_counter(), time.process_time()

    def stop(self, commands: int) -> tuple[float, float]:
        wall_seconds = time.perf_counter() - self._began_seconds
        cpu_seconds = time.process_time() - self._began_cpu_seconds
        return 1e6 * wall_seconds / commands, 1e6 * cpu_seconds / commands


def _row(payloads: list[str], size: int, count: int, scale: Scale) -> Row:
    ours, plain = [], []
    batch = [payloads[number % len(payloads)] for number in range(size)]
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(scale.rounds):
            with asyncio.Runner(loop_factory=fastest_event_loop) as runner:
                ours.append(runner.run(_append(Path(folder) / f"{turn}.db", batch, count)))
            plain.append(_insert(Path(folder) / f"{turn}.plain.db", list(_batches(batch, count))))
    our_us, our_cpu_us = map(median, zip(*ours, strict=True))
    plain_us, plain_cpu_us = map(median, zip(*plain, strict=True))
    note = f"CPU {our_cpu_us:.1f} µs a command, plain {plain_cpu_us:.1f}"
    name = f"append, {size:,} at once"
    return Row(name, 1e6 / our_us, "commands/s", 1e6 / plain_us, "plain sqlite3", GOAL, note)


def _batches(batch: list[str], count: int) -> Iterator[list[Record]]:
    head = Head()
    for _ in range(count):
        records = chain(head, [(head.ts_us + number, payload) for number, payload in enumerate(batch, 1)])
        yield records
        head = Head(*records[-1][:2], records[-1].hash)


async def _append(path: Path, batch: list[str], count: int) -> tuple[float, float]:
    with JournalLock(path) as lock:
        journal = await open_journal_writer(path, lock)
        try:
            clock = _Clock()
            for records in _batches(batch, count):
                await journal.append(records)
            return clock.stop(count * len(batch))
        finally:
            await journal.close()


def _insert(path: Path, batches: list[list[Record]]) -> tuple[float, float]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(TABLE)
        clock = _Clock()
        for records in batches:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO commands VALUES (?, ?, ?, ?)", records)
            connection.execute("COMMIT")
        return clock.stop(sum(map(len, batches)))
