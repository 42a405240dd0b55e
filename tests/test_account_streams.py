"""The streams of an account: the state that they begin with, and all changes of a command in one message."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from exchange.domain.commands import SetIndexPrice
from exchange.domain.rules import Market, Rules, Series, SettlementRules
from exchange.engine.engine import _indexes_of
from exchange.projections.black_scholes import Greeks, greeks_of_portfolio
from exchange.projections.views_codec import decode_views, encode_views
from exchange.projections.wire_types import PositionsResult
from tests.fake_exchange import START_US, Connection, FakeExchange

CALL = "SOL_USDC-20FEB26-150-C"
PUT = "SOL_USDC-20FEB26-150-P"
MARKET = Market(series=(Series("SOL", 10, 0, dailies=1, weeklies=0, monthlies=0),), index_age_max_s=0)
STATES = ["user.balance", "user.positions"]


async def market(rules: Market = MARKET) -> FakeExchange:
    """A market at 150 in which bob offers two calls and bids for a put."""
    exchange = FakeExchange(Rules(market=rules))
    await exchange.start()
    await exchange.execute(SetIndexPrice("SOL", 150_000_000))
    bob = await enter(exchange, "bob")
    await ask(exchange, bob, "private/sell", instrument_id=CALL, amount=2_000, price=2_000_000)
    await ask(exchange, bob, "private/buy", instrument_id=PUT, amount=1_000, price=1_500_000)
    return exchange


async def enter(exchange: FakeExchange, user_id: str) -> Connection:
    connection = exchange.connect()
    await ask(exchange, connection, "public/auth", grant_type="client_credentials", client_id=user_id)
    return connection


def request(number: int, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


async def ask(exchange: FakeExchange, connection: Connection, method: str, **params: Any) -> Any:
    """The result or the error; messages of channels are not read."""
    connection.send(json.dumps(request(1, method, **params)))
    await exchange.settle()
    (answer,) = [message for message in map(json.loads, connection.take()) if "id" in message]
    return answer.get("result", answer.get("error"))


def messages(connection: Connection) -> list[tuple[str, int, Any]]:
    """The channel, seq and data of each new message."""
    params = [message["params"] for message in map(json.loads, connection.take()) if "params" in message]
    return [(one["channel"], one["seq"], one["data"]) for one in params]


def test_streams_with_a_state_begin_with_it() -> None:
    async def conversation() -> None:
        exchange = await market()
        bob = await enter(exchange, "bob")
        bob.send(json.dumps(request(1, "public/subscribe", channels=["user.orders", *STATES])))
        await exchange.settle()
        account, seq = exchange.views.account("bob"), exchange.views.seq
        begun = messages(bob)
        assert [(channel, at) for channel, at, _ in begun] == [(channel, seq) for channel in STATES]
        assert begun[0][2]["available"] == account.available_micros
        assert [(one["instrument_id"], one["locked"] > 0) for one in begun[1][2]] == [(CALL, True)]
        await ask(exchange, bob, "public/subscribe", channels=STATES)
        assert messages(bob) == [], "a live stream goes on"
        await ask(exchange, bob, "public/unsubscribe", channels=STATES)
        bob.send(json.dumps(request(2, "public/subscribe", channels=STATES, from_seq=seq + 1)))
        await exchange.settle()
        assert messages(bob) == [], "a stream that catches up has the messages of commands alone"
        await exchange.stop()

    asyncio.run(conversation())


def test_a_state_that_a_command_of_the_same_batch_changed_is_sent_once() -> None:
    """The state after the command takes the place of the command's own message."""

    async def conversation() -> None:
        exchange = await market()
        alice = await enter(exchange, "alice")
        buy = request(2, "private/buy", instrument_id=CALL, amount=500, price=2_000_000)
        alice.send(json.dumps([request(1, "public/subscribe", channels=STATES), buy]))
        await exchange.settle()
        seq, begun = exchange.views.seq, messages(alice)
        assert [(channel, at) for channel, at, _ in begun] == [(channel, seq) for channel in STATES]
        assert begun[0][2]["available"] == 10_000_000_000 - 1_000_000
        assert [(one["instrument_id"], one["quantity"]) for one in begun[1][2]] == [(CALL, 500)]
        unsubscribe = request(4, "public/unsubscribe", channels=STATES)
        await ask(exchange, alice, "public/unsubscribe", channels=STATES)
        alice.send(json.dumps([request(3, "public/subscribe", channels=STATES), buy, unsubscribe]))
        await exchange.settle()
        assert messages(alice) == [] and not exchange.subscriptions._waiting
        await exchange.stop()

    asyncio.run(conversation())


def test_all_changes_of_a_command_are_one_message() -> None:
    """They are those of the three other streams. A command that changes nothing of the user sends none."""

    async def conversation() -> None:
        exchange = await market()
        alice = await enter(exchange, "alice")
        parts = ["user.orders", "user.trades", "user.positions"]
        await ask(exchange, alice, "public/subscribe", channels=[*parts, "user.changes"])
        messages(alice)
        both = [("buy", CALL, 1_000, 2_000_000), ("sell", PUT, 400, 1_500_000), ("buy", PUT, 100, 10_000)]
        for side, instrument_id, amount, price in both:
            alice.send(
                json.dumps(request(1, f"private/{side}", instrument_id=instrument_id, amount=amount, price=price))
            )
            await exchange.settle()
            heard = messages(alice)
            *others, (channel, seq, changes) = heard
            assert (channel, seq) == ("user.changes", exchange.views.seq)
            assert changes == {name: dict(other[::2] for other in others).get(f"user.{name}", []) for name in changes}
            assert list(changes) == ["orders", "trades", "positions"] and changes["orders"]
        await ask(exchange, await enter(exchange, "carol"), "private/buy", instrument_id=CALL, amount=1, price=10_000)
        assert messages(alice) == []
        await exchange.stop()

    asyncio.run(conversation())


