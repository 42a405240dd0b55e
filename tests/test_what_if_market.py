"""What-if in a market: other collateral, fees and index prices, and the settlements that differ."""

from pathlib import Path

import pytest

from exchange.domain.commands import ChangeRules, Command, Genesis, SetIndexPrice
from exchange.domain.rules import Market, Rules, Series
from exchange.history.comparison import Comparison, Pair
from exchange.history.edits import Edits
from tests.cli_support import exchange, said, said_json
from tests.journals import write_journal
from tests.market_story import RULES, USDC, write_story
from tests.small_market import START_US
from tests.test_what_if import cash_of, compare, inserted, printed, seqs


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("market") / "exchange.db"
    write_story(path)
    return path


def settled(found: Comparison) -> dict[str, tuple[Pair, Pair]]:
    """The settlement payouts and insurance payments of users for whom either is different."""
    pairs = {user.user_id: (user.settled_micros, user.shortfall_micros) for user in found.users}
    return {user_id: both for user_id, both in pairs.items() if any(pair.difference for pair in both)}


def test_edits_without_effect_in_a_market(story: Path) -> None:
    assert compare(story, Edits()).is_same
    assert compare(story, Edits(rules=["collateral=standard"])).is_same
    # These commands were refused, so dropping them changes nothing.
    assert compare(story, Edits(drops=[(28, 28), (43, 44)])).is_same


def test_cash_secured_shorts(story: Path) -> None:
    """Users without cash for the strike cannot go short, so there is no liquidation and no insurance payment."""
    found = compare(story, Edits(rules=["collateral=cash_secured"]))
    assert (seqs(found.impossible), seqs(found.possible)) == ([17, 18], [27])
    assert settled(found) == {
        "carol": (Pair(60_078_398, 44_301_301), Pair(0, 0)),
        "erin": (Pair(-15_788_060, 0), Pair(15_753_651, 0)),
    }
    assert found.insurance_micros == Pair(-5_753_651, 10 * USDC)
    # dave can withdraw 40 USDC.
    assert found.total_cash_micros.difference == -40 * USDC
    lines = printed(story, "--set", "collateral=cash_secured").splitlines()
    assert lines[-1] == "erin   -15.788060   0.000000  +15.788060  15.753651  0.000000  -15.753651"


def test_other_fees(story: Path) -> None:
    found = compare(story, Edits(rules=["market.fees.delivery_ppm=0"]))
    assert cash_of(found) == {"fees": -80_861, "alice": 28_699, "bob": 12_500, "carol": 39_662}
    assert (found.changed, found.impossible, found.possible) == (2, [], [])
    text = printed(story, "--set", "market.fees.delivery_ppm=0")
    assert (
        "\n    real    ..., alice receives 41.33 USDC for 1.0 SOL_USDC-20FEB26-150-C, fee 0.028699, bob pays " in text
    )
    assert "\n    edited  ..., alice receives 41.33 USDC for 1.0 SOL_USDC-20FEB26-150-C, bob pays " in text


def test_a_set_rule_survives_later_changes_of_rules(story: Path) -> None:
    """The rules of seq 69 allow an index of any age. The set rule still limits it, so a sale is refused."""
    found = compare(story, Edits(rules=["market.index_age_max_s=5"]))
    assert 70 in seqs(found.impossible)
    assert 68 not in seqs(found.possible)


def test_a_set_rule_of_a_series_that_later_rules_lack(tmp_path: Path) -> None:
    path, series = tmp_path / "exchange.db", (Series("SOL", 10, dailies=1),)
    rules = [Rules(market=Market(series=series)), Rules(market=Market())]
    commands: list[Command] = [Genesis(rules[0]), SetIndexPrice("SOL", 150 * USDC), ChangeRules(rules[1])]
    write_journal(path, [(START_US + n, command) for n, command in enumerate(commands)])
    found = compare(path, Edits(rules=["market.series.SOL.strikes_each_side=0"]))
    assert found.first_change is not None and found.first_change.seq == 2


def test_an_invalid_change_of_rules_is_refused_as_in_reality(tmp_path: Path) -> None:
    path, market = tmp_path / "exchange.db", Market(series=(Series("SOL", 10), Series("SOL", 5)))
    write_journal(path, [(START_US, Genesis(RULES)), (START_US + 1, ChangeRules(Rules(market=market)))])
    assert compare(path, Edits(rules=["collateral=cash_secured"])).is_same


def test_liquidation_orders_are_paired_although_their_ids_differ(story: Path) -> None:
    """Without alice's first bid, later orders have other ids and only her trade is missing.

    The ask of that trade is larger when it is cancelled, and the settlement differs. The liquidations are the same.
    """
    found = compare(story, Edits(drops=[(15, 15)]))
    assert found.first_change is not None
    assert (found.changed, found.first_change.seq) == (2, 23)
    # She does not receive 41.33, and saves both fees and the price of the option.
    assert cash_of(found)["alice"] == -35_756_301


def test_outcomes_that_differ_only_in_a_price(story: Path) -> None:
    """The printed outcomes are never the same."""
    text = said(exchange("what-if", "--set", "market.liquidation_limit_ppm=1000", "--db", story))
    shown = [line.split(maxsplit=1) for line in text.splitlines() if line.startswith("    ")]
    (real, edited, *_) = [text for history, text in shown if history in ("real", "edited")]
    assert "placed to liquidate" in real and real != edited


def test_another_index_price(story: Path) -> None:
    """With a lower index the calls are worthless and bob pays for his puts."""
    low = inserted(SetIndexPrice("SOL", 140 * USDC))
    found = compare(story, Edits([(29, 29), (31, 31), (36, 37)], inserts={28: low}))
    assert {user_id: pairs[0].edited for user_id, pairs in settled(found).items()} == {
        "alice": -100_000,
        "bob": -17_912_500,
        "carol": 17_968_500,
        "erin": 0,
    }
    assert found.insurance_micros == Pair(-5_753_651, 10 * USDC)


def test_json_output_of_a_what_if(story: Path) -> None:
    from_json = said_json(exchange("what-if", "--drop", 18, "--json", "--db", story))
    (erin,) = [user for user in from_json["users"] if user["user_id"] == "erin"]
    assert (erin["settled_micros"], erin["shortfall_micros"]) == (
        {"real": -15_788_060, "edited": 0},
        {"real": 15_753_651, "edited": 0},
    )
