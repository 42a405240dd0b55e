"""Charts: the data match the recorded events, and a file is written."""

import asyncio
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import altair
import pytest
from click.testing import CliRunner

from exchange.cli.chart_drawing import LINES_MAX, Drawing, Size, line_styles, names_that_fit, save, time_axis
from exchange.cli.main import main
from exchange.domain.commands import Command, CreateInstrument, Deposit, Genesis, OpenAccount, PlaceOrder
from exchange.domain.enums import Side
from exchange.history import chart_data, chart_profits
from exchange.history.chart_data import (
    DepthStep,
    Latency,
    Prices,
    QuotePoint,
    depths,
    grouped_latencies,
    latencies,
    prices,
    span_of,
)
from exchange.history.chart_profits import Profit, most_moving, profits
from exchange.history.replay import replay_range
from exchange.history_db.file import open_history
from exchange.history_db.update import update_history
from tests.journals import write_journal
from tests.market_commands import market_steps
from tests.market_story import CALL, COIN, DAY_END_S, write_steps, write_story
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


def at(seq: int) -> int:
    return START_US + seq * SECOND


@contextmanager
def history_of(path: Path) -> Iterator[sqlite3.Connection]:
    update_history(path, print, lambda done, total: None)
    with closing(open_history(path)) as connection:
        yield connection


def prices_of(path: Path, instrument_id: str, first_seq: int, last_seq: int) -> Prices:
    with history_of(path) as history:
        return prices(history, instrument_id, span_of(history, first_seq, last_seq))


def profits_of(path: Path, users: list[str], first_seq: int, last_seq: int) -> list[Profit]:
    with history_of(path) as history:
        return profits(history, users, span_of(history, first_seq, last_seq))


def test_prices_are_every_trade_and_every_change_of_the_best_quotes(path: Path) -> None:
    found = prices_of(path, INSTRUMENT, 1, 10)
    assert found.quotes == [
        QuotePoint(at(5), 5_000_000, None),
        QuotePoint(at(7), 5_000_000, 5_200_000),
        QuotePoint(at(9), 5_300_000, None),
        QuotePoint(at(10), 5_300_000, None),
    ]
    assert [(trade.trade_id, trade.price_micros, trade.size_milli, trade.taker_side) for trade in found.trades] == [
        (1, 5_000_000, 500, "ask"),
        (2, 5_200_000, 1_000, "bid"),
    ]
    assert [trade.trade_id for trade in prices_of(path, INSTRUMENT, 9, 10).trades] == [2]
    assert (found.trades_count, found.stride, found.index_prices) == (2, 1, [])


def test_lines_begin_with_the_opening_book_and_reach_the_end(path: Path) -> None:
    """Between seq 6 and 8 the quotes change once, at seq 7: the line still begins with those of seq 5."""
    assert prices_of(path, INSTRUMENT, 6, 8).quotes == [
        QuotePoint(at(6), 5_000_000, None),
        QuotePoint(at(7), 5_000_000, 5_200_000),
        QuotePoint(at(8), 5_000_000, 5_200_000),
    ]
    assert prices_of(path, INSTRUMENT, 8, 8).quotes == [QuotePoint(at(8), 5_000_000, 5_200_000)]


def test_of_too_many_trades_one_in_some_is_drawn(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart_data, "TRADES_MAX", 1)
    found = prices_of(path, INSTRUMENT, 1, 10)
    assert ([trade.trade_id for trade in found.trades], found.trades_count, found.stride) == ([1], 2, 2)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("market") / "exchange.db"
    write_story(path)
    return path


