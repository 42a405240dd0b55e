"""`exchange account simulate`: margins and Greeks of an account with other positions."""

from pathlib import Path

import click

from exchange.amounts import cash, contracts, parse_contracts, size_decimals
from exchange.cli.account import GREEKS, greeks_row, greeks_table
from exchange.cli.client import client_of
from exchange.cli.options import INSTRUMENT, USER, Parsed, db_option, json_option, key_file_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.cli.present_running import RunningPresent


def _position(text: str) -> tuple[str, int]:
    name, equals, size = text.partition("=")
    if not equals:
        raise ValueError(
            f"{text!r} is not a position; expected INSTRUMENT=CONTRACTS, such as SOL_USDC-28FEB26-150-C=-2"
        )
    size_milli = parse_contracts(size.removeprefix("-"))
    return INSTRUMENT.convert(name, None, None), -size_milli if size.startswith("-") else size_milli


@click.command()
@click.argument("user_id", metavar="USER", type=USER)
@click.argument("positions", metavar="INSTRUMENT=CONTRACTS...", type=Parsed("position", _position), nargs=-1)
@click.option("--replace", is_flag=True, help="Replace all positions of the user. Default: add to them.")
@key_file_option
@db_option
@json_option
def simulate(user_id: str, positions: tuple[tuple[str, int], ...], replace: bool, path: Path, as_json: bool) -> None:
    """Show margins and Greeks of an account with other positions. Nothing is recorded.

    Negative contracts are short. Open orders stay, and no premium or fee is paid. Needs the running exchange.

    \b
    Examples:
      exchange account simulate alice SOL_USDC-28FEB26-150-C=-2 SOL_USDC-28FEB26-160-C=2
      exchange account simulate alice --replace --json | jq .maintenance
    """
    wanted: dict[str, int] = {}
    for name, size_milli in positions:
        wanted[name] = wanted.get(name, 0) + size_milli
    with client_of(path) as client:
        found = RunningPresent(client, path).simulate(user_id, wanted, not replace)
    if as_json:
        print_json(found)
        return
    amounts = (found.available_micros, found.locked_micros, found.maintenance_micros)
    of_account = table("account", ">available", ">locked", ">maintenance")
    add_rows(of_account, [(user_id, *map(_cash, amounts))])
    held = table("position", ">contracts", ">locked", ">maintenance", *GREEKS, optional=("theta", "vega", "gamma"))
    sizes = size_decimals(one.quantity_milli for one in found.positions)
    add_rows(
        held,
        (
            (
                one.instrument_id,
                contracts(one.quantity_milli, sizes),
                _cash(one.locked_micros),
                _cash(one.maintenance_margin_micros),
                *greeks_row(one.greeks),
            )
            for one in found.positions
        ),
    )
    shown = [of_account, *([held] if found.positions else []), *([greeks_table(found.greeks)] if found.greeks else [])]
    shown[-1].caption = f"simulated at seq {found.seq}: nothing was recorded"
    print_tables(*shown)


def _cash(micros: int | None) -> str:
    return "-" if micros is None else cash(micros)
