"""Recovery of the state from a journal: the newest usable snapshot, then `step` for every command after it."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from exchange.domain.commands import Command, decode_command
from exchange.domain.events import Event, encode_events
from exchange.engine.engine import READABLE_IMAGE_VERSIONS, Engine
from exchange.journal.archives import archive_folder
from exchange.journal.errors import JournalArchivedError, JournalDamagedError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Checkpoint, EventRow, Record
from exchange.projections.fold import Change
from exchange.projections.views import Views
from exchange.snapshots.store import SnapshotStore, unpack

Report = Callable[[str], None]
# Receives the number of replayed commands and their total.
Progress = Callable[[int, int], None]
# Receives what a replayed command changed, the views after it, and how many commands are still to be replayed.
Watch = Callable[[Change, Views, int], None]


class Recovered(NamedTuple):
    """The state after the last command, and the seq after which commands were replayed."""

    engine: Engine
    origin_seq: int


def recover(
    path: Path,
    report: Report,
    progress: Progress,
    up_to: int | None = None,
    use_snapshots: bool = True,
    watch: Watch | None = None,
) -> Recovered:
    """Rebuild the state from the journal at `path`, after its last command or after `up_to`. Only reads.

    `report` receives a sentence for each step. Raises a JournalError with the seq if the journal is damaged.
    """
    with open_journal_reader(path) as reader:
        return recover_from(reader, report, progress, up_to, use_snapshots, watch)


def recover_from(
    reader: JournalReader,
    report: Report,
    progress: Progress,
    up_to: int | None = None,
    use_snapshots: bool = True,
    watch: Watch | None = None,
) -> Recovered:
    """`recover` from an open journal."""
    with no_garbage_collection():
        last_seq = reader.head().seq if up_to is None else min(up_to, reader.head().seq)
        if use_snapshots:
            engine = restore_newest(reader.path, reader, last_seq, report)
        else:
            engine = restore_base(reader, min(last_seq, reader.bases[0].head.seq))
        origin_seq = engine.head.seq
        total = last_seq - origin_seq
        origin = f"snapshot at seq {engine.head.seq}" if engine.head.seq else "no snapshot"
        report(f"{reader.path}: {origin}, replaying {total} {'command' if total == 1 else 'commands'}")
        for done, record in enumerate(reader.records(engine.head, last_seq), 1):
            _, _, change = replay_step(engine, record)
            if watch is not None:
                watch(change, engine.views, total - done)
            progress(done, total)
    return Recovered(engine, origin_seq)


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Disable garbage collection: recovery makes no garbage, and the search for it takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def replay(engine: Engine, record: Record) -> list[Event]:
    """Apply a recorded command. Raises JournalDamagedError if this program cannot have recorded it."""
    return replay_step(engine, record)[1]


def replay_step(engine: Engine, record: Record) -> tuple[Command, list[Event], Change]:
    """Apply a recorded command. Returns the command, its events and what they changed in the views."""
    try:
        command = decode_command(record.payload)
        return command, *engine.step(record, command)
    except msgspec.MsgspecError as error:
        raise JournalDamagedError(
            f"seq {record.seq} is a command that this program does not know ({error}); "
            "if a newer version recorded it, use that version"
        ) from error
    except Exception as error:
        raise JournalDamagedError(
            f"seq {record.seq} cannot be applied ({error!r}). Use the version that recorded it; if that is this "
            f"version, report a bug with the command: {record.payload:.300}"
        ) from error


def event_rows(caused: list[tuple[int, list[Event]]]) -> list[EventRow]:
    """The rows that the journal records for the events of these commands."""
    texts = iter(encode_events([event for _, events in caused for event in events]))
    return [(seq, n, next(texts)) for seq, events in caused for n in range(len(events))]


def restore_newest(path: Path, reader: JournalReader, up_to: int, report: Report) -> Engine:
    """The newest usable snapshot at or before `up_to`, without replay. `report` receives why others are skipped."""

    def hash_at(seq: int) -> bytes | None:
        head = reader.head_at(seq)
        return None if head is None else head.hash

    for snapshot in SnapshotStore(path).newest(READABLE_IMAGE_VERSIONS, hash_at, up_to, report):
        try:
            return Engine.restore(snapshot)
        except Exception as error:
            # A snapshot only saves time, so recovery does without a damaged one.
            report(f"snapshot at seq {snapshot.seq} is skipped: it cannot be restored ({error!r})")
    return restore_base(reader, up_to)


def restore_base(reader: JournalReader, up_to: int) -> Engine:
    """The engine at the beginning of the newest file, journal or archive, that begins at or before seq `up_to`.

    Raises JournalArchivedError if no file begins so early, or if this program can read the first state of none.
    """
    for base in reversed(reader.bases):
        if base.head.seq <= up_to and (engine := _engine_of(base)):
            return engine
    first, folder = reader.bases[0].head.seq, archive_folder(reader.path)
    if first > up_to:
        raise JournalArchivedError(
            f"{reader.path} begins after seq {first}, and the archive with the commands up to there is missing: put it "
            f"back into {folder}"
        )
    raise JournalArchivedError(
        f"{reader.path} begins after seq {first}, and this program cannot read the state that is stored there: use the "
        f"version that stored it, or put the archive with the commands up to there back into {folder}"
    )


def _engine_of(base: Checkpoint) -> Engine | None:
    if not base.head.seq:
        return Engine()
    try:
        snapshot = unpack(base.snapshot)
        fits = snapshot.version in READABLE_IMAGE_VERSIONS and snapshot.journal_hash == base.head.hash
        return Engine.restore(snapshot) if fits else None
    except Exception:
        # As with every snapshot, recovery does without a damaged one and tries an older one.
        return None
