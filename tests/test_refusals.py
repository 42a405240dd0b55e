"""Refused requests leave no reference cycles: Python frees them at once, and the memory of the server stays flat."""

import asyncio
import gc
import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import pytest

from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.limits import BATCH_MAX, ID_MAX
from exchange.gateway.methods import METHODS
from exchange.gateway.request_queue import Call
from tests.fake_exchange import Connection, FakeExchange

CALL = "SOL_USDC-28FEB26-150-C"
REFUSALS = 10_000
# Commands take longer than other requests. Each is refused in several ways, so that all together are as many.
REFUSED_COMMANDS = 1_000


NOTHING: dict[str, Any] = {}


def text(method: str, params: Any = NOTHING, request_id: Any = 1) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode()


def auth(user_id: str) -> bytes:
    return text("public/auth", {"grant_type": "client_credentials", "client_id": user_id})


ALL = sorted(METHODS)
LONG = "x" * 1_000
ODD_IDS: list[Any] = [1.5, [], {}, "x" * (ID_MAX + 1)]
ODD_PARAMS: list[Any] = [[], None, 1, {"receipt": 1, "at_seq": []}]
KINDS: dict[str, list[bytes]] = {
    "not JSON": [b"", b"[", b"{]", b'{"jsonrpc":', b"[" * 5_000],
    "not a request": [b"1", b"null", b'"a"', b"{}", b'{"jsonrpc":"1.0","id":1,"method":"public/test"}', b"[]", b"[1]"],
    "an id of another type or too long": [text("public/test", {}, one) for one in ODD_IDS],
    "a batch that is too long": [b"[" + b"1," * BATCH_MAX + b"1]"],
    "a batch of refusals": [b"[1," + text("public/nothing") + b"," + text("private/buy", {LONG: 1}) + b"]"],
    "an unknown method": [text(LONG), text("")],
    "an unknown parameter": [text(method, {LONG: 1}) for method in ALL],
    "a wrong type": [text(method, params) for method in ALL for params in ODD_PARAMS],
    "a missing parameter": [text(method) for method in ALL if method not in ("public/test", "public/get_time")],
    "a key given twice": [text(method, {"receipt": 1}).replace(b'"receipt": 1', b'"a": 1, "a": 2') for method in ALL],
    "a moment that has not come": [
        text(method, {"at_seq": 1_000, "instrument_id": CALL})
        for method in ("public/get_order_book", "public/get_trades")
    ],
    "an unknown channel": [
        text("public/subscribe", {"channels": [LONG]}),
        text("public/unsubscribe", {"channels": [""]}),
    ],
    "a stream ahead": [text("public/subscribe", {"channels": ["user.orders"], "from_seq": 1_000_000})],
    "an unknown instrument": [text("public/get_order_book", {"instrument_id": "SOL_USDC-28FEB26-151-C"})],
    "another user": [auth("bob"), auth("fees"), auth("admin")],
    "the administrator's": [text("admin/halt"), text("admin/get_account", {"user_id": "alice"})],
}
COMMANDS = [
    text("private/buy", {"instrument_id": CALL, "price": 1_500_000, "amount": 1}),
    text("private/buy", {"instrument_id": CALL, "amount": 1_000}),
    text("private/sell", {"instrument_id": "SOL_USDC-28FEB26-151-C", "price": 1_500_000, "amount": 1_000}),
    text("private/cancel", {"order_id": 1}),
    text("private/edit", {"order_id": 1, "amount": 1_000}),
    # Queries that are refused behind a command.
    text("public/get_order_book", {"instrument_id": "SOL_USDC-28FEB26-151-C"}),
    text("public/get_trades", {"instrument_id": CALL, "at_seq": 1_000_000}),
]


@pytest.fixture
def no_collections() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def send(connection: Connection, frame: bytes) -> list[bytes]:
    """Send a frame past the lawyer, which takes its time."""
    connection.session.receive(frame)
    return connection.take()


async def unanswered(connection: Connection) -> int:
    """The number of unanswered requests after a turn of the event loop."""
    await asyncio.sleep(0)
    return connection.session.unanswered


def assert_no_cycles() -> None:
    """Assert that the collector finds no error, request or traceback. Other threads leave other objects."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        left = [one for one in gc.garbage if isinstance(one, (RpcError, Call, TracebackType))]
        assert not left, f"{len(left)} objects of refusals stay in memory until a garbage collection"
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@pytest.mark.slow
@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize("kind", KINDS)
def test_refusals_leave_no_reference_cycles(kind: str) -> None:
    async def conversation() -> None:
        exchange = FakeExchange()
        await exchange.start(CALL)
        alice = exchange.connect()
        alice.send(auth("alice"))
        await exchange.settle()
        alice.take()
        frames = KINDS[kind]
        for frame in frames:
            assert all(b'"error"' in answer for answer in send(alice, frame)), frame
        gc.collect()
        for n in range(REFUSALS):
            alice.session.receive(frames[n % len(frames)])
        alice.inbox.clear()
        assert_no_cycles()
        await exchange.stop()

    asyncio.run(conversation())


@pytest.mark.usefixtures("no_collections")
def test_requests_over_the_rate_leave_no_reference_cycles() -> None:
    async def conversation() -> None:
        exchange = FakeExchange(requests_per_second=1)
        await exchange.start(CALL)
        alice = exchange.connect()
        gc.collect()
        for _ in range(REFUSALS):
            alice.session.receive(text("public/test"))
        assert alice.inbox.pop().count(b"1007") == 1
        assert_no_cycles()
        await exchange.stop()

    asyncio.run(conversation())


@pytest.mark.usefixtures("no_collections")
def test_refused_commands_leave_no_reference_cycles() -> None:
    """Also refusals of requests that wait until the commands before them are answered."""

    async def conversation() -> None:
        exchange = FakeExchange()
        await exchange.start(CALL)
        alice = exchange.connect()
        alice.send(auth("alice"))
        await exchange.settle()

        async def refuse(times: int) -> None:
            for _ in range(times):
                for frame in COMMANDS:
                    alice.session.receive(frame)
            while await unanswered(alice):
                pass

        await refuse(1)
        answers = [json.loads(answer) for answer in alice.take()[-len(COMMANDS) :]]
        assert all("error" in answer for answer in answers)
        gc.collect()
        await refuse(REFUSED_COMMANDS)
        alice.inbox.clear()
        assert_no_cycles()
        await exchange.stop()

    asyncio.run(conversation())
