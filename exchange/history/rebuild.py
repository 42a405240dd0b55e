"""Writing the events anew from the commands, byte for byte as they were or should have been."""

import sqlite3
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from exchange.engine.recovery import Progress, event_rows
from exchange.history.replay import replay_range
from exchange.journal.errors import JournalError, JournalUnreadableError
from exchange.journal.lock import JournalLock
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import EventRow
from exchange.journal.schema import connect_read_only

_ROWS_AT_ONCE = 10_000


class Rebuilt(NamedTuple):
    """How many events the commands cause, how many rows of the table differed, and the first seq where one did."""

    events: int
    differing: int
    first_differing_seq: int | None


def rebuild(path: Path, dry_run: bool, progress: Progress) -> Rebuilt:
    """Recreate `events` of the file at `path`, all or nothing; archives stay as they are. Takes the journal's lock.

    With `dry_run` only says what would change. Raises a JournalError, also where the commands themselves are damaged.
    """
    connect_read_only(path).close()  # before a lock is put beside what is no journal
    with (
        JournalLock(path),
        open_journal_reader(path) as reader,
        closing(sqlite3.connect(path, isolation_level=None)) as writer,
    ):
        first_seq, last_seq = reader.bases[-1].head.seq + 1, reader.head().seq
        try:
            if not dry_run:
                writer.execute("PRAGMA synchronous = FULL")
                writer.execute("BEGIN IMMEDIATE")
                writer.execute("DELETE FROM events")
            comparison = _Comparison(reader, first_seq, last_seq)
            pending: list[EventRow] = []
            for step in replay_range(path, first_seq, last_seq, progress):
                rows = event_rows([(step.record.seq, step.events)])
                comparison.add(step.record.seq, rows)
                pending += rows
                if len(pending) >= _ROWS_AT_ONCE:
                    _write(writer, pending, dry_run)
            _write(writer, pending, dry_run)
            if not dry_run:
                writer.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(
                f"the events of {path} cannot be rebuilt in place ({error}); nothing was changed. `exchange journal "
                "export` and `import` make a new file from the commands"
            ) from error
    return comparison.result


def _write(writer: sqlite3.Connection, rows: list[EventRow], dry_run: bool) -> None:
    if not dry_run:
        writer.executemany("INSERT INTO events (seq, n, payload) VALUES (?, ?, ?)", rows)
    rows.clear()


class _Comparison:
    """What is recorded, beside what comes out. A row that cannot be read differs."""

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
        differing = sum(a != b for a, b in zip_longest(recorded, rows))
        if differing and self._first_seq is None:
            self._first_seq = seq
        self._events += len(rows)
        self._differing += differing

    def _advance(self) -> EventRow | None:
        try:
            return next(self._recorded, None)
        except JournalUnreadableError:
            return None
