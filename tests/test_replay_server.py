"""The replay server: clients of the live exchange see the same messages, control the replay, and change nothing."""

import asyncio
import contextlib
import gc
import json
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from exchange.domain.commands import OpenAccount
from exchange.domain.events import Traded
from exchange.engine.engine import Engine
from exchange.engine.recovery import recover, replay_step
from exchange.history.replay import replay_range
from exchange.history.replay_checkpoints import RESTORE_COMMANDS, Checkpoints, ReplayPast
from exchange.history.replay_server import ReplayOptions, ReplayServer
from exchange.history_db.update import update_history
from exchange.journal.errors import JournalDamagedError
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Record
from exchange.matching.book import OrderBook
from exchange.snapshots.store import SnapshotStore
from tests.journals import play, write_journal
from tests.random_commands import random_steps
from tests.test_chart import MARKET, START_US
from tests.test_recovery import INSTRUMENT, server

PATIENCE_SECONDS = 30
CHANNELS = [f"trades.{INSTRUMENT}", "user.orders", "user.trades", "user.balance", f"book.{INSTRUMENT}.5"]


class Client:
    """A client that sends requests and keeps all messages."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.received: list[dict[str, Any]] = []

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        await self._connection.send(json.dumps({"jsonrpc": "2.0", "id": method, "method": method, "params": params}))
        while True:
            message = await self.receive()
            if message.get("id") == method:
                self.received.remove(message)
                return message

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            message: dict[str, Any] = json.loads(await self._connection.recv())
        self.received.append(message)
        return message


@contextlib.asynccontextmanager
async def client(url: str, user_id: str = "alice") -> AsyncIterator[Client]:
    async with connect(url) as connection:
        made = Client(connection)
        await made.ask("public/auth", grant_type="client_credentials", client_id=user_id)
        yield made


async def watch(url: str, until_trades: int) -> tuple[list[Any], list[Any], dict[int, Any]]:
    """Watch as a client of the live exchange does: alice's streams, the trades, and the book from its channel."""
    async with client(url) as alice:
        await alice.ask("public/subscribe", channels=CHANNELS)
        streams: list[Any] = []
        trades: list[Any] = []
        book: dict[tuple[str, int], Any] = {}
        seqs: dict[int, Any] = {}
        while len(trades) < until_trades:
            if not alice.received:
                await alice.receive()
            for message in alice.received:
                params = message["params"]
                if params["channel"].startswith("book."):
                    data = params["data"]
                    if data["type"] == "snapshot":
                        book = {}
                    for side in ("bids", "asks"):
                        for level in data[side]:
                            book[side, level["price"]] = level
                            if not level["size"]:
                                del book[side, level["price"]]
                    seqs[data["seq"]] = sorted(book)
                elif params["channel"].startswith("trades."):
                    trades += params["data"]
                    streams.append(params)
                else:
                    streams.append(params)
            alice.received.clear()
    return trades, streams, seqs


