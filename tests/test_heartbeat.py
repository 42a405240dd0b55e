"""Heartbeats while requests are unanswered, and after the client is gone. tests/sessions/heartbeat.txt has the rest."""

import asyncio
from pathlib import Path

import pytest

from exchange.gateway import server as gateway_server
from exchange.gateway import socket_connection
from exchange.gateway.jsonrpc import TEST_REQUEST
from tests.fake_exchange import Connection, FakeExchange
from tests.wire import INSTRUMENT, exchange, request


async def let_pass(connection: Connection, seconds: int) -> None:
    for _ in range(seconds):
        connection.session.on_tick()


async def logged_in(fake: FakeExchange) -> Connection:
    await fake.start(INSTRUMENT)
    alice = fake.connect()
    alice.send(request("public/auth", grant_type="client_credentials", client_id="alice"))
    alice.send(request("public/set_heartbeat", interval=10))
    await fake.settle()
    alice.take()
    return alice


def test_a_client_that_waits_for_its_answer_is_not_silent() -> None:
    async def conversation() -> None:
        fake = FakeExchange()
        alice = await logged_in(fake)
        alice.send(request("private/buy", instrument_id=INSTRUMENT, price=1_500_000, amount=1_000))
        await let_pass(alice, 100)
        assert (alice.take(), alice.reasons) == ([], [])
        await fake.settle()
        alice.take()
        await let_pass(alice, 9)
        assert alice.take() == []
        await let_pass(alice, 1)
        assert alice.take() == [TEST_REQUEST]
        await fake.stop()

    asyncio.run(conversation())


def test_a_client_that_does_not_read_is_closed_despite_unanswered_requests() -> None:
    async def conversation() -> None:
        fake = FakeExchange()
        alice = await logged_in(fake)
        alice.session.set_backpressure(True)
        alice.send(request("private/get_balance"))
        await let_pass(alice, 20)
        assert alice.take() == [TEST_REQUEST]
        assert alice.reasons == ["the heartbeat's test_request was not answered with public/test"]
        assert alice.session.is_closed
        await let_pass(alice, 100)
        assert len(alice.reasons) == 1
        await fake.stop()

    asyncio.run(conversation())


def test_orders_of_a_client_that_is_gone_are_cancelled_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real socket stays open, as after a cable was cut: the client never answers the closing handshake."""
    monkeypatch.setattr(gateway_server, "TICK_SECONDS", 0.001)
    # Until the exchange stops waiting for the client's close frame.
    monkeypatch.setattr(socket_connection, "CLOSE_SECONDS", 1_000)

    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            alice, bob = await server.client("alice"), await server.client("bob")
            await alice.ask("private/enable_cancel_on_disconnect")
            await alice.buy()
            await bob.ask("public/subscribe", channels=[f"book.{INSTRUMENT}.1"])
            assert len((await bob.text())["params"]["data"]["bids"]) == 1
            await alice.ask("public/set_heartbeat", interval=10)
            assert (await alice.text())["params"] == {"type": "test_request"}
            await alice.ask("public/test")
            assert (await bob.text())["params"]["data"]["bids"] == [{"price": 1_500_000, "size": 0, "count": 0}]
            assert await alice.closing() == 1011

    asyncio.run(conversation())