def test_only_user_changes_are_subscribed() -> None:
    """The stream needs none of the others: what it has is not filtered away."""

    async def conversation() -> None:
        exchange = await market()
        alice = await enter(exchange, "alice")
        await ask(exchange, alice, "public/subscribe", channels=["user.changes"])
        exchange.subscriptions.recent._complete_seq = 0
        alice.send(json.dumps(request(1, "private/buy", instrument_id=CALL, amount=1_000, price=2_000_000)))
        await exchange.settle()
        ((_, _, changes),) = messages(alice)
        assert {name: len(part) for name, part in changes.items()} == {"orders": 1, "trades": 1, "positions": 1}
        await exchange.stop()

    asyncio.run(conversation())


def test_positions_have_margins_profits_and_greeks() -> None:
    """The margins are those of docs/market.md for S = K = 150: 0.15 S + m and 0.075 S + m for a short call."""

    async def conversation() -> None:
        exchange = await market()
        alice = await enter(exchange, "alice")
        await ask(exchange, alice, "private/buy", instrument_id=CALL, amount=1_500, price=2_000_000)
        await ask(exchange, alice, "private/sell", instrument_id=PUT, amount=1_000, price=1_500_000)
        await exchange.execute(SetIndexPrice("SOL", 150_000_000))
        shown = exchange.views.positions("bob")
        call, put = shown.positions
        tickers = {name: exchange.views.ticker(name) for name in (CALL, PUT)}
        mark = tickers[CALL].mark_micros
        assert mark is not None and mark == call.mark_micros
        assert (call.quantity_milli, call.index_micros, call.average_price_micros) == (-1_500, 150_000_000, 2_000_000)
        assert call.initial_margin_micros == 1_500 * (22_500_000 + mark) // 1_000
        assert call.maintenance_margin_micros == 1_500 * (11_250_000 + mark) // 1_000
        assert call.locked_micros == 2_000 * (22_500_000 + mark) // 1_000, "500 more are offered"
        assert call.unrealised_pnl_micros == 1_500 * (2_000_000 - mark) // 1_000 == call.total_pnl_micros
        assert (put.initial_margin_micros, put.maintenance_margin_micros) == (0, 0), "long options need none"
        of_call, of_put = tickers[CALL].greeks, tickers[PUT].greeks
        assert of_call is not None and of_put is not None and call.greeks is not None
        assert call.greeks.delta == pytest.approx(-1.5 * of_call.delta)
        assert shown.greeks == {"SOL": greeks_of_portfolio([(-1_500, of_call), (1_000, of_put)])}
        assert exchange.views.account("bob").greeks == shown.greeks
        assert exchange.views.positions("bob", "BTC").positions == []
        assert exchange.views.positions("carol").greeks == {}
        await exchange.stop()

    asyncio.run(conversation())


def test_margins_of_a_series_that_waits_for_its_settlement_follow_the_index_of_its_close() -> None:
    """Live, in the past, and restored from an image of an earlier version."""

    async def conversation() -> None:
        exchange = await market(replace(MARKET, settlement=SettlementRules(price_age_max_s=60)))
        alice = await enter(exchange, "alice")
        await ask(exchange, alice, "private/buy", instrument_id=CALL, amount=1_500, price=2_000_000)
        exchange.clock.ts_us = START_US + 480 * 60_000_000
        await exchange.settle()
        await exchange.execute(SetIndexPrice("SOL", 160_000_000))
        views, state = exchange.views, exchange.engine.state
        assert views.settlements.newest(1)[0].state == "delayed"
        shown = views.positions("bob")
        (call,) = shown.positions
        assert (call.index_micros, call.greeks, shown.greeks) == (150_000_000, None, {})
        assert call.maintenance_margin_micros == state.accounts["bob"].maintenance_micros > 0
        bob = await enter(exchange, "bob")
        past = await ask(exchange, bob, "private/get_positions", at_seq=shown.seq)
        assert msgspec.convert(past, PositionsResult) == shown
        fields = msgspec.msgpack.decode(encode_views(views))
        del fields["windows"], fields["closing_indexes"]
        for day in fields["turnovers"].values():
            day["minutes"] = [minute[:2] for minute in day["minutes"]]
        old = decode_views(msgspec.msgpack.encode(fields), None, lambda: _indexes_of(state))
        assert old.positions("bob").positions == shown.positions
        await exchange.stop()

    asyncio.run(conversation())


def test_greeks_of_a_portfolio_do_not_depend_on_the_order() -> None:
    parts = [(n * 37 % 11 - 5, Greeks(0.1 * n, 1e-9 * n, n**0.5, -n, n / 7)) for n in range(1, 30)]
    assert greeks_of_portfolio(parts) == greeks_of_portfolio(parts[::-1])
    assert greeks_of_portfolio([(2_000, Greeks(0.5, 0.1, 1, -1, 2)), (-1_000, Greeks(0.5, 0.1, 1, -1, 2))]) == Greeks(
        0.5, 0.1, 1.0, -1.0, 2.0
    )