@contextlib.asynccontextmanager
async def replay(path: Path, *options: str) -> AsyncIterator[str]:
    """Run `exchange replay --serve` as a process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "exchange.cli.main", "replay", "--serve", "--port", "0", "--db", str(path), *options),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        yield line.removeprefix("listening on ").strip()
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode == 0


@pytest.mark.long
def test_a_client_of_the_live_exchange_sees_the_same_on_a_replay(tmp_path: Path) -> None:
    """Connected before the first order, alice sees all her trades, orders and balances, and the book, once more."""
    path, count = tmp_path / "exchange.db", 60

    async def go() -> None:
        async with server(path) as (process, url), client(url, "bob") as bob:
            watching = asyncio.create_task(watch(url, count))
            async with client(url, "alice") as alice:
                while not watching.done():
                    await alice.ask("private/buy", instrument_id=INSTRUMENT, amount=200, price=1_500_000)
                    await bob.ask("private/sell", instrument_id=INSTRUMENT, amount=100, price=1_500_000)
            trades, streams, books = await watching
            process.terminate()
            await process.wait()
        async with replay(path, "--speed", "max") as url:
            trades_then, streams_then, books_then = await watch(url, count)
        # Each begins with the balance before its first message. The first orders may be older than the live one.
        first_seq, live = streams[0]["seq"], streams[1:]
        seen_then = [params for params in streams_then[1:] if params["seq"] > first_seq]
        shared = min(len(live), len(seen_then))
        assert seen_then[:shared] == live[:shared]
        assert shared > count
        last_shared = [trade for trade in trades_then if trade in trades]
        assert last_shared == trades[: len(last_shared)]
        assert len(last_shared) > count // 2
        for seq in books.keys() & books_then.keys():
            assert books[seq] == books_then[seq]

    asyncio.run(go())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "exchange.db"
    write_journal(path, ((START_US + n * 1_000_000, command) for n, command in enumerate(MARKET, 1)))
    return path


@contextlib.asynccontextmanager
async def serving(path: Path, options: ReplayOptions) -> AsyncIterator[tuple[ReplayServer, str, asyncio.Task[None]]]:
    with open_journal_reader(path) as reader:
        made = ReplayServer(reader, options)
        playing = asyncio.create_task(made.play())
        try:
            yield made, await made.open("127.0.0.1", 0), playing
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            await made.close()


async def until(served: ReplayServer, seq: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while served.status.seq != seq:  # noqa: ASYNC110 - polls as a client would
            await asyncio.sleep(0)


def test_clients_control_the_replay(path: Path) -> None:
    """The replay starts paused, seeks to and fro, and stays open at its end."""

    async def go() -> None:
        async with (
            serving(path, ReplayOptions(1, 10, None, is_paused=True)) as (served, url, _),
            connect(url) as connection,
        ):
            one = Client(connection)
            status = (await one.ask("replay/status"))["result"]
            assert status == {
                "seq": 4,
                "ts_us": START_US + 4_000_000,
                "first_seq": 1,
                "last_seq": 10,
                "speed": None,
                "paused": True,
                "at_end": False,
                "seeking": None,
            }
            assert (await one.ask("replay/seek", seq=6))["result"]["seq"] == 6
            await one.ask("public/subscribe", channels=[f"book.{INSTRUMENT}.5", f"trades.{INSTRUMENT}"])
            snapshot = one.received.pop()["params"]["data"] if one.received else (await one.receive())["params"]["data"]
            assert [(level["price"], level["size"]) for level in snapshot["bids"]] == [
                (5_000_000, 2_000),
                (4_900_000, 1_000),
            ]
            one.received.clear()
            await one.ask("replay/resume")
            await until(served, 10)
            assert (await one.ask("replay/status"))["result"]["at_end"]
            trades = [m["params"]["data"] for m in one.received if m["params"]["channel"].startswith("trades.")]
            assert [trade["seq"] for (trade,) in trades] == [8, 9]
            one.received.clear()
            await one.ask("replay/pause")
            await one.ask("replay/seek", ts_us=START_US + 7_500_000)
            assert [m["params"]["data"]["type"] for m in one.received] == ["snapshot"]
            assert one.received[0]["params"]["data"]["asks"] == [{"price": 5_200_000, "size": 1_000, "count": 1}]
            assert (await one.ask("public/get_time"))["result"]["ts_us"] == START_US + 7_000_000
            one.received.clear()
            # The instrument is not listed yet at seq 1.
            await one.ask("replay/seek", seq=1)
            assert one.received[0]["params"]["data"]["bids"] == []
            await one.ask("replay/resume")
            await until(served, 10)
            await one.ask("public/test")
            books = [m["params"]["data"] for m in one.received if m["params"]["channel"].startswith("book.")]
            levels = {level["price"]: level["size"] for change in books for level in change["bids"] if level["size"]}
            live = recover(path, lambda s: None, lambda d, t: None).engine.views.depths[INSTRUMENT]
            assert levels == {level.price_micros: level.size_milli for level in live.bids()}

    asyncio.run(go())


@pytest.mark.slow
@pytest.mark.parametrize(("options", "speed"), [((), 1.0), (("--speed", "2.5x"), 2.5), (("--speed", "max"), None)])
def test_the_speed_given_on_the_command_line(path: Path, options: tuple[str, ...], speed: float | None) -> None:
    async def go() -> None:
        async with replay(path, "--paused", *options) as url, client(url) as alice:
            assert (await alice.ask("replay/status"))["result"]["speed"] == speed

    asyncio.run(go())


def test_the_recorded_rhythm_and_other_speeds(path: Path) -> None:
    """The test sets the clock: no command is applied before it is due."""

    async def go() -> None:
        now = [100.0]
        with open_journal_reader(path) as reader:
            served = ReplayServer(reader, ReplayOptions(5, 10, 2.0), lambda: now[0])
            playing = asyncio.create_task(served.play())
            served._start_playing()

            async def at(seconds: float) -> int:
                now[0] = seconds
                served._wake.set()
                for _ in range(20):
                    await asyncio.sleep(0)
                return served.status.seq

            assert [await at(seconds) for seconds in (100.0, 100.4, 100.5, 101.4, 101.6)] == [4, 4, 5, 6, 7]
            served._set_speed(0.5)
            assert [await at(seconds) for seconds in (101.6, 103.5, 103.7)] == [7, 7, 8]
            served._pause(True)
            assert await at(500.0) == 8
            served._pause(False)
            assert [await at(seconds) for seconds in (500.0, 502.1)] == [8, 9]
            served._set_speed(None)
            assert await at(502.2) == 10
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            await served.close()

    asyncio.run(go())


def test_nothing_can_be_changed(path: Path) -> None:
    before = path.read_bytes()

    async def go() -> None:
        async with (
            serving(path, ReplayOptions(1, 10, None, is_paused=True)) as (_, url, _),
            client_at(url, 6) as alice,
        ):
            for method, params in (
                ("private/buy", {"instrument_id": INSTRUMENT, "amount": 1_000, "price": 1_000_000}),
                ("private/sell", {"instrument_id": INSTRUMENT, "amount": 1_000, "price": 1_000_000}),
                ("private/buy", {"instrument_id": INSTRUMENT, "amount": 1_000, "price": 1_000_000, "dry_run": True}),
                ("private/get_margin", {"instrument_id": INSTRUMENT, "side": "bid", "amount": 1, "price": 1}),
                ("private/close_position", {"instrument_id": INSTRUMENT}),
                ("private/edit", {"order_id": 1, "amount": 500}),
                ("private/cancel", {"order_id": 1}),
                ("private/cancel_all", {}),
                ("private/enable_cancel_on_disconnect", {}),
                ("admin/deposit", {"user_id": "alice", "amount": 5}),
            ):
                error = (await alice.ask(method, **params))["error"]
                assert (error["code"], error["data"]["reason"]) == (1027, "read_only_replay"), method
            open_orders = (await alice.ask("private/get_open_orders"))["result"]
            assert [order["order_id"] for order in open_orders] == [1, 2]
            assert (await alice.ask("private/get_balance"))["result"]["locked"] == 14_900_000
            error = (await alice.ask("private/explain_order", order_id=1))["error"]
            assert (error["code"], error["data"]["reason"]) == (1031, "history_unavailable")
            assert "`exchange history rebuild` does, from the journal" in error["data"]["detail"]
            # Neither a user who came later nor the administrator can log in.
            async with connect(url) as connection:
                for user_id, code in (("carol", 1027), ("admin", 1020)):
                    auth = {"grant_type": "client_credentials", "client_id": user_id}
                    assert (await Client(connection).ask("public/auth", **auth))["error"]["code"] == code
            for params in ({}, {"seq": 1, "ts_us": 1}, {"seq": 999}, {"ts_us": 5}, {"seq": 0}):
                assert (await alice.ask("replay/seek", **params))["error"]["code"] == -32602, params
            for speed in (0, -1, "fast"):
                assert (await alice.ask("replay/speed", speed=speed))["error"]["code"] == -32602

    asyncio.run(go())
    assert path.read_bytes() == before


def test_a_long_seek_does_not_delay_other_clients(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """During a seek the replay stands still and shows the target. Of several seeks the last one counts."""
    ready, engine_after = threading.Event(), ReplayServer._engine_after

    def slowly(served: ReplayServer, seq: int, *progress: Any) -> Engine:
        assert ready.wait(PATIENCE_SECONDS)
        return engine_after(served, seq, *progress)

    async def go() -> None:
        async with (
            serving(path, ReplayOptions(1, 10, None)) as (served, url, _),
            connect(url) as one,
            client(url) as other,
        ):
            monkeypatch.setattr(ReplayServer, "_engine_after", slowly)
            # Every seek is a long one.
            monkeypatch.setattr("exchange.history.replay_moves.NEAR_COMMANDS", -1)
            for seq in (9, 6, 7):
                await one.send(
                    json.dumps({"jsonrpc": "2.0", "id": seq, "method": "replay/seek", "params": {"seq": seq}})
                )
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (status := (await other.ask("replay/status"))["result"])["seeking"] != 7:
                    pass
            # A subscription starts the replay, but not during a seek.
            await other.ask("public/subscribe", channels=[f"trades.{INSTRUMENT}"])
            assert status["seq"] == served.status.seq == 4
            ready.set()
            answers = [json.loads(await one.recv()) for _ in range(3)]
            assert [(answer["id"], answer["result"]["seq"]) for answer in answers] == [(9, 7), (6, 7), (7, 7)]
            assert answers[-1]["result"]["seeking"] is None
            # The replay continues from the target.
            await until(served, 10)

    asyncio.run(go())


def test_a_seek_over_damage_fails_and_the_replay_stays(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER commands_are_never_changed")
        connection.execute("UPDATE commands SET ts_us = ts_us + 1 WHERE seq = 8")

    async def go() -> None:
        async with serving(path, ReplayOptions(1, 10, None, is_paused=True)) as (_, url, _), client(url) as alice:
            assert (await alice.ask("replay/seek", seq=9))["error"]["code"] == -32603
            status = (await alice.ask("replay/status"))["result"]
            assert (status["seq"], status["seeking"]) == (4, None)
            assert (await alice.ask("replay/seek", seq=7))["result"]["seq"] == 7

    asyncio.run(go())


def test_a_replay_answers_about_the_past_of_its_position(tmp_path: Path) -> None:
    """From the history. A later moment has not come yet."""
    path = tmp_path / "exchange.db"
    write_journal(path, ((START_US + n, command) for n, command in enumerate([*MARKET, OpenAccount("carol", 1)], 1)))
    update_history(path, lambda sentence: None, lambda done, total: None)

    async def go() -> None:
        async with (
            serving(path, ReplayOptions(1, 11, None, is_paused=True)) as (_, url, _),
            connect(url) as connection,
        ):
            carol = Client(connection)
            auth = {"grant_type": "client_credentials", "client_id": "carol"}
            assert (await carol.ask("public/auth", **auth))["result"] == {"user_id": "carol"}
            async with client(url) as alice:
                await alice.ask("replay/seek", seq=9)
                assert (await alice.ask("public/get_head", at_seq=7))["result"]["seq"] == 7
                assert (await alice.ask("public/get_head", at_seq=10))["error"]["data"]["reason"] == "unknown_moment"
                await alice.ask("replay/seek", seq=11)
                steps = (await alice.ask("private/explain_order", order_id=1))["result"]["steps"]
                assert [step["step"] for step in steps] == ["placed", "filled"]
                # What may be asked about the own account may not be asked about another.
                await alice.ask("replay/seek", seq=9)
                found = (await alice.ask("public/get_timeline", buckets=1))["result"]
                assert (found["first_seq"], found["last_seq"]) == (1, 9)
                assert (await alice.ask("private/get_profit_history", points=2))["result"]["user_id"] == "alice"
                run = (await alice.ask("private/what_if", rules={"fees": "0/100"}))["result"]
                assert (run["user_id"], run["to_seq"]) == ("alice", 9)
                ahead = await alice.ask("private/what_if", rules={"fees": "0/100"}, to_seq=10)
                assert ahead["error"]["data"]["reason"] == "unknown_moment"
                for answer in (
                    await alice.ask("private/get_profit_history", user_id="carol"),
                    await alice.ask("private/explain_order", user_id="carol", order_id=1),
                    await alice.ask("private/what_if", user_id="carol", without_orders=[1]),
                ):
                    assert answer["error"]["code"] == 1025

    asyncio.run(go())


def forbid_restoring(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Engine:
        raise AssertionError("a state was restored")

    monkeypatch.setattr(ReplayServer, "_engine_after", fail)


def test_a_seek_forward_applies_only_the_commands_on_the_way(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is restored, streams skip what is between, and a seek to the present position changes nothing."""

    async def go() -> None:
        async with (
            serving(path, ReplayOptions(1, 10, None, is_paused=True)) as (served, url, _),
            connect(url) as connection,
        ):
            one = Client(connection)
            await one.ask("replay/seek", seq=6)
            await one.ask("public/subscribe", channels=[f"book.{INSTRUMENT}.5", f"trades.{INSTRUMENT}"])
            await one.ask("public/test")
            forbid_restoring(monkeypatch)
            applied: list[int] = []

            def step(engine: Engine, record: Record) -> Any:
                applied.append(record.seq)
                return replay_step(engine, record)

            monkeypatch.setattr("exchange.history.replay_moves.replay_step", step)
            engine = served.engine
            one.received.clear()
            assert (await one.ask("replay/seek", seq=6))["result"]["seq"] == 6
            await one.ask("public/test")
            assert one.received == []
            assert (await one.ask("replay/seek", seq=9))["result"]["seq"] == 9
            assert (served.engine is engine, applied) == (True, [7, 8, 9])
            assert [m["params"]["data"]["type"] for m in one.received] == ["snapshot"]
            live = recover(path, lambda s: None, lambda d, t: None, up_to=9).engine
            assert served.engine.digest() == live.digest()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("by", "start", "count", "end"),
    [
        ("command", 6, 1, 7),
        ("command", 6, 3, 9),
        ("command", 6, 1_000, 10),
        ("command", 6, -1, 5),
        ("command", 6, -1_000, 1),
        # Commands 8 and 9 trade.
        ("trade", 6, 1, 8),
        ("trade", 6, 2, 9),
        ("trade", 8, 1, 9),
        ("trade", 9, 1, 10),
        ("trade", 10, -1, 9),
        ("trade", 10, -2, 8),
        ("trade", 9, -1, 8),
        ("trade", 8, -1, 1),
        # One command a second.
        ("second", 6, 1, 7),
        ("second", 6, 3, 9),
        ("second", 6, -2, 4),
        ("second", 6, -1_000, 1),
    ],
)
def test_steps(path: Path, by: str, start: int, count: int, end: int) -> None:
    """A step pauses the replay and gives the state that a replay gives, from wherever it starts."""

    async def go() -> None:
        async with serving(path, ReplayOptions(1, 10, None)) as (served, url, _), connect(url) as connection:
            one = Client(connection)
            await one.ask("replay/seek", seq=start)
            status = (await one.ask("replay/step", by=by, count=count))["result"]
            assert (status["seq"], status["paused"]) == (end, True)
            expected = recover(path, lambda s: None, lambda d, t: None, up_to=end).engine
            assert served.engine.digest() == expected.digest()

    asyncio.run(go())


