"""`exchange journal import`: create a journal from exported commands."""

from pathlib import Path

import click

from exchange.cli.options import command_line, db_option
from exchange.cli.progress import ReplayBar
from exchange.history import transfer


@click.command("import")
@click.argument("source", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True), metavar="FILE")
@db_option
def import_(source: Path, path: Path) -> None:
    """Create a journal from the exported commands in FILE.

    - reads standard input. Every line is verified.

    \b
    Example:
      exchange journal import exchange.jsonl.gz --db copy.db
    """
    with ReplayBar("importing") as bar:
        engine = transfer.import_lines(source, path, bar)
    click.echo(f"{path}: {engine.head.seq:,} commands, digest {engine.digest()}")
    click.echo(f"Next: {command_line('serve', path)}")
