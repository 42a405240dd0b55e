"""The views after a recorded command: from the history if it holds the command, else from the nearest snapshot."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import click

from exchange.amounts import short_time
from exchange.cli.names import unknown_instrument, unknown_user
from exchange.cli.progress import ReplayBar
from exchange.engine.recovery import recover
from exchange.history.moment import seq_at
from exchange.history_db.file import HistoryError
from exchange.history_db.past_views import PastViews, open_past_views
from exchange.history_db.update import update_history
from exchange.journal.lock import lock_owner
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head
from exchange.journal.schema import is_writable
from exchange.projections.views import Views
from exchange.projections.wire_types import Reopening, reopening_view
from exchange.times import Moment

# The follower of a running exchange writes the history twice a second.
_PATIENCE_SECONDS = 2.0
_LOOK_SECONDS = 0.02


class Recorded(NamedTuple):
    """The views after a command, with the journal's hash there, halt, and the assets that were reopening."""

    views: Views
    hash: bytes
    is_halted: bool
    reopening: list[Reopening]


def read_views(path: Path) -> Views:
    """All views after the last recorded command, whether or not a server runs. Raises JournalError."""
    return recorded_now(path).views


def recorded_now(path: Path) -> Recorded:
    """The state after the last recorded command. Writes nothing. Raises JournalError."""
    with open_journal_reader(path) as reader:
        head = reader.head()
    patience_seconds = _PATIENCE_SECONDS if lock_owner(path) else 0
    return _of_history(path, head, patience_seconds) or _of_snapshot(path, head.seq)


def recorded_at(path: Path, moment: Moment) -> Recorded:
    """The state at a moment. It first completes the history, if its folder can be written. Raises JournalError."""
    if moment == Moment():
        return recorded_now(path)
    with open_journal_reader(path) as reader:
        head = reader.head_at(seq_at(reader, moment))
    assert head is not None, "a moment without a command"
    return _of_history(path, head) or _of_completed_history(path, head) or _of_snapshot(path, head.seq)


def _of_completed_history(path: Path, head: Head) -> Recorded | None:
    """The state after `head` in the history, which is first completed; None if this user cannot write it."""
    if not is_writable(path):
        return None
    try:
        with ReplayBar("writing the history") as bar:
            update_history(path, lambda sentence: click.echo(sentence, err=True), bar)
    except HistoryError as error:
        click.echo(f"{error}. The state is computed from the nearest snapshot", err=True)
        return None
    return _of_history(path, head)


def past_views(path: Path, views: Views) -> PastViews:
    """The views of the same moment with the history behind them. Raises ClickException if there is no history."""
    if isinstance(views, PastViews):
        return views
    with open_journal_reader(path) as reader:
        head = reader.head_at(views.seq)
    found = None if head is None else _of_completed_history(path, head)
    if found is None or not isinstance(found.views, PastViews):
        raise click.ClickException(
            f"the history of {path} does not reach seq {views.seq}, and only it has all movements of cash: "
            "run `exchange history rebuild` as the owner of the journal"
        )
    return found.views


def _of_history(path: Path, head: Head, patience_seconds: float = 0) -> Recorded | None:
    """The state after `head` in the history; None if the history does not hold this command."""
    until = time.monotonic() + patience_seconds
    while (views := open_past_views(path, head)) is None:
        if time.monotonic() >= until:
            return None
        time.sleep(_LOOK_SECONDS)
    return Recorded(views, head.hash, views.is_halted, reopening_view(views.reopening))


def _of_snapshot(path: Path, seq: int) -> Recorded:
    with ReplayBar() as bar:
        engine = recover(path, lambda sentence: None, bar, up_to=seq).engine
    reopening = reopening_view(engine.reopening())
    return Recorded(engine.views, engine.head.hash, engine.state.is_halted, reopening)


def as_of(views: Views) -> str:
    """The moment that the views show, for a caption."""
    return f"at seq {views.seq}, {short_time(views.ts_us)}"


def require_user(views: Views, user_id: str, path: Path) -> None:
    """Raise a ClickException that names similar accounts if `user_id` has none."""
    known: Iterable[str] = views.balances.users
    if user_id not in known:
        raise unknown_user(user_id, known, path)


def require_instrument(views: Views, instrument_id: str, path: Path) -> None:
    """Raise a ClickException that names the nearest instruments if `instrument_id` was never listed."""
    if instrument_id not in views.instruments:
        raise unknown_instrument(instrument_id, views.instruments.values(), path)
