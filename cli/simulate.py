"""`exchange simulate`: run the demo market in simulated time."""

import asyncio
import logging
from pathlib import Path

import click

from exchange.amounts import short_time
from exchange.cli.options import TIME, command_line, db_option, json_option
from exchange.cli.output import print_json
from exchange.cli.progress import ReplayBar
from exchange.domain.units import US_PER_SECOND
from exchange.simulation.simulate import OtherJournalError, SimulationPlan
from exchange.simulation.simulate import simulate as carry_out

_log = logging.getLogger("exchange")


@click.command()
@db_option
@click.option("--seed", type=int, default=1, show_default=True, help="Random seed of the bots and the index.")
@click.option(
    "--from",
    "start_us",
    type=TIME,
    required=True,
    metavar="TIME",
    help="Start of the simulation (UTC), such as 2026-02-20T00:00:00Z.",
)
@click.option(
    "--hours", type=click.FloatRange(min=0, min_open=True), required=True, help="Length of the simulation, in hours."
)
@click.option(
    "--step",
    "step_s",
    type=click.IntRange(1, 3_600),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Length of a step, in seconds. In each step every index moves once and every bot acts once.",
)
@json_option
def simulate(path: Path, seed: int, start_us: int, hours: float, step_s: int, as_json: bool) -> None:
    """Run the demo market in simulated time.

    Bots trade, and options are listed, expire and settle. The result is an ordinary journal. The same options on a
    new journal give the same hash and digest. On an existing journal the simulation continues from its end, after a
    crash or with more --hours. Another --seed continues with other bots.

    \b
    Example:
      exchange simulate --db data/simulated.db --seed 7 --from 2026-02-20T00:00:00Z --hours 48
    """
    step_us = step_s * US_PER_SECOND
    plan = SimulationPlan(seed, start_us, start_us + int(hours * 3_600) * US_PER_SECOND, step_us)
    path.parent.mkdir(parents=True, exist_ok=True)
    with ReplayBar("simulating") as bar:
        try:
            outcome = asyncio.run(carry_out(path, plan, _log.info, bar))
        except OtherJournalError as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        print_json(outcome._asdict())
        return
    click.echo(f"seq     {outcome.seq}, {short_time(outcome.ts_us)}")
    click.echo(f"hash    {outcome.hash}")
    click.echo(f"digest  {outcome.digest}")
    click.echo(f"\nNext: {command_line('settlements', path)}")
