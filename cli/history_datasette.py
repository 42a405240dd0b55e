"""`exchange history datasette`: describe the history for datasette."""

from pathlib import Path

import click

from exchange.cli.options import db_option
from exchange.history_db.descriptions import datasette_configuration


@click.command()
@db_option
def datasette(path: Path) -> None:
    """Print a configuration of datasette for the history.

    It describes each view, table and column, with its unit.

    \b
    Examples:
      exchange history datasette > datasette.yaml
      datasette data/exchange.history.db --metadata datasette.yaml
    """
    for line in datasette_configuration(path):
        click.echo(line)
