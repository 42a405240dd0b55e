"""`exchange settlements`: delivery prices of expired series, and the payouts of a user."""

from collections.abc import Sequence
from pathlib import Path

import click

from exchange.amounts import cash, contracts, expiration, price_decimals, short_time, size_decimals, usdc
from exchange.cli.options import ASSET, USER, command_line, db_option, json_option
from exchange.cli.output import TextTable, add_rows, print_json, print_tables, table
from exchange.cli.present import at_option, offline_option, present
from exchange.projections.wire_types import Settlement, UserSettlement
from exchange.times import Moment


@click.command()
@click.option("--asset", type=ASSET, help="Only series on this asset.")
@click.option("--user", "user_id", type=USER, help="Show the payouts and payments of this user instead of the series.")
@click.option("-n", "count", type=click.IntRange(1, 100), default=20, show_default=True, help="Maximum number of rows.")
@at_option
@offline_option
@db_option
@json_option
def settlements(
    asset: str | None, user_id: str | None, count: int, moment: Moment, offline: bool, path: Path, as_json: bool
) -> None:
    """Show the settlements of expired series, newest first.

    A series in the state `delayed` waits for a price. Asks the running exchange; reads the recorded data if none runs.

    \b
    Examples:
      exchange settlements --asset SOL
      exchange settlements --user alice
    """
    if asset is not None and user_id is not None:
        raise click.UsageError("--asset and --user exclude each other: --asset selects series, --user shows payouts")
    with present(path, offline, user_id, moment=moment) as source:
        if user_id is not None:
            paid = source.settlements_of(user_id, count)
            if as_json:
                print_json(paid)
            elif paid:
                print_tables(payouts(paid, source.as_of()))
            else:
                click.echo(f"no position of {user_id} has been settled ({source.as_of()})")
            return
        found = source.settlements(asset, count)
        if as_json:
            print_json(found)
        elif found:
            print_tables(_series(found, source.as_of()))
            _say_what_waits(found, path)
        else:
            click.echo(f"no series{f' on {asset}' if asset else ''} has been settled ({source.as_of()})")


def _series(found: list[Settlement], moment: str) -> TextTable:
    shown = table("settlement", "expired", ">delivery price", "state", "since", ">seq", caption=moment)
    add_rows(
        shown,
        (
            (
                one.asset,
                expiration(one.expiration_s),
                usdc(one.delivery_price_micros),
                one.state,
                short_time(one.ts_us),
                str(one.seq),
            )
            for one in found
        ),
    )
    return shown


def payouts(paid: Sequence[UserSettlement], moment: str = "") -> TextTable:
    """A table of settled positions."""
    decimals = price_decimals(amount for one in paid for amount in (one.payout_micros, one.fee_micros))
    sizes = size_decimals(one.quantity_milli for one in paid)
    names = ("settled", ">contracts", ">delivery price", ">payout", ">fee", "at", ">seq")
    shown = table(*names, caption=moment, optional=("seq", "at"))
    add_rows(
        shown,
        (
            (
                one.instrument_id,
                contracts(one.quantity_milli, sizes),
                usdc(one.delivery_price_micros),
                cash(one.payout_micros, decimals),
                cash(one.fee_micros, decimals),
                short_time(one.ts_us),
                str(one.seq),
            )
            for one in paid
        ),
    )
    return shown


def _say_what_waits(found: list[Settlement], path: Path) -> None:
    for one in found:
        if one.state == "delayed":
            how = command_line(f"admin settle {one.asset} {expiration(one.expiration_s)} PRICE", path)
            click.echo(f"{one.asset} {expiration(one.expiration_s)} waits for a price: {how}")
