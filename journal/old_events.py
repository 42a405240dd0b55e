"""Deletes the events that an earlier version recorded in a journal. They can always be computed from the commands."""

import contextlib
import sqlite3
from pathlib import Path
from typing import NamedTuple

from exchange.journal.errors import JournalError
from exchange.journal.lock import JournalLock
from exchange.journal.schema import prepare


class ShedEvents(NamedTuple):
    """The number of deleted events, and the size of the journal file before and after."""

    events: int
    bytes_before: int
    bytes_after: int


def shed_events(path: Path) -> ShedEvents:
    """Delete the recorded events of the journal at `path` and free their space. Archives are not changed.

    Takes the journal's lock, so no exchange may be running. Raises JournalError; the journal is unchanged then.
    """
    with JournalLock(path):
        prepare(path)
        bytes_before = path.stat().st_size
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            try:
                connection.execute("PRAGMA synchronous = FULL")
                events = connection.execute("DELETE FROM events").rowcount
            except sqlite3.Error as error:
                raise JournalError(
                    f"the events in {path} cannot be deleted ({error}): check the permissions and the disk"
                ) from error
            # If the disk is too full for this, later commands reuse the space.
            with contextlib.suppress(sqlite3.Error):
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return ShedEvents(events, bytes_before, path.stat().st_size)
