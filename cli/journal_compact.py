"""`exchange journal compact`: keep the journal small, and lose nothing."""

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
    "--before", "moment", type=MOMENT, required=True, metavar="SEQ|TIME", help="The first command that stays."
)
@db_option
@json_option
def compact(moment: Moment, path: Path, as_json: bool) -> None:
    """Seal older commands into an archive file beside the journal.

    The archive is a journal of its own, which `exchange journal verify --db ARCHIVE` checks. The exchange starts
    without it; what looks back (replay, state, sql, verify ...) finds it as long as it stays in that folder. Stop the
    exchange first.

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
        f"seq {done.first_seq} to {done.last_seq} are in {done.archive}; "
        f"{path} went from {done.bytes_before:,} to {done.bytes_after:,} bytes"
    )
