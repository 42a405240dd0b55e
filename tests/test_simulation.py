"""The demo market in simulated time: two runs are equal, and crashes on each of two days leave a sound journal."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from exchange.amounts import parse_time_us
from exchange.cli.main import main
from exchange.domain.instruments import parse_instrument_id
from exchange.domain.units import MILLI_PER_CONTRACT, US_PER_DAY, US_PER_SECOND
from exchange.history.checks import known_checks, run_checks
from exchange.history.sql import SqlSession
from exchange.history.verify import verify
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head
from exchange.simulation.simulate import SimulationPlan, SimulationResult, simulate
from tests.cli_support import PATIENCE_SECONDS, command, environment

START_US = parse_time_us("2026-02-20T00:00:00Z")
HOUR_US = 3_600 * US_PER_SECOND


def run(path: Path, hours: int, step_s: int, seed: int = 7, start_us: int = START_US) -> SimulationResult:
    plan = SimulationPlan(seed, start_us, start_us + hours * HOUR_US, step_s * US_PER_SECOND)
    return asyncio.run(simulate(path, plan, lambda text: None, lambda done, total: None))


def counts(path: Path, table: str) -> Counter[str]:
    """The number of rows of each kind in a view of the history."""
    with SqlSession(path) as session:
        return Counter(dict(session.run(f"SELECT kind, count(*) FROM {table} GROUP BY kind")))


@pytest.mark.long
def test_two_simulations_across_a_settlement_end_in_the_same_digest(tmp_path: Path) -> None:
    start_us = START_US + 7 * HOUR_US
    first = run(tmp_path / "a.db", 2, 240, start_us=start_us)
    second = run(tmp_path / "b.db", 2, 240, start_us=start_us)
    other = run(tmp_path / "c.db", 1, 300, seed=8, start_us=start_us)
    assert first == second and first.hash != other.hash
    assert first.ts_us >= start_us + 2 * HOUR_US
    events = counts(tmp_path / "a.db", "events")
    assert events["delivery_price_set"] == 3 and events["position_settled"] and events["traded"] > 30
    assert events["instrument_created"] == 90, "no next series was listed"
    verdict = verify(tmp_path / "a.db", False, lambda done, total: None)
    assert (verdict.damage, verdict.digest) == (None, first.digest)


@pytest.mark.slow
def test_the_command_prints_its_result_and_does_nothing_the_second_time(tmp_path: Path) -> None:
    arguments = ["simulate", "--db", str(tmp_path / "a.db"), "--from", "2026-02-26T09:00:00Z", "--hours", "1"]
    output = CliRunner().invoke(main, [*arguments, "--step", "600"])
    assert output.exit_code == 0, output.output
    assert [line.split()[0] for line in output.stdout.splitlines()[:3]] == ["seq", "hash", "digest"]
    commands = counts(tmp_path / "a.db", "commands")
    assert commands["set_index_price"] == 3 * 7 and commands["end_session"] == 1
    again = CliRunner().invoke(main, [*arguments, "--step", "600", "--json"])
    assert json.loads(again.stdout)["digest"] in output.stdout
    assert counts(tmp_path / "a.db", "commands") == commands
    arguments[4] = "2026-02-26T08:00:00Z"
    other = CliRunner().invoke(main, [*arguments, "--step", "600"])
    assert other.exit_code == 1 and "begins at 2026-02-26T09:00:00.000000Z" in other.stderr


@pytest.mark.long
def test_two_days_with_a_crash_in_each(tmp_path: Path) -> None:
    """The process is killed on each day, the second time after the settlement, and then runs to the end."""
    path = tmp_path / "exchange.db"
    arguments = ("simulate", "--db", path, "--from", "2026-02-20T00:00:00Z", "--hours", 48, "--step", 1800)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command(*arguments), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    for killed_us in (START_US + 5 * HOUR_US, START_US + US_PER_DAY + 10 * HOUR_US):
        process = start()
        wait_until(path, killed_us, process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    output, errors = start().communicate()
    assert b"digest" in output, errors.decode()
    assert last_us(path) >= START_US + 2 * US_PER_DAY
    commands, events = counts(path, "commands"), counts(path, "events")
    assert (commands["start_session"], commands["end_session"], commands["end_day"]) == (3, 1, 2)
    assert events["delivery_price_set"] == 6 and events["traded"] > 150
    verdict = verify(path, False, lambda done, total: None)
    assert verdict.damage is None
    assert [(one.check.name, one.rows) for one in run_checks(path, known_checks()) if one.rows] == []
    audit(path)


def wait_until(path: Path, ts_us: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the journal reaches this time."""
    deadline = time.monotonic() + 4 * PATIENCE_SECONDS
    while last_us(path) < ts_us:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the simulation makes no progress"
        time.sleep(0.02)


