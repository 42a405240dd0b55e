"""Tickers: told at once, then whenever they have changed, once a batch; and previews asked for between commands."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from math import erf, sqrt
from typing import Any

import pytest

from exchange.catch_up import streams
from exchange.catch_up.streams import RecentUpdates, update_of
from exchange.domain.commands import SetIndexPrice, encode_command
from exchange.domain.rules import Market, Rules, Series
from exchange.engine.engine import Engine
from exchange.journal.records import chain
from exchange.projections.rolling_statistics import NO_TRADES
from exchange.projections.views import Views
from tests.fake_exchange import START_US, Connection, FakeExchange
from tests.market_commands import market_steps

CALL = "SOL_USDC-20FEB26-150-C"
PUT = "SOL_USDC-20FEB26-150-P"
OTHER = "BTC_USDC-28FEB26-150-C"
MARKET = Market(series=(Series("SOL", 10, 0, dailies=1, weeklies=0, monthlies=0),), index_age_max_s=0)
MINUTE_US = 60_000_000

Conversation = Callable[[FakeExchange, Connection], Coroutine[Any, Any, None]]


@pytest.fixture
def hold() -> Callable[[Conversation], None]:
    """Hold a conversation with alice's connection, in a market at 150."""

    def hold_it(conversation: Conversation) -> None:
        async def whole() -> None:
            exchange = FakeExchange(Rules(market=MARKET))
            await exchange.start(OTHER)
            await exchange.execute(SetIndexPrice("SOL", 150_000_000))
            await conversation(exchange, await enter(exchange, "alice"))
            exchange.engine.state.check()
            await exchange.stop()

        asyncio.run(whole())

    return hold_it


Hold = Callable[[Conversation], None]


async def enter(exchange: FakeExchange, user_id: str) -> Connection:
    connection = exchange.connect()
    await ask(exchange, connection, "public/auth", grant_type="client_credentials", client_id=user_id)
    return connection


def send(connection: Connection, method: str, **params: Any) -> None:
    connection.send(json.dumps({"jsonrpc": "2.0", "id": method, "method": method, "params": params}))


async def ask(exchange: FakeExchange, connection: Connection, method: str, **params: Any) -> list[Any]:
    """Send it, and everything that arrives: the result or error, and each ticker by its instrument and seq."""
    send(connection, method, **params)
    return await heard(exchange, connection)


async def heard(exchange: FakeExchange, connection: Connection) -> list[Any]:
    await exchange.settle()
    return [brief(json.loads(text)) for text in connection.take()]


def brief(message: dict[str, Any]) -> Any:
    if "id" in message:
        return message.get("result", message.get("error"))
    data = message["params"]["data"]
    return data["instrument_id"], data["seq"]


async def watch(exchange: FakeExchange, connection: Connection, *instrument_ids: str) -> list[Any]:
    channels = [f"tickers.{instrument_id}" for instrument_id in instrument_ids]
    return (await ask(exchange, connection, "public/subscribe", channels=channels))[1:]


def buy(connection: Connection, instrument_id: str = CALL, price: int = 1_000_000, **more: Any) -> None:
    send(connection, "private/buy", instrument_id=instrument_id, amount=1_000, price=price, **more)


def test_a_batch_sends_only_its_last_ticker(hold: Hold) -> None:
    async def conversation(exchange: FakeExchange, alice: Connection) -> None:
        seq = exchange.views.seq
        assert await watch(exchange, alice, CALL, PUT) == [(CALL, seq), (PUT, seq)]
        bob = await enter(exchange, "bob")
        for price in (1_000_000, 1_010_000, 1_020_000):
            buy(bob, CALL, price)
        seq = exchange.views.seq
        assert await heard(exchange, alice) == [(CALL, seq + 3)]
        assert await watch(exchange, alice, CALL) == [(CALL, seq + 3)], "it begins again"
        assert await ask(exchange, bob, "private/cancel_all") and await heard(exchange, alice) == [(CALL, seq + 4)]

    hold(conversation)


def test_an_unchanged_ticker_is_not_sent(hold: Hold) -> None:
    async def conversation(exchange: FakeExchange, alice: Connection) -> None:
        await watch(exchange, alice, CALL)
        bob = await enter(exchange, "bob")
        buy(bob, PUT)
        buy(bob, CALL)
        send(bob, "private/cancel_all")
        assert await heard(exchange, alice) == [], "as it was at the end of the batch"
        exchange.clock.ts_us += 2 * MINUTE_US
        await exchange.execute(SetIndexPrice("SOL", 150_000_000))
        assert await heard(exchange, alice) == [(CALL, exchange.views.seq)], "time changes the Greeks"
        await exchange.execute(SetIndexPrice("SOL", 151_000_000))
        assert await heard(exchange, alice) == [(CALL, exchange.views.seq)]
        send(alice, "public/unsubscribe", channels=[f"tickers.{CALL}"])
        buy(bob)
        assert await heard(exchange, alice) == [[f"tickers.{CALL}"]]
        assert not exchange.subscriptions._tickers.is_used

    hold(conversation)


