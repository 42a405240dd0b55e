"""Replays a range of commands one by one, with the exchange after each of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from exchange.domain.commands import Command
from exchange.domain.events import Event
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, recover, replay_step
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Record
from exchange.projections.fold import Change


class ReplayStep(NamedTuple):
    """A replayed command: its record, its events and changes in this replay, and the exchange after it."""

    record: Record
    command: Command
    events: list[Event]
    change: Change
    engine: Engine


def replay_range(path: Path, first_seq: int, last_seq: int, progress: Progress) -> Iterator[ReplayStep]:
    """Replay commands `first_seq` to `last_seq`, both included, from the nearest snapshot. Raises JournalError.

    All steps share one `engine`, which the next step changes.
    """
    count, replayed = last_seq - first_seq + 1, 0

    def report_recovery(done: int, total: int) -> None:
        nonlocal replayed
        replayed = total
        progress(done, total + count)

    engine = recover(path, lambda sentence: None, report_recovery, up_to=first_seq - 1).engine
    with open_journal_reader(path) as reader:
        for done, record in enumerate(reader.records(engine.head, last_seq), replayed + 1):
            yield ReplayStep(record, *replay_step(engine, record), engine)
            progress(done, replayed + count)
