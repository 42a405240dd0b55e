"""`exchange journal compact`: move older commands into a compressed archive."""

from pathlib import Path

import click

from exchange.cli.options import MOMENT, db_option, json_option
from exchange.cli.output import print_json
from exchange.cli.progress import ReplayBar
from exchange.history.compact import compact as compact_journal
from exchange.history.moment import Moment, seq_at
from exchange.journal.opening import open_journal_reader


@click.command()
@click.option(
    "--before",
    "moment",
    type=MOMENT,
    required=True,
    metavar="SEQ|TIME",
    help="First command that stays in the journal: sequence number or time (docs/operations.md, Times).",
)
@db_option
@json_option
def compact(moment: Moment, path: Path, as_json: bool) -> None:
    """Move older commands into a compressed archive.

    Stop the exchange first. The archive is a compressed file in a folder next to the journal. The exchange starts
    without it. Commands about the past (replay, sql, verify ...) read it if it stays in that folder.

    \b
    Examples:
      exchange journal compact --before 1000000
      exchange journal compact --before 2026-02-20T00:00:00Z
    """
    with open_journal_reader(path) as reader:
        before_seq = seq_at(reader, moment)
    with ReplayBar() as bar:
        done = compact_journal(path, before_seq, lambda sentence: click.echo(sentence, err=True), bar)
    if as_json:
        print_json(done._asdict() | {"archive": str(done.archive)})
        return
    click.echo(
        f"moved seq {done.first_seq} to {done.last_seq} to {done.archive}; "
        f"{path} shrank from {done.bytes_before:,} to {done.bytes_after:,} bytes"
    )
