"""`exchange follow`: run the follower, or deal with its alarm."""

import contextlib
import time
from pathlib import Path

import click

from exchange.cli.options import db_option
from exchange.cli.progress import ReplayBar
from exchange.engine.alarm import clear_alarm, dismiss_alarm, standing_alarm
from exchange.history_db.update import end_history
from exchange.journal.opening import open_journal_reader
from exchange.runtime.follower import HOW_TO_DEAL, LOOK_SECONDS, DivergedError, Follower
from exchange.runtime.lost_commands import refuse_lost_commands


@click.command()
@click.option("--once", is_flag=True, help="Compare all recorded digests and exit: exit code 1 if one differs.")
@click.option("--dismiss", is_flag=True, help="Dismiss the alarm, ignore that mismatch from now on, and exit.")
@click.option(
    "--snapshot-every",
    type=click.IntRange(0),
    metavar="COMMANDS",
    help="Save a snapshot after this many commands; 0: never.  [default: every 1.2 seconds of replay or 5 minutes]",
)
@db_option
def follow(once: bool, dismiss: bool, snapshot_every: int | None, path: Path) -> None:
    """Follow the journal and raise an alarm if a digest differs.

    The follower applies every command again, until Ctrl-C. `exchange serve` starts a follower itself. An
    alarm remains, also after a restart of the exchange, until --once finds no difference or --dismiss removes it.

    \b
    Examples:
      exchange follow --once
      exchange follow --dismiss
    """
    if once and dismiss:
        raise click.UsageError("--once and --dismiss exclude each other: remove one of them")
    if dismiss:
        _dismiss(path)
        return
    alarm = standing_alarm(path)
    if alarm is not None and not once:
        raise click.ClickException(f"ALARM: {alarm.text}. {HOW_TO_DEAL}")
    # The follower would forget how far it was.
    refuse_lost_commands(path)
    follower = Follower(path, snapshot_every, lambda sentence: click.echo(sentence, err=True), from_first=once)
    with contextlib.suppress(KeyboardInterrupt), open_journal_reader(path) as reader, ReplayBar("following") as bar:
        total = reader.head().seq
        try:
            while follower.catch_up(reader) or not once:
                bar(min(follower.seq, total), total)
                if follower.is_idle:
                    time.sleep(LOOK_SECONDS)
        except DivergedError as error:
            end_history(path, lambda sentence: click.echo(sentence, err=True))
            raise click.ClickException(f"ALARM: {error}. {HOW_TO_DEAL}") from error
        finally:
            follower.write_status()
    compared = (
        f"digests compared up to seq {follower.compared_seq}" if follower.compared_seq else "no digests to compare"
    )
    click.echo(f"at seq {follower.seq}, {compared}")
    if alarm is not None and follower.compared_seq >= alarm.seq:
        clear_alarm(path)
        click.echo(f"the alarm for seq {alarm.seq} is removed: its digest matches")


def _dismiss(path: Path) -> None:
    with open_journal_reader(path):
        alarm = dismiss_alarm(path)
    click.echo(
        f"there is no alarm for {path}"
        if alarm is None
        else f"the alarm is dismissed: differing digests up to seq {alarm.seq} are ignored from now on"
    )
