"""`exchange journal`: the group; each command is in its own module, `journal_*.py`."""

import click

from exchange.cli.lazy import LazyGroup


@click.group(cls=LazyGroup)
def journal() -> None:
    """Inspect, verify, copy and shrink the journal."""
