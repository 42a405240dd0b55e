"""Journals on disk for tests: random commands from a seed, written as the exchange writes them."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from exchange.domain.commands import Command, encode_command
from exchange.domain.events import Event
from exchange.engine.engine import Engine
from exchange.engine.recovery import event_rows
from exchange.journal.opening import open_journal_writer
from exchange.journal.protocols import JournalWriter
from exchange.journal.records import chain
from exchange.snapshots.store import SnapshotStore
from tests.old_events import append_old_events
from tests.random_commands import random_steps

COMMANDS = 400


def play(
    path: Path,
    seed: int = 1,
    count: int = COMMANDS,
    snapshots_at: tuple[int, ...] = (),
    events_up_to: int | None = None,
    seen: Callable[[Engine], None] = lambda engine: None,
) -> Engine:
    """A journal of random commands, with snapshots after these, and events only up to a seq (as after a crash).

    `seen` is called after every command. Returns the exchange as it is at the end.
    """
    steps = ((ts_us, command) for ts_us, command, _ in random_steps(seed, count))
    return write_journal(path, steps, snapshots_at, events_up_to, seen)


def write_journal(
    path: Path,
    steps: Iterable[tuple[int, Command]],
    snapshots_at: tuple[int, ...] = (),
    events_up_to: int | None = None,
    seen: Callable[[Engine], None] = lambda engine: None,
) -> Engine:
    """A journal of these commands, each with its time; the first must be a genesis. Otherwise as `play`."""
    engine, records = Engine(), []
    caused: list[tuple[int, list[Event]]] = []
    for ts_us, command in steps:
        (record,) = chain(engine.head, [(ts_us, encode_command(command).decode())])
        events, _ = engine.step(record, command)
        records.append(record)
        if events_up_to is None or record.seq <= events_up_to:
            caused.append((record.seq, events))
        if record.seq in snapshots_at:
            SnapshotStore(path).save(engine.snapshot())
        seen(engine)

    async def write() -> None:
        journal = await open_journal_writer(path)
        try:
            await journal.append(records)
            if caused:
                await append_old_events(journal, event_rows(caused))
        finally:
            await journal.close()

    asyncio.run(write())
    return engine


async def append_random(journal: JournalWriter, engine: Engine, last_seq: int, batch: int, seed: int = 1) -> None:
    """Record random commands up to `last_seq` in transactions of `batch`, as an exchange does, and apply them."""
    steps = [(ts_us, command) for ts_us, command, _ in random_steps(seed, last_seq)]
    while some := steps[engine.head.seq : min(last_seq, engine.head.seq + batch)]:
        records = chain(engine.head, [(ts_us, encode_command(command).decode()) for ts_us, command in some])
        for record, (_, command) in zip(records, some, strict=True):
            engine.step(record, command)
        await journal.append(records)
