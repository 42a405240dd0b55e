"""`exchange admin create-instrument`: list one option by hand."""

from pathlib import Path

import click

from exchange.amounts import contracts, usdc
from exchange.cli.client import call_as_admin
from exchange.cli.options import CONTRACTS, INSTRUMENT, USDC, db_option, json_option, key_file_option
from exchange.cli.output import print_json


@click.command("create-instrument")
@click.argument("instrument_id", type=INSTRUMENT)
@click.option(
    "--tick-size", "tick_micros", type=USDC, default="0.01", show_default=True, help="Smallest price step, in USDC."
)
@click.option(
    "--min-size",
    "min_size_milli",
    type=CONTRACTS,
    default="0.001",
    show_default=True,
    help="Smallest order, in contracts.",
)
@key_file_option
@db_option
@json_option
def create_instrument(instrument_id: str, tick_micros: int, min_size_milli: int, path: Path, as_json: bool) -> None:
    """List an option. The instrument id gives asset, expiry date, strike, and call (C) or put (P).

    \b
    Example:
      exchange admin create-instrument SOL_USDC-28FEB26-150-C --tick-size 0.05 --min-size 0.1
    """
    method = "admin/create_instrument"
    result = call_as_admin(path, method, instrument_id=instrument_id, tick_size=tick_micros, min_size=min_size_milli)
    if as_json:
        print_json(result)
    else:
        tick, smallest = usdc(tick_micros), contracts(min_size_milli)
        click.echo(
            f"{instrument_id} is listed: tick {tick} USDC, minimum size {smallest} contracts (seq {result['seq']})"
        )
