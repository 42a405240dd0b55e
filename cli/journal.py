"""`exchange journal`: the group of commands about the journal; each command is in a module of its own."""

import click


@click.group()
def journal() -> None:
    """Read what is recorded, also while the exchange runs."""
