"""Linked orders beyond the scenario tables: many at once, snapshots, states without links, and replays."""

import time
from pathlib import Path

import pytest
from msgspec import UNSET

from exchange.domain.commands import (
    CancelOrder,
    Command,
    ContinueTriggers,
    CreateInstrument,
    Genesis,
    OpenAccount,
    PlaceLinkedOrders,
    PlaceOrder,
    PlaceTriggerOrder,
    decode_command,
    encode_command,
)
from exchange.domain.enums import FillCondition, LinkType
from exchange.domain.events import Event, OrderCancelled, Refused, Traded, TriggerOrderEnded
from exchange.domain.rules import Rules
from exchange.matching.apply import apply
from exchange.matching.state import State
from exchange.matching.state_codec import copy_state, decode_state, digest, encode_state
from tests.journals import write_journal
from tests.naive import NaiveExchange
from tests.small_market import CALL, START_US, USDC, buy, history, sell
from tests.test_triggers import told

CENT = 10_000
OCO: LinkType = "one_cancels_other"
OTO: LinkType = "one_triggers_other"
OTOCO: LinkType = "one_triggers_one_cancels_other"


def linked(link: LinkType, *orders: PlaceOrder | PlaceTriggerOrder, on: FillCondition = "first_hit") -> Command:
    return PlaceLinkedOrders(orders[0].user_id, link, on, list(orders))


def stop_sale(user_id: str, level_micros: int, size_milli: int) -> PlaceTriggerOrder:
    terms = ("stop_market", "last_price", level_micros, None, "ioc", None, size_milli)
    return PlaceTriggerOrder(user_id, CALL, "ask", *terms)  # type: ignore[arg-type]


def opening(users: int) -> list[Command]:
    names = ("alice", "bob", "carol", *[f"user-{n}" for n in range(users)])
    accounts = [OpenAccount(name, 1_000_000 * USDC) for name in names]
    return [Genesis(Rules(open_orders_max=20_000)), CreateInstrument(CALL, CENT, 1), *accounts]


class Market:
    """A state, and the events of each command."""

    def __init__(self, users: int = 0) -> None:
        self.state, self.ts_us = State(), START_US
        for command in opening(users):
            self.do(command)

    def do(self, command: Command) -> list[Event]:
        self.ts_us += 1
        events = apply(self.state, self.ts_us, command)
        assert not isinstance(events[0], Refused), events
        return events


@pytest.mark.long
def test_a_sweep_of_10000_pairs_fills_one_order_of_each() -> None:
    market = Market(100)
    for n in range(10_000):
        user_id = f"user-{n % 100}"
        market.do(linked(OCO, sell(user_id, 1, USDC), sell(user_id, 1, 2 * USDC)))
    events = market.do(buy("carol", 20_000, 2 * USDC))
    assert sum(isinstance(event, Traded) for event in events) == 10_000
    assert sum(isinstance(event, OrderCancelled) for event in events) == 10_000
    assert market.state.links is None
    market.state.check()


@pytest.mark.long
def test_10000_primaries_that_one_sweep_fills_place_100_orders_in_a_command() -> None:
    market = Market(100)
    for n in range(10_000):
        user_id = f"user-{n % 100}"
        market.do(linked(OTO, buy(user_id, 1, USDC), sell(user_id, 1, 3 * USDC)))
    placed = [_placed(market.do(sell("carol", 10_000, USDC)))]
    while market.state.triggers is not None:
        placed.append(_placed(market.do(ContinueTriggers())))
    assert placed == [100] * 100
    assert market.state.links is None
    market.state.check()


def _placed(events: list[Event]) -> int:
    return sum(isinstance(event, TriggerOrderEnded) and event.status == "triggered" for event in events)


def test_a_state_without_links_has_the_bytes_that_it_always_had() -> None:
    """What links add to a state is gone with the last of them."""
    with_links, without = Market(), Market()
    with_links.do(linked(OCO, buy("alice", 1_000, USDC), buy("alice", 1_000, 2 * USDC)))
    without.do(buy("alice", 1_000, USDC))
    without.do(buy("alice", 1_000, 2 * USDC))
    assert digest(with_links.state) != digest(without.state)
    assert with_links.state.links is not None
    with_links.do(CancelOrder("alice", 1))
    without.do(CancelOrder("alice", 1))
    without.do(CancelOrder("alice", 2))
    assert with_links.state.links is None
    assert encode_state(with_links.state) == encode_state(without.state)


def test_links_survive_a_snapshot_and_a_copy() -> None:
    market = Market()
    market.do(linked(OCO, buy("alice", 1_000, USDC), stop_sale("alice", CENT, 500), on="incremental"))
    market.do(linked(OTO, buy("bob", 1_000, USDC), sell("bob", 900, 2 * USDC), on="incremental"))
    market.do(
        linked(OTOCO, buy("bob", 300, USDC), sell("bob", 300, 3 * USDC), stop_sale("bob", CENT, 300), on="incremental")
    )
    market.do(sell("carol", 1_300, USDC))
    state, ts_us = market.state, market.ts_us + 1
    expected = apply(copy_state(state), ts_us, sell("carol", 900, USDC))
    for restored in (decode_state(encode_state(state)), copy_state(state)):
        restored.check()
        assert digest(restored) == digest(state)
        assert apply(restored, ts_us, sell("carol", 900, USDC)) == expected
        restored.check()


