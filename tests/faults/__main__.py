"""`python -m tests.faults SEEDS`: run seeds. For one that fails, print a line that repeats it and a short plan."""

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import click

from tests.faults.plan import Plan, plan_of
from tests.faults.planted import PLANTED, planted
from tests.faults.run import Outcome, run_plan
from tests.faults.shrink import shrink


def run_seed(seed: int, fault: str | None = None, log: bool = False) -> Outcome:
    """Run the plan of a seed, with a planted fault if one is named."""
    with planted(fault):
        return run_plan(plan_of(seed), log)


def report(seed: int, problem: str, fault: str | None = None) -> str:
    """The line that repeats a failing seed, and the shortest plan that still fails."""

    def fails(plan: Plan) -> bool:
        with planted(fault):
            return run_plan(plan).problem is not None

    plan = shrink(plan_of(seed), fails)
    option = f" --planted '{fault}'" if fault else ""
    lines = [f"seed {seed} fails: {problem}", f"repeat it with: python -m tests.faults {seed}{option} --log"]
    lines += [f"  {fault}" for fault in plan.faults]
    lines += [f"  client {one.client}: {one.method} {one.number} after {one.pause_us} us" for one in plan.actions]
    return "\n".join(lines)


def _numbers(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _outcomes(seeds: range, fault: str | None, jobs: int) -> Iterator[tuple[int, str | None, Counter[str]]]:
    if jobs == 1:
        for seed in seeds:
            outcome = run_seed(seed, fault)
            yield seed, outcome.problem, outcome.crashes
        return
    with ProcessPoolExecutor(jobs) as pool:
        for seed, outcome in zip(seeds, pool.map(run_seed, seeds, [fault] * len(seeds), chunksize=10), strict=True):
            yield seed, outcome.problem, outcome.crashes


@click.command()
@click.argument("seeds", metavar="SEED | FIRST-LAST")
@click.option("--planted", "fault", type=click.Choice(list(PLANTED)), help="Plant this fault in the exchange.")
@click.option("--log", is_flag=True, help="Print everything that happens.")
@click.option("--jobs", default=1, show_default=True, help="Processes at the same time.")
def main(seeds: str, fault: str | None, log: bool, jobs: int) -> None:
    """Break the exchange from each of these seeds, and stop at the first that breaks a promise."""
    crashes: Counter[str] = Counter()
    if log:
        outcome = run_seed(int(seeds), fault, log=True)
        click.echo("\n".join(outcome.log))
        sys.exit(outcome.problem)
    numbers = _numbers(seeds)
    for seed, problem, where in _outcomes(numbers, fault, jobs):
        crashes += where
        if problem is not None:
            click.echo(report(seed, problem, fault))
            sys.exit(1)
    places = ", ".join(f"{kind} {count}" for kind, count in sorted(crashes.items()))
    click.echo(f"{len(numbers)} seeds kept all promises; crashes at: {places}")


if __name__ == "__main__":
    main()
