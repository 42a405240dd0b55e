"""Falls and rises of the index by 40 and 80 % with fifty accounts: slices, fees, debts and shared losses add up."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from exchange.domain.commands import (
    Command,
    CreateInstrument,
    Deposit,
    EndDay,
    Genesis,
    OpenAccount,
    PlaceOrder,
    SetIndexPrice,
    StartSession,
)
from exchange.domain.rules import FEE_PROFILES, LiquidationRules, Market, Rules
from exchange.domain.units import US_PER_DAY
from exchange.history.checks import known_checks, run_checks
from exchange.history.verify import verify
from exchange.history_db.past_views import PastViews
from exchange.matching.apply import apply
from exchange.matching.state import State
from exchange.projections.views import Views
from tests.history_sql import ask_past, change_past, open_past
from tests.market_story import DAY_END_S, MIDNIGHT_US, USDC, write_steps

ACCOUNTS = 50
SHOCKS = (-80, -40, 40, 80)
# The day after the story's: options of the next day stay after the first settlement.
STRIKES = (100, 130, 150, 170, 200)
TODAY = [f"SOL_USDC-20FEB26-{strike}-{kind}" for strike in STRIKES for kind in "CP"]
TOMORROW = [f"SOL_USDC-21FEB26-{strike}-{kind}" for strike in STRIKES for kind in "CP"]
LIQUIDATION = LiquidationRules(takeover_after=3)
RULES = Rules(
    market=Market(fees=FEE_PROFILES["deribit_usdc"], index_age_max_s=0, index_jump_max=0, liquidation=LIQUIDATION)
)
# For each check that needs this market, a change of the history that breaks it.
BROKEN = {
    "losses_are_shared_pro_rata": "UPDATE insurance_payment SET amount_micros = amount_micros + 2 WHERE (seq, n) = "
    "(SELECT seq, n FROM insurance_payment WHERE reason = 'shared_loss' LIMIT 1)",
}
DAY_END_US = DAY_END_S * 1_000_000


def intrinsic(instrument_id: str, index: int) -> int:
    _, _, strike, kind = instrument_id.split("-")
    return max(0, index - int(strike) if kind == "C" else int(strike) - index)


def story(shock_percent: int) -> Iterator[Command]:
    """Fifty accounts trade options of two days, the index moves at once, the makers quote again, the days end."""
    random = Random(shock_percent)
    users = [f"user{n:02}" for n in range(ACCOUNTS)]
    yield from (Genesis(RULES, 2), StartSession("test"), Deposit("insurance", 500 * USDC))
    yield from (CreateInstrument(instrument_id, 10_000, 1) for instrument_id in (*TODAY, *TOMORROW))
    yield SetIndexPrice("SOL", 150 * USDC)
    yield OpenAccount("maker", 1_000_000 * USDC)
    yield from (OpenAccount(user_id, random.choice((200, 400, 1_000)) * USDC) for user_id in users)
    for user_id in users:
        for instrument_id in random.sample((*TODAY, *TOMORROW), 6):
            sides: Any = random.choice((("bid", "ask"), ("ask", "bid")))
            price, size = (intrinsic(instrument_id, 150) + 2) * USDC, random.randrange(1_000, 30_000)
            yield PlaceOrder("maker", instrument_id, sides[0], "limit", "gtc", price, size)
            yield PlaceOrder(user_id, instrument_id, sides[1], "limit", "ioc", price, size)
    index = 150 * (100 + shock_percent) // 100
    yield SetIndexPrice("SOL", index * USDC)
    for number in range(6):
        # Makers quote a little around the new value, in a part of the instruments.
        for instrument_id in random.sample((*TODAY, *TOMORROW), 8):
            value, size = intrinsic(instrument_id, index), random.randrange(500, 5_000)
            yield PlaceOrder("maker", instrument_id, "ask", "limit", "gtc", (value + 1) * USDC, size)
            if value > 1:
                yield PlaceOrder("maker", instrument_id, "bid", "limit", "gtc", (value - 1) * USDC, size)
        yield SetIndexPrice("SOL", (index + number % 2) * USDC)
    yield EndDay(DAY_END_US)
    yield from (SetIndexPrice("SOL", index * USDC) for _ in range(3))
    yield from (Deposit(user_id, 20 * USDC) for user_id in users)
    yield EndDay(DAY_END_US + US_PER_DAY)


def timed(shock_percent: int) -> Iterator[tuple[int, Command]]:
    ts_us = MIDNIGHT_US
    for command in story(shock_percent):
        ts_us = max(ts_us + 1_000, command.day_end_us if isinstance(command, EndDay) else 0)
        yield ts_us, command


@pytest.mark.slow
@pytest.mark.parametrize("shock_percent", SHOCKS)
def test_cash_is_conserved_at_every_command(shock_percent: int) -> None:
    """`State.check` compares the cash of all accounts with what was paid in. At the end, all is settled."""
    state = State()
    for ts_us, command in timed(shock_percent):
        apply(state, ts_us, command)
        state.check()
    assert not any(position.position_milli for one in state.accounts.values() for position in one.positions.values())
    assert state.accounts["insurance"].cash_micros >= 0
    # A settlement without winners leaves what the insurance cannot pay.
    owing = [one.user_id for one in state.accounts.values() if one.cash_micros < 0]
    assert not owing or state.accounts["insurance"].cash_micros == 0


@pytest.mark.slow
@pytest.mark.parametrize("shock_percent", SHOCKS)
def test_sql_recomputes_liquidations_and_shared_losses(shock_percent: int, tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    write_steps(path, timed(shock_percent))
    assert verify(path, False, lambda done, total: None).damage is None
    assert [outcome.check.name for outcome in run_checks(path, known_checks()) if outcome.rows] == []
    # Each liquidation was due.
    assert ask_past(path, "SELECT count(*) > 0 FROM liquidations") == [(1,)]
    ratios = ask_past(
        path, "SELECT seq, cash_micros * 1.0 / maintenance_micros FROM liquidations WHERE maintenance_micros > 0"
    )
    assert all(ratio < 1 for _, ratio in ratios)
    # The fee of a liquidation is 0.16 % of the index for what was traded or taken over, and goes to the insurance.
    fees = "SELECT coalesce(sum(insurance_fee_micros), 0) FROM liquidations"
    received = "SELECT coalesce(sum(amount_micros), 0) FROM cash_flows WHERE reason = 'liquidation_fee'"
    assert ask_past(path, fees) == ask_past(path, f"{received} AND user_id = 'insurance'")
    # What the winners bore is what the insurance could not pay: each share is in proportion to what was won.
    shares = ask_past(path, "SELECT seq, amount_micros, won_micros, loss_micros FROM shared_losses")
    for seq in {row[0] for row in shares}:
        of_command = [row for row in shares if row[0] == seq]
        won = sum(row[2] for row in of_command)
        assert sum(row[1] for row in of_command) == of_command[0][3]
        assert all(abs(amount * won - loss * one_won) < won for _, amount, one_won, loss in of_command)


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_each_check_fails_on_a_changed_history(name: str, tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    write_steps(path, timed(80))
    change_past(path, BROKEN[name])
    assert name in [outcome.check.name for outcome in run_checks(path, known_checks()) if outcome.rows]


@pytest.mark.slow
def test_the_history_tells_the_same_as_the_live_views(tmp_path: Path) -> None:
    path, state, views = tmp_path / "exchange.db", State(), Views()
    write_steps(path, timed(80))
    for seq, (ts_us, command) in enumerate(timed(80), 1):
        views.project(seq, ts_us, apply(state, ts_us, command))
    past = PastViews(open_past(path), views.seq)
    for instrument_id in (*TODAY, *TOMORROW):
        assert past.trades(instrument_id, 1_000) == views.trades(instrument_id, 1_000)
    assert any(trade.liquidation for trade in views.trades(TODAY[0], 1_000))
    assert [past.account(user_id) for user_id in state.accounts] == [
        views.account(user_id) for user_id in state.accounts
    ]
