"""Faults that are planted in the exchange, to prove that the simulator finds such faults."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from exchange.domain.commands import Deposit
from exchange.engine import recovery
from exchange.engine.engine import Engine
from exchange.journal.lock import JournalLock
from exchange.matching.apply import apply
from exchange.runtime.pipeline import Pipeline
from exchange.snapshots.ladder import Rung


async def _answer_at_once(pipeline: Pipeline, batch: Any, writing: Any) -> list[Any]:
    """Apply and answer a batch while it is being written."""
    for record, (command, done) in batch:
        _, change = pipeline.engine.step(record, command)
        done(change)
        pipeline._publisher.publish(change)
    pipeline._publisher.flush()
    if writing is not None:
        await writing
    return []


def _snapshot_of_before() -> Callable[[Engine], Any]:
    """Take snapshots whose seq is that of the snapshot before."""
    make = Engine.snapshot
    heads: dict[int, Any] = {}

    def snapshot(engine: Engine) -> Any:
        head = engine.head
        seq, ts_us, journal_hash = heads.get(id(engine), head)
        heads[id(engine)] = head
        return replace(make(engine), seq=seq, ts_us=ts_us, journal_hash=journal_hash)

    return snapshot


def _apply_twice() -> Callable[..., Any]:
    """Let a start apply the events of each deposit twice."""
    replay_step = recovery.replay_step

    def replay_twice(engine: Engine, record: Any) -> Any:
        command, events, change = replay_step(engine, record)
        if isinstance(command, Deposit):
            apply(engine.state, record.ts_us, command)
        return command, events, change

    return replay_twice


def _release_early() -> Callable[..., None]:
    """Release the lock of the journal when the exchange begins to listen."""
    announce = JournalLock.announce

    def announce_and_release(lock: JournalLock, url: str) -> None:
        announce(lock, url)
        lock._lock.release()

    return announce_and_release


def _newest(rungs: Any, _dense_gap: int) -> list[Rung]:
    """Delete the newest snapshot instead of those that are in excess."""
    return sorted(rungs)[-1:] if len(list(rungs)) > 2 else []


PLANTED: dict[str, Callable[[], dict[str, Any]]] = {
    "answer before commit": lambda: {"exchange.runtime.pipeline.Pipeline._confirm": _answer_at_once},
    "commit without sync": lambda: {"tests.faults.journal.DiskJournal.skips_sync": True},
    "snapshot without its seq": lambda: {"exchange.engine.engine.Engine.snapshot": _snapshot_of_before()},
    "events applied twice": lambda: {"exchange.engine.recovery.replay_step": _apply_twice()},
    "lock released early": lambda: {"exchange.journal.lock.JournalLock.announce": _release_early()},
    "pruned wrong snapshot": lambda: {"exchange.snapshots.store.excess": _newest},
}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Plant a fault by its name; None plants nothing."""
    with ExitStack() as stack:
        for target, value in PLANTED[name]().items() if name is not None else ():
            stack.enter_context(patch(target, value))
        yield
