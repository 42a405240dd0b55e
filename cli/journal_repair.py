"""`exchange journal repair`: restore lost commands from the history."""

from pathlib import Path

import click

from exchange.cli.options import db_option, json_option
from exchange.cli.output import print_json
from exchange.cli.progress import ReplayBar
from exchange.history.repair import repair as repair_journal


@click.command()
@db_option
@json_option
def repair(path: Path, as_json: bool) -> None:
    """Restore lost and damaged commands from the history.

    Stop the exchange first. A command is restored only if it continues the chain of hashes. The journal and its -wal
    are copied into a folder next to it before anything is changed. Exit code 0: no command is lost, 1: some still are.

    \b
    Example:
      exchange journal repair && exchange journal verify
    """
    with ReplayBar("reading") as bar:
        done = repair_journal(path, bar)
    if as_json:
        print_json(done._asdict() | {"folder": None if done.folder is None else str(done.folder)})
    elif done.folder is not None:
        click.echo(
            f"restored {done.restored:,} {'command' if done.restored == 1 else 'commands'}: {path} ends with seq "
            f"{done.last_seq}; the files from before are in {done.folder}"
        )
    elif done.lost is None:
        click.echo(f"{path} ends with seq {done.last_seq} and lost no commands: nothing was changed")
    if done.lost is not None:
        raise click.ClickException(done.lost)
