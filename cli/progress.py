"""Reading the state from a journal, with a progress bar where that takes a while."""

import time
from pathlib import Path
from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from exchange.amounts import short_time
from exchange.engine.recovery import recover
from exchange.projections.views import Views

_PATIENCE_SECONDS = 1.0  # before a bar appears
_LOOK_EVERY = 500  # commands


class ReplayBar:
    """Hears how far a replay is; a bar appears on standard error once it has taken a second. A context manager."""

    def __init__(self, label: str = "replaying") -> None:
        self._label = label
        self._started = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self.stop()

    def __call__(self, done: int, total: int) -> None:
        if done % _LOOK_EVERY and done != total:
            return
        if self._bar is None and time.monotonic() - self._started > _PATIENCE_SECONDS:
            console = Console(stderr=True)
            self._bar = Progress(
                TextColumn(self._label),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=console,
                transient=True,
                disable=not console.is_terminal,
            )
            self._bar.add_task("replay", total=total)
            self._bar.start()
        if self._bar is not None and self._bar.tasks:
            self._bar.update(self._bar.task_ids[0], completed=done)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def read_views(path: Path) -> Views:
    """Every read model as of the last durable command, whether or not a server runs. Raises a JournalError."""
    with ReplayBar() as bar:
        return recover(path, lambda sentence: None, bar).engine.views


def as_of(views: Views) -> str:
    """Which moment the views show, for a caption."""
    return f"at seq {views.seq}, {short_time(views.ts_us)}"


def require_user(views: Views, user_id: str, path: Path) -> None:
    """Fail, naming those there are, where `user_id` has no account."""
    known = list(views.balances.users)
    if user_id not in known:
        others = f"; it has {', '.join(known[:10])}{' …' if len(known) > 10 else ''}" if known else ""
        raise click.ClickException(
            f"{path} has no account {user_id!r}{others}. A first order, or public/auth, opens an account"
        )


def require_instrument(views: Views, instrument_id: str, path: Path) -> None:
    """Fail where `instrument_id` was never listed."""
    if instrument_id not in views.instruments:
        raise click.ClickException(f"{path} lists no {instrument_id}: see `exchange instrument list --all`")
