"""Questions about the past: answered as the exchange answered then, from the history, by a process of its own."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange import subprocesses
from exchange.client import connect
from exchange.engine.alarm import Alarm, raise_alarm
from exchange.engine.recovery import replay, restore_base
from exchange.gateway import jsonrpc
from exchange.gateway.caller import Caller
from exchange.gateway.exchange_port import PastAnswer, PastQuestion
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.methods import METHODS
from exchange.gateway.params import ReadParams
from exchange.history_db.file import history_path
from exchange.history_db.update import delete_history, update_history
from exchange.journal.opening import open_journal_reader
from exchange.past import service
from exchange.past.answers import PastAnswers
from exchange.past.service import PastService
from exchange.runtime.follower import read_status
from tests.fake_exchange import FakeExchange
from tests.market_commands import market_steps
from tests.market_story import write_steps
from tests.random_commands import USERS
from tests.wire import INSTRUMENT, PatientNode, Server, Wire
from tests.wire import exchange as running_exchange

SEED, COUNT, MOMENTS = 7, 500, 12


class PresentCaller(Caller):
    """A user who asks about the present; methods that read need no connection."""

    def __init__(self, exchange: FakeExchange, user_id: str) -> None:
        self.exchange = exchange
        self.user_id = user_id


def ignore(*_: object) -> None:
    pass


def text_of(method: str, caller: Caller, params: dict[str, Any]) -> bytes:
    """The answer of a session to a question about the present."""
    try:
        decoded = METHODS[method].decode(msgspec.Raw(msgspec.json.encode(params)))
        return jsonrpc.result_text(b"1", METHODS[method].handle(caller, decoded))
    except RpcError as error:
        return jsonrpc.error_text(b"1", error)


def past_text_of(answer: PastAnswer) -> bytes:
    """The answer of a session to a question about the past."""
    if answer.error is not None:
        return jsonrpc.error_text(b"1", RpcError(**answer.error))
    assert answer.behind is None, answer
    return jsonrpc.result_text(b"1", answer.result)


def questions(exchange: FakeExchange) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every method that reads, with its caller and its parameters: of all users and assets, and some instruments."""
    views = exchange.views
    names = list(views.instruments)
    of_instrument = [{"instrument_id": name} for name in (*names[:3], *names[-3:], "SOL_USDC-1JAN27-1-C")]
    of_asset: list[dict[str, Any]] = [{}, *({"asset": asset} for asset in ("SOL", "BTC", "ETH", "XRP"))]
    finished = [order for user_id in USERS for order in views.finished_orders(user_id, 100)]
    pages: list[dict[str, Any]] = [{"count": 3}, {"count": 3, "before": 20}, {"before": 40}, *of_instrument]
    pages += [{"instrument_id": order.instrument_id, "before": order.order_id} for order in finished[::8]]
    for name, method in METHODS.items():
        if not issubclass(method.params, ReadParams) or method.always_past:
            continue
        fields = method.params.__struct_fields__
        users = [user for user in USERS if user in views.balances.users] if method.access == "private" else ["admin"]
        every: list[dict[str, Any]] = [{}]
        if name == "admin/get_account":
            every = [{"user_id": user} for user in (*views.balances.users, "nobody")]
        elif "instrument_id" in fields and method.access != "private":
            every = of_instrument
        elif "asset" in fields:
            every = of_asset
        elif {"instrument_id", "before"} <= set(fields):
            every += pages
        yield from ((name, user, params) for user in users for params in every)


