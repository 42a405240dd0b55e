"""Duration of a start after 100,000, 1,000,000 and 3,000,000 commands, compared with the start after the fewest.

The journals are those of `benchmarks.history`, in the folder that the environment variable HISTORY_FOLDER names
(default: a folder in the user's cache). The smallest is built there if it is missing, the others are measured if they
are there. The newest snapshot of each is 4,000 commands back, which is about the distance between two snapshots of the
follower on this market. The duration is that of `exchange serve`, from the start of the process until it listens.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import cpu
from benchmarks.history import history_folder, journal_of
from benchmarks.live_journal import build
from benchmarks.scale import Scale
from benchmarks.servers import running
from benchmarks.table import Goal, Row, median
from exchange.engine.recovery import recover
from exchange.snapshots.store import SnapshotStore, rung_of

SIZES = (100_000, 1_000_000, 3_000_000)
BACK = 4_000
# In a run that is not full: the smaller one of two journals that are built for it.
SMALL_COMMANDS = 30_000
# A start may take this long, and little more than after fewer commands.
GOAL = Goal(ratio=1.5, figure=2, at_most=True)


class _Journal(NamedTuple):
    """A copy of a journal, and its snapshot, which each start gets anew."""

    commands: int
    path: Path
    snapshot: Path


class _Start(NamedTuple):
    """Seconds of a start, and CPU seconds of its main thread."""

    seconds: float
    cpu_seconds: float


def run(scale: Scale) -> list[Row]:
    """One row for each journal."""
    with tempfile.TemporaryDirectory() as folder:
        journals = [_copy(source, size, Path(folder)) for size, source in _sources(scale, Path(folder))]
        starts: list[list[_Start]] = [[] for _ in journals]
        for _ in range(scale.rounds):
            for journal, some in zip(journals, starts, strict=True):
                some.append(_start(journal))
    least = median([start.seconds for start in starts[0]])
    return [_row(journal, some, journals[0], least) for journal, some in zip(journals, starts, strict=True)]


def _row(journal: _Journal, starts: list[_Start], least: _Journal, least_seconds: float) -> Row:
    note = f"CPU of the main thread {median([start.cpu_seconds for start in starts]):.2f} s"
    seconds = median([start.seconds for start in starts])
    name = f"start after {journal.commands:,} commands"
    return Row(name, seconds, "s", least_seconds, f"after {least.commands:,}", GOAL, note)


def _sources(scale: Scale, folder: Path) -> Iterator[tuple[int, Path]]:
    """The journals, smallest first."""
    if scale.is_full:
        yield SIZES[0], journal_of(history_folder(), SIZES[0])
        for size in SIZES[1:]:
            if (path := history_folder() / f"commands-{size}" / "exchange.db").exists():
                yield size, path
    else:
        for size in (scale.sized(SMALL_COMMANDS), 2 * scale.sized(SMALL_COMMANDS)):
            path = folder / f"built-{size}" / "exchange.db"
            path.parent.mkdir()
            build(path, size)
            yield size, path


def _copy(source: Path, size: int, folder: Path) -> _Journal:
    path = folder / f"{size}" / source.name
    path.parent.mkdir()
    for file in source.parent.glob(f"{source.name}*"):
        if file.is_file():
            shutil.copy(file, path.parent / file.name)
    seq = size - min(BACK, size // 10)
    # The nearest one before that makes the replay short.
    before = [file for file in SnapshotStore(source).files() if _seq_of(file) <= seq]
    SnapshotStore(path).folder.mkdir()
    for file in before[-1:]:
        shutil.copy(file, SnapshotStore(path).folder)
    snapshot = SnapshotStore(path).save(recover(path, _ignore, _ignore, up_to=seq).engine.snapshot())
    return _Journal(size, path, snapshot.rename(folder / f"{size}-{snapshot.name}"))


def _seq_of(file: Path) -> int:
    """The seq of a snapshot file; 0 if its name has none."""
    rung = rung_of(file)
    return rung.seq if rung is not None else 0


def _start(journal: _Journal) -> _Start:
    """Start the exchange with that snapshot alone, and stop it."""
    folder = SnapshotStore(journal.path).folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(journal.snapshot, folder / journal.snapshot.name.partition("-")[2])
    began = time.perf_counter()
    with running("-m", "exchange.cli.main", "serve", "--db", str(journal.path), "--port", "0") as server:
        seconds = time.perf_counter() - began
        return _Start(seconds, cpu.sample(server.pid)[server.pid, server.pid] / 1e9)


def _ignore(*_arguments: object) -> None:
    pass