def test_a_new_minute_changes_tickers(hold: Hold) -> None:
    """The volume of a day ago goes with the first command after it, whatever that is about."""

    async def conversation(exchange: FakeExchange, alice: Connection) -> None:
        bob = await enter(exchange, "bob")
        buy(bob, OTHER)
        await ask(exchange, alice, "private/sell", instrument_id=OTHER, amount=400, price=1_000_000)
        await ask(exchange, alice, "private/cancel_all")
        assert (await ask(exchange, alice, "public/get_ticker", instrument_id=OTHER))[0]["volume_24h"] == 400
        await watch(exchange, alice, OTHER)
        exchange.clock.ts_us = START_US + 1_440 * MINUTE_US - 1_000
        await ask(exchange, bob, "private/cancel_all", instrument_id=PUT)
        assert await heard(exchange, alice) == []
        exchange.clock.ts_us += MINUTE_US
        await ask(exchange, bob, "private/cancel_all", instrument_id=PUT)
        assert await heard(exchange, alice) == [(OTHER, exchange.views.seq)]
        assert (await ask(exchange, alice, "public/get_ticker", instrument_id=OTHER))[0]["volume_24h"] == 0

    hold(conversation)


def test_an_expiry_and_a_settlement_are_sent(hold: Hold) -> None:
    async def conversation(exchange: FakeExchange, alice: Connection) -> None:
        await watch(exchange, alice, CALL, OTHER)
        exchange.clock.ts_us = START_US + 480 * MINUTE_US
        assert await heard(exchange, alice) == [(CALL, exchange.views.seq)]

    hold(conversation)


def test_the_volatility_of_a_quote_gives_back_its_price(hold: Hold) -> None:
    async def conversation(exchange: FakeExchange, alice: Connection) -> None:
        instrument = exchange.views.instruments[CALL]
        empty = exchange.views.ticker(CALL)
        assert (empty.bid_iv, empty.ask_iv, empty.stats) == (None, None, NO_TRADES)
        buy(alice, CALL, 2_000_000)
        send(alice, "private/sell", instrument_id=CALL, amount=1_000, price=2_500_000)
        await heard(exchange, alice)
        ticker = exchange.views.ticker(CALL)
        years = (instrument.expiration_s * 1_000_000 - ticker.ts_us) // MINUTE_US / (365 * 1_440)
        for price, volatility in ((2.0, ticker.bid_iv), (2.5, ticker.ask_iv)):
            assert volatility is not None
            deviations = volatility * sqrt(years)
            # At the money, the value of a call is spot * (2 * N(deviations / 2) - 1).
            assert 150 * erf(deviations / 2 / sqrt(2)) == pytest.approx(price, rel=1e-5)
        await ask(exchange, alice, "private/cancel_all")
        buy(alice, PUT, 10_000)
        await heard(exchange, alice)
        assert exchange.views.ticker(PUT).bid_iv is not None
        await exchange.execute(SetIndexPrice("SOL", 149_000_000))
        assert exchange.views.ticker(PUT).bid_iv is None, "its price is below the intrinsic value"

    hold(conversation)


def test_the_estimated_delivery_price_is_the_index_until_the_last_half_hour(hold: Hold) -> None:
    """Then it is the average since 07:30, here of 150 for 10 minutes and 153 for 5."""

    async def conversation(exchange: FakeExchange, alice: Connection) -> None:
        def estimate(instrument_id: str) -> int | None:
            return exchange.views.ticker(instrument_id).estimated_delivery_price_micros

        assert (estimate(CALL), estimate(OTHER)) == (150_000_000, None)
        for minutes, price in ((450, 150_000_000), (460, 153_000_000), (465, 153_000_000)):
            exchange.clock.ts_us = START_US + minutes * MINUTE_US
            await exchange.execute(SetIndexPrice("SOL", price))
        assert exchange.views.ts_us == START_US + 465 * MINUTE_US
        assert estimate(CALL) == 151_000_000
        exchange.clock.ts_us = START_US + 480 * MINUTE_US
        await exchange.settle()
        assert estimate(CALL) == exchange.views.instruments[CALL].delivery_price_micros == 152_000_000

    hold(conversation)


