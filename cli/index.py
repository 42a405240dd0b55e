"""`exchange index`: the index prices of the underlying assets."""

from pathlib import Path

import click

from exchange.amounts import short_time, usdc
from exchange.cli.current_views import as_of, read_views
from exchange.cli.lazy import LazyGroup
from exchange.cli.options import ASSET, command_line, db_option, json_option
from exchange.cli.output import add_rows, print_json, print_tables, table


@click.group(cls=LazyGroup)
def index() -> None:
    """Show and feed index prices.

    The exchange computes marks, margins and settlements from them.
    """


@index.command()
@click.argument("asset", metavar="[ASSET]", type=ASSET, required=False)
@db_option
@json_option
def show(asset: str | None, path: Path, as_json: bool) -> None:
    """Show the last index price of every asset, or of ASSET.

    \b
    Examples:
      exchange index show
      exchange index show SOL --json | jq '.[0].price'
    """
    views = read_views(path)
    found = [one for one in views.indexes.values() if asset in (None, one.asset)]
    if as_json:
        print_json(found)
        return
    if not found:
        set_one = command_line(f"admin set-index {asset or 'SOL'} 150", path)
        click.echo(
            f"there is no index price{f' of {asset}' if asset else ''}; to set one while the exchange runs: {set_one}"
        )
        return
    shown = table("index", ">price", "since", ">seq", caption=as_of(views))
    add_rows(shown, ((one.asset, usdc(one.price_micros), short_time(one.ts_us), str(one.seq)) for one in found))
    print_tables(shown)
