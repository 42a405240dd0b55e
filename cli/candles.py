"""`exchange candles`: open, high, low, close and volume of an instrument or an index by intervals of time."""

from pathlib import Path
from typing import get_args

import click

from exchange.amounts import contracts, price_decimals, short_time, size_decimals, usdc
from exchange.cli.options import ASSET, INSTRUMENT, TIME, db_option, json_option
from exchange.cli.output import TextTable, add_rows, print_json, print_tables, table
from exchange.cli.present import at_option, offline_option, present
from exchange.projections.candles import CANDLES_MAX
from exchange.projections.wire_types import Candle, Resolution
from exchange.times import Moment


@click.command()
@click.argument("of", metavar="INSTRUMENT|ASSET")
@click.option(
    "--resolution",
    type=click.Choice(get_args(Resolution)),
    default="1m",
    show_default=True,
    help="Length of the intervals.",
)
@click.option("-n", "count", type=click.IntRange(1, CANDLES_MAX), help="The last candles. Default: 20.")
@click.option("--since", "start_us", type=TIME, metavar="TIME", help="All candles from this time on; not with -n.")
@at_option
@offline_option
@db_option
@json_option
def candles(
    of: str,
    resolution: Resolution,
    count: int | None,
    start_us: int | None,
    moment: Moment,
    offline: bool,
    path: Path,
    as_json: bool,
) -> None:
    """Show candles of an instrument or of an index, oldest first.

    Candles of an INSTRUMENT are of its trades, those of an ASSET of its index price. The last candle is running.

    Asks the running exchange; reads the recorded data if none runs.

    \b
    Examples:
      exchange candles SOL_USDC-28FEB26-150-C --resolution 5m
      exchange candles SOL --resolution 1h -n 24
      exchange candles SOL --since '1 hour ago' --json | jq '.[].close'
    """
    if count is not None and start_us is not None:
        raise click.UsageError(
            "-n and --since exclude each other: -n shows the last candles, --since all from a time on"
        )
    name = (INSTRUMENT if "_" in of else ASSET).convert(of, None, None)
    if start_us is None and count is None:
        count = 20
    with present(path, offline, moment=moment) as source:
        found = source.candles(name, resolution, start_us, count).candles
        if as_json:
            print_json(found)
        elif found:
            print_tables(_candles(found, "_" in name, source.as_of()))
        else:
            click.echo(f"{name} has no candles {'yet' if start_us is None else 'since then'} ({source.as_of()})")


def _candles(found: list[Candle], has_volume: bool, moment: str) -> TextTable:
    names = ("begin", ">open", ">high", ">low", ">close")
    shown = table(*names, *((">volume", ">notional") if has_volume else ()), caption=moment)
    decimals = price_decimals(
        amount for one in found for amount in (one.open_micros, one.high_micros, one.low_micros, one.close_micros)
    )
    sizes = size_decimals(one.volume_milli for one in found)
    add_rows(
        shown,
        (
            (
                short_time(one.ts_us),
                usdc(one.open_micros, decimals),
                usdc(one.high_micros, decimals),
                usdc(one.low_micros, decimals),
                usdc(one.close_micros, decimals),
                *((contracts(one.volume_milli, sizes), usdc(one.notional_micros)) if has_volume else ()),
            )
            for one in found
        ),
    )
    return shown
