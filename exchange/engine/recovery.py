"""From a journal to a running state: the newest snapshot that fits, then every command after it through `step`."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from exchange.domain.commands import Command, decode_command
from exchange.domain.events import Event, encode_events
from exchange.engine.engine import IMAGE_VERSION, Engine
from exchange.journal.archives import archive_folder
from exchange.journal.errors import JournalArchivedError, JournalDamagedError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Checkpoint, EventRow, Record
from exchange.projections.views import Change
from exchange.snapshots.store import SnapshotStore, unpack

Report = Callable[[str], None]
Progress = Callable[[int, int], None]  # commands replayed so far, commands to replay


class Recovered(NamedTuple):
    """The state after the last command, and the events that a crash had kept from being recorded."""

    engine: Engine
    missing_events: list[EventRow]


def recover(
    path: Path, report: Report, progress: Progress, up_to: int | None = None, use_snapshots: bool = True
) -> Recovered:
    """Rebuild the exchange from the journal at `path`, after its last command or after `up_to`. Reads only.

    `report` hears in sentences what is done. Raises a JournalError, naming the seq, where the journal is damaged.
    """
    with open_journal_reader(path) as reader:
        return recover_from(reader, report, progress, up_to, use_snapshots)


def recover_from(
    reader: JournalReader, report: Report, progress: Progress, up_to: int | None = None, use_snapshots: bool = True
) -> Recovered:
    """`recover` from an open journal."""
    with _no_garbage_collection():
        last_seq = reader.head().seq if up_to is None else min(up_to, reader.head().seq)
        events_seq = reader.events_seq()
        if use_snapshots:
            engine = restore_newest(reader.path, reader, min(last_seq, events_seq), report)
        else:
            engine = restore_base(reader, min(last_seq, reader.bases[0].head.seq))
        total = last_seq - engine.head.seq
        origin = f"snapshot at seq {engine.head.seq}" if engine.head.seq else "no snapshot"
        report(f"{reader.path}: {origin}, replaying {total} {'command' if total == 1 else 'commands'}")
        missing: list[tuple[int, list[Event]]] = []
        for done, record in enumerate(reader.records(engine.head, last_seq), 1):
            events = replay(engine, record)
            if record.seq > events_seq:
                missing.append((record.seq, events))
            progress(done, total)
    return Recovered(engine, event_rows(missing))


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """What is recovered stays, and nothing of it is garbage: looking for some would take a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def replay(engine: Engine, record: Record) -> list[Event]:
    """Apply a recorded command; JournalDamagedError where this program cannot have recorded it."""
    return replay_step(engine, record)[1]


def replay_step(engine: Engine, record: Record) -> tuple[Command, list[Event], Change]:
    """`replay`, with everything that comes of it."""
    try:
        command = decode_command(record.payload)
        return command, *engine.step(record, command)
    except msgspec.MsgspecError as error:
        raise JournalDamagedError(
            f"seq {record.seq} is a command that this program does not know ({error}): was a newer one here?"
        ) from error
    except Exception as error:
        raise JournalDamagedError(
            f"seq {record.seq} cannot be applied ({error!r}): another version recorded it, or this is a bug of ours;"
            f" the command is {record.payload:.300}"
        ) from error


def event_rows(caused: list[tuple[int, list[Event]]]) -> list[EventRow]:
    """The events of these commands, each with its seq, as the journal records them."""
    texts = iter(encode_events([event for _, events in caused for event in events]))
    return [(seq, n, next(texts)) for seq, events in caused for n in range(len(events))]


def restore_newest(path: Path, reader: JournalReader, up_to: int, report: Report) -> Engine:
    """The newest snapshot at or before `up_to` that can be used, nothing replayed; `report` hears of those skipped."""

    def hash_at(seq: int) -> bytes | None:
        head = reader.head_at(seq)
        return None if head is None else head.hash

    for snapshot in SnapshotStore(path).newest(IMAGE_VERSION, hash_at, up_to, report):
        try:
            return Engine.restore(snapshot)
        except Exception as error:  # a snapshot is only a shortcut: whatever is wrong with one, do without it
            report(f"snapshot at seq {snapshot.seq} is skipped: it cannot be restored ({error!r})")
    return restore_base(reader, up_to)


def restore_base(reader: JournalReader, up_to: int) -> Engine:
    """Where the files that are here begin: an empty exchange, or the state that stands in for what was archived."""
    for base in reversed(reader.bases):
        if base.head.seq <= up_to and (engine := _engine_of(base)):
            return engine
    first = reader.bases[0].head.seq
    raise JournalArchivedError(
        f"{reader.path} begins after seq {first}, and without the commands before it this program cannot begin "
        f"{'there' if first <= up_to else f'at seq {up_to}'}: put the archive back into {archive_folder(reader.path)}"
    )


def _engine_of(base: Checkpoint) -> Engine | None:
    if not base.head.seq:
        return Engine()
    try:
        snapshot = unpack(base.snapshot)
        fits = snapshot.version == IMAGE_VERSION and snapshot.journal_hash == base.head.hash
        return Engine.restore(snapshot) if fits else None
    except Exception:  # as with every snapshot, whatever is wrong with it: an older one may do
        return None
