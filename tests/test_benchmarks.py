"""Each benchmark still runs, with tiny sizes. No time and no goal is checked here."""

import ast
import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as command
from benchmarks import cpu, document, growth
from benchmarks.market_data import DATA
from benchmarks.naive_book import NaiveBook
from benchmarks.order_streams import Stream, aapl_stream, deep_stream, recorded_matching_stream
from benchmarks.scale import TINY
from benchmarks.stages import BY_FUNCTION, STAGES, samples_by_stage, source_of
from benchmarks.subscribers import Subscriber
from benchmarks.table import Goal, Row, as_json, number
from exchange.domain.commands import Genesis, OpenAccount
from exchange.domain.events import Refused
from exchange.domain.units import NUMBER_MAX
from exchange.matching.apply import apply
from exchange.matching.state import State

ROOT = Path(__file__).parents[1]
# Those that start many processes, or need journals that take long to build.
LONG = ("latency", "where", "recover", "growth", "memory", "metrics", "follower", "snapshots", "startup")
UNTRIED = ("history",)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in command.BENCHMARKS if name not in (*LONG, *UNTRIED)])
def test_benchmark_measures(name: str) -> None:
    _measure(name)


@pytest.mark.long
@pytest.mark.parametrize("name", LONG)
def test_long_benchmark_measures(name: str) -> None:
    _measure(name)


def _measure(name: str) -> None:
    rows = command.BENCHMARKS[name](TINY)
    assert rows
    for row in rows:
        assert row.figure is not None or row.note.startswith("skipped"), row
        assert all(isinstance(cell, str) for cell in row.cells())


def test_goal_is_met_if_all_its_bounds_are() -> None:
    row = Row("replay", 90_000, "commands/s", 100_000, "engine", Goal(ratio=0.6, figure=100_000))
    assert (row.ratio, row.is_met) == (0.9, False)
    assert row._replace(figure=100_000.0).is_met
    assert row._replace(reference=200_000.0, figure=100_000.0).is_met is False
    assert row._replace(goal=Goal(ratio=0.9, at_most=True)).is_met
    assert row._replace(figure=None).is_met is None
    assert row._replace(goal=Goal()).is_met is None


def test_figures_have_about_three_digits() -> None:
    assert [number(value) for value in (123_456.7, 99.96, 12.34, 1.234, 5)] == ["123,457", "100.0", "12.3", "1.23", "5"]


def test_json_has_the_ratio_and_the_goal() -> None:
    (found,) = json.loads(as_json([Row("stall", 30, "ms", 15, "idle", Goal(figure=20, at_most=True))]))
    assert (found["ratio"], found["goal"], found["met"]) == (2, "≤ 20 ms", False)


def test_unknown_benchmark_is_refused() -> None:
    result = CliRunner().invoke(command.main, ["nonsense"])
    assert result.exit_code == 2
    assert "'nonsense' is not one of 'orders'" in result.output


@pytest.mark.parametrize("make", [deep_stream, aapl_stream, recorded_matching_stream])
def test_naive_book_ends_with_the_same_orders(make: Callable[[float], Stream]) -> None:
    if make is not deep_stream and not DATA.is_dir():
        pytest.skip("the recorded order flow is not here")
    stream = make(0.02)
    book = NaiveBook()
    for name, arguments in stream.naive_calls:
        getattr(book, name)(*arguments)
    ours: Counter[int] = Counter()
    for account in stream.state.accounts.values():
        for order in account.open_orders.values():
            assert order.price_micros is not None
            ours[order.price_micros * (1 if order.side == "bid" else -1)] += order.remaining_milli
    assert book.levels() == ours
    assert book.traded


def test_deep_stream_has_its_mixture() -> None:
    stream = deep_stream(0.02)
    kinds = Counter(type(command).__name__ for command in stream.commands[stream.prepared :])
    assert sum(kinds.values()) == stream.measured == 1_000
    assert abs(kinds["CancelOrder"] - 400) < 40
    assert abs(kinds["EditOrder"] - 200) < 40
    assert abs(kinds["PlaceOrder"] - 400) < 40


def test_grown_exchange_has_its_size() -> None:
    state = State()
    for ts_us, one in growth.commands(growth.Size(resting=20, instruments=3, users=4, settled_days=3)):
        assert not isinstance(apply(state, ts_us, one)[0], Refused), one
    accounts = state.accounts.values()
    assert sum(len(account.open_orders) for account in accounts) == 20
    assert sum(name.startswith("user-") for name in state.accounts) == 4
    assert all(name in state.books for name in growth.instrument_ids(3))
    assert sum(book.state == "expired" for book in state.books.values()) > 20


def test_cash_of_the_largest_exchange_is_possible() -> None:
    commands = [one for _, one in growth.commands(growth.Size(users=10_000))]
    (genesis,) = (one for one in commands if isinstance(one, Genesis))
    cash_micros = sum(one.cash_micros for one in commands if isinstance(one, OpenAccount))
    assert cash_micros + 50 * genesis.rules.starting_cash_micros < NUMBER_MAX