def test_a_quote_is_sent_when_the_best_prices_change(hold: Hold) -> None:
    """At once, then once a batch; not for a change below the best price, a new index price or a new minute."""

    async def conversation(exchange: FakeExchange, alice: Connection) -> None:
        seq = exchange.views.seq
        channels = [f"quote.{CALL}"]
        assert await ask(exchange, alice, "public/subscribe", channels=channels) == [channels, (CALL, seq)]
        bob = await enter(exchange, "bob")
        buy(bob, CALL, 1_000_000)
        buy(bob, CALL, 1_010_000)
        await exchange.settle()
        (message,) = [json.loads(text)["params"] for text in alice.take()]
        assert message == {
            "channel": channels[0],
            "data": {
                "instrument_id": CALL,
                "seq": exchange.views.seq,
                "ts_us": exchange.views.ts_us,
                "best_bid": 1_010_000,
                "best_bid_size": 1_000,
                "best_ask": None,
                "best_ask_size": 0,
            },
        }
        buy(bob, CALL, 1_000_000)
        buy(bob, PUT, 1_000_000)
        exchange.clock.ts_us += 2 * MINUTE_US
        await exchange.execute(SetIndexPrice("SOL", 151_000_000))
        assert await heard(exchange, alice) == []
        send(bob, "private/cancel_all")
        assert await heard(exchange, alice) == [(CALL, exchange.views.seq)]
        exchange.subscriptions.on_seek(exchange.views)
        assert await heard(exchange, alice) == [(CALL, exchange.views.seq)], "it begins again"
        await ask(exchange, alice, "public/unsubscribe", channels=channels)
        buy(bob)
        assert await heard(exchange, alice) == [] and not exchange.subscriptions._quotes.is_used

    hold(conversation)


def test_tickers_begin_again_after_a_seek(hold: Hold) -> None:
    """To another moment, also to one at which the instrument is not listed yet: then it is told once it is."""

    async def conversation(exchange: FakeExchange, alice: Connection) -> None:
        await watch(exchange, alice, CALL)
        empty = Views()
        exchange.subscriptions.on_seek(empty)
        assert alice.take() == []
        await watch(exchange, alice, OTHER)
        engine = Engine()
        for record in exchange.journal.records[:-1]:
            engine.replay(record)
        exchange.subscriptions.on_seek(engine.views)
        assert [brief(json.loads(text)) for text in alice.take()] == [
            (CALL, engine.views.seq),
            (OTHER, engine.views.seq),
        ]
        alice.lawyer.latest.clear()

    hold(conversation)


def test_a_dry_run_sees_earlier_requests_and_changes_nothing(hold: Hold) -> None:
    async def conversation(exchange: FakeExchange, alice: Connection) -> None:
        bob = await enter(exchange, "bob")
        await ask(exchange, bob, "private/sell", instrument_id=CALL, amount=1_500, price=1_000_000)
        seq = exchange.views.seq
        buy(alice)
        buy(alice, dry_run=True)
        buy(alice)
        first, tried, second = await heard(exchange, alice)
        assert first["order"]["filled"] == 1_000
        assert tried["dry_run"] and tried["order"]["filled"] == 500 and tried["position"]["quantity"] == 1_500
        assert second["order"]["filled"] == 500 and second["order"]["order_id"] == first["order"]["order_id"] + 1
        assert exchange.views.seq == seq + 2, "the dry run was recorded"
        assert tried["order"]["remaining"] == second["order"]["remaining"] == 500

    hold(conversation)


def test_a_dry_run_is_refused_while_the_exchange_is_busy(hold: Hold) -> None:
    async def conversation(exchange: FakeExchange, alice: Connection) -> None:
        exchange.queue_max = 0
        (error,) = await ask(
            exchange, alice, "private/buy", instrument_id=CALL, amount=1_000, price=1_000_000, dry_run=True
        )
        assert error["code"] == 1007 and error["data"]["retry_after_ms"] > 0

    hold(conversation)


def test_closing_a_position_waits_for_earlier_requests(hold: Hold) -> None:
    """The position is closed that there is then; one smaller than the smallest order, too."""

    async def conversation(exchange: FakeExchange, alice: Connection) -> None:
        bob = await enter(exchange, "bob")
        for side, price in (("sell", 1_000_000), ("buy", 990_000)):
            await ask(exchange, bob, f"private/{side}", instrument_id=CALL, amount=1_000, price=price)
        send(alice, "private/buy", instrument_id=CALL, amount=130, price=1_000_000)
        send(alice, "private/sell", instrument_id=CALL, amount=100, price=990_000)
        send(alice, "private/close_position", instrument_id=CALL)
        send(alice, "private/close_position", instrument_id=CALL)
        *_, closed, nothing = await heard(exchange, alice)
        assert (closed["order"]["size"], closed["order"]["filled"]) == (30, 30)
        assert nothing["code"] == 1030 and "seq" not in nothing["data"]

    hold(conversation)


def test_recent_updates_are_limited_by_their_size_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RECENT_SIZE_MAX", 200)
    engine, recent, sizes = Engine(), RecentUpdates(0), []
    for seq, (ts_us, command, _) in enumerate(market_steps(7, 300), 1):
        (record,) = chain(engine.head, [(ts_us, encode_command(command).decode())])
        _, change = engine.step(record, command)
        told = update_of(change, engine.views)
        sizes.append(told.size)
        recent.append(told)
        kept = len(recent._updates)
        assert sum(sizes[-kept:]) <= 200 and (kept == seq or sum(sizes[-kept - 1 :]) > 200)
        assert recent.between(seq - kept + 1, seq) is not None
        assert kept == seq or recent.between(seq - kept, seq) is None
