"""The two protocols of a journal: `JournalReader` and `JournalWriter`.

Every package outside this one uses a journal through them. `exchange.journal.opening` opens both.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from exchange.journal.records import AnswerRow, Checkpoint, DigestRow, EventRow, Head, KindSummary, Record

Fields = Mapping[str, str | int]
"""Top-level fields of a payload and the values that they must have."""


class JournalReader(Protocol):
    """Reads a journal, also while an exchange writes to it. A context manager.

    Archives belong to the journal: a reader goes on from one to the next without a seam. Every method raises
    JournalDamagedError if what is stored cannot be read.
    """

    @property
    def path(self) -> Path:
        """The location of the journal: snapshots and archives are kept next to it, messages name it."""

    @property
    def bases(self) -> Sequence[Checkpoint]:
        """The checkpoints from which a replay can start, oldest first; at least one."""

    def head(self) -> Head:
        """The last record; an empty head if there is none."""

    def head_at(self, seq: int) -> Head | None:
        """The head after record `seq`; None if the journal does not hold it."""

    def events_seq(self) -> int:
        """The seq of the last command whose events an earlier version recorded; that before the first if none is."""

    def records(self, after: Head, up_to: int | None = None) -> Iterator[Record]:
        """The records after `after`, up to seq `up_to`. Checks that each continues the chain of hashes.

        Raises JournalDamagedError at the first record that does not, JournalArchivedError if the journal begins later.
        """

    def records_where(self, first_seq: int, last_seq: int, any_of: Sequence[Fields] = ()) -> Iterator[Record]:
        """The records of these seqs, in order, without a check of the chain.

        With `any_of`, only those whose payload has all fields of at least one of its entries.
        """

    def events(self, first_seq: int, last_seq: int, any_of: Sequence[Fields] = ()) -> Iterator[EventRow]:
        """The recorded events of these commands, in order; `any_of` selects as in `records_where`."""

    def kinds(self) -> dict[str, KindSummary]:
        """The number of commands of each kind, and the last one. Reads all commands."""

    def digests(self, after_seq: int = 0) -> Iterator[DigestRow]:
        """The digests that the exchange recorded after `after_seq`, by seq."""

    def answer_times(self, first_seq: int, last_seq: int) -> Iterator[tuple[int, int, int]]:
        """Of the last command of every answered batch: seq, time of arrival and time of its answer, in microseconds."""

    def data_version(self) -> int:
        """A number that changes when the journal was written to."""

    def __enter__(self) -> Self: ...

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None: ...


class JournalWriter(Protocol):
    """Appends to a journal. One append of records and one of other rows may run at the same time."""

    @property
    def head(self) -> Head:
        """The last durable record."""

    async def append(self, records: list[Record]) -> None:
        """Record a batch, all of it or nothing. It is on disk when this returns.

        Raises JournalUnavailableError (nothing was recorded, try again) or JournalBrokenError (stop).
        """

    async def append_digests(self, rows: list[DigestRow]) -> None:
        """Record digests; those that are recorded already stay. Raises as `append` does."""

    async def append_answers(self, rows: list[AnswerRow]) -> None:
        """Record when batches were answered. Raises as `append` does."""

    async def seal(self, base: Checkpoint) -> None:
        """Continue from `base`, the end of an archive that is on disk. Raises as `append` does."""

    async def delete_sealed(self, count: int) -> bool:
        """Delete up to `count` of the oldest commands before the base; False if there are none. Raises as `append`."""

    async def close(self) -> None:
        """Release the journal."""
