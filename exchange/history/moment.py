"""Moments of a journal, given as a seq or a time, and the state of the exchange at a moment."""

from pathlib import Path

from exchange.amounts import iso_time
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, recover
from exchange.journal.errors import JournalDamagedError, JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.times import Moment

__all__ = ["Moment", "UnknownMomentError", "engine_at", "last_seq_at", "seq_at", "seq_from", "span"]


class UnknownMomentError(JournalError):
    """The journal does not hold this moment; the message says which seqs it holds."""

    reason = "unknown_moment"


def seq_at(reader: JournalReader, moment: Moment) -> int:
    """Return the seq of the last command at `moment`. Raises UnknownMomentError if the journal has none."""
    first, last = reader.bases[0].head.seq or 1, reader.head().seq
    if moment.seq is not None:
        if not first <= moment.seq <= last:
            raise UnknownMomentError(f"there is no seq {moment.seq} in {reader.path}: it holds seq {first} to {last}")
        return moment.seq
    if moment.ts_us is None:
        return last
    seq = last_seq_at(reader, moment.ts_us)
    if not seq:
        begin = reader.head_at(first)
        at = "" if begin is None else f", at {iso_time(begin.ts_us)}"
        raise UnknownMomentError(f"{reader.path} begins after that time: its first command is seq {first}{at}")
    return seq


def last_seq_at(reader: JournalReader, ts_us: int) -> int:
    """Return the seq of the last command at or before `ts_us`; 0 if there is none.

    Times rise with seqs, so a binary search finds it: O(log n) reads.
    """
    base = reader.bases[0].head
    low, high = base.seq, reader.head().seq
    while low < high:
        middle = (low + high + 1) // 2
        head = reader.head_at(middle)
        if head is None:
            raise JournalDamagedError(
                f"seq {middle} is missing in {reader.path}: restore the journal and its archives from a backup"
            )
        low, high = (middle, high) if head.ts_us <= ts_us else (low, middle - 1)
    return 0 if low == base.seq and base.ts_us > ts_us else low


def engine_at(path: Path, moment: Moment, progress: Progress) -> Engine:
    """Restore the exchange at a moment from the newest snapshot before it and a replay. Raises JournalError."""
    with open_journal_reader(path) as reader:
        seq = seq_at(reader, moment)
    return recover(path, lambda sentence: None, progress, up_to=seq).engine


def span(path: Path, start: Moment | None, end: Moment | None) -> tuple[int, int]:
    """Return the first and the last seq from `start` to `end`, both included.

    None stands for the first or the last command. Raises UnknownMomentError and other JournalErrors.
    """
    with open_journal_reader(path) as reader:
        first = reader.bases[0].head.seq + 1 if start is None else seq_from(reader, start)
        last = seq_at(reader, end or Moment())
    if first > last:
        raise UnknownMomentError(
            f"there is no command from seq {first} to seq {last} of {path}: the end comes before the beginning"
        )
    return first, last


def seq_from(reader: JournalReader, moment: Moment) -> int:
    """Return the seq of the first command at or after `moment`. Raises UnknownMomentError if the journal has none."""
    if moment.ts_us is None:
        return seq_at(reader, moment)
    seq = last_seq_at(reader, moment.ts_us - 1) + 1
    if seq > reader.head().seq:
        end = reader.head()
        raise UnknownMomentError(
            f"{reader.path} ends before that time: its last command is seq {end.seq}, at {iso_time(end.ts_us)}"
        )
    return seq
