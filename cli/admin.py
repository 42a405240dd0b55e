"""`exchange admin`: what only the administrator may do, over the API of the exchange that runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import click
import msgspec

from exchange.amounts import contracts, expiration, usdc
from exchange.cli.account import deposit, print_account, withdraw
from exchange.cli.client import RunningExchange, client_of, log_in_as_admin
from exchange.cli.instrument import create
from exchange.cli.options import (
    ASSET,
    CONTRACTS,
    EXPIRATION,
    INSTRUMENT,
    USDC,
    USER,
    db_option,
    json_option,
    series_option,
    set_option,
)
from exchange.cli.output import add_rows, console, print_json, table
from exchange.cli.progress import read_views, require_user
from exchange.domain.rules import Rules, Series
from exchange.projections.wire_types import AccountView, IndexPrice, Settlement
from exchange.runtime.rule_settings import RulesError, edited_rules, flat_settings, read_rules, with_series


@click.group()
def admin() -> None:
    """Run a market: index prices, settlement, pauses and halts, users, rules.

    These are methods of a running exchange. They use the secret in the file beside the journal, and every change is
    recorded, effective from its seq.
    """


def _also_here(command: click.Command, name: str, elsewhere: str) -> None:
    """A command of another group, under a name that it has here."""
    here = copy(command)
    here.help = (command.help or "").replace(f"exchange {elsewhere}", f"exchange admin {name}")
    admin.add_command(here, name)


_also_here(deposit, "deposit", "account deposit")
_also_here(withdraw, "withdraw", "account withdraw")
_also_here(create, "create-instrument", "instrument create")


@contextmanager
def _administrator(path: Path) -> Iterator[RunningExchange]:
    with client_of(path) as client:
        log_in_as_admin(client, path)
        yield client


def _call(path: Path, method: str, **params: Any) -> Any:
    with _administrator(path) as client:
        return client.call(method, **params)


@admin.command("set-index")
@click.argument("asset", type=ASSET)
@click.argument("price_micros", metavar="PRICE", type=USDC)
@click.option("--force", is_flag=True, help="However far it is from the last price (rule market.index_jump_max).")
@db_option
@json_option
def set_index(asset: str, price_micros: int, force: bool, path: Path, as_json: bool) -> None:
    """Set the index price of ASSET. Marks, margins, listing and liquidations follow from it.

    \b
    Example:
      exchange admin set-index SOL 151.20
    """
    result = _call(path, "admin/set_index_price", asset=asset, price=price_micros, forced=force or None)
    if as_json:
        print_json(result)
        return
    index = msgspec.convert(result, IndexPrice)
    click.echo(f"the index of {index.asset} is at {usdc(index.price_micros)} (seq {index.seq})")


@admin.command()
@click.argument("asset", type=ASSET)
@click.argument("expiration_s", metavar="DATE", type=EXPIRATION)
@click.argument("price_micros", metavar="PRICE", type=USDC)
@db_option
@json_option
def settle(asset: str, expiration_s: int, price_micros: int, path: Path, as_json: bool) -> None:
    """Settle a series that waits, closed, for a delivery price. `exchange settlements` shows which do.

    \b
    Example:
      exchange admin settle SOL 28FEB26 151.20
    """
    result = _call(path, "admin/settle", asset=asset, expiration=expiration_s, price=price_micros)
    if as_json:
        print_json(result)
        return
    settled = msgspec.convert(result, Settlement)
    click.echo(
        f"{settled.asset} {expiration(settled.expiration_s)} is settled at {usdc(settled.delivery_price_micros)} "
        f"(seq {settled.seq})"
    )


def _choosing(function: Any) -> Any:
    """Which instruments a pause is about."""
    for decorate in reversed(
        (
            click.argument("instrument_id", metavar="[INSTRUMENT]", type=INSTRUMENT, required=False),
            click.option("--asset", type=ASSET, help="Every instrument on this asset."),
            click.option("--expiration", "expiration_s", type=EXPIRATION, help="Every one that expires on this day."),
            click.option("--all", "every", is_flag=True, help="Every instrument there is."),
            db_option,
            json_option,
        )
    ):
        function = decorate(function)
    return function


@admin.command()
@_choosing
def pause(**given: Any) -> None:
    """Refuse new orders and edits in one instrument, or in many; cancelling stays possible.

    \b
    Examples:
      exchange admin pause SOL_USDC-28FEB26-150-C
      exchange admin pause --asset SOL --expiration 28FEB26
      exchange admin pause --all
    """
    _pause("admin/pause", "paused", **given)


@admin.command()
@_choosing
def resume(**given: Any) -> None:
    """Let trade go on where it was paused.

    \b
    Examples:
      exchange admin resume SOL_USDC-28FEB26-150-C
      exchange admin resume --all
    """
    _pause("admin/resume", "resumed", **given)


def _pause(
    method: str,
    done: str,
    instrument_id: str | None,
    asset: str | None,
    expiration_s: int | None,
    every: bool,
    path: Path,
    as_json: bool,
) -> None:
    is_series = asset is not None or expiration_s is not None
    if [instrument_id is not None, is_series, every].count(True) != 1:
        raise click.UsageError("name one INSTRUMENT, or --asset and --expiration, or --all")
    result = _call(path, method, instrument_id=instrument_id, asset=asset, expiration=expiration_s)
    if as_json:
        print_json(result)
    elif instrument_id is not None:
        click.echo(f"{result['instrument']['instrument_id']} is {done} (seq {result['seq']})")
    else:
        click.echo(f"{_count(result['count'], 'instrument')} {done} (seq {result['seq']})")


@admin.command()
@db_option
@json_option
def halt(path: Path, as_json: bool) -> None:
    """Halt the whole exchange: from here on nothing but reading and cancelling.

    \b
    Example:
      exchange admin halt
    """
    result = _call(path, "admin/halt")
    _say(result, f"halted: reading and cancelling only, until `exchange admin end-halt` (seq {result['seq']})", as_json)


@admin.command("end-halt")
@db_option
@json_option
def end_halt(path: Path, as_json: bool) -> None:
    """Let trade go on after a halt.

    \b
    Example:
      exchange admin end-halt
    """
    result = _call(path, "admin/end_halt")
    _say(result, f"the halt is over (seq {result['seq']})", as_json)


@admin.command()
@click.argument("user_id", metavar="USER", type=USER)
@db_option
@json_option
def suspend(user_id: str, path: Path, as_json: bool) -> None:
    """Refuse a user's new orders and edits. What is open stays, and may be cancelled.

    \b
    Example:
      exchange admin suspend bob
    """
    result = _call(path, "admin/suspend", user_id=user_id)
    _say(result, f"{user_id} is suspended (seq {result['seq']})", as_json)


@admin.command()
@click.argument("user_id", metavar="USER", type=USER)
@db_option
@json_option
def reinstate(user_id: str, path: Path, as_json: bool) -> None:
    """Let a suspended user trade again.

    \b
    Example:
      exchange admin reinstate bob
    """
    result = _call(path, "admin/reinstate", user_id=user_id)
    _say(result, f"{user_id} may trade again (seq {result['seq']})", as_json)


class _OrDefault(click.ParamType[Any]):
    """A limit, or `default`: the one of the rules."""

    def __init__(self, of: click.ParamType[Any]) -> None:
        self.name = f"{of.name}|default"
        self._of = of

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == "default" else self._of.convert(value, param, ctx)


@admin.command()
@click.argument("user_id", metavar="USER", type=USER)
@click.option("--open-orders", type=_OrDefault(click.IntRange(0)), metavar="N|default", help="Open orders at most.")
@click.option(
    "--position", type=_OrDefault(CONTRACTS), metavar="N|default", help="Contracts in one instrument at most; 0: any."
)
@db_option
@json_option
def limits(user_id: str, open_orders: Any, position: Any, path: Path, as_json: bool) -> None:
    """Give a user limits of his own, in place of those of the rules; default: those of the rules again.

    What is not named stays as it is.

    \b
    Example:
      exchange admin limits alice --open-orders 50 --position 100
    """
    if open_orders is None and position is None:
        raise click.UsageError("name a limit: --open-orders, --position, or both; `exchange admin account` shows them")
    with _administrator(path) as client:
        views = read_views(path)
        require_user(views, user_id, path)
        own = views.balances.users[user_id]
        result = client.call(
            "admin/set_limits",
            user_id=user_id,
            open_orders_max=_limit(open_orders, own.open_orders_max),
            position_max=_limit(position, own.position_max_milli),
        )
    _say(
        result,
        f"{user_id}: {_limits(result['open_orders_max'], result['position_max'])} (seq {result['seq']})",
        as_json,
    )


@admin.command()
@click.argument("user_id", metavar="USER", type=USER)
@click.argument("instrument_id", metavar="[INSTRUMENT]", type=INSTRUMENT, required=False)
@db_option
@json_option
def cancel(user_id: str, instrument_id: str | None, path: Path, as_json: bool) -> None:
    """Cancel all open orders of a user, or those in one instrument.

    \b
    Examples:
      exchange admin cancel bob
      exchange admin cancel bob SOL_USDC-28FEB26-150-C
    """
    result = _call(path, "admin/cancel_all", user_id=user_id, instrument_id=instrument_id)
    ids = ", ".join(map(str, result["order_ids"]))
    _say(result, f"cancelled {ids} of {user_id}" if ids else f"{user_id} had nothing open", as_json)


@admin.command("account")
@click.argument("user_id", metavar="USER", type=USER)
@db_option
@json_option
def account_(user_id: str, path: Path, as_json: bool) -> None:
    """Show a user's account as the running exchange has it, limits and suspension included.

    \b
    Example:
      exchange admin account bob
    """
    result = _call(path, "admin/get_account", user_id=user_id)
    if as_json:
        print_json(result)
    else:
        shown = msgspec.convert(result, AccountView)
        print_account(shown, f"at seq {shown.seq}")
        click.echo(_limits(shown.limits.open_orders_max, shown.limits.position_max_milli))


@admin.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@series_option
@set_option
@db_option
@json_option
def rules(file: Path | None, series: tuple[Series, ...], settings: tuple[str, ...], path: Path, as_json: bool) -> None:
    """Show the rules in force, or change them, and show what is different from then on.

    A FILE, TOML or JSON as `exchange init --rules` takes it, stands in place of all of them; --series and --set change
    some. All rules are recorded together, and hold from that seq on.

    \b
    Examples:
      exchange admin rules
      exchange admin rules --set fees=deribit --set market.index_age_max_s=30
      exchange admin rules --series SOL:10:8
      exchange admin rules rules.toml
    """
    with _administrator(path) as client:
        found = client.call("public/get_rules")
        before = msgspec.convert(found["rules"], Rules)
        try:
            after = edited_rules(with_series(before if file is None else read_rules(file), series), settings)
        except RulesError as error:
            raise click.UsageError(str(error)) from error
        is_changed = after != before
        if is_changed:
            found = client.call("admin/set_rules", rules=msgspec.to_builtins(after))
    if as_json:
        print_json(found)
    elif is_changed:
        _print_difference(flat_settings(before), flat_settings(after), f"from seq {found['seq']} on")
    elif file or series or settings:
        click.echo("these are the rules already: nothing was changed")
    else:
        shown = table("rule", "", caption=f"at seq {found['seq']}")
        add_rows(shown, flat_settings(before).items())
        console().print(shown)


def _print_difference(before: dict[str, str], after: dict[str, str], moment: str) -> None:
    shown = table("rule", "before", "after", caption=moment)
    names = dict.fromkeys([*before, *after])
    values = ((name, before.get(name, "-"), after.get(name, "-")) for name in names)
    add_rows(shown, (row for row in values if row[1] != row[2]))
    console().print(shown)


def _limit(given: Any, own: int | None) -> int | None:
    """None: the one of the rules."""
    return own if given is None else None if given == "default" else given


def _limits(open_orders_max: int | None, position_max_milli: int | None) -> str:
    """None: that of the rules."""
    orders = "open orders as the rules say" if open_orders_max is None else f"at most {open_orders_max:,} open orders"
    if position_max_milli is None:
        return f"{orders}, positions as the rules say"
    of_size = f"up to {contracts(position_max_milli)} contracts" if position_max_milli else "of any size"
    return f"{orders}, positions {of_size}"


def _say(result: Any, sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        click.echo(sentence)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
