"""A progress bar for long replays, and for the steps after them."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# Time before the bar appears: a short replay shows none.
_PATIENCE_SECONDS = 1.0
# Commands or rows between two updates, because reading the clock for every command would slow the replay.
_UPDATE_EVERY = 500


class ReplayBar:
    """Progress callback of a replay: shows a bar on standard error after one second. A context manager."""

    def __init__(self, label: str = "replaying") -> None:
        self._label = label
        self._started = time.monotonic()
        self._bar: Progress | None = None
        self._updated = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self.stop()

    def __call__(self, done: int, total: int) -> None:
        if abs(done - self._updated) < _UPDATE_EVERY and done != total:
            return
        self._updated = done
        if self._bar is None and time.monotonic() - self._started > _PATIENCE_SECONDS:
            console = Console(stderr=True)
            self._bar = Progress(
                TextColumn(self._label),
                BarColumn(30),
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

    def next_phase(self, label: str) -> Callable[[int, int], None]:
        """The progress callback of the steps after the replay. Its first call shows a new bar with this label."""

        def progress(done: int, total: int) -> None:
            if self._label != label:
                self.stop()
                self._label, self._updated = label, 0
            self(done, total)

        return progress

    def stop(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