def test_a_step_forward_is_published_and_one_back_begins_books_again(path: Path) -> None:
    async def go() -> None:
        async with (
            serving(path, ReplayOptions(1, 10, None, is_paused=True)) as (_, url, _),
            connect(url) as connection,
        ):
            one = Client(connection)
            await one.ask("replay/seek", seq=6)
            await one.ask("public/subscribe", channels=[f"book.{INSTRUMENT}.5", f"trades.{INSTRUMENT}"])
            await one.ask("replay/step", by="trade", count=2)
            await one.ask("public/test")
            trades = [m["params"] for m in one.received if m["params"]["channel"].startswith("trades.")]
            assert [params["seq"] for params in trades] == [8, 9]
            one.received.clear()
            await one.ask("replay/step", count=-1)
            await one.ask("public/test")
            assert [m["params"]["data"]["type"] for m in one.received] == ["snapshot"]
            for params in ({"count": 0}, {"count": 1_001}, {"by": "hour"}, {"count": 1.5}):
                assert (await one.ask("replay/step", **params))["error"]["code"] == -32602, params

    asyncio.run(go())


@pytest.mark.slow
def test_a_state_left_behind_needs_no_garbage_collection(path: Path) -> None:
    """No collection looks at the state of a replay. So each move must free the state before it."""

    def books() -> list[OrderBook]:
        return [known for known in gc.get_objects() if isinstance(known, OrderBook)]

    async def go() -> None:
        async with (
            serving(path, ReplayOptions(1, 10, None, is_paused=True)) as (served, url, _),
            connect(url) as connection,
        ):
            one = Client(connection)
            for seq in (9, 4, 8, 5, 7):
                await one.ask("replay/seek", seq=seq)
                await one.ask("replay/step", count=-1)
                await one.ask("replay/step", count=-1, by="trade")
            await one.ask("replay/seek", seq=9)
            gc.unfreeze()
            left = set(map(id, books())) - before
            assert left == set(map(id, served.engine.state.books.values())) != set()

    # The journal was written by a state that is garbage now.
    gc.unfreeze()
    gc.collect()
    before = set(map(id, books()))
    gc.disable()
    try:
        asyncio.run(go())
    finally:
        gc.enable()


