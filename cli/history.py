"""`exchange history`: the group; each command is in its own module, `history_*.py`."""

import click

from exchange.cli.lazy import LazyGroup


@click.group(cls=LazyGroup)
def history() -> None:
    """Write, export and describe the history file."""
