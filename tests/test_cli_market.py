"""Commands that run a market, and their effect on traders, run against a server process."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli_support import Server, complained, exchange, said, said_json

OPENING = "2026-02-27T09:00:00Z"
CALL, PUT = "SOL_USDC-28FEB26-150-C", "SOL_USDC-28FEB26-150-P"
RULES = ("--series", "SOL:10:1", "--series", "ETH:100:0", "--set", "market.index_age_max_s=0")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of this file. Each test uses its own users, and its own instrument if it trades."""
    path = tmp_path_factory.mktemp("market") / "exchange.db"
    said(exchange("init", "--db", path, *RULES, "--clock-start", OPENING))
    with Server(path, "--clock-start", "2026-02-27T09:01:00Z") as running:
        text = said(exchange("admin", "set-index", "sol", 150, "--db", path))
        assert re.fullmatch(r"the index price of SOL is 150\.00 USDC \(seq \d+\)\n", text)
        yield running


def _admin(server: Server, *arguments: object) -> str:
    return said(exchange("admin", *arguments, "--db", server.path))


def _admin_json(server: Server, *arguments: object) -> Any:
    return said_json(exchange("admin", *arguments, "--db", server.path, "--json"))


def _refused(server: Server, *arguments: object, exit_code: int = 1) -> str:
    return " ".join(complained(exchange(*arguments, "--db", server.path), exit_code).split())


def _instrument(server: Server, strike: int) -> str:
    """Create an instrument on an asset without an index price, with an empty book."""
    instrument_id = f"XRP_USDC-27MAR26-{strike}-C"
    _admin(server, "create-instrument", instrument_id)
    return instrument_id


def _order(server: Server, *arguments: object) -> Any:
    return said_json(exchange("order", *arguments, "--db", server.path, "--json"))


