"""What if, in a market: other collateral, other fees, another index, and what settles differently for whom."""

from pathlib import Path

import pytest

from exchange.domain.commands import ChangeRules, Command, Genesis, SetIndexPrice
from exchange.domain.rules import Market, Rules, Series
from exchange.history.edits import Edits
from exchange.history.what_if import Comparison, Pair
from tests.cli_support import exchange, said, said_json
from tests.journals import write_journal
from tests.market_story import RULES, USDC, write_story
from tests.small_market import START_US
from tests.test_what_if import cash_of, compare, inserted, seqs, told


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("market") / "exchange.db"
    write_story(path)
    return path


def settled(found: Comparison) -> dict[str, tuple[Pair, Pair]]:
    """What settlements paid, and what the insurance did, where either is different."""
    pairs = {user.user_id: (user.settled_micros, user.shortfall_micros) for user in found.users}
    return {user_id: both for user_id, both in pairs.items() if any(pair.difference for pair in both)}


def test_nothing_is_different_where_nothing_was_changed(story: Path) -> None:
    assert compare(story, Edits()).is_same
    assert compare(story, Edits(rules=["collateral=standard"])).is_same
    assert compare(story, Edits(drops=[(28, 28), (43, 44)])).is_same  # what was refused is not missed


def test_shorts_that_are_secured_by_their_strike(story: Path) -> None:
    """Who had too little cash for a strike was never short, and so nobody was liquidated, and no insurance needed."""
    found = compare(story, Edits(rules=["collateral=cash_secured"]))
    assert (seqs(found.impossible), seqs(found.possible)) == ([17, 18], [27])
    assert settled(found) == {
        "carol": (Pair(60_078_398, 44_301_301), Pair(0, 0)),
        "erin": (Pair(-15_788_060, 0), Pair(15_753_651, 0)),
    }
    assert found.insurance_micros == Pair(-5_753_651, 10 * USDC)
    assert found.total_cash_micros.difference == -40 * USDC  # dave's withdrawal
    lines = told(story, "--set", "collateral=cash_secured").splitlines()
    assert lines[-1] == "erin    -15.78806        0.00    +15.78806   15.753651     0.00   -15.753651"


def test_other_fees(story: Path) -> None:
    found = compare(story, Edits(rules=["market.fees.delivery_ppm=0"]))
    assert cash_of(found) == {"fees": -80_861, "alice": 28_699, "bob": 12_500, "carol": 39_662}
    assert (found.changed, found.impossible, found.possible) == (2, [], [])
    text = told(story, "--set", "market.fees.delivery_ppm=0")
    assert "\n    real    ..., alice is paid 41.33 USDC for 1 SOL_USDC-20FEB26-150-C, fee 0.028699, bob pays " in text
    assert "\n    edited  ..., alice is paid 41.33 USDC for 1 SOL_USDC-20FEB26-150-C, bob pays " in text


def test_a_rule_holds_through_changes_of_the_rules(story: Path) -> None:
    """The rules of seq 69 have an index of any age; with the rule that is set they have not, and a sale is refused."""
    found = compare(story, Edits(rules=["market.index_age_max_s=5"]))
    assert 70 in seqs(found.impossible)
    assert 68 not in seqs(found.possible)


def test_a_rule_of_series_that_later_rules_do_not_have(tmp_path: Path) -> None:
    path, series = tmp_path / "exchange.db", (Series("SOL", 10, dailies=1),)
    rules = [Rules(market=Market(series=series)), Rules(market=Market())]
    commands: list[Command] = [Genesis(rules[0]), SetIndexPrice("SOL", 150 * USDC), ChangeRules(rules[1])]
    write_journal(path, [(START_US + n, command) for n, command in enumerate(commands)])
    found = compare(path, Edits(rules=["market.series.SOL.strikes_each_side=0"]))
    assert found.first_change is not None and found.first_change.seq == 2


def test_a_change_of_rules_that_contradict_themselves_is_refused_as_it_was(tmp_path: Path) -> None:
    path, market = tmp_path / "exchange.db", Market(series=(Series("SOL", 10), Series("SOL", 5)))
    write_journal(path, [(START_US, Genesis(RULES)), (START_US + 1, ChangeRules(Rules(market=market)))])
    assert compare(path, Edits(rules=["collateral=cash_secured"])).is_same


def test_orders_that_the_exchange_placed_are_the_same_ones_under_other_numbers(story: Path) -> None:
    """Without alice's first bid every order after it has another number, and only her own trade is missing: the ask of
    that trade is larger when it is cancelled, and the settlement is another one. The liquidations are the same.
    """
    found = compare(story, Edits(drops=[(15, 15)]))
    assert found.first_change is not None
    assert (found.changed, found.first_change.seq) == (2, 23)
    assert cash_of(found)["alice"] == -35_756_301  # 41.33 less both fees and what she paid


def test_a_difference_that_only_a_price_shows(story: Path) -> None:
    """What is printed of both outcomes is never the same."""
    text = said(exchange("what-if", "--set", "market.liquidation_limit_ppm=1000", "--db", story))
    shown = [line.split(maxsplit=1) for line in text.splitlines() if line.startswith("    ")]
    (real, edited, *_) = [words for what, words in shown if what in ("real", "edited")]
    assert "placed to liquidate" in real and real != edited


def test_another_index_price(story: Path) -> None:
    """Had it fallen, the calls would have been worth nothing, and bob would have paid for his puts."""
    low = inserted(SetIndexPrice("SOL", 140 * USDC))
    found = compare(story, Edits([(29, 29), (31, 31), (36, 37)], inserts={28: low}))
    assert {user_id: pairs[0].edited for user_id, pairs in settled(found).items()} == {
        "alice": -100_000,
        "bob": -17_912_500,
        "carol": 17_968_500,
        "erin": 0,
    }
    assert found.insurance_micros == Pair(-5_753_651, 10 * USDC)


def test_all_of_it_for_programs(story: Path) -> None:
    from_json = said_json(exchange("what-if", "--drop", 18, "--json", "--db", story))
    (erin,) = [user for user in from_json["users"] if user["user_id"] == "erin"]
    assert (erin["settled_micros"], erin["shortfall_micros"]) == (
        {"real": -15_788_060, "edited": 0},
        {"real": 15_753_651, "edited": 0},
    )
