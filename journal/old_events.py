"""Deletes the events that an earlier version recorded in a journal. They can always be computed from the commands."""

from pathlib import Path
from typing import NamedTuple

from exchange.journal.lock import JournalLock
from exchange.journal.offline import delete_events, prepare_offline


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
        prepare_offline(path)
        bytes_before = path.stat().st_size
        count = delete_events(path)
        return ShedEvents(count, bytes_before, path.stat().st_size)