@pytest.mark.slow
def test_the_first_index_price_lists_the_series(server: Server) -> None:
    listed = said_json(exchange("instrument", "list", "--asset", "SOL", "--json", "--db", server.path))
    assert [one["strike"] // 10**6 for one in listed[:6]] == [140, 140, 150, 150, 160, 160]
    assert CALL in [one["instrument_id"] for one in listed]
    (found,) = said_json(exchange("index", "show", "SOL", "--json", "--db", server.path))
    assert (found["asset"], found["price"]) == ("SOL", 150_000_000)
    text = said(exchange("index", "show", "--db", server.path))
    assert re.search(r"SOL +150\.00 +2026-02-27T09:0\d:\d\dZ +\d+\n", text)
    text = said(exchange("index", "show", "BTC", "--db", server.path))
    assert text == (
        "there is no index price of BTC; to set one while the exchange runs: "
        f"exchange admin set-index BTC 150 --db {server.path}\n"
    )


def test_an_index_price_that_jumps_must_be_forced(server: Server) -> None:
    assert _admin_json(server, "set-index", "ETH", "1000.5")["price"] == 1_000_500_000
    text = _refused(server, "admin", "set-index", "ETH", 5_000)
    assert text == (
        "error -32602: Invalid params: the price is further from the last one than the rule market.index_jump_max "
        "allows. If it is right, use --force; the last price was 1000.50"
    )
    assert "index price of ETH is 5000.00 USDC" in _admin(server, "set-index", "ETH", 5_000, "--force")
    assert _refused(server, "admin", "set-index", "ETH", 0).startswith("error -32602: Invalid params: an index price")
    assert "nothing is listed on this asset" in _refused(server, "admin", "set-index", "DOGE", 1)
    assert "'S-L' is not an asset" in _refused(server, "admin", "set-index", "S-L", 1, exit_code=2)


def test_the_chain_of_an_asset(server: Server) -> None:
    day = ("ticker", "--asset", "sol", "--expiration")
    text = said(exchange(*day, "2026-03-01", "--db", server.path))
    title, header, _, *rows, moment = text.splitlines()
    assert title.rstrip() == "SOL 1MAR26, index 150.00: calls, strike, puts"
    assert header.split() == [
        "bid",
        "ask",
        "mark",
        "iv",
        "delta",
        "OI",
        "strike",
        "bid",
        "ask",
        "mark",
        "iv",
        "delta",
        "OI",
    ]
    cells = [row.split() for row in rows]
    assert [(row[:2], row[5:9], row[12]) for row in cells] == [
        (["-", "-"], ["0.0", strike, "-", "-"], "0.0") for strike in ("140", "150", "160")
    ]
    assert [(row[3], row[10]) for row in cells] == [("88.4%", "88.4%"), ("80.0%", "80.0%"), ("82.4%", "82.4%")]
    assert [float(row[2]) - float(row[9]) for row in cells] == pytest.approx([10, 0, -10]), "put-call parity"
    assert re.fullmatch(r"at seq \d+, 2026-02-27T09:0\d:\d\dZ", moment)
    tickers = said_json(exchange(*day, "1mar26", "--json", "--db", server.path))
    assert [ticker["mark"] // 1_000_000 for ticker in tickers] == [10, 0, 3, 3, 0, 10]
    whole = said(exchange("ticker", "--asset", "SOL", "--db", server.path))
    assert re.findall(r"SOL (\w+), index", whole) == ["28FEB26", "1MAR26", "6MAR26", "13MAR26", "27MAR26"]
    text = said(exchange(*day, "2MAR26", "--db", server.path))
    assert text.startswith("no options are listed on SOL for 2MAR26: exchange instrument list --db ")


def test_one_ticker(server: Server) -> None:
    instrument_id = "SOL_USDC-27MAR26-150-C"
    _order(server, "buy", instrument_id, 1, "5.40", "--user", "ticker.a")
    _order(server, "sell", instrument_id, "0.5", "5.50", "--user", "ticker.b")
    _admin(server, "set-index", "SOL", 150)
    shown = said_json(exchange("ticker", instrument_id, "--json", "--db", server.path))
    assert (shown["best_bid"], shown["best_ask_size"]) == (5_400_000, 500)
    assert 13_000_000 < shown["mark"] < 13_500_000, "the value at 80 %, whatever the quotes say"
    assert shown["mark_iv"] == 0.8 and 0.5 < shown["greeks"]["delta"] < 0.6
    text = said(exchange("ticker", instrument_id, "--db", server.path))
    rows = dict(re.split(r"  +", line.strip(), maxsplit=1) for line in text.splitlines()[2:-1])
    assert (rows["bid"], rows["ask"], rows["mid"]) == ("1.0 @ 5.40", "0.5 @ 5.50", "5.45")
    assert rows["mark"] == f"{shown['mark'] / 1_000_000:.2f}"
    assert (rows["last"], rows["index"], rows["open interest"], rows["state"]) == ("-", "150.00", "0.0", "open")
    assert rows["implied volatility"] == "80.0%" and re.fullmatch(r"0\.5\d\d\d", rows["delta"])
    assert "SOL_USDC-27MAR26-1-C is not listed" in _refused(server, "ticker", "SOL_USDC-27MAR26-1-C")


def test_a_short_is_margined_and_shown_with_its_profit(server: Server) -> None:
    instrument_id = "SOL_USDC-13MAR26-150-C"
    for arguments in (("sell", 1, "5.50", "margin.a"), ("buy", 1, "5.50", "margin.b")):
        side, size, price, user_id = arguments
        _order(server, side, instrument_id, size, price, "--user", user_id)
    _admin(server, "set-index", "SOL", 150)
    shown = said_json(exchange("account", "show", "margin.a", "--json", "--db", server.path))
    mark = round(shown["positions"][0]["mark"] / 1_000_000, 2)
    assert (shown["locked"], shown["maintenance"]) == (round((22.5 + mark) * 1e6), round((11.25 + mark) * 1e6))
    locked, maintenance, available = (f"{amount:,.2f}" for amount in (22.5 + mark, 11.25 + mark, 9_983 - mark))
    text = said(exchange("account", "show", "margin.a", "--db", server.path))
    cash = re.escape(
        f"{available} {locked} {maintenance} {10_005.5 - mark:,.2f} {5.5 - mark:.2f} 0.00 {5.5 - mark:.2f}"
    )
    assert re.search(r"margin\.a +" + cash.replace("\\ ", " +"), text)
    position = re.escape(f"-1.0 5.50 {mark:.2f} {locked} 0.00 {5.5 - mark:.2f}")
    assert re.search(rf"{instrument_id} +" + position.replace("\\ ", " +") + "\n", text)
    assert "shortfall" not in text
    text = said(exchange("state", "--account", "margin.a", "--db", server.path))
    assert re.search(rf"margin\.a +{re.escape(available)} +{locked} +{maintenance} ", text)
    _order(server, "sell", instrument_id, "0.101", "5.53", "--user", "margin.a")
    text = said(exchange("account", "show", "margin.a", "--db", server.path))
    more = re.escape(f"-1.0 5.50 {mark:.2f} {1.101 * (22.5 + mark):.5f} 0.00000 {5.5 - mark:.5f}")
    assert re.search(rf"{instrument_id} +" + more.replace("\\ ", " +") + "\n", text), "as many decimals as needed"


@pytest.mark.slow
def test_candles_of_the_index_and_a_simulated_position(server: Server) -> None:
    (candle,) = said_json(exchange("candles", "ETH", "--resolution", "1d", "-n", 1, "--db", server.path, "--json"))
    assert (candle["high"], candle["volume"]) == (5_000_000_000, 0)
    assert "1000.50" in said(exchange("candles", "eth", "--resolution", "1d", "-n", 1, "--db", server.path))
    assert _refused(server, "candles", "ETH", "-n", 1, "--since", "now", exit_code=2).endswith("all from a time on")
    text = _refused(server, "account", "simulate", "simulated", f"{CALL}=1")
    assert "simulated" in text, "a question opens no account"
    _order(server, "buy", CALL, 1, "0.01", "--user", "simulated")
    found = said_json(exchange("account", "simulate", "simulated", f"{CALL}=-2", "--db", server.path, "--json"))
    assert found["locked"] > 20_000_000 and found["positions"][0]["quantity"] == -2_000
    assert "nothing was recorded" in said(
        exchange("account", "simulate", "simulated", f"{CALL}=-2", "--db", server.path)
    )
    text = _refused(server, "account", "simulate", "simulated", CALL, exit_code=2)
    assert "expected INSTRUMENT=CONTRACTS" in text


def test_dry_run_places_no_order(server: Server) -> None:
    instrument_id = _instrument(server, 10)
    _order(server, "sell", instrument_id, 1, "1.50", "--user", "dry.a")
    before = said_json(exchange("journal", "info", "--json", "--db", server.path))["commands"]["place_order"]
    arguments = ("order", "buy", instrument_id, 2, "1.60", "--user", "dry.a", "--dry-run", "--db", server.path)
    assert said_json(exchange(*arguments, "--json"))["dry_run"] is True
    _order(server, "cancel", "--all", "--user", "dry.a")
    _order(server, "sell", instrument_id, 1, "1.50", "--user", "dry.b")
    assert said(exchange(*arguments)) == (
        f"would be partially filled: buy 2.000 {instrument_id} @ 1.60, filled 1.000 at 1.50\n"
        "  trade: 1.000 @ 1.50, taker, fee 0.00\n"
        "  available 9,996.90, locked 1.60\n"
        "  position 1.000, 0.00 locked for it\n"
        "  dry run: no order was placed\n"
    )
    assert _refused(server, *arguments[:3], 9_000, "9", *arguments[5:-2]).startswith("error 1002: Insufficient balance")
    after = said_json(exchange("journal", "info", "--json", "--db", server.path))["commands"]["place_order"]
    assert after == before + 1


def test_reduce_and_close_a_position(server: Server) -> None:
    instrument_id, at = _instrument(server, 11), ("--user", "close.a", "--db", server.path)
    _order(server, "sell", instrument_id, 5, "1.50", "--user", "close.b")
    _order(server, "buy", instrument_id, 2, "1.50", "--user", "close.a")
    _order(server, "buy", instrument_id, 2, "1.40", "--user", "close.b")
    reduce = ("order", "sell", instrument_id, 9, "1.40", "--tif", "ioc", "--reduce-only")
    text = said(exchange(*reduce, *at))
    assert re.match(r"order \d+ filled: sell 2\.000 \S+ @ 1\.40, filled 2\.000 at 1\.40\n", text)
    assert _refused(server, *reduce, *at[:2]).startswith("error 1030: Nothing to reduce: ")
    assert _refused(server, "order", "close", instrument_id, *at[:2]).startswith("error 1030: Nothing to reduce: ")
    _order(server, "buy", instrument_id, 1, "1.50", "--user", "close.a")
    text = said(exchange("order", "close", instrument_id, "1.45", *at))
    assert re.match(r"order \d+ cancelled \(ioc_remainder\): sell 1\.000 \S+ @ 1\.45\n", text)
    _order(server, "buy", instrument_id, 1, "1.30", "--user", "close.b")
    assert re.match(
        r"order \d+ filled: sell 1\.000 \S+ at market, filled 1\.000 at 1\.30\n",
        said(exchange("order", "close", instrument_id, *at)),
    )


def test_pause_and_resume(server: Server) -> None:
    one, other = _instrument(server, 12), _instrument(server, 13)
    assert re.fullmatch(rf"{one} is paused \(seq \d+\)\n", _admin(server, "pause", one))
    order = ("order", "buy", one, 1, 1, "--user", "pause.a")
    assert _refused(server, *order).startswith("error 1014: Instrument paused")
    count = _admin_json(server, "pause", "--asset", "XRP", "--expiration", "27MAR26")["count"]
    assert count >= 1
    assert _refused(server, "order", "buy", other, 1, 1, "--user", "pause.a").startswith("error 1014: ")
    assert re.fullmatch(rf"{other} is resumed \(seq \d+\)\n", _admin(server, "resume", other))
    assert re.fullmatch(rf"{count} instruments? resumed \(seq \d+\)\n", _admin(server, "resume", "--all"))
    _order(server, *order[1:])
    assert "error -32602: " in _refused(server, "admin", "pause", "--asset", "DOGE")
    for arguments in ((), (one, "--all"), ("--asset", "XRP", "--all")):
        text = _refused(server, "admin", "pause", *arguments, exit_code=2)
        assert "expected one of: INSTRUMENT, --asset and/or --expiration, --all" in text


def test_confirm_time_of_a_clock_that_did_not_jump(server: Server) -> None:
    text = _admin(server, "confirm-time")
    assert re.fullmatch(r"the clock had not jumped: exchange time is \S+Z\n", text)


def test_top_shows_the_running_exchange_although_it_has_no_metrics_port(server: Server) -> None:
    shown = said(exchange("top", "--once", "--interval", 0.1, "--db", server.path))
    assert re.search(r"^state +ready$", shown, re.MULTILINE)
    assert re.search(r"^connections +1 +\d+ bytes not received yet$", shown, re.MULTILINE)
    found = said_json(exchange("top", "--once", "--interval", 0.1, "--db", server.path, "--json"))
    assert (found["ready"], found["connections"], found["alarm"]) == (True, 1, False)
    assert [one["method"] for one in found["methods"]] == ["admin/get_metrics"]
    assert found["memory_bytes"] > 1_000_000 and found["p99_ms"] > 0


def test_a_halt(server: Server) -> None:
    instrument_id = _instrument(server, 14)
    order_id = _order(server, "buy", instrument_id, 1, 1, "--user", "halt.a")["order"]["order_id"]
    try:
        text = _admin(server, "halt")
        assert re.match(r"halted: users can only read and cancel until `exchange admin end-halt` \(seq \d+\)\n", text)
        text = _refused(server, "order", "buy", instrument_id, 1, 1, "--user", "halt.a")
        assert text.startswith("error 1009: Market closed or instrument expired: the exchange is halted")
        assert _order(server, "cancel", order_id, "--user", "halt.a")["order"]["status"] == "cancelled"
    finally:
        assert re.fullmatch(r"the halt is over \(seq \d+\)\n", _admin(server, "end-halt"))
    _order(server, "buy", instrument_id, 1, 1, "--user", "halt.a")


def test_suspend_cancel_and_reinstate_a_user(server: Server) -> None:
    instrument_id = _instrument(server, 15)
    order = ("buy", instrument_id, 1, 1, "--user", "bad.a")
    order_id = _order(server, *order)["order"]["order_id"]
    assert _admin_json(server, "suspend", "bad.a")["suspended"] is True
    assert _refused(server, "order", *order).startswith("error 1025: Not permitted: the account is suspended")
    text = said(exchange("account", "show", "bad.a", "--db", server.path))
    assert text.splitlines()[-1] == "bad.a is suspended: it may only read and cancel"
    assert _admin(server, "cancel", "bad.a", CALL) == "bad.a had no open orders\n"
    assert _admin(server, "cancel", "bad.a") == f"cancelled {order_id} of bad.a\n"
    assert re.fullmatch(r"bad\.a may trade again \(seq \d+\)\n", _admin(server, "reinstate", "bad.a"))
    _order(server, *order)
    for name in ("suspend", "reinstate", "cancel", "account"):
        assert "there is no account nobody; known accounts: " in _refused(server, "admin", name, "nobody")


@pytest.mark.slow
def test_limits_of_a_user(server: Server) -> None:
    instrument_id = _instrument(server, 16)
    _order(server, "buy", instrument_id, 1, 1, "--user", "limits.a")
    text = _admin(server, "limits", "limits.a", "--open-orders", 1)
    assert re.fullmatch(r"limits\.a: at most 1 open orders, positions limited by the rules \(seq \d+\)\n", text)
    text = _admin(server, "limits", "limits.a", "--position", "2.5")
    assert text.startswith("limits.a: at most 1 open orders, positions up to 2.5 contracts (")
    assert _refused(server, "order", "buy", instrument_id, 1, 1, "--user", "limits.a").startswith("error 1026: ")
    assert _admin(server, "limits", "limits.a", "--open-orders", "default", "--position", 0).startswith(
        "limits.a: open orders limited by the rules, positions unlimited ("
    )
    result = _admin_json(server, "limits", "limits.a", "--position", 1)
    assert (result["open_orders_max"], result["position_max"]) == (None, 1_000)
    text = _refused(server, "order", "buy", instrument_id, 1, 1, "--user", "limits.a")
    assert text.startswith("error 1029: Position limit exceeded: ")
    text = _admin(server, "account", "limits.a")
    assert re.search(r"limits\.a +9,999\.00 +1\.00 +0\.00 ", text)
    assert text.endswith("at most 10,000 open orders, positions up to 1.0 contracts\n")
    assert "expected --open-orders, --position, or both" in _refused(server, "admin", "limits", "limits.a", exit_code=2)
    assert "is not a number" in _refused(server, "admin", "limits", "limits.a", "--position", "x", exit_code=2)
    assert "has no account 'nobody'" in _refused(server, "admin", "limits", "nobody", "--position", 1)


def test_admin_deposits_and_shows_an_account(server: Server) -> None:
    text = _admin(server, "deposit", "insurance", "500")
    assert re.match(r"insurance has [\d,]+\.00 USDC available, 0\.00 locked", text)
    assert re.match(r"insurance has ", _admin(server, "withdraw", "insurance", "500"))
    assert _admin_json(server, "account", "fees")["user_id"] == "fees"


def test_rules_are_shown_and_changed(server: Server, tmp_path: Path) -> None:
    before = _admin_json(server, "rules")["rules"]
    assert (before["collateral"], before["market"]["index_age_max_s"]) == ("standard", 0)
    text = _admin(server, "rules")
    assert re.search(r"^market\.series\.ETH\.strike_spacing_usdc +100 USDC +100$", text, re.MULTILINE)
    assert "the rules are already like this: nothing was changed" in _admin(server, "rules", "--set", "fees=none")

    text = _admin(server, "rules", "--set", "fees=deribit", "--set", "market.series.ETH.strikes_each_side=1")
    assert [re.split("  +", line) for line in text.splitlines()[2:-1]] == [
        ["market.series.ETH.strikes_each_side", "0", "1"],
        ["market.fees.maker_ppm", "0 %", "0.03 %"],
        ["market.fees.taker_ppm", "0 %", "0.03 %"],
        ["market.fees.delivery_ppm", "0 %", "0.015 %"],
    ]
    assert re.fullmatch(r"in force since seq \d+", text.splitlines()[-1].strip())
    found = said_json(exchange("journal", "info", "--json", "--db", server.path))
    assert found["rules"]["market"]["fees"]["taker_ppm"] == 300, "the rules in force, not those of the beginning"

    text = _refused(server, "admin", "rules", "--set", "market.series.ETH.dailies=15", exit_code=2)
    assert "dailies must be a whole number of at most 14" in text
    assert "SOL has more than one" in _refused(
        server, "admin", "rules", "--series", "SOL:1", "--series", "SOL:2", exit_code=2
    )
    text = _refused(server, "admin", "rules", "--set", "market=null")
    assert text.startswith("error -32602: Invalid params: the rules contradict each other, or remove the market")

    file = tmp_path / "rules.toml"
    file.write_text("[market]\nindex_age_max_s = 0\n")
    text = _admin(server, "rules", file, "--series", "SOL:10:1", "--series", "ETH:100:0")
    assert "market.fees.taker_ppm" in text
    assert _admin_json(server, "rules")["rules"] == before


@pytest.mark.slow
def test_series_settle_and_one_is_delayed(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    at, waiting = ("--db", path), "XRP_USDC-28FEB26-2-C"
    said(exchange("init", *at, *RULES, "--set", "market.fees=deribit", "--clock-start", OPENING))
    assert said(exchange("settlements", *at)).startswith("no series has been settled (at seq 1, ")
    with Server(path, "--clock-start", "2026-02-27T09:01:00Z") as running:
        said(exchange("admin", "set-index", "SOL", 160, *at))
        said(exchange("admin", "create-instrument", waiting, *at))
        for instrument_id, price in ((CALL, "9.00"), (waiting, "0.10")):
            _order(running, "sell", instrument_id, 2, price, "--user", "bob")
            _order(running, "buy", instrument_id, 2, price, "--user", "alice")
        assert "error -32602: " in _refused(running, "admin", "settle", "SOL", "28FEB26", 160)
        exit_code, text = running.stop()
        assert (exit_code, f"  exchange admin set-index SOL PRICE --db {path}\n" in text) == (0, True)
    with Server(path, "--clock-start", "2026-02-28T08:05:00Z") as running:
        text = said(exchange("settlements", *at))
        assert re.search(r"SOL +28FEB26 +160\.00 +settled +2026-02-28T08:05:0\dZ +\d+ *\n", text)
        assert re.search(r"XRP +28FEB26 +- +delayed +2026-02-28T08:05:0\dZ +\d+ *\n", text)
        how = f"exchange admin settle XRP 28FEB26 PRICE --db {path}"
        assert text.splitlines()[-1] == f"XRP 28FEB26 waits for a price: {how}"
        text = said(exchange("settlements", "--user", "alice", *at))
        assert re.search(rf"{CALL} +2\.0 +160\.00 +20\.000 +0\.048 ", text)
        text = said(exchange("admin", "settle", "xrp", "2026-02-28", "2.50", *at))
        assert re.fullmatch(r"XRP 28FEB26 is settled at 2\.50 \(seq \d+\)\n", text)
        assert "settled already" in _refused(running, "admin", "settle", "XRP", "28FEB26", 3)
        (settled,) = said_json(exchange("settlements", "--asset", "XRP", "--json", *at))
        assert (settled["state"], settled["delivery_price"]) == ("settled", 2_500_000)
        paid = said_json(exchange("settlements", "--user", "bob", "-n", 1, "--json", *at))
        assert [(one["instrument_id"], one["payout"]) for one in paid] == [(waiting, -1_000_000)]
        text = said(exchange("account", "show", "bob", *at))
        assert re.search(rf"{waiting} +-2\.0 +2\.50 +-1\.00 +0\.00 ", text)
        assert re.search(rf"{CALL} +-2\.0 +160\.00 +-20\.00 +0\.00 ", text)


@pytest.mark.slow
def test_settlements_of_a_user_or_an_asset(server: Server) -> None:
    assert said_json(exchange("settlements", "--json", "--db", server.path)) == []
    _order(server, "cancel", "--all", "--user", "settled.a")
    text = said(exchange("settlements", "--user", "settled.a", "--db", server.path))
    assert text.startswith("no position of settled.a has been settled (at seq ")
    text = _refused(server, "settlements", "--user", "settled.a", "--asset", "SOL", exit_code=2)
    assert "--asset and --user exclude each other" in text
    assert "has no account 'nobody'" in _refused(server, "settlements", "--user", "nobody")