def test_steps_of_many_clients_are_made_one_after_the_other(path: Path) -> None:
    async def go() -> None:
        async with serving(path, ReplayOptions(1, 10, None, is_paused=True)) as (_, url, _), connect(url) as one:
            for number, (method, params) in enumerate(
                [("replay/seek", {"seq": 8}), *[("replay/step", {"count": count}) for count in (-2, -1, 3, 1)]]
            ):
                await one.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
            answers = [json.loads(await one.recv()) for _ in range(5)]
            assert [(answer["id"], answer["result"]["seq"]) for answer in answers] == [
                (0, 8),
                (1, 6),
                (2, 5),
                (3, 8),
                (4, 9),
            ]

    asyncio.run(go())


def test_long_replays_leave_checkpoints_and_later_ones_start_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "exchange.db"
    play(path)
    monkeypatch.setattr("exchange.history.replay_checkpoints.CHECKPOINT_EVERY_US", 0)
    past = ReplayPast(path)
    digests = {seq: past.engine_at(seq, lambda d, t: None).digest() for seq in (350, 120, 260, 30)}
    # The last part of a way leaves none: after seq 300 there were 50 commands left.
    assert past.checkpoints.seqs == [100, 200]
    assert past.distance_to(350) == 150 + RESTORE_COMMANDS
    began: list[int] = []
    past.engine_at(280, lambda done, total: began.append(total))
    assert began[0] == 80
    for seq, digest in digests.items():
        assert digest == recover(path, lambda s: None, lambda d, t: None, up_to=seq).engine.digest()
    # A snapshot on disk that is nearer is used instead.
    SnapshotStore(path).save(recover(path, lambda s: None, lambda d, t: None, up_to=270).engine.snapshot())
    assert past.distance_to(280) == 10 + RESTORE_COMMANDS
    past.engine_at(280, lambda done, total: began.append(total))
    assert began[-1] == 10


