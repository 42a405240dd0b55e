"""Many clients share few workers: idle workers give way, and every client gets all its notifications."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from exchange.catch_up import pool, streams
from exchange.catch_up.limits import WORKERS_MAX
from tests.test_catch_up import Workers, begin_slowly, buy, slow_client, subscribe
from tests.wire import Wire, exchange

pytestmark = pytest.mark.usefixtures("forgetful")
COMMANDS = 120


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "exchange.db"


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange keeps no recent updates, so that each catch-up needs a worker."""
    monkeypatch.setattr(streams, "RECENT_MAX", 0)


@pytest.mark.long
def test_idle_workers_give_way_to_other_clients(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client gets all its notifications in the end."""
    monkeypatch.setattr(pool, "CHUNK_SIZE", 4_096)
    workers = Workers()
    monkeypatch.setattr(pool, "run_module", workers)

    async def conversation() -> None:
        async with exchange(db) as server:
            slow, last_seq = await begin_slowly(server)
            others = [await slow_client(server, count) for count in range(2, WORKERS_MAX + 2)]
            quick = await server.client("alice")
            await subscribe(quick, 1, "user.balance")
            for client in (quick, slow, *others):
                received = await messages(client, 10_000, last_seq)
                seqs = [params["seq"] for params in received if params["channel"] == "user.balance"]
                assert seqs[-600:] == list(range(last_seq - 599, last_seq + 1))

    asyncio.run(conversation())
    assert workers.most == WORKERS_MAX


@pytest.mark.slow
def test_clients_with_the_same_request_have_a_worker_each(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If there are enough processes, no worker is evicted, in any order of the clients' reads."""
    monkeypatch.setattr(pool, "CHUNK_SIZE", 4_096)
    workers = Workers()
    monkeypatch.setattr(pool, "run_module", workers)

    async def conversation() -> None:
        async with exchange(db) as server:
            first, last_seq = await begin_slowly(server)
            clients = [first, *[await slow_client(server, count) for count in range(2, WORKERS_MAX + 1)]]
            taken: list[list[Any]] = [[] for _ in clients]
            while any(not one or one[-1]["seq"] != last_seq for one in taken):
                for client, received in zip(clients, taken, strict=True):
                    if not received or received[-1]["seq"] != last_seq:
                        received += await messages(client, 40, last_seq)
            assert all(received == taken[0] for received in taken)

    asyncio.run(conversation())
    assert len(workers.processes) == WORKERS_MAX


@pytest.mark.slow
def test_a_client_that_comes_back_after_more_commands(db: Path) -> None:
    """It gets the same notifications once more, and those of the new commands."""

    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await server.client("alice")
            (seq,) = await buy(alice, 1)
            for _ in range(3):
                (last_seq,) = await buy(alice, 1)
                client = await server.client("alice")
                await subscribe(client, seq, "user.balance")
                seen = [params["seq"] for params in await messages(client, 100, last_seq)]
                assert seen == list(range(seq, last_seq + 1))
                await client.hang_up()

    asyncio.run(conversation())


@pytest.mark.slow
@pytest.mark.parametrize("chunk_size", [65_536, 2_000])
def test_a_client_whose_connections_break_gets_everything(
    db: Path, chunk_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads a few messages on each connection, and the joined messages are those that were sent live."""
    monkeypatch.setattr(pool, "CHUNK_SIZE", chunk_size)

    async def conversation() -> None:
        async with exchange(db) as server:
            witness, alice = await server.client("alice"), await server.client("alice")
            await witness.ask("public/subscribe", channels=["user.orders", "user.balance"])
            (first_seq, *_, last_seq) = await buy(alice, COMMANDS)
            # The first message is the balance before them.
            live = (await messages(witness, 2 * COMMANDS + 1))[1:]
            seen: list[Any] = []
            while not seen or seen[-1] != live[-1]:
                from_seq = seen[-1]["seq"] if seen else first_seq
                client = await server.client("alice")
                await subscribe(client, from_seq, "user.orders", "user.balance")
                seen += [params for params in await messages(client, 25, last_seq) if params not in seen[-2:]]
                await client.hang_up()
            assert seen == live

    asyncio.run(conversation())


async def messages(wire: Wire, count: int, last_seq: int | None = None) -> list[Any]:
    """Read `count` notifications, or all up to the last one of command `last_seq`."""
    found: list[Any] = []
    while len(found) < count and not (found and (found[-1]["channel"], found[-1]["seq"]) == ("user.balance", last_seq)):
        message = await wire.text()
        if "method" in message:
            found.append(message["params"])
    return found
