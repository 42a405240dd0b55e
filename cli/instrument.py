"""`exchange instrument`: the listed options."""

import time
from pathlib import Path

import click

from exchange.amounts import contracts, price_decimals, short_time, usdc
from exchange.cli.lazy import LazyGroup
from exchange.cli.options import ASSET, command_line, db_option, json_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.cli.present import at_option, offline_option, present
from exchange.cli.questions import Quote
from exchange.domain.instruments import instrument_id_of
from exchange.domain.units import US_PER_DAY, US_PER_SECOND, next_day_end_us
from exchange.times import Moment


@click.group(cls=LazyGroup)
def instrument() -> None:
    """Show the listed instruments, or list a new one."""


@instrument.command("list")
@click.option("--asset", type=ASSET, help="Only options on this asset, such as SOL.")
@click.option("--all", "with_expired", is_flag=True, help="Include expired instruments, from the recorded data.")
@click.option("--ids", "only_ids", is_flag=True, help="Print only the ids, one per line, for a script.")
@at_option
@offline_option
@db_option
@json_option
def list_(
    asset: str | None, with_expired: bool, only_ids: bool, moment: Moment, offline: bool, path: Path, as_json: bool
) -> None:
    """Show the listed instruments. Asks the running exchange; reads the recorded data if none runs.

    \b
    Examples:
      exchange instrument list --asset SOL
      OPTION=$(exchange instrument list --asset SOL --ids | head -1)
    """
    if only_ids and as_json:
        raise click.UsageError("--ids and --json exclude each other: remove one of them")
    # Only the recorded data have the expired instruments.
    with present(path, offline or with_expired, moment=moment) as source:
        listed = source.quotes(asset, with_expired)
        if as_json:
            print_json([quote.instrument for quote in listed])
        elif only_ids:
            click.echo("".join(f"{quote.instrument.instrument_id}\n" for quote in listed), nl=False)
        elif listed:
            _print(listed, source.as_of())
        else:
            create_it = command_line(f"admin create-instrument {_example(asset or 'SOL', source.head().ts_us)}", path)
            on_asset = f" on {asset}" if asset else ""
            click.echo(f"no instruments are listed{on_asset}; to list one while the exchange runs: {create_it}")


def _example(asset: str, ts_us: int) -> str:
    """An example id of an option that expires well after `ts_us` and after the present."""
    expiration_us = next_day_end_us(max(ts_us, time.time_ns() // 1_000)) + 30 * US_PER_DAY
    return instrument_id_of(asset, expiration_us // US_PER_SECOND, 150, "call")


def _print(listed: list[Quote], moment: str) -> None:
    names = ("instrument", ">bid", ">ask", ">last", ">tick", ">min size", "state", "expires")
    shown = table(*names, caption=moment, optional=("expires", "min size", "tick"))
    add_rows(shown, map(_row, listed))
    print_tables(shown)


def _row(quote: Quote) -> tuple[str, ...]:
    instrument = quote.instrument
    decimals = price_decimals([instrument.tick_micros])
    return (
        instrument.instrument_id,
        usdc(quote.bid_micros, decimals),
        usdc(quote.ask_micros, decimals),
        usdc(quote.last_micros, decimals),
        usdc(instrument.tick_micros),
        contracts(instrument.min_size_milli),
        instrument.state,
        short_time(instrument.expiration_s * US_PER_SECOND),
    )
