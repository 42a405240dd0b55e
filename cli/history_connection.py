"""Opens the history of a journal for commands that read it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from exchange.cli.progress import ReplayBar
from exchange.history.chart_data import History
from exchange.history_db import update


@contextmanager
def open_current_history(path: Path) -> Iterator[History]:
    """A read-only connection to the history, which is first brought up to the end of the journal.

    Raises JournalError, HistoryError.
    """
    with ReplayBar("writing the history") as bar:
        history = update.open_current_history(path, lambda sentence: click.echo(sentence, err=True), bar)
    with closing(history):
        yield history
