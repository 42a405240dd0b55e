"""`exchange mmp`: show, set, reset and remove the MMP groups of a market maker."""

from pathlib import Path
from typing import Any

import click
import msgspec

from exchange.amounts import contracts, short_time, usdc
from exchange.cli.client import client_of, log_in
from exchange.cli.lazy import LazyGroup
from exchange.cli.options import ASSET, PRICE, SIZE, db_option, json_option, user_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.domain.units import MMP_SECONDS_MAX
from exchange.projections.wire_types import MmpGroupView

_SECONDS = click.IntRange(1, MMP_SECONDS_MAX)


@click.group(cls=LazyGroup)
def mmp() -> None:
    """Market maker protection: limits for the fills of quotes."""


@mmp.command("list")
@user_option
@db_option
@json_option
def list_(user_id: str, path: Path, as_json: bool) -> None:
    """Show the MMP groups of a user, with their limits and freezes.

    \b
    Example:
      exchange mmp list --user alice
    """
    groups = _call(path, user_id, "private/get_mmp_config")
    if as_json:
        print_json(groups)
    elif not groups:
        click.echo(f"{user_id} has no MMP group; exchange mmp set creates one")
    else:
        _print_groups(msgspec.convert(groups, list[MmpGroupView]), user_id)


@mmp.command("set")
@click.argument("mmp_group", metavar="GROUP")
@user_option
@click.option("--asset", type=ASSET, required=True, help="Asset of the options that the group quotes.")
@click.option("--interval", type=_SECONDS, required=True, help="Length of the interval of fills, in seconds.")
@click.option(
    "--frozen-time",
    type=click.IntRange(0, MMP_SECONDS_MAX),
    default=0,
    show_default=True,
    help="Length of a freeze, in seconds; 0: until the group is reset.",
)
@click.option("--quantity-limit", type=SIZE, help="Contracts bought and sold in an interval that freeze the group.")
@click.option("--delta-limit", type=SIZE, help="Net delta of an interval that freezes the group.")
@click.option("--vega-limit", type=PRICE, help="Net vega of an interval that freezes the group, in USDC for a point.")
@db_option
@json_option
def set_(mmp_group: str, user_id: str, path: Path, as_json: bool, **terms: Any) -> None:
    """Create an MMP group, or replace its limits.

    \b
    Example:
      exchange mmp set near --asset SOL --interval 10 --frozen-time 5 --quantity-limit 20 --user alice
    """
    result = _call(path, user_id, "private/set_mmp_config", mmp_group=mmp_group, **terms)
    if as_json:
        print_json(result)
    else:
        _print_groups([msgspec.convert(result["group"], MmpGroupView)], user_id)


@mmp.command()
@click.argument("mmp_group", metavar="GROUP")
@user_option
@db_option
@json_option
def reset(mmp_group: str, user_id: str, path: Path, as_json: bool) -> None:
    """End the freeze of an MMP group.

    \b
    Example:
      exchange mmp reset near --user alice
    """
    result = _call(path, user_id, "private/reset_mmp", mmp_group=mmp_group)
    if as_json:
        print_json(result)
    else:
        click.echo(f"group {mmp_group} of {user_id} is reset")


@mmp.command()
@click.argument("mmp_group", metavar="GROUP")
@user_option
@db_option
@json_option
def remove(mmp_group: str, user_id: str, path: Path, as_json: bool) -> None:
    """Remove an MMP group, and cancel its quotes.

    \b
    Example:
      exchange mmp remove near --user alice
    """
    groups = _call(path, user_id, "private/get_mmp_config", mmp_group=mmp_group)
    asset = groups[0]["asset"]
    result = _call(path, user_id, "private/set_mmp_config", mmp_group=mmp_group, asset=asset, interval=0)
    if as_json:
        print_json(result)
    else:
        click.echo(f"group {mmp_group} of {user_id} is removed")


def _call(path: Path, user_id: str, method: str, **params: Any) -> Any:
    with client_of(path) as client:
        log_in(client, user_id)
        return client.call(method, **params)


def _print_groups(groups: list[MmpGroupView], user_id: str) -> None:
    columns = ("group", "asset", "interval", "frozen time", "quantity", "delta", "vega", "frozen until")
    shown = table(*columns, title=f"MMP groups of {user_id}")
    add_rows(shown, [_row(group) for group in groups])
    print_tables(shown)


def _row(group: MmpGroupView) -> tuple[str, ...]:
    frozen = group.frozen_until_us
    return (
        group.mmp_group,
        group.asset,
        f"{group.interval_s} s",
        f"{group.frozen_s} s" if group.frozen_s else "until reset",
        "-" if group.quantity_limit_milli is None else contracts(group.quantity_limit_milli),
        "-" if group.delta_limit_milli is None else contracts(group.delta_limit_milli),
        "-" if group.vega_limit_micros is None else usdc(group.vega_limit_micros),
        "-" if frozen is None else short_time(frozen) if frozen else "reset",
    )