def test_a_move_leaves_copies_for_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in commands: after a move, short ones back replay at most BACK_COMMANDS until they pass its copy."""
    path = tmp_path / "exchange.db"
    play(path)
    monkeypatch.setattr("exchange.history.replay_checkpoints.BACK_COMMANDS", 20)

    def counts(*seqs: int) -> list[int]:
        past, replayed = ReplayPast(path), [0] * len(seqs)
        for index, seq in enumerate(seqs):

            def note(_done: int, _total: int, index: int = index) -> None:
                replayed[index] += 1

            engine = past.engine_at(seq, note)
            engine.state.check()
            expected = recover(path, lambda s: None, lambda d, t: None, up_to=seq).engine
            assert expected.mismatch_with(engine.snapshot()) is None
        return replayed

    assert counts(300, 299, 298, 281, 280, 280, 279, 278) == [300, 19, 18, 1, 0, 0, 279, 19]
    # The copies are those of 80, 180, 280 and 370; then that of 40 takes the place of that of 80.
    assert counts(100, 200, 300, 390, 60, 100) == [100, 120, 120, 110, 60, 60]
    assert counts(100, 200, 300, 390, 190) == [100, 120, 120, 110, 10]


@pytest.mark.slow
@pytest.mark.parametrize("has_history", [False, True])
def test_a_trade_is_found_from_image_to_image(
    tmp_path: Path, has_history: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search goes back from one snapshot to the one before, and ends at the lowest seq. The history needs none."""
    path = tmp_path / "exchange.db"
    steps = [(ts_us, command) for ts_us, command, _ in random_steps(1, 400)]
    write_journal(path, steps, snapshots_at=(100, 200, 300, 390))
    replayed = replay_range(path, 1, 400, lambda d, t: None)
    traded = [step.record.seq for step in replayed if any(isinstance(event, Traded) for event in step.events)]
    assert len(traded) > 20
    if has_history:
        update_history(path, print, lambda done, total: None)
        monkeypatch.setattr(ReplayPast, "_traded", None)
    for before_seq in (400, 391, 301, 250, 101, 50):
        earlier = [seq for seq in traded if seq < before_seq]
        for count in (1, 2, len(earlier), len(earlier) + 1):
            for known_to in (0, before_seq, 350):
                past = ReplayPast(path)
                past.engine_at(known_to, lambda d, t: None)
                expected = earlier[-count] if 0 < count <= len(earlier) else 1
                assert past.seq_of_trade(before_seq, max(count, 1), 1, lambda d, t: None) == expected
                lowest_seq = before_seq - 20
                assert past.seq_of_trade(before_seq, max(count, 1), lowest_seq, lambda d, t: None) == max(
                    expected, lowest_seq
                )


