"""A rehearsed order tells what the order would do, and changes nothing: random streams, each order rehearsed first."""

import pytest

from exchange.domain.commands import PlaceOrder
from exchange.domain.events import (
    BalanceChanged,
    Event,
    LiquidationStarted,
    OrderAccepted,
    OrderCancelled,
    OrderRepeated,
    PositionChanged,
    Traded,
)
from exchange.matching.apply import apply
from exchange.matching.dry_run import dry_run
from exchange.matching.state import State
from exchange.matching.state_codec import encode_state
from tests.market_commands import market_steps

SEEDS = 12
COMMANDS = 300


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_rehearsal_tells_what_will_happen(seed: int) -> None:
    state = State()
    rehearsed_count = 0
    for ts_us, command, _ in market_steps(seed, COMMANDS):
        if not isinstance(command, PlaceOrder):
            apply(state, ts_us, command)
            continue
        image = encode_state(state)
        rehearsed = dry_run(state, ts_us, command)
        assert encode_state(state) == image, f"seed {seed}: the rehearsal of {command} changed something"
        happened = apply(state, ts_us, command)
        if isinstance(happened[0], OrderRepeated) or any(isinstance(it, LiquidationStarted) for it in happened):
            continue  # of a repeated order the rehearsal tells the id; what follows for others it does not know
        assert told(rehearsed, command.user_id) == told(happened, command.user_id), f"seed {seed}: {command}"
        rehearsed_count += 1
    assert rehearsed_count > 50


def told(events: list[Event], user_id: str) -> list[object]:
    """What the events say of the order and its user, without the ids that a rehearsal does not know."""
    words: list[object] = []
    for event in events:
        match event:
            case OrderAccepted():
                words.append((event.side, event.type, event.price_micros, event.size_milli, event.reduce_only))
            case Traded():
                maker = event.maker_order_id, event.maker_user_id, event.maker_fee_micros
                words.append((event.price_micros, event.size_milli, *maker, event.taker_fee_micros))
            case OrderCancelled():
                words.append((event.user_id, event.side, event.price_micros, event.remaining_milli, event.reason))
            case PositionChanged() | BalanceChanged():
                if event.user_id == user_id:
                    words.append(event)
            case _:
                words.append(event)
    return words
