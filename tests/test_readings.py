"""A client whose connections break again and again gets on: what a process has found for it waits for a while."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.gateway import streams
from exchange.runtime import readings
from tests.test_backfill import Workers, buy, subscribe
from tests.wire import Server, Wire, exchange

pytestmark = pytest.mark.usefixtures("forgetful")
COMMANDS = 300


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "exchange.db"


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange must read the journal for whatever was missed."""
    monkeypatch.setattr(streams, "RECENT_MAX", 0)


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until it is so."""
    is_so = False
    while not is_so:
        await asyncio.sleep(0)
        is_so = condition()


async def breaks(server: Server, client: Wire) -> None:
    """The client is gone, and the server has seen it."""
    connections = server.node._gateway._connections
    others = len(connections) - 1
    await client.hang_up()
    await until(lambda: len(connections) == others)


class Slow(Workers):
    """Processes that find one notification, once `release` is called."""

    def __init__(self, path: Path) -> None:
        self._gate = path
        os.mkfifo(path)
        params = {"channel": "user.orders", "seq": 1, "data": []}
        text = json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params})
        super().__init__(f"open({str(path)!r}).read(); print({f'1 user.orders {text}'!r})")

    async def release(self) -> None:
        await asyncio.to_thread(self._gate.write_bytes, b"")


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slow:
    workers = Slow(tmp_path / "gate")
    monkeypatch.setattr(readings, "worker", workers)
    return workers


async def join_and_break(server: Server, workers: Workers, user_id: str, begun: int) -> None:
    """Subscribe to what was missed, and break off once so many processes have begun."""
    client = await server.client(user_id)
    await subscribe(client, 1)
    await until(lambda: len(workers.processes) == begun)
    await breaks(server, client)


def test_connections_that_break_before_anything_is_found(db: Path, slow: Slow) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            for _ in range(5):
                await join_and_break(server, slow, "alice", begun=1)
            last = await server.client("alice")
            await subscribe(last, 1)
            await slow.release()
            assert (await last.text())["params"]["channel"] == "user.orders"

    asyncio.run(conversation())
    assert len(slow.processes) == 1


def test_somebody_else_does_not_get_it(db: Path, slow: Slow) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            await join_and_break(server, slow, "alice", begun=1)
            await join_and_break(server, slow, "bob", begun=2)

    asyncio.run(conversation())


@pytest.mark.parametrize("limit", ["READINGS_KEPT_SECONDS", "READINGS_KEPT_MAX"])
def test_what_nobody_comes_back_for_is_given_up(
    db: Path, slow: Slow, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, limit, 0)

    async def conversation() -> None:
        async with exchange(db) as server:
            for begun in (1, 2):
                await join_and_break(server, slow, "alice", begun)
                await until(lambda: slow.running == 0)

    asyncio.run(conversation())


@pytest.mark.parametrize(
    ("given_max", "chunk_size"), [(4 * 1024 * 1024, 65_536), (4 * 1024 * 1024, 2_000), (3_000, 2_000)]
)
def test_it_goes_on_where_the_client_was(
    db: Path, given_max: int, chunk_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few messages on each connection, however many were on their way: the whole comes together."""
    monkeypatch.setattr(readings, "GIVEN_MAX", given_max)
    monkeypatch.setattr(readings, "CHUNK_SIZE", chunk_size)
    workers = Workers()
    monkeypatch.setattr(readings, "worker", workers)

    async def conversation() -> None:
        async with exchange(db) as server:
            witness, alice = await server.client("alice"), await server.client("alice")
            await witness.ask("public/subscribe", channels=["user.orders", "user.balance"])
            (first_seq, *_, last_seq) = await buy(alice, COMMANDS)
            live = await messages(witness, 2 * COMMANDS)
            seen: list[Any] = []
            while not seen or seen[-1] != live[-1]:
                from_seq = seen[-1]["seq"] if seen else first_seq
                client = await server.client("alice")
                await subscribe(client, from_seq, "user.orders", "user.balance")
                seen += [params for params in await messages(client, 25, last_seq) if params not in seen[-2:]]
                await breaks(server, client)
            assert seen == live

    asyncio.run(conversation())
    assert given_max < 100_000 or len(workers.processes) == 1


async def messages(wire: Wire, count: int, last_seq: int | None = None) -> list[Any]:
    """So many notifications, or all up to the last there is."""
    found: list[Any] = []
    while len(found) < count and not (found and (found[-1]["channel"], found[-1]["seq"]) == ("user.balance", last_seq)):
        message = await wire.text()
        if "method" in message:
            found.append(message["params"])
    return found
