"""Commands per second of CPU time in a replay of a journal, compared with the matcher alone on the same commands.

The replay is that of a start without snapshots, in a new process: it reads the journal, checks the chain, decodes each
command, applies it, and computes the views and the digest of the events.

    python -m benchmarks.replay JOURNAL      prints the CPU seconds of one replay
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.engine import UNIT, file_of, seconds_of_checkout
from benchmarks.journals import a_microsecond_apart, write_journal
from benchmarks.market_data import DATA
from benchmarks.order_streams import Stream, aapl_stream, deep_stream
from benchmarks.scale import Scale
from benchmarks.table import Goal, Row, median
from exchange.engine.recovery import recover

GOAL = Goal(ratio=0.6, figure=100_000)


def run(scale: Scale) -> list[Row]:
    """One row for each stream."""
    makers = (aapl_stream, deep_stream) if DATA.is_dir() else (deep_stream,)
    return [_row(make(scale.share), scale) for make in makers]


def _row(stream: Stream, scale: Scale) -> Row:
    replays, matchers = [], []
    with tempfile.TemporaryDirectory() as folder, file_of(stream) as file:
        path = Path(folder) / "bench.db"
        asyncio.run(write_journal(path, a_microsecond_apart(stream.commands)))
        for _ in range(scale.rounds):
            command = [sys.executable, "-m", "benchmarks.replay", str(path)]
            replays.append(float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
            matchers.append(seconds_of_checkout(Path.cwd(), file, 0))
    count = len(stream.commands)
    note = f"{1e6 * median(replays) / count:.1f} µs a command, of {count:,}"
    name = f"replay, {stream.name}"
    return Row(name, count / median(replays), UNIT, count / median(matchers), "the matcher alone", GOAL, note)


def main(path: str) -> None:
    """Replay a journal."""
    began = time.process_time()
    recover(Path(path), _ignore, _ignore, use_snapshots=False)
    sys.stdout.write(f"{time.process_time() - began}\n")


def _ignore(*_arguments: object) -> None:
    pass


if __name__ == "__main__":
    main(sys.argv[1])
