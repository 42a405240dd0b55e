"""`exchange index feed`: prices from a file, from standard input, from a random walk."""

import subprocess
from pathlib import Path

import pytest

from exchange.bots.walk import IndexWalk
from exchange.domain.commands import SetIndexPrice, decode_command
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head
from tests.cli_support import PATIENCE_SECONDS, Server, command, complained, environment, exchange, said


def prices(path: Path) -> list[tuple[str, int]]:
    """The recorded index prices, without the first ones, which the demo sets."""
    with open_journal_reader(path) as reader:
        commands = [decode_command(record.payload) for record in reader.records(Head())]
    return [(one.asset, one.price_micros) for one in commands if isinstance(one, SetIndexPrice)][3:]


def feed(path: Path, *arguments: object, input_text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("index", "feed", "--db", path, *arguments),
        env=environment(),
        input=input_text,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.mark.slow
def test_walk_starts_at_the_given_or_the_last_price(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    with Server(path, "--demo"):
        first = feed(path, "sol", "--start", "151.5", "--every", 1, "--count", 3, "--seed", 5, "--volatility", "0.9")
        assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
        second = feed(path, "SOL", "--every", 1, "--count", 2)
        assert second.returncode == 0, second.stderr
    walk = IndexWalk(151_500_000, 900_000, 1, 5)
    walked = [151_500_000, walk.step(), walk.step()]
    on = IndexWalk(walked[-1], 800_000, 1, 1)
    assert prices(path) == [("SOL", price) for price in [*walked, walked[-1], on.step()]]


@pytest.mark.slow
def test_file_is_sent_in_order_and_refused_prices_are_reported(tmp_path: Path) -> None:
    path, file = tmp_path / "exchange.db", tmp_path / "prices.csv"
    file.write_text(
        "time,asset,price\n"
        "2026-02-20T09:00:00Z, SOL, 150.25\n"
        "1771578600000000,ETH,4000\n"
        "2026-02-20T09:20:00Z,SOL,1000\n"
        "\n"
        "2026-02-20T10:20:00Z,sol,150.5\n"
    )
    with Server(path, "--demo"):
        fed = feed(path, "--csv", file, "--speed", "100000000")
        assert (fed.returncode, fed.stdout) == (0, "")
        assert "SOL 1000.00: error -32602" in fed.stderr and "index_jump" not in fed.stdout
        assert feed(path, "--csv", file, "--speed", 0, "--count", 1).returncode == 0
    accepted = [("SOL", 150_250_000), ("ETH", 4_000_000_000), ("SOL", 1_000_000_000), ("SOL", 150_500_000)]
    assert prices(path) == [*accepted, ("SOL", 150_250_000)]


@pytest.mark.slow
def test_lines_from_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    with Server(path, "--demo"):
        fed = feed(path, "--stdin", input_text="SOL 151.25\n\nwhat is this\nbtc 99000\n")
        assert (fed.returncode, fed.stdout) == (0, "")
        assert fed.stderr == "ignored 'what is this': expected an asset and a price, such as SOL 150.25\n"
    assert prices(path) == [("SOL", 151_250_000), ("BTC", 99_000_000_000)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("yesterday,SOL,150\n", "line 1: 'yesterday' is not a time"),
        ("2026-02-20T09:00:00Z,SOL\n", "line 1: the line has 2 columns, not 3"),
        ("2026-02-20T09:00:00Z,SOL,15O\n", "line 1: '15O' is not a number"),
        ("2026-02-20T09:00:00Z,SOL,151\n2026-02-20T09:00:00Z,SOL,15O\n", "line 2: '15O' is not a number"),
    ],
)
def test_malformed_line_is_reported(tmp_path: Path, text: str, complaint: str) -> None:
    path, file = tmp_path / "exchange.db", tmp_path / "prices.csv"
    file.write_text(text)
    with Server(path, "--demo"):
        fed = feed(path, "--csv", file)
    assert fed.returncode == 2 and complaint in fed.stderr and "such as 2026-02-20T09:00:00Z,SOL,150.25" in fed.stderr
    assert ("SOL", 151_000_000) not in prices(path), "something was sent before the whole file was read"


def test_exactly_one_source_is_required(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    assert "expected one source" in complained(exchange("index", "feed", "--db", path), 2)
    assert "expected one source" in complained(exchange("index", "feed", "SOL", "--stdin", "--db", path), 2)
    assert "is not a volatility" in complained(exchange("index", "feed", "SOL", "--volatility", "x", "--db", path), 2)
    assert "no exchange is running" in complained(exchange("index", "feed", "SOL", "--db", path))
    assert "random walk" in said(exchange("index", "feed", "--help"))
