"""Continues a journal that lost commands, after the operator accepted the loss.

Each lost seq gets a command that says so, and the ids of orders and trades go on after those that may have been given
out. So the chain has no gap, and no seq and no id stands for two things.
"""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from exchange.domain.commands import RecordLoss, encode_command
from exchange.engine.alarm import alarm_file, standing_alarm
from exchange.engine.engine import Engine
from exchange.engine.recovery import recover
from exchange.history_db.file import history_path, last_seq_of, next_ids_in
from exchange.journal.archives import all_archives
from exchange.journal.errors import JournalError
from exchange.journal.lock import JournalLock, recorded_seq
from exchange.journal.log_scan import scan_log
from exchange.journal.offline import continue_with, set_aside
from exchange.journal.records import Head, Record, chain
from exchange.journal.write_ahead_log import refuse_mixture
from exchange.runtime.follower import status_file
from exchange.runtime.lost_commands import known_seqs
from exchange.runtime.pipeline import BATCH_MAX
from exchange.snapshots.store import DamagedSnapshotError, SnapshotStore, load, sync_folder

# Ids that are skipped if no file knows those of the last lost commands. Ids go up to 2^53.
IDS_SKIPPED = 1_000_000
_OF_SQLITE = ("", "-wal", "-shm")

_log = logging.getLogger(__name__)


def accept_loss(path: Path, lock: JournalLock) -> None:
    """Record that the journal at `path` lost commands, if it did. The caller holds its lock.

    First copies the journal and its -wal into a folder next to it. Files that know the lost commands follow. Raises a
    JournalError if there is no journal, or if its chain is broken: it can be continued only after its last sound
    command.
    """
    if not path.exists() or not path.stat().st_size:
        if known_seqs(path):
            raise JournalError(
                f"there is no journal at {path} that could be continued: put back a copy of it first, however old"
            )
        return
    known = max((one.seq for one in known_seqs(path)), default=0)
    left_out = scan_log(path).left_out
    refuse_mixture(path)
    engine = recover(path, _log.info, lambda done, total: None).engine
    head = engine.head
    lost_seq = max(known, head.seq)
    if left_out > 1 and not recorded_seq(path):
        # The lock file, which knows the exact seq, is gone. No transaction has more commands than a batch.
        lost_seq = max(known, head.seq + left_out * BATCH_MAX)
    if lost_seq == head.seq:
        return
    folder = set_aside(path, "before-loss")
    loss = _loss(engine, path, lost_seq)
    continue_with(path, _records(head, lost_seq, loss))
    lock.note(lost_seq)
    _move_derived(path, head.seq, folder)
    sync_folder(path.absolute().parent)
    _log.warning(
        "%s: the loss of seq %d to %d is accepted; order ids continue with %s. The files from before are in %s",
        *(path, head.seq + 1, lost_seq, loss.next_order_id, folder),
    )


def _records(head: Head, last_seq: int, last: RecordLoss) -> Iterator[Record]:
    plain = encode_command(RecordLoss()).decode()
    for seq in range(head.seq + 1, last_seq + 1):
        # A microsecond each: exchange time goes on where the journal ends, so that no end of a day is passed over.
        (record,) = chain(head, [(head.ts_us + 1, encode_command(last).decode() if seq == last_seq else plain)])
        head = Head(record.seq, record.ts_us, record.hash)
        yield record


def _loss(engine: Engine, path: Path, last_seq: int) -> RecordLoss:
    """The command that carries the first ids that were certainly not given out up to `last_seq`."""
    found = [(engine.head.seq, engine.state.next_order_id, engine.state.next_trade_id)]
    for file in SnapshotStore(path).files()[-2:]:
        try:
            restored = Engine.restore(load(file))
        except (OSError, DamagedSnapshotError, AssertionError, msgspec.MsgspecError):
            continue
        found.append((restored.head.seq, restored.state.next_order_id, restored.state.next_trade_id))
    found.append(next_ids_in(path))
    skipped = 0 if max(seq for seq, _, _ in found) >= last_seq else IDS_SKIPPED
    return RecordLoss(max(order_id for _, order_id, _ in found) + skipped, max(one for _, _, one in found) + skipped)


def _move_derived(path: Path, head_seq: int, folder: Path) -> None:
    """Move the files that know lost commands into `folder`. All of them can be made again."""
    store, history = SnapshotStore(path), history_path(path)
    moved = [store.path_of(rung) for rung in store.rungs() if rung.seq > head_seq]
    moved += [archive.path for archive in all_archives(path) if archive.last_seq > head_seq]
    moved.append(status_file(path))
    if (alarm := standing_alarm(path)) is not None and alarm.seq > head_seq:
        moved.append(alarm_file(path))
    if last_seq_of(path) > head_seq:
        moved += [history.with_name(history.name + end) for end in _OF_SQLITE]
    for file in moved:
        if file.exists():
            shutil.move(file, folder / file.name)
