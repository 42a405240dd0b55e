"""`exchange journal export`: write the commands as JSON lines."""

import contextlib
from pathlib import Path

import click

from exchange.cli.options import db_option, from_option, to_option
from exchange.cli.progress import ReplayBar
from exchange.history import transfer
from exchange.history.moment import Moment, span


@click.command("export")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path), default=Path("-"), metavar="[FILE]")
@from_option
@to_option
@db_option
def export(out: Path, start: Moment | None, end: Moment | None, path: Path) -> None:
    """Write the commands as JSON lines to FILE or standard output.

    The lines are compressed if FILE ends with .gz.

    \b
    Examples:
      exchange journal export exchange.jsonl.gz
      exchange journal export --from 100 --to 200 | jq .command
    """
    first_seq, last_seq = span(path, start, end)
    with ReplayBar("exporting") as bar, contextlib.suppress(BrokenPipeError):
        count = transfer.export_lines(path, first_seq, last_seq, out, bar)
    if out != Path("-"):
        click.echo(f"{out}: {count:,} commands, seq {first_seq} to {last_seq}")
