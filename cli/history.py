"""`exchange history`: the group; each command is in its own module, `history_*.py`."""

import click


@click.group()
def history() -> None:
    """Write the history file again, or export its tables."""
