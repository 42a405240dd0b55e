"""`exchange admin`: the administrator's methods of the running exchange."""

from pathlib import Path
from typing import Any

import click
import msgspec

from exchange.amounts import cash, expiration, iso_time, usdc
from exchange.cli.account import print_account
from exchange.cli.admin_limits import limits_text
from exchange.cli.client import admin_client_of, call_as_admin
from exchange.cli.lazy import LazyGroup
from exchange.cli.options import (
    ASSET,
    CASH,
    EXPIRATION,
    INSTRUMENT,
    PRICE,
    USER,
    AmountCommand,
    db_option,
    json_option,
    key_file_option,
)
from exchange.cli.output import print_answer, print_json
from exchange.cli.present_running import RunningPresent
from exchange.projections.wire_types import AccountView, Balance, IndexPrice, Settlement
from exchange.runtime.clock import jump_text


@click.group(cls=LazyGroup)
def admin() -> None:
    """Run a market: index, rules, settlement, halts, users.

    Each command calls a running exchange with the secret in the file next to the journal. Every change is recorded as a
    command and takes effect at its sequence number (seq).
    """


@admin.command(cls=AmountCommand)
@click.argument("user_id", metavar="USER", type=USER)
@click.argument("amount_micros", metavar="AMOUNT", type=CASH)
@key_file_option
@db_option
@json_option
def deposit(user_id: str, amount_micros: int, path: Path, as_json: bool) -> None:
    """Deposit AMOUNT USDC into an account.

    \b
    Example:
      exchange admin deposit alice 2500.50
    """
    _pay("admin/deposit", user_id, amount_micros, path, as_json)


@admin.command(cls=AmountCommand)
@click.argument("user_id", metavar="USER", type=USER)
@click.argument("amount_micros", metavar="AMOUNT", type=CASH)
@key_file_option
@db_option
@json_option
def withdraw(user_id: str, amount_micros: int, path: Path, as_json: bool) -> None:
    """Withdraw AMOUNT USDC from an account.

    AMOUNT is at most the available cash.

    \b
    Example:
      exchange admin withdraw alice 100
    """
    _pay("admin/withdraw", user_id, amount_micros, path, as_json)


@admin.command("reset-account")
@click.argument("user_id", metavar="USER", type=USER)
@key_file_option
@db_option
@json_option
def reset_account(user_id: str, path: Path, as_json: bool) -> None:
    """Give an account its starting cash again.

    Cancels the orders of the account and repays its debt to the insurance. An account with positions is refused.

    \b
    Example:
      exchange admin reset-account alice
    """
    _print_balance(user_id, call_as_admin(path, "admin/reset_account", user_id=user_id), as_json)


def _pay(method: str, user_id: str, amount_micros: int, path: Path, as_json: bool) -> None:
    _print_balance(user_id, call_as_admin(path, method, user_id=user_id, amount=amount_micros), as_json)


