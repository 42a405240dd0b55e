"""Texts that clients chose, in a journal, cannot control the terminal of an operator or forge a line of output."""

import contextlib
import json
import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from exchange.cli.main import main
from exchange.domain.commands import CancelOrder, Command, OpenAccount, PlaceOrder, SetIndexPrice, StartSession
from tests.market_story import CALL, bid, story, write_steps

FORGED = "sound: forged"
# Escape sequences of seven and of eight bits, a line break, a return, a deletion, and a change of direction.
HOSTILE = f"\x1b[2J\x9b31m\n{FORGED}\r\x7f\u202e\u2028"
CAROL = f"carol{HOSTILE}"
LAST_SEQ = 66

COMMANDS = [
    "journal info",
    "journal tail -n 100",
    "journal verify",
    "journal digests",
    "journal check",
    "state --at 60",
    f"state --at 60 --book {CALL}",
    "account show {unknown}",
    "order list --user {carol}",
    "settlements",
    "instrument list --all",
    f"book {CALL} --once --offline",
    f"ticker {CALL} --at 30",
    "ticker {unknown}",
    "index show",
    "explain --seq 70",
    "explain {unknown}",
    "sessions",
    "replay --from 1",
    "replay --summary",
    "diff hostile.db other.db",
    "what-if --without {carol}",
    "what-if --without nobody",
    "sql 'SELECT * FROM user'",
    "sql 'SELECT * FROM orders LIMIT 3'",
    "sql 'SELECT 1 AS \"{unknown}\"'",
    "sql '{unknown}'",
    "chart pnl --user {unknown} --out chart.svg",
    "snapshot list --db {unknown}",
    "recovery-plan",
]


def hostile_story() -> Iterator[tuple[int, Command]]:
    """The story of the market with a hostile name in each place where a client chooses one."""
    number = 0
    for ts_us, command in islice(story(), LAST_SEQ):
        if isinstance(command, PlaceOrder):
            number += 1
            command = replace(command, client_order_id=f"{number}{HOSTILE}")
        if user_id := getattr(command, "user_id", ""):
            command = replace(command, user_id=f"{user_id}{HOSTILE}")
        yield ts_us, command
    yield ts_us + 1, StartSession(HOSTILE)
    yield ts_us + 2, OpenAccount(HOSTILE, 1_000_000)
    yield ts_us + 3, SetIndexPrice(f"SOL{HOSTILE}", 1_000_000)
    yield ts_us + 4, bid(CAROL, f"SOL{HOSTILE}", 1_000, 1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder, the current one, with a hostile journal and one that differs at the end."""
    path = tmp_path_factory.mktemp("hostile")
    with contextlib.chdir(path), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXCHANGE_DB", "hostile.db")
        write_steps(path / "hostile.db", hostile_story())
        *steps, (ts_us, _) = hostile_story()
        write_steps(path / "other.db", [*steps, (ts_us, CancelOrder(CAROL, 1))])
        yield path


def run(line: str, *more: str) -> Result:
    names = {"carol": CAROL, "unknown": f"nobody{HOSTILE}"}
    arguments = [argument.format(**names) for argument in shlex.split(line)]
    # As on a terminal: otherwise click removes escape sequences.
    return CliRunner().invoke(main, [*arguments, *more], prog_name="exchange", color=True)


def assert_harmless(text: str) -> None:
    for line in text.split("\n"):
        assert line.isprintable(), repr(line)
        assert not line.startswith(FORGED), text


@pytest.mark.parametrize("line", COMMANDS)
def test_no_text_of_a_client_controls_the_terminal(folder: Path, line: str) -> None:
    result = run(line)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert_harmless(result.stdout)
    assert_harmless(result.stderr)


@pytest.mark.parametrize("line", ["state --at 60", "journal tail -n 1", "sql 'SELECT * FROM user LIMIT 1 OFFSET 4'"])
def test_json_is_printable_too_and_keeps_the_text(folder: Path, line: str) -> None:
    result = run(line, "--json")
    assert_harmless(result.output)
    assert any(text.endswith(HOSTILE) for text in texts(json.loads(result.output)))


def texts(value: Any) -> list[str]:
    """All texts in a JSON value."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return [text for part in parts for text in texts(part)]
    return [value] if isinstance(value, str) else []
