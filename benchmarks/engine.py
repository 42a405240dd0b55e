"""Commands per second of CPU time through `apply`, compared with other order books on the same streams.

Our matcher keeps accounts, locks and positions, checks every rule and returns events; LightMatchingEngine and the naive
book only match. LightMatchingEngine cannot change an order, so an edit is a cancellation and a new order there. With
`--against`, the matcher of another checkout applies the same commands.
"""

import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.market_data import DATA
from benchmarks.naive_book import NaiveBook
from benchmarks.order_streams import Call, Stream, aapl_stream, deep_stream, recorded_matching_stream
from benchmarks.scale import Scale
from benchmarks.table import NO_GOAL, Goal, Row, median, skipped
from exchange.domain.commands import encode_commands
from exchange.matching.apply import apply
from exchange.matching.state import State

LIGHT_GOAL = Goal(ratio=1)
NAIVE_GOAL = Goal(ratio=0.6)
AGAINST_GOAL = Goal(ratio=4)
RECORDED = (aapl_stream, recorded_matching_stream)
UNIT = "commands/s"


def run(scale: Scale) -> list[Row]:
    """Return the rows of each recorded stream."""
    if not DATA.is_dir():
        return [skipped("engine", "the recorded order flow is not in ../shared/data")]
    return [row for make in RECORDED for row in measure(make(scale.share), scale, NO_GOAL)]


def run_deep(scale: Scale) -> list[Row]:
    """Return the rows of the deep book."""
    return measure(deep_stream(scale.share), scale, LIGHT_GOAL)


def measure(stream: Stream, scale: Scale, light_goal: Goal) -> list[Row]:
    """One row for each reference; all are measured in turn, several times."""
    ours, light, naive, other, theirs = [], [], [], [], []
    light_book = _light_engine()
    with file_of(stream) as file:
        for _ in range(scale.rounds):
            ours.append(_ours_seconds(stream))
            naive.append(_calls_seconds(NaiveBook, stream.naive_calls, stream.naive_prepared))
            if light_book is not None:
                light.append(_calls_seconds(light_book, stream.light_calls, stream.light_prepared))
            if scale.against is not None:
                # Each in a process of its own.
                other.append(seconds_of_checkout(Path.cwd(), file, stream.prepared))
                theirs.append(seconds_of_checkout(scale.against, file, stream.prepared))
    row = partial(_row, stream)
    name = f"engine, {stream.name}"
    rows = [row(f"{name} : naive", ours, naive, "naive book", NAIVE_GOAL)]
    if light:
        rows.append(row(f"{name} : light", ours, light, "LightMatchingEngine", light_goal))
    else:
        rows.append(skipped(f"{name} : light", "pip install lightmatchingengine"))
    if theirs:
        rows.append(row(f"{name} : other", other, theirs, "another checkout", AGAINST_GOAL))
    return rows


def _row(
    stream: Stream, name: str, seconds: list[float], reference: list[float], reference_name: str, goal: Goal
) -> Row:
    count = stream.measured
    note = f"{1e6 * median(seconds) / count:.1f} µs a command"
    return Row(name, count / median(seconds), UNIT, count / median(reference), reference_name, goal, note)


def _light_engine() -> Callable[[], object] | None:
    try:
        from lightmatchingengine.lightmatchingengine import LightMatchingEngine
    except ImportError:
        return None
    found: Callable[[], object] = LightMatchingEngine
    return found


def _ours_seconds(stream: Stream) -> float:
    state = State()
    for command in stream.commands[: stream.prepared]:
        apply(state, 1, command)
    measured = stream.commands[stream.prepared :]

    def work() -> None:
        for command in measured:
            apply(state, 1, command)

    return _seconds(work)


def _calls_seconds(book_of: Callable[[], object], calls: list[Call], prepared: int) -> float:
    book = book_of()
    methods = {name: getattr(book, name) for name in {name for name, _ in calls}}
    for name, arguments in calls[:prepared]:
        methods[name](*arguments)
    measured = calls[prepared:]

    def work() -> None:
        for name, arguments in measured:
            methods[name](*arguments)

    return _seconds(work)


def _seconds(work: Callable[[], None]) -> float:
    """CPU seconds. The garbage collector rests, because it would look at all streams; it is rare in a server too."""
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        work()
        return time.process_time() - began
    finally:
        gc.enable()


@contextmanager
def file_of(stream: Stream) -> Iterator[Path]:
    """A file with the commands, a line each, as `apply_file` reads it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "commands"
        file.write_text("\n".join(encode_commands(stream.commands)), encoding="utf-8")
        yield file


def seconds_of_checkout(checkout: Path, file: Path, prepared: int) -> float:
    """CPU seconds of the matcher of a checkout for the commands of a file after the first `prepared`.

    If the checkout is compiled, its extension modules are used.
    """
    output = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("apply_file.py")), str(file), str(prepared)],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(checkout)},
    ).stdout
    return float(output)