def _print_balance(user_id: str, result: Any, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    balance = msgspec.convert(result, Balance)
    click.echo(
        f"{user_id} has {cash(balance.available_micros)} USDC available, {cash(balance.locked_micros)} locked "
        f"(seq {balance.seq})"
    )


@admin.command("set-index", cls=AmountCommand)
@click.argument("asset", type=ASSET)
@click.argument("price_micros", metavar="PRICE", type=PRICE)
@click.option(
    "--force", is_flag=True, help="Accept a price further from the last one than the rule market.index_jump_max allows."
)
@key_file_option
@db_option
@json_option
def set_index(asset: str, price_micros: int, force: bool, path: Path, as_json: bool) -> None:
    """Set the index price of ASSET, in USDC. It updates marks, margins and listings, and may cause liquidations.

    \b
    Example:
      exchange admin set-index SOL 151.20
    """
    result = call_as_admin(path, "admin/set_index_price", asset=asset, price=price_micros, forced=force or None)
    if as_json:
        print_json(result)
        return
    index = msgspec.convert(result, IndexPrice)
    click.echo(f"the index price of {index.asset} is {usdc(index.price_micros)} USDC (seq {index.seq})")


@admin.command(cls=AmountCommand)
@click.argument("asset", type=ASSET)
@click.argument("expiration_s", metavar="DATE", type=EXPIRATION)
@click.argument("price_micros", metavar="PRICE", type=PRICE)
@key_file_option
@db_option
@json_option
def settle(asset: str, expiration_s: int, price_micros: int, path: Path, as_json: bool) -> None:
    """Settle an expired series at PRICE. `exchange settlements` shows the series that wait for a price.

    \b
    Example:
      exchange admin settle SOL 28FEB26 151.20
    """
    result = call_as_admin(path, "admin/settle", asset=asset, expiration=expiration_s, price=price_micros)
    if as_json:
        print_json(result)
        return
    settled = msgspec.convert(result, Settlement)
    click.echo(
        f"{settled.asset} {expiration(settled.expiration_s)} is settled at {usdc(settled.delivery_price_micros)} "
        f"(seq {settled.seq})"
    )


def _choosing(function: Any) -> Any:
    """Add the arguments that select the instruments to pause or resume."""
    for decorate in reversed(
        (
            click.argument("instrument_id", metavar="[INSTRUMENT]", type=INSTRUMENT, required=False),
            click.option("--asset", type=ASSET, help="Choose every instrument on this asset."),
            click.option(
                "--expiration",
                "expiration_s",
                type=EXPIRATION,
                help="Choose every instrument that expires on this date, such as 28FEB26; with --asset, only those on "
                "that asset.",
            ),
            click.option("--all", "every", is_flag=True, help="Choose every instrument."),
            db_option,
            json_option,
        )
    ):
        function = decorate(function)
    return function


@admin.command()
@_choosing
def pause(**given: Any) -> None:
    """Refuse new orders and edits in one or many instruments. Users can still cancel.

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
    """Resume trading in paused instruments.

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
        raise click.UsageError("expected one of: INSTRUMENT, --asset and/or --expiration, --all")
    result = call_as_admin(path, method, instrument_id=instrument_id, asset=asset, expiration=expiration_s)
    if as_json:
        print_json(result)
    elif instrument_id is not None:
        click.echo(f"{result['instrument']['instrument_id']} is {done} (seq {result['seq']})")
    else:
        click.echo(f"{_count(result['count'], 'instrument')} {done} (seq {result['seq']})")


@admin.command()
@key_file_option
@db_option
@json_option
def halt(path: Path, as_json: bool) -> None:
    """Halt the whole exchange.

    Users can only read and cancel until `exchange admin end-halt`.

    \b
    Example:
      exchange admin halt
    """
    result = call_as_admin(path, "admin/halt")
    print_answer(
        result, f"halted: users can only read and cancel until `exchange admin end-halt` (seq {result['seq']})", as_json
    )


@admin.command("end-halt")
@key_file_option
@db_option
@json_option
def end_halt(path: Path, as_json: bool) -> None:
    """End a halt: trading resumes.

    \b
    Example:
      exchange admin end-halt
    """
    result = call_as_admin(path, "admin/end_halt")
    print_answer(result, f"the halt is over (seq {result['seq']})", as_json)


@admin.command("confirm-time")
@key_file_option
@db_option
@json_option
def confirm_time(path: Path, as_json: bool) -> None:
    """Accept the system clock after it jumped by over a minute.

    Until then the exchange refuses commands, because days that end and series that expire cannot be taken back. If the
    clock is wrong, set it right instead: the exchange then continues by itself.

    \b
    Example:
      exchange admin confirm-time
    """
    result = call_as_admin(path, "admin/confirm_time")
    jump_us, now = result["jump_us"], iso_time(result["ts_us"])
    accepted = f"accepted the system clock, which was {jump_text(jump_us)}" if jump_us else "the clock had not jumped"
    print_answer(result, f"{accepted}: exchange time is {now}", as_json)


@admin.command()
@click.argument("user_id", metavar="USER", type=USER)
@key_file_option
@db_option
@json_option
def suspend(user_id: str, path: Path, as_json: bool) -> None:
    """Refuse new orders and edits of a user. Open orders stay, and the user can cancel them.

    \b
    Example:
      exchange admin suspend bob
    """
    result = call_as_admin(path, "admin/suspend", user_id=user_id)
    print_answer(result, f"{user_id} is suspended (seq {result['seq']})", as_json)


@admin.command()
@click.argument("user_id", metavar="USER", type=USER)
@key_file_option
@db_option
@json_option
def reinstate(user_id: str, path: Path, as_json: bool) -> None:
    """Allow a suspended user to trade again.

    \b
    Example:
      exchange admin reinstate bob
    """
    result = call_as_admin(path, "admin/reinstate", user_id=user_id)
    print_answer(result, f"{user_id} may trade again (seq {result['seq']})", as_json)


@admin.command()
@click.argument("user_id", metavar="USER", type=USER)
@click.argument("instrument_id", metavar="[INSTRUMENT]", type=INSTRUMENT, required=False)
@key_file_option
@db_option
@json_option
def cancel(user_id: str, instrument_id: str | None, path: Path, as_json: bool) -> None:
    """Cancel the open orders of a user.

    With INSTRUMENT, only orders in that instrument are cancelled.

    \b
    Examples:
      exchange admin cancel bob
      exchange admin cancel bob SOL_USDC-28FEB26-150-C
    """
    result = call_as_admin(path, "admin/cancel_all", user_id=user_id, instrument_id=instrument_id)
    ids = ", ".join(map(str, result["order_ids"]))
    print_answer(result, f"cancelled {ids} of {user_id}" if ids else f"{user_id} had no open orders", as_json)


@admin.command("account")
@click.argument("user_id", metavar="USER", type=USER)
@key_file_option
@db_option
@json_option
def account_(user_id: str, path: Path, as_json: bool) -> None:
    """Show an account with its limits and suspension.

    \b
    Example:
      exchange admin account bob
    """
    with admin_client_of(path) as client:
        result = client.call("admin/get_account", user_id=user_id)
        if as_json:
            print_json(result)
            return
        shown = msgspec.convert(result, AccountView)
        source = RunningPresent(client, path)
        print_account(shown, source.as_of(), instruments=source.instruments())
        click.echo(limits_text(shown.limits.open_orders_max, shown.limits.position_max_milli))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
