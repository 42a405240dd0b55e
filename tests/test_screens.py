"""Tables in terminals of 80, 120 and 200 columns: golden screens, and every figure whole whatever the data and width.

Each file in tests/screens is a command with its output at each width, without and with colours. `UPDATE_SCREENS=1
pytest tests/test_screens.py` writes them again.
"""

import ast
import contextlib
import importlib
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import click
import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.cli import account_simulate, admin, admin_rules, mmp, output, recovery_plan, top
from exchange.cli.current_views import read_views
from exchange.cli.main import main
from exchange.cli.output import TextTable, add_rows, table_lines
from exchange.cli.present_recorded import RecordedPresent
from exchange.cli.present_running import RunningPresent
from exchange.cli.version import _Package, _Versions
from exchange.domain.commands import CancelOrder
from exchange.domain.rules import Rules
from exchange.history.recovery_plan import RecoveryPlan
from exchange.keys.key import Key
from exchange.keys.key_file import change_keys, write_uses
from exchange.projections.black_scholes import Greeks
from exchange.projections.wire_types import (
    HistoricalVolatility,
    MmpGroupView,
    SimulatedAccount,
    SimulatedPositionView,
)
from tests.market_story import CALL, LATER, story, write_steps, write_story
from tests.test_top import busy_reading

# Here accounts have positions and open orders.
LAST_SEQ = 66
STORY_US = 1_771_632_000_000_000
FOLDER = Path(__file__).parent / "screens"
WIDTHS = (80, 120, 200)
# The columns of a terminal that is too narrow for most tables.
VERY_NARROW = 40
# Names of files, and the commands that write them.
COMMANDS = {
    "account_secrets": "account secrets",
    "account_log": "account log carol -n 8",
    "account_positions": "account positions carol --at 30",
    "account_show": "account show carol",
    "account_simulate": f"account simulate carol {CALL}=-2",
    "admin_account": "admin account carol",
    "admin_rules": "admin rules",
    "admin_rules_version": "admin rules --version 2 --dry-run",
    "admin_rules_set": "admin rules --set starting_cash_micros=5000000",
    "archive_list": "archive list --db sealed.db",
    "book": f"book {LATER} --once",
    "candles": f"candles {CALL} --resolution 6h -n 5",
    "candles_index": "candles SOL --resolution 1h -n 4",
    "diff": "diff story.db short.db",
    "diff_fields": "diff story.db other.db",
    "explain": "explain 5",
    "explain_seq": "explain --seq 20",
    "index_volatility": "index volatility SOL -n 2",
    "index_show": "index show",
    "instrument_list": "instrument list --all",
    "journal_info": "journal info",
    "journal_tail": "journal tail -n 8",
    "journal_verify": "journal verify",
    "mmp_list": "mmp list --user carol",
    "order_list": "order list --user carol",
    "recovery_plan": "recovery-plan",
    "replay": "replay --from 16 --to 20",
    "replay_summary": "replay --summary",
    "sessions": "sessions",
    "settlements": "settlements",
    "settlements_user": "settlements --user carol",
    "snapshot_list": "snapshot list",
    "sql": "sql 'SELECT trade_id, time, instrument_id, size_milli, price_micros, taker_user_id, maker_user_id, seq, "
    "taker_fee_micros FROM trades ORDER BY taker_fee_micros DESC LIMIT 3'",
    "state": "state --at 30",
    "state_book": f"state --at 30 --book {CALL}",
    "state_account_orders": "state --at 30 --account carol --orders carol",
    "ticker": f"ticker {LATER}",
    "ticker_asset": "ticker --asset SOL",
    "top": "top --once",
    "version": "version --verbose",
    "what_if": "what-if --without bob --set collateral=cash_secured",
}


VERSIONS = _Versions(
    exchange="1.2.3",
    python="CPython 3.11.7",
    platform="Linux-6.1.0-x86_64-with-glibc2.36",
    sqlite="3.40.1",
    compiled=False,
    why_pure="not compiled",
    journal_schema=7,
    history_schema=4,
    snapshot_format=8,
    rules_version=2,
    packages=[_Package("msgspec", "0.22.0", None), _Package("uvloop", None, "fast")],
)

