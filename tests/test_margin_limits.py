"""The limits of locks and margins: a quick check of whole accounts agrees with the sum over all positions."""

import random

import pytest

from exchange.domain.margin_rates import MarginRates
from exchange.matching.fees import fee_schedule_of
from exchange.matching.index_update import _growth, within_limits
from exchange.matching.state import State
from tests.market_story import write_story


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> State:
    """A market with short positions and open orders, before its first expiration."""
    state = write_story(tmp_path_factory.mktemp("story") / "exchange.db", 28)
    assert sum(account.maintenance_micros > 0 for account in state.accounts.values()) > 1
    return state


def _answers(state: State, rates: dict[str, MarginRates]) -> list[tuple[bool, bool]]:
    """For limits around each sum: what the quick check answers, and what the sum over all positions answers.

    Only with the fees of the state there is a quick check. Equal fees that are another object have none.
    """
    fees, equal_fees = state.fee_schedule, fee_schedule_of(state.rules)
    sums = [account.locked_micros for account in state.accounts.values()]
    limits = {round(total * factor) + more for total in sums for factor in (1, 1.5, 3, 5) for more in (-1, 0, 1)}
    return [
        (within_limits(state, fees, rates, limit), within_limits(state, equal_fees, rates, limit))
        for limit in sorted(limits)
    ]


@pytest.mark.parametrize("factor", [0.5, 1, 1.0001, 1.4, 3.7])
def test_quick_check_of_limits_answers_as_the_exact_one(state: State, factor: float) -> None:
    chance = random.Random(factor)
    rates = {
        book.instrument_id: MarginRates(
            int(book.initial_nanos * factor), int(book.maintenance_nanos * factor * chance.uniform(0.5, 1))
        )
        for books in state.live.values()
        for book in books.values()
    }
    answers = _answers(state, rates)
    assert all(quick == exact for quick, exact in answers)
    assert {exact for _, exact in answers} == {True, False}, "the limits do not decide"


def test_a_margin_that_was_zero_is_summed_up(state: State) -> None:
    """No factor describes the growth from zero."""
    book = next(book for books in state.live.values() for book in books.values() if not book.maintenance_nanos)
    assert _growth(state, {book.instrument_id: MarginRates(book.initial_nanos, 1)}) is None
