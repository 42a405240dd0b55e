"""`exchange journal`: the group; each command is in its own module, `journal_*.py`."""

import click


@click.group()
def journal() -> None:
    """Inspect, verify, copy and shrink the journal."""
