"""`exchange index`: the index prices of the underlying assets."""

from pathlib import Path

import click

from exchange.amounts import price_decimals, short_time, usdc
from exchange.cli.lazy import LazyGroup
from exchange.cli.options import ASSET, command_line, db_option, json_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.cli.present import at_option, offline_option, present
from exchange.times import Moment


@click.group(cls=LazyGroup)
def index() -> None:
    """Show and feed index prices.

    The exchange computes marks, margins and settlements from them.
    """


@index.command()
@click.argument("asset", metavar="[ASSET]", type=ASSET, required=False)
@at_option
@offline_option
@db_option
@json_option
def show(asset: str | None, moment: Moment, offline: bool, path: Path, as_json: bool) -> None:
    """Show the last index price of every asset, or of ASSET.

    Asks the running exchange; reads the recorded data if none runs.

    \b
    Examples:
      exchange index show
      exchange index show SOL --json | jq '.[0].price'
    """
    with present(path, offline, moment=moment) as source:
        found = [one for one in source.indexes() if asset in (None, one.asset)]
        as_of = source.as_of()
    if as_json:
        print_json(found)
        return
    if not found:
        set_one = command_line(f"admin set-index {asset or 'SOL'} 150", path)
        click.echo(
            f"there is no index price{f' of {asset}' if asset else ''}; to set one while the exchange runs: {set_one}"
        )
        return
    decimals = price_decimals(one.price_micros for one in found)
    shown = table("index", ">price", "since", ">seq", caption=as_of)
    add_rows(
        shown, ((one.asset, usdc(one.price_micros, decimals), short_time(one.ts_us), str(one.seq)) for one in found)
    )
    print_tables(shown)
