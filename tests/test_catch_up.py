"""Catch-ups over real sockets: from memory, from a worker that reads the journal, and failing ones."""

import asyncio
import contextlib
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import pytest

from exchange.catch_up import pool, service, streams
from exchange.catch_up.limits import WORKERS_MAX
from exchange.catch_up.request import CatchUpRequest
from exchange.catch_up.service import CatchUpService
from exchange.catch_up.streams import RecentUpdates
from exchange.catch_up.worker import messages_of
from exchange.child_process import ChildProcess, start_process
from exchange.gateway import socket_connection
from exchange.journal.archives import archive_path
from exchange.journal.errors import JournalArchivedError
from exchange.snapshots.store import pack
from exchange.subprocesses import run_module
from tests.journals import write_journal
from tests.random_commands import random_steps
from tests.wire import INSTRUMENT, Server, Wire, exchange

STREAMS = [f"trades.{INSTRUMENT}", "user.orders", "user.balance"]
BROKEN_WORKERS = {
    "that fails": "print('1 user.orders {}', flush=True); raise SystemExit(3)",
    "that fails at once": "raise SystemExit(1)",
    "that is killed": "import os; os.kill(os.getpid(), 9)",
    "that ends in the middle of a line": "print('user.orders {', end='')",
}


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "exchange.db"


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange keeps no recent updates, so that each catch-up needs a worker."""
    monkeypatch.setattr(streams, "RECENT_MAX", 0)


async def subscribe(wire: Wire, from_seq: int, *channels: str) -> int:
    """Subscribe. Returns the seq of the first live command."""
    answer = await wire.ask("public/subscribe", channels=list(channels or STREAMS), from_seq=from_seq)
    return int(answer["result"]["seq"])


async def notifications(wire: Wire, up_to: int) -> list[Any]:
    """Read all notifications up to the last one of command `up_to`."""
    found: list[Any] = []
    while not found or found[-1]["channel"] != "user.balance" or found[-1]["seq"] != up_to:
        message = await wire.text()
        if "method" in message:
            found.append(message["params"])
    return found


async def buy(wire: Wire, count: int) -> list[int]:
    """Send `count` orders. Returns their seqs."""
    return [(await wire.buy())["result"]["seq"] for _ in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("commands_kept", [0, 20, 10_000])
def test_replayed_and_later_notifications_equal_the_live_ones(
    db: Path, commands_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "RECENT_MAX", commands_kept)

    async def conversation() -> None:
        async with exchange(db) as server:
            witness, alice = await server.client("alice"), await server.client("alice")
            await witness.ask("public/subscribe", channels=STREAMS)
            seqs = await buy(alice, 50)
            late = await server.client("alice")
            assert await subscribe(late, seqs[10]) == seqs[-1] + 1
            seqs += await buy(alice, 50)  # during the replay
            live = await notifications(witness, seqs[-1])
            assert await notifications(late, seqs[-1]) == [params for params in live if params["seq"] >= seqs[10]]

    asyncio.run(conversation())


def test_commands_that_a_start_replayed_need_no_worker(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "run_module", None)

    async def conversation() -> None:
        async with exchange(db) as server:
            witness, alice = await server.client("alice"), await server.client("alice")
            await witness.ask("public/subscribe", channels=STREAMS)
            seqs = await buy(alice, 20)
            # The first message is the balance at the begin of the subscription.
            _, *live = await notifications(witness, seqs[-1])
        async with exchange(db) as server:
            late = await server.client("alice")
            await subscribe(late, seqs[0])
            assert await notifications(late, seqs[-1]) == live

    asyncio.run(conversation())


async def begin_slowly(server: Server) -> tuple[Wire, int]:
    """A client with a long catch-up, which is under backpressure because the client reads nothing."""
    alice = await server.client("alice")
    last_seq = (await buy(alice, 600))[-1]
    return await slow_client(server, 1), last_seq


async def slow_client(server: Server, count: int) -> Wire:
    """Connect a client that reads nothing, and wait until `count` clients are under backpressure."""
    slow = await server.dial(receive_buffer=4_096)
    await slow.shake_hands()
    await slow.log_in("alice")
    for connection in server.node.gateway._connections:
        connection._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
    await subscribe(slow, 1)
    while await backpressured_clients(server) < count:
        pass
    return slow


async def backpressured_clients(server: Server) -> int:
    """The number of clients under backpressure, after one turn of the event loop."""
    await asyncio.sleep(0)
    sessions = [one._session for one in server.node.gateway._connections]
    return sum(one is not None and one._is_backpressured for one in sessions)


@pytest.mark.slow
@pytest.mark.parametrize("commands_kept", [0, 10_000])
def test_a_catch_up_is_sent_as_fast_as_the_client_reads(
    db: Path, commands_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "RECENT_MAX", commands_kept)
    monkeypatch.setattr(socket_connection, "OUTBOX_MAX", 100_000)  # less than the catch-up sends
    monkeypatch.setattr(pool, "CHUNK_SIZE", 4_096)
    monkeypatch.setattr(service, "SLICE_SECONDS", 0.0)

    async def conversation() -> None:
        async with exchange(db) as server:
            slow, last_seq = await begin_slowly(server)
            found = await notifications(slow, last_seq)
            assert [params["seq"] for params in found if params["channel"] == "user.orders"][-600:] == list(
                range(last_seq - 599, last_seq + 1)
            )

    asyncio.run(conversation())


def test_all_catch_ups_together_take_one_slice_of_each_turn_of_the_loop(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each catch-up delivers one command in a slice here. Another one may go first in the next turn only."""
    monkeypatch.setattr(service, "SLICE_SECONDS", 0.0)
    delivered: list[int] = []

    async def conversation() -> None:
        async with exchange(db) as server:
            done = [asyncio.get_running_loop().create_future() for _ in range(4)]
            for n, future in enumerate(done):
                request = CatchUpRequest(1, 3, "", ("status",))
                server.node.catch_up_service.start(request, lambda *_, n=n: delivered.append(n), future.set_result)
            while not all(future.done() for future in done):
                before = len(delivered)
                await asyncio.sleep(0)
                assert len(delivered) <= before + 1, "two catch-ups worked in one turn of the loop"

    monkeypatch.setattr(service._CatchUpTask, "_from_memory", lambda _self: [None] * 3)
    monkeypatch.setattr(service, "encode", lambda _update, _wanted: [(("status", ""), b"{}")])
    asyncio.run(conversation())
    assert sorted(delivered) == sorted([0, 1, 2, 3] * 3)


