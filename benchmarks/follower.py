"""The follower at full load: orders per second with and without it, and how far its history lags.

Two exchanges run, and the load goes to each in turn. The history of one is locked, so that its follower
waits. After each load on the other one, its follower catches up before the next load begins.
"""

import asyncio
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.orders import CONNECTIONS, IN_FLIGHT, create_journal, load
from benchmarks.servers import running
from benchmarks.table import Row, median
from exchange.history_db.file import head_of, open_history
from exchange.history_db.update import history_lock
from exchange.journal.opening import open_journal_reader

ROUNDS = 5
LOOK_SECONDS = 0.05
WANTED_RATIO = 0.95


def run() -> list[Row]:
    """One row: orders/s with and without the follower, the ratio, and the lag of the history in the note."""
    with_history, without, lags, catch_ups = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        followed, alone = Path(folder) / "followed.db", Path(folder) / "alone.db"
        for db in (followed, alone):
            asyncio.run(create_journal(db))
        serve = ("-m", "exchange.cli.main", "serve", "--port", "0", "--demo", "--rate-limit", "0", "--db")
        with history_lock(alone), running(*serve, str(followed)) as url, running(*serve, str(alone)) as alone_url:
            for _ in range(ROUNDS):
                with_history.append(load(url, "orders")["answers_per_second"])
                began = time.monotonic()
                lags.append(lag(followed))
                while lag(followed):
                    time.sleep(LOOK_SECONDS)
                catch_ups.append(time.monotonic() - began)
                without.append(load(alone_url, "orders")["answers_per_second"])
    figure, reference = median(with_history), median(without)
    return [
        Row(
            "follower",
            f"{figure:,.0f} orders/s",
            f"without a follower {reference:,.0f}/s",
            figure / reference,
            WANTED_RATIO,
            f"{CONNECTIONS} x {IN_FLIGHT} orders in flight; at the end of a load the history lags {median(lags):,.0f} "
            f"commands behind, and has caught up {median(catch_ups):.1f} s later",
        )
    ]


def lag(db: Path) -> int:
    """The number of commands that the history of a journal lacks."""
    with open_journal_reader(db) as reader, closing(open_history(db)) as connection:
        return reader.head().seq - head_of(connection).seq
