"""Where two journals part, and where what a program makes of a journal parts from what another one made of it."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from exchange.engine.recovery import Progress, event_rows
from exchange.history.replay import ReplayStep, replay_range
from exchange.history.transfer import opened_for_reading
from exchange.journal.errors import JournalDamagedError, JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Record, check_link
from exchange.journal.sql_union import connect_union

_FILL = (
    "instrument_id, price_micros, size_milli, taker_side, taker_user_id, maker_user_id, taker_order_id, maker_order_id"
)


class Fill(NamedTuple):
    """A trade, by what makes it the same trade in another journal."""

    instrument_id: str
    price_micros: int
    size_milli: int
    taker_side: str
    taker_user_id: str
    maker_user_id: str
    taker_order_id: int
    maker_order_id: int


class Difference(msgspec.Struct):
    """`common_seq` is the last command that both share; `fields` are those in which the next one differs.

    Compared are the commands from `first_seq` on, where both journals are there, and the events of those up to
    `events_up_to`, which both have recorded.

    `after_a`, `after_b`: how many commands follow it, and whether the next one is `altered`: not what was recorded, by
    its hash. `events_seq`: a shared command whose recorded events differ.
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
        return not (self.after_a or self.after_b) and self.events_seq is None


class Span(msgspec.Struct, rename={"first_seq": "from", "last_seq": "to"}, forbid_unknown_fields=True):
    """The SHA-256 of all events of commands `first_seq` to `last_seq`, each ended by a line feed."""

    first_seq: int
    last_seq: int
    events: str


class Divergence(NamedTuple):
    """The first span that comes out differently; where it is one command, that one, carried out."""

    recorded: Span
    computed: str
    step: ReplayStep | None


def diff(a: Path, b: Path) -> Difference:
    """Compare two journals, archives included, command by command: equal hashes would not show what was altered."""
    with open_journal_reader(a) as reader_a, open_journal_reader(b) as reader_b:
        common, record_a, record_b = _divergence(reader_a, reader_b)
        first_seq = max(reader_a.bases[0].head.seq, reader_b.bases[0].head.seq) + 1
        events_up_to = min(common, reader_a.events_seq(), reader_b.events_seq())
        return Difference(
            common,
            reader_a.head().seq - common,
            reader_b.head().seq - common,
            _is_altered(reader_a, common, record_a),
            _is_altered(reader_b, common, record_b),
            _fields(record_a, record_b) if record_a and record_b else {},
            _differing_events(reader_a, reader_b, first_seq, events_up_to),
            first_seq,
            events_up_to,
            *_fills_in_one(a, b, common),
        )


def spans(path: Path, every: int, first_seq: int, last_seq: int, progress: Progress) -> Iterator[Span]:
    """The digests of what commands `first_seq` to `last_seq` cause now, `every` commands at a time."""
    start, text = first_seq, hashlib.sha256()
    for step in replay_range(path, first_seq, last_seq, progress):
        text.update(_events_text(step))
        if step.record.seq - start + 1 == every or step.record.seq == last_seq:
            yield Span(start, step.record.seq, text.hexdigest())
            start, text = step.record.seq + 1, hashlib.sha256()


def bisect(path: Path, against: Path, progress: Progress) -> Divergence | None:
    """The first of the spans in the file `against` that comes out differently now; None where all are the same."""
    recorded = _read_spans(against)
    with open_journal_reader(path) as reader:
        head_seq = reader.head().seq
    if recorded[-1].last_seq > head_seq:
        raise JournalError(
            f"{against} goes up to seq {recorded[-1].last_seq}, and {path} only to seq {head_seq}: "
            "it is of another journal"
        )
    waiting = iter(recorded)
    span, text = next(waiting), hashlib.sha256()
    for step in replay_range(path, span.first_seq, recorded[-1].last_seq, progress):
        text.update(_events_text(step))
        if step.record.seq == span.last_seq:
            if text.hexdigest() != span.events:
                return Divergence(span, text.hexdigest(), step if span.first_seq == span.last_seq else None)
            span, text = next(waiting, span), hashlib.sha256()
    return None


def _divergence(a: JournalReader, b: JournalReader) -> tuple[int, Record | None, Record | None]:
    """The last command up to which both are the same, and what each has after it."""
    common = max(a.bases[0].head.seq, b.bases[0].head.seq)
    if a.head_at(common) != b.head_at(common):
        raise JournalError(
            f"{a.path} and {b.path} cannot be compared: they differ at seq {common} already, "
            "and one of them begins after it"
        )
    both = zip_longest(*(one.records_where(common + 1, one.head().seq) for one in (a, b)))
    for of_a, of_b in both:
        if of_a != of_b:
            return common, of_a, of_b
        common = of_a.seq
    return common, None, None


def _is_altered(reader: JournalReader, common_seq: int, record: Record | None) -> bool:
    """Whether a command does not fit its hash, so that it is not what was recorded."""
    head = reader.head_at(common_seq)
    assert head is not None, "a command in common that is not there"
    if record is not None:
        try:
            check_link(head, record)
        except JournalDamagedError:
            return True
    return False


def _fields(a: Record, b: Record) -> dict[str, tuple[Any, Any]]:
    of_a, of_b = _flat(a), _flat(b)
    names = list(dict.fromkeys((*of_a, *of_b)))
    different = {name: (of_a.get(name), of_b.get(name)) for name in names if of_a.get(name) != of_b.get(name)}
    return different or {"payload": (a.payload, b.payload), "hash": (a.hash.hex(), b.hash.hex())}


def _flat(record: Record) -> dict[str, Any]:
    place = {"seq": record.seq, "ts_us": record.ts_us}
    try:
        return place | msgspec.json.decode(record.payload, type=dict[str, Any])
    except msgspec.MsgspecError:  # no command at all
        return place | {"payload": record.payload}


def _differing_events(a: JournalReader, b: JournalReader, first: int, last: int) -> int | None:
    """The first of these shared commands for which the two journals have other events recorded."""
    for of_a, of_b in zip_longest(a.events(first, last), b.events(first, last)):
        if of_a != of_b:
            return min(row[0] for row in (of_a, of_b) if row is not None)
    return None


def _fills_in_one(a: Path, b: Path, common_seq: int) -> tuple[list[Fill], list[Fill]]:
    fills_a, fills_b = _fills_after(a, common_seq), _fills_after(b, common_seq)
    return list((fills_a - fills_b).elements()), list((fills_b - fills_a).elements())


def _fills_after(path: Path, seq: int) -> Counter[Fill]:
    with closing(connect_union(path)) as connection:
        rows = connection.execute(f"SELECT {_FILL} FROM trades WHERE seq > ? ORDER BY trade_id", (seq,))
        return Counter(Fill(*row) for row in rows)


def _events_text(step: ReplayStep) -> bytes:
    return "".join(f"{payload}\n" for _, _, payload in event_rows([(step.record.seq, step.events)])).encode()


def _read_spans(file: Path) -> list[Span]:
    found: list[Span] = []
    with opened_for_reading(file) as lines:
        for number, line in enumerate(lines, 1):
            try:
                span = msgspec.json.decode(line, type=Span)
            except msgspec.MsgspecError as error:
                raise JournalError(f"line {number} of {file} is no digest ({error})") from error
            expected = found[-1].last_seq + 1 if found else span.first_seq
            if span.first_seq != expected or span.last_seq < span.first_seq:
                raise JournalError(
                    f"line {number} of {file} does not follow the one before: seq {expected} is expected"
                )
            found.append(span)
    if not found:
        raise JournalError(f"{file} holds no digest: make some with `exchange journal digests`")
    return found
