"""The recovery plan: the snapshot a start would use, the commands it would replay, and the time it would take."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from exchange.engine.engine import IMAGE_VERSION, READABLE_IMAGE_VERSIONS, Engine
from exchange.engine.recovery import Progress, replay, restore_base, restore_newest
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.runtime.lost_commands import refuse_lost_commands
from exchange.snapshots.store import (
    DamagedSnapshotError,
    Snapshot,
    SnapshotHeader,
    SnapshotStore,
    load,
    load_header,
    read_header,
    rung_of,
)

# How long a replay is measured to estimate its speed.
_SAMPLE_SECONDS = 0.5


class SnapshotCheck(NamedTuple):
    """A snapshot file. `fault` says why it cannot be used; None if it can."""

    file: str
    seq: int
    ts_us: int
    size_bytes: int
    digest: str
    fault: str | None


class RecoveryPlan(msgspec.Struct):
    """How a start would restore the exchange.

    `snapshot_seq` is the snapshot to start from; 0 means from the first command. `skipped` are messages about unusable
    snapshots. `commands` is the number of commands to replay. `seconds` is estimated from `commands_per_second`, which
    is measured on this machine; it is 0 if there are no commands to replay.
    """

    snapshot_seq: int
    skipped: list[str]
    commands: int
    last_seq: int
    commands_per_second: float
    seconds: float


def list_snapshots(path: Path) -> list[SnapshotCheck]:
    """Every snapshot of the journal at `path`, oldest first, without its checksum: a ladder takes gigabytes.

    Raises JournalError.
    """
    with open_journal_reader(path) as reader:
        return [_check_snapshot(reader, file, read_header) for file in SnapshotStore(path).files()]


def check_snapshots(path: Path, progress: Progress | None = None) -> list[SnapshotCheck]:
    """Check every snapshot of the journal at `path`, oldest first. Raises JournalError.

    With `progress`, compare their content with a replay of all commands too.
    """
    with open_journal_reader(path) as reader:
        engine = None if progress is None else restore_base(reader, reader.bases[0].head.seq)
        how = load_header if engine is None else load
        return [_check_snapshot(reader, file, how, engine, progress) for file in SnapshotStore(path).files()]


def plan_recovery(path: Path) -> RecoveryPlan:
    """Return what `exchange serve` would do on the journal at `path`. Only reads. Raises JournalError."""
    skipped: list[str] = []
    with open_journal_reader(path) as reader:
        refuse_lost_commands(path)
        last_seq = reader.head().seq
        began = time.perf_counter()
        engine = restore_newest(path, reader, last_seq, skipped.append)
        restore_seconds = time.perf_counter() - began
        commands = last_seq - engine.head.seq
        snapshot_seq = engine.head.seq
        rate = _replay_rate(reader, engine, last_seq)
    return RecoveryPlan(
        snapshot_seq,
        skipped,
        commands,
        last_seq,
        rate,
        restore_seconds + (commands / rate if commands else 0.0),
    )


def _replay_rate(reader: JournalReader, engine: Engine, last_seq: int) -> float:
    """Measure commands per second on the first commands to replay; 0 if there are none."""
    count, began = 0, time.perf_counter()
    for record in reader.records(engine.head, last_seq):
        replay(engine, record)
        count += 1
        if time.perf_counter() - began > _SAMPLE_SECONDS:
            break
    return count / (time.perf_counter() - began) if count else 0.0


def _check_snapshot(
    reader: JournalReader,
    file: Path,
    how: Callable[[Path], SnapshotHeader | Snapshot],
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> SnapshotCheck:
    size_bytes = file.stat().st_size
    try:
        snapshot = how(file)
    except (OSError, DamagedSnapshotError) as error:
        rung = rung_of(file)
        seq = 0 if rung is None else rung.seq
        return SnapshotCheck(file.name, seq, 0, size_bytes, "", f"damaged: {error}")
    fault = None
    if snapshot.version not in READABLE_IMAGE_VERSIONS:
        fault = f"written by another version of the program: expected {IMAGE_VERSION}, found {snapshot.version}"
    elif _hash_at(reader, snapshot.seq) != snapshot.journal_hash:
        fault = "of another journal, or of commands in an archive that is not here"
    elif engine is not None and progress is not None and isinstance(snapshot, Snapshot):
        fault = _mismatch(reader, engine, snapshot, progress)
    return SnapshotCheck(file.name, snapshot.seq, snapshot.ts_us, size_bytes, snapshot.digest, fault)


def _mismatch(reader: JournalReader, engine: Engine, snapshot: Snapshot, progress: Progress) -> str | None:
    """Replay `engine` up to the seq of a snapshot and return how they differ; None if they are the same."""
    if snapshot.seq < engine.head.seq:
        return "older than the first command here"
    total = reader.head().seq
    for record in reader.records(engine.head, snapshot.seq):
        replay(engine, record)
        progress(record.seq, total)
    return engine.mismatch_with(snapshot)


def _hash_at(reader: JournalReader, seq: int) -> bytes | None:
    head = reader.head_at(seq)
    return None if head is None else head.hash
