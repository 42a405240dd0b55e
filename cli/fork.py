"""`exchange fork`: a new journal that shares the past of another one."""

from pathlib import Path

import click

from exchange.amounts import iso_time
from exchange.cli.options import MOMENT, command_line, db_option
from exchange.cli.progress import ReplayBar
from exchange.history.fork import fork as fork_journal
from exchange.history.moment import Moment, seq_at
from exchange.journal.opening import open_journal_reader


@click.command()
@click.option("--at", "moment", type=MOMENT, required=True, metavar="SEQ|TIME", help="The last command in common.")
@click.argument("new_path", type=click.Path(dir_okay=False, path_type=Path), metavar="NEW.db")
@db_option
def fork(moment: Moment, new_path: Path, path: Path) -> None:
    """Make a journal that goes its own way from a past point on. The old one is only read, and may be running.

    \b
    Example:
      exchange fork --at 2026-02-20T09:00:00Z what_then.db
    """
    with open_journal_reader(path) as reader:
        seq = seq_at(reader, moment)
    with ReplayBar() as bar:
        head = fork_journal(path, seq, new_path, bar)
    click.echo(f"{new_path}: as {path} up to seq {seq}; seq {head.seq} records where it comes from")
    time = iso_time(head.ts_us)
    click.echo(f"Next: {command_line('serve', new_path)} --clock-start {time}   (goes on at that time, not now)")
