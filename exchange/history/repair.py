"""Restores commands that a journal lost, from the history next to it.

The chain of hashes proves each of them: a command that does not continue the sound commands before it is not restored.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from exchange.engine.recovery import Progress
from exchange.history_db.file import HistoryError, answer_times_in, commands_in
from exchange.journal.atomic_journal import copy_measurements, fill_answer_times, new_journal, write_records
from exchange.journal.errors import NOT_HELD_STEP, CommandsLostError, JournalDamagedError, JournalError
from exchange.journal.lock import JournalLock, recorded_seq
from exchange.journal.log_scan import scan_log
from exchange.journal.offline import continue_with, set_aside
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Checkpoint, Head, Record, check_link
from exchange.runtime.lost_commands import known_seqs, refuse_lost_commands


class Repaired(NamedTuple):
    """The commands that were restored, the last command of the journal then, and the folder with the old files.

    `lost` says which commands are still lost; None if none is. The folder is None if nothing was changed.
    """

    restored: int
    last_seq: int
    folder: Path | None
    lost: str | None


class _SoundPart(NamedTuple):
    """The state before the first command, the last command before any damage, and whether there is damage."""

    base: Checkpoint
    head: Head
    is_damaged: bool


def repair(path: Path, progress: Progress) -> Repaired:
    """Restore the commands that the journal at `path` lost or that are damaged, as far as the history holds them.

    Takes the lock. Copies the journal and its -wal into a folder next to it before anything is changed. Raises a
    JournalError if the history cannot be read.
    """
    with JournalLock(path) as lock:
        sound = _sound_part(path, progress)
        known = max((one.seq for one in known_seqs(path)), default=0)
        if not sound.is_damaged and sound.head.seq >= known and scan_log(path).left_out <= 1:
            return Repaired(0, sound.head.seq, None, None)
        last = _restorable(path, sound.head)
        if last.seq == sound.head.seq and not (sound.is_damaged and known <= last.seq):
            return Repaired(0, last.seq, None, _still_lost(path, sound, last))
        folder = set_aside(path, "before-repair")
        if sound.is_damaged:
            last = _write_anew(path, sound, last)
        else:
            answers = answer_times_in(path, sound.base.head.seq, last.seq)
            continue_with(path, _fitting(path, sound.head), answers)
        lock.note(max(recorded_seq(path), last.seq))
        return Repaired(last.seq - sound.head.seq, last.seq, folder, _still_lost(path, sound, last))


def _sound_part(path: Path, progress: Progress) -> _SoundPart:
    """Read the chain up to its first damage."""
    base, head = Checkpoint(), Head()
    try:
        with open_journal_reader(path) as reader:
            base = reader.bases[-1]
            head, last_seq = base.head, reader.head().seq
            for record in reader.records(base.head, last_seq):
                head = Head(record.seq, record.ts_us, record.hash)
                progress(head.seq - base.head.seq, last_seq - base.head.seq)
    except JournalError:
        return _SoundPart(base, head, is_damaged=True)
    return _SoundPart(base, head, is_damaged=False)


def _fitting(path: Path, head: Head) -> Iterator[Record]:
    """The commands of the history that continue the chain after `head`, up to the first that does not."""
    with closing(commands_in(path, head.seq)) as found, suppress(JournalDamagedError):
        for record in found:
            head = check_link(head, record)
            yield record


def _restorable(path: Path, head: Head) -> Head:
    try:
        for record in _fitting(path, head):
            head = Head(record.seq, record.ts_us, record.hash)
    except HistoryError as error:
        raise JournalError(
            f"nothing can be restored: {error}. Restore {path} from a backup, or continue with `exchange serve "
            "--accept-loss`"
        ) from error
    return head


def _still_lost(path: Path, sound: _SoundPart, last: Head) -> str | None:
    if sound.is_damaged and last.seq == sound.head.seq:
        return f"the history does not hold seq {last.seq + 1}, which is damaged: restore {path} from a backup"
    try:
        refuse_lost_commands(path)
    except CommandsLostError as error:
        return f"{error.loss}, and the history does not hold them: {NOT_HELD_STEP}"
    return None


def _write_anew(path: Path, sound: _SoundPart, restored: Head) -> Head:
    """Write the file again: its sound commands, the restored ones, and those after them that still fit."""
    with new_journal(path) as draft, ExitStack() as opened:
        try:
            reader = opened.enter_context(open_journal_reader(path))
        except JournalError:
            # Nothing of the file can be read.
            last = write_records(draft, sound.base, _fitting(path, Head()))
        else:
            before = reader.records(sound.base.head, sound.head.seq)
            records = chain(before, _fitting(path, sound.head), _after(reader, restored))
            last = write_records(draft, sound.base, records)
            copy_measurements(draft, reader, sound.base.head.seq, last.seq)
        fill_answer_times(draft, answer_times_in(path, sound.base.head.seq, last.seq))
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    return last


def _after(reader: JournalReader, restored: Head) -> Iterable[Record]:
    """The commands in the file after the restored ones, up to the next damage."""
    with suppress(JournalDamagedError):
        yield from reader.records(restored)
