"""Opens the history of a journal for questions, after it was brought up to the journal's last command."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path

from exchange.engine.alarm import standing_alarm
from exchange.engine.recovery import Progress, Report
from exchange.history_db.file import history_path, open_history, open_history_file
from exchange.history_db.update import complete_head, fill_history, update_history
from exchange.history_db.writer import HistoryWriter
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.schema import is_writable

Bar = Callable[[], AbstractContextManager[Progress]]
"""Opens a progress bar."""


def no_bar() -> AbstractContextManager[Progress]:
    """A progress bar that shows nothing."""
    return nullcontext(lambda done, total: None)


@contextmanager
def current_history(
    path: Path, report: Report = lambda sentence: None, bar: Bar = no_bar
) -> Iterator[sqlite3.Connection]:
    """A read-only connection to the history of the journal at `path`, which holds every command of the journal.

    A history that is missing or does not fit is written first; `report` receives a sentence about it. A reader who may
    not write next to the journal uses the history there if it is complete; otherwise one is written into a temporary
    folder and deleted at the end. Raises JournalError, HistoryError.
    """
    if is_writable(path):
        with bar() as progress:
            update_history(path, report, progress)
        with closing(open_history(path)) as connection:
            yield connection
        return
    with open_journal_reader(path) as reader:
        is_complete = complete_head(reader, standing_alarm(path)) is not None
    if is_complete:
        with closing(open_history(path)) as connection:
            yield connection
        return
    with tempfile.TemporaryDirectory(prefix="exchange-history-") as folder:
        file = Path(folder) / history_path(path).name
        report(f"you may not write next to {path}: its history is written into {folder}, and deleted at the end")
        with open_journal_reader(path) as reader, bar() as progress:
            _write(reader, file, report, progress)
        with closing(open_history_file(file)) as connection:
            yield connection


def _write(reader: JournalReader, file: Path, report: Report, progress: Progress) -> None:
    alarm = standing_alarm(reader.path)
    if alarm is not None:
        report(alarm.end_of_history)
    with closing(HistoryWriter(file)) as writer:
        fill_history(reader, writer, report, progress, alarm)
