"""The search for attacks: no coalition gains more than others give it, and the search finds the known attacks.

`python -m tests.attack_search 1-2000` searches more. Rules of version 1 are those with known attacks.
"""

from collections.abc import Callable
from random import Random, SystemRandom

import pytest
from click.testing import CliRunner

from exchange.domain.rules import FIRST_RULES_VERSION
from tests.attack_market import FAR_CALL, SAFE, START_MICROS, USDC, AttackedMarket, index_path, limit, opened_market
from tests.attack_search import Attack, main, outcome_of, report, run_strategy, shrink
from tests.attack_strategies import Action, milking, own_liquidation, strategy_of, two_quotes, wash_trade, wings

# The first seeds are few, and run with every `make test`; the others take long.
FIRST_SEEDS, SEEDS, CHUNK = 20, 420, 100
SOAKED_SEEDS = 2_000


def check(seed: int) -> int:
    """Run the strategy of a seed. Return the number of orders of liquidations. A failure shows the attack."""
    outcome = outcome_of(seed)
    if outcome.is_attack:
        pytest.fail(report(seed), pytrace=False)
    return outcome.liquidations


def chunks() -> list[pytest.ParameterSet]:
    """The seeds of each chunk. Each is so large that some of its strategies liquidate an account."""
    later = [range(first, first + CHUNK) for first in range(FIRST_SEEDS, SEEDS, CHUNK)]
    first = pytest.param(range(FIRST_SEEDS), marks=pytest.mark.slow, id="first")
    return [first, *[pytest.param(seeds, marks=pytest.mark.long, id=str(seeds.start)) for seeds in later]]


@pytest.mark.parametrize("seeds", chunks())
def test_chunk_of_strategies_gains_no_more_than_it_is_given(seeds: range) -> None:
    assert sum(map(check, seeds)) > 0, "nothing was liquidated"


@pytest.mark.long
def test_variations_of_the_last_known_attack_gain_nothing() -> None:
    """An accomplice offers to the liquidation of the account that sold to it."""
    for seed in range(30):
        assert not run_strategy(seed, own_liquidation(Random(seed))).is_attack


def market_without_makers() -> AttackedMarket:
    """A market in which no maker quotes FAR_CALL."""
    return next(one for seed in range(32) if FAR_CALL not in (one := opened_market(2, seed)).quoted).copy()


@pytest.mark.parametrize("last_usdc", [173, 175])
def test_an_accomplice_cannot_sell_to_a_liquidation_until_the_insurance_pays(last_usdc: int) -> None:
    """The seller keeps too little for its short, and the accomplice offers 5 % of the index above the mark."""
    market = market_without_makers()
    path = iter([price * USDC for price in (156, 162, 165, last_usdc)])
    dump = [Action("clear", 2, side="bid"), Action("dump", 0, 1, price="lowest"), Action("withdraw", 0)]
    offer = [Action("quote", 1, price=price) for price in (50_000, 35_000, 10_000)]
    outcome = Attack(market, path).run([*dump, *[Action("move")] * 4, *offer, Action("index")])
    assert outcome.liquidations and not outcome.is_attack, outcome


KNOWN = [(two_quotes, 0, 9_000), (wash_trade, 0, 9_000), (wings, 1, 4_000), (milking, 20, 2_000)]


@pytest.mark.parametrize(("attack", "seed", "gain_usdc"), KNOWN)
def test_known_attack_gains_under_version_1_and_nothing_now(
    attack: Callable[[Random], list[Action]], seed: int, gain_usdc: int
) -> None:
    actions = attack(Random(seed))
    assert run_strategy(seed, actions, FIRST_RULES_VERSION).excess > gain_usdc
    assert not run_strategy(seed, actions).is_attack


@pytest.mark.long
def test_the_search_finds_the_attacks_of_version_1() -> None:
    found = [seed for seed in range(100) if outcome_of(seed, FIRST_RULES_VERSION).is_attack]
    kinds = {"wash" if any(one.kind == "wash" for one in shortest(seed)) else "quotes" for seed in found}
    assert kinds == {"wash", "quotes"}, found


def shortest(seed: int) -> list[Action]:
    """The shortest list of actions that still attacks version 1."""
    return shrink(strategy_of(seed), lambda actions: run_strategy(seed, actions, FIRST_RULES_VERSION).is_attack)


def test_a_gift_of_a_bystander_is_no_attack() -> None:
    """The bystander bids 15 USDC for an option that is worth 7."""
    market = market_without_makers()
    market.apply(limit("honest", FAR_CALL, "bid", 15 * USDC, 10_000))
    outcome = Attack(market, index_path(0)).run([Action("take", 0, size_milli=10_000)])
    assert outcome.given > 70 and outcome.gain == pytest.approx(outcome.given, abs=1)
    assert not outcome.is_attack


def test_values_are_those_of_the_makers() -> None:
    market = opened_market(2, 0)
    assert market.index_micros == START_MICROS
    assert market.worth(FAR_CALL).value == pytest.approx(6.75 * USDC, rel=0.02)
    assert market.worth(SAFE).value == pytest.approx(50 * USDC, rel=0.01)


@pytest.mark.slow
def test_an_attack_is_reported_with_its_seed_and_its_shortest_actions() -> None:
    seed = next(seed for seed in range(1_000) if outcome_of(seed, FIRST_RULES_VERSION).is_attack)
    result = CliRunner().invoke(main, [str(seed), "--rules-version", "1"])
    assert result.exit_code == 1
    assert f"repeat it with: python -m tests.attack_search {seed} --rules-version 1" in result.output
    assert 2 <= result.output.count("Action(") <= 5
    assert CliRunner().invoke(main, [str(seed)]).exit_code == 0


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_fresh_strategies_gain_no_more_than_they_are_given() -> None:
    first_seed = SystemRandom().randrange(1_000_000, 1_000_000_000)
    assert sum(map(check, range(first_seed, first_seed + SOAKED_SEEDS))) > 0
