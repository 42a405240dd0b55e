"""The transaction log: it sums to the cash of every account at every seq, and pages through all of it."""

import random
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from exchange.engine.recovery import replay, restore_base
from exchange.history_db import transactions
from exchange.history_db.file import open_history
from exchange.history_db.past_views import PastViews
from exchange.history_db.transactions import transactions_of
from exchange.history_db.update import update_history
from exchange.journal.opening import open_journal_reader
from exchange.projections.record_page import RecordPage
from exchange.projections.wire_types import Transaction
from tests.history_sql import ask_past
from tests.market_commands import fair_steps, market_steps
from tests.market_story import write_steps, write_story

COUNT, ALL = 700, 100_000
# In the fair streams positions are taken over, losses shared, debts repaid and accounts reset.
STREAMS = {"market 10": market_steps(10, COUNT), "fair 13": fair_steps(13, COUNT), "fair 17": fair_steps(17, COUNT)}


@pytest.fixture(scope="module", params=["story", *STREAMS])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The story of a market, or a random stream, with its history."""
    path = tmp_path_factory.mktemp(f"log-{request.param}") / "exchange.db"
    if request.param == "story":
        write_story(path)
    else:
        write_steps(path, ((step.ts_us, step.command) for step in STREAMS[request.param]))
    update_history(path, lambda sentence: None, lambda done, total: None)
    return path


@pytest.fixture(scope="module")
def logs(path: Path) -> dict[str, list[Transaction]]:
    """The whole log of each account, the newest entry first."""
    with closing(open_history(path)) as connection:
        views = _views(path, connection)
        return {user_id: transactions_of(views, user_id, RecordPage(ALL)) for user_id in views.balances.users}


def _views(path: Path, connection: sqlite3.Connection) -> PastViews:
    with open_journal_reader(path) as reader:
        return PastViews(connection, reader.head().seq)


@pytest.mark.slow
def test_the_log_of_each_account_sums_to_its_cash_at_every_seq(path: Path, logs: dict[str, list[Transaction]]) -> None:
    changes: defaultdict[tuple[str, int], list[Transaction]] = defaultdict(list)
    for user_id, log in logs.items():
        for entry in reversed(log):
            changes[user_id, entry.seq].append(entry)
    sums: defaultdict[str, int] = defaultdict(int)
    with open_journal_reader(path) as reader:
        engine = restore_base(reader, 0)
        for record in reader.records(engine.head):
            replay(engine, record)
            for user_id, account in engine.state.accounts.items():
                for entry in changes[user_id, record.seq]:
                    sums[user_id] += entry.change_micros
                    assert entry.balance_micros == sums[user_id], entry
                    assert entry.ts_us == record.ts_us
                assert sums[user_id] == account.cash_micros, (user_id, record.seq)
    assert set(logs) == set(engine.state.accounts)


def test_the_log_has_the_reasons_of_the_cash_flows(path: Path, logs: dict[str, list[Transaction]]) -> None:
    """The view of SQL has premium and fee of a trade apart; the log has both in one entry."""
    sums: defaultdict[tuple[str, int], int] = defaultdict(int)
    flows = ask_past(path, "SELECT user_id, seq, amount_micros FROM cash_flows")
    for user_id, seq, amount_micros in flows:
        sums[user_id, seq] += amount_micros
    logged: defaultdict[tuple[str, int], int] = defaultdict(int)
    for user_id, log in logs.items():
        for entry in log:
            logged[user_id, entry.seq] += entry.change_micros
    assert {key: value for key, value in sums.items() if value} == {
        key: value for key, value in logged.items() if value
    }
    reasons = {reason for (reason,) in ask_past(path, "SELECT DISTINCT reason FROM cash_flows")}
    assert reasons - {"fee"} <= {entry.type for log in logs.values() for entry in log}


def test_pages_of_the_log_are_parts_of_it(
    path: Path, logs: dict[str, list[Transaction]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if a page ends within a command, and if the balance changed often without a movement of cash."""
    monkeypatch.setattr(transactions, "_VERSIONS_PER_ENTRY", 1)
    rng = random.Random(1)
    with closing(open_history(path)) as connection:
        views = _views(path, connection)
        for user_id, log in logs.items():
            assert [entry.id for entry in log] == sorted({entry.id for entry in log}, reverse=True)
            for count in (1, 7):
                assert list(_paged(views, user_id, count)) == log
            for _ in range(10 if log else 0):
                start_us, end_us = sorted(rng.choice(log).ts_us + rng.choice((-1, 0, 0, 1)) for _ in range(2))
                page = RecordPage(5, None, start_us, end_us)
                expected = [entry for entry in log if start_us <= entry.ts_us <= end_us]
                assert transactions_of(views, user_id, page) == expected[:5]


def _paged(views: PastViews, user_id: str, count: int) -> Iterator[Transaction]:
    before = None
    while page := transactions_of(views, user_id, RecordPage(count, before)):
        assert len(page) <= count
        yield from page
        before = page[-1].id


def test_the_log_of_a_past_moment_ends_there(path: Path, logs: dict[str, list[Transaction]]) -> None:
    with closing(open_history(path)) as connection:
        for seq in (2, 30, 60):
            views = PastViews(connection, seq)
            for user_id in views.balances.users:
                known = [entry for entry in logs[user_id] if entry.seq <= seq]
                assert transactions_of(views, user_id, RecordPage(ALL)) == known
            assert transactions_of(views, "nobody", RecordPage(ALL)) == []


def test_a_page_reads_indexes_alone(path: Path) -> None:
    """A page of an account with a million trades must not read all of them."""
    with closing(open_history(path)) as connection:
        asked: list[str] = []
        views = _views(path, connection)
        connection.set_trace_callback(asked.append)
        transactions_of(views, "alice", RecordPage(3))
        connection.set_trace_callback(None)
        steps = [row[3] for sql in asked for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert [step for step in steps if step.startswith("SCAN") and "CONSTANT" not in step and step != "SCAN m"] == []
    bounded = [step for step in steps if step.startswith("SEARCH t ")]
    assert len(bounded) == 7 and all(">?" in step for step in bounded), bounded
