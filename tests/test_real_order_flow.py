"""A real NASDAQ hour and a real NASDAQ day, as commands through journal, matcher and projections.

The data are in ../shared/data and are not part of the project; without them these tests are skipped. An `execute` is
sent as an opposite immediate order at the recorded price and size, and must trade with the recorded order. If another
order is first in the queue, it counts as a miss, and the recorded order is reduced.
"""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.market_data import DATA, Action, aapl_best_quotes, arl_books, nasdaq_actions
from exchange.domain.commands import (
    CancelOrder,
    Command,
    CreateInstrument,
    EditOrder,
    Genesis,
    OpenAccount,
    PlaceOrder,
    encode_command,
)
from exchange.domain.enums import Side
from exchange.domain.events import Event, OrderAccepted, Traded
from exchange.domain.rules import Rules
from exchange.engine.engine import Engine
from exchange.engine.recovery import event_rows, recover
from exchange.journal.opening import open_journal_writer
from exchange.journal.records import EventRow, Record, chain
from exchange.matching.state_codec import digest
from exchange.projections.depth import Depth
from tests.old_events import append_old_events

INSTRUMENT = "NASDAQ_USDC-31DEC99-1-C"
MICROS_PER_1E4 = 100  # a ten-thousandth of a dollar

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the recorded order flow is not at {DATA}")


class Player:
    """Carries out recorded actions as commands, and stores their records and events."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.records: list[Record] = []
        self.events: list[EventRow] = []
        self.score: Counter[str] = Counter()
        self.ours: dict[int, int] = {}  # our order_id by theirs
        self.run(Genesis(Rules(open_orders_max=1_000_000)))
        self.run(CreateInstrument(INSTRUMENT, 1_000, 1))
        for user_id in ("resting", "taking"):
            self.run(OpenAccount(user_id, 2**52 - 1))

    @property
    def depth(self) -> Depth:
        return self.engine.views.depths[INSTRUMENT]

    def run(self, command: Command) -> list[Event]:
        head = self.engine.head
        (record,) = chain(head, [(head.ts_us + 1, encode_command(command).decode())])
        events, _ = self.engine.step(record, command)
        self.records.append(record)
        self.events += event_rows([(record.seq, events)])
        return events

    def play(self, action: Action) -> None:
        match action.action:
            case "new":
                accepted = self.run(_order("resting", action.side, "gtc", action))[0]
                assert isinstance(accepted, OrderAccepted), accepted
                self.ours[action.order_id] = accepted.order_id
            case "reduce":
                self.reduce(action)
            case "delete":
                self.run(CancelOrder("resting", order_id=self.ours[action.order_id]))
            case "execute":
                self.execute(action)

    def reduce(self, action: Action) -> None:
        order = self.engine.views.orders.find("resting", self.ours[action.order_id])
        assert order is not None
        if order.remaining_milli <= action.size:
            self.run(CancelOrder("resting", order_id=order.order_id))
        else:
            self.run(EditOrder("resting", order_id=order.order_id, size_milli=order.size_milli - action.size))

    def execute(self, action: Action) -> None:
        level = self.engine.state.books[INSTRUMENT].side(action.side).best
        assert level is not None and level.head is not None
        if level.head.order_id != self.ours[action.order_id]:
            same_price = level.price_micros == action.price_1e4 * MICROS_PER_1E4
            self.score["miss of time" if same_price else "miss of price"] += 1
            self.reduce(action)
            return
        opposite: Side = "ask" if action.side == "bid" else "bid"
        trades = [event for event in self.run(_order("taking", opposite, "ioc", action)) if isinstance(event, Traded)]
        hits = [(trade.maker_order_id, trade.size_milli) for trade in trades]
        self.score["hit" if hits == [(self.ours[action.order_id], action.size)] else "wrong hit"] += 1

    def check_through_the_journal(self, path: Path) -> None:
        """Write the commands to a real journal, and check that recovery leads to the same state."""
        asyncio.run(_write(path, self.records, self.events))
        engine = recover(path, lambda text: None, lambda done, total: None, use_snapshots=False).engine
        assert engine.head == self.engine.head
        assert digest(engine.state) == digest(self.engine.state)
        assert engine.views.depths[INSTRUMENT].bids() == self.depth.bids()
        assert engine.views.depths[INSTRUMENT].asks() == self.depth.asks()


def _order(user_id: str, side: Side, time_in_force: str, action: Action) -> PlaceOrder:
    assert time_in_force in ("gtc", "ioc")
    return PlaceOrder(
        user_id=user_id,
        instrument_id=INSTRUMENT,
        side=side,
        type="limit",
        time_in_force="gtc" if time_in_force == "gtc" else "ioc",
        price_micros=action.price_1e4 * MICROS_PER_1E4,
        size_milli=action.size,
    )


async def _write(path: Path, records: list[Record], events: list[EventRow]) -> None:
    journal = await open_journal_writer(path)
    try:
        for start in range(0, len(records), 1_000):
            await journal.append(records[start : start + 1_000])
        await append_old_events(journal, events)
    finally:
        await journal.close()


def _best(depth: Depth) -> tuple[int, int, int, int]:
    """Return the best quotes as in the data: ask price, ask size, bid price, bid size."""
    (ask, *_), (bid, *_) = depth.asks(1), depth.bids(1)
    return (
        ask.price_micros // MICROS_PER_1E4,
        ask.size_milli,
        bid.price_micros // MICROS_PER_1E4,
        bid.size_milli,
    )


@pytest.mark.slow
def test_an_hour_of_aapl(tmp_path: Path) -> None:
    player, quotes = Player(), aapl_best_quotes()
    actions = list(nasdaq_actions("aapl"))
    assert len(actions) == 89_876
    for action, following in zip(actions, [*actions[1:], None], strict=True):
        player.play(action)
        if following is None or following.key != action.key:
            player.score["rows"] += 1
            player.score["right quotes"] += _best(player.depth) == quotes[action.key]
    player.engine.state.check()
    assert player.score["hit"] == 4_058
    assert player.score["miss of time"] == 9
    assert player.score["miss of price"] == player.score["wrong hit"] == 0
    assert player.score["rows"] == 89_567
    assert player.score["right quotes"] >= 89_453
    player.check_through_the_journal(tmp_path / "aapl.db")


@pytest.mark.slow
def test_a_day_of_arl_from_an_empty_book(tmp_path: Path) -> None:
    player = Player()
    books = {sequence: (bids, asks) for sequence, bids, asks in arl_books()}
    actions = list(nasdaq_actions("arl"))
    for action, following in zip(actions, [*actions[1:], None], strict=True):
        player.play(action)
        if (following is None or following.key != action.key) and action.key in books:
            bids, asks = (
                [(level.price_micros // MICROS_PER_1E4, level.size_milli, level.count) for level in levels]
                for levels in (player.depth.bids(10), player.depth.asks(10))
            )
            assert (bids, asks) == books[action.key], f"the book after {action}"
            player.score["books"] += 1
    player.engine.state.check()
    assert player.score == {"hit": 11, "books": 3_324}
    player.check_through_the_journal(tmp_path / "arl.db")
