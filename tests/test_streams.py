"""Streams that begin in the past: replayed, buffered and live notifications follow each other without a hole."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.catch_up import outbox, streams
from exchange.catch_up.request import CatchUpRequest
from exchange.catch_up.streams import CommandUpdate, RecentUpdates, encode, key_of, update_of
from exchange.catch_up.worker import messages_of
from exchange.domain.commands import Command, decode_command, encode_command
from exchange.engine.engine import Engine
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head, chain
from tests.fake_exchange import Connection, FakeExchange
from tests.journals import write_journal
from tests.market_commands import market_steps
from tests.random_commands import USERS, random_steps

CALL = "SOL_USDC-28FEB26-150-C"
STREAMS = [f"trades.{CALL}", "user.orders", "user.trades", "user.balance"]


def request(method: str, request_id: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def subscribe(from_seq: int | None, *channels: str, request_id: Any = "sub") -> dict[str, Any]:
    given = {} if from_seq is None else {"from_seq": from_seq}
    return request("public/subscribe", request_id, channels=list(channels or STREAMS), **given)


def buy(request_id: Any = "buy") -> dict[str, Any]:
    return request("private/buy", request_id, instrument_id=CALL, price=1_500_000, amount=1_000)


class Scene:
    """An exchange whose catch-ups continue only if the test says so. Commands 5 to 8 place alice's orders 1 to 4."""

    def __init__(self) -> None:
        self.exchange = FakeExchange()
        self.exchange.finishes_catch_ups = False

    async def begin(self) -> Connection:
        await self.exchange.start(CALL)
        self.trader = await self.enter("alice")
        await self.send(self.trader, *[buy()] * 4)
        assert self.exchange.subscriptions.recent.next_seq == 9
        return await self.enter("alice")

    async def enter(self, user_id: str) -> Connection:
        connection = self.exchange.connect()
        await self.send(connection, request("public/auth", grant_type="client_credentials", client_id=user_id))
        connection.take()
        return connection

    async def send(self, connection: Connection, *frames: Any) -> None:
        for frame in frames:
            connection.send(json.dumps(frame))
        await self.exchange.settle()

    async def is_asked(self) -> bool:
        """True if a catch-up is running, after one turn of the event loop."""
        await asyncio.sleep(0)
        return bool(self.exchange.catch_ups)


def received(connection: Connection) -> list[Any]:
    """Everything that arrived: the id of an answer, a list of ids for a batch, channel and seq of a notification."""
    connection.check()
    return [_brief(json.loads(text)) for text in connection.take()]


def _brief(message: Any) -> Any:
    if isinstance(message, list):
        return [answer["id"] for answer in message]
    if "id" in message:
        return message["id"]
    return message["params"]["channel"], message["params"].get("seq") or message["params"]["data"]["seq"]


def orders(*seqs: int) -> list[tuple[str, int]]:
    return [("user.orders", seq) for seq in seqs]


Conversation = Callable[[Scene, Connection], Coroutine[Any, Any, None]]


@pytest.fixture
def hold() -> Callable[[Conversation], None]:
    """Hold a conversation with a new scene, and check the state at its end."""

    def hold_it(conversation: Conversation) -> None:
        async def whole() -> None:
            scene = Scene()
            await conversation(scene, await scene.begin())
            scene.exchange.engine.state.check()
            await scene.exchange.stop()

        asyncio.run(whole())

    return hold_it


Hold = Callable[[Conversation], None]


def test_replayed_then_buffered_then_live_notifications(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, subscribe(6, "user.orders"))
        (catch_up,) = scene.exchange.catch_ups
        assert catch_up.missed == CatchUpRequest(6, 8, "alice", ("user.orders",))
        assert received(alice) == ["sub"]
        await scene.send(scene.trader, buy())
        assert received(alice) == []
        catch_up.deliver(2)
        await scene.send(scene.trader, buy())
        assert received(alice) == orders(6, 7)
        catch_up.deliver()
        assert received(alice) == orders(8, 9, 10)
        await scene.send(scene.trader, buy())
        assert received(alice) == orders(11)

    hold(conversation)


def test_answers_and_live_channels_do_not_wait_for_a_catch_up(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, subscribe(None, "user.balance"), subscribe(1, "user.orders", f"book.{CALL}.1"))
        assert received(alice) == ["sub", ("user.balance", 8), "sub", (f"book.{CALL}.1", 8)]
        await scene.send(alice, request("public/test", "test"), buy())
        assert received(alice) == ["test", "buy", ("user.balance", 9), (f"book.{CALL}.1", 9)]
        scene.exchange.catch_ups[0].deliver()
        assert received(alice) == orders(5, 6, 7, 8, 9)

    hold(conversation)


