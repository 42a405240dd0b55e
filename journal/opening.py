"""Opens journals. Only this module decides which implementation serves a location; today that is always SQLite."""

from pathlib import Path

from exchange.journal.lock import JournalLock
from exchange.journal.protocols import JournalReader, JournalWriter
from exchange.journal.sqlite_reader import SqliteJournalReader


def open_journal_reader(path: Path) -> JournalReader:
    """Open the journal at `path` for reading. Raises a JournalError if it is missing or not a journal."""
    return SqliteJournalReader(path)


async def open_journal_writer(path: Path, lock: JournalLock | None = None) -> JournalWriter:
    """Open the journal at `path` for writing; create or migrate it if necessary. The caller holds the journal's lock.

    The file of `lock` gets the seq of each command that is recorded. Raises a JournalError if `path` holds something
    else.
    """
    # Imported only here: a process that only reads starts much faster without asyncio.
    from exchange.journal.sqlite_writer import SqliteJournalWriter

    return await SqliteJournalWriter.open(path, lock)


def journal_files(path: Path) -> list[Path]:
    """The SQLite files of the journal at `path`: its archives, oldest first, then the journal itself."""
    with SqliteJournalReader(path) as reader:
        return reader.files
