"""Kills of the follower, of the exchange and of both under load: the history is complete and equal to a rebuilt one.

The exchange, or its follower, is killed after a random number of answers. What is left catches up without help; then
every row of every table is compared with a history that is written from the journal at once.
"""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import tempfile
from asyncio.subprocess import Process
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exchange.engine.recovery import replay_step, restore_base
from exchange.history_db.file import HistoryError, head_of, history_path, open_history
from exchange.history_db.update import new_answers, update_history
from exchange.history_db.writer import HistoryWriter
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head
from exchange.runtime.follower import read_status
from tests.test_recovery import Trader, server

TARGETS = ("follower", "exchange", "both")
ANSWERS_MAX = 100
LOOK_SECONDS = 0.02
SOAK_KILLS = 100
SOAK_JOURNALS = 10
# The follower has the lowest priority: it waits long on a machine with other work.
HANG_SECONDS = 500
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="parents of processes are read in /proc")


def rows_of(file: Path) -> dict[str, list[Any]]:
    """All rows of all tables, in the order of their columns."""
    with closing(sqlite3.connect(file)) as connection:
        found = {}
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
        for (name,) in names:
            width = len(connection.execute(f"PRAGMA table_info({name})").fetchall())
            order = ", ".join(map(str, range(1, width + 1)))
            found[name] = connection.execute(f"SELECT * FROM {name} ORDER BY {order}").fetchall()
    return found


def rebuilt(path: Path) -> dict[str, list[Any]]:
    """The rows of a history that one writer writes from the first command on."""
    with tempfile.TemporaryDirectory() as folder, open_journal_reader(path) as reader:
        file = Path(folder) / "fresh.history.db"
        with closing(HistoryWriter(file)) as writer:
            engine = restore_base(reader, 0)
            for record in reader.records(engine.head):
                writer.add(record, *replay_step(engine, record), engine)
            writer.flush([])
            writer.flush(new_answers(reader, writer))
        return rows_of(file)


def check_history(path: Path) -> int:
    """Compare the history of a stopped exchange with a rebuilt one. Returns the number of rows."""
    update_history(path, lambda sentence: None, lambda done, total: None)
    found, expected = rows_of(history_path(path)), rebuilt(path)
    assert found == expected
    return sum(map(len, found.values()))


def journal_head(path: Path) -> Head:
    with open_journal_reader(path) as reader:
        return reader.head()


async def caught_up(path: Path) -> None:
    """Wait until the history holds the present end of the journal. The follower alone writes it."""
    last_seq, seq = journal_head(path).seq, 0
    while seq < last_seq:
        await asyncio.sleep(LOOK_SECONDS)
        with contextlib.suppress(HistoryError), closing(open_history(path)) as connection:
            seq = head_of(connection).seq


async def follower_pid(path: Path, exchange: Process) -> int:
    """Wait until the follower of this exchange has begun, and return its process id."""
    while True:
        status = read_status(path)
        if status is not None and _parent(status.pid) == exchange.pid:
            return status.pid
        await asyncio.sleep(LOOK_SECONDS)


def _parent(pid: int) -> int | None:
    """The parent of a process; None if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


async def kill_once(path: Path, target: str, rng: random.Random, traders: list[Trader]) -> None:
    """Kill the target under load. What is left catches up: after both, a new exchange; after an exchange, a reader."""
    async with server(path, "--snapshot-every", "200") as (process, url):
        # The orders begin when the follower has: on a busy machine it begins late, and the traders' cash would run out.
        pid = await follower_pid(path, process) if target != "exchange" else 0
        answered = asyncio.Semaphore(0)
        clients = [asyncio.create_task(trader.trade(url, answered)) for trader in traders]
        for _ in range(rng.randrange(1, ANSWERS_MAX)):
            await answered.acquire()
        if target != "exchange":
            os.kill(pid, signal.SIGKILL)
        if target != "follower":
            process.kill()
        else:
            # No order is lost or waits: the exchange answers more than was in flight.
            for _ in range(ANSWERS_MAX // 2):
                await answered.acquire()
            for client in clients:
                client.cancel()
            await caught_up(path)
            assert await follower_pid(path, process) != pid
            process.terminate()
            _, errors = await process.communicate()
            assert b"the follower ended with code -9; starting it again in 1 s" in errors
            assert process.returncode == 0
        for outcome in await asyncio.gather(*clients, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
    if target == "both":
        async with server(path, "--snapshot-every", "200") as (process, _):
            await caught_up(path)
            process.terminate()
            await process.communicate()


def run_kills(path: Path, seed: int, kills: int) -> None:
    rng = random.Random(seed)
    traders = [Trader(f"trader-{number}", number) for number in range(4)]
    for number in range(kills):
        target = TARGETS[number % len(TARGETS)]
        asyncio.run(asyncio.wait_for(kill_once(path, target, rng, traders), HANG_SECONDS))
        rows = check_history(path)
        print(f"kill {number + 1}: {target}, seq {journal_head(path).seq}, {rows:,} rows")  # noqa: T201


@needs_proc
@pytest.mark.long
def test_the_history_is_complete_after_kills(tmp_path: Path) -> None:
    run_kills(tmp_path / "exchange.db", seed=3, kills=len(TARGETS))


@needs_proc
@pytest.mark.soak
def test_the_history_is_complete_after_a_hundred_kills(tmp_path: Path) -> None:
    """Each journal takes ten of them: a rebuilt history costs as much as its journal is long."""
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")  # noqa: T201
    for number in range(SOAK_JOURNALS):
        run_kills(tmp_path / f"exchange-{number}.db", seed + number, SOAK_KILLS // SOAK_JOURNALS)
