"""Recent trades and finished orders: equal to a plain list of all, however much of it a snapshot held."""

import zlib
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.engine.engine import Engine
from exchange.projections.recent import Encoded, FinishedOrders, RecentTrades
from exchange.projections.wire_types import OrderView
from tests.journals import play

KEPT = 5


def encode(items: Any) -> Encoded:
    return Encoded(zlib.compress(msgspec.msgpack.encode(items)), zlib.decompress)


def order(order_id: int) -> OrderView:
    return OrderView(order_id, "I", "alice", "bid", "limit", "gtc", False, 1, 1, 1, 0, 1, "filled", 1, 1)


@pytest.mark.parametrize("added", [0, 1, 4, 5, 7])
@pytest.mark.parametrize("held", [0, 2, 5])
def test_recent_trades_are_the_newest(held: int, added: int) -> None:
    plain = deque(range(held), KEPT)
    recent = RecentTrades(KEPT, image=encode(list(plain)), decode=msgspec.msgpack.Decoder(list[int]).decode)
    for n in range(held, held + added):
        recent.append(n)
        plain.append(n)
    copied, expected = recent.copy(), encode(list(plain))
    assert recent.encoded(encode) == expected
    assert recent.is_encoded
    for n in range(held + added, held + added + 2):
        recent.append(n)
        plain.append(n)
    assert copied.encoded(encode) == expected
    assert (list(recent), list(reversed(recent)), len(recent)) == (list(plain), list(reversed(plain)), len(plain))


@pytest.mark.parametrize("added", [0, 1, 4, 5, 7])
@pytest.mark.parametrize("held", [0, 2, 5])
@pytest.mark.parametrize("kept", [KEPT, 3])
def test_finished_orders_are_the_newest(held: int, added: int, kept: int) -> None:
    plain = OrderedDict((n, order(n)) for n in range(held))
    decode = msgspec.msgpack.Decoder(dict[int, OrderView]).decode
    finished = FinishedOrders(image=encode(dict(plain)), decode=decode)
    if kept < KEPT:
        finished.keep(kept)
    for n in range(held, held + added):
        finished.add(order(n), kept)
        plain[n] = order(n)
    newest = list(plain.items())[-kept:]
    copied = finished.copy()
    finished.add(order(99), kept)
    assert copied.encoded(encode) == encode(dict(newest))
    assert (list(copied.items()), len(copied), copied.get(99)) == (newest, len(newest), None)
    assert list(finished) == [*dict(newest), 99][-kept:]


def test_a_restored_exchange_decodes_what_is_read(tmp_path: Path) -> None:
    """Neither a restore nor the next snapshot decodes the finished orders of a user of whom nothing changed."""
    engine = play(tmp_path / "exchange.db", count=200)
    snapshot = engine.snapshot()
    views = Engine.restore(snapshot).views
    user_id = next(user_id for user_id, orders in engine.views.orders.users.items() if len(orders.finished) > 1)
    finished = views.orders.users[user_id].finished
    assert (Engine(views=views).snapshot().views, finished.is_encoded) == (snapshot.views, True)
    assert list(finished.values()) == list(engine.views.orders.users[user_id].finished.values())
    assert (Engine(views=views).snapshot().views, finished.is_encoded) == (snapshot.views, False)
