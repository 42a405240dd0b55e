"""Shell completion: commands, and the names in the history next to a journal."""

import sqlite3
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from exchange.cli.main import main

NAMES = ("SOL_USDC-20FEB26-150-C", "SOL_USDC-27MAR26-150-C", "BTC_USDC-27MAR26-9000-P")


def completed(*words: object, incomplete: str) -> list[str]:
    """What a shell offers after these words."""
    completion = ShellComplete(main, {}, "exchange", "_EXCHANGE_COMPLETE")
    return [item.value for item in completion.get_completions([str(word) for word in words], incomplete)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a journal with a history that has three instruments and three users, one without an account."""
    connection = sqlite3.connect(tmp_path / "exchange.history.db")
    connection.executescript(
        """
        CREATE TABLE user (user INTEGER PRIMARY KEY, user_id TEXT, opened_seq INTEGER);
        INSERT INTO user (user_id, opened_seq) VALUES ('carol', 9), ('ca_rl', 5), ('nobody', NULL), ('alice', 7);
        CREATE TABLE instrument (instrument_id TEXT, asset TEXT, option_type TEXT, strike_micros INTEGER,
                                 expiration_s INTEGER, created_seq INTEGER, state TEXT);
        INSERT INTO instrument VALUES ('SOL_USDC-20FEB26-150-C', 'SOL', 'call', 150, 1, 3, 'expired'),
                                      ('SOL_USDC-27MAR26-150-C', 'SOL', 'call', 150, 2, 4, 'open'),
                                      ('BTC_USDC-27MAR26-9000-P', 'BTC', 'put', 9000, 2, 5, 'open'),
                                      ('SOL_USDC-27MAR26-1-C', NULL, NULL, NULL, NULL, NULL, NULL);
        """
    )
    connection.close()
    return tmp_path / "exchange.db"


def test_commands() -> None:
    assert completed(incomplete="instr") == ["instrument"]
    assert completed("order", incomplete="") == ["buy", "cancel", "close", "edit", "list", "sell", "show"]
    assert "--post-only" in completed("order", "buy", incomplete="--p")


def test_instruments_and_assets(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed("ticker", "--db", path, incomplete="sol") == [NAMES[1], NAMES[0]], "the open ones first"
    assert completed("ticker", "--db", path, "--asset", incomplete="") == ["BTC", "SOL"]
    monkeypatch.setenv("EXCHANGE_DB", str(path))
    assert completed("order", "sell", incomplete="BTC") == [NAMES[2]]


def test_users(path: Path) -> None:
    assert completed("account", "show", "--db", path, incomplete="") == ["alice", "ca_rl", "carol"]
    assert completed("order", "list", "--db", path, "--user", incomplete="ca_") == ["ca_rl"]


def test_no_history_and_no_exchange_offers_nothing(tmp_path: Path) -> None:
    assert completed("ticker", "--db", tmp_path / "exchange.db", incomplete="S") == []
    (tmp_path / "exchange.history.db").write_text("no database")
    assert completed("account", "show", "--db", tmp_path / "exchange.db", incomplete="") == []
    assert [file.name for file in tmp_path.iterdir()] == ["exchange.history.db"], "completion writes nothing"
