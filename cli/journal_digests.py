"""`exchange journal digests`: write digests for a comparison with another version of the program."""

from pathlib import Path

import click
import msgspec

from exchange.cli.options import db_option, from_option, to_option
from exchange.cli.progress import ReplayBar
from exchange.history import transfer
from exchange.history.event_digests import span_digests
from exchange.history.moment import Moment, span


@click.command()
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Number of commands per digest.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("-"),
    help="Write to this file (compressed if it ends with .gz).  [default: standard output]",
)
@from_option
@to_option
@db_option
def digests(every: int, out: Path, start: Moment | None, end: Moment | None, path: Path) -> None:
    """Write digests of the events, to compare program versions.

    This version computes the events from the commands; `exchange journal bisect` of another version compares them.

    \b
    Example:
      exchange journal digests --every 1000 --out digests.jsonl.gz
    """
    first_seq, last_seq = span(path, start, end)
    with ReplayBar() as bar, transfer.opened_for_writing(out) as file:
        for found in span_digests(path, every, first_seq, last_seq, bar):
            file.write(msgspec.json.encode(found) + b"\n")
