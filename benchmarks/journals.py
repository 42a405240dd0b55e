"""Journals for benchmarks, written without a server."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from exchange.domain.commands import Command, encode_commands
from exchange.journal.opening import open_journal_writer
from exchange.journal.records import chain

# 2026-02-25.
START_US = 1_772_000_000_000_000
COMMANDS_AT_ONCE = 5_000


def a_microsecond_apart(commands: Iterable[Command], start_us: int = START_US) -> Iterator[tuple[int, Command]]:
    """The commands with their times, from `start_us` on."""
    return ((start_us + number, command) for number, command in enumerate(commands))


async def write_journal(path: Path, commands: Iterable[tuple[int, Command]]) -> None:
    """Create a journal with these commands and their times."""
    journal, rest = await open_journal_writer(path), iter(commands)
    try:
        while some := list(islice(rest, COMMANDS_AT_ONCE)):
            times_us, parts = zip(*some, strict=True)
            stamped = zip(times_us, encode_commands(list(parts)), strict=True)
            await journal.append(chain(journal.head, stamped))
    finally:
        await journal.close()
