"""`exchange diff`: the first command in which two journals differ."""

import sqlite3
from pathlib import Path
from typing import Any

import click
import msgspec

from exchange.cli.figures import figures_of
from exchange.cli.options import json_option, regular_file
from exchange.cli.output import UnreadableError, add_rows, print_json, print_tables, table
from exchange.cli.progress import ReplayBar
from exchange.history.diff import Difference, Fill
from exchange.history.diff import diff as compare
from exchange.journal.errors import JournalError

_FILLS_SHOWN = 20
_journal_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("a", type=_journal_file, callback=regular_file)
@click.argument("b", type=_journal_file, callback=regular_file)
@json_option
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Show the first difference between two journals.

    Prints the first different command, its fields, and the fills that only one journal has. Exit code 0: same, 1:
    different, 2: not comparable.

    \b
    Example:
      exchange diff data/exchange.db what_then.db
    """
    try:
        with ReplayBar() as bar:
            found = compare(a, b, bar)
    except (JournalError, sqlite3.Error) as error:
        raise UnreadableError(str(error)) from error
    if as_json:
        print_json(msgspec.to_builtins(found) | {"same": found.is_none})
    else:
        _print(found, a, b)
    if not found.is_none:
        raise click.exceptions.Exit(1)


def _print(found: Difference, a: Path, b: Path) -> None:
    if found.is_none:
        click.echo(f"both have the same {found.common_seq - found.first_seq + 1:,} commands")
    if found.first_seq > 1:
        click.echo(f"compared from seq {found.first_seq}: one journal begins there, and its archives are missing")
    if found.events_up_to and found.events_seq is None:
        click.echo(f"the exchanges recorded the same digests of their events up to seq {found.events_up_to}")
    if found.is_none:
        return
    if found.events_seq is not None:
        click.echo(
            f"the commands up to seq {found.events_seq} are the same, but the digests of their results differ: another "
            "version may have recorded one of them; `exchange journal verify` compares each with this version"
        )
    for path, after in ((a, found.after_a), (b, found.after_b)):
        click.echo(f"{path}: {after:,} {'command' if after == 1 else 'commands'} after seq {found.common_seq}")
    if found.fields:
        fields = table(f"seq {found.common_seq + 1}", str(a), str(b), wrapped=(str(a), str(b)))
        add_rows(fields, ((name, _text(of_a), _text(of_b)) for name, (of_a, of_b) in found.fields.items()))
        print_tables(fields)
        for path, is_altered in ((a, found.altered_a), (b, found.altered_b)):
            if is_altered:
                seq = found.common_seq + 1
                click.echo(f"{path}: seq {seq} was altered after it was recorded: see `exchange journal verify`")
    elif found.after_a or found.after_b:
        click.echo(f"{a if found.after_a else b} continues after the end of the other journal")
    for path, fills in ((a, found.fills_only_in_a), (b, found.fills_only_in_b)):
        if fills:
            _print_fills(path, fills)


def _print_fills(path: Path, fills: list[Fill]) -> None:
    more = f"and {len(fills) - _FILLS_SHOWN:,} more: --json prints all of them" if len(fills) > _FILLS_SHOWN else ""
    figures = figures_of((), [fill.price_micros for fill in fills], [fill.size_milli for fill in fills])
    shown = table(f"fills only in {path}", ">contracts", ">price", "taker", "maker", caption=more)
    add_rows(
        shown,
        (
            (
                fill.instrument_id,
                figures.size(fill.size_milli),
                figures.price(fill.price_micros),
                f"{fill.taker_user_id} {'buys' if fill.taker_side == 'bid' else 'sells'}",
                fill.maker_user_id,
            )
            for fill in fills[:_FILLS_SHOWN]
        ),
    )
    print_tables(shown)


def _text(value: Any) -> str:
    return "-" if value is None else str(value)
