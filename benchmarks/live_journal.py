"""Builds a journal of the live market, as an exchange that ran would have left it: commands, digests and snapshots."""

import asyncio
import gc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from benchmarks.live_market import LiveMarket
from exchange.domain.commands import Command, encode_commands
from exchange.domain.events import Event
from exchange.engine.engine import Engine
from exchange.journal.opening import open_journal_writer
from exchange.journal.protocols import JournalWriter
from exchange.journal.records import AnswerRow, Record, chain
from exchange.runtime.clock import thread_cpu_us
from exchange.runtime.follower import save_and_prune
from exchange.snapshots.ladder import SavePolicy

COMMANDS_AT_ONCE = 2_000
ANSWER_EVERY = 10  # commands
ANSWER_US = 1_500


def build(path: Path, commands: int, seed: int = 1) -> None:
    """Write a journal with this many commands to `path`. About 200 µs of CPU a command.

    It saves snapshots as a follower does, by the measured CPU time. Exchange time, which passes too fast, saves none.
    """
    gc.disable()
    try:
        asyncio.run(_build(path, commands, seed))
    finally:
        gc.enable()


async def _build(path: Path, commands: int, seed: int) -> None:
    engine = Engine()
    applied = applied_commands(engine, LiveMarket(engine.state, seed).commands())
    saving = SavePolicy(None, [], 0, 0, 0.0)
    journal = await open_journal_writer(path)
    try:
        while engine.head.seq < commands:
            began_us = thread_cpu_us()
            batch = list(islice(applied, min(saving.batch(COMMANDS_AT_ONCE), commands - engine.head.seq)))
            saving.replayed(engine.head.seq, 0, thread_cpu_us() - began_us)
            await _append(journal, batch)
            if digests := engine.events_digest.take_complete():
                await journal.append_digests(digests)
            if saving.is_due:
                save_and_prune(path, engine.snapshot(), saving.commands_per_second)
                saving.saved()
    finally:
        await journal.close()


def applied_commands(engine: Engine, commands: Iterator[tuple[int, Command]]) -> Iterator[tuple[Record, list[Event]]]:
    """Apply each command to `engine`; yield its record and its events."""
    for ts_us, command in commands:
        (record,) = chain(engine.head, [(ts_us, encode_commands([command])[0])])
        yield record, engine.step(record, command)[0]


async def _append(journal: JournalWriter, applied: list[tuple[Record, list[Event]]]) -> None:
    await journal.append([record for record, _ in applied])
    answers: list[AnswerRow] = [
        (record.seq, record.ts_us + ANSWER_US) for record, _ in applied if record.seq % ANSWER_EVERY == 0
    ]
    if answers:
        await journal.append_answers(answers)
