"""`exchange archive`: the archives with the older commands of a journal."""

from collections.abc import Sequence
from pathlib import Path

import click

from exchange.cli.options import db_option, json_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.free_space import SpaceGuard
from exchange.journal.archive_merge import merge_archives
from exchange.journal.archives import Archive, archives_of
from exchange.journal.opening import open_journal_reader


@click.group()
def archive() -> None:
    """List and merge the archives with older commands.

    `exchange serve --archive-after` and `exchange journal compact` write them.
    """


@archive.command("list")
@db_option
@json_option
def list_(path: Path, as_json: bool) -> None:
    """List the archives of the journal, oldest first.

    \b
    Example:
      exchange archive list
    """
    with open_journal_reader(path) as reader:
        archives = archives_of(path, reader.bases[-1].head.seq + 1)
    if as_json:
        print_json([_described(found) for found in archives])
    elif archives:
        _print(archives)
    else:
        click.echo(f"{path} has no archives")


def _print(archives: Sequence[Archive]) -> None:
    shown = table("commands", "file", "size", wrapped=("size",))
    for found in archives:
        size_bytes = found.path.stat().st_size
        count = found.last_seq - found.first_seq + 1
        size = f"{size_bytes:,} bytes, {size_bytes / count:,.0f} bytes a command"
        add_rows(shown, [(f"seq {found.first_seq} to {found.last_seq}", str(found.path), size)])
    print_tables(shown)


@archive.command()
@db_option
@json_option
def merge(path: Path, as_json: bool) -> None:
    """Merge all archives into one compressed file. The exchange may be running.

    \b
    Example:
      exchange archive merge
    """
    if not SpaceGuard(path, "archives", lambda sentence: click.echo(sentence, err=True)).allows():
        raise click.exceptions.Exit(1)
    old, new = merge_archives(path)
    if as_json:
        print_json(_described(new))
    else:
        click.echo(f"merged {len(old)} archives, seq {new.first_seq} to {new.last_seq}, into {new.path}")


def _described(found: Archive) -> dict[str, str | int]:
    return {
        "path": str(found.path),
        "first_seq": found.first_seq,
        "last_seq": found.last_seq,
        "size_bytes": found.path.stat().st_size,
    }
