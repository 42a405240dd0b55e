"""`exchange watch` against a real server: what it shows is what the API says, and keys trade."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from exchange.cli.watch_app import OrderForm, WatchApp
from exchange.client import connect
from tests.cli_support import CLOCK_START, PATIENCE_SECONDS, Server, complained, exchange, said

pytestmark = pytest.mark.slow

BEGIN = ("--clock-start", CLOCK_START)
CALL, PUT = "SOL_USDC-28FEB26-150-C", "SOL_USDC-28FEB26-150-P"


def market(path: Path) -> None:
    said(exchange("init", "--db", path, "--series", "SOL:10:4", *BEGIN))


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Let the app run until a condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await pilot.pause(0.02)


async def trade(url: str, instrument_id: str) -> None:
    """Let bob quote an option."""
    async with connect(url, "bob") as bob:
        await bob.buy(instrument_id, 5_000, 1_000_000)
        await bob.sell(instrument_id, 5_000, 2_000_000)


def watch(server: Server, story: Callable[[WatchApp, Pilot[None]], Awaitable[None]], width: int = 80) -> None:
    """Run the app of alice with a story that presses its keys."""

    async def run() -> None:
        app = WatchApp(server.url, None, {"user_id": "alice"}, "alice")
        async with app.run_test(size=(width, 24)) as pilot:
            await until(pilot, lambda: app.account is not None and app.ladder.seq)
            await story(app, pilot)
        assert app.failure == ""

    asyncio.run(run())


def book_text(app: WatchApp) -> str:
    return str(app.screen_stack[0].query_one("#book", Static).visual)


def test_a_trader_buys_edits_cancels_and_closes_by_keys(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    market(path)

    async def story(app: WatchApp, pilot: Pilot[None]) -> None:
        await trade(server.url, CALL)
        await pilot.press("slash")
        await until(pilot, lambda: app.screen.query("#name"))
        app.screen.query_one("#name", Input).value = CALL
        await pilot.press("enter")
        await until(pilot, lambda: app.ladder.instrument_id == CALL and app.ladder.asks)
        # The first Enter shows what the order would do, the second sends it.
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, OrderForm))
        await pilot.press("enter")
        await until(pilot, lambda: "fills 1.0" in str(app.screen.query_one("#outcome", Static).visual))
        await pilot.press("enter")
        await until(pilot, lambda: app.positions.get(CALL))
        assert app.positions[CALL].quantity_milli == 1_000
        # An order that rests, changed and cancelled.
        await pilot.press("b")
        await until(pilot, lambda: isinstance(app.screen, OrderForm))
        app.screen.query_one("#price", Input).value = "1.5"
        await pilot.press("enter", "enter")
        await pilot.press("enter")
        await until(pilot, lambda: app.orders)
        (order,) = app.orders.values()
        assert order.price_micros == 1_500_000
        await until(pilot, lambda: "1.50" in book_text(app))
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, OrderForm))
        app.screen.query_one("#price", Input).value = "1.6"
        await pilot.press("enter")
        await until(pilot, lambda: [one.price_micros for one in app.orders.values()] == [1_600_000])
        await pilot.press("c")
        await until(pilot, lambda: not app.orders)
        await pilot.press("x")
        await until(pilot, lambda: not app.positions)

    with Server(path, *BEGIN) as server:
        said(exchange("admin", "set-index", "SOL", 150, "--db", path))
        watch(server, story)


def test_it_goes_on_after_a_crash_with_nothing_missing(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    market(path)
    with Server(path, *BEGIN) as server:
        said(exchange("admin", "set-index", "SOL", 150, "--db", path))

        async def story(app: WatchApp, pilot: Pilot[None]) -> None:
            app.action_search()
            await until(pilot, lambda: app.screen.query("#name"))
            app.screen.query_one("#name", Input).value = CALL
            await pilot.press("enter")
            await until(pilot, lambda: app.ladder.instrument_id == CALL and app.ladder.seq)
            server.process.kill()
            await until(pilot, lambda: "connection lost" in str(app.screen_stack[0].query_one("#top", Static).visual))
            port = server.url.rstrip("/").rpartition(":")[2]
            again = await asyncio.to_thread(Server(path, *BEGIN, "--port", port).__enter__)
            try:
                await trade(again.url, CALL)
                await until(pilot, lambda: app.ladder.bids and app.ladder.asks)
                assert [one.price_micros for one in app.ladder.asks] == [2_000_000]
                await until(pilot, lambda: "live" in str(app.screen_stack[0].query_one("#top", Static).visual))
            finally:
                again.__exit__(None, None, None)

        watch(server, story)


@pytest.mark.parametrize("width", [80, 120])
def test_the_chain_shows_the_tickers_and_nothing_is_cut(tmp_path: Path, width: int) -> None:
    path = tmp_path / "exchange.db"
    market(path)

    async def story(app: WatchApp, pilot: Pilot[None]) -> None:
        await trade(server.url, CALL)
        await until(pilot, lambda: app.tickers.get(CALL) and app.tickers[CALL].best_bid_micros)
        await pilot.pause()
        table = app.screen_stack[0].query_one("#chain", DataTable)
        names = [str(column.label) for column in table.columns.values()]
        assert ("OI" in names) is (width >= 100)
        row = [str(cell) for cell in table.get_row(str(150_000_000))]
        ticker = app.tickers[CALL]
        assert ticker.mark_micros is not None and ticker.greeks is not None
        calls = dict(zip(names, row, strict=True))
        middle = names.index("strike")
        calls = dict(zip(names[:middle], row[:middle], strict=True))
        assert (calls["bid"], calls["ask"]) == ("1.00", "2.00")
        assert calls["mark"] == f"{ticker.mark_micros / 1e6:.2f}"
        assert calls["delta"] == f"{ticker.greeks.delta:.2f}"
        assert sum(column.get_render_width(table) for column in table.columns.values()) <= width

    with Server(path, *BEGIN) as server:
        said(exchange("admin", "set-index", "SOL", 150, "--db", path))
        watch(server, story, width)


def test_it_needs_a_terminal(tmp_path: Path) -> None:
    text = complained(exchange("watch", "--user", "alice", "--db", tmp_path / "exchange.db"), 2)
    assert "needs a terminal" in text
