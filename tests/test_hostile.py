"""Hostile clients: every request is answered once and in turn, and the state of the exchange stays consistent."""

import asyncio
import gc
import json
import secrets
from collections.abc import Coroutine
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.domain.rules import Rules
from exchange.gateway.limits import BATCH_MAX, FRAME_MAX, GatewayLimits
from exchange.gateway.methods import METHODS
from exchange.gateway.session import Session
from exchange.journal.errors import JournalFullError
from exchange.runtime import pipeline
from tests.fake_exchange import START_US, Connection, FakeExchange

SUBSCRIPTIONS_MAX = GatewayLimits().subscriptions_max
SEEDS = 8
CALL = "SOL_USDC-28FEB26-150-C"
# Expires eight hours after the start.
PUT = "SOL_USDC-20FEB26-150-P"
ADMIN = '{"jsonrpc":"2.0","id":1,"method":"public/auth","params":{"grant_type":"client_credentials",'
ADMIN += '"client_id":"admin","client_secret":"the secret"}}'


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "UNAVAILABLE_PAUSE_SECONDS", 0)


def run(conversation: Coroutine[Any, Any, None]) -> None:
    asyncio.run(conversation)


def request(method: str, request_id: Any = 1, **params: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def auth(user_id: str) -> str:
    return request("public/auth", grant_type="client_credentials", client_id=user_id)


def answers(connection: Connection) -> list[Any]:
    return [json.loads(text) for text in connection.take()]


def fill(template: str) -> str:
    """Replace ? in `template` by the number of x that makes the longest possible frame."""
    return template.replace("?", "x" * (FRAME_MAX - len(template) + 1))


DEEP = 20_000
ODD_FRAMES = {
    "": -32700,
    " ": -32700,
    "\ufeff{}": -32700,
    "[" * FRAME_MAX: -32700,
    "[" * DEEP + "]" * DEEP: -32700,
    '{"a":' * DEEP + "1" + "}" * DEEP: -32700,
    '{"jsonrpc":"2.0","id":1,"method":"public/test","params":' + "[" * DEEP + "]" * DEEP + "}": -32700,
    '{"jsonrpc":"2.0","id":1,"method":"public/test","params":{"a":' + "[" * 500 + "]" * 500 + "}}": -32602,
    '{"jsonrpc":"2.0","id":' + "[" * 500 + "]" * 500 + ',"method":"public/test"}': -32600,
    '{"jsonrpc":"2.0","id":' + "9" * 4_000 + ',"method":"public/nothing"}': -32600,
    fill('{"jsonrpc":"2.0","id":"?","method":"public/nothing"}'): -32600,
    fill('{"jsonrpc":"2.0","id":1,"method":"?"}'): -32601,
    fill('{"jsonrpc":"?","id":1,"method":"public/test"}'): -32600,
    fill('{"jsonrpc":"2.0","id":1,"method":"public/test","params":{"?":1}}'): -32602,
    fill('{"jsonrpc":"2.0","id":1,"method":"public/subscribe","params":{"channels":["book.?.1"]}}'): 1023,
    fill('{"jsonrpc":"2.0","id":1,"method":"private/cancel_all","params":{"instrument_id":"?"}}'): -32602,
    fill('{"jsonrpc":"2.0","id":1,"method":"private/cancel","params":{"client_order_id":"?"}}'): -32602,
    fill(auth("alice").replace('"alice"', '"alice", "client_secret": "?"')): None,
    "[" + "," * 1_000 + "]": -32700,
    "[" + "1," * 30_000 + "1]": -32600,
}


@pytest.mark.parametrize("frame", ODD_FRAMES, ids=lambda frame: f"{frame[:30]!r} of {len(frame)}")
def test_odd_frame(frame: str) -> None:
    async def conversation() -> None:
        exchange = FakeExchange()
        await exchange.start(CALL)
        alice = exchange.connect()
        alice.send(auth("alice"))
        await exchange.settle()
        alice.take()
        alice.send(frame)
        alice.send(request("public/test", "still there"))
        await exchange.settle()
        alice.lawyer.rest()
        answer, after = answers(alice)
        assert answer.get("error", {}).get("code") == ODD_FRAMES[frame]
        assert after["id"] == "still there"
        assert len(exchange.journal.records[-1].payload) < 1_000, "a hostile client can fill the journal"
        await exchange.stop()

    run(conversation())


def test_commands_beyond_the_queue_limit_are_refused_in_turn() -> None:
    async def conversation() -> None:
        exchange = FakeExchange()
        exchange.queue_max = 3
        await exchange.start(CALL)
        alice = exchange.connect()
        alice.send(auth("alice"))
        await exchange.settle()
        alice.take()
        for n in range(6):
            alice.send(request("private/buy", n, instrument_id=CALL, price=1_500_000, amount=1_000))
        alice.send(request("private/get_balance", 6))
        await exchange.settle()
        got = answers(alice)
        assert [answer["id"] for answer in got] == list(range(7))
        assert [answer.get("error", {}).get("code") for answer in got] == [None, None, None, 1007, None, None, None]
        await exchange.stop()

    run(conversation())


def test_subscriptions_have_a_limit_and_are_made_all_or_none() -> None:
    async def conversation() -> None:
        exchange = FakeExchange()
        names = [f"SOL_USDC-28FEB26-{strike}-C" for strike in range(100, 121)]
        await exchange.start(*names)
        alice = exchange.connect()
        channels = [f"book.{name}.{depth}" for name in names for depth in range(1, 101)]
        for start in range(0, SUBSCRIPTIONS_MAX, 500):
            alice.send(request("public/subscribe", channels=channels[start : start + 500]))
        assert len(alice.take()) == SUBSCRIPTIONS_MAX // 500 + SUBSCRIPTIONS_MAX
        alice.send(request("public/subscribe", channels=channels[SUBSCRIPTIONS_MAX - 1 : SUBSCRIPTIONS_MAX + 1]))
        alice.send(request("public/subscribe", channels=channels[:501]))
        alice.send(request("public/subscribe", channels=channels[:1]))
        first, second, again, snapshot = answers(alice)
        assert first["error"]["code"] == second["error"]["code"] == -32602
        assert again["result"] == channels[:1] and snapshot["params"]["data"]["type"] == "snapshot"
        assert len(alice.session.channels.subscribed) == SUBSCRIPTIONS_MAX
        await exchange.stop()

    run(conversation())


def test_a_closed_connection_leaves_no_objects() -> None:
    async def conversation() -> None:
        exchange = FakeExchange()
        await exchange.start(CALL)
        for _ in range(3):
            for user_id in ("alice", "bob", "alice"):
                connection = exchange.connect()
                connection.send(auth(user_id))
                connection.send(request("private/enable_cancel_on_disconnect"))
                channels = ["user.orders", "user.trades", "user.balance", f"trades.{CALL}", f"book.{CALL}.7"]
                connection.send(request("public/subscribe", channels=channels))
                connection.send(request("public/unsubscribe", channels=channels[::2]))
                connection.send(request("private/buy", instrument_id=CALL, price=1_500_000, amount=1_000))
                await exchange.settle()
                connection.send(request("private/buy", instrument_id=CALL, price=1_500_000, amount=1_000))
                connection.send(request("private/get_balance"))
        assert _sessions() == before + 9
        # While an order is in flight.
        for connection in list(exchange.connections):
            exchange.disconnect(connection)
        await exchange.settle()
        assert exchange.subscriptions._listeners == {}
        assert not any(exchange.subscriptions._books.values())
        assert not any(exchange.subscriptions._cancel_on_disconnect.values())
        assert exchange.views.orders.open_orders("alice") == exchange.views.orders.open_orders("bob") == []
        exchange.engine.state.check()
        await exchange.stop()

    gc.collect()
    before = _sessions()
    asyncio.run(conversation())
    gc.collect()
    assert _sessions() == before


def _sessions() -> int:
    """The number of sessions in memory."""
    return sum(isinstance(one, Session) for one in gc.get_objects())


class Step(NamedTuple):
    """One step: a frame on one of the connections, or an event of the exchange such as a crash."""

    kind: str
    connection: int
    frame: bytes


USERS = ("alice", "bob", "alice", "fees", "admin")
CHANNELS = (f"book.{CALL}.1", f"book.{CALL}.100", f"book.{PUT}.2", f"trades.{CALL}", "user.orders", "user.trades")
ODD_NUMBERS = (-1, 2**53, 10**30, 1.0, -0.0)
ODD_VALUES: list[Any] = [*ODD_NUMBERS, None, True, "", "\x00", "\ud800", "gtc", [], [1], {}, {"a": None}, CALL]
INSERTED = (b"", b'"', b"\\", b"[", b"{", b"\n", b"1", b",", b"\x00", b"null", "\u00e9".encode())


class Client:
    """Makes random frames, most of them valid."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def steps(self, count: int) -> list[Step]:
        kinds = [*["frame"] * 40, *["settle"] * 12, "disconnect", "full", "later", "crash"]
        return [Step(self.random.choice(kinds), self.random.randrange(3), self._frame()) for _ in range(count)]

    def _frame(self) -> bytes:
        random = self.random
        is_batch = random.random() < 0.3
        content = [self._request() for _ in range(random.choice((0, 1, 2, 3, 5)))] if is_batch else self._request()
        frame = json.dumps(content).encode()
        if random.random() < 0.05:
            start = random.randrange(len(frame) + 1)
            return frame[:start] + random.choice(INSERTED) + frame[start + random.randrange(3) :]
        return frame

    def _request(self) -> Any:
        random = self.random
        if random.random() < 0.03:
            return random.choice(ODD_VALUES)
        orders = self._order, self._order, self._order, self._change
        method, params = random.choice((*orders, self._session, self._ask))()
        if random.random() < 0.05:
            params = {**params, random.choice(("price", "amount", "order_id", "x")): random.choice(ODD_VALUES)}
        request: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        if random.random() < 0.9:
            request["id"] = random.choice([1, 2, "a", None])
        if random.random() < 0.03:
            request[random.choice(("jsonrpc", "method", "id", "params"))] = random.choice(ODD_VALUES)
        return request

    def _order(self) -> tuple[str, dict[str, Any]]:
        random = self.random
        params = {
            "instrument_id": random.choice((CALL, CALL, CALL, PUT, "SOL_USDC-28FEB26-1-C")),
            "amount": random.choice((100, 1_000, 2_500)),
            "price": random.choice((1_490_000, 1_500_000, 1_500_000, 1_510_000, 1)),
        }
        if random.random() < 0.15:
            params |= {"type": "market"}
            del params["price"]
        if random.random() < 0.3:
            params |= {"time_in_force": random.choice(("gtc", "ioc", "fok", "day"))}
        if random.random() < 0.3:
            params |= {"client_order_id": random.choice("ab")}
        if random.random() < 0.1:
            params |= {"post_only": True}
        return f"private/{random.choice(('buy', 'sell'))}", params

    def _change(self) -> tuple[str, dict[str, Any]]:
        random = self.random
        name = random.choice(({"order_id": random.randrange(30)}, {"client_order_id": random.choice("ab")}))
        what = random.randrange(7)
        if what < 3:
            return "private/cancel", name
        if what < 6:
            return "private/edit", {**name, "amount": random.choice((100, 500, 2_000)), "price": 1_500_000}
        return "private/cancel_all", {}

    def _session(self) -> tuple[str, dict[str, Any]]:
        random = self.random
        what = random.randrange(12)
        if what < 6:
            past = {"from_seq": random.choice((1, 5, 8, 20, 40))} if random.random() < 0.4 else {}
            return "public/subscribe", {"channels": random.sample(CHANNELS, random.randint(1, 6)), **past}
        if what < 8:
            return "public/unsubscribe", {"channels": random.sample(CHANNELS, random.randint(1, 6))}
        if what < 10:
            return "public/auth", {"grant_type": "client_credentials", "client_id": random.choice(USERS)}
        return f"private/{random.choice(('enable', 'disable'))}_cancel_on_disconnect", {}

    def _ask(self) -> tuple[str, dict[str, Any]]:
        return self.random.choice(sorted(METHODS)), self.random.choice(({}, {"instrument_id": CALL}, {"count": 3}))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_conversation_breaks_the_exchange(seed: int) -> None:
    random = Random(seed)
    for _ in range(20):
        asyncio.run(_converse(Client(random).steps(100)))


@pytest.mark.soak
def test_no_conversation_of_many_breaks_the_exchange() -> None:
    seed = secrets.randbelow(2**32)
    for n in range(2_000):
        try:
            asyncio.run(_converse(Client(Random(seed + n)).steps(150)))
        except BaseException:
            print(f"seed {seed + n}, 150 steps")  # noqa: T201
            raise


@pytest.mark.long
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text() | st.recursive(st.none() | st.floats(allow_nan=False) | st.text(), st.lists).map(json.dumps))
def test_no_text_breaks_a_session(text: str) -> None:
    asyncio.run(_converse([Step("frame", 0, text.encode()), Step("frame", 1, b"[" + text.encode() + b"]")]))


async def _converse(steps: list[Step]) -> None:
    exchange = FakeExchange(Rules(finished_orders_kept=2, open_orders_max=4, starting_cash_micros=400_000_000))
    await exchange.start(CALL, PUT)
    connections = [_connect(exchange, n) for n in range(3)]
    for step in steps:
        match step.kind:
            case "frame":
                connections[step.connection].send(step.frame)
            case "settle":
                await exchange.settle()
            case "disconnect":
                exchange.disconnect(connections[step.connection])
                connections[step.connection] = _connect(exchange, step.connection)
            case "full":
                exchange.journal.failures = [JournalFullError("full")]
            case "later":
                exchange.clock.ts_us += 5 * 3_600_000_000
            case "crash":
                await exchange.crash()
                await exchange.start()
                connections = [_connect(exchange, n) for n in range(3)]
    await exchange.settle()
    for connection in connections:
        connection.lawyer.rest()
        assert connection.session.unanswered == 0
    exchange.engine.state.check()
    await _check_books(exchange, connections)
    await exchange.stop()


def _connect(exchange: FakeExchange, n: int) -> Connection:
    """Connect client `n`. The first two log in as users, the third as the administrator or not at all."""
    connection = exchange.connect()
    if n < 2:
        connection.send(auth(USERS[n]))
    elif exchange.now_us() == START_US:
        connection.send(ADMIN)
    return connection


async def _check_books(exchange: FakeExchange, connections: list[Connection]) -> None:
    for connection in connections:
        for channel, book in connection.lawyer.books.items() if connection.lawyer.subscribed is not None else ():
            depth = exchange.views.depths[channel.split(".")[1]]
            shown = {"bids": depth.bids(book.depth), "asks": depth.asks(book.depth)}
            levels = {
                side: [{"price": level.price_micros, "size": level.size_milli, "count": level.count} for level in found]
                for side, found in shown.items()
            }
            assert book.levels() == levels


def test_the_longest_batch_of_the_longest_answers() -> None:
    """A batch of queries has one answer of any length, without another message in the middle."""

    async def conversation() -> None:
        exchange = FakeExchange()
        await exchange.start(CALL)
        alice = exchange.connect()
        alice.send(auth("alice"))
        await exchange.settle()
        alice.take()
        for n in range(100):
            alice.send(request("private/buy", n, instrument_id=CALL, price=1_500_000, amount=1_000))
        await exchange.settle()
        alice.take()
        open_orders = {"jsonrpc": "2.0", "id": 1, "method": "private/get_open_orders"}
        alice.send(json.dumps([open_orders] * BATCH_MAX))
        ((*results,),) = answers(alice)
        assert [len(result["result"]) for result in results] == [100] * BATCH_MAX
        await exchange.stop()

    run(conversation())
