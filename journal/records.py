"""The rows of a journal, and the chain of hashes that binds each command to all commands before it."""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from exchange.journal.errors import JournalDamagedError

GENESIS_HASH = bytes(32)
_DAMAGED_STEP = "Restore the file from a backup"
_pack_numbers = struct.Struct(">QQ").pack


class Record(NamedTuple):
    """A recorded command: `payload` is its text, `ts_us` microseconds since the epoch, `hash` 32 bytes."""

    seq: int
    ts_us: int
    payload: str
    hash: bytes


EventRow = tuple[int, int, str]
"""seq, n and payload of the n-th event (from 0) that command seq caused."""


class KindSummary(NamedTuple):
    """The commands of one kind: how many there are, and the seq of the last one."""

    commands: int
    last_seq: int


AnswerRow = tuple[int, int]
"""The seq of the last command of a batch, and the time at which its answers had left, in microseconds."""

DigestRow = tuple[int, str, str]
"""seq, subject and SHA-256 in hexadecimal; migrations/0002 describes the subjects."""


class Head(NamedTuple):
    """The last record of a journal, which the next one continues."""

    seq: int = 0
    ts_us: int = 0
    hash: bytes = GENESIS_HASH


class Checkpoint(NamedTuple):
    """The state before the first command of a file: the head there, and a snapshot as bytes; both usually empty."""

    head: Head = Head()
    snapshot: bytes = b""


def chain_hash(previous: bytes, seq: int, ts_us: int, payload: str) -> bytes:
    """SHA-256 over the previous hash, seq and ts_us (8 bytes each, big-endian) and the payload in UTF-8."""
    return hashlib.sha256(previous + _pack_numbers(seq, ts_us) + payload.encode()).digest()


def chain(head: Head, stamped: Iterable[tuple[int, str]]) -> list[Record]:
    """The records that continue `head`, one for each (ts_us, payload). The times must rise."""
    seq, last_ts_us, previous = head
    records = []
    for ts_us, payload in stamped:
        assert ts_us > last_ts_us, "time must strictly rise"
        seq, last_ts_us = seq + 1, ts_us
        previous = chain_hash(previous, seq, ts_us, payload)
        records.append(Record(seq, ts_us, payload, previous))
    return records


def check_link(head: Head, record: Record) -> Head:
    """The head after `record`. Raises JournalDamagedError if `record` does not continue `head`."""
    if record.seq != head.seq + 1:
        raise JournalDamagedError(
            f"seq {head.seq + 1} is missing: the record after seq {head.seq} is {record.seq}. {_DAMAGED_STEP}"
        )
    if type(record.ts_us) is not int or type(record.payload) is not str or type(record.hash) is not bytes:
        raise JournalDamagedError(
            f"seq {record.seq} is damaged: its columns have other types than were written. {_DAMAGED_STEP}"
        )
    if record.ts_us <= head.ts_us:
        raise JournalDamagedError(
            f"seq {record.seq} is damaged: its time {record.ts_us} is not later than the record before. {_DAMAGED_STEP}"
        )
    if record.hash != chain_hash(head.hash, record.seq, record.ts_us, record.payload):
        raise JournalDamagedError(f"seq {record.seq} is damaged: its hash does not match its contents. {_DAMAGED_STEP}")
    return Head(record.seq, record.ts_us, record.hash)


def count_linked(head: Head, records: Sequence[Record]) -> int:
    """How many of the first records continue `head`. The same check as `check_link`, in half the time."""
    seq, last_ts_us, previous = head
    sha256 = hashlib.sha256
    for count, (record_seq, ts_us, payload, digest) in enumerate(records):
        seq += 1
        if record_seq != seq or type(ts_us) is not int or type(payload) is not str or ts_us <= last_ts_us:
            return count
        previous = sha256(previous + _pack_numbers(seq, ts_us) + payload.encode()).digest()
        if digest != previous or type(digest) is not bytes:
            return count
        last_ts_us = ts_us
    return len(records)