@pytest.mark.slow
def test_answers_about_the_past_are_those_of_that_moment(tmp_path: Path) -> None:
    """Byte for byte, at random moments of a random market, whatever was asked before."""
    path = tmp_path / "exchange.db"
    write_steps(path, ((step.ts_us, step.command) for step in market_steps(SEED, COUNT)))
    update_history(path, ignore, ignore)
    moments = random.Random(SEED).sample(range(2, COUNT + 1), MOMENTS)
    exchange, recorded = FakeExchange(), []
    with open_journal_reader(path) as reader:
        engine = exchange.engine = restore_base(reader, 0)
        for record in reader.records(engine.head):
            replay(engine, record)
            if record.seq in moments:
                for method, user_id, params in questions(exchange):
                    answer = text_of(method, PresentCaller(exchange, user_id), params)
                    recorded.append((record.seq, record.ts_us, method, user_id, params, answer))
    assert len(recorded) > 80 * MOMENTS
    random.Random(SEED).shuffle(recorded)
    with closing(PastAnswers(path, lambda end: True)) as answers:
        for seq, ts_us, method, user_id, params, answer in recorded:
            raw = msgspec.Raw(msgspec.json.encode(params))
            at = (seq, None) if seq % 2 else (None, ts_us)
            asked = answers.answer(PastQuestion(method, raw, user_id, *at))
            if method == "private/get_order_history":
                check_page(past_text_of(asked), answer, **params)
            else:
                assert past_text_of(asked) == answer, (seq, method, user_id, params)


def check_page(
    text: bytes, live_text: bytes, count: int = 100, before: int = COUNT, instrument_id: str | None = None
) -> None:
    """The rules may have let the exchange forget some finished orders. The history keeps all of them."""
    page, live = (msgspec.json.decode(one).get("result", []) for one in (text, live_text))
    known = iter(page)
    assert all(order in known for order in live), live
    assert len(page) <= count and all(order["order_id"] < before for order in page)
    assert all(instrument_id in (None, order["instrument_id"]) for order in page)


@contextlib.asynccontextmanager
async def trading(path: Path) -> AsyncIterator[tuple[Server, Wire, Wire]]:
    """A running exchange with alice and bob."""
    async with running_exchange(path) as server:
        yield server, await server.client("alice"), await server.client("bob")


async def kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_running_exchange_answers_about_its_past(tmp_path: Path) -> None:
    """Right after the command, to each user about the own account, and also if the process that reads is killed."""
    pids: list[int | None] = []

    async def conversation() -> None:
        async with trading(tmp_path / "exchange.db") as (server, alice, bob):
            seq = (await alice.buy())["result"]["seq"]
            asked: list[tuple[str, dict[str, Any]]] = [
                ("private/get_open_orders", {}),
                ("private/get_balance", {}),
                ("public/get_order_book", {"instrument_id": INSTRUMENT, "depth": 5}),
            ]
            before = [await alice.ask(method, **params) for method, params in asked]
            assert len(before[0]["result"]) == 1
            await alice.ask("private/cancel_all")
            assert [await alice.ask(method, **params, at_seq=seq) for method, params in asked] == before
            assert (await bob.ask("private/get_open_orders", at_seq=seq))["result"] == []
            async with connect(server.url) as typed:
                book = await typed.get_order_book(INSTRUMENT, at_seq=seq)
                assert (book.seq, [level.size_milli for level in book.bids]) == (seq, [1_000])
            async with connect(server.url, "alice") as typed:
                (entry,) = await typed.get_transaction_log(count=3)
                assert (entry.type, entry.change_micros, entry.balance_micros) == ("opening", *[10_000_000_000] * 2)
                assert await typed.get_transaction_log(end_us=entry.ts_us - 1) == []
            answer = await bob.ask("admin/get_account", user_id="alice", at_seq=seq)
            assert answer["error"]["data"]["reason"] == "not_permitted"

            pids.append(server.node.past_service.pid)
            await kill(pids[-1])
            assert await alice.ask("private/get_balance", at_seq=seq) == before[1]
            pids.append(server.node.past_service.pid)
            assert pids[-1] not in (None, pids[0])
            # It dies while it works on the question of one client.
            os.kill(pids[-1] or 0, signal.SIGSTOP)
            answering = asyncio.create_task(alice.ask("private/get_open_orders", at_seq=seq))
            await bob.ask("public/test")
            await kill(pids[-1])
            assert await answering == before[0]
            pids.append(server.node.past_service.pid)
        with pytest.raises(ProcessLookupError):
            os.kill(pids[-1] or 0, 0)

    asyncio.run(conversation())


