"""`exchange follow`: the follower as a command."""

import contextlib
import time
from pathlib import Path

import click

from exchange.cli.options import db_option
from exchange.cli.progress import ReplayBar
from exchange.journal.opening import open_journal_reader
from exchange.runtime.alarm import clear_alarm, dismiss_alarm, standing_alarm
from exchange.runtime.follower import HOW_TO_DEAL, LOOK_SECONDS, DivergedError, Follower
from exchange.runtime.server_settings import SNAPSHOT_EVERY


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
    with contextlib.suppress(KeyboardInterrupt), open_journal_reader(path) as reader, ReplayBar("following") as bar:
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
    with open_journal_reader(path):
        alarm = dismiss_alarm(path)
    click.echo(
        f"no alarm stands for {path}"
        if alarm is None
        else f"the alarm is dismissed: digests up to seq {alarm.seq} that differ are passed over from now on"
    )
