"""Makes a failing plan shorter: it leaves out faults and actions as long as the run still fails."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.faults.plan import Plan

# Runs after which the shortest plan so far is good enough.
_RUNS_MAX = 300


def shrink(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """The shortest plan that was found. `fails` runs one; `plan` itself must fail."""
    runs = 0

    def still_fails(shorter: Plan) -> bool:
        nonlocal runs
        runs += 1
        return runs <= _RUNS_MAX and fails(shorter)

    faults = _fewest(plan.faults, lambda some: still_fails(plan._replace(faults=some)))
    plan = plan._replace(faults=faults)
    actions = _fewest(plan.actions, lambda some: still_fails(plan._replace(actions=some)))
    return plan._replace(actions=actions)


def _fewest(items: Sequence[Any], fails: Callable[[list[Any]], bool]) -> list[Any]:
    """Leave out parts of half the length, then of a quarter, down to single items."""
    left, size = list(items), max(1, len(items) // 2)
    while True:
        start = 0
        while start < len(left):
            without = left[:start] + left[start + size :]
            if fails(without):
                left = without
            else:
                start += size
        if size == 1:
            return left
        size = max(1, size // 2)