@pytest.mark.slow
def test_the_error_tells_a_follower_that_is_behind_from_one_that_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "exchange.db"
    monkeypatch.setattr(PatientNode, "history_wait_seconds", 0.1)
    # The follower must not be back before the question about its end.
    monkeypatch.setattr(subprocesses, "RETRY_SECONDS", 600.0)

    async def conversation() -> None:
        async with trading(path) as (server, alice, bob):

            async def detail_of_new_order() -> str:
                seq = (await alice.buy())["result"]["seq"]
                error = (await alice.ask("private/get_open_orders", at_seq=seq))["error"]
                assert (error["code"], error["data"]["reason"]) == (1031, "history_unavailable")
                assert error["data"]["detail"].startswith("the history ends with seq ")
                # Everything else goes on.
                assert (await alice.ask("private/get_open_orders"))["result"][-1]["order_id"]
                return str(error["data"]["detail"])

            while "error" in await bob.ask("public/get_status", at_seq=1):
                pass
            while (status := read_status(path)) is None:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.01)
            os.kill(status.pid, signal.SIGSTOP)
            assert "the follower, which writes it, is running but behind" in await detail_of_new_order()
            await kill(status.pid)
            # On a busy machine, a process of low priority needs some time to end.
            while server.node._follower.is_running:  # noqa: ASYNC110 - another process ends
                await asyncio.sleep(0.01)
            assert "the follower, which writes it, has ended: it starts again soon" in await detail_of_new_order()
            raise_alarm(path, Alarm(5, "other events", compared_seq=3))
            assert "the history ends at seq 3 because of an alarm: other events" in await detail_of_new_order()

    asyncio.run(conversation())


def test_a_history_that_is_missing_foreign_or_new(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    write_steps(path, ((step.ts_us, step.command) for step in market_steps(SEED, 40)))
    question = PastQuestion("public/get_status", msgspec.Raw(b"{}"), "", 30)
    with closing(PastAnswers(path, lambda end: end.seq != 30)) as answers:
        assert "there is no history at" in str(answers.answer(question).reason)
        update_history(path, ignore, ignore)
        assert bytes(answers.answer(question).result) == b'{"halted":false,"reopening":[],"seq":30}'
        # Another file takes its place, shorter at first.
        history_path(path).rename(tmp_path / "old.db")
        delete_history(path)
        short = tmp_path / "short.db"
        write_steps(short, ((step.ts_us, step.command) for step in market_steps(SEED, 30)))
        update_history(short, ignore, ignore)
        history_path(short).rename(history_path(path))
        later = msgspec.structs.replace(question, at_seq=41)
        assert answers.answer(later) == PastAnswer(behind=40)
        assert answers.answer(later).reason == "the history does not belong to this journal"


def test_questions_are_bounded_and_end_with_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If too many wait, and if each process ends or hangs before it answers."""
    monkeypatch.setattr(service, "QUESTIONS_MAX", 2)
    monkeypatch.setattr(service, "ANSWER_SECONDS", 0.05)
    question = PastQuestion("public/get_status", msgspec.Raw(b"{}"), "", 1)
    starts = 0

    class Silent(asyncio.StreamReader):
        def __init__(self, hangs: bool) -> None:
            super().__init__()
            if not hangs:
                self.feed_eof()

    class Input:
        def write(self, _data: bytes) -> None:
            pass

        async def drain(self) -> None:
            pass

    class Process:
        pid = 1

        def __init__(self, hangs: bool) -> None:
            self.stdin, self.stdout = Input(), Silent(hangs)

    @contextlib.asynccontextmanager
    async def run_silent(*_arguments: object, **_pipes: object) -> AsyncIterator[Process]:
        nonlocal starts
        starts += 1
        yield Process(hangs=starts % 2 == 0)

    monkeypatch.setattr(service, "run_module", run_silent)

    async def ask() -> None:
        past = PastService(tmp_path / "exchange.db", lambda: "nothing writes it")
        loop = asyncio.get_running_loop()
        outcomes: list[asyncio.Future[Any]] = [loop.create_future() for _ in range(3)]
        for outcome in outcomes:
            past.ask(question, outcome.set_result)
        reasons = [(await outcome).data["reason"] for outcome in outcomes]
        assert reasons == ["history_unavailable", "history_unavailable", "rate_limit_exceeded"]
        await past.stop()

    asyncio.run(ask())
    assert starts == 4
