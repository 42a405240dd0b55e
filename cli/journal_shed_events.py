"""`exchange journal shed-events`: delete the events that an earlier version recorded in the journal."""

from pathlib import Path

import click

from exchange.cli.options import db_option, json_option
from exchange.cli.output import print_json
from exchange.journal.old_events import shed_events as shed
from exchange.journal.opening import open_journal_reader


@click.command("shed-events")
@db_option
@json_option
def shed_events(path: Path, as_json: bool) -> None:
    """Delete the recorded events of an earlier version.

    Stop the exchange first. Events follow from the commands, which stay. `exchange journal verify` compares recorded
    events with the commands as long as they are there, so run it before.

    \b
    Examples:
      exchange journal verify
      exchange journal shed-events
    """
    # Refuse a file that is not a journal before the lock file is created next to it.
    with open_journal_reader(path):
        pass
    found = shed(path)
    if as_json:
        print_json(found._asdict())
        return
    freed_mib = (found.bytes_before - found.bytes_after) / 2**20
    click.echo(f"deleted {found.events:,} events, freed {freed_mib:.1f} MiB")
