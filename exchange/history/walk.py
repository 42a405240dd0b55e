"""Going through a stretch of a journal command by command, with the exchange as it is after each."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from exchange.domain.commands import Command
from exchange.domain.events import Event
from exchange.projections.views import Change
from exchange.runtime.core import Core
from exchange.runtime.recovery import Progress, recover, replay_step
from journal.reader import JournalReader
from journal.records import Record


class Step(NamedTuple):
    """One command: as recorded, what it caused now, what that changed, and the exchange after it."""

    record: Record
    command: Command
    events: list[Event]
    change: Change
    core: Core


def walk(path: Path, first_seq: int, last_seq: int, progress: Progress) -> Iterator[Step]:
    """Commands `first_seq` to `last_seq`, both included, from the nearest snapshot before. Raises a JournalError.

    `core` is one and the same object, which goes on with the next step.
    """
    to_walk, replayed = last_seq - first_seq + 1, 0

    def replaying(done: int, total: int) -> None:
        nonlocal replayed
        replayed = total
        progress(done, total + to_walk)

    core = recover(path, lambda sentence: None, replaying, up_to=first_seq - 1).core
    with JournalReader(path) as reader:
        for done, record in enumerate(reader.records(core.head, last_seq), replayed + 1):
            yield Step(record, *replay_step(core, record), core)
            progress(done, replayed + to_walk)
