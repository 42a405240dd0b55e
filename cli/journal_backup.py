"""`exchange journal backup`: a copy of the journal."""

from pathlib import Path

import click

from exchange.cli.options import db_option
from exchange.cli.progress import ReplayBar
from exchange.history import transfer


@click.command()
@click.argument("new_path", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@db_option
def backup(new_path: Path, path: Path) -> None:
    """Copy the journal as it is at one moment, also while the exchange runs on it.

    The copy is a journal: the exchange starts on it. Archives are files of their own and are not in it, nor are
    snapshots, which are only a shortcut, nor the administrator's secret, which is made anew.

    \b
    Example:
      exchange journal backup /mnt/backup/exchange.db
    """
    with ReplayBar("copying") as bar:
        last_seq = transfer.backup(path, new_path, bar)
    click.echo(f"{new_path}: the journal up to seq {last_seq}")
