"""Commands that ask the running exchange print what they print with --offline, and record nothing."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.cli import completion, current_views
from tests import market_story
from tests.cli_support import CALL, CLOCK_START, Server, complained, exchange, said, said_json
from tests.journals import play
from tests.test_completion import completed

QUESTIONS = (
    ("order", "list", "--user", "alice"),
    ("order", "list", "--user", "alice", "--instrument", CALL),
    ("order", "list", "--user", "bob"),
    ("account", "show", "alice"),
    ("account", "show", "bob"),
    ("ticker", CALL),
    ("ticker", "--asset", "SOL"),
    ("ticker", "--asset", "SOL", "--expiration", "28FEB26"),
    ("settlements",),
    ("settlements", "--user", "alice"),
    ("instrument", "list"),
    ("instrument", "list", "--asset", "SOL"),
    ("index", "show"),
    ("index", "show", "SOL"),
    ("book", CALL),
    ("state",),
    ("state", "--book", CALL, "--account", "alice", "--orders", "bob"),
)
UNKNOWN = (
    ("account", "show", "nobody"),
    ("order", "list", "--user", "nobody"),
    ("order", "list", "--user", "alice", "--instrument", "SOL_USDC-28FEB26-151-C"),
    ("settlements", "--user", "nobody"),
    ("ticker", "SOL_USDC-28FEB26-151-C"),
    ("book", "SOL_USDC-28FEB26-151-C"),
    ("state", "--book", "SOL_USDC-28FEB26-151-C"),
    ("state", "--account", "nobody"),
    ("state", "--orders", "nobody"),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The journal of a running exchange with an index price, open orders and a position."""
    made = tmp_path_factory.mktemp("present") / "exchange.db"
    with Server(made, "--demo", "--clock-start", CLOCK_START):
        said(exchange("admin", "set-index", "SOL", 150, "--db", made))
        for order in (
            ("sell", CALL, "1", "1.50", "--user", "alice"),
            ("buy", CALL, "0.5", "1.50", "--user", "bob"),
            ("buy", CALL, "2", "1.25", "--user", "alice", "--post-only"),
        ):
            said(exchange("order", *order, "--db", made))
        yield made


def _seq(path: Path) -> int:
    seq: int = said_json(exchange("account", "show", "alice", "--db", path, "--offline", "--json"))["seq"]
    return seq


@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
@pytest.mark.parametrize("form", ((), ("--json",)), ids=("table", "json"))
def test_the_running_exchange_answers_as_its_journal(
    path: Path, question: tuple[str, ...], form: tuple[str, ...]
) -> None:
    live = said(exchange(*question, *form, "--db", path))
    assert live == said(exchange(*question, *form, "--db", path, "--offline"))


@pytest.mark.parametrize("question", UNKNOWN, ids=" ".join)
def test_an_unknown_name_is_refused_and_opens_no_account(path: Path, question: tuple[str, ...]) -> None:
    before = _seq(path)
    name = question[-1]
    assert name in complained(exchange(*question, "--db", path))
    assert name in complained(exchange(*question, "--db", path, "--offline"))
    assert _seq(path) == before


def test_questions_read_no_journal_and_record_no_command(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _seq(path)
    with monkeypatch.context() as patch:
        patch.delattr(current_views, "open_journal_reader")
        for question in QUESTIONS:
            said(exchange(*question, "--db", path))
    assert _seq(path) == before


def test_without_a_history_the_running_exchange_completes_names(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> list[str]:
        raise sqlite3.OperationalError("no such file")

    monkeypatch.setattr(completion, "_of_history", refuse)
    assert completed("account", "show", "--db", path, incomplete="al") == ["alice"]
    assert CALL in completed("ticker", "--db", path, incomplete="sol_usdc-28feb26-150")


def test_an_account_that_no_client_can_log_in_to_is_read_from_the_journal(path: Path) -> None:
    assert "insurance" in said(exchange("account", "show", "insurance", "--db", path))


PAST_QUESTIONS = (
    ("account", "show", "alice"),
    ("book", market_story.CALL),
    ("index", "show"),
    ("instrument", "list", "--all"),
    ("order", "list", "--user", "alice"),
    ("settlements",),
    ("settlements", "--user", "alice"),
    ("state",),
    ("ticker", market_story.CALL),
    ("ticker", "--asset", "SOL"),
)


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The journal of two days, and the same journal as it was after command 38."""
    folder = tmp_path_factory.mktemp("stories")
    market_story.write_story(folder / "whole.db")
    market_story.write_story(folder / "short.db", 38)
    return folder / "whole.db", folder / "short.db"


@pytest.mark.parametrize("question", PAST_QUESTIONS, ids=" ".join)
def test_a_command_shows_a_past_moment_as_it_was(stories: tuple[Path, Path], question: tuple[str, ...]) -> None:
    whole, short = stories
    for form in ((), ("--json",)):
        then = said(exchange(*question, *form, "--db", short))
        # A hint names the journal.
        assert said(exchange(*question, *form, "--at", "38", "--db", whole)).replace("whole.db", "short.db") == then
    assert then != said(exchange(*question, "--json", "--db", whole))


def test_without_an_exchange_any_history_gives_the_same_answer(tmp_path: Path) -> None:
    """No history, one of another journal, and a complete one: only the last is read. A question writes nothing."""
    path, other = tmp_path / "exchange.db", tmp_path / "other.db"
    play(path, 1)
    play(other, 2)
    before = said(exchange("state", "--json", "--db", path))
    assert not [file for file in tmp_path.iterdir() if "history" in file.name or "snapshot" in file.name]
    said(exchange("history", "rebuild", "--db", other))
    shutil.copy(tmp_path / "other.history.db", tmp_path / "exchange.history.db")
    assert said(exchange("state", "--json", "--db", path)) == before
    said(exchange("history", "rebuild", "--db", path))
    assert said(exchange("state", "--json", "--db", path)) == before