def test_the_search_for_a_trade_leaves_a_copy_for_the_way_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "exchange.db"
    play(path, snapshots_at=(100, 200, 300))
    monkeypatch.setattr("exchange.history.replay_checkpoints.BACK_COMMANDS", 20)
    past = ReplayPast(path)
    assert past.seq_of_trade(300, 1, 1, lambda d, t: None) > 279
    assert past.distance_to(299) == 20 + RESTORE_COMMANDS


def test_checkpoints_are_limited_in_number_and_bytes(tmp_path: Path) -> None:
    """Beyond a limit the closest ones go, so that the others cover the whole journal."""
    few, small, size = Checkpoints(4), Checkpoints(bytes_max=100_000), 0

    def keep(engine: Engine) -> None:
        nonlocal size
        if engine.head.seq % 20 == 0:
            few.add(engine)
            small.add(engine)
            size = max(size, small.size_bytes)

    play(tmp_path / "exchange.db", seen=keep)
    assert len(few.seqs) == 4
    assert few.seqs[-1] == 400
    assert max(after - before for before, after in pairwise([0, *few.seqs])) <= 200
    assert 0 < size <= 100_000
    assert few.image(few.seqs[1]).seq == few.seqs[1]
    none = Checkpoints(bytes_max=1)
    none.add(Engine())
    assert none.seqs == []


