"""Digests of the events of commands, to find the command that another version of the program replays differently.

One version writes the digests of spans of commands to a file. Another version replays the same journal and compares.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from exchange.engine.recovery import Progress, event_rows
from exchange.history.replay import ReplayStep, replay_range
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_reader
from exchange.outside_text import InputError, opened_lines, source_name


class SpanDigest(msgspec.Struct, rename={"first_seq": "from", "last_seq": "to"}, forbid_unknown_fields=True):
    """The SHA-256 of all events of commands `first_seq` to `last_seq`, each event followed by a line feed."""

    first_seq: Annotated[int, msgspec.Meta(ge=1)]
    last_seq: Annotated[int, msgspec.Meta(ge=1)]
    events: str


_decode_digest = msgspec.json.Decoder(SpanDigest).decode


class Divergence(NamedTuple):
    """The first span that replays differently, and its digest now. `step` is the command if the span has only one."""

    recorded: SpanDigest
    computed: str
    step: ReplayStep | None


def span_digests(path: Path, every: int, first_seq: int, last_seq: int, progress: Progress) -> Iterator[SpanDigest]:
    """Replay commands `first_seq` to `last_seq` and yield a digest for every `every` of them. Raises JournalError."""
    start, text = first_seq, hashlib.sha256()
    for step in replay_range(path, first_seq, last_seq, progress):
        text.update(_events_text(step))
        if step.record.seq - start + 1 == every or step.record.seq == last_seq:
            yield SpanDigest(start, step.record.seq, text.hexdigest())
            start, text = step.record.seq + 1, hashlib.sha256()


def bisect(path: Path, against: Path, progress: Progress) -> Divergence | None:
    """Find the first span of the file `against` that replays differently now; None if all are the same.

    Raises JournalError, also if the file has digests of another journal, and InputError if it has no digests.
    """
    recorded = _read_digests(against)
    with open_journal_reader(path) as reader:
        head_seq = reader.head().seq
    if recorded[-1].last_seq > head_seq:
        raise JournalError(
            f"{against} goes up to seq {recorded[-1].last_seq}, but {path} only up to seq {head_seq}: "
            "it is of another journal"
        )
    remaining = iter(recorded)
    span, text = next(remaining), hashlib.sha256()
    for step in replay_range(path, span.first_seq, recorded[-1].last_seq, progress):
        text.update(_events_text(step))
        if step.record.seq == span.last_seq:
            if text.hexdigest() != span.events:
                return Divergence(span, text.hexdigest(), step if span.first_seq == span.last_seq else None)
            span, text = next(remaining, span), hashlib.sha256()
    return None


def _events_text(step: ReplayStep) -> bytes:
    return "".join(f"{payload}\n" for _, _, payload in event_rows([(step.record.seq, step.events)])).encode()


def _read_digests(file: Path) -> list[SpanDigest]:
    digests: list[SpanDigest] = []
    with opened_lines(file) as lines:
        for number, line in enumerate(lines, 1):
            where = f"{source_name(file)}, line {number}"
            try:
                span = _decode_digest(line)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise InputError(f"{where}: the line is not a digest ({error})") from error
            expected = digests[-1].last_seq + 1 if digests else span.first_seq
            if span.first_seq != expected or span.last_seq < span.first_seq:
                raise InputError(
                    f"{where}: the line does not follow the line before: expected a digest from seq {expected}"
                )
            digests.append(span)
    if not digests:
        raise InputError(f"{file} contains no digest: write some with `exchange journal digests`")
    return digests
