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
from benchmarks.scale import Scale
from benchmarks.servers import exchange_arguments, running
from benchmarks.table import Goal, Row, median
from exchange.history_db.file import NoHistoryError, head_of, open_history
from exchange.history_db.update import history_lock
from exchange.journal.opening import open_journal_reader

LOOK_SECONDS = 0.05
GOAL = Goal(ratio=0.95)


def run(scale: Scale) -> list[Row]:
    """One row: orders/s with and without the follower, the ratio, and the lag of the history in the note."""
    with_history, without, lags, catch_ups = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        followed, alone = Path(folder) / "followed.db", Path(folder) / "alone.db"
        for db in (followed, alone):
            asyncio.run(create_journal(db))
        with (
            history_lock(alone),
            running(*exchange_arguments(followed)) as exchange,
            running(*exchange_arguments(alone)) as lonely,
        ):
            for _ in range(scale.rounds):
                with_history.append(load(exchange, scale).answers_per_second)
                began = time.monotonic()
                lags.append(lag(followed))
                while lag(followed):
                    time.sleep(LOOK_SECONDS)
                catch_ups.append(time.monotonic() - began)
                without.append(load(lonely, scale).answers_per_second)
    note = (
        f"{CONNECTIONS} x {IN_FLIGHT} orders in flight; at the end of a load the history lags {median(lags):,.0f} "
        f"commands behind, and has caught up {median(catch_ups):.1f} s later"
    )
    return [Row("follower", median(with_history), "orders/s", median(without), "without a follower", GOAL, note)]


def lag(db: Path) -> int:
    """The number of commands that the history of a journal lacks."""
    with open_journal_reader(db) as reader:
        head_seq = reader.head().seq
    try:
        with closing(open_history(db)) as connection:
            return head_seq - head_of(connection).seq
    except NoHistoryError:
        # The follower has just begun.
        return head_seq
