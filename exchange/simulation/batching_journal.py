"""A journal that writes large batches.

It is for simulations: a crash may lose the last commands, because the simulation can repeat them.
"""

from exchange.journal.protocols import JournalWriter
from exchange.journal.records import AnswerRow, Checkpoint, DigestRow, Head, Record

# Commands in one transaction.
COMMANDS_AT_ONCE = 2_000


class BatchingJournal:
    """A journal for the pipeline. Appended rows are on disk after `flush`, or when COMMANDS_AT_ONCE are waiting."""

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal
        self._records: list[Record] = []
        self._digests: list[DigestRow] = []
        self.head = journal.head

    async def append(self, records: list[Record]) -> None:
        self._records += records
        self.head = Head(records[-1].seq, records[-1].ts_us, records[-1].hash)
        if len(self._records) >= COMMANDS_AT_ONCE:
            await self.flush()

    async def append_digests(self, rows: list[DigestRow]) -> None:
        self._digests += rows

    async def append_answers(self, _rows: list[AnswerRow]) -> None:
        """Discard them: the answer times of a simulation say nothing about an exchange."""

    async def seal(self, base: Checkpoint) -> None:
        await self._journal.seal(base)

    async def delete_sealed(self, count: int) -> bool:
        return await self._journal.delete_sealed(count)

    async def close(self) -> None:
        """Write what has come, and release the journal."""
        await self.flush()
        await self._journal.close()

    async def flush(self) -> None:
        """Write the waiting rows: first commands, then their digests."""
        records, self._records = self._records, []
        digests, self._digests = self._digests, []
        if records:
            await self._journal.append(records)
        if digests:
            await self._journal.append_digests(digests)
