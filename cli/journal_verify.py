"""`exchange journal verify`: carry out every command again and compare."""

from collections.abc import Iterator
from pathlib import Path

import click

from exchange.cli.options import db_option, json_option
from exchange.cli.output import UnreadableError, add_rows, console, print_json, table
from exchange.cli.progress import ReplayBar
from exchange.history.verdict import Verdict
from exchange.history.verify import verify as verify_journal
from exchange.journal.errors import JournalError


@click.command()
@click.option("--fast", is_flag=True, help="Verify only the chain of commands: hashes, sequence numbers, times.")
@db_option
@json_option
def verify(fast: bool, path: Path, as_json: bool) -> None:
    """Replay all commands and compare the results with the journal.

    Verifies the hash chain, every event, digest and snapshot, the invariants after every 1,000 commands, the schema
    with its triggers, and the file itself, archives included. Exit code 0: sound, 1: damaged, 2: no readable journal.

    \b
    Examples:
      exchange journal verify
      exchange journal verify --fast && echo intact
    """
    try:
        with ReplayBar("verifying") as bar:
            verdict = verify_journal(path, fast, bar)
    except JournalError as error:
        raise UnreadableError(str(error)) from error
    if as_json:
        print_json(verdict)
    else:
        _print(verdict, fast)
    if verdict.damage is not None:
        raise click.exceptions.Exit(1)


def _print(verdict: Verdict, fast: bool) -> None:
    if verdict.damage is None:
        shown = table("journal", verdict.path)
        add_rows(shown, _rows(verdict, fast))
        console().print(shown)
        click.echo("sound" + (": the chain is unbroken" if fast else ""))
    else:
        click.echo(f"damaged: {verdict.damage}")
    for note in verdict.notes:
        click.echo(f"note: {note}", err=True)


def _rows(verdict: Verdict, fast: bool) -> Iterator[tuple[str, str]]:
    yield "commands", f"{verdict.commands:,}, seq {verdict.first_seq} to {verdict.last_seq}"
    if not fast:
        behind = (
            f"; those of the last {verdict.events_behind} commands are not recorded yet"
            if verdict.events_behind
            else ""
        )
        yield "events", f"{verdict.events:,}{behind}"
        yield "snapshots", f"{verdict.snapshots} match"
        yield "digests", f"{verdict.digests} match"
        yield "digest", verdict.digest or ""
