"""`exchange instrument`: the listed options."""

import time
from pathlib import Path

import click

from exchange.amounts import contracts, price_decimals, short_time, usdc
from exchange.cli.current_views import as_of, read_views
from exchange.cli.lazy import LazyGroup
from exchange.cli.options import command_line, db_option, json_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.domain.instruments import instrument_id_of
from exchange.domain.units import US_PER_DAY, US_PER_SECOND, next_day_end_us
from exchange.projections.views import Views
from exchange.projections.wire_types import Instrument


@click.group(cls=LazyGroup)
def instrument() -> None:
    """Show the listed instruments, or list a new one."""


@instrument.command("list")
@click.option("--asset", help="Only options on this asset, such as SOL.")
@click.option("--all", "with_expired", is_flag=True, help="Include expired instruments.")
@click.option("--ids", "only_ids", is_flag=True, help="Print only the ids, one per line, for a script.")
@db_option
@json_option
def list_(asset: str | None, with_expired: bool, only_ids: bool, path: Path, as_json: bool) -> None:
    """Show the listed instruments, as of the last recorded command.

    \b
    Examples:
      exchange instrument list --asset SOL
      OPTION=$(exchange instrument list --asset SOL --ids | head -1)
    """
    if only_ids and as_json:
        raise click.UsageError("--ids and --json exclude each other: remove one of them")
    views = read_views(path)
    wanted = asset.upper() if asset else None
    listed = [
        instrument
        for instrument in (views.instruments.values() if with_expired else views.live_instruments())
        if wanted in (None, instrument.asset)
    ]
    if as_json:
        print_json(listed)
    elif only_ids:
        click.echo("".join(f"{instrument.instrument_id}\n" for instrument in listed), nl=False)
    elif listed:
        _print(listed, views)
    else:
        create_it = command_line(f"admin create-instrument {_example(wanted or 'SOL', views.ts_us)}", path)
        on_asset = f" on {wanted}" if wanted else ""
        click.echo(f"no instruments are listed{on_asset}; to list one while the exchange runs: {create_it}")


def _example(asset: str, ts_us: int) -> str:
    """An example id of an option that expires well after `ts_us` and after the present."""
    expiration_us = next_day_end_us(max(ts_us, time.time_ns() // 1_000)) + 30 * US_PER_DAY
    return instrument_id_of(asset, expiration_us // US_PER_SECOND, 150, "call")


def _print(listed: list[Instrument], views: Views) -> None:
    names = ("instrument", ">bid", ">ask", ">last", ">tick", ">min size", "state", "expires")
    shown = table(*names, caption=as_of(views), optional=("expires", "min size", "tick"))
    add_rows(shown, (_row(instrument, views) for instrument in listed))
    print_tables(shown)


def _row(instrument: Instrument, views: Views) -> tuple[str, ...]:
    bid, ask = views.depths[instrument.instrument_id].best()
    decimals = price_decimals([instrument.tick_micros])
    return (
        instrument.instrument_id,
        usdc(bid, decimals),
        usdc(ask, decimals),
        usdc(views.tape.last_price_micros(instrument.instrument_id), decimals),
        usdc(instrument.tick_micros),
        contracts(instrument.min_size_milli),
        instrument.state,
        short_time(instrument.expiration_s * US_PER_SECOND),
    )
