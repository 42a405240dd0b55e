"""Going through a stretch of a journal command by command, with the exchange as it is after each."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from exchange.domain.commands import Command
from exchange.domain.events import Event
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, recover, replay_step
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Record
from exchange.projections.views import Change


class ReplayStep(NamedTuple):
    """One command: as recorded, what it caused now, what that changed, and the exchange after it."""

    record: Record
    command: Command
    events: list[Event]
    change: Change
    engine: Engine


def replay_range(path: Path, first_seq: int, last_seq: int, progress: Progress) -> Iterator[ReplayStep]:
    """Commands `first_seq` to `last_seq`, both included, from the nearest snapshot before. Raises a JournalError.

    `engine` is one and the same object, which goes on with the next step.
    """
    to_walk, replayed = last_seq - first_seq + 1, 0

    def replaying(done: int, total: int) -> None:
        nonlocal replayed
        replayed = total
        progress(done, total + to_walk)

    engine = recover(path, lambda sentence: None, replaying, up_to=first_seq - 1).engine
    with open_journal_reader(path) as reader:
        for done, record in enumerate(reader.records(engine.head, last_seq), replayed + 1):
            yield ReplayStep(record, *replay_step(engine, record), engine)
            progress(done, replayed + to_walk)
