"""`exchange journal rebuild`: write the events that an earlier version recorded again from the commands."""

from pathlib import Path

import click

from exchange.cli.options import db_option, json_option
from exchange.cli.output import print_json
from exchange.cli.progress import ReplayBar
from exchange.history.rebuild import rebuild as rebuild_events


@click.command()
@click.option("--dry-run", is_flag=True, help="Report the differences without writing.")
@db_option
@json_option
def rebuild(dry_run: bool, path: Path, as_json: bool) -> None:
    """Write the recorded events of an earlier version again.

    Stop the exchange first. Archives are not changed. This version records no events: `exchange history rebuild` writes
    the results of all commands again.

    \b
    Example:
      exchange journal rebuild --dry-run
    """
    with ReplayBar() as bar:
        done = rebuild_events(path, dry_run, bar)
    if as_json:
        print_json(done._asdict())
        return
    verb = "would differ" if dry_run else "differed"
    where = f", the first at seq {done.first_differing_seq}" if done.differing else ""
    click.echo(f"{done.events:,} events, {done.differing:,} of them {verb} from the recorded ones{where}")
