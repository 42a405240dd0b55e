"""The simulator of faults: many seeds keep all promises, planted faults are found, and a seed repeats to the byte.

`make simulate-faults SEEDS=1-5000` runs more seeds; `python -m tests.faults SEED --log` shows what happens in one.
"""

import os
import subprocess
import sys
from collections import Counter
from random import SystemRandom

import pytest

from tests.faults.__main__ import report, run_seed
from tests.faults.plan import STEPS, Action, Plan, plan_of
from tests.faults.planted import PLANTED
from tests.faults.shrink import shrink

SEEDS, CHUNK = 500, 50
# Among the first seeds, one finds each planted fault. Which one it is changes with every step of the exchange.
FIRST_SEEDS = 100
SEARCHED_SEEDS = 1_000


def check(seed: int) -> Counter[str]:
    """Run a seed. A failure shows how to repeat it."""
    outcome = run_seed(seed)
    if outcome.problem is not None:
        pytest.fail(report(seed, outcome.problem), pytrace=False)
    return outcome.crashes


def chunks() -> list[pytest.ParameterSet]:
    """The first seed of each chunk. All chunks but the first take long together."""
    marks = [pytest.mark.slow, *[pytest.mark.long] * (SEEDS // CHUNK - 1)]
    return [pytest.param(1 + n * CHUNK, marks=mark) for n, mark in enumerate(marks)]


@pytest.mark.parametrize("first_seed", chunks())
def test_chunk_of_seeds_keeps_all_promises(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + CHUNK):
        check(seed)


def test_crashes_happen_at_every_kind_of_step() -> None:
    planned = {fault.what for seed in range(SEEDS) for fault in plan_of(seed).faults if "k" in fault.kind}
    assert planned >= set(STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("fault", PLANTED)
def test_planted_fault_is_found(fault: str) -> None:
    assert any(run_seed(seed, fault).problem is not None for seed in range(1, FIRST_SEEDS + 1))


@pytest.mark.slow
def test_a_seed_repeats_to_the_byte_also_with_other_hashes() -> None:
    program = "from tests.faults.__main__ import run_seed\nprint(*[run_seed(seed).trace for seed in (3, 4, 5)])"
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.getcwd()}
    there = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True)
    assert [run_seed(seed).trace for seed in (3, 4, 5)] == there.stdout.split()


def test_shrinking_leaves_what_is_needed() -> None:
    def fails(plan: Plan) -> bool:
        numbers = [action.number for action in plan.actions]
        return {7, 40} <= set(numbers) and len(plan.faults) >= 1

    plan = plan_of(8)._replace(actions=[Action(0, 0, "buy", number) for number in range(60)])
    short = shrink(plan, fails)
    assert [action.number for action in short.actions] == [7, 40] and len(short.faults) == 1


@pytest.mark.soak
def test_fresh_seeds_keep_all_promises() -> None:
    first_seed = SystemRandom().randrange(1_000_000, 1_000_000_000)
    crashes = sum((check(seed) for seed in range(first_seed, first_seed + 5_000)), Counter())
    assert set(crashes) == set(STEPS)


@pytest.mark.soak
@pytest.mark.parametrize("fault", PLANTED)
def test_planted_fault_is_found_anew(fault: str) -> None:
    first_seed = SystemRandom().randrange(1_000_000, 1_000_000_000)
    seeds = range(first_seed, first_seed + SEARCHED_SEEDS)
    assert any(run_seed(seed, fault).problem is not None for seed in seeds), f"not found in {seeds}"
