"""Commands that need a server, run against a server process: their output, and the effect of a stop."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli_support import (
    CALL,
    CLOCK_START,
    PATIENCE_SECONDS,
    Server,
    Terminal,
    command,
    complained,
    environment,
    exchange,
    said,
    said_json,
)
from tests.test_completion import completed


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of this file. Each test uses its own users, and its own instrument if it trades."""
    path = tmp_path_factory.mktemp("cli") / "exchange.db"
    with Server(path, "--demo", "--clock-start", CLOCK_START) as running:
        yield running


def _instrument(server: Server, strike: int) -> str:
    """Create an instrument, with an empty book."""
    instrument_id = f"XRP_USDC-27MAR26-{strike}-C"
    said(exchange("instrument", "create", instrument_id, "--db", server.path))
    return instrument_id


def _order(server: Server, *arguments: object) -> Any:
    return said_json(exchange("order", *arguments, "--db", server.path, "--json"))


@pytest.mark.slow
def test_serve_prints_its_url_first(server: Server) -> None:
    assert re.fullmatch(r"listening on ws://127\.0\.0\.1:[1-9]\d*/\n", server.first_line)


@pytest.mark.slow
def test_serve_opens_the_screen_in_the_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser of this test writes the address into a pipe."""
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    os.mkfifo(opened)
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", f"{browser} %s &")
    with Server(tmp_path / "exchange.db", "--open") as server:
        address = server.url.replace("ws://", "http://")
        assert opened.read_text() == f"{address}\n"
        assert f"screen on {address}\n" in server.stop()[1]


def test_demo_options_are_listed(server: Server) -> None:
    listed = said_json(exchange("instrument", "list", "--asset", "sol", "--json", "--db", server.path))
    assert CALL in [instrument["instrument_id"] for instrument in listed]
    assert {instrument["asset"] for instrument in listed} == {"SOL"}
    ids = said(exchange("instrument", "list", "--asset", "sol", "--ids", "--db", server.path))
    assert ids.split("\n") == [*(one["instrument_id"] for one in listed), ""]
    text = said(exchange("instrument", "list", "--db", server.path))
    assert re.search(r"BTC_USDC-28FEB26-100000-C +- +- +- +5\.00 +0\.1 +open +2026-02-28T08:00:00Z", text)
    assert re.search(r"at seq \d+, 2026-02-27T09:0\d:\d\dZ", text)


def test_a_shell_completes_the_instruments_of_the_running_exchange(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A shell gives up after a second, which passes quickly while other tests run.
    monkeypatch.setattr("exchange.cli.completion._ANSWER_SECONDS", PATIENCE_SECONDS)
    assert CALL in completed("ticker", "--db", server.path, incomplete="sol_usdc-28")
    assert {"BTC", "ETH", "SOL"} <= set(completed("ticker", "--db", server.path, "--asset", incomplete=""))


def test_create_an_instrument(server: Server) -> None:
    arguments = ("instrument", "create", "xrp_usdc-03apr26-2-c", "--tick-size", "0.05", "--min-size", "0.5")
    text = said(exchange(*arguments, "--db", server.path))
    assert text.startswith("XRP_USDC-3APR26-2-C is listed: tick 0.05 USDC, minimum size 0.5 contracts (seq ")
    text = complained(exchange(*arguments, "--db", server.path))
    assert text == "error -32602: Invalid params: the instrument is listed already\n"
    result = said_json(exchange("instrument", "create", "XRP_USDC-3APR26-3-C", "--json", "--db", server.path))
    listed = result["instrument"]
    assert (listed["tick_size"], listed["min_size"], listed["state"]) == (10_000, 1, "open")


def test_orders_trade(server: Server) -> None:
    instrument_id = _instrument(server, 10)
    trade = ("--db", server.path)
    text = said(exchange("order", "buy", instrument_id, 2, "1.50", "--user", "orders.a", *trade))
    assert re.fullmatch(rf"order \d+ open: buy 2\.000 {instrument_id} @ 1\.50\n", text)
    text = said(exchange("order", "sell", instrument_id, "0.5", "1.40", "--user", "orders.b", *trade))
    first, second = text.splitlines()
    assert re.fullmatch(rf"order \d+ filled: sell 0\.500 {instrument_id} @ 1\.40, filled 0\.500 at 1\.50", first)
    assert re.fullmatch(r"  trade \d+: 0\.500 @ 1\.50, taker, fee 0\.00", second)
    text = said(exchange("order", "sell", instrument_id, 9, "--market", "--user", "orders.b", *trade))
    assert re.match(
        r"order \d+ cancelled \(market_remainder\): sell 9\.000 \S+ at market, filled 1\.500 at 1\.50", text
    )


def test_an_order_as_json(server: Server) -> None:
    result = _order(server, "buy", _instrument(server, 11), "0.001", "0.01", "--user", "json.a", "--tif", "day")
    order = result["order"]
    assert (order["price"], order["size"], order["time_in_force"]) == (10_000, 1, "day")
    assert result["trades"] == []


def test_repeated_client_order_id_places_one_order(server: Server) -> None:
    arguments = ("buy", _instrument(server, 12), 1, 1, "--user", "twice.a", "--client-order-id", "[red]one")
    first = _order(server, *arguments)
    text = said(exchange("order", *arguments, "--db", server.path))
    assert text.startswith(f"order {first['order']['order_id']} open")
    assert "an order with this client order id exists: nothing was changed" in text
    assert "[red]one" in said(exchange("order", "list", "--user", "twice.a", "--db", server.path))
    cancel = ("order", "cancel", "--client-order-id", "[red]one", "--user", "twice.a", "--db", server.path)
    assert "cancelled (user_request)" in said(exchange(*cancel))


def test_orders_by_label(server: Server) -> None:
    one, other = _instrument(server, 30), _instrument(server, 31)
    at = ("--user", "label.a", "--db", server.path)
    ids = [_order(server, "buy", name, 1, 1, *at[:2], "--label", "hedge")["order"]["order_id"] for name in (one, other)]
    _order(server, "buy", one, 1, 1, *at[:2])
    assert [it["order_id"] for it in said_json(exchange("order", "list", "--label", "hedge", "--json", *at))] == ids
    key = "[red]label"
    ids.append(
        _order(server, "buy", one, 1, 2, *at[:2], "--label", "scalp", "--client-order-id", key)["order"]["order_id"]
    )
    shown = said(exchange("order", "show", "--label", "scalp", *at))
    assert shown.startswith(
        f"order {ids[2]} open: buy 1.000 {one} @ 2.00\n  gtc, client order id {key}, label scalp\n  placed "
    )
    text = complained(exchange("order", "edit", "--label", "hedge", "--price", "0.90", *at))
    assert text == (
        "error 1033: Label not unique: several open orders have this label; name one by its ORDER_ID, or add "
        "--instrument if that tells them apart\n"
    )
    text = said(exchange("order", "edit", "--label", "hedge", "--instrument", other, "--price", "0.90", *at))
    assert text == f"order {ids[1]} open: buy 1.000 {other} @ 0.90\n"
    assert said(exchange("order", "cancel", "--all", "--label", "hedge", *at)) == f"cancelled {ids[0]}, {ids[1]}\n"
    text = complained(exchange("order", "cancel", "--label", "hedge", *at))
    assert text == (
        "error 1003: Order not found: the user has no order with this label; `exchange order list` shows the open "
        "orders\n"
    )
    shown = said(exchange("order", "show", "--label", "hedge", "--offline", *at))
    assert shown.startswith(f"order {ids[1]} cancelled (user_request): buy 1.000 {other} @ 0.90\n")
    for wrong in (("cancel", "1", "--label", "x"), ("cancel", "1", "--asset", "SOL"), ("edit", "1"), ("show",)):
        assert complained(exchange("order", *wrong, *at), 2).startswith("Usage:")


def test_trigger_orders(server: Server) -> None:
    name, at = _instrument(server, 32), ("--user", "trigger.a", "--db", server.path)
    stop = (
        "order",
        "buy",
        name,
        1,
        "1.20",
        "--type",
        "stop_limit",
        "--trigger",
        "last_price",
        "--trigger-price",
        "1.10",
    )
    text = said(exchange(*stop, *at))
    assert re.fullmatch(rf"order \d+ untriggered: buy 1\.000 {name} @ 1\.20, stop_limit on last_price at 1\.10\n", text)
    order_id = text.split()[1]
    text = said(exchange("order", "edit", order_id, "--trigger-price", "1.15", *at))
    assert "stop_limit on last_price at 1.15" in text
    text = said(exchange("order", "list", *at))
    assert "waits for" in text and re.search(r"1\.000\s+0\.000\s+last at 1\.15", text)
    text = complained(exchange("order", "edit", order_id, "--trigger-offset", "0.10", *at))
    assert text.startswith("error -32602: Invalid params: the order has no such terms: ")
    assert said(exchange("order", "cancel", order_id, *at)).startswith(
        f"order {order_id} cancelled (user_request): buy"
    )
    wrong = complained(exchange(*stop[:5], "--market", *stop[5:], *at), 2)
    assert "--type says whether the order trades at market: remove --market" in wrong
    text = complained(exchange("order", "sell", name, 1, "--type", "stop_market", "--trigger", "last_price", *at))
    assert text.startswith("error -32602: Invalid params: a stop_market order needs a --trigger-price")


def test_an_order_with_a_take_profit_and_a_stop_loss(server: Server) -> None:
    """The golden screens of linked orders: after each step, what the trader sees."""
    name, at = _instrument(server, 33), ("--db", server.path)
    buy = ("order", "buy", name, 1, "1.20", "--user", "link.a", *at)
    exits = ("--take-profit", "1.50", "--stop-loss", "1.00", "--trigger", "last_price")
    text = said(exchange(*buy, *exits))
    first = int(text.split()[1])
    assert text.splitlines() == [
        f"order {first} open: buy 1.000 {name} @ 1.20",
        f"order {first + 1} untriggered: sell 1.000 {name} @ 1.50 after fills of order {first}",
        f"order {first + 2} untriggered: sell 1.000 {name} at market, stop_market on last_price at 1.00 "
        f"after fills of order {first}",
    ]
    text = said(exchange("order", "list", "--user", "link.a", *at))
    assert re.search(rf"{first + 1} +{name} +sell +1\.50 +1\.000 +0\.000 +fills of {first}", text)
    _order(server, "sell", name, 1, "1.20", "--user", "link.b")
    shown = said(exchange("order", "show", first + 2, "--user", "link.a", *at)).splitlines()
    assert shown[0] == f"order {first + 2} untriggered: sell 1.000 {name} at market, stop_market on last_price at 1.00"
    link = f"one_triggers_one_cancels_other (first_hit) of orders {first} {first + 1} {first + 2}"
    assert shown[1] == f"  ioc, reduce-only, {link}"
    _order(server, "buy", name, 1, "1.50", "--user", "link.b")
    text = said(exchange("explain", first + 2, *at))
    assert re.search(rf"cancelled because order {first + 4}, to which it is linked, was filled \(trade \d+\)\n", text)
    text = said(exchange(*buy, "--take-profit", "1.50", "--fill-condition", "incremental", "--client-order-id", "mine"))
    assert "after fills of order" in text
    again = said(exchange(*buy, "--take-profit", "1.50", "--client-order-id", "mine"))
    assert again.endswith("  an order with this client order id exists: nothing was changed\n")
    assert said(exchange("order", "cancel", "--all", "--user", "link.a", *at)).startswith("cancelled ")
    text = complained(exchange(*buy, "--stop-loss", "0"))
    assert text.startswith("error 1005: Invalid price: a trigger price and an offset must be positive")
    text = complained(exchange(*buy, "--take-profit", "1.5001"))
    assert text.startswith("error 1005: Invalid price: ") and "0.01" in text
    assert "--dry-run shows one order" in complained(exchange(*buy, *exits, "--dry-run"), 2)
    assert "add one" in complained(exchange(*buy, "--fill-condition", "incremental"), 2)


def test_control_characters_of_clients_are_not_printed(server: Server) -> None:
    _order(server, "buy", _instrument(server, 13), 1, 1, "--user", "steer.a", "--client-order-id", "\x1b[2Jx")
    assert "\x1b" not in said(exchange("order", "list", "--user", "steer.a", "--db", server.path))
    assert "\x1b" not in said(exchange("journal", "tail", "-n", 1, "--db", server.path))


def test_list_and_cancel(server: Server) -> None:
    one, other = _instrument(server, 14), _instrument(server, 15)
    ids = [_order(server, "buy", name, 1, 1, "--user", "cancel.a")["order"]["order_id"] for name in (one, one, other)]
    at = ("--user", "cancel.a", "--db", server.path)
    listed = said_json(exchange("order", "list", *at, "--instrument", one, "--json"))
    assert [order["order_id"] for order in listed] == ids[:2]
    text = said(exchange("order", "list", *at))
    assert re.search(rf"{ids[2]} +{other} +buy +1\.00 +1\.000 +0\.000 +gtc", text)
    assert said(exchange("order", "cancel", ids[0], *at)).startswith(f"order {ids[0]} cancelled (user_request)")
    text = complained(exchange("order", "cancel", ids[0], *at))
    assert text == "error 1008: Order already cancelled or filled: the order was cancelled\n"
    assert said(exchange("order", "cancel", "--all", "--instrument", other, *at)) == f"cancelled {ids[2]}\n"
    assert said_json(exchange("order", "cancel", "--all", "--json", *at))["order_ids"] == [ids[1]]
    assert said(exchange("order", "cancel", "--all", *at)) == "there were no open orders\n"
    assert said(exchange("order", "list", *at)).startswith("cancel.a has no open orders (at seq ")


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("buy", "SOL_USDC-28FEB26-1-C", 1, 1), "error 1004: Instrument not found: "),
        (
            ("buy", CALL, 1, "1.501"),
            "error 1005: Invalid price: the price must be a multiple of the tick; the tick is 0.0",
        ),
        (("buy", CALL, "0.001", 1), "error 1006: Invalid size: the smallest order has 0.1 contracts"),
        (("buy", CALL, 10_000, 10), "error 1002: Insufficient balance: "),
        (("buy", CALL, 1, 100), "error 1005: Invalid price: the price is too far from the mark: it must lie between "),
        (("cancel", 999_999), "error 1003: Order not found: "),
        (
            ("buy", CALL, 1, 1, "--post-only", "--tif", "ioc"),
            "error -32602: Invalid params: a --post-only order must be able ",
        ),
    ],
)
def test_refusals_are_printed(server: Server, arguments: tuple[object, ...], answer: str) -> None:
    text = complained(exchange("order", *arguments, "--user", "refused.a", "--db", server.path))
    assert text.startswith(answer)
    assert text.count("\n") == 1


def test_terms_of_orders(server: Server) -> None:
    name, at = _instrument(server, 34), ("--user", "terms.a", "--db", server.path)
    other = ("--user", "terms.b", "--db", server.path)
    said(exchange("order", "sell", name, 1, "1.50", *other))
    text = said(exchange("order", "buy", name, 1, "1.60", "--post-only", *at))
    assert re.fullmatch(rf"order \d+ open: buy 1\.000 {name} @ 1\.49\n", text)
    text = complained(exchange("order", "buy", name, 1, "1.60", "--post-only", "--reject-post-only", *at))
    assert text.startswith("error 1021: ")
    order_id = said(exchange("order", "buy", name, 3, "1.40", "--display", 1, *at)).split()[1]
    assert "showing 1.0 of 1.0" in said(exchange("order", "show", order_id, *at))
    text = complained(exchange("order", "buy", name, 3, "1.40", "--display", 4, *at))
    assert text.startswith("error 1006: Invalid size: the part to show is larger than SIZE")
    text = said(exchange("order", "buy", name, 2, "--market-limit", *at))
    assert re.match(rf"order \d+ partially filled: buy 2\.000 {name} @ 1\.50, filled 1\.000 at 1\.50\n", text)
    text = complained(exchange("order", "edit", order_id, "--size", 2, "--valid-until", "2020-01-01T00:00:00Z", *at))
    assert text == "error -32602: Invalid params: the time until which the order is valid has passed\n"
    text = said(exchange("order", "sell", name, 9, "2.00", "--reduce-only", "--tif", "day", *at))
    assert re.fullmatch(rf"order \d+ open: sell 1\.000 {name} @ 2\.00\n", text)
    text = complained(exchange("order", "buy", name, 1, "--market", "--market-limit", *at), exit_code=2)
    assert "--market and --market-limit are two types of orders" in text


def test_deposit_and_withdraw(server: Server) -> None:
    _order(server, "cancel", "--all", "--user", "pay.a")  # opens the account
    at = ("--db", server.path)
    text = said(exchange("account", "deposit", "pay.a", "2500.50", *at))
    assert text.startswith("pay.a has 12,500.50 USDC available, 0.00 locked (seq ")
    assert said_json(exchange("account", "withdraw", "pay.a", "500.50", "--json", *at))["available"] == 12_000_000_000
    assert complained(exchange("account", "withdraw", "pay.a", 99_999, *at)).startswith("error 1002: ")
    assert "there is no account pay.nobody; " in complained(exchange("account", "deposit", "pay.nobody", 1, *at))
    text = said(exchange("account", "show", "pay.a", *at))
    assert re.search(r"pay\.a +12,000\.00 +0\.00 +0\.00 +12,000\.00 +0\.00 +0\.00 +0\.00\n", text)


def test_a_wrong_admin_secret(server: Server) -> None:
    file = server.path.with_name("exchange.db.admin")
    secret = file.read_text()
    try:
        file.write_text("wrong\n")
        text = complained(exchange("account", "deposit", "pay.a", 1, "--db", server.path))
        assert text.startswith("error 1020: Invalid credentials: ")
        file.unlink()
        text = complained(exchange("account", "deposit", "pay.a", 1, "--db", server.path))
        assert f"the administrator's secret is missing: {file}" in text
    finally:
        file.write_text(secret)


def test_an_account_with_a_position(server: Server) -> None:
    instrument_id = _instrument(server, 16)
    _order(server, "buy", instrument_id, 2, "1.50", "--user", "show.a")
    _order(server, "sell", instrument_id, 1, "1.50", "--user", "show.b")
    shown = said_json(exchange("account", "show", "show.a", "--json", "--db", server.path))
    # The bid for the second contract locks the highest fee that it can cost, 12.5 % of the premium.
    assert shown["available"] == 10_000_000_000 - 3_000_000 - 187_500
    position = {"instrument_id": instrument_id, "quantity": 1_000, "average_price": 1_500_000, "locked": 0}
    assert shown["positions"] == [position | {"mark": None, "unrealised_pnl": 0, "realised_pnl": 0}]
    text = said(exchange("account", "show", "show.b", "--db", server.path))
    assert re.search(rf"{instrument_id} +-1\.000 +1\.50 +- +16\.00 +0\.00 +0\.00\n", text)


def test_the_book_once(server: Server) -> None:
    instrument_id = _instrument(server, 17)
    at = ("--db", server.path)
    text = said(exchange("book", instrument_id, *at))
    assert "empty" in text and "no trades yet" in text
    for side, size, price in (("buy", 1, "1.40"), ("sell", "0.5", "1.60"), ("sell", 2, "1.55"), ("buy", 1, "1.55")):
        _order(server, side, instrument_id, size, price, "--user", f"book.{side}")
    text = said(exchange("book", instrument_id, "--once", "--user", "book.sell", *at))
    assert [line.split() for line in text.splitlines()[3:7]] == [
        # What the user has there, the price, the size, the sum, the bar and the number of orders.
        ["0.500", "1.60", "0.500", "1.500", "████████████", "1"],
        ["1.000", "1.55", "1.000", "1.000", "████████", "1"],
        ["spread", "0.15"],
        ["1.000", "1.40", "1.000", "████████", "1"],
    ]
    assert re.search(r"Z +bought +1\.000 +1\.55", text)
    shown = said_json(exchange("book", instrument_id, "--depth", 1, "--json", *at))
    assert shown["asks"] == [{"price": 1_550_000, "size": 1_000, "count": 1}]
    shown = said_json(exchange("book", instrument_id, "--user", "book.buy", "--json", *at))
    assert [(one["price"], one["remaining"]) for one in shown["own_orders"]] == [(1_400_000, 1_000)]
    assert [trade["price"] for trade in shown["trades"]] == [1_550_000]
    unknown = "SOL_USDC-28FEB26-1-C"
    assert complained(exchange("book", unknown, *at)).startswith(f"Error: {unknown} is not listed in ")


@pytest.mark.slow
def test_the_book_live(server: Server) -> None:
    instrument_id = _instrument(server, 18)
    with Terminal("book", instrument_id, "--db", server.path) as terminal:
        terminal.wait_for("no trades yet")
        _order(server, "sell", instrument_id, "2.5", "1.60", "--user", "live.a")
        terminal.wait_for("1.60")
        _order(server, "buy", instrument_id, "0.3", "1.70", "--user", "live.b")
        terminal.wait_for("2.2")
        terminal.wait_for("bought")
        assert terminal.interrupt() == 0


@pytest.mark.slow
def test_tail_follows(server: Server) -> None:
    with Terminal("journal", "tail", "-n", 1, "--follow", "--db", server.path) as terminal:
        terminal.wait_for("\n")
        instrument_id = _instrument(server, 19)
        terminal.wait_for(instrument_id)
        _order(server, "buy", instrument_id, "0.5", "1.60", "--user", "tail.a", "--client-order-id", "mine")
        terminal.wait_for("bid 0.5 @ 1.60 gtc client_order_id=mine")
        assert terminal.interrupt() == 0


def test_info_names_the_server(server: Server) -> None:
    found = said_json(exchange("journal", "info", "--json", "--db", server.path))
    assert found["holder"] == {"pid": server.process.pid, "url": server.url}
    text = said(exchange("journal", "info", "--db", server.path))
    assert f"process {server.process.pid}, listening on {server.url}" in text


def test_second_server_names_the_first(server: Server) -> None:
    text = complained(exchange("serve", "--port", 0, "--db", server.path))
    assert f"{server.path} is in use by process {server.process.pid}, listening on {server.url}: stop it first" in text


@pytest.mark.slow
def test_a_pipe_that_is_closed_early(server: Server) -> None:
    arguments = command("journal", "tail", "-n", 1_000, "--db", server.path)
    with subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(PATIENCE_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_records_everything(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "new" / "exchange.db"
    path.parent.mkdir()
    with Server(path, "--demo", "--clock-start", CLOCK_START) as running:
        order_id = _order(running, "buy", CALL, 1, "1.50", "--user", "alice")["order"]["order_id"]
        exit_code, text = running.stop(number)
        errors = running.errors
    assert exit_code == 0
    assert f"exchange order buy SOL_USDC-27MAR26-150-C 1 1.50 --user alice --db {path}" in text
    assert "Ctrl-C stops the exchange." in text
    last_seq = said_json(exchange("journal", "info", "--json", "--db", path))["last_seq"]
    assert f"stopped at seq {last_seq}, {path} is closed" in errors
    listed = said_json(exchange("order", "list", "--user", "alice", "--json", "--db", path))
    assert [order["order_id"] for order in listed] == [order_id]
    last = json.loads(said(exchange("journal", "tail", "-n", 1, "--json", "--db", path)))
    assert last["command"]["kind"] == "end_session"
    assert f"{CALL}  seq {last_seq}, " in said(exchange("book", CALL, "--db", path))


@pytest.mark.slow
def test_server_that_cannot_start_exits(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    said(exchange("init", "--db", path))
    secret = path.with_name("exchange.db.admin")
    secret.unlink()
    secret.mkdir()
    arguments = command("serve", "--db", path, "--port", 0)
    result = subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"Error: {secret}: Is a directory\n"


@pytest.mark.slow
def test_exchange_time_does_not_go_back(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    said(exchange("init", "--db", path, "--clock-start", "2026-03-01T00:00:00Z"))
    with Server(path, "--clock-start", CLOCK_START) as running:
        exit_code, text = running.stop()
        assert (exit_code, f"  exchange admin rules --series SOL:10 --db {path}\n" in text) == (0, True)
        assert "exchange time continues from that command, at 2026-03-01T00:00:00Z" in running.errors
