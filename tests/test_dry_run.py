"""A dry run returns the events of the order and changes nothing: random streams, each order dry-run first."""

from collections.abc import Callable, Iterator

import pytest

from exchange.domain.commands import PlaceOrder
from exchange.domain.events import (
    BalanceChanged,
    Event,
    LiquidationStarted,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    PositionChanged,
    Traded,
    TriggerOrderEnded,
)
from exchange.matching.apply import apply
from exchange.matching.dry_run import dry_run
from exchange.matching.state import State
from exchange.matching.state_codec import encode_state
from tests.market_commands import market_steps
from tests.random_commands import Step
from tests.reducing_commands import reducing_link_steps, reducing_steps

SEEDS = 12
COMMANDS = 300


@pytest.mark.parametrize("steps", [market_steps, reducing_steps])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_dry_run_returns_the_events_of_the_order(steps: Callable[[int, int], Iterator[Step]], seed: int) -> None:
    state = State()
    tried_count = 0
    for ts_us, command, _ in steps(seed, COMMANDS):
        if not isinstance(command, PlaceOrder):
            apply(state, ts_us, command)
            continue
        image = encode_state(state)
        tried = dry_run(state, ts_us, command)
        assert encode_state(state) == image, f"seed {seed}: the dry run of {command} changed the state"
        happened = apply(state, ts_us, command)
        if isinstance(happened[0], OrderRepeated) or any(
            isinstance(it, LiquidationStarted | TriggerOrderEnded) for it in happened
        ):
            # Of a repeated order the dry run knows only the id, not the effects on others.
            continue
        assert facts(tried, command.user_id) == facts(happened, command.user_id), f"seed {seed}: {command}"
        tried_count += 1
    assert tried_count > 50


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_dry_run_trades_with_linked_orders_as_the_order_does(seed: int) -> None:
    state = State()
    fills = 0
    for ts_us, command, _ in reducing_link_steps(seed, COMMANDS):
        tried = dry_run(state, ts_us, command) if isinstance(command, PlaceOrder) else []
        happened = apply(state, ts_us, command)
        if tried and not isinstance(happened[0], OrderRepeated):
            # Orders that it triggers trade after it.
            order_id = happened[0].order_id if isinstance(happened[0], OrderAccepted) else None
            if not any(isinstance(it, LiquidationStarted) for it in happened):
                assert trades(tried, 0) == trades(happened, order_id), f"seed {seed}: {command}"
                fills += len(trades(tried, 0))
    assert fills > 0


def trades(events: list[Event], taker_id: int | None) -> list[tuple[int, int, int]]:
    """The maker, price and size of each trade of this taker."""
    own = [it for it in events if isinstance(it, Traded) and it.taker_order_id == taker_id]
    return [(it.maker_order_id, it.price_micros, it.size_milli) for it in own]


def facts(events: list[Event], user_id: str) -> list[object]:
    """Return the facts about the order and its user, without the ids that a dry run does not know."""
    found: list[object] = []
    for event in events:
        match event:
            case OrderAccepted():
                found.append((event.side, event.type, event.price_micros, event.size_milli, event.reduce_only))
            case Traded():
                maker = event.maker_order_id, event.maker_user_id, event.maker_fee_micros
                found.append((event.price_micros, event.size_milli, *maker, event.taker_fee_micros))
            case OrderCancelled():
                if event.user_id == user_id or event.reason not in ("nothing_to_reduce", "linked_order"):
                    found.append((event.user_id, event.side, event.price_micros, event.remaining_milli, event.reason))
            case PositionChanged() | BalanceChanged():
                if event.user_id == user_id:
                    found.append(event)
            case OrderEdited():
                # The dry run knows only those of others that it meets.
                if event.user_id == user_id:
                    found.append(
                        (event.side, event.price_micros, event.previous_remaining_milli, event.remaining_milli)
                    )
            case _ if getattr(event, "user_id", user_id) == user_id:
                found.append(event)
    return found
