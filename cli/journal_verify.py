"""`exchange journal verify`: carry out every command again and compare."""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from exchange.cli.options import MOMENT, db_option, json_option
from exchange.cli.output import UnreadableError, add_rows, print_json, print_tables, table
from exchange.cli.progress import ReplayBar
from exchange.history.checkpoints import BadCheckpointError
from exchange.history.expectations import Expectation, read_expectation
from exchange.history.moment import Moment, seq_at
from exchange.history.verdict import Verdict
from exchange.history.verify import verify as verify_journal
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_reader
from exchange.outside_text import InputError, read_text

_KEY = re.compile(r"[0-9a-fA-F]{64}")


@click.command()
@click.option("--fast", is_flag=True, help="Verify only the chain of commands: hashes, sequence numbers, times.")
@click.option(
    "--expect",
    "expected",
    multiple=True,
    metavar="SEQ:HASH|FILE",
    help="Require this hash at this seq, or the ones in a file from `exchange journal checkpoint`. Repeatable.",
)
@click.option(
    "--public-key",
    "keys",
    multiple=True,
    metavar="KEY|FILE",
    help="Require that checkpoint files are signed with this key, 64 hexadecimal digits. Repeatable.",
)
@click.option(
    "--until",
    type=MOMENT,
    metavar="SEQ|TIME",
    help="Verify up to this sequence number or time (docs/operations.md, Times).  [default: the last command]",
)
@db_option
@json_option
def verify(
    fast: bool,
    expected: tuple[str, ...],
    keys: tuple[str, ...],
    until: Moment | None,
    path: Path,
    as_json: bool,
) -> None:
    """Replay all commands and compare the results with the records.

    Verifies the hash chain, every event, digest and snapshot, the invariants after every 1,000 commands, the schema
    with its triggers, the file itself, archives included, and every row of the history. Exit code 0: sound, 1: damaged,
    2: no readable journal.

    A journal is sound even if its owner changed a command and computed everything after it again, or cut off its end.
    Only a hash that was kept elsewhere shows this: give it with --expect.

    \b
    Examples:
      exchange journal verify
      exchange journal verify --fast && echo intact
      exchange journal verify --until "2h ago"
      exchange journal verify --expect monday.json --public-key auditor.key
    """
    known_keys = frozenset(map(_public_key, keys))
    try:
        expectations = [_expectation(text, known_keys) for text in expected]
        with ReplayBar("verifying" if fast else "replaying") as bar:
            rows = bar.next_phase("comparing the history")
            verdict = verify_journal(path, fast, bar, expectations, _seq_of(path, until), rows)
    except (JournalError, BadCheckpointError) as error:
        raise UnreadableError(str(error)) from error
    if not known_keys:
        verdict.notes += [
            f"{one.source} is signed with the key {one.public_key}: compare it with the key that you keep, or give "
            "that with --public-key"
            for one in expectations
            if one.public_key
        ]
    if as_json:
        print_json(verdict)
    else:
        _print(verdict, fast)
    if verdict.damage is not None:
        raise click.exceptions.Exit(1)


def _seq_of(path: Path, until: Moment | None) -> int | None:
    if until is None:
        return None
    with open_journal_reader(path) as reader:
        return seq_at(reader, until)


def _expectation(text: str, known_keys: frozenset[str]) -> Expectation:
    try:
        return read_expectation(text, known_keys)
    except InputError as error:
        raise UnreadableError(f"{error}; --expect takes SEQ:HASH or a checkpoint file") from error


def _public_key(text: str) -> str:
    """A public key, or the content of a file with one. Raises BadParameter."""
    try:
        key = text if _KEY.fullmatch(text) else read_text(Path(text)).strip()
    except InputError as error:
        raise click.BadParameter(
            f"{error}; expected a public key or a file with one.", param_hint="--public-key"
        ) from error
    if not _KEY.fullmatch(key):
        raise click.BadParameter(
            f"{text!r} does not contain a public key; expected 64 hexadecimal digits.", param_hint="--public-key"
        )
    return key.lower()


def _print(verdict: Verdict, fast: bool) -> None:
    if verdict.damage is None:
        shown = table("journal", verdict.path)
        add_rows(shown, _rows(verdict, fast))
        print_tables(shown)
        click.echo("sound" + (": the chain is unbroken" if fast else ""))
    else:
        click.echo(f"damaged: {verdict.damage}")
    for note in verdict.notes:
        click.echo(f"note: {note}", err=True)


def _rows(verdict: Verdict, fast: bool) -> Iterator[tuple[str, str]]:
    if verdict.expected:
        yield "expected hashes", f"{verdict.expected} match"
    yield "commands", f"{verdict.commands:,}, seq {verdict.first_seq} to {verdict.last_seq}"
    if not fast:
        if verdict.events:
            yield "events", f"{verdict.events:,}"
        yield "snapshots", f"{verdict.snapshots} match"
        yield "digests", f"{verdict.digests} match"
        rows = f"{verdict.history_rows:,} rows match, up to seq {verdict.history_seq}"
        yield "history", rows if verdict.history_seq else "not compared"
        yield "digest", verdict.digest or ""
