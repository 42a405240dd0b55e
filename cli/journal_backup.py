"""`exchange journal backup`: copy the journal."""

from pathlib import Path

import click

from exchange.cli.options import db_option
from exchange.cli.progress import ReplayBar
from exchange.history import transfer


@click.command()
@click.argument("new_path", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@db_option
def backup(new_path: Path, path: Path) -> None:
    """Copy the journal to FILE, in the state of one moment. The exchange may be running.

    The exchange can start on the copy. It does not include archives (copy these files yourself), snapshots (they can be
    created again) or the administrator's secret (a new one is created at the first start).

    \b
    Example:
      exchange journal backup /mnt/backup/exchange.db
    """
    with ReplayBar("copying") as bar:
        last_seq = transfer.backup(path, new_path, bar)
    click.echo(f"{new_path}: copied the journal up to seq {last_seq}")
