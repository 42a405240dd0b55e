"""A journal in memory with the contract of the one on disk, which fails when told to: for tests and simulations."""

from exchange.journal.errors import JournalError
from exchange.journal.records import AnswerRow, DigestRow, EventRow, Head, Record


class MemoryJournal:
    """`failures` holds an error for each append to come that shall fail (None: that one succeeds)."""

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

    @property
    def events_seq(self) -> int:
        return self.events[-1][0] if self.events else 0

    async def append(self, records: list[Record]) -> None:
        assert records[0].seq == self.head.seq + 1, "the journal would have a gap"
        self._fail_if_told()
        self.records += records

    async def append_events(self, rows: list[EventRow]) -> None:
        assert rows[0][0] == self.events_seq + 1, "the events would have a gap"
        assert rows[-1][0] <= self.head.seq, "events of a command that is not recorded"
        self.events += rows

    async def append_digests(self, rows: list[DigestRow]) -> None:
        self.digests += rows

    async def append_answers(self, rows: list[AnswerRow]) -> None:
        self.answers += rows

    async def close(self) -> None:
        pass

    def _fail_if_told(self) -> None:
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