@pytest.mark.slow
def test_each_stage_begins_with_functions_that_exist() -> None:
    """A stage whose function was renamed would be counted as the one before it."""
    paths = [*(ROOT / "exchange").rglob("*.py"), *(ROOT / "journal").glob("*.py")]
    functions = {name for path in paths for name in _functions(ast.parse(path.read_text("utf-8")))}
    unknown = {name.removesuffix(".<locals>.<lambda>") for name in BY_FUNCTION} - functions
    assert not unknown, "benchmarks/stages.py names functions that are gone"
    assert set(BY_FUNCTION.values()) | {"apply"} == set(STAGES)


def _functions(node: ast.AST, prefix: str = "") -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name


def test_samples_belong_to_the_stage_of_their_deepest_known_function() -> None:
    step = "main (exchange/cli/main.py:1);Pipeline.run (exchange/runtime/pipeline.py:1);Engine.step (elsewhere.py:1)"
    counts = samples_by_stage(
        [
            f"{step} 1",
            f"{step};apply (exchange/matching/apply.py:1);Book.add (exchange/matching/book.py:1) 10",
            f"{step};EventsDigest.add (exchange/engine/digests.py:1);encode (exchange/domain/events.py:1) 100",
            "main (exchange/cli/main.py:1);_poll (selectors.py:1) 1000",
            "Thread._bootstrap (threading.py:1);run (aiosqlite/core.py:1) 10000",
        ]
    )
    assert counts == {"step glue": 1, "apply": 10, "events": 100, "loop and socket read": 1000}


def test_page_gets_new_figures_and_keeps_the_others(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(document.PAGE.read_text("utf-8"), encoding="utf-8")
    first, second = Row("alpha", 1, "ms", note="a | b"), Row("beta", 2, "ms")
    document.write([first, second], page)
    document.write([first._replace(figure=3)], page)
    text = page.read_text("utf-8")
    assert text.count("| alpha |") == text.count("| beta |") == 1
    assert "| alpha | 3 ms | - | - | - | - | a \\| b |" in text
    assert "| beta | 2 ms |" in text
    assert text.count("<!-- end of figures -->") == 1
    assert text.partition(document.PATH[0])[2] == document.PAGE.read_text("utf-8").partition(document.PATH[0])[2]


@pytest.mark.slow
def test_page_gets_the_stages_and_their_picture(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(document.PAGE.read_text("utf-8"), encoding="utf-8")
    rows = [Row(document.WHOLE, 100, "µs/order", note="1,000 samples")]
    rows += [Row(document.STAGE_PREFIX + name, 100 / len(STAGES), "µs/order") for name in STAGES]
    document.write(rows, page)
    assert "| apply | 6.2 | 6 % |" in page.read_text("utf-8")
    picture = (tmp_path / document.PICTURE).read_text("utf-8")
    assert picture.startswith("<svg") and "projections 6.2" in picture


def test_compiled_functions_have_their_python_names() -> None:
    names = {
        "CPyDef_turns___Turns____serve": ("Turns._serve", "exchange/gateway/turns.py"),
        "CPyDef_jsonrpc___result_text": ("result_text", "exchange/gateway/jsonrpc.py"),
        "CPyDef_gateway___jsonrpc____is_id.localalias": ("_is_id", "exchange/gateway/jsonrpc.py"),
        "CPyDef_accounts___Account___equity": ("Account.equity", "exchange/matching/accounts.py"),
        "CPyDef_elsewhere___run": ("elsewhere___run", ""),
    }
    assert {symbol: source_of(symbol) for symbol in names} == names
    library = "(exchange/compiled__mypyc.cpython-311-x86_64-linux-gnu.so)"
    stack = f"run (main.py:1);CPyDef_digests___EventsDigest___add {library};CPyDef_apply___apply {library}"
    counts = samples_by_stage(
        [f"0x1 (libc.so.6);{stack} 1", f"clone (libc.so.6);Thread._bootstrap (threading.py:1);{stack} 2"]
    )
    assert counts == {"apply": 1}


def test_cpu_time_belongs_to_the_parts_of_a_server() -> None:
    assert cpu.sample(os.getpid())[os.getpid(), os.getpid()] > 0
    before = {(10, 10): 5, (10, 11): 1, (10, 12): 1}
    after = {(10, 10): 105, (10, 11): 21, (10, 12): 3, (10, 13): 4, (20, 20): 7}
    parts = cpu.by_part(10, before, after)
    assert parts == {
        "main thread": 100,
        "journal thread": 20,
        "other threads": 6,
        "follower": 0,
        "other processes": 7,
    }
    assert cpu.text_of({"main thread": 1.26, "follower": 0.0}) == "main thread 1.3"


def test_subscriber_counts_each_notification_once_however_it_is_cut() -> None:
    text = b'{"jsonrpc":"2.0","method":"subscription","params":{"data":[1]}}'

    async def count(size: int) -> int:
        subscriber = Subscriber(1, [])
        subscriber.ready.set_result(None)
        stream = 3 * (b"\x81\x3f" + text)
        for start in range(0, len(stream), size):
            subscriber.data_received(stream[start : start + size])
        return subscriber.notifications

    assert {asyncio.run(count(size)) for size in (1, 5, 8, 9, 64, 1_000)} == {3}
