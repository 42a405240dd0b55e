"""`exchange index volatility`: the historical volatility of an index."""

from pathlib import Path

import click

from exchange.amounts import short_time
from exchange.cli.options import ASSET, db_option, json_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.cli.present import at_option, offline_option, present
from exchange.gateway.limits import COUNT_MAX
from exchange.times import Moment


@click.command()
@click.argument("asset", metavar="ASSET", type=ASSET)
@click.option(
    "-n", "count", type=click.IntRange(1, COUNT_MAX), default=24, show_default=True, help="The last full hours."
)
@at_option
@offline_option
@db_option
@json_option
def volatility(asset: str, count: int, moment: Moment, offline: bool, path: Path, as_json: bool) -> None:
    """Show the volatility of an index over 15 days, by the hour.

    It is the standard deviation of the daily returns, for a year of 365 days. Asks the running exchange; reads the
    recorded data if none runs.

    \b
    Examples:
      exchange index volatility SOL
      exchange index volatility SOL -n 1 --json | jq '.[0].volatility'
    """
    with present(path, offline, moment=moment) as source:
        found = source.volatilities(asset, count)
        if as_json:
            print_json(found)
        elif found:
            shown = table("hour", ">volatility", caption=source.as_of())
            add_rows(shown, ((short_time(one.ts_us), f"{one.volatility:.1%}") for one in found))
            print_tables(shown)
        else:
            click.echo(f"the index of {asset} is not known for 15 days ({source.as_of()})")
