"""What a start would do: which snapshot it would begin with, what it would replay, and how long that takes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from exchange.engine.engine import IMAGE_VERSION, Engine
from exchange.engine.recovery import Progress, replay, restore_base, restore_newest
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.snapshots.store import DamagedSnapshotError, Snapshot, SnapshotStore, load

_SAMPLE_SECONDS = 0.5  # for which a replay is tried, to know how fast it is


class SnapshotCheck(NamedTuple):
    """A snapshot file; `fault` says why it cannot be used, None where it fits."""

    file: str
    seq: int
    ts_us: int
    size_bytes: int
    digest: str
    fault: str | None


class RecoveryPlan(msgspec.Struct):
    """`snapshot_seq` 0: from the first command. `seconds` is an estimate, from a short try on this machine.

    `commands_per_second` 0: there are none to try.
    """

    snapshot_seq: int
    skipped: list[str]
    commands: int
    last_seq: int
    commands_without_events: int
    commands_per_second: float
    seconds: float


def check_snapshots(path: Path, progress: Progress | None = None) -> list[SnapshotCheck]:
    """Every snapshot of the journal at `path`, oldest first. With `progress` all are compared with one replay."""
    with open_journal_reader(path) as reader:
        engine = None if progress is None else restore_base(reader, reader.bases[0].head.seq)
        return [_fit(reader, file, engine, progress) for file in SnapshotStore(path).files()]


def plan_recovery(path: Path) -> RecoveryPlan:
    """What `exchange serve` would do on the journal at `path`. Reads only; raises a JournalError."""
    skipped: list[str] = []
    with open_journal_reader(path) as reader:
        last_seq, events_seq = reader.head().seq, reader.events_seq()
        began = time.perf_counter()
        engine = restore_newest(path, reader, min(last_seq, events_seq), skipped.append)
        restore_seconds = time.perf_counter() - began
        commands = last_seq - engine.head.seq
        snapshot_seq = engine.head.seq
        rate = _rate(reader, engine, last_seq)
    return RecoveryPlan(
        snapshot_seq,
        skipped,
        commands,
        last_seq,
        last_seq - events_seq,
        rate,
        restore_seconds + (commands / rate if commands else 0.0),
    )


def _rate(reader: JournalReader, engine: Engine, last_seq: int) -> float:
    """Commands a second, from a try on the first of those to be replayed."""
    count, began = 0, time.perf_counter()
    for record in reader.records(engine.head, last_seq):
        replay(engine, record)
        count += 1
        if time.perf_counter() - began > _SAMPLE_SECONDS:
            break
    return count / (time.perf_counter() - began) if count else 0.0


def _fit(reader: JournalReader, file: Path, engine: Engine | None, progress: Progress | None) -> SnapshotCheck:
    size_bytes = file.stat().st_size
    try:
        snapshot = load(file)
    except (OSError, DamagedSnapshotError) as error:
        seq = int(file.stem) if file.stem.isdigit() else 0
        return SnapshotCheck(file.name, seq, 0, size_bytes, "", f"damaged: {error}")
    fault = None
    if snapshot.version != IMAGE_VERSION:
        fault = f"of another version of the program: {snapshot.version}, not {IMAGE_VERSION}"
    elif _hash_at(reader)(snapshot.seq) != snapshot.journal_hash:
        fault = "of another journal, or of commands whose archive is not here"
    elif engine is not None and progress is not None:
        fault = _differs(reader, engine, snapshot, progress)
    return SnapshotCheck(file.name, snapshot.seq, snapshot.ts_us, size_bytes, snapshot.digest, fault)


def _differs(reader: JournalReader, engine: Engine, snapshot: Snapshot, progress: Progress) -> str | None:
    """Compare a snapshot with `engine`, which goes on to its seq."""
    if snapshot.seq < engine.head.seq:
        return "older than the first command here"
    total = reader.head().seq
    for record in reader.records(engine.head, snapshot.seq):
        replay(engine, record)
        progress(record.seq, total)
    return engine.mismatch_with(snapshot)


def _hash_at(reader: JournalReader) -> Callable[[int], bytes | None]:
    def hash_at(seq: int) -> bytes | None:
        head = reader.head_at(seq)
        return None if head is None else head.hash

    return hash_at