@pytest.mark.slow
@pytest.mark.parametrize("commands_kept", [0, 10_000])
def test_a_client_that_reads_nothing_for_long_is_disconnected(
    db: Path, commands_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "RECENT_MAX", commands_kept)
    monkeypatch.setattr(service, "STALL_SECONDS", 0)
    monkeypatch.setattr(pool, "CHUNK_SIZE", 4_096)
    monkeypatch.setattr(service, "SLICE_SECONDS", 0.0)

    async def conversation() -> None:
        async with exchange(db) as server:
            slow, _ = await begin_slowly(server)
            assert await slow.closing() == 1011

    asyncio.run(conversation())


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("name", BROKEN_WORKERS)
def test_a_broken_worker_closes_the_connection(db: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "run_module", Workers(BROKEN_WORKERS[name]))

    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await server.client("alice")
            await subscribe(alice, 1)
            assert await alice.closing() == 1011

    asyncio.run(conversation())


@pytest.mark.usefixtures("forgetful")
def test_a_worker_that_cannot_start_closes_the_connection(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(db / "nowhere"))

    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await server.client("alice")
            await subscribe(alice, 1)
            assert await alice.closing() == 1011

    asyncio.run(conversation())


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("way", ["hang up", "unsubscribe", "stop"])
def test_a_worker_ends_with_its_last_channel_its_client_or_the_exchange(
    db: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers("import time; time.sleep(600)")
    monkeypatch.setattr(pool, "run_module", workers)

    async def conversation() -> None:
        async with exchange(db) as server:
            clients = [await server.client("alice") for _ in range(WORKERS_MAX + 1)]
            for client in clients:
                await subscribe(client, 1)
            while not await workers.have_begun(WORKERS_MAX):
                pass
            if way == "stop":
                server.stop()
                assert [await client.closing() for client in clients] == [1001] * len(clients)
            for client in clients:
                if way == "unsubscribe":
                    await client.ask("public/unsubscribe", channels=STREAMS)
                else:
                    await client.hang_up()
            for process in workers.processes:
                await process.wait()

    asyncio.run(conversation())
    assert workers.most == WORKERS_MAX


class Workers:
    """In place of `run_module`: starts workers, or processes that run `program`, and counts them."""

    def __init__(self, program: str | None = None) -> None:
        self.processes: list[ChildProcess] = []
        self.running = self.most = 0
        self._program = program

    async def have_begun(self, count: int) -> bool:
        await asyncio.sleep(0)
        return len(self.processes) >= count

    @contextlib.asynccontextmanager
    async def __call__(self, module: str, *arguments: str, stdout: int) -> AsyncIterator[ChildProcess]:
        async with self._start(module, *arguments, stdout=stdout) as process:
            self.processes.append(process)
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                yield process
            finally:
                self.running -= 1

    @contextlib.asynccontextmanager
    async def _start(self, module: str, *arguments: str, stdout: int) -> AsyncIterator[ChildProcess]:
        if self._program is None:
            async with run_module(module, *arguments, stdout=stdout) as process:
                yield process
            return
        process = await start_process([sys.executable, "-c", self._program], DEVNULL, stdout, 64 * 1024)
        try:
            yield process
        finally:
            process.terminate()
            await process.drain()


@pytest.mark.slow
@pytest.mark.usefixtures("forgetful")
def test_the_number_of_workers_is_limited(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = Workers()
    monkeypatch.setattr(pool, "run_module", workers)
    wanted = [[*STREAMS[:n], "user.balance", *more] for n in range(3) for more in ([], ["user.trades"])]

    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await server.client("alice")
            (seq,) = await buy(alice, 1)
            clients = [await server.client("alice") for _ in wanted]
            for client, channels in zip(clients, wanted, strict=True):
                await subscribe(client, 1, *channels)
            for client in clients:
                assert (await notifications(client, seq))[-1]["seq"] == seq

    asyncio.run(conversation())
    assert len(workers.processes) == len(wanted) and workers.most == WORKERS_MAX


def test_archived_commands_are_replayed_if_the_archive_is_here(db: Path) -> None:
    steps = [(ts_us, command) for ts_us, command, _ in random_steps(7, 300)]
    end, users = 300, ("alice", "bob", "carol")
    write_journal(db, steps[:end])
    channels = ("user.orders", "user.trades", "user.balance")
    whole = {user: list(messages_of(db, CatchUpRequest(1, end, user, channels))) for user in users}
    archive = archive_path(db, 1, 100)
    archive.parent.mkdir()
    base = write_journal(archive, steps[:100])
    with contextlib.closing(sqlite3.connect(db, isolation_level=None)) as connection:
        row = (base.head.seq, base.head.ts_us, base.head.hash, pack(base.snapshot()))
        connection.execute("INSERT INTO base (seq, ts_us, hash, snapshot) VALUES (?, ?, ?, ?)", row)
        connection.execute("DELETE FROM commands WHERE seq <= 100")
        connection.execute("DELETE FROM events WHERE seq <= 100")
    catch_up_service = CatchUpService(db, RecentUpdates(end), lambda: None)
    assert catch_up_service.first_seq == 1
    assert any(whole.values()) and all(
        list(messages_of(db, CatchUpRequest(1, end, u, channels))) == whole[u] for u in users
    )
    archive.unlink()
    assert catch_up_service.first_seq == 101
    after = list(messages_of(db, CatchUpRequest(101, end, users[0], channels)))
    assert after and after == whole[users[0]][-len(after) :]
    with pytest.raises(JournalArchivedError):
        list(messages_of(db, CatchUpRequest(100, end, users[0], channels)))


@pytest.mark.parametrize("turns", range(8))
def test_nothing_is_called_after_the_end(db: Path, turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is gone, at each turn of the event loop around the moment at which its patience ends."""
    monkeypatch.setattr(service, "STALL_SECONDS", 0)
    monkeypatch.setattr(service, "encode", lambda update, wanted: ())
    monkeypatch.setattr(RecentUpdates, "between", lambda self, first_seq, last_seq, wanted: [None])
    calls: list[str | None] = []

    async def run() -> None:
        catch_ups = CatchUpService(db, RecentUpdates(1), lambda: None)
        catch_up = catch_ups.start(CatchUpRequest(1, 1, "", ("status",)), lambda name, text: None, calls.append)
        catch_up.pause(True)
        for _ in range(turns):
            await asyncio.sleep(0)
        before = list(calls)
        catch_up.end()
        await catch_ups.stop()
        assert calls == before

    async def record() -> None:
        async with exchange(db):
            pass

    asyncio.run(record())
    asyncio.run(run())
