"""The live market of the benchmarks: the same journal for the same seed, and all that a market does is in it."""

from collections import Counter
from itertools import islice

import pytest

from benchmarks.live_journal import applied_commands
from benchmarks.live_market import LiveMarket
from exchange.domain.commands import decode_command
from exchange.domain.events import Refused
from exchange.engine.engine import Engine
from exchange.journal.records import Head

COUNT = 4_000


def _head_after(count: int, seed: int) -> Head:
    engine = Engine()
    list(islice(applied_commands(engine, LiveMarket(engine.state, seed).commands()), count))
    return engine.head


def test_the_first_commands_do_what_a_market_does() -> None:
    engine = Engine()
    commands: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for record, caused in islice(applied_commands(engine, LiveMarket(engine.state).commands()), COUNT):
        commands[type(decode_command(record.payload)).__name__] += 1
        events.update(type(event).__name__ for event in caused)
    engine.state.check()
    assert events[Refused.__name__] < COUNT // 10, "the market mostly refuses"
    wanted = "PlaceOrder EditOrder CancelOrder CancelAll SetIndexPrice EndDay ChangeRules StartSession Deposit Withdraw"
    assert set(wanted.split()) <= set(commands)
    caused_kinds = "Traded MarksSet MarginsChanged LiquidationStarted PositionSettled DeliveryPriceSet OrderCancelled"
    assert set(caused_kinds.split()) <= set(events)


@pytest.mark.slow
def test_a_seed_always_gives_the_same_journal() -> None:
    assert _head_after(COUNT, seed=3) == _head_after(COUNT, seed=3)
    assert _head_after(COUNT, seed=3) != _head_after(COUNT, seed=4)
