"""`exchange account log`: each movement of a user's cash, with its cause and the balance after it."""

from pathlib import Path

import click

from exchange.amounts import cash, price_decimals, short_time
from exchange.cli.options import TIME, USER, db_option, json_option, key_file_option
from exchange.cli.output import TextTable, add_rows, print_json, print_tables, table
from exchange.cli.present import at_option, offline_option, present
from exchange.gateway.limits import COUNT_MAX
from exchange.projections.record_page import RecordPage
from exchange.projections.wire_types import Transaction
from exchange.times import Moment


@click.command()
@click.argument("user_id", metavar="USER", type=USER)
@click.option(
    "-n", "count", type=click.IntRange(1, COUNT_MAX), default=20, show_default=True, help="Maximum of entries."
)
@click.option("--since", "start_us", type=TIME, metavar="TIME", help="Only entries from this time on.")
@click.option("--before", type=click.IntRange(1), metavar="ID", help="Only entries before the one with this id.")
@at_option
@offline_option
@key_file_option
@db_option
@json_option
def log(
    user_id: str,
    count: int,
    start_us: int | None,
    before: int | None,
    moment: Moment,
    offline: bool,
    path: Path,
    as_json: bool,
) -> None:
    """Show the movements of a user's cash, newest first.

    Asks the running exchange; reads the recorded data if none runs.

    change: cash received, fee deducted. balance: cash after the movement, locked cash included. cause: the command.

    \b
    Examples:
      exchange account log alice
      exchange account log alice --since '1 hour ago' --json | jq '.[].change'
    """
    with present(path, offline, user_id, moment=moment) as source:
        entries = source.transactions(user_id, RecordPage(count, before, start_us))
        if as_json:
            print_json(entries)
        elif entries:
            print_tables(_entries(entries, source.as_of()))
        else:
            click.echo(f"no cash of {user_id} has moved{'' if start_us is None else ' since then'} ({source.as_of()})")


def _entries(entries: list[Transaction], moment: str) -> TextTable:
    names = ("time", "type", "instrument", ">change", ">fee", ">balance", "cause", ">id")
    shown = table(*names, optional=("id", "cause", "fee", "instrument"), caption=moment)
    decimals = price_decimals(
        amount for one in entries for amount in (one.change_micros, one.fee_micros, one.balance_micros)
    )
    add_rows(
        shown,
        (
            (
                short_time(one.ts_us),
                one.type,
                one.instrument_id or "-",
                cash(one.change_micros, decimals),
                cash(one.fee_micros, decimals),
                cash(one.balance_micros, decimals),
                one.cause,
                str(one.id),
            )
            for one in entries
        ),
    )
    return shown