def test_a_part_counts_towards_the_limit_of_trigger_orders() -> None:
    """At the limit, what fills release waits until the primary is filled: then it is no new order."""
    state, naive, ts_us = State(), NaiveExchange(), START_US
    orders: list[Command] = [stop_sale("alice", CENT, 1) for _ in range(99)]
    orders.append(linked(OTO, buy("alice", 10, USDC), stop_sale("alice", CENT, 10), on="incremental"))
    orders += [sell("carol", 4, USDC), sell("carol", 6, USDC)]
    for command in [*opening(0), *orders]:
        ts_us += 1
        events = apply(state, ts_us, command)
        assert events == naive.apply(ts_us, command)
        assert not isinstance(events[0], Refused), events
        state.check()
    assert len(state.accounts["alice"].triggers) == 100
    assert state.links is None


def test_a_refused_command_leaves_no_trace_of_the_locks_that_it_was_checked_with() -> None:
    market = Market()
    image = encode_state(market.state)
    too_much = linked(OCO, sell("alice", 1_000, 150 * USDC), sell("alice", 10**9, 160 * USDC))
    events = apply(market.state, market.ts_us + 1, too_much)
    assert isinstance(events[0], Refused)
    assert encode_state(market.state) == image


def test_the_command_is_canonical_json_with_its_orders_tagged() -> None:
    command = linked(OTO, buy("alice", 1_000, USDC), stop_sale("alice", CENT, 500))
    text = encode_command(command)
    assert text.startswith(b'{"kind":"place_linked_orders","user_id":"alice","link":"one_triggers_other",')
    assert text.count(b'"kind":"place_') == 3
    assert decode_command(text) == command
    assert isinstance(command, PlaceLinkedOrders) and command.orders[0].label is UNSET


def test_a_primary_that_ends_with_its_secondaries_leaves_nothing_behind() -> None:
    market = Market()
    market.do(linked(OCO, buy("carol", 1_000, CENT), buy("carol", 1_000, CENT)))
    market.do(sell("bob", 500, USDC))
    events = market.do(linked(OTO, buy("alice", 1_000, None), sell("alice", 1_000, 2 * USDC), on="complete_fill"))
    assert isinstance(events[3], Traded)
    assert market.state.triggers is None and market.state.links is not None
    market.state.check()


def test_a_fok_is_checked_fast_while_orders_are_linked() -> None:
    """Its check looked at all reduce-only orders of a maker for each fill: for 12 s with these orders."""
    count = 4_000
    market = Market()
    market.do(linked(OCO, sell("carol", 1_000, 900 * USDC), sell("carol", 1_000, 900 * USDC)))
    market.do(sell("bob", 2 * count, CENT))
    market.do(buy("alice", 2 * count, CENT))
    for number in range(count):
        market.do(sell("alice", 2, 500 * USDC + CENT * number, reduce_only=True))
    for number in range(count):
        market.do(sell("alice", 1, 2 * CENT * (1 + number)))
    began = time.process_time()
    events = market.do(buy("bob", count + 1, 400 * USDC, time_in_force="fok"))
    assert time.process_time() - began < 2
    assert isinstance(events[1], OrderCancelled) and events[1].reason == "fok_unfilled"


@pytest.mark.slow
def test_the_life_of_linked_orders_is_explained(tmp_path: Path) -> None:
    """An order's story names the order, and the fill of it, that placed or cancelled this one."""
    path = tmp_path / "exchange.db"
    entry = buy("alice", 1_000, USDC)
    bracket = linked(OTOCO, entry, sell("alice", 1_000, 2 * USDC), stop_sale("alice", USDC // 2, 1_000))
    halves = linked(OTO, entry, sell("alice", 1_000, 3 * USDC), on="incremental")
    pair = linked(OCO, buy("alice", 1_000, USDC // 2), buy("alice", 2_000, USDC // 4), on="incremental")
    trades = [sell("bob", 1_000, USDC), buy("bob", 400, 2 * USDC)]
    write_journal(path, history(bracket, *trades, halves, sell("bob", 500, USDC), CancelOrder("alice", 7), pair))
    assert told(path, 1)[0] == (
        "6 placed by alice: buy 1.0 at 1.00, gtc, one_triggers_one_cancels_other with orders 2 and 3"
    )
    assert told(path, 2)[1] == "7 triggered at 1.00, and placed order 5"
    assert told(path, 3) == [
        "6 placed by alice: sell 1.0 at market, stop_market on the last price at 0.50 after fills of order 1 "
        "(no price yet), ioc, one_triggers_one_cancels_other with orders 1 and 2",
        "7 waits for its price 0.50 since its primary was filled at 1.00",
        "8 cancelled because order 5, to which it is linked, was filled (trade 2)",
    ]
    assert told(path, 8) == [
        "9 placed by alice: sell 1.0 at 3.00, limit after fills of order 7, gtc, one_triggers_other with order 7",
        "10 made smaller by its link, to 0.5 at 3.00",
        "11 cancelled because order 7, to which it is linked, was triggered or ended",
    ]
    assert told(path, 10) == [
        "10 placed by a fill, as a part of order 8: sell 0.5 at 3.00, limit, gtc",
        "10 triggered at 1.00, and placed order 11",
    ]
    assert told(path, 12)[0].endswith("one_cancels_other with order 13")
