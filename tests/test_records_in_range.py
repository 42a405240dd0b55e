"""Trades and finished orders by time and by order are those of all records, also beyond the newest ones."""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from exchange.engine.recovery import replay, restore_base
from exchange.history_db import past_views
from exchange.history_db.file import open_history
from exchange.history_db.past_views import PastViews
from exchange.history_db.records_in_range import orders_in, trades_in, user_trades_in
from exchange.history_db.update import update_history
from exchange.journal.opening import open_journal_reader
from exchange.projections.record_page import RecordPage
from exchange.projections.views import Views
from exchange.projections.wire_types import OrderView, Trade, UserTrade
from tests.market_commands import market_steps
from tests.market_story import write_steps
from tests.order_commands import order_steps
from tests.random_commands import USERS

SEED, COUNT, ALL = 10, 600, 100_000
_R = TypeVar("_R", Trade, UserTrade, OrderView)


@pytest.fixture(
    scope="module",
    params=[partial(market_steps, SEED, COUNT), partial(order_steps, 7, 2 * COUNT)],
    ids=["market", "orders"],
)
def live_and_past(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Views, PastViews]]:
    """The views after a random stream: of a replay, and of its history, which answers as if it kept three trades."""
    path: Path = tmp_path_factory.mktemp("range") / "exchange.db"
    write_steps(path, ((step.ts_us, step.command) for step in request.param()))
    update_history(path, lambda sentence: None, lambda done, total: None)
    with open_journal_reader(path) as reader:
        engine = restore_base(reader, 0)
        for record in reader.records(engine.head):
            replay(engine, record)
    with closing(open_history(path)) as connection, pytest.MonkeyPatch.context() as patch:
        patch.setattr(past_views, "USER_TRADES_KEPT", 3)
        patch.setattr(past_views, "INSTRUMENT_TRADES_KEPT", 3)
        yield engine.views, PastViews(connection, engine.views.seq)


def check(
    every: list[_R], key: Callable[[_R], int], time: Callable[[_R], int], ask: Callable[[RecordPage], list[_R] | None]
) -> int:
    """Compare pages at random times with those of all records. Returns how many records there were."""
    rng = random.Random(len(every))
    assert ask(RecordPage(ALL)) == every
    for _ in range(8 if every else 0):
        start_us, end_us = sorted(time(rng.choice(every)) + rng.choice((-1, 0, 0, 1)) for _ in range(2))
        before, count = rng.choice((None, key(rng.choice(every)))), rng.choice((1, 3, ALL))
        fits = [one for one in every if start_us <= time(one) <= end_us and (before is None or key(one) < before)]
        assert ask(RecordPage(count, before, start_us, end_us)) == fits[:count]
    return len(every)


@pytest.mark.slow
def test_trades_by_time(live_and_past: tuple[Views, PastViews]) -> None:
    live, past = live_and_past
    found = 0
    taken = [trade for user_id in USERS for trade in live.user_trades(user_id, ALL) if trade.liquidity == "taker"]
    # The live views have no trades of instruments that are no longer listed.
    for name in dict.fromkeys([*live.instruments, *(trade.instrument_id for trade in taken)]):
        every = live.trades(name, ALL) if name in live.instruments else _public(taken, name)
        found += check(every, lambda one: one.trade_id, lambda one: one.ts_us, partial(trades_in, past, name))
    assert found > 30


def _public(taken: list[UserTrade], instrument_id: str) -> list[Trade]:
    """The trades of an instrument as the public sees them, the newest first, from those of all takers."""
    found = [one for one in taken if one.instrument_id == instrument_id]
    return [
        Trade(*[getattr(one, field) for field in Trade.__struct_fields__])
        for one in sorted(found, key=lambda one: -one.trade_id)
    ]


def test_user_trades_by_time_instrument_and_order(live_and_past: tuple[Views, PastViews]) -> None:
    live, past = live_and_past
    found = 0
    for user_id in USERS:
        every = live.user_trades(user_id, ALL)
        names = dict.fromkeys([None, *(trade.instrument_id for trade in every)])
        for name in names:
            of_name = [trade for trade in every if name in (None, trade.instrument_id)]
            found += check(
                of_name,
                lambda one: one.trade_id,
                lambda one: one.ts_us,
                partial(user_trades_in, past, user_id, instrument_id=name, order_id=None),
            )
        for order_id in dict.fromkeys(trade.order_id for trade in every):
            of_order = [trade for trade in every if trade.order_id == order_id]
            assert user_trades_in(past, user_id, RecordPage(ALL), None, order_id) == of_order
            others = [other for other in USERS if other != user_id]
            assert [user_trades_in(past, other, RecordPage(ALL), None, order_id) for other in others] == [None] * len(
                others
            )
    assert found > 50 and user_trades_in(past, USERS[0], RecordPage(ALL), None, 10**9) is None


def test_finished_orders_by_time(live_and_past: tuple[Views, PastViews]) -> None:
    live, past = live_and_past
    found = 0
    for user_id in USERS:
        every = orders_in(past, user_id, RecordPage(ALL), None, None)
        known = live.finished_orders(user_id, ALL)
        assert [order for order in every if order in known] == known, "the history keeps all"
        found += check(
            every,
            lambda one: one.order_id,
            lambda one: one.updated_us,
            partial(orders_in, past, user_id, instrument_id=None, label=None),
        )
        for name in dict.fromkeys(order.instrument_id for order in every):
            of_name = [order for order in every if order.instrument_id == name]
            assert orders_in(past, user_id, RecordPage(ALL), name, None) == of_name
        labels = {order.label for order in every if order.label is not None}
        for label in sorted(labels):
            of_label = [order for order in every if order.label == label]
            assert orders_in(past, user_id, RecordPage(ALL), None, label) == of_label
    assert found > 50