def test_the_answer_names_the_first_command_that_comes_live(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        alice.send(json.dumps(subscribe(9, "user.orders")))
        answer = json.loads(alice.take()[0])
        assert answer["result"] == {"channels": ["user.orders"], "seq": 9}
        assert not scene.exchange.catch_ups, "nothing was missed"
        await scene.send(alice, buy(), subscribe(None, "user.orders"))
        assert received(alice) == ["buy", "sub", *orders(9)]

    hold(conversation)


def test_a_subscription_between_a_command_and_its_notifications(hold: Hold) -> None:
    """The subscription is handled after the answer to the command and before its notifications."""

    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, buy(), subscribe(8, "user.orders"))
        (catch_up,) = scene.exchange.catch_ups
        assert catch_up.missed.up_to == 8
        catch_up.deliver()
        assert received(alice) == ["buy", "sub", *orders(8, 9)]

    hold(conversation)


def test_a_catch_up_that_starts_in_a_batch_waits_for_its_answer(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        alice.send(json.dumps([buy(1), subscribe(7, "user.orders", request_id=2), buy(3)]))
        while not await scene.is_asked():
            pass
        (catch_up,) = scene.exchange.catch_ups
        assert catch_up.is_paused and received(alice) == [], "the batch is not answered yet"
        await scene.exchange.settle()
        assert not catch_up.is_paused and received(alice) == [[1, 2, 3]]
        catch_up.deliver()
        assert received(alice) == orders(7, 8, 9, 10)

    hold(conversation)


def test_notifications_replayed_during_a_batch_follow_its_answer(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, subscribe(7, "user.orders"))
        (catch_up,) = scene.exchange.catch_ups
        alice.send(json.dumps([request("public/test", 1), buy(2)]))
        assert catch_up.is_paused
        catch_up.pause(False)  # as if these were delivered before the pause
        catch_up.deliver()
        assert received(alice) == ["sub"]
        await scene.exchange.settle()
        assert received(alice) == [[1, 2], *orders(7, 8, 9)]

    hold(conversation)


def test_too_many_notifications_behind_an_unanswered_batch(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "BATCH_BUFFER_MAX", 2_000)

    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, subscribe(None, "user.orders"))
        alice.send(json.dumps([buy(), request("public/get_time")]))
        alice.session.set_backpressure(True)  # the client takes nothing
        for _ in range(50):
            scene.trader.send(json.dumps(buy()))
        for _ in range(1_000):
            await asyncio.sleep(0)
        alice.session.set_backpressure(False)
        await scene.exchange.settle()
        alice.check()
        held = [one for one in alice.take() if b"user.orders" in one]
        assert len(alice.reasons) == 1 and sum(map(len, held)) <= 2_000

    hold(conversation)


def test_unsubscribing_during_a_catch_up(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, subscribe(7, "user.orders", "user.balance"), subscribe(8, "user.trades"))
        (catch_up,) = scene.exchange.catch_ups  # one after the other
        catch_up.deliver(1)
        await scene.send(alice, buy(), request("public/unsubscribe", "un", channels=["user.balance"]))
        catch_up.deliver(2)
        assert received(alice) == ["sub", "sub", *orders(7), "buy", "un", *orders(8)]
        await scene.send(alice, request("public/unsubscribe", "un", channels=["user.orders"]))
        assert catch_up.is_over
        assert scene.exchange.catch_ups[1].missed == CatchUpRequest(8, 9, "alice", ("user.trades",))
        await scene.send(alice, request("public/unsubscribe", "un", channels=["user.trades"]), buy())
        assert scene.exchange.catch_ups[1].is_over
        assert received(alice) == ["un", "un", "buy"]
        assert not scene.exchange.subscriptions._listeners and not alice.session.channels._catch_ups._by_channel

    hold(conversation)