def last_us(path: Path) -> int:
    try:
        with open_journal_reader(path) as reader:
            return reader.head().ts_us
    except (JournalError, sqlite3.Error):
        # The process is just creating the journal.
        return 0


def audit(path: Path) -> None:
    """Recompute cash after every command, positions, delivery prices and payouts from the events."""
    with open_journal_reader(path) as reader:
        records = {record.seq: record for record in reader.records(Head())}
    with SqlSession(path) as session:
        events = session.run("SELECT seq, payload FROM events ORDER BY seq, n").fetchall()
    rows = [(seq, json.loads(payload)) for seq, payload in events]
    cash: Counter[str] = Counter()
    positions: Counter[tuple[str, str]] = Counter()
    prices: dict[str, list[tuple[int, int]]] = {}
    delivery: dict[tuple[str, int], int] = {}
    paid_in = paid = 0
    for seq, group in groupby(rows, key=lambda row: row[0]):
        command = json.loads(records[seq].payload)
        if command["kind"] in ("open_account", "deposit"):
            paid_in += command["cash_micros" if command["kind"] == "open_account" else "amount_micros"]
        for _, event in group:
            match event["kind"]:
                case "balance_changed":
                    cash[event["user_id"]] = event["cash_micros"]
                case "index_price_set":
                    prices.setdefault(event["asset"], []).append((records[seq].ts_us, event["price_micros"]))
                case "traded":
                    size = event["size_milli"] * (1 if event["taker_side"] == "bid" else -1)
                    positions[event["taker_user_id"], event["instrument_id"]] += size
                    positions[event["maker_user_id"], event["instrument_id"]] -= size
                case "delivery_price_set":
                    key = event["asset"], event["expiration_s"]
                    delivery[key] = event["price_micros"]
                    average = time_weighted(prices[event["asset"]], event["expiration_s"] * US_PER_SECOND)
                    assert event["price_micros"] == average
                case "position_settled":
                    position = positions.pop((event["user_id"], event["instrument_id"]))
                    assert event["quantity_milli"] == position
                    # All payouts of an option together are whole micros, so that one of them may be off by one.
                    assert abs(event["payout_micros"] - payout(event, position, delivery)) <= 1
                    paid += event["payout_micros"]
        assert sum(cash.values()) == paid_in, f"command {seq} changed the sum of all cash"
    assert paid == 0 and delivery
    for instrument_id in {name for _, name in positions}:
        assert sum(size for (_, name), size in positions.items() if name == instrument_id) == 0
    forgotten = [key for key in positions if delivery.get(_series(key[1])) and positions[key]]
    assert forgotten == [], "a settled position is still open"


def payout(event: dict[str, Any], position_milli: int, delivery: dict[tuple[str, int], int]) -> int:
    terms = parse_instrument_id(event["instrument_id"])
    above = delivery[_series(event["instrument_id"])] - terms.strike_micros
    return max(above if terms.option_type == "call" else -above, 0) * position_milli // MILLI_PER_CONTRACT


def _series(instrument_id: str) -> tuple[str, int]:
    terms = parse_instrument_id(instrument_id)
    return terms.asset, terms.expiration_s


def time_weighted(prices: list[tuple[int, int]], end_us: int) -> int:
    """The time-weighted average price of the last 30 minutes before `end_us`, rounded half up to the micro."""
    begin_us = end_us - 30 * 60 * US_PER_SECOND
    steps = list(_weighted_prices(prices, begin_us, end_us))
    total_us = sum(us for us, _ in steps)
    return (2 * sum(price * us for us, price in steps) + total_us) // (2 * total_us)


def _weighted_prices(prices: list[tuple[int, int]], begin_us: int, end_us: int) -> Iterator[tuple[int, int]]:
    for (ts_us, price), (next_us, _) in zip(prices, [*prices[1:], (end_us, 0)], strict=True):
        until_us = min(next_us, end_us)
        if until_us > max(ts_us, begin_us):
            yield until_us - max(ts_us, begin_us), price
