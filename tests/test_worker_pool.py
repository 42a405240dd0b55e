"""A client whose connections break again and again gets on: what a process has found for it waits for a while."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.catch_up import pool
from exchange.gateway import streams
from exchange.gateway.limits import WORKERS_MAX
from tests.test_catch_up import Workers, begin_slowly, buy, slow_client, subscribe
from tests.wire import Server, Wire, exchange

pytestmark = pytest.mark.usefixtures("forgetful")
COMMANDS = 120


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


def notification(seq: int) -> str:
    """A line of a process that found something."""
    text = {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": "user.orders", "seq": seq, "data": []}}
    return f"{seq} user.orders {json.dumps(text)}"


class Slow(Workers):
    """Processes that find something of commands 1 and 2 after the first `release`, and of 3 after another one.

    What is found of a command is given once it is clear that this is all.
    """

    def __init__(self, path: Path) -> None:
        self._gate = path
        os.mkfifo(path)
        wait = f"open({str(path)!r}).read()"
        first = f"print({notification(1)!r}); print({notification(2)!r}, flush=True)"
        super().__init__(f"{wait}; {first}; {wait}; print({notification(3)!r})")

    async def release(self) -> None:
        await asyncio.to_thread(self._gate.write_bytes, b"")


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slow:
    workers = Slow(tmp_path / "gate")
    monkeypatch.setattr(pool, "run_module", workers)
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
            assert (await last.text())["params"]["seq"] == 1
            await slow.release()
            assert [(await last.text())["params"]["seq"] for _ in range(2)] == [2, 3]

    asyncio.run(conversation())
    assert len(slow.processes) == 1


def test_somebody_else_does_not_get_it(db: Path, slow: Slow) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            await join_and_break(server, slow, "alice", begun=1)
            await join_and_break(server, slow, "bob", begun=2)

    asyncio.run(conversation())


def test_what_is_passed_over_does_not_hold_it_up(db: Path, slow: Slow) -> None:
    """It has found something, and waits until that is taken; but who comes back has seen that elsewhere."""

    async def conversation() -> None:
        async with exchange(db) as server:
            await join_and_break(server, slow, "alice", begun=1)
            await slow.release()
            (reading,) = server.node._catch_up_service.pool._all
            await until(lambda: bool(reading._coming))
            later = await server.client("alice")
            await subscribe(later, 2)
            await slow.release()
            assert (await later.text())["params"]["seq"] == 2

    asyncio.run(conversation())
    assert len(slow.processes) == 1


def test_nobody_waits_for_those_who_are_gone(db: Path, slow: Slow) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            for begun in range(1, WORKERS_MAX + 2):
                await join_and_break(server, slow, f"user{begun}", begun)

    asyncio.run(conversation())
    assert slow.most == WORKERS_MAX


def test_who_takes_nothing_for_now_gives_way_to_others(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody gets everything in the end."""
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
                told = await messages(client, 10_000, last_seq)
                seqs = [params["seq"] for params in told if params["channel"] == "user.balance"]
                assert seqs[-600:] == list(range(last_seq - 599, last_seq + 1))

    asyncio.run(conversation())
    assert workers.most == WORKERS_MAX


def test_those_who_want_the_same_have_a_reading_each(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as there are processes enough, nobody has to begin again, however they take turns in taking."""
    monkeypatch.setattr(pool, "CHUNK_SIZE", 4_096)
    workers = Workers()
    monkeypatch.setattr(pool, "run_module", workers)

    async def conversation() -> None:
        async with exchange(db) as server:
            first, last_seq = await begin_slowly(server)
            clients = [first, *[await slow_client(server, count) for count in range(2, WORKERS_MAX + 1)]]
            taken: list[list[Any]] = [[] for _ in clients]
            while any(not one or one[-1]["seq"] != last_seq for one in taken):
                for client, told in zip(clients, taken, strict=True):
                    if not told or told[-1]["seq"] != last_seq:
                        told += await messages(client, 40, last_seq)
            assert all(told == taken[0] for told in taken)

    asyncio.run(conversation())
    assert len(workers.processes) == WORKERS_MAX


def test_who_comes_back_after_more_has_happened(db: Path) -> None:
    """What was read is given again, and what came after it is read then."""

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
                await breaks(server, client)

    asyncio.run(conversation())


@pytest.mark.parametrize("limit", ["WORKERS_PARKED_SECONDS", "WORKERS_PARKED_MAX"])
def test_what_nobody_comes_back_for_is_given_up(
    db: Path, slow: Slow, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, limit, 0)

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
    monkeypatch.setattr(pool, "REPLAYED_KEPT_MAX", given_max)
    monkeypatch.setattr(pool, "CHUNK_SIZE", chunk_size)
    workers = Workers()
    monkeypatch.setattr(pool, "run_module", workers)

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