_GREEKS = Greeks(-1.04819, -0.043926, -0.180502, 0.866484, -0.0325934)
SIMULATED = SimulatedAccount(
    936_290_000,
    68_710_000,
    36_960_000,
    [SimulatedPositionView(CALL, -2_000, 59_460_000, 36_960_000, _GREEKS)],
    {"SOL": _GREEKS},
    LAST_SEQ,
)

VOLATILITIES = [HistoricalVolatility(STORY_US + hour * 3_600_000_000, 0.58 + 0.5 * hour) for hour in range(2)]


class _Exchange:
    """Answers of a running exchange, for the commands that ask one."""

    url = "ws://127.0.0.1:8765/"

    def __init__(self, path: Path) -> None:
        self.views = read_views(path)
        self.readings = 0

    def call(self, method: str, **_params: Any) -> Any:
        answers: dict[str, Any] = {
            "admin/get_account": lambda: self.views.account("carol"),
            "admin/get_metrics": self._next_reading,
            "private/get_mmp_config": lambda: [
                MmpGroupView("near", "SOL", 10, 5, 20_000, None, None, None),
                MmpGroupView("far", "SOL", 60, 0, None, 5_000, 2_500_000, 0),
            ],
            "public/get_head": lambda: {"seq": self.views.seq, "ts_us": self.views.ts_us, "hash": "00"},
            "public/get_instruments": self.views.live_instruments,
            "public/get_rules": lambda: {"rules": Rules(), "seq": self.views.seq, "rules_version": 1},
            "admin/set_rules": lambda: {
                "rules": Rules(),
                "seq": self.views.seq,
                "rules_version": 1,
                "liquidated": ["alice", "carol"],
            },
        }
        return msgspec.to_builtins(answers[method]())

    def _next_reading(self) -> Any:
        self.readings += 1
        return busy_reading(self.readings)


class Printed(NamedTuple):
    """The screens of all commands, and the functions that printed a table for them."""

    screens: dict[tuple[str, int], str]
    functions: set[tuple[str, str]]
    path: Path


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Printed]:
    folder = tmp_path_factory.mktemp("screens")
    # A module that is imported later would keep the patched functions.
    for file in (Path(__file__).parents[1] / "cli").glob("[a-z]*.py"):
        importlib.import_module(f"exchange.cli.{file.stem}")
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        write_story(Path("story.db"), LAST_SEQ)
        write_story(Path("short.db"), 20)
        write_steps(Path("other.db"), [*islice(story(), 19), (STORY_US, CancelOrder("carol", 1))])
        shutil.copy("story.db", "sealed.db")
        sealed = CliRunner().invoke(main, ["journal", "compact", "--before", "40", "--db", "sealed.db"])
        assert sealed.exit_code == 0, sealed.output
        story_keys = [
            Key("alice:0a1b2c3d", "", "admin", STORY_US, revoked_us=STORY_US),
            Key("carol:4e5f6071", "s" * 43, "trade", STORY_US, 4_000_000_000_000_000),
        ]
        change_keys(Path("story.db"), lambda _: story_keys)
        write_uses(Path("story.db"), {"carol:4e5f6071": STORY_US})
        running = _Exchange(Path("story.db"))
        patch.setenv("EXCHANGE_DB", "story.db")
        patch.setenv("FORCE_COLOR", "1")
        patch.setenv("TERM", "xterm-256color")
        patch.delenv("NO_COLOR", raising=False)
        patch.setattr(output, "is_terminal", lambda: True)
        patch.setattr(admin_rules, "admin_client_of", lambda path: contextlib.nullcontext(running))
        patch.setattr(mmp, "client_of", lambda path: contextlib.nullcontext(running))
        patch.setattr(mmp, "log_in", lambda client, user_id: None)
        patch.setattr(admin, "admin_client_of", lambda path: contextlib.nullcontext(running))
        patch.setattr("exchange.cli.version._versions", lambda: VERSIONS)
        patch.setattr(account_simulate, "client_of", lambda path: contextlib.nullcontext(running))
        patch.setattr(RunningPresent, "simulate", lambda *_: SIMULATED)
        patch.setattr(RecordedPresent, "volatilities", lambda *_: VOLATILITIES)
        patch.setattr(top, "admin_client_of", lambda path: contextlib.nullcontext(running))
        seconds = count()
        patch.setattr(top, "time", SimpleNamespace(monotonic=lambda: next(seconds), sleep=lambda _seconds: None))
        patch.setattr("exchange.cli.replay.time", SimpleNamespace(monotonic=lambda: 1.0))
        plan = RecoveryPlan(0, ["snapshot 00000040.snapshot is damaged"], 90, 90, 20_000.0, 0.0045)
        patch.setattr(recovery_plan, "plan_recovery", lambda path: plan)
        functions: set[tuple[str, str]] = set()
        patch.setattr(output, "table_lines", _noting(functions))
        for command in ("snapshot create --at 40", "history rebuild"):
            said = CliRunner().invoke(main, shlex.split(command))
            assert said.exit_code == 0, said.output
        yield Printed(
            {(name, width): _screen(patch, name, width) for name in COMMANDS for width in WIDTHS},
            functions,
            folder / "story.db",
        )


