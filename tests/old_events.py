"""Writes the events of commands into a journal, as earlier versions of the exchange did."""

from exchange.journal.memory import MemoryJournal
from exchange.journal.protocols import JournalWriter
from exchange.journal.records import EventRow
from exchange.journal.sqlite_writer import SqliteJournalWriter


async def append_old_events(journal: JournalWriter, rows: list[EventRow]) -> None:
    """Record the events of whole commands, in order."""
    if isinstance(journal, MemoryJournal):
        journal.events += rows
    else:
        assert isinstance(journal, SqliteJournalWriter)
        await journal._insert("INTO events (seq, n, payload)", rows)
