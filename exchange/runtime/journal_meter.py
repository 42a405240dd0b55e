"""Counts what a journal records: the sizes of batches, the time until they are on disk, and batches that it refused."""

import time

from exchange.gateway.meter import Distribution
from exchange.journal.errors import JournalUnavailableError
from exchange.journal.protocols import JournalWriter
from exchange.journal.records import AnswerRow, Checkpoint, DigestRow, Head, Record

APPEND_BOUNDS_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
BATCH_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)

# A journal that refused a batch counts as unavailable until it records one, but at most for this time: if no command
# comes, the exchange does not find out that the journal is available again.
UNAVAILABLE_SECONDS = 10.0


class JournalMeter:
    """The counts. Only the thread of the event loop changes them. Batches count only while `is_counting`."""

    def __init__(self) -> None:
        self.is_counting = False
        self.batch_sizes = Distribution(BATCH_BOUNDS)
        self.append_seconds = Distribution(APPEND_BOUNDS_SECONDS)
        self._refused_seconds: float | None = None

    @property
    def is_unavailable(self) -> bool:
        """True if the journal did not accept the last batch, a moment ago."""
        refused = self._refused_seconds
        return refused is not None and time.monotonic() - refused < UNAVAILABLE_SECONDS

    def appended(self, count: int, taken_seconds: float) -> None:
        """Count a batch that is on disk."""
        self._refused_seconds = None
        if self.is_counting:
            self.batch_sizes.add(count)
            self.append_seconds.add(taken_seconds)

    def refused(self) -> None:
        """Note that the journal could not record a batch."""
        self._refused_seconds = time.monotonic()


class MeasuredJournal:
    """A journal writer that counts its appends in `meter`."""

    def __init__(self, journal: JournalWriter, meter: JournalMeter) -> None:
        self._journal = journal
        self._meter = meter

    @property
    def head(self) -> Head:
        return self._journal.head

    async def append_digests(self, rows: list[DigestRow]) -> None:
        await self._journal.append_digests(rows)

    async def append_answers(self, rows: list[AnswerRow]) -> None:
        await self._journal.append_answers(rows)

    async def seal(self, base: Checkpoint) -> None:
        await self._journal.seal(base)

    async def delete_sealed(self, count: int) -> bool:
        return await self._journal.delete_sealed(count)

    async def close(self) -> None:
        await self._journal.close()

    async def append(self, records: list[Record]) -> None:
        began_seconds = time.perf_counter()
        try:
            await self._journal.append(records)
        except JournalUnavailableError:
            self._meter.refused()
            raise
        self._meter.appended(len(records), time.perf_counter() - began_seconds)
