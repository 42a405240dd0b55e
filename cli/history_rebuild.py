"""`exchange history rebuild`: write the history again from the commands."""

from pathlib import Path

import click

from exchange.cli.options import db_option, json_option
from exchange.cli.output import print_json
from exchange.cli.progress import ReplayBar
from exchange.history_db.file import history_path
from exchange.history_db.update import update_history


@click.command()
@db_option
@json_option
def rebuild(path: Path, as_json: bool) -> None:
    """Write the history file again from the commands of the journal. Stop the exchange first.

    \b
    Example:
      exchange history rebuild --db data/exchange.db
    """
    with ReplayBar("writing the history") as bar:
        head = update_history(path, lambda sentence: click.echo(sentence, err=True), bar, anew=True)
    file = history_path(path)
    if as_json:
        print_json({"history": str(file), "seq": head.seq, "bytes": file.stat().st_size})
    else:
        click.echo(f"{file}: seq 1 to {head.seq:,}, {file.stat().st_size:,} bytes")
