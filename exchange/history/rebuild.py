"""Rebuilds the events that an earlier version recorded in a journal, from its commands."""

from contextlib import nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from exchange.engine.recovery import Progress, event_rows
from exchange.history.replay import replay_range
from exchange.journal.errors import JournalError, JournalUnreadableError
from exchange.journal.lock import JournalLock
from exchange.journal.offline import replaced_events
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import EventRow

_ROWS_AT_ONCE = 10_000


class Rebuilt(NamedTuple):
    """The result: the events of all commands, the rows that differed from them, and the first seq with such a row."""

    events: int
    differing: int
    first_differing_seq: int | None


def rebuild(path: Path, dry_run: bool, progress: Progress) -> Rebuilt:
    """Write the events that an earlier version recorded in the journal at `path` again, all or nothing.

    Archives are not changed. Takes the lock. With `dry_run` nothing is written. Raises JournalError, also if a command
    is damaged or no events are recorded.
    """
    # Refuse a file that is not a journal before the lock file is created next to it.
    with open_journal_reader(path):
        pass
    with JournalLock(path), open_journal_reader(path) as reader:
        first_seq, last_seq = reader.bases[-1].head.seq + 1, reader.events_seq()
        if last_seq < first_seq:
            raise JournalError(
                f"{path} holds no events: the results of its commands are in the history, which `exchange history "
                "rebuild` writes again"
            )
        comparison = _RowComparison(reader, first_seq, last_seq)
        with nullcontext(_drop) if dry_run else replaced_events(path) as record:
            pending: list[EventRow] = []
            for step in replay_range(path, first_seq, last_seq, progress):
                rows = event_rows([(step.record.seq, step.events)])
                comparison.add(step.record.seq, rows)
                pending += rows
                if len(pending) >= _ROWS_AT_ONCE:
                    record(pending)
                    pending.clear()
            record(pending)
    return comparison.result


def _drop(_rows: list[EventRow]) -> None:
    pass


class _RowComparison:
    """Compares the recorded rows with those of the replay. A row that cannot be read counts as different."""

    def __init__(self, reader: JournalReader, first_seq: int, last_seq: int) -> None:
        self._recorded = reader.events(first_seq, last_seq)
        self._next = self._advance()
        self._events = self._differing = 0
        self._first_seq: int | None = None

    @property
    def result(self) -> Rebuilt:
        return Rebuilt(self._events, self._differing, self._first_seq)

    def add(self, seq: int, rows: list[EventRow]) -> None:
        recorded: list[EventRow] = []
        while self._next is not None and self._next[0] <= seq:
            recorded.append(self._next)
            self._next = self._advance()
        differing = sum(old != new for old, new in zip_longest(recorded, rows))
        if differing and self._first_seq is None:
            self._first_seq = seq
        self._events += len(rows)
        self._differing += differing

    def _advance(self) -> EventRow | None:
        try:
            return next(self._recorded, None)
        except JournalUnreadableError:
            return None