def test_unsubscribing_in_the_same_batch(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        leave = request("public/unsubscribe", "un", channels=["user.orders"])
        await scene.send(alice, [subscribe(1, "user.orders"), leave])
        assert scene.exchange.catch_ups[0].is_over
        await scene.send(alice, [subscribe(None, "user.orders"), leave], buy())
        assert received(alice) == [["sub", "un"], ["sub", "un"], "buy"]
        await scene.send(alice, [subscribe(1, "user.orders"), leave, subscribe(None, "user.orders")], buy())
        await scene.send(alice, [leave, subscribe(None, "user.orders"), subscribe(8, "user.orders")], buy())
        scene.exchange.catch_ups[-1].deliver()
        first = [["sub", "un", "sub"], "buy", *orders(10)]
        assert received(alice) == [*first, ["un", "sub", "sub"], "buy", *orders(8, 9, 10, 11)]

    hold(conversation)


def test_a_second_subscription_replays_from_another_command(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, subscribe(5, "user.orders"))
        scene.exchange.catch_ups[0].deliver(3)
        await scene.send(alice, subscribe(7, "user.orders"))
        assert scene.exchange.catch_ups[0].is_over
        scene.exchange.catch_ups[1].deliver()
        assert received(alice) == ["sub", *orders(5, 6, 7), "sub", *orders(7, 8)]
        await scene.send(alice, buy(), subscribe(8, "user.orders"))
        scene.exchange.catch_ups[2].deliver()
        assert received(alice) == ["buy", "sub", *orders(8, 9)]

    hold(conversation)


def test_subscribing_again_without_from_seq_keeps_the_catch_up(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, subscribe(7, "user.orders"), subscribe(7, "user.balance"))
        await scene.send(alice, subscribe(None, "user.orders", "user.balance"), buy())
        assert received(alice) == ["sub", "sub", "sub", "buy"]
        scene.exchange.catch_ups[0].deliver()
        scene.exchange.catch_ups[1].deliver()
        assert received(alice) == [*orders(7, 8, 9), *[("user.balance", seq) for seq in (7, 8, 9)]]

    hold(conversation)


def test_an_overrun_buffer_is_replayed_from_the_journal(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "CATCH_UP_BUFFER_MAX", 1_000)  # some two of them

    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, subscribe(8, "user.orders"))
        await scene.send(scene.trader, *[buy()] * 20)
        running = alice.session.channels._catch_ups._running
        assert running is not None and running.buffer is not None and running.buffer.is_overrun
        scene.exchange.catch_ups[0].deliver()
        await scene.send(scene.trader, buy())
        assert received(alice) == ["sub", *orders(8)]
        assert scene.exchange.catch_ups[1].missed == CatchUpRequest(9, 28, "alice", ("user.orders",))
        scene.exchange.catch_ups[1].deliver()
        await scene.send(scene.trader, buy())
        assert received(alice) == orders(*range(9, 31))

    hold(conversation)


def test_a_failed_catch_up_closes_the_connection(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, subscribe(5, "user.orders"))
        scene.exchange.catch_ups[0].deliver(1)
        scene.exchange.catch_ups[0].fail("the disk is gone")
        assert alice.reasons == ["the disk is gone"]
        await scene.send(scene.trader, buy())
        assert received(alice) == ["sub", *orders(5)], "a hole"
        scene.exchange.disconnect(alice)

    hold(conversation)


def test_backpressure_pauses_a_catch_up_and_closing_ends_it(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, subscribe(5, "user.orders"), subscribe(5, "user.balance"))
        (catch_up,) = scene.exchange.catch_ups
        alice.session.set_backpressure(True)
        assert catch_up.is_paused
        alice.session.set_backpressure(False)
        assert not catch_up.is_paused
        scene.exchange.disconnect(alice)
        assert catch_up.is_over and len(scene.exchange.catch_ups) == 1, (
            "the queued catch-up started for a closed connection"
        )
        assert not scene.exchange.subscriptions._listeners

    hold(conversation)


def test_a_seek_during_a_catch_up(hold: Hold) -> None:
    """After `replay/seek` missed notifications are skipped, and queued streams are live too."""

    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, subscribe(5, "user.orders", request_id=1), subscribe(5, "user.balance", request_id=2))
        (catch_up,) = scene.exchange.catch_ups
        catch_up.deliver(1)
        await scene.send(scene.trader, buy())
        alice.session.on_seek()
        assert catch_up.is_over
        await scene.send(scene.trader, buy())
        assert received(alice) == [1, 2, *orders(5), *orders(10), ("user.balance", 10)]

    hold(conversation)


def test_a_seek_subscribes_no_closed_session(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, subscribe(5, "user.orders"), subscribe(5, "user.balance"))
        alice.session.close()
        alice.session.on_seek()
        assert not scene.exchange.subscriptions._listeners

    hold(conversation)


def test_a_catch_up_that_starts_under_backpressure_is_paused(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        await scene.send(alice, subscribe(5, "user.orders"), subscribe(5, "user.balance"))
        alice.session.set_backpressure(True)
        scene.exchange.catch_ups[0].pause(False)
        scene.exchange.catch_ups[0].deliver()
        assert scene.exchange.catch_ups[1].is_paused

    hold(conversation)


def test_commands_in_a_missing_archive_are_refused(hold: Hold) -> None:
    async def conversation(scene: Scene, alice: Connection) -> None:
        scene.exchange.first_seq = 5
        alice.send(json.dumps(subscribe(4)))
        error = json.loads(alice.take()[0])["error"]
        assert error["code"] == -32602 and error["data"]["reason"] == "from_seq_archived"
        assert error["data"]["first_seq"] == 5 and not alice.session.channels.subscribed
        await scene.send(alice, subscribe(5, "user.orders"))
        scene.exchange.catch_ups[0].deliver()
        assert received(alice) == ["sub", *orders(5, 6, 7, 8)]

    hold(conversation)


Steps = Callable[[], Iterator[tuple[int, Command]]]


def plain(seed: int) -> Steps:
    return lambda: ((ts_us, command) for ts_us, command, _ in random_steps(seed, 400))


def market(seed: int) -> Steps:
    return lambda: ((ts_us, command) for ts_us, command, _ in market_steps(seed, 600))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [*map(plain, range(3)), *map(market, (7, 10))])
