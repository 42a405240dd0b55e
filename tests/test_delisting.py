"""A series that was settled long ago is forgotten, and its past stays where the past is."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.client import ExchangeError, connect
from exchange.engine.recovery import recover
from exchange.testing import Venue
from tests.cli_support import CLOCK_START, Server, exchange, said

pytestmark = pytest.mark.slow

CALL = "SOL_USDC-6MAR26-150-C"
DAY_S = 86_400


@pytest.fixture(scope="module")
def venue() -> Iterator[Venue]:
    """alice and bob have traded a call, which settled and was delisted."""
    with Venue() as venue:
        venue.quote(CALL, ask="5.30")
        venue.call("private/buy", "alice", instrument_id=CALL, amount=1_000, type="market", client_order_id="first")
        venue.settle(CALL, 160)
        venue.advance(29 * DAY_S)
        assert venue.call("public/get_ticker", instrument_id=CALL)["state"] == "expired"
        venue.advance(DAY_S)
        yield venue


def refusal(venue: Venue, method: str, user_id: str | None = None, **params: object) -> int:
    with pytest.raises(ExchangeError) as raised:
        venue.call(method, user_id, **params)
    return raised.value.code


def test_an_order_on_it_and_a_question_about_its_present_get_1009(venue: Venue) -> None:
    order = {"instrument_id": CALL, "amount": 1_000, "price": 1_000_000}
    assert refusal(venue, "private/buy", "bob", **order) == 1009
    assert (
        refusal(venue, "private/buy", "bob", **order, type="stop_limit", trigger="index_price", trigger_price=1) == 1009
    )
    for method in ("public/get_ticker", "public/get_order_book", "public/get_trades"):
        assert refusal(venue, method, instrument_id=CALL) == 1009
    assert refusal(venue, "public/get_ticker", instrument_id="SOL_USDC-6MAR98-150-C") == 1004
    assert refusal(venue, "public/get_ticker", instrument_id="DOGE_USDC-6MAR26-150-C") == 1004
    assert venue.call("private/cancel_all", "alice", instrument_id=CALL)["cancelled"] == 0
    assert CALL not in [one.instrument_id for one in venue.instruments()]


def test_its_trades_orders_and_settlements_are_still_told(venue: Venue) -> None:
    assert [one["price"] for one in venue.call("private/get_user_trades", "alice", instrument_id=CALL)] == [5_300_000]
    assert [one["price"] for one in venue.call("public/get_trades", instrument_id=CALL, start_us=0)] == [5_300_000]
    (order,) = venue.call("private/get_order_history", "alice", instrument_id=CALL)
    assert order["client_order_id"] == "first"
    assert venue.call("private/get_settlements", "alice")[0]["payout"] == 10_000_000
    traded_us = order["updated_us"]
    assert venue.call("public/get_ticker", instrument_id=CALL, at_ts_us=traded_us)["last"] == 5_300_000


def test_a_repeated_order_is_recognised(venue: Venue) -> None:
    again = {"instrument_id": CALL, "amount": 1_000, "type": "market", "client_order_id": "first"}
    assert venue.call("private/buy", "alice", **again)["duplicate"] is True


def test_a_restart_finds_the_same(venue: Venue) -> None:
    digest = venue._ask(lambda exchange: exchange.engine.digest())
    engine = recover(venue.path, lambda _sentence: None, lambda _done, _total: None).engine
    assert engine.digest() == digest and CALL not in engine.views.instruments
    engine.state.check()


def test_subscribers_of_it_are_told_nothing_more() -> None:
    with Venue() as venue:

        async def watch() -> None:
            async with venue.client("alice") as client:
                ticker = await client.subscribe(f"tickers.{CALL}")
                book = await client.subscribe(f"book.{CALL}.10")
                await anext(ticker)
                await anext(book)
                venue.settle(CALL, 160)
                venue.advance(31 * DAY_S)
                venue.set_index("SOL", 170)
                assert (await client.get_ticker(venue.instruments("SOL")[0].instrument_id)).index_micros == 170_000_000
                with pytest.raises(ExchangeError, match=r"1023|1009"):
                    await client.subscribe(f"quote.{CALL}")

        asyncio.run(watch())


def test_a_start_after_months_settles_and_delists_in_one_command(tmp_path: Path) -> None:
    path, begin = tmp_path / "exchange.db", ("--clock-start", CLOCK_START)
    said(exchange("init", "--db", path, "--series", "SOL:10", *begin))
    with Server(path, *begin) as server:
        said(exchange("admin", "set-index", "SOL", 150, "--db", path))
        asyncio.run(trade_once(server.url, CALL))
        server.process.kill()
    with Server(path, "--clock-start", "2026-07-01T09:00:00Z") as server:
        assert asyncio.run(position_of("alice", server.url)) == []
        assert server.stop()[0] == 0
    said(exchange("journal", "verify", "--db", path))


async def trade_once(url: str, instrument_id: str) -> None:
    async with connect(url, "alice") as alice, connect(url, "bob") as bob:
        await bob.sell(instrument_id, 1_000, 1_000_000)
        assert (await alice.buy(instrument_id, 1_000, 1_000_000)).trades


async def position_of(user_id: str, url: str) -> list[object]:
    async with connect(url, user_id) as client:
        return list((await client.get_positions()).positions)
