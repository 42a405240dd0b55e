"""Journals for benchmarks, written without a server."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from exchange.domain.commands import Command, encode_commands
from exchange.journal.opening import open_journal_writer
from exchange.journal.records import chain

# 2026-02-25.
START_US = 1_772_000_000_000_000
COMMANDS_AT_ONCE = 5_000


async def write_journal(path: Path, commands: Iterable[Command], start_us: int = START_US) -> None:
    """Create or continue a journal with these commands, each a microsecond after the one before."""
    journal, rest = await open_journal_writer(path), iter(commands)
    try:
        while some := list(islice(rest, COMMANDS_AT_ONCE)):
            first_us = max(start_us, journal.head.ts_us + 1)
            times_us = range(first_us, first_us + len(some))
            await journal.append(chain(journal.head, zip(times_us, encode_commands(some), strict=True)))
    finally:
        await journal.close()
