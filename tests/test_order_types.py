"""Promises of resting reduce-only orders and of iceberg orders, checked on random streams after every command."""

import time
from collections.abc import Iterator

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from exchange.domain.commands import Command, CreateInstrument, Genesis, OpenAccount, PlaceOrder
from exchange.domain.enums import Side
from exchange.domain.events import Event, OrderAccepted, PositionTakenOver, Traded
from exchange.domain.rules import Rules
from exchange.matching.apply import apply
from exchange.matching.book import BookSide
from exchange.matching.state import State
from exchange.projections.fold import Fold
from exchange.projections.wire_types import BookLevel
from tests.order_commands import order_steps

# Streams in which these orders trade often.
REDUCING_SEEDS = (4, 12)
ICEBERG_SEEDS = (2, 4)
COUNT = 700
START_US = 1_772_000_000_000_000


def played(seed: int, state: State) -> Iterator[tuple[int, list[Event]]]:
    """Apply a stream to `state`; yield the time and the events of each command, before the next one."""
    for ts_us, command, _ in order_steps(seed, COUNT):
        yield ts_us, apply(state, ts_us, command)


def signed_trades(event: Event) -> Iterator[tuple[int, str, int]]:
    """Yield order, user and change of the position of both sides of a trade."""
    if isinstance(event, Traded):
        size_milli = event.size_milli if event.taker_side == "bid" else -event.size_milli
        yield event.maker_order_id, event.maker_user_id, -size_milli
        yield event.taker_order_id, event.taker_user_id, size_milli


@pytest.mark.parametrize("seed", REDUCING_SEEDS)
def test_no_fill_of_a_reduce_only_order_increases_or_reverses_a_position(seed: int) -> None:
    state = State()
    sides: dict[int, Side] = {}
    positions: dict[tuple[str, str], int] = {}
    fills = 0
    for _, events in played(seed, state):
        for event in events:
            if isinstance(event, OrderAccepted) and event.reduce_only is True and event.time_in_force in ("gtc", "day"):
                sides[event.order_id] = event.side
            if isinstance(event, PositionTakenOver):
                positions[event.user_id, event.instrument_id] -= event.quantity_milli
            before = dict(positions)
            for order_id, user_id, change_milli in signed_trades(event):
                assert isinstance(event, Traded)
                key = user_id, event.instrument_id
                if order_id in sides and event.maker_user_id != event.taker_user_id:
                    assert before[key] * change_milli < 0 and abs(change_milli) <= abs(before[key]), event
                    fills += 1
                positions[key] = positions.get(key, 0) + change_milli
        positions = {
            (user_id, instrument_id): position.position_milli
            for user_id, account in state.accounts.items()
            for instrument_id, position in account.positions.items()
        }
    assert fills > 10


@pytest.mark.parametrize("seed", ICEBERG_SEEDS)
def test_books_show_no_hidden_part_of_an_iceberg_order(seed: int) -> None:
    def levels(side: BookSide) -> list[BookLevel]:
        return [
            BookLevel(level.price_micros, sum(it.visible_milli for it in orders), len(orders))
            for level in side
            if (orders := list(level))
        ]

    state, fold = State(), Fold()
    hidden = refills = 0
    for seq, (ts_us, events) in enumerate(played(seed, state), 1):
        fold.project(seq, ts_us, events)
        refills += sum(isinstance(it, Traded) and it.maker_refilled_milli is not UNSET for it in events)
        for instrument_id, depth in fold.depths.items():
            book = state.books[instrument_id]
            assert depth.bids() == levels(book.bids)
            assert depth.asks() == levels(book.asks)
        for user_id, account in state.accounts.items():
            for order in account.open_orders.values():
                view = fold.orders.find(user_id, order.order_id)
                assert view is not None and view.remaining_milli == order.remaining_milli
                assert view.displayed_milli == (order.shown_milli if order.display_milli else None)
                hidden += order.visible_milli < order.remaining_milli
    assert hidden > 100 and refills > 20


@pytest.mark.parametrize("is_maker", [True, False])
def test_fills_of_an_account_with_many_reduce_only_orders_take_no_longer(is_maker: bool) -> None:
    """Each fill makes one of them smaller, and must not look at all others: before, this took 7 s."""
    count, instrument_id = 4_000, "SOL_USDC-28FEB26-150-C"
    state = State()
    setup: list[Command] = [Genesis(Rules()), CreateInstrument(instrument_id, 1_000, 1)]
    setup += [OpenAccount(user_id, 10**12) for user_id in ("alice", "bob")]
    for command in setup:
        apply(state, START_US, command)

    def order(user_id: str, side: Side, price_micros: int, size_milli: int, *, reduces: bool = False) -> None:
        placed = PlaceOrder(user_id, instrument_id, side, "limit", "gtc", price_micros, size_milli)
        events = apply(state, START_US, replace(placed, reduce_only=reduces or UNSET))
        assert isinstance(events[0], OrderAccepted)

    order("bob", "ask", 1_000, 2 * count)
    order("alice", "bid", 1_000, 2 * count)
    for number in range(count):
        order("alice", "ask", 50_000_000 + 1_000 * number, 2, reduces=True)
    for number in range(count):
        # She sells contracts by orders that are not reduce-only, or to the bids of bob.
        order("alice" if is_maker else "bob", "ask" if is_maker else "bid", 1_000 * (1 + number), 1)
    began = time.process_time()
    order("bob" if is_maker else "alice", "bid" if is_maker else "ask", 49_000_000 if is_maker else 1_000, count)
    assert time.process_time() - began < 2
    state.check()
    assert state.accounts["alice"].position_milli(instrument_id) == count
