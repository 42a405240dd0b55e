"""Every line of the scenario tables holds. Their grammar is in the docstring of scenario.py."""

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


def test_every_reason_is_in_a_scenario() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    assert [reason for reason in Reason if f" {reason}" not in text] == []


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
