"""The difference of two journals: the first command that differs, and the fills that only one of them has."""

from collections import Counter
from contextlib import closing, suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from exchange.domain.events import Traded
from exchange.engine.recovery import Progress
from exchange.history.replay import replay_range
from exchange.history_db.file import HistoryError, head_of, open_history
from exchange.journal.errors import JournalDamagedError, JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Record, check_link


class Fill(NamedTuple):
    """The fields that identify the same trade in another journal."""

    instrument_id: str
    price_micros: int
    size_milli: int
    taker_side: str
    taker_user_id: str
    maker_user_id: str
    taker_order_id: int
    maker_order_id: int


_FILL_COLUMNS = ", ".join(Fill._fields)


class Difference(msgspec.Struct):
    """The result of a comparison of journals A and B.

    Commands are compared from `first_seq` on, the first that both journals hold. `common_seq` is the last command that
    is equal in both; `after_a` and `after_b` count the commands after it. `fields` holds the fields in which the next
    two commands differ, with both values. `altered_a` and `altered_b` are true if the next command does not match its
    hash: it was altered after it was recorded.

    The digests that both exchanges recorded after the same equal command are compared: `events_up_to` is the last such
    command, 0 if there is none, and `events_seq` the first with different digests, None if there is none. A fill in
    `fills_only_in_a` or `fills_only_in_b` is in one journal only.
    """

    common_seq: int
    after_a: int
    after_b: int
    altered_a: bool
    altered_b: bool
    fields: dict[str, tuple[Any, Any]]
    events_seq: int | None
    first_seq: int
    events_up_to: int
    fills_only_in_a: list[Fill]
    fills_only_in_b: list[Fill]

    @property
    def is_none(self) -> bool:
        """True if both journals hold the same commands and no different digests."""
        return not (self.after_a or self.after_b) and self.events_seq is None


def diff(a: Path, b: Path, progress: Progress) -> Difference:
    """Compare two journals and their archives, command by command. Raises JournalError.

    Payloads are compared, not only hashes: a command that was altered in the file still has its old hash. Fills are
    read from a history that is complete, otherwise computed from the commands; not if a command was altered.
    """
    with open_journal_reader(a) as reader_a, open_journal_reader(b) as reader_b:
        common, record_a, record_b = _first_difference(reader_a, reader_b)
        first_seq = max(reader_a.bases[0].head.seq, reader_b.bases[0].head.seq) + 1
        events_seq, events_up_to = _compared_digests(reader_a, reader_b, common)
        altered_a, altered_b = _is_altered(reader_a, common, record_a), _is_altered(reader_b, common, record_b)
        fills_a, fills_b = Counter[Fill](), Counter[Fill]()
        if not (altered_a or altered_b):
            fills_a, fills_b = _fills_after(reader_a, common, progress), _fills_after(reader_b, common, progress)
        return Difference(
            common,
            reader_a.head().seq - common,
            reader_b.head().seq - common,
            altered_a,
            altered_b,
            _fields(record_a, record_b) if record_a and record_b else {},
            events_seq,
            first_seq,
            events_up_to,
            list((fills_a - fills_b).elements()),
            list((fills_b - fills_a).elements()),
        )


def _first_difference(a: JournalReader, b: JournalReader) -> tuple[int, Record | None, Record | None]:
    """Return the seq of the last common command, and the next record of each journal."""
    common = max(a.bases[0].head.seq, b.bases[0].head.seq)
    if a.head_at(common) != b.head_at(common):
        raise JournalError(
            f"{a.path} and {b.path} cannot be compared: one of them begins after seq {common}, and they differ there "
            "already. Put its archives back into their folder, so that both begin earlier"
        )
    both = zip_longest(*(reader.records_where(common + 1, reader.head().seq) for reader in (a, b)))
    for record_a, record_b in both:
        if record_a != record_b:
            return common, record_a, record_b
        common = record_a.seq
    return common, None, None


def _is_altered(reader: JournalReader, common_seq: int, record: Record | None) -> bool:
    """True if a record does not match its hash, so it was altered after it was recorded."""
    head = reader.head_at(common_seq)
    assert head is not None, "a common command is not in the journal"
    if record is not None:
        try:
            check_link(head, record)
        except JournalDamagedError:
            return True
    return False


def _fields(a: Record, b: Record) -> dict[str, tuple[Any, Any]]:
    fields_a, fields_b = _flat(a), _flat(b)
    names = list(dict.fromkeys((*fields_a, *fields_b)))
    pairs = {name: (fields_a.get(name), fields_b.get(name)) for name in names}
    different = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return different or {"payload": (a.payload, b.payload), "hash": (a.hash.hex(), b.hash.hex())}


def _flat(record: Record) -> dict[str, Any]:
    position = {"seq": record.seq, "ts_us": record.ts_us}
    try:
        return position | msgspec.json.decode(record.payload, type=dict[str, Any])
    except msgspec.MsgspecError:
        # The payload is damaged and not even JSON.
        return position | {"payload": record.payload}


def _compared_digests(a: JournalReader, b: JournalReader, last_seq: int) -> tuple[int | None, int]:
    """The first seq with different digests, None if there is none; and the last one that was compared, or 0."""
    recorded = {(seq, subject): digest for seq, subject, digest in a.digests() if seq <= last_seq}
    compared_seq = 0
    for seq, subject, digest in b.digests():
        if (known := recorded.get((seq, subject))) is not None:
            if known != digest:
                return seq, seq
            compared_seq = seq
    return None, compared_seq


def _fills_after(reader: JournalReader, seq: int, progress: Progress) -> Counter[Fill]:
    head = reader.head()
    if head.seq == seq:
        return Counter()
    # The history only saves time. One that is missing is not written here: it takes a replay of all commands.
    with suppress(HistoryError), closing(open_history(reader.path)) as history:
        if head_of(history) == head:
            rows = history.execute(f"SELECT {_FILL_COLUMNS} FROM trades WHERE seq > ?", (seq,))
            return Counter(Fill(*row) for row in rows)
    return _replayed_fills(reader, seq + 1, head.seq, progress)


def _replayed_fills(reader: JournalReader, first_seq: int, last_seq: int, progress: Progress) -> Counter[Fill]:
    """The fills of these commands, up to one that is damaged: `altered_a` and `altered_b` report it."""
    fills: Counter[Fill] = Counter()
    with suppress(JournalDamagedError):
        for step in replay_range(reader.path, first_seq, last_seq, progress):
            fills.update(
                Fill(*(getattr(event, name) for name in Fill._fields))
                for event in step.events
                if isinstance(event, Traded)
            )
    return fills