def _noting(functions: set[tuple[str, str]]) -> Any:
    def lines(*tables: TextTable, width: int, coloured: bool | None = None) -> list[str]:
        frame = sys._getframe()
        while frame.f_back is not None and frame.f_code.co_filename in (__file__, output.__file__):
            frame = frame.f_back
        functions.add((Path(frame.f_code.co_filename).name, frame.f_code.co_name))
        coloured_lines = table_lines(*tables, width=width, coloured=True)
        plain_lines = table_lines(*tables, width=width, coloured=False)
        assert [click.unstyle(line).rstrip() for line in coloured_lines] == plain_lines, "colours change no text"
        return coloured_lines

    return lines


def _screen(patch: pytest.MonkeyPatch, name: str, width: int) -> str:
    patch.setenv("COLUMNS", str(width))
    result = CliRunner().invoke(main, shlex.split(COMMANDS[name]), color=True)
    assert result.exit_code == (1 if name.startswith("diff") else 0), result.stderr
    # Sizes of files depend on the version of SQLite, those of snapshots on the encoding of the state, and rows on the
    # schema of the history.
    return re.sub(r"\d[\d,]*(?= bytes|  made| rows match)", "99,999", result.stdout)


def _file(printed: Printed, name: str) -> str:
    parts = [f"$ exchange {COMMANDS[name]}\n"]
    for coloured in (False, True):
        for width in WIDTHS:
            parts.append(f"\n===== {width} columns{', with colours' if coloured else ''}\n")
            screen = printed.screens[name, width]
            parts.append(_readable(screen) if coloured else _plain(screen))
    return "".join(parts)


def _plain(screen: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in click.unstyle(screen).splitlines())


def _readable(screen: str) -> str:
    """The screen with its colours as marks: <1> begins bold text, <2> dim text, and </> ends them."""
    return re.sub(r"\x1b\[([\d;]*)m", lambda code: "</>" if code[1] == "0" else f"<{code[1]}>", screen)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_golden_screens(printed: Printed, name: str) -> None:
    file, now = FOLDER / f"{name}.txt", _file(printed, name)
    if os.environ.get("UPDATE_SCREENS"):
        FOLDER.mkdir(exist_ok=True)
        file.write_text(now)
    assert now == file.read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_no_screen_shortens_a_text(printed: Printed, name: str) -> None:
    for width in WIDTHS:
        assert "…" not in printed.screens[name, width]


def test_no_golden_screen_is_left_over() -> None:
    assert {file.stem for file in FOLDER.glob("*.txt")} == set(COMMANDS)


