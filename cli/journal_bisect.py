"""`exchange journal bisect`: find the first command that two versions of the program carry out differently."""

from pathlib import Path

import click

from exchange.cli.options import db_option, json_option
from exchange.cli.output import UnreadableError, print_json
from exchange.cli.progress import ReplayBar
from exchange.history.event_digests import bisect as bisect_journal
from exchange.history.event_text import describe
from exchange.journal.errors import JournalError


@click.command()
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    metavar="DIGESTS",
    help="File that `exchange journal digests` of the other version wrote.",
)
@db_option
@json_option
def bisect(against: Path, path: Path, as_json: bool) -> None:
    """Find the first command with other results in this version.

    Exit code 0: all digests are the same, 1: one differs, 2: the digests or the journal cannot be read.

    \b
    Example:
      exchange journal bisect --against digests.jsonl.gz
    """
    try:
        with ReplayBar() as bar:
            parting = bisect_journal(path, against, bar)
    except JournalError as error:
        raise UnreadableError(str(error)) from error
    if as_json:
        print_json(None if parting is None else parting.recorded)
    elif parting is None:
        click.echo("all digests are the same")
    elif parting.step is None:
        first, last = parting.recorded.first_seq, parting.recorded.last_seq
        click.echo(
            f"seq {first} to {last} differ: digest {parting.recorded.events} in the file, {parting.computed} now"
        )
        click.echo(
            f"To find the command, run with the other version: exchange journal digests --from {first} --to {last}"
        )
    else:
        record = parting.step.record
        click.echo(f"seq {record.seq} differs: {record.payload}")
        for event in parting.step.events:
            click.echo(f"  now: {describe(event)}")
    if parting is not None:
        raise click.exceptions.Exit(1)
