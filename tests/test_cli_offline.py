"""Commands that need no server: creating and reading a journal, and every error of a path or a value."""

import asyncio
import os
import re
import signal
import sqlite3
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner
from filelock import FileLock

from exchange import __version__
from exchange.amounts import (
    cash,
    contracts,
    expiration,
    parse_contracts,
    parse_expiration,
    parse_time_us,
    parse_usdc,
    usdc,
)
from exchange.cli import progress
from exchange.domain.commands import ChangeRules, Genesis, OpenAccount
from exchange.domain.rules import Market, Rules
from exchange.journal.lock import JournalLock
from exchange.runtime import node
from exchange.runtime.server_settings import ServerSettings
from tests.cli_support import CALL, complained, exchange, said, said_json
from tests.journals import write_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A new journal that contains only its genesis command."""
    made = tmp_path / "exchange.db"
    said(exchange("init", "--db", made))
    return made


def test_the_version() -> None:
    assert said(exchange("--version")) == f"exchange, version {__version__}\n"


@pytest.mark.parametrize(
    "name",
    [
        "init",
        "serve",
        "book",
        "account show",
        "account deposit",
        "account withdraw",
        "admin create-instrument",
        "admin deposit",
        "admin withdraw",
        "admin set-index",
        "admin settle",
        "admin pause",
        "admin resume",
        "admin halt",
        "admin end-halt",
        "admin confirm-time",
        "top",
        "admin suspend",
        "admin reinstate",
        "admin limits",
        "admin cancel",
        "admin account",
        "admin rules",
        "index show",
        "ticker",
        "settlements",
        "instrument create",
        "instrument list",
        "order buy",
        "order sell",
        "order cancel",
        "order close",
        "order list",
        "journal tail",
        "journal info",
        "explain",
        "what-if",
    ],
)
def test_every_command_has_help_with_an_example(name: str) -> None:
    text = said(exchange(*name.split(), "--help"))
    assert re.search(rf"Examples?:\n +exchange {name} ?", text)


def test_init_creates_journal_and_secret_and_prints_the_next_step(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "exchange.db"
    text = said(exchange("init", "--db", path))
    secret = path.with_name("exchange.db.admin")
    assert f"journal       {path}\n" in text
    assert f"admin secret  {secret} " in text
    assert text.endswith(f"Next: exchange serve --db {path}\n")
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_text().strip()) >= 32


@pytest.mark.parametrize("snapshots_at", [(), (2,), (4,)], ids=["the history", "history and snapshot", "a snapshot"])
def test_info_shows_the_rules_that_were_accepted(tmp_path: Path, snapshots_at: tuple[int, ...]) -> None:
    """The last change of rules was refused, because a market cannot be taken away."""
    path = tmp_path / "exchange.db"
    market = Rules(market=Market())
    rules = (market, msgspec.structs.replace(market, open_orders_max=7), Rules(open_orders_max=9))
    commands = (Genesis(rules[0]), ChangeRules(rules[1]), OpenAccount("alice", 1), ChangeRules(rules[2]))
    write_journal(path, enumerate(commands, 1), snapshots_at)
    found = said_json(exchange("journal", "info", "--db", path, "--json"))
    assert (found["rules"]["open_orders_max"], found["commands"]["change_rules"]) == (7, 2)


def test_init_records_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    options = ("--maker-fee-ppm", 100, "--taker-fee-ppm", 300, "--open-orders-max", 5, "--starting-cash", "50.5")
    said(exchange("init", "--db", path, *options, "--self-trade-prevention", "off"))
    rules = said_json(exchange("journal", "info", "--db", path, "--json"))["rules"]
    assert rules["fees"] == {"maker_premium_ppm": 100, "taker_premium_ppm": 300}
    assert rules["open_orders_max"] == 5
    assert rules["starting_cash_micros"] == 50_500_000
    assert rules["self_trade_prevention"] == "off"


def test_init_combines_file_options_and_settings(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(
        'starting_cash_micros = 5\nopen_orders_max = 6\nmarket.series = [{asset="SOL", strike_spacing_usdc=5}]'
    )
    path = tmp_path / "exchange.db"
    options = ("--starting-cash", "7", "--series", "sol:10", "--series", "BTC:1000:8:5", "--set", "fees=deribit")
    text = said(exchange("init", "--db", path, "--rules", file, *options, "--set", "market.series.SOL.dailies=3"))
    assert "market        options on SOL, BTC, listed at the first index price of each\n" in text
    rules = said_json(exchange("journal", "info", "--db", path, "--json"))["rules"]
    assert (rules["starting_cash_micros"], rules["open_orders_max"]) == (7_000_000, 6)
    assert (rules["market"]["fees"]["taker_ppm"], rules["collateral"]) == (300, "standard")
    shown = [(one["asset"], one["strike_spacing_usdc"], one["dailies"]) for one in rules["market"]["series"]]
    assert shown == [("SOL", 10, 3), ("BTC", 1_000, 2)]
    text = said(exchange("journal", "info", "--db", path))
    assert re.search(r"market\.series\.BTC\.tick_micros +5\.00 USDC +5000000", text)
    line = said(exchange("journal", "tail", "--db", path))
    assert "market={series=[{asset=SOL strike_spacing_usdc=10 strikes_each_side=5 tick=0.01 min_size=0.1 " in line


def test_new_journal_has_a_market_by_default(path: Path, tmp_path: Path) -> None:
    assert "market" in said_json(exchange("journal", "info", "--db", path, "--json"))["rules"]
    plain = tmp_path / "plain.db"
    text = said(exchange("init", "--db", plain, "--set", "market=null"))
    assert "market        none: orders are matched, without index prices and margins\n" in text
    assert "market" not in said_json(exchange("journal", "info", "--db", plain, "--json"))["rules"]


def test_init_with_another_start_time(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    said(exchange("init", "--db", path, "--clock-start", "2026-02-20T01:00:00+01:00"))
    assert said(exchange("journal", "tail", "--db", path)).split()[1].startswith("2026-02-20T00:00:0")


def test_init_refuses_a_journal_that_exists(path: Path) -> None:
    before = path.read_bytes()
    text = complained(exchange("init", "--db", path))
    assert f"{path} already exists, with 1 command: start it with `exchange serve --db {path}`" in text
    assert path.read_bytes() == before


def test_init_does_not_change_another_file(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear reader, this is no database but a letter of some length.")
    assert "is not an exchange journal" in complained(exchange("init", "--db", file))
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]


def test_init_refuses_a_locked_journal(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    with JournalLock(path):
        assert f"in use by process {os.getpid()}: stop it first" in complained(exchange("init", "--db", path))


def test_default_folder_is_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXCHANGE_DB", raising=False)
    assert said(exchange("init")).endswith("Next: exchange serve\n")
    assert (tmp_path / "data" / "exchange.db").exists()


def test_new_journal_has_no_instruments(path: Path) -> None:
    assert said_json(exchange("instrument", "list", "--db", path, "--json")) == []
    assert "no instruments are listed;" in said(exchange("instrument", "list", "--db", path))
    assert "no instruments are listed on SOL;" in said(exchange("instrument", "list", "--db", path, "--asset", "sol"))


def test_info(path: Path) -> None:
    found = said_json(exchange("journal", "info", "--db", path, "--json"))
    assert found["commands"] == {"genesis": 1}
    assert (found["first_seq"], found["last_seq"], found["events_seq"]) == (1, 1, 0)
    assert found["holder"] is None
    assert found["snapshots"] == []
    text = said(exchange("journal", "info", "--db", path))
    assert "none: no exchange is running on it" in text
    assert re.search(r"starting_cash_micros +10,000\.00 USDC +10000000000", text)


def test_info_names_a_lock_owner_that_does_not_listen(path: Path) -> None:
    with JournalLock(path):
        text = said(exchange("journal", "info", "--db", path))
        assert f"process {os.getpid()}, not listening yet" in text
        text = complained(exchange("order", "cancel", 1, "--user", "alice", "--db", path))
        assert "does not listen yet: try again in a moment" in text


def test_another_system_user_finds_the_lock_owner(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def acquire(_lock: FileLock) -> None:
        raise PermissionError(13, "Permission denied", "exchange.db.lock")

    with JournalLock(path) as lock:
        lock.announce("ws://127.0.0.1:1/")
        monkeypatch.setattr(FileLock, "acquire", acquire)
        assert "listening on ws://127.0.0.1:1/" in said(exchange("journal", "info", "--db", path))
        text = complained(exchange("account", "deposit", "alice", 1, "--db", path))
        assert text.startswith("Error: cannot connect to ws://127.0.0.1:1/: ")


def test_tail(path: Path) -> None:
    line = said(exchange("journal", "tail", "--db", path))
    assert re.match(r" +1  20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z  genesis .*starting_cash=10000\.00", line)
    record = said_json(exchange("journal", "tail", "--db", path, "--json"))
    assert (record["seq"], record["command"]["kind"], len(record["hash"])) == (1, "genesis", 64)
    assert said(exchange("journal", "tail", "-n", 0, "--db", path)) == ""


def test_unknown_names_are_reported(path: Path) -> None:
    assert f"{path} has no account 'zoe'" in complained(exchange("account", "show", "zoe", "--db", path))
    assert f"{path} has no account 'zoe'" in complained(exchange("order", "list", "--user", "zoe", "--db", path))


@pytest.mark.parametrize(
    "arguments",
    [
        ("account", "show", "alice"),
        ("instrument", "list"),
        ("order", "list", "--user", "alice"),
        ("journal", "tail"),
        ("journal", "info"),
        ("explain", "1"),
        ("what-if", "--drop", "2"),
        ("ticker", CALL),
        ("index", "show"),
        ("settlements",),
    ],
)
def test_reading_reports_a_bad_file(arguments: tuple[str, ...], path: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.db"
    text = complained(exchange(*arguments, "--db", missing))
    assert f"there is no journal at {missing}: create one with `exchange init --db {missing}`" in text
    assert not missing.exists()

    letter = tmp_path / "letter.txt"
    letter.write_text("Dear reader, this is no database but a letter of some length.")
    assert f"{letter} is not an exchange journal" in complained(exchange(*arguments, "--db", letter))

    other = tmp_path / "other.db"
    _change(other, "CREATE TABLE songs (title TEXT)")
    assert f"{other} is a database of another program" in complained(exchange(*arguments, "--db", other))

    _change(path, "PRAGMA user_version = 99")
    assert "was written by a newer program (schema 99" in complained(exchange(*arguments, "--db", path))

    assert "is a directory" in complained(exchange(*arguments, "--db", tmp_path), exit_code=2)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_journal_without_read_permission(path: Path) -> None:
    path.chmod(0)
    assert "is not readable" in complained(exchange("journal", "tail", "--db", path), exit_code=2)


def test_damaged_record_is_reported(path: Path) -> None:
    _change(path, "DROP TRIGGER commands_are_never_changed")
    _change(path, "UPDATE commands SET payload = replace(payload, '10000000000', '99000000000')")
    text = complained(exchange("account", "show", "alice", "--db", path))
    assert "seq 1 is damaged: its hash does not match its contents" in text
    assert "seq 1 is damaged" in complained(exchange("serve", "--db", path, "--port", 0)).splitlines()[-1]


def test_damaged_page_gives_no_traceback(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(range(256)) * ((path.stat().st_size - 4096) // 256))
    assert complained(exchange("instrument", "list", "--db", path)).startswith("Error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("order", "buy", CALL, 1, 1.5, "--user", "alice"),
        ("order", "sell", CALL, 1, "--market", "--user", "alice"),
        ("order", "cancel", 1, "--user", "alice"),
        ("account", "deposit", "alice", 5),
        ("account", "withdraw", "alice", 5),
        ("instrument", "create", CALL),
        ("order", "cancel", "--all", "--user", "alice"),
        ("order", "close", CALL, "--user", "alice"),
        ("admin", "set-index", "SOL", 150),
        ("admin", "rules"),
        ("admin", "halt"),
    ],
)
def test_trading_without_a_server_prints_the_start_command(arguments: tuple[object, ...], path: Path) -> None:
    text = complained(exchange(*arguments, "--db", path))
    assert text == f"Error: no exchange is running on {path}: start it with `exchange serve --db {path}`\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("order", "buy", CALL, "0.0005", "1.5", "--user", "a"), "expected at most 3"),
        (("order", "buy", CALL, "1", "1.0000001", "--user", "a"), "expected at most 6"),
        (("order", "buy", CALL, "1,5", "1", "--user", "a"), "is not a number"),
        (("order", "buy", CALL, "1e3", "1", "--user", "a"), "is not a number"),
        (("order", "buy", CALL, "1", "99999999999999", "--user", "a"), "is too large"),
        (("order", "buy", CALL, "1", "--user", "a"), "expected PRICE or --market"),
        (("order", "buy", CALL, "1", "1.5", "--market", "--user", "a"), "a market order has no PRICE"),
        (("order", "buy", "SOL-PERP", "1", "1", "--user", "a"), "is not an instrument id"),
        (("order", "buy", "SOL_USDC-30FEB26-150-C", "1", "1", "--user", "a"), "FEB 2026 has no day 30"),
        (("order", "buy", CALL, "1", "1"), "Missing option '--user'"),
        (("order", "buy", CALL, "1", "1", "--user", "a b"), "is not a user name"),
        (("order", "cancel", "--user", "a"), "expected one of: ORDER_ID, --client-order-id, --label, --all"),
        (
            ("order", "cancel", "1", "--all", "--user", "a"),
            "--all cancels several orders: remove ORDER_ID and --client-order-id",
        ),
        (("state", "--depth", "3"), "--depth needs --book"),
        (("sql", "--csv", "--json", "SELECT 1"), "--csv and --json exclude each other"),
        (("index", "feed", "SOL", "--speed", "3"), "--speed needs --csv FILE"),
        (("index", "feed", "--stdin", "--every", "3"), "--every needs an ASSET for a random walk"),
        (("instrument", "list", "--ids", "--json"), "--ids and --json exclude each other"),
        (("account", "deposit", "a", "-5"), "the amount must be positive, and -5 is not"),
        (("order", "buy", CALL, "-1", "1.50", "--user", "a"), "the size must be positive, and -1 is not"),
        (("order", "sell", CALL, "1", "-1.50", "--user", "a"), "the price must be positive, and -1.50 is not"),
        (("admin", "settle", "SOL", "30FEB26", "150"), "'30FEB26' is not a date; expected DMMMYY such as 28FEB26"),
        (("admin", "pause"), "expected one of: INSTRUMENT, --asset and/or --expiration, --all"),
        (("ticker",), "expected either INSTRUMENT or --asset"),
        (("ticker", CALL, "--asset", "SOL"), "expected either INSTRUMENT or --asset"),
        (("ticker", CALL, "--expiration", "28FEB26"), "--expiration needs --asset"),
        (("init", "--set", "fee=1"), "--set fee=1: expected NAME=VALUE with one of these names: self_trade_prevention"),
        (
            ("init", "--set", "open_orders_max=-1"),
            "--set open_orders_max=-1: open_orders_max must be a whole number of at least 0",
        ),
        (("init", "--series", "SOL:10", "--set", "market=null"), "--series needs a market, and --set market=null"),
        (("init", "--series", "SOL:10", "--series", "SOL:5"), "SOL has more than one series rule"),
        (("init", "--series", "SOL"), "such as SOL:10 or BTC:1000:8:5"),
        (("init", "--rules", "nowhere.toml"), "'nowhere.toml' does not exist"),
        (("serve", "--clock-start", "soon"), "expected a time such as 2026-02-20T00:00:00Z"),
        (("serve", "--clock-start", "1969-01-01"), "the year must be 2000 to 2099"),
        (("serve", "--port", "70000"), "is not in the range"),
        (("serve", "--host", "0.0.0.0"), "every account needs a key"),
        (("serve", "--host", ""), "other machines can connect to"),
        (("serve", "--host", "example.com"), "other machines can connect to"),
    ],
)
def test_wrong_usage_has_its_own_exit_code(
    arguments: tuple[str, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EXCHANGE_USER", raising=False)
    text = complained(exchange(*arguments, "--db", tmp_path / "exchange.db"), exit_code=2)
    assert reason in " ".join(text.split())
    assert list(tmp_path.iterdir()) == []


def test_serving_another_file_leaves_no_files(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear reader, this is no database but a letter of some length.")
    assert "is not an exchange journal" in complained(exchange("serve", "--db", letter, "--port", "0"))
    assert list(tmp_path.iterdir()) == [letter]


def test_device_is_refused_as_journal() -> None:
    text = complained(exchange("serve", "--db", "/dev/null"), exit_code=2)
    assert "/dev/null is not a regular file" in " ".join(text.split())


def test_amounts_are_exact() -> None:
    assert parse_usdc("1.50") == 1_500_000
    assert parse_usdc(".000001") == 1
    assert parse_usdc("9007199254.740991") == 2**53 - 1
    assert parse_contracts("0.5") == 500
    with pytest.raises(ValueError, match="expected at most 6"):
        parse_usdc("1." + "0" * 40 + "1")
    assert (usdc(1_500_000), usdc(-65_000), usdc(1), usdc(None)) == ("1.50", "-0.065", "0.000001", "-")
    assert (contracts(1_000), contracts(-500), contracts(1_000, 3)) == ("1.0", "-0.5", "1.000")
    assert (cash(-1_234_567_000_000), cash(-500_000)) == ("-1,234,567.00", "-0.50")


def test_expiration_dates() -> None:
    assert parse_expiration("2026-02-28") == parse_expiration("28feb26") == parse_expiration("28FEB26") == 1_772_265_600
    assert expiration(1_772_265_600) == "28FEB26"
    for text in ("30FEB26", "2026-02-30", "28FEB", "28FEB26-150-C", ""):
        with pytest.raises(ValueError, match="expected DMMMYY such as 28FEB26"):
            parse_expiration(text)


def test_a_time_without_a_zone_is_utc() -> None:
    assert parse_time_us("2026-02-20") == parse_time_us("2026-02-20T01:00:00+01:00") == 1_771_545_600_000_000


def test_unexpected_error_is_logged_and_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(*_: object) -> None:
        raise AssertionError("book is crossed")

    monkeypatch.setattr(node, "serve", serve)
    result = exchange("serve", "--db", path)
    assert result.exit_code == 1
    assert "please report it with the lines above" in result.stderr.splitlines()[-1]
    assert "AssertionError: book is crossed" in result.stderr


def test_signal_stops_a_replay(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)

    async def serve(settings: ServerSettings, report: Any, progress: Any, listening: Any, stop: asyncio.Event) -> None:
        progress(1, 2)
        os.kill(os.getpid(), signal.SIGINT)
        progress(2, 2)
        raise AssertionError("the replay went on")

    monkeypatch.setattr(node, "serve", serve)
    assert exchange("serve", "--db", path).exit_code == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_a_port_that_is_in_use(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(settings: ServerSettings, *_: object) -> None:
        taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        async with taken:
            await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", taken.sockets[0].getsockname()[1])

    monkeypatch.setattr(node, "serve", serve)
    text = complained(exchange("serve", "--db", path))
    assert "port 8765 on 127.0.0.1 is in use: choose another port with --port, or 0 for any free port" in text


def test_long_replay_shows_a_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_SECONDS", -1)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")

    @click.command()
    def replay() -> None:
        with progress.ReplayBar() as bar:
            bar(1, 1_000)
            bar(500, 1_000)
            bar(1_000, 1_000)
            rows = bar.next_phase("comparing")
            for done in (700, 1_433, 1_500):
                rows(done, 1_500)

    result = CliRunner().invoke(replay)
    replayed, compared = result.stderr.split("comparing", 1)
    assert "replaying" in replayed and "1000/1000" in replayed
    assert "replaying" not in compared and "1500/1500" in compared
    assert result.stdout == ""


def _change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()
