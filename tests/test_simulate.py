"""`private/simulate`: margins with other positions are those that trades to these positions lead to."""

from collections.abc import Callable

import pytest

from exchange.domain.commands import encode_command
from exchange.domain.events import Event, OrderAccepted, Traded
from exchange.engine.engine import Engine
from exchange.journal.records import chain
from exchange.matching.accounts import Account
from exchange.matching.dry_run import simulated_account
from exchange.matching.state import State
from exchange.matching.state_codec import copy_state, digest
from tests.market_commands import fair_steps


def margins_of(account: Account) -> tuple[int, int, dict[str, int]]:
    held = {name: one.position_milli for name, one in account.positions.items() if one.position_milli}
    return account.locked_micros, account.maintenance_micros, held


def run(seed: int, count: int, look: Callable[[Engine, State, list[Event]], None]) -> None:
    engine = Engine()
    for ts_us, command, _ in fair_steps(seed, count):
        before = copy_state(engine.state)
        (record,) = chain(engine.head, [(ts_us, encode_command(command).decode())])
        events, _ = engine.step(record, command)
        look(engine, before, events)


@pytest.mark.slow
def test_margins_are_those_after_trades() -> None:
    """An order that trades whole and at once leaves the margins that a simulation of its contracts shows."""
    compared = 0

    def look(engine: Engine, before: State, events: list[Event]) -> None:
        nonlocal compared
        orders = [event for event in events if isinstance(event, OrderAccepted)]
        trades = [event for event in events if isinstance(event, Traded)]
        if len(orders) != 1 or not trades or orders[0].liquidation:
            return
        user_id, order_id = orders[0].user_id, orders[0].order_id
        if order_id in engine.state.accounts[user_id].open_orders or user_id in [one.maker_user_id for one in trades]:
            return
        size_milli = sum(one.size_milli for one in trades) * (1 if orders[0].side == "bid" else -1)
        found = simulated_account(before, user_id, {orders[0].instrument_id: size_milli}, False)
        if list(before.accounts[user_id].open_orders) != list(engine.state.accounts[user_id].open_orders):
            return
        assert margins_of(found) == margins_of(engine.state.accounts[user_id])
        compared += 1

    run(5, 700, look)
    assert compared > 5


def test_a_simulation_changes_nothing_and_without_positions_shows_the_account() -> None:
    def look(engine: Engine, before: State, events: list[Event]) -> None:
        for user_id, account in engine.state.accounts.items():
            assert margins_of(simulated_account(engine.state, user_id, {}, False)) == margins_of(account)
            held = margins_of(account)[2]
            replaced = simulated_account(engine.state, user_id, held, True)
            assert margins_of(replaced) == margins_of(account)
            assert margins_of(simulated_account(engine.state, user_id, {}, True))[2] == {}

    run(6, 60, look)
    engine = Engine()
    for ts_us, command, _ in fair_steps(6, 60):
        (record,) = chain(engine.head, [(ts_us, encode_command(command).decode())])
        engine.step(record, command)
    known = digest(engine.state)
    for user_id in engine.state.accounts:
        for name in engine.state.books:
            simulated_account(engine.state, user_id, {name: -5_000}, True)
    assert digest(engine.state) == known
    engine.state.check()
