"""`exchange snapshot`: saved states, which shorten a start."""

from pathlib import Path

import click

from exchange.amounts import short_time
from exchange.cli.options import MOMENT, command_line, db_option, json_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.cli.progress import ReplayBar
from exchange.free_space import SpaceGuard
from exchange.history.moment import Moment, engine_at
from exchange.history.recovery_plan import SnapshotCheck, check_snapshots, list_snapshots
from exchange.journal.opening import open_journal_reader
from exchange.journal.write_ahead_log import sync_journal
from exchange.runtime.follower import speed_of_replay
from exchange.snapshots.ladder import dense_gap_of, why_kept
from exchange.snapshots.store import SnapshotStore, rung_of


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
    help="Sequence number or time (docs/operations.md, Times).  [default: now]",
)
@db_option
def create(moment: Moment, path: Path) -> None:
    """Save the state after a command, computed from the journal. The exchange may be running.

    It is kept until `exchange snapshot delete` deletes it.

    \b
    Example:
      exchange snapshot create --at 1000000
    """
    if not SpaceGuard(path, "snapshots", lambda sentence: click.echo(sentence, err=True)).allows():
        raise click.exceptions.Exit(1)
    with ReplayBar() as bar:
        engine = engine_at(path, moment, bar)
    sync_journal(path)
    file = SnapshotStore(path).save(engine.snapshot(), is_manual=True)
    click.echo(f"{file}: saved the state after seq {engine.head.seq}; it is kept until you delete it")


@snapshot.command("list")
@db_option
@json_option
def list_(path: Path, as_json: bool) -> None:
    """List the snapshots, why each is kept, and if it can be used.

    Only `exchange snapshot verify` reads their whole content.

    \b
    Example:
      exchange snapshot list
    """
    _print(list_snapshots(path), path, as_json)


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
    "--keep", type=click.IntRange(0), help="Number of newest snapshots to keep.  [default: as the ladder says]"
)
@db_option
def prune(keep: int | None, path: Path) -> None:
    """Delete the snapshots that are not needed, and unfinished files. Those made by hand stay.

    \b
    Examples:
      exchange snapshot prune
      exchange snapshot prune --keep 1
    """
    store = SnapshotStore(path)
    with open_journal_reader(path):
        deleted = store.thin(dense_gap_of(speed_of_replay(path))) if keep is None else store.prune(keep)
    click.echo(f"deleted {len(deleted)}, kept {len(store.files())}")


@snapshot.command()
@click.argument("seqs", type=click.IntRange(1), nargs=-1, required=True, metavar="SEQ...")
@db_option
def delete(seqs: tuple[int, ...], path: Path) -> None:
    """Delete the snapshots of these seqs, also those made by hand.

    \b
    Example:
      exchange snapshot delete 1000000
    """
    store = SnapshotStore(path)
    with open_journal_reader(path):
        if missing := sorted(set(seqs) - set(store.seqs())):
            raise click.ClickException(
                f"there is no snapshot of seq {missing[0]}: {command_line('snapshot list', path)} shows the seqs"
            )
        deleted = [file for seq in seqs for file in store.delete(seq)]
    click.echo(f"deleted {len(deleted)}, kept {len(store.files())}")


def _print(found: list[SnapshotCheck], path: Path, as_json: bool) -> None:
    reasons = why_kept(SnapshotStore(path).rungs(), dense_gap_of(speed_of_replay(path)))

    def why(check: SnapshotCheck) -> str:
        rung = rung_of(Path(check.file))
        return "-" if rung is None else reasons.get(rung, "-")

    if as_json:
        print_json([check._asdict() | {"kept": why(check)} for check in found])
    elif found:
        names = (">seq", "time", ">bytes", "kept", "check")
        shown = table(*names, optional=("bytes",), wrapped=("kept", "check"))
        rows = (
            (
                str(check.seq),
                short_time(check.ts_us) if check.ts_us else "-",
                f"{check.size_bytes:,}",
                why(check),
                check.fault or "fits",
            )
            for check in found
        )
        add_rows(shown, rows)
        print_tables(shown)
        total = sum(check.size_bytes for check in found)
        click.echo(f"{len(found)} {'snapshot' if len(found) == 1 else 'snapshots'}, {total:,} bytes")
    else:
        click.echo(f"{path} has no snapshots; to create one: {command_line('snapshot create', path)}")
