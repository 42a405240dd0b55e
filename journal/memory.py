"""A journal in memory with the contract of the one on disk, for tests and benchmarks."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from exchange.journal.errors import JournalError
from exchange.journal.protocols import Fields
from exchange.journal.records import AnswerRow, Checkpoint, DigestRow, EventRow, Head, KindSummary, Record, check_link


class MemoryJournal:
    """A `JournalWriter` that keeps its rows in lists.

    `failures`: the errors that the next appends raise, one each; None lets the append succeed.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.events: list[EventRow] = []
        self.answers: list[AnswerRow] = []
        self.digests: list[DigestRow] = []
        self.failures: list[JournalError | None] = []

    @property
    def head(self) -> Head:
        if not self.records:
            return Head()
        last = self.records[-1]
        return Head(last.seq, last.ts_us, last.hash)

    async def append(self, records: list[Record]) -> None:
        assert records[0].seq == self.head.seq + 1, "the journal would have a gap"
        self._fail_on_request()
        self.records += records

    async def append_digests(self, rows: list[DigestRow]) -> None:
        self.digests += rows

    async def append_answers(self, rows: list[AnswerRow]) -> None:
        self.answers += rows

    async def seal(self, base: Checkpoint) -> None:
        raise JournalError("a journal in memory has no archives")

    async def delete_sealed(self, count: int) -> bool:
        return False

    async def close(self) -> None:
        pass

    def _fail_on_request(self) -> None:
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure


class MemoryJournalReader:
    """Reads a `MemoryJournal` with the contract of `JournalReader`. It has no archives and writes nothing to disk."""

    def __init__(self, journal: MemoryJournal, path: Path) -> None:
        """`path` is the location that messages name, and next to which snapshots are looked for."""
        self.path = path
        self.bases = [Checkpoint()]
        self._journal = journal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        pass

    def head(self) -> Head:
        return self._journal.head

    def head_at(self, seq: int) -> Head | None:
        if seq == 0:
            return Head()
        record = next(self.records_where(seq, seq), None)
        return None if record is None else Head(record.seq, record.ts_us, record.hash)

    def events_seq(self) -> int:
        return self._journal.events[-1][0] if self._journal.events else 0

    def records(self, after: Head, up_to: int | None = None) -> Iterator[Record]:
        head = after
        for record in self.records_where(after.seq + 1, self.head().seq if up_to is None else up_to):
            head = check_link(head, record)
            yield record

    def records_where(self, first_seq: int, last_seq: int, any_of: Sequence[Fields] = ()) -> Iterator[Record]:
        for record in self._journal.records[max(first_seq - 1, 0) : last_seq]:
            if _matches(record.payload, any_of):
                yield record

    def events(self, first_seq: int, last_seq: int, any_of: Sequence[Fields] = ()) -> Iterator[EventRow]:
        for row in self._journal.events:
            if first_seq <= row[0] <= last_seq and _matches(row[2], any_of):
                yield row

    def kinds(self) -> dict[str, KindSummary]:
        found = [(json.loads(record.payload)["kind"], record.seq) for record in self._journal.records]
        counts = Counter(kind for kind, _ in found)
        return {kind: KindSummary(counts[kind], seq) for kind, seq in found}

    def digests(self, after_seq: int = 0) -> Iterator[DigestRow]:
        return iter(sorted(row for row in self._journal.digests if row[0] > after_seq))

    def answer_times(self, first_seq: int, last_seq: int) -> Iterator[tuple[int, int, int]]:
        for seq, answered_us in sorted(self._journal.answers):
            if first_seq <= seq <= last_seq:
                yield seq, self._journal.records[seq - 1].ts_us, answered_us

    def data_version(self) -> int:
        journal = self._journal
        return len(journal.records) + len(journal.events) + len(journal.digests) + len(journal.answers)


def _matches(payload: str, any_of: Sequence[Fields]) -> bool:
    if not any_of:
        return True
    found = json.loads(payload)
    return any(all(found.get(name) == value for name, value in fields.items()) for fields in any_of)
