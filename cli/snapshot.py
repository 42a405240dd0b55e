"""`exchange snapshot`, `exchange follow` and `exchange recovery-plan`: how a start is kept short."""

import contextlib
import time
from pathlib import Path

import click

from exchange.amounts import short_time
from exchange.cli.options import MOMENT, command_line, db_option, json_option
from exchange.cli.output import add_rows, console, print_json, table
from exchange.cli.progress import ReplayBar
from exchange.history.moment import Moment, engine_at
from exchange.history.recovery_plan import SnapshotCheck, check_snapshots, plan_recovery
from exchange.journal.reader import JournalReader
from exchange.runtime.alarm import clear_alarm, dismiss_alarm, standing_alarm
from exchange.runtime.follower import HOW_TO_DEAL, LOOK_SECONDS, DivergedError, Follower
from exchange.runtime.server_settings import SNAPSHOT_EVERY, SNAPSHOTS_KEPT
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
    with JournalReader(path):
        deleted = SnapshotStore(path).prune(keep)
    click.echo(f"deleted {len(deleted)}, kept {len(SnapshotStore(path).files())}")


@click.command("recovery-plan")
@db_option
@json_option
def recovery_plan(path: Path, as_json: bool) -> None:
    """Say what a start would do now, and how long it would take, without doing it.

    \b
    Example:
      exchange recovery-plan
    """
    found = plan_recovery(path)
    if as_json:
        print_json(found)
        return
    shown, rate = table("a start would", ""), found.commands_per_second
    origin = f"the snapshot at seq {found.snapshot_seq}" if found.snapshot_seq else "the first command"
    add_rows(
        shown,
        (
            ("begin with", origin),
            *(("skip", fault) for fault in found.skipped),
            ("replay", f"{found.commands:,} commands, up to seq {found.last_seq}"),
            ("complete", f"the events of {found.commands_without_events:,} commands"),
            ("take", f"about {found.seconds:.1f} s" + (f", {rate:,.0f} commands a second" if rate else "")),
        ),
    )
    console().print(shown)
    if found.seconds > 10:
        click.echo(f"To shorten it: {command_line('snapshot create', path)}")


@click.command()
@click.option("--once", is_flag=True, help="Compare everything there is, and end: exit code 1 where a digest differs.")
@click.option("--dismiss", is_flag=True, help="Take the alarm back, and pass over what it was raised for, and end.")
@click.option(
    "--snapshot-every",
    type=click.IntRange(0),
    default=SNAPSHOT_EVERY,
    show_default=True,
    metavar="COMMANDS",
    help="How often to save the state; 0: never.",
)
@db_option
def follow(once: bool, dismiss: bool, snapshot_every: int, path: Path) -> None:
    """Read along with an exchange, apply every command once more, and raise the alarm where that comes out differently.

    The exchange starts one of these itself (unless --snapshot-every is 0). Ctrl-C ends it. An alarm stays, also when
    the exchange is started again, until --once finds that everything comes out as recorded, or --dismiss.

    \b
    Examples:
      exchange follow --once
      exchange follow --dismiss
    """
    if once and dismiss:
        raise click.UsageError("--once compares, --dismiss does without: take one of them.")
    if dismiss:
        _dismiss(path)
        return
    alarm = standing_alarm(path)
    if alarm is not None and not once:
        raise click.ClickException(f"ALARM: {alarm.text}. {HOW_TO_DEAL}")
    follower = Follower(path, snapshot_every, lambda sentence: click.echo(sentence, err=True), from_first=once)
    with contextlib.suppress(KeyboardInterrupt), JournalReader(path) as reader, ReplayBar("following") as bar:
        total = reader.head().seq
        try:
            while follower.catch_up(reader) or not once:
                bar(min(follower.seq, total), total)
                if follower.is_idle:
                    time.sleep(LOOK_SECONDS)
        except DivergedError as error:
            raise click.ClickException(f"ALARM: {error}. {HOW_TO_DEAL}") from error
        finally:
            follower.tell()
    compared = (
        f"digests compared up to seq {follower.compared_seq}" if follower.compared_seq else "no digest to compare"
    )
    click.echo(f"at seq {follower.seq}, {compared}")
    if alarm is not None and follower.compared_seq >= alarm.seq:
        clear_alarm(path)
        click.echo(f"the alarm for seq {alarm.seq} is taken back: that digest comes out as recorded")


def _dismiss(path: Path) -> None:
    with JournalReader(path):
        alarm = dismiss_alarm(path)
    click.echo(
        f"no alarm stands for {path}"
        if alarm is None
        else f"the alarm is dismissed: digests up to seq {alarm.seq} that differ are passed over from now on"
    )


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
