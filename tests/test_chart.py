"""Charts: the data match the recorded events, and a file is written."""

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from exchange.cli.main import main
from exchange.domain.commands import Command, CreateInstrument, Deposit, Genesis, OpenAccount, PlaceOrder
from exchange.domain.enums import Side
from exchange.history import chart_data
from exchange.history.chart_data import DepthStep, Profit, QuotePoint, depths, latencies, prices, profits
from exchange.history.moment import Moment
from tests.journals import write_journal
from tests.market_story import CALL, COIN, write_story
from tests.test_recovery import server

INSTRUMENT = "SOL_USDC-28FEB26-150-C"
START_US = 1_772_000_000_000_000
SECOND = 1_000_000


def order(user_id: str, side: Side, price_micros: int, size_milli: int) -> PlaceOrder:
    return PlaceOrder(user_id, INSTRUMENT, side, "limit", "gtc", price_micros, size_milli)


MARKET: tuple[Command, ...] = (
    Genesis(),  # seq 1
    CreateInstrument(INSTRUMENT, 1_000, 1),
    *(OpenAccount(user_id, 10_000_000_000) for user_id in ("alice", "bob")),  # seq 3 and 4
    order("alice", "bid", 5_000_000, 2_000),
    order("alice", "bid", 4_900_000, 1_000),
    order("bob", "ask", 5_200_000, 1_000),  # seq 7
    order("bob", "ask", 5_000_000, 500),  # seq 8: trades
    order("alice", "bid", 5_300_000, 1_500),  # seq 9: takes the ask, and rests above it
    Deposit("bob", 1),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "exchange.db"
    write_journal(path, ((START_US + n * SECOND, command) for n, command in enumerate(MARKET, 1)))
    return path


def no_bar(_done: int, _total: int) -> None:
    pass


def at(seq: int) -> int:
    return START_US + seq * SECOND


def test_prices_are_every_trade_and_every_change_of_the_best_quotes(path: Path) -> None:
    found = prices(path, INSTRUMENT, 1, 10, no_bar)
    assert found.quotes == [
        QuotePoint(at(5), 5_000_000, None),
        QuotePoint(at(7), 5_000_000, 5_200_000),
        QuotePoint(at(9), 5_300_000, None),
    ]
    assert [(trade.seq, trade.price_micros, trade.size_milli) for trade in found.trades] == [
        (8, 5_000_000, 500),
        (9, 5_200_000, 1_000),
    ]
    assert [trade.seq for trade in prices(path, INSTRUMENT, 9, 10, no_bar).trades] == [9]
    assert found.index_prices == []


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("market") / "exchange.db"
    write_story(path)
    return path


def test_prices_include_the_index_until_expiry(story: Path) -> None:
    whole = prices(story, CALL, 1, 73, no_bar).index_prices
    assert [point.price_micros // 1_000_000 for point in whole] == [150, 155, 190, 191, 193, 189]
    assert prices(story, CALL, 30, 73, no_bar).index_prices[0].price_micros == 190_000_000  # as it was then
    assert prices(story, COIN, 1, 73, no_bar).index_prices == []


def test_profits_include_settlements(story: Path) -> None:
    """Without open positions, the profits add up to the cash minus the deposits."""
    last = {point.user_id: point.profit_micros for point in profits(story, [], 1, 73, no_bar)}
    assert (last["alice"], last["bob"], last["carol"]) == (44_656_301, -65_344_000, 133_760_007)


@pytest.mark.slow
@pytest.mark.parametrize("what", [("price", CALL), ("price", COIN), ("pnl",)])
def test_charts_of_a_market(story: Path, tmp_path: Path, what: tuple[str, ...]) -> None:
    out = tmp_path / "picture.html"
    outcome = CliRunner().invoke(main, ["chart", *what, "--db", str(story), "--out", str(out)])
    assert outcome.exit_code == 0, outcome.output
    assert ("index dashed" in outcome.output) == (CALL in what)


def test_line_has_the_last_quote_of_each_interval(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart_data, "POINTS_MAX", 2)
    assert [quote.ts_us for quote in prices(path, INSTRUMENT, 1, 10, no_bar).quotes] == [at(5), at(7), at(9)]


def test_depth_is_summed_from_the_best_price_outwards(path: Path) -> None:
    found = depths(path, INSTRUMENT, Moment(7), no_bar)
    assert (found.seq, found.ts_us) == (7, at(7))
    assert found.steps == [
        DepthStep("bid", 5_000_000, 2_000),
        DepthStep("bid", 4_900_000, 3_000),
        DepthStep("ask", 5_200_000, 1_000),
    ]
    assert depths(path, INSTRUMENT, Moment(1), no_bar).steps == []


def test_profits_of_all_users_add_up_to_zero(path: Path) -> None:
    found = profits(path, [], 1, 10, no_bar)
    last = [point for point in found if point.ts_us == at(10)]
    # 0.5 at 5.00 and 1 at 5.20; nothing is asked now, so the last price values the position: 1.5 * 5.20 - 7.70
    assert last == [Profit(at(10), "alice", 100_000), Profit(at(10), "bob", -100_000)]
    assert {point.user_id for point in profits(path, ["bob"], 5, 10, no_bar)} == {"bob"}


def test_outermost_price_has_an_area(path: Path, tmp_path: Path) -> None:
    """A side with a single price has no area, so its step is extended outwards."""
    out = tmp_path / "depth.html"
    CliRunner().invoke(main, ["chart", "depth", INSTRUMENT, "--at", "7", "--db", str(path), "--out", str(out)])
    text = re.findall(r'\[\{"side": .*?\}\]', out.read_text(encoding="utf-8"))[0]
    ends = [row["price"] for row in json.loads(text) if row["contracts"] in (1, 3)]
    assert ends == [4.9, 5.2, pytest.approx(4.891), pytest.approx(5.209)]


def test_label_of_a_single_price_is_not_rounded(path: Path, tmp_path: Path) -> None:
    """By default the axis would round a single price: 4.90 to 5, or 1.50 to 2."""
    out = tmp_path / "price.html"
    outcome = CliRunner().invoke(
        main, ["chart", "price", INSTRUMENT, "--to", "5", "--db", str(path), "--out", str(out)]
    )
    assert "0 trades" in outcome.stdout
    page = out.read_text(encoding="utf-8")
    assert '"domain": [4.5, 5.5]' in page and '"format": ",.6~f"' in page
    assert '"point": true' in page, "a line of one point cannot be seen"


@pytest.mark.slow
def test_latency_points_have_enough_answers(path: Path) -> None:
    def intervals(count: int) -> int:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM answers")
            connection.execute("DROP TRIGGER IF EXISTS commands_follow_each_other")
            rows = [(100 + n, at(100 + n), f'{{"type":"deposit","n":{n}}}', b"") for n in range(count)]
            connection.executemany("INSERT OR IGNORE INTO commands (seq, ts_us, payload, hash) VALUES (?,?,?,?)", rows)
            connection.executemany("INSERT INTO answers VALUES (?, ?)", [(row[0], row[1] + 1) for row in rows])
        return len(latencies(path, 1, 10**9))

    assert [intervals(count) for count in (1, 5, 60, 600, 6_000, 60_000)] == [1, 5, 30, 30, 60, 300]


@pytest.mark.slow
def test_latencies_of_a_running_exchange(tmp_path: Path) -> None:
    """Every batch is answered after it arrives. A journal without a live run has no latencies."""
    path = tmp_path / "exchange.db"

    async def go() -> None:
        async with server(path) as (process, _):
            process.terminate()
            await process.wait()

    asyncio.run(go())
    found = latencies(path, 1, 10**9)
    assert found
    assert all(0 <= point.median_us <= point.p99_us <= point.longest_us < 60_000_000 for point in found)
    out = tmp_path / "latency.png"
    outcome = CliRunner().invoke(main, ["chart", "latency", "--db", str(path), "--out", str(out)])
    assert (outcome.exit_code, out.read_bytes()[:4]) == (0, b"\x89PNG"), outcome.output


@pytest.mark.parametrize("suffix", [".png", ".html"])
@pytest.mark.parametrize(
    "what", [("price", INSTRUMENT), ("depth", INSTRUMENT), ("depth", INSTRUMENT, "--at", "1"), ("pnl",)]
)
def test_chart_is_written(path: Path, tmp_path: Path, what: tuple[str, ...], suffix: str) -> None:
    out = tmp_path / f"picture{suffix}"
    outcome = CliRunner().invoke(main, ["chart", *what, "--db", str(path), "--out", str(out)])
    assert outcome.exit_code == 0, outcome.output
    content = out.read_bytes()
    assert content.startswith(b"\x89PNG" if suffix == ".png" else b"<!DOCTYPE html>")
    assert b"<script src=" not in content, "the page would need a network"


WRONG = [
    (("price", INSTRUMENT, "--out", "x.jpg"), 2, "expected a name that ends with .png or .html"),
    (("price", "SOL_USDC-28FEB26-999-C", "--out", "x.png"), 1, "SOL_USDC-28FEB26-999-C is not listed"),
    (("pnl", "--user", "zoe", "--out", "x.png"), 1, "no account 'zoe'"),
    (("pnl", "--from", "5", "--to", "3", "--out", "x.png"), 1, "the end comes before the beginning"),
    (("pnl", "--to", "999", "--out", "x.png"), 1, "there is no seq 999"),
    (("depth", INSTRUMENT, "--at", "2001-01-01", "--out", "x.png"), 1, "begins after that time"),
    (("latency", "--out", "x.png"), 1, "only a running exchange records them"),
    (("pnl", "--out", "no/such/folder/x.png"), 1, "No such file or directory"),
]


@pytest.mark.parametrize(("what", "code", "message"), WRONG)
def test_chart_errors(path: Path, what: tuple[str, ...], code: int, message: str) -> None:
    outcome = CliRunner().invoke(main, ["chart", *what, "--db", str(path)])
    assert (outcome.exit_code, message in outcome.output) == (code, True), outcome.output
