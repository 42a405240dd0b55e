"""`exchange journal export`, `import`, `backup`, `digests` and `bisect`: a journal that travels."""

import contextlib
from pathlib import Path

import click
import msgspec

from exchange.cli.options import MOMENT, command_line, db_option, json_option
from exchange.cli.output import print_json
from exchange.cli.progress import ReplayBar
from exchange.history import transfer
from exchange.history.diff import bisect as bisect_journal
from exchange.history.diff import spans
from exchange.history.event_text import describe
from exchange.history.moment import Moment, span

_from_option = click.option(
    "--from", "start", type=MOMENT, metavar="SEQ|TIME", help="Begin here.  [default: the first command]"
)
_to_option = click.option("--to", "end", type=MOMENT, metavar="SEQ|TIME", help="End here.  [default: the last command]")
_file = click.Path(dir_okay=False, path_type=Path)


@click.command("export")
@click.argument("out", type=_file, default=Path("-"), metavar="[FILE]")
@_from_option
@_to_option
@db_option
def export(out: Path, start: Moment | None, end: Moment | None, path: Path) -> None:
    """Write the commands as JSON lines to FILE, or to standard output; compressed where the name ends with .gz.

    \b
    Examples:
      exchange journal export exchange.jsonl.gz
      exchange journal export --from 100 --to 200 | jq .command
    """
    first_seq, last_seq = span(path, start, end)
    with ReplayBar("exporting") as bar, contextlib.suppress(BrokenPipeError):
        count = transfer.export_lines(path, first_seq, last_seq, out, bar)
    if out != Path("-"):
        click.echo(f"{out}: {count:,} commands, seq {first_seq} to {last_seq}")


@click.command("import")
@click.argument("source", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True), metavar="FILE")
@db_option
def import_(source: Path, path: Path) -> None:
    """Make a new journal from exported commands; - reads standard input. Every line is checked and carried out.

    \b
    Example:
      exchange journal import exchange.jsonl.gz --db copy.db
    """
    with ReplayBar("importing") as bar:
        engine = transfer.import_lines(source, path, bar)
    click.echo(f"{path}: {engine.head.seq:,} commands, digest {engine.digest()}")
    click.echo(f"Next: {command_line('serve', path)}")


@click.command()
@click.argument("new_path", type=_file, metavar="FILE")
@db_option
def backup(new_path: Path, path: Path) -> None:
    """Copy the journal as it is at one moment, also while the exchange runs on it.

    The copy is a journal: the exchange starts on it. Archives are files of their own and are not in it, nor are
    snapshots, which are only a shortcut, nor the administrator's secret, which is made anew.

    \b
    Example:
      exchange journal backup /mnt/backup/exchange.db
    """
    with ReplayBar("copying") as bar:
        last_seq = transfer.backup(path, new_path, bar)
    click.echo(f"{new_path}: the journal up to seq {last_seq}")


@click.command()
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Commands to one digest.")
@click.option("--out", type=_file, default=Path("-"), help="A file; .gz compresses.  [default: standard output]")
@_from_option
@_to_option
@db_option
def digests(every: int, out: Path, start: Moment | None, end: Moment | None, path: Path) -> None:
    """Write digests of what the commands cause with this version of the program, for another one to compare with.

    \b
    Example:
      exchange journal digests --every 1000 --out digests.jsonl.gz
    """
    first_seq, last_seq = span(path, start, end)
    with ReplayBar() as bar, transfer.opened_for_writing(out) as file:
        for found in spans(path, every, first_seq, last_seq, bar):
            file.write(msgspec.json.encode(found) + b"\n")


@click.command()
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    metavar="DIGESTS",
    help="What `exchange journal digests` of another version wrote.",
)
@db_option
@json_option
def bisect(against: Path, path: Path, as_json: bool) -> None:
    """Find the first command that this version of the program carries out differently. Exit code 1 if there is one.

    \b
    Example:
      exchange journal bisect --against digests.jsonl.gz
    """
    with ReplayBar() as bar:
        parting = bisect_journal(path, against, bar)
    if as_json:
        print_json(None if parting is None else parting.recorded)
    elif parting is None:
        click.echo("every digest is the same")
    elif parting.step is None:
        first, last = parting.recorded.first_seq, parting.recorded.last_seq
        click.echo(
            f"seq {first} to {last} come out differently: {parting.recorded.events} then, {parting.computed} now"
        )
        click.echo(f"To find the command: exchange journal digests --from {first} --to {last}, with the other version")
    else:
        record = parting.step.record
        click.echo(f"seq {record.seq} comes out differently: {record.payload}")
        for event in parting.step.events:
            click.echo(f"  now: {describe(event)}")
    if parting is not None:
        raise click.exceptions.Exit(1)
