"""The scenario tables come true, line by line. Their grammar stands at the top of scenario.py."""

from pathlib import Path

import pytest

from exchange.domain.reasons import Reason
from tests.scenario import Line, Scenario, ScenarioError, play, read_scenarios

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))
SCENARIOS = [
    pytest.param(scenario, id=f"{path.stem}: {scenario.name}") for path in FILES for scenario in read_scenarios(path)
]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: Scenario) -> None:
    try:
        play(scenario)
    except ScenarioError as error:
        pytest.fail(str(error), pytrace=False)


def test_every_reason_stands_in_a_scenario() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    assert [reason for reason in Reason if f" {reason}" not in text] == []


KNOWN_BUGS = {
    # Fees are rounded down fill by fill: two fills of 0.0015 pay 0.00 each, and not 0.000001 of the whole.
    "a market fok needs no more than its fills will cost": """
        rules: taker_premium_ppm 500
        bob opens with 0.003
        alice sells 0.001 @ 1.50 -> order 1 open
        alice sells 0.001 @ 1.50 -> order 2 open
        bob buys 0.002 at market fok -> trade 1 0.001 @ 1.50, trade 2 0.001 @ 1.50
    """,
    # In reasons.py size_not_above_filled stands before cost_above_maximum.
    "an edit to a size not above what is filled is refused as that": """
        alice opens with 100.00
        bob opens with 1000000.00
        alice buys 2000.000 @ 0.01 -> order 1 open
        bob sells 1000.000 @ 0.01 -> trade 1 1000.000 @ 0.01
        alice edits 1 to 1000.000 @ 10000000.00 -> refused 1006 size_not_above_filled
    """,
}


@pytest.mark.parametrize("name", KNOWN_BUGS)
@pytest.mark.xfail(strict=True, raises=ScenarioError, reason="bugs of the core; once mended, move them to a table")
def test_known_bug(name: str) -> None:
    lines = KNOWN_BUGS[name].strip().splitlines()
    play(Scenario(name, [Line("known bug", number, line.strip()) for number, line in enumerate(lines, start=1)]))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["alice buys 1.000 @ 1.50 -> order 2 open"], "file:1: alice buys.*\n.*expected: order 2 open\n.*order 1 open"),
        (
            ["alice buys 1.000 @ 1.50", "alice has 1.00 available, 0.00 locked"],
            "file:2: .*\n.*\n.*alice has 9998.50 av",
        ),
        (["alice buys 9999.000 @ 1.50"], "file:1: .*\n.*anything but a refusal\n.*refused 1002 insufficient_balance"),
        (["alice bys 1.000 @ 1.50"], "file:1: .*\n.*not understood"),
        (
            ["alice buys 1.000 @ 1.50", "book: none | none"],
            r"expected: none \| none\n.*got: *1.000 @ 1.50 \(1\) \| none",
        ),
        (["alice sells 1.000 @ 1.50", "alice holds 1.000, 0.00 locked"], "got: *alice holds 0.000, 150.00 locked"),
    ],
)
def test_a_line_that_is_wrong_is_reported(lines: list[str], message: str) -> None:
    scenario = Scenario("wrong", [Line("file", number, text) for number, text in enumerate(lines, start=1)])
    with pytest.raises(ScenarioError, match=message):
        play(scenario)