def test_every_function_that_prints_a_table_has_a_golden_screen(printed: Printed) -> None:
    missing = _functions_that_print() - printed.functions
    assert missing == set(), "add a command to COMMANDS whose screen shows this table"


def _functions_that_print() -> set[tuple[str, str]]:
    found = set()
    for file in (Path(__file__).parents[1] / "cli").glob("*.py"):
        for function in ast.walk(ast.parse(file.read_text())):
            if file.name != "output.py" and isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
                names = {called.id for called in calls if isinstance(called, ast.Name)}
                found |= {(file.name, function.name)} if "print_tables" in names else set()
    return found


def test_rich_draws_tables_in_one_place() -> None:
    """A table that is drawn elsewhere could shorten its figures."""
    for file in (Path(__file__).parents[1] / "cli").glob("*.py"):
        assert file.name == "output.py" or "rich.table" not in file.read_text(), file


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
_FIGURES = st.decimals(-(10**12), 10**12, places=6).map(lambda number: f"{number:,}")
_CELLS = st.one_of(_FIGURES, _FIGURES.map(lambda text: f"{text} USDC"), st.lists(_WORDS, max_size=6).map(" ".join))


@st.composite
def _tables(draw: st.DrawFn) -> TextTable:
    count = draw(st.integers(1, 9))
    names = draw(st.lists(_WORDS.map(lambda name: name.lstrip(">") or "n"), min_size=count, max_size=count))
    columns = tuple(draw(st.sampled_from(("", ">"))) + name for name in names)
    optional = tuple(draw(st.lists(st.sampled_from(names), max_size=3)))
    wrapped = tuple(draw(st.lists(st.sampled_from(names), max_size=2)))
    made = TextTable(columns, draw(_WORDS), "", optional, wrapped, draw(st.integers(0, 8)))
    rows = st.lists(_CELLS, min_size=count, max_size=count)
    add_rows(made, draw(st.lists(rows, min_size=1, max_size=4)))
    return made


@pytest.mark.slow
@settings(max_examples=100, deadline=None, derandomize=True)
@given(_tables(), st.integers(1, 160), st.booleans())
def test_every_figure_appears_whole(made: TextTable, width: int, coloured: bool) -> None:
    """A column is shown with all its words, or named as left out."""
    lines = [click.unstyle(line) for line in made.lines(width, coloured)]
    text = "\n".join(lines)
    words = set(text.split())
    note = re.search(r"not\s+shown\s+at\s+\d+\s+columns:\s+(.*)", text, re.DOTALL)
    left_out = {name for name in made.optional if note is not None and name in re.split(r",?\s+", note[1])}
    for row in made.rows:
        for column, cell in zip(made.columns, row, strict=True):
            if column.removeprefix(">") not in left_out:
                assert set(cell.text.split()) <= words


def test_a_narrow_terminal_shows_calls_above_puts(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "screen_width", lambda: 60)
    result = CliRunner().invoke(main, ["ticker", "--asset", "SOL", "--db", str(printed.path)])
    text = click.unstyle(result.stdout)
    titles = [line for line in text.splitlines() if line.startswith("SOL 21FEB26")]
    assert titles == ["SOL 21FEB26, index 190.00: calls", "SOL 21FEB26, index 190.00: puts"]
    assert "   190  4.50  5.00    0.00   -      -  2.0\n" in text
    assert "not shown" not in text


def test_a_very_narrow_terminal_shows_rows_as_records(printed: Printed) -> None:
    made = TextTable(("order", ">price", ">size"))
    add_rows(made, [("SOL_USDC-28FEB26-150-C", "1,234,567,890.123456", "1,000.5"), ("X", "1.40", "2")])
    assert made.lines(VERY_NARROW) == [
        "order  SOL_USDC-28FEB26-150-C",
        "price  1,234,567,890.123456",
        "size   1,000.5",
        "",
        "order  X",
        "price  1.40",
        "size   2",
    ]