def test_prices_include_the_index_until_expiry(story: Path) -> None:
    whole = prices_of(story, CALL, 1, 73).index_prices
    assert [point.price_micros // 1_000_000 for point in whole] == [150, 155, 190, 191, 193, 189, 189]
    assert whole[-1].ts_us < DAY_END_S * SECOND, "the option has expired"
    assert prices_of(story, CALL, 30, 73).index_prices[0].price_micros == 190_000_000  # as it was then
    assert prices_of(story, COIN, 1, 73).index_prices == []


def test_profits_include_settlements(story: Path) -> None:
    """Without open positions, the profits add up to the cash minus the deposits."""
    last = {point.user_id: point.profit_micros for point in profits_of(story, ["alice", "bob", "carol"], 1, 73)}
    assert last == {"alice": 44_656_301, "bob": -65_344_000, "carol": 133_760_007}


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random market."""
    path = tmp_path_factory.mktemp("stream") / "exchange.db"
    write_steps(path, ((step.ts_us, step.command) for step in market_steps(7, 400)))
    return path


def test_charts_show_what_a_replay_shows(stream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Profits at each moment and the last quotes of each instrument, in a random market, from a random moment on."""
    first_seq, last_seq = 150, 400
    monkeypatch.setattr(chart_profits, "POINTS_MAX", 2_000)
    with history_of(stream) as history:
        span = span_of(history, first_seq, last_seq)
        users, others = most_moving(history, span, 99)
        found = {(point.user_id, point.ts_us): point.profit_micros for point in profits(history, users, span)}
        assert (len(users) > 3, others) == (True, [])
        compared = 0
        for step in replay_range(stream, first_seq, last_seq, lambda done, total: None):
            views = step.engine.views
            for user_id in users:
                profit_micros = found.get((user_id, step.record.ts_us))
                if profit_micros is not None and user_id in views.balances.users:
                    compared += 1
                    assert profit_micros == views.profit_micros(user_id), (user_id, step.record.seq)
        assert compared > 100
        for instrument_id in views.instruments:
            quotes = prices(history, instrument_id, span).quotes
            bid, ask = views.depths[instrument_id].best()
            assert (not quotes and (bid, ask) == (None, None)) or quotes[-1] == QuotePoint(span.last_us, bid, ask)


def test_users_whose_profit_moved_most_are_drawn(story: Path) -> None:
    """alice won and bob lost much at the end; the demo draws some of its accounts and names the others."""
    with history_of(story) as history:
        span = span_of(history, 1, 73)
        drawn, others = most_moving(history, span, 2)
        moves = {
            user_id: max(points) - min(points)
            for user_id in (*drawn, *others)
            if (points := [point.profit_micros for point in profits(history, [user_id], span)])
        }
    assert min(moves[user_id] for user_id in drawn) >= max(moves[user_id] for user_id in others)
    assert len(drawn) == 2 and len(others) > 2


@pytest.mark.slow
@pytest.mark.parametrize("what", [("price", CALL), ("price", COIN), ("pnl",)])
def test_charts_of_a_market(story: Path, tmp_path: Path, what: tuple[str, ...]) -> None:
    out = tmp_path / "picture.html"
    outcome = CliRunner().invoke(main, ["chart", *what, "--db", str(story), "--out", str(out)])
    assert outcome.exit_code == 0, outcome.output
    assert ("index dashed" in outcome.output) == (CALL in what)


def test_line_has_the_last_quote_of_each_interval(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart_data, "POINTS_MAX", 2)
    # Intervals of 4.5 and 4.5 seconds after the first command: seq 5 is in the first one, seq 7 and 9 in the second.
    assert [quote.ts_us for quote in prices_of(path, INSTRUMENT, 1, 10).quotes] == [at(5), at(9), at(10)]


def test_depth_is_summed_from_the_best_price_outwards(path: Path) -> None:
    with history_of(path) as history:
        found, before = depths(history, INSTRUMENT, 7), depths(history, INSTRUMENT, 1)
    assert (found.seq, found.ts_us) == (7, at(7))
    assert found.steps == [
        DepthStep("bid", 5_000_000, 2_000),
        DepthStep("bid", 4_900_000, 3_000),
        DepthStep("ask", 5_200_000, 1_000),
    ]
    assert before.steps == []


def test_profits_of_all_users_add_up_to_zero(path: Path) -> None:
    found = profits_of(path, ["alice", "bob"], 1, 10)
    last = [point for point in found if point.ts_us == at(10)]
    # 0.5 at 5.00 and 1 at 5.20; nothing is asked now, so the last price values the position: 1.5 * 5.20 - 7.70
    assert last == [Profit(at(10), "alice", 100_000), Profit(at(10), "bob", -100_000)]
    assert profits_of(path, ["bob"], 9, 10) == [Profit(at(9), "bob", -100_000), Profit(at(10), "bob", -100_000)]


def specification(page: Path) -> Any:
    """The chart in an HTML page."""
    text = re.search(r"const spec = (.*);\n", page.read_text(encoding="utf-8"))
    assert text is not None
    return json.loads(text[1])


@pytest.mark.slow
def test_outermost_price_has_an_area(path: Path, tmp_path: Path) -> None:
    """A side with a single price has no area, so its step is extended outwards."""
    out = tmp_path / "depth.html"
    CliRunner().invoke(main, ["chart", "depth", INSTRUMENT, "--at", "7", "--db", str(path), "--out", str(out)])
    ends = [row["price"] for row in specification(out)["datasets"]["rows"] if row["contracts"] in (1, 3)]
    assert ends == [4.9, 5.2, pytest.approx(4.891), pytest.approx(5.209)]


def test_label_of_a_single_price_is_not_rounded(path: Path, tmp_path: Path) -> None:
    """By default the axis would round a single price: 4.90 to 5, or 1.50 to 2."""
    out = tmp_path / "price.html"
    outcome = CliRunner().invoke(
        main, ["chart", "price", INSTRUMENT, "--to", "5", "--db", str(path), "--out", str(out)]
    )
    assert "0 trades" in outcome.stdout
    quotes = specification(out)["layer"][0]
    price = quotes["encoding"]["y"]
    assert (price["scale"]["domain"], price["axis"]["format"]) == ([4.5, 5.5], ",.6~f")
    assert quotes["mark"]["point"] is True, "a line of one point cannot be seen"


def test_latency_points_have_enough_answers() -> None:
    counts = [len(grouped_latencies([(n, 1) for n in range(count)])) for count in (1, 5, 60, 600, 6_000, 60_000)]
    assert counts == [1, 5, 30, 30, 60, 300]
    assert grouped_latencies([(at(1), 30), (at(2), 10)]) == [Latency(at(1), 30, 30, 30), Latency(at(2), 10, 10, 10)]


@pytest.mark.slow
def test_latencies_of_a_running_exchange(tmp_path: Path) -> None:
    """Every batch is answered after it arrives. A journal without a live run has no latencies."""
    path = tmp_path / "exchange.db"

    async def go() -> None:
        async with server(path) as (process, _):
            process.terminate()
            await process.wait()

    asyncio.run(go())
    with history_of(path) as history:
        found = latencies(history, span_of(history, 1, 10**9))
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
    (("price", INSTRUMENT, "--out", "x.jpg"), 2, "expected a name that ends with .png, .svg or .html"),
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


def test_lines_differ_in_colour_or_dashes() -> None:
    """Twelve accounts of the demo, and as many as a chart draws at most."""
    for count in (1, 12, LINES_MAX):
        assert len(set(line_styles(count))) == count


@pytest.mark.parametrize("options", [(), ("--top", "2"), ("--user", "dave", "--user", "bob", "--user", "dave")])
def test_each_user_has_a_line_or_is_named(story: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    out = tmp_path / "pnl.html"
    outcome = CliRunner().invoke(main, ["chart", "pnl", *options, "--db", str(story), "--out", str(out)])
    assert outcome.exit_code == 0, outcome.output
    encoding = specification(out)["encoding"]
    stroke, dash = (encoding[channel]["scale"]["domain"] for channel in ("stroke", "strokeDash"))
    assert stroke == dash
    drawn = [label.split("  ")[0] for label in stroke]
    omitted = re.findall(r"not drawn: (.*)", outcome.output)
    with history_of(story) as history:
        users = set(most_moving(history, span_of(history, 1, 73), 99)[0])
    if "--user" in options:
        assert (sorted(drawn), omitted) == (["bob", "dave"], [])
    else:
        assert len(drawn) == (2 if "--top" in options else len(users))
        assert {*drawn, *(omitted[0].split(", ") if omitted else [])} == users


@pytest.mark.parametrize(
    ("first_s", "last_s", "title", "labels"),
    [
        (1, 10, "UTC, 2026-02-25", {"06:13:23", "06:13:24"}),
        (0, 3_600, "UTC, 2026-02-25", {"06:20", "06:25", "07:10"}),
        (60_000, 70_000, "UTC, 2026-02-25 to 2026-02-26", {"23:00", "2026-02-26"}),
        (0, 864_000, "UTC, 2026-02-25 to 2026-03-07", {"2026-02-26", "2026-03-07"}),
        (0, 0, "UTC, 2026-02-25", {"06:13:20"}),
    ],
)
def test_date_is_on_the_axis(tmp_path: Path, first_s: int, last_s: int, title: str, labels: set[str]) -> None:
    """A second, an hour, a midnight and ten days after 2026-02-25 06:13:20."""
    first_us, last_us = START_US + first_s * SECOND, START_US + last_s * SECOND
    rows = [{"time": ts_us / 1_000, "price": 1} for ts_us in (first_us, last_us)]
    drawing = (
        altair.Chart(altair.NamedData("rows"))
        .mark_line()
        .encode(time_axis(altair, first_us, last_us, 900), y="price:Q")
    )
    out = tmp_path / "picture.svg"
    save(Drawing(drawing, {"rows": rows}), "A line", out, Size(900, 100))
    texts = re.findall(r'opacity="1">([^<]+)<', out.read_text(encoding="utf-8"))
    assert {title, *labels} <= set(texts)
    times = texts[: texts.index(title)]
    assert all(re.fullmatch(r"\d\d:\d\d(:\d\d(\.\d{3})?)?|\d{4}-\d\d-\d\d", text) for text in times), times


@pytest.mark.parametrize(
    ("letters_max", "text"), [(1, "anna and 2 more"), (9, "anna, bob and 1 more"), (99, "anna, bob, charlie")]
)
def test_omitted_names(letters_max: int, text: str) -> None:
    assert names_that_fit(["anna", "bob", "charlie"], letters_max) == text


@pytest.mark.parametrize("size", ["900", "9x9", "90000x10", "wide"])
def test_sizes_that_are_none(path: Path, size: str) -> None:
    outcome = CliRunner().invoke(main, ["chart", "pnl", "--size", size, "--db", str(path), "--out", "x.png"])
    assert (outcome.exit_code, "expected WIDTHxHEIGHT" in outcome.output) == (2, True), outcome.output
