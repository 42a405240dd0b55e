"""SQL on the results of the commands: on the events of an earlier version if they are complete, else on the history."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from exchange.history_db.reading import current_history
from exchange.journal.opening import open_journal_reader
from exchange.journal.sql_union import connect_union


@contextmanager
def results_of(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection with the documented views. Raises JournalError."""
    with open_journal_reader(path) as reader:
        has_events = reader.events_seq() > reader.bases[0].head.seq
    if has_events:
        with closing(connect_union(path)) as connection:
            yield connection
        return
    with current_history(path) as connection:
        yield connection
