"""`exchange snapshot`: saved states, which shorten a start."""

from pathlib import Path

import click

from exchange.amounts import short_time
from exchange.cli.options import MOMENT, command_line, db_option, json_option
from exchange.cli.output import add_rows, console, print_json, table
from exchange.cli.progress import ReplayBar
from exchange.free_space import SpaceGuard
from exchange.history.moment import Moment, engine_at
from exchange.history.recovery_plan import SnapshotCheck, check_snapshots
from exchange.journal.opening import open_journal_reader
from exchange.runtime.server_settings import SNAPSHOTS_KEPT
from exchange.snapshots.store import SnapshotStore


@click.group()
def snapshot() -> None:
    """Manage snapshots, which shorten the next start.

    They can be deleted at any time; the journal does not need them.
    """


@snapshot.command()
@click.option(
    "--at",
    "moment",
    type=MOMENT,
    default=Moment(),
    metavar="SEQ|TIME",
    help="Sequence number or time (UTC).  [default: now]",
)
@db_option
def create(moment: Moment, path: Path) -> None:
    """Save the state after a command, computed from the journal. The exchange may be running.

    \b
    Example:
      exchange snapshot create --at 1000000
    """
    if not SpaceGuard(path, "snapshots", lambda sentence: click.echo(sentence, err=True)).allows():
        raise click.exceptions.Exit(1)
    with ReplayBar() as bar:
        engine = engine_at(path, moment, bar)
    file = SnapshotStore(path).save(engine.snapshot())
    click.echo(f"{file}: saved the state after seq {engine.head.seq}")


@snapshot.command("list")
@db_option
@json_option
def list_(path: Path, as_json: bool) -> None:
    """List the snapshots and check whether a start could use each of them.

    Only `exchange snapshot verify` compares their content with a replay.

    \b
    Example:
      exchange snapshot list
    """
    _print(check_snapshots(path), path, as_json)


@snapshot.command()
@click.option(
    "--fast",
    is_flag=True,
    help="Do not replay: check only the checksums, and that the snapshots belong to this journal.",
)
@db_option
@json_option
def verify(fast: bool, path: Path, as_json: bool) -> None:
    """Compare each snapshot with the state computed from the commands. Exit code 1 if one differs.

    \b
    Example:
      exchange snapshot verify
    """
    with ReplayBar("verifying") as bar:
        found = check_snapshots(path, None if fast else bar)
    _print(found, path, as_json)
    if any(check.fault is not None for check in found):
        raise click.exceptions.Exit(1)


@snapshot.command()
@click.option(
    "--keep",
    type=click.IntRange(0),
    default=SNAPSHOTS_KEPT,
    show_default=True,
    help="Number of newest snapshots to keep.",
)
@db_option
def prune(keep: int, path: Path) -> None:
    """Delete all but the newest snapshots, and unfinished files.

    \b
    Example:
      exchange snapshot prune --keep 1
    """
    with open_journal_reader(path):
        deleted = SnapshotStore(path).prune(keep)
    click.echo(f"deleted {len(deleted)}, kept {len(SnapshotStore(path).files())}")


def _print(found: list[SnapshotCheck], path: Path, as_json: bool) -> None:
    if as_json:
        print_json([check._asdict() for check in found])
    elif found:
        shown = table("snapshot", ">seq", "time", ">bytes", "digest", "check")
        rows = (
            (
                check.file,
                str(check.seq),
                short_time(check.ts_us) if check.ts_us else "-",
                f"{check.size_bytes:,}",
                check.digest[:16],
                check.fault or "fits",
            )
            for check in found
        )
        add_rows(shown, rows)
        console().print(shown)
    else:
        click.echo(f"{path} has no snapshots; to create one: {command_line('snapshot create', path)}")
