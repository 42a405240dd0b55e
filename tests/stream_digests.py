"""Digests after fixed command streams, to compare interpreters, and compiled modules with their source.

`python -m tests.stream_digests` prints a line for each stream: its name, and the digests of all events, of the state
and of the views.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from exchange.domain.commands import Command, decode_command
from exchange.domain.events import encode_events
from exchange.matching.apply import apply
from exchange.matching.state import State
from exchange.matching.state_codec import digest
from exchange.projections.views import Views
from exchange.projections.views_codec import encode_views
from tests.market_commands import market_steps
from tests.random_commands import random_steps

GOLDEN = ("golden_stream.txt", "golden_market_stream.txt")
SEEDS = range(900, 904)
COMMANDS = 400

Timed = tuple[int, Command]


def streams() -> Iterator[tuple[str, Iterable[Timed]]]:
    """Yield the name and the commands of each stream: the golden ones, then random ones of fixed seeds."""
    for name in GOLDEN:
        yield name, _golden(name)
    for seed in SEEDS:
        yield f"random:{seed}", ((step.ts_us, step.command) for step in random_steps(seed, COMMANDS))
        yield f"market:{seed}", ((step.ts_us, step.command) for step in market_steps(seed, COMMANDS))


def digests(commands: Iterable[Timed]) -> tuple[str, str, str]:
    """Return the digests of the events, the state and the views after the commands."""
    state, views, events = State(), Views(), hashlib.sha256()
    for seq, (ts_us, command) in enumerate(commands, 1):
        caused = apply(state, ts_us, command)
        events.update("\n".join(encode_events(caused)).encode())
        views.project(seq, ts_us, caused)
    return events.hexdigest(), digest(state), hashlib.sha256(encode_views(views)).hexdigest()


def _golden(name: str) -> Iterator[Timed]:
    for line in (Path(__file__).parent / name).read_bytes().splitlines():
        ts_us, _, command = line.partition(b" ")
        yield int(ts_us), decode_command(command)


if __name__ == "__main__":
    for name, commands in streams():
        print(name, *digests(commands))  # noqa: T201
