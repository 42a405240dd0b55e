"""A progress bar for replays that take a while."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
