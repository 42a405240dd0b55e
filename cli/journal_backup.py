"""`exchange journal backup`: copy the journal."""

from pathlib import Path

import click

from exchange.cli.options import db_option
from exchange.cli.progress import ReplayBar
from exchange.journal.backup import back_up


@click.command()
@click.argument("new_path", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@db_option
def backup(new_path: Path, path: Path) -> None:
    """Copy the journal to FILE, in the state of one moment. The exchange may be running.

    The copy is read back and checked before the command succeeds. The exchange can start on it. It does not include
    archives (copy these files yourself), snapshots (they can be created again), or the administrator's secret (a new
    one is created at the first start).

    \b
    Example:
      exchange journal backup /mnt/backup/exchange.db
    """
    with ReplayBar("copying") as bar:
        head = back_up(path, new_path, bar)
    click.echo(f"{new_path}: copied the journal up to seq {head.seq} and checked the copy, hash {head.hash.hex()}")
