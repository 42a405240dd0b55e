"""`exchange account`: what a user has, and paying in and out."""

from pathlib import Path

import click
import msgspec

from cli.client import client_of, enter_as_admin
from cli.options import USDC, USER, db_option, json_option
from cli.output import add_rows, console, print_json, table
from cli.replay import as_of, read_views, require_user
from exchange.amounts import cash, contracts, price_decimals, usdc
from exchange.projections.shapes import AccountView, Balance


@click.group()
def account() -> None:
    """See an account, pay into it, pay out of it."""


@account.command()
@click.argument("user_id", metavar="USER", type=USER)
@db_option
@json_option
def show(user_id: str, path: Path, as_json: bool) -> None:
    """Show balance and positions, as of the last recorded command.

    \b
    Example:
      exchange account show alice
    """
    views = read_views(path)
    require_user(views, user_id, path)
    shown = views.account(user_id)
    if as_json:
        print_json(shown)
    else:
        print_account(shown, as_of(views))


@account.command()
@click.argument("user_id", metavar="USER", type=USER)
@click.argument("amount_micros", metavar="AMOUNT", type=USDC)
@db_option
@json_option
def deposit(user_id: str, amount_micros: int, path: Path, as_json: bool) -> None:
    """Pay AMOUNT USDC into an account.

    \b
    Example:
      exchange account deposit alice 2500.50
    """
    _pay("admin/deposit", user_id, amount_micros, path, as_json)


@account.command()
@click.argument("user_id", metavar="USER", type=USER)
@click.argument("amount_micros", metavar="AMOUNT", type=USDC)
@db_option
@json_option
def withdraw(user_id: str, amount_micros: int, path: Path, as_json: bool) -> None:
    """Pay AMOUNT USDC out of an account: at most what is available.

    \b
    Example:
      exchange account withdraw alice 100
    """
    _pay("admin/withdraw", user_id, amount_micros, path, as_json)


def _pay(method: str, user_id: str, amount_micros: int, path: Path, as_json: bool) -> None:
    with client_of(path) as client:
        enter_as_admin(client, path)
        result = client.call(method, user_id=user_id, amount=amount_micros)
    if as_json:
        print_json(result)
        return
    balance = msgspec.convert(result, Balance)
    click.echo(
        f"{user_id} has {cash(balance.available_micros)} USDC available, {cash(balance.locked_micros)} locked "
        f"(seq {balance.seq})"
    )


def print_account(shown: AccountView, moment: str) -> None:
    """Balance and positions, as tables."""
    money = table("account", ">available", ">locked", ">equity", ">profit", caption="" if shown.positions else moment)
    amounts = (shown.available_micros, shown.locked_micros, shown.equity_micros, shown.total_pnl_micros)
    decimals = price_decimals(amount for amount in amounts if amount is not None)
    add_rows(money, [(shown.user_id, *("-" if amount is None else cash(amount, decimals) for amount in amounts))])
    console().print(money)
    if shown.positions:
        click.echo()
        positions = table("position", ">contracts", ">average price", ">locked", caption=moment)
        add_rows(
            positions,
            (
                (
                    position.instrument_id,
                    contracts(position.quantity_milli),
                    usdc(position.average_price_micros),
                    cash(position.locked_micros),
                )
                for position in shown.positions
            ),
        )
        console().print(positions)
