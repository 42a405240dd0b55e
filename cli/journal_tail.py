"""`exchange journal tail`: the last commands, and new ones as they come."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from exchange.cli.options import db_option, json_option
from exchange.cli.output import print_json
from exchange.cli.record_text import record_line
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Head, Record

# Pause between two checks for new commands with --follow.
_POLL_SECONDS = 0.1


@click.command()
@click.option("-n", "count", type=click.IntRange(0), default=20, show_default=True, help="Number of commands.")
@click.option("-f", "--follow", is_flag=True, help="Print new commands as they are recorded, until Ctrl-C.")
@db_option
@json_option
def tail(count: int, follow: bool, path: Path, as_json: bool) -> None:
    """Show the last commands, oldest first.

    A line has seq, time, kind, user, instrument and the other fields.

    \b
    Examples:
      exchange journal tail -n 5 --follow
      exchange journal tail --json | jq .command
    """
    with contextlib.suppress(KeyboardInterrupt), open_journal_reader(path) as reader:
        for record in _records(reader, count, follow):
            if as_json:
                command = msgspec.Raw(record.payload.encode())
                print_json({"seq": record.seq, "ts_us": record.ts_us, "hash": record.hash.hex(), "command": command})
            else:
                click.echo(record_line(record.seq, record.ts_us, record.payload))


def _records(reader: JournalReader, count: int, follow: bool) -> Iterator[Record]:
    head = reader.head()
    newest = list(reader.records_where(max(head.seq - count, reader.bases[0].head.seq) + 1, head.seq))
    yield from newest
    if newest:
        head = Head(newest[-1].seq, newest[-1].ts_us, newest[-1].hash)
    while follow:
        for record in reader.records(head):
            head = Head(record.seq, record.ts_us, record.hash)
            yield record
        version = reader.data_version()
        while reader.data_version() == version:
            time.sleep(_POLL_SECONDS)