def test_memory_and_journal_give_the_same_notifications(tmp_path: Path, steps: Steps) -> None:
    path = tmp_path / "exchange.db"
    end = write_journal(path, steps(), snapshots_at=(100, 200)).head.seq
    engine, recent = Engine(), RecentUpdates(0)
    with open_journal_reader(path) as reader:
        records = list(reader.records(Head()))
    for record in records:
        _, change = engine.step(record, decode_command(record.payload))
        recent.add(change, engine.views)
    channels = (
        *(f"trades.{name}" for name in engine.views.instruments),
        *STREAMS[1:],
        "user.positions",
        "settlement",
        "status",
    )
    channels += tuple(f"{kind}.{asset}" for asset in engine.views.indexes for kind in ("index", "instruments"))
    for first, last in ((1, end), (1, 1), (150, 250), (201, end), (end, end)):
        for user_id in engine.views.balances.users:
            wanted = {key_of(name, user_id) for name in channels}
            updates = recent.between(first, last)
            assert updates is not None and [one.seq for one in updates] == list(range(first, last + 1))
            live = [(one.seq, key[0], text) for one in updates for key, text in encode(one, wanted)]
            assert list(messages_of(path, CatchUpRequest(first, last, user_id, channels))) == live
            assert live or last - first < 200


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_streams_with_listeners_are_remembered_and_nothing_else(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams get and lose their listeners at random. All updates, with everything, are the reference."""
    monkeypatch.setattr(streams, "RECENT_MAX", 40)
    chance, engine, recent, everything = random.Random(seed), Engine(), RecentUpdates(0), []
    keys = [(name, user_id) for name in ("user.orders", "user.positions", "user.balance") for user_id in USERS[:3]]
    since: dict[tuple[str, str], int] = {}
    idle: dict[tuple[str, str], int] = {}
    found = 0
    for seq, (ts_us, command, _) in enumerate(market_steps(seed, 500), 1):
        key = chance.choice(keys)
        if chance.random() < 0.1:
            recent.listen(key)
            since.setdefault(key, seq)
            idle.pop(key, None)
        elif chance.random() < 0.1 and key in since and key not in idle:
            recent.unlisten(key)
            idle[key] = seq
        (record,) = chain(engine.head, [(ts_us, encode_command(command).decode())])
        _, change = engine.step(record, command)
        everything.append(update_of(change, engine.views))
        recent.add(change, engine.views)
        for gone in [one for one, from_seq in idle.items() if seq > 40 and from_seq + 40 <= seq]:
            del since[gone], idle[gone]
        first = max(1, seq - chance.randrange(45))
        wanted = set(chance.sample(keys, 2))
        updates = recent.between(first, seq, wanted)
        is_there = seq <= 40 or all(since.get(one, seq + 1) <= max(first, 41) for one in wanted)
        assert (updates is not None) == (is_there and seq - first < 40)
        if updates is not None:
            told = [text for one in updates for _, text in encode(one, wanted)]
            assert told == [text for one in everything[first - 1 :] for _, text in encode(one, wanted)]
            found += len(told)
    assert found > 50


def test_without_listeners_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RECENT_MAX", 0)
    engine, recent = Engine(), RecentUpdates(0)
    for ts_us, command, _ in market_steps(7, 50):
        (record,) = chain(engine.head, [(ts_us, encode_command(command).decode())])
        _, change = engine.step(record, command)
        assert recent.add(change, engine.views) is None
    assert recent.next_seq == 51 and recent.between(50, 50) is None


def test_recent_updates_know_which_commands_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RECENT_MAX", 3)
    recent = RecentUpdates(10)
    assert recent.between(11, 10) == [] and recent.between(10, 10) is None
    for seq in range(11, 16):
        recent.append(CommandUpdate(seq, [], [], [], [], [], None, [], [], None))
    assert recent.between(12, 15) is None
    updates = recent.between(13, 14)
    assert updates is not None and [one.seq for one in updates] == [13, 14]
