"""`exchange history datasette`: describe the history for datasette."""

from pathlib import Path

import click

from exchange.cli.options import db_option
from exchange.history_db.descriptions import datasette_configuration


@click.command()
@db_option
def datasette(path: Path) -> None:
    """Print a configuration for datasette: each view, table and column of the history with its meaning and unit.

    \b
    Examples:
      exchange history datasette > datasette.yaml
      datasette data/exchange.history.db --metadata datasette.yaml
    """
    for line in datasette_configuration(path):
        click.echo(line)
