"""`exchange snapshot`: saved states that shorten a start."""

from pathlib import Path

import click

from exchange.amounts import short_time
from exchange.cli.options import MOMENT, command_line, db_option, json_option
from exchange.cli.output import add_rows, console, print_json, table
from exchange.cli.progress import ReplayBar
from exchange.history.moment import Moment, engine_at
from exchange.history.recovery_plan import SnapshotCheck, check_snapshots
from exchange.journal.opening import open_journal_reader
from exchange.runtime.server_settings import SNAPSHOTS_KEPT
from exchange.snapshots.store import SnapshotStore


@click.group()
def snapshot() -> None:
    """Shortcuts for the next start. They may be deleted at any time; the journal never."""


@snapshot.command()
@click.option("--at", "moment", type=MOMENT, default=Moment(), metavar="SEQ|TIME", help="Of when.  [default: now]")
@db_option
def create(moment: Moment, path: Path) -> None:
    """Save the state after a command, from the journal alone; also while the exchange runs.

    \b
    Example:
      exchange snapshot create --at 1000000
    """
    with ReplayBar() as bar:
        engine = engine_at(path, moment, bar)
    file = SnapshotStore(path).save(engine.snapshot())
    click.echo(f"{file}: the state after seq {engine.head.seq}")


@snapshot.command("list")
@db_option
@json_option
def list_(path: Path, as_json: bool) -> None:
    """List the snapshots, and whether each is one that a start could use.

    \b
    Example:
      exchange snapshot list
    """
    _show(check_snapshots(path), path, as_json)


@snapshot.command()
@click.option("--fast", is_flag=True, help="Without replaying: checksums, and whether they belong to this journal.")
@db_option
@json_option
def verify(fast: bool, path: Path, as_json: bool) -> None:
    """Compare each snapshot with the state that the commands make. Exit code 1 where one is not what it says.

    \b
    Example:
      exchange snapshot verify
    """
    with ReplayBar("verifying") as bar:
        found = check_snapshots(path, None if fast else bar)
    _show(found, path, as_json)
    if any(fit.fault is not None for fit in found):
        raise click.exceptions.Exit(1)


@snapshot.command()
@click.option("--keep", type=click.IntRange(0), default=SNAPSHOTS_KEPT, show_default=True, help="The newest so many.")
@db_option
def prune(keep: int, path: Path) -> None:
    """Delete all but the newest snapshots, and what a crash left half made.

    \b
    Example:
      exchange snapshot prune --keep 1
    """
    with open_journal_reader(path):
        deleted = SnapshotStore(path).prune(keep)
    click.echo(f"deleted {len(deleted)}, kept {len(SnapshotStore(path).files())}")


def _show(found: list[SnapshotCheck], path: Path, as_json: bool) -> None:
    if as_json:
        print_json([fit._asdict() for fit in found])
    elif found:
        shown = table("snapshot", ">seq", "time", ">bytes", "digest", "")
        rows = (
            (
                fit.file,
                str(fit.seq),
                short_time(fit.ts_us) if fit.ts_us else "-",
                f"{fit.size_bytes:,}",
                fit.digest[:16],
                fit.fault or "fits",
            )
            for fit in found
        )
        add_rows(shown, rows)
        console().print(shown)
    else:
        click.echo(f"{path} has no snapshots: {command_line('snapshot create', path)} makes one")
