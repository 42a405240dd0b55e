"""`exchange fork`: create a journal that shares the past of another one."""

from pathlib import Path

import click

from exchange.amounts import iso_time
from exchange.cli.options import MOMENT, command_line, db_option
from exchange.cli.progress import ReplayBar
from exchange.history.fork import fork as fork_journal
from exchange.history.moment import Moment, seq_at
from exchange.journal.opening import open_journal_reader


@click.command()
@click.option(
    "--at",
    "moment",
    type=MOMENT,
    required=True,
    metavar="SEQ|TIME",
    help="Last shared command: sequence number or time (docs/operations.md, Times).",
)
@click.argument("new_path", type=click.Path(dir_okay=False, path_type=Path), metavar="NEW.db")
@db_option
def fork(moment: Moment, new_path: Path, path: Path) -> None:
    """Create a journal that continues from a past moment.

    NEW.db has the commands up to that moment. The exchange may be running.

    \b
    Example:
      exchange fork --at 2026-02-20T09:00:00Z what_then.db
    """
    with open_journal_reader(path) as reader:
        seq = seq_at(reader, moment)
    with ReplayBar() as bar:
        head = fork_journal(path, seq, new_path, bar)
    click.echo(f"{new_path}: a copy of {path} up to seq {seq}; its seq {head.seq} records the origin")
    time = iso_time(head.ts_us)
    click.echo(f"Next: {command_line('serve', new_path)} --clock-start {time}   (continues at that time)")
