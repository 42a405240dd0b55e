"""Heartbeats beyond tests/sessions/heartbeat.txt: who waits for whom, and what becomes of a client that is gone."""

import asyncio
from pathlib import Path

import pytest

from exchange.gateway import server as gateway_server
from exchange.gateway.jsonrpc import TEST_REQUEST
from tests.fake_exchange import Connection, TestDesk
from tests.wire import INSTRUMENT, exchange, request


async def silent_for(connection: Connection, seconds: int) -> None:
    for _ in range(seconds):
        connection.session.on_tick()


async def entered(desk: TestDesk) -> Connection:
    await desk.start(INSTRUMENT)
    alice = desk.connect()
    alice.send(request("public/auth", grant_type="client_credentials", client_id="alice"))
    alice.send(request("public/set_heartbeat", interval=10))
    await desk.settle()
    alice.take()
    return alice


def test_a_client_that_waits_for_its_answer_is_not_silent() -> None:
    async def conversation() -> None:
        desk = TestDesk()
        alice = await entered(desk)
        alice.send(request("private/buy", instrument_id=INSTRUMENT, price=1_500_000, amount=1_000))
        await silent_for(alice, 100)
        assert (alice.take(), alice.reasons) == ([], [])
        await desk.settle()
        alice.take()
        await silent_for(alice, 9)
        assert alice.take() == []
        await silent_for(alice, 1)
        assert alice.take() == [TEST_REQUEST]
        await desk.stop()

    asyncio.run(conversation())


def test_a_client_that_takes_nothing_is_given_up_whatever_it_has_asked() -> None:
    async def conversation() -> None:
        desk = TestDesk()
        alice = await entered(desk)
        alice.session.set_backpressure(True)
        alice.send(request("private/get_balance"))
        await silent_for(alice, 20)
        assert alice.take() == [TEST_REQUEST]
        assert alice.reasons == ["the heartbeat's test_request was not answered with public/test"]
        assert alice.session.is_closed
        await silent_for(alice, 100)
        assert len(alice.reasons) == 1
        await desk.stop()

    asyncio.run(conversation())


def test_the_orders_of_one_who_is_gone_are_cancelled_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real socket, that stays open as it does where a cable was cut: nobody takes notice of the good-bye."""
    monkeypatch.setattr(gateway_server, "TICK_SECONDS", 0.001)
    monkeypatch.setattr(gateway_server, "CLOSE_SECONDS", 1_000)  # until the exchange stops waiting for a good-bye

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
