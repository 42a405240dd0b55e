"""People at the screen: a real browser, the real server, and what the page shows compared with what the API says.

Without Chromium, or without the built screen, these tests are skipped.
"""

import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.cli_support import Server
from tests.screen_support import (
    BEGIN,
    WHY_SKIPPED,
    Caller,
    admin_secret,
    administer,
    amount,
    browser,
    http,
    log_in,
    look_at,
    new_market,
    price,
    rows,
    set_index,
    still,
)

CALL, PUT = "SOL_USDC-6MAR26-150-C", "SOL_USDC-6MAR26-150-P"
MOMENTS = 50

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_SKIPPED), reason=WHY_SKIPPED)]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a new browser profile. The test fails if the page had an error."""
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert errors == []


def quote(bob: Caller, instrument_id: str, bid_micros: int, ask_micros: int, size_milli: int = 10_000) -> None:
    bob("private/buy", instrument_id=instrument_id, amount=size_milli, price=bid_micros)
    bob("private/sell", instrument_id=instrument_id, amount=size_milli, price=ask_micros)


def test_a_trader_buys_looks_back_survives_a_crash_and_closes(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    new_market(path)
    with Server(path, *BEGIN) as server:
        set_index(server, 150)
        with Caller(server.url, "bob") as bob:
            quote(bob, CALL, 4_000_000, 5_000_000)
            before_fill = int(bob("public/get_status")["seq"])
        page.goto(http(server))
        log_in(page, "alice")
        _choose(page, CALL)
        # Buy from the chain.
        page.get_by_role("button", name=f"{CALL} ask 5.00").click()
        page.get_by_label("Amount", exact=True).fill("2")
        _submit(page)
        expect(page.get_by_role("log", name="Messages")).to_contain_text(f"You bought 2 {CALL} at 5.00")
        expect(page.locator("table.trades tbody tr")).to_have_count(1)
        page.get_by_role("tab", name="Positions").click()
        expect(page.locator("table.positions tbody tr")).to_contain_text(CALL)
        # Rest an order, change it in place, cancel it.
        page.get_by_role("tab", name="Orders").first.click()
        page.get_by_label("Price", exact=True).fill("4.50")
        _submit(page)
        page.get_by_role("button", name="Edit order").click()
        page.get_by_label("New price").fill("4.60")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("table.orders tbody tr")).to_contain_text("4.60")
        with Caller(server.url, "alice") as alice:
            assert [one["price"] for one in alice("private/get_open_orders")] == [4_600_000]
        page.get_by_role("button", name="Cancel order").click()
        expect(page.get_by_text("No open orders.")).to_be_visible()
        # By keyboard: arrows move in the chain, letters choose the side, and a question mark tells the keys.
        page.locator("h2").first.click()
        page.keyboard.press("ArrowRight")
        expect(page.locator(".form-instrument")).to_have_text(PUT)
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".form-instrument")).to_have_text(CALL)
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)
        page.keyboard.press("/")
        page.keyboard.type(PUT)
        expect(page.locator(".form-instrument")).to_have_text(PUT)
        _choose(page, CALL)
        # The life of an order, and what became of the others.
        page.get_by_role("tab", name="Fills").click()
        page.get_by_role("button", name="Explain order").click()
        expect(page.get_by_role("dialog")).to_contain_text("filled as taker: 2 at 5.00, 0 remain")
        page.get_by_role("button", name="Close", exact=True).click()
        page.get_by_role("tab", name="Order history").click()
        expect(page.locator("table.order-history tbody tr")).to_have_count(2)
        expect(page.locator("[data-field=last-candle]")).to_contain_text("close 5.00, volume 2")
        # A refusal tells why.
        page.get_by_label("Price", exact=True).fill("4.005")
        _submit(page)
        expect(page.get_by_role("log", name="Messages")).to_contain_text("tick")
        # The past: the position is gone, the book is that of then.
        page.get_by_role("slider", name="Moment").fill(str(before_fill))
        expect(page.locator("[data-seq]")).to_have_attribute("data-seq", str(before_fill))
        page.get_by_role("button", name="Back one command").click()
        expect(page.locator("[data-seq]")).to_have_attribute("data-seq", str(before_fill - 1))
        page.get_by_role("button", name="Forward one command").click()
        expect(page.locator("[data-seq]")).to_have_attribute("data-seq", str(before_fill))
        still(page)
        with Caller(server.url, "alice") as alice:
            _assert_book(page, alice, CALL, at_seq=before_fill)
        page.get_by_role("tab", name="Positions").click()
        expect(page.get_by_text("No positions.")).to_be_visible()
        assert page.locator("button.send").is_disabled()
        page.get_by_role("button", name="Back to now").click()
        expect(page.locator("table.positions tbody tr")).to_contain_text(CALL)
        # The exchange dies. The page says so, and goes on with the one that comes after it.
        server.process.send_signal(signal.SIGKILL)
        expect(page.get_by_text("connection lost")).to_be_visible()
    with Server(path, *BEGIN, "--port", server.url.rstrip("/").rpartition(":")[2]) as again:
        with Caller(again.url, "bob") as bob, Caller(again.url, "carol") as carol:
            carol("private/buy", instrument_id=CALL, amount=1_000, price=5_000_000)
            expect(page.get_by_text("connection lost")).to_have_count(0)
            expect(page.locator("table.trades tbody tr")).to_have_count(2)
            carol("private/buy", instrument_id=CALL, amount=1_000, price=5_000_000)
            expect(page.locator("table.trades tbody tr")).to_have_count(3)
            assert (
                bob("public/get_order_book", instrument_id=CALL)["asks"]
                == [{"price": 5_000_000, "size": 6_000, "orders": 1}]
                or bob("public/get_order_book", instrument_id=CALL)["asks"][0]["size"] == 6_000
            )
            expect(page.locator("table.book tr.ask td:nth-child(2)")).to_have_text(["6"])
            _assert_book(page, carol, CALL)
        page.get_by_role("button", name=f"Close the position in {CALL}").click()
        expect(page.get_by_text("No positions.")).to_be_visible()
        with Caller(again.url, "alice") as alice:
            assert alice("private/get_positions")["positions"] == []


def test_a_stop_order_triggers_and_a_liquidation_is_told(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    new_market(path, "--starting-cash", 1_000)
    with Server(path, *BEGIN) as server:
        set_index(server, 150)
        with Caller(server.url, "bob") as bob:
            administer(server, "admin/deposit", user_id="bob", amount=1_000_000_000_000)
            for strike in ("150-C", "150-P"):
                quote(bob, f"SOL_USDC-6MAR26-{strike}", 2_000_000, 6_000_000, 40_000)
            page.goto(http(server))
            log_in(page, "alice")
            _choose(page, PUT)
            page.get_by_role("combobox", name="Type").select_option("stop_market")
            page.get_by_label("Trigger price", exact=True).fill("160")
            page.get_by_role("combobox", name="Trigger on").select_option("index_price")
            page.get_by_label("Amount", exact=True).fill("1")
            _submit(page)
            expect(page.locator("table.orders tbody tr")).to_contain_text("160")
            set_index(server, 161)
            expect(page.get_by_role("log", name="Messages")).to_contain_text(f"You bought 1 {PUT}")
            # A short call beyond the means of the account.
            bob("private/cancel_all")
            quote(bob, CALL, 14_000_000, 16_000_000, 40_000)
            _choose(page, CALL)
            page.get_by_role("combobox", name="Type").select_option("market")
            page.get_by_role("button", name="Sell", exact=True).click()
            page.get_by_label("Amount", exact=True).fill("20")
            _submit(page)
            expect(page.get_by_role("log", name="Messages")).to_contain_text(f"You sold 20 {CALL}")
            bob("private/cancel_all")
            set_index(server, 200)
            quote(bob, CALL, 50_000_000, 50_500_000, 40_000)
            set_index(server, 200.1)
            expect(page.get_by_role("log", name="Messages")).to_contain_text("Liquidation")


def test_a_film_of_the_past_runs_to_its_end(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    new_market(path)
    with Server(path, *BEGIN) as server:
        set_index(server, 150)
        with Caller(server.url, "bob") as bob:
            quote(bob, CALL, 4_000_000, 5_000_000)
            bob("private/cancel_all")
            last = bob("public/get_head")["seq"]
        page.goto(f"{http(server)}#i={CALL}&seq={last - 2}")
        expect(page.locator("table.book tr.bid")).to_have_count(1)
        page.get_by_label("Speed").select_option("100")
        page.get_by_role("button", name="Play", exact=True).click()
        expect(page.locator("[data-seq]")).to_have_attribute("data-seq", str(last))
        expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
        expect(page.locator("table.book tr.bid")).to_have_count(0)


def test_fifty_moments_on_the_screen_are_those_of_the_api(page: Page, tmp_path: Path) -> None:
    random = Random(18)
    path = tmp_path / "exchange.db"
    new_market(path)
    with Server(path, *BEGIN) as server:
        set_index(server, 150)
        with Caller(server.url, "alice") as alice, Caller(server.url, "bob") as bob:
            for step in range(400):
                trader, side = random.choice((alice, bob)), random.choice(("private/buy", "private/sell"))
                micros = random.randrange(300, 700) * 10_000
                size = random.randrange(1, 50) * 100
                trader(side, instrument_id=random.choice((CALL, PUT)), amount=size, price=micros)
                if step % 40 == 0:
                    trader("private/cancel_all")
                    set_index(server, 140 + random.randrange(2_000) / 100)
            last = alice("public/get_status")["seq"]
            page.goto(http(server))
            log_in(page, "alice")
            for _ in range(MOMENTS):
                seq, instrument_id = random.randrange(20, last + 1), random.choice((CALL, PUT))
                look_at(page, seq)
                _choose(page, instrument_id)
                still(page)
                _assert_moment(page, alice, instrument_id, seq)


def test_an_administrator_operates_and_a_developer_tries_the_api(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    new_market(path)
    with Server(path, *BEGIN) as server:
        set_index(server, 150)
        page.goto(http(server) + "/operate")
        expect(page.get_by_text("This page is for the administrator.")).to_be_visible()
        log_in(page, "admin", admin_secret(server))
        page.get_by_label("New index of SOL, in USDC").fill("151.2")
        page.get_by_role("button", name="Set", exact=True).click()
        page.get_by_role("button", name="Set the index of SOL to 151.20").click()
        expect(page.locator("[data-index=SOL]")).to_have_text("151.20")
        rules = page.get_by_label("Rules, as JSON")
        rules.fill(rules.input_value().replace('"open_orders_max": 10000', '"open_orders_max": 7'))
        page.get_by_role("button", name="Check and change").click()
        expect(page.get_by_role("dialog")).to_contain_text("Change 1 rules? It liquidates nobody.")
        page.get_by_role("button", name="Change 1 rules").click()
        page.get_by_role("button", name="Halt the exchange").click()
        page.get_by_role("dialog").get_by_role("button", name="Halt the exchange").click()
        expect(page.get_by_text("halted: only cancelling is possible")).to_be_visible()
        # The console: a question, and a change that is confirmed first.
        page.get_by_role("link", name="API", exact=True).click()
        page.get_by_label("Search a method").fill("get_rules")
        page.get_by_role("button", name="public/get_rules", exact=True).click()
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.get_by_label("Answer")).to_contain_text('"open_orders_max": 7')
        page.get_by_label("Search a method").fill("end_halt")
        page.get_by_role("button", name="admin/end_halt", exact=True).click()
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_role("button", name="Send it").click()
        expect(page.get_by_text("halted: only cancelling is possible")).to_have_count(0)
        with Caller(server.url, "alice") as alice:
            assert alice("public/get_index_price", asset="SOL")["price"] == 151_200_000


def test_the_account_page_shows_the_account(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    new_market(path)
    with Server(path, *BEGIN) as server:
        set_index(server, 150)
        with Caller(server.url, "bob") as bob, Caller(server.url, "alice") as alice:
            quote(bob, CALL, 4_000_000, 5_000_000)
            alice("private/sell", instrument_id=CALL, amount=2_000, type="market")
            page.goto(http(server) + "/account")
            log_in(page, "alice")
            account = alice("private/get_account")
            for field in ("equity", "available", "locked", "maintenance"):
                expect(page.locator(f"[data-field={field}]")).to_have_text(f"{price(account[field])} USDC")
            log = alice("private/get_transaction_log")["transactions"]
            expect(page.locator("table.transactions tbody tr")).to_have_count(len(log))
            assert [row[6] for row in rows(page, "table.transactions")] == [price(one["balance"]) for one in log]
            with page.expect_download() as download:
                page.get_by_role("button", name="Download transactions.csv").click()
            lines = download.value.path().read_text().splitlines()
            assert lines[0] == "time,seq,type,instrument,change,fee,balance"
            assert [int(line.split(",")[6]) for line in lines[1:]] == [one["balance"] for one in log]


def test_the_results_page_shows_the_profit_and_what_it_would_have_been(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    new_market(path)
    with Server(path, *BEGIN) as server:
        set_index(server, 150)
        with Caller(server.url, "bob") as bob, Caller(server.url, "alice") as alice:
            quote(bob, CALL, 4_000_000, 5_000_000)
            order = alice("private/buy", instrument_id=CALL, amount=2_000, type="market")["order"]
            set_index(server, 152)
            page.goto(http(server) + "/results")
            log_in(page, "alice")
            point = alice("private/get_profit_history", points=300)["points"][-1]
            for field in ("profit", "trading", "fees"):
                expect(page.locator(f"[data-field={field}]")).to_contain_text(price(point[field]))
            page.get_by_label("Without these orders").fill(str(order["order_id"]))
            page.get_by_role("button", name="What if?").click()
            expect(page.locator("table.what-if")).to_be_visible()
            found = alice("private/what_if", without_orders=[order["order_id"]])
            assert found["fills"] == {"real": 1, "edited": 0}
            shown = {row[0]: row[1:] for row in rows(page, "table.what-if")}
            assert shown["fills"] == ["1", "0"]
            assert shown["cash"] == [f"+{price(found['cash'][name])}" for name in ("real", "edited")]
            with page.expect_download() as download:
                page.get_by_role("button", name="Download profit.png").click()
            assert download.value.path().read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(chromium: Browser, tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "exchange.db"
    axe = Path(__file__).parent.parent / "exchange" / "web" / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.exists():
        pytest.skip("axe-core is not installed: make web")
    new_market(path)
    with Server(path, *BEGIN) as server, chromium.new_context(color_scheme=scheme) as context:  # type: ignore[arg-type]
        set_index(server, 150)
        with Caller(server.url, "bob") as bob, Caller(server.url, "alice") as alice:
            quote(bob, CALL, 4_000_000, 5_000_000)
            alice("private/buy", instrument_id=CALL, amount=1_000, price=5_000_000)
            alice("private/buy", instrument_id=CALL, amount=1_000, price=4_000_000)
        page = context.new_page()
        page.goto(http(server))
        log_in(page, "alice")
        for name in page.get_by_role("navigation", name="Pages").get_by_role("link").all_inner_texts():
            page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
            still(page)
            page.evaluate(axe.read_text())
            found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
            serious = [
                (one["id"], one["nodes"][0]["html"])
                for one in found["violations"]
                if one["impact"] in ("serious", "critical")
            ]
            assert serious == [], f"{name}: {serious}"


def _choose(page: Page, instrument_id: str) -> None:
    fields = [field for field in page.evaluate("location.hash").lstrip("#").split("&") if not field.startswith("i=")]
    page.evaluate("hash => { location.hash = hash }", "&".join([f"i={instrument_id}", *filter(None, fields)]))
    expect(page.locator(".form-instrument")).to_have_text(instrument_id)
    still(page)


def _submit(page: Page) -> None:
    page.locator("button.send").click()


def _assert_book(page: Page, alice: Caller, instrument_id: str, **at: int) -> None:
    book = alice("public/get_order_book", instrument_id=instrument_id, depth=100, **at)
    asks, bids = ([[price(it["price"]), amount(it["size"])] for it in book[side][:12]] for side in ("asks", "bids"))
    shown = [row[:2] for row in rows(page, "table.book") if len(row) > 1]
    assert shown == [*reversed(asks), *bids], f"{instrument_id} {at}"


def _assert_moment(page: Page, alice: Caller, instrument_id: str, seq: int) -> None:
    at = {"at_seq": seq}
    where = f"seq {seq} of {instrument_id}"
    _assert_book(page, alice, instrument_id, **at)
    ticker = alice("public/get_ticker", instrument_id=instrument_id, **at)
    kind = "call" if instrument_id.endswith("C") else "put"
    cells = {
        name: page.locator(f"table.chain tr.is-{kind} td.{kind}.{name}").inner_text().strip()
        for name in ("bid", "ask", "mark", "OI")
    }
    assert cells == {
        "bid": price(ticker["best_bid"]),
        "ask": price(ticker["best_ask"]),
        "mark": price(ticker["mark"]),
        "OI": amount(ticker["open_interest"]),
    }, where
    orders = alice("private/get_open_orders", **at)
    page.get_by_role("tab", name="Orders").first.click()
    assert [(row[0], row[4], row[5]) for row in rows(page, "table.orders")] == [
        (str(it["order_id"]), price(it["price"]), amount(it["remaining"])) for it in orders
    ], where
    positions = alice("private/get_positions", **at)["positions"]
    page.get_by_role("tab", name="Positions").click()
    assert [(row[0], row[1]) for row in rows(page, "table.positions")] == [
        (it["instrument_id"], amount(it["quantity"])) for it in positions if it["quantity"]
    ], where
    trades = alice("public/get_trades", instrument_id=instrument_id, count=50, **at)
    assert [row[1:3] for row in rows(page, "table.trades")] == [
        [price(it["price"]), amount(it["size"])] for it in trades
    ], where