@contextlib.asynccontextmanager
async def client_at(url: str, seq: int) -> AsyncIterator[Client]:
    async with connect(url) as connection:
        made = Client(connection)
        await made.ask("replay/seek", seq=seq)
        await made.ask("public/auth", grant_type="client_credentials", client_id="alice")
        yield made


@pytest.mark.slow
def test_replay_methods_are_unknown_to_the_live_exchange(tmp_path: Path) -> None:
    async def go() -> None:
        async with server(tmp_path / "exchange.db") as (_, url), client(url) as alice:
            assert (await alice.ask("replay/pause"))["error"]["code"] == -32601

    asyncio.run(go())


@pytest.mark.slow
def test_streams_catch_up_on_a_replay_too(path: Path) -> None:
    async def go() -> None:
        async with (
            serving(path, ReplayOptions(1, 10, None, is_paused=True)) as (_, url, _),
            connect(url) as connection,
        ):
            one = Client(connection)
            await one.ask("replay/seek", seq=8)
            answer = await one.ask("public/subscribe", channels=[f"trades.{INSTRUMENT}"], from_seq=1)
            assert answer["result"]["seq"] == 9
            assert (await one.receive())["params"]["seq"] == 8
            await one.ask("replay/resume")
            assert (await one.receive())["params"]["seq"] == 9

    asyncio.run(go())


def test_a_damaged_journal_ends_the_replay(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    play(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER commands_are_never_changed")
        connection.execute("UPDATE commands SET ts_us = ts_us + 1 WHERE seq = 300")

    async def go() -> None:
        async with serving(path, ReplayOptions(1, 400, None)) as (served, _, playing):
            served._start_playing()
            with pytest.raises(JournalDamagedError, match="seq 300 is damaged"):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await playing

    asyncio.run(go())
