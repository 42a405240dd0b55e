"""`exchange history`: the group; each command is in its own module, `history_*.py`."""

import click

from exchange.cli.lazy import LazyGroup


@click.group(cls=LazyGroup)
def history() -> None:
    """Write the history file again, or export its tables."""
