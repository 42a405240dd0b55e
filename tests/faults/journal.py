"""A model of the journal on disk: a log of commits, which are first written and then synced.

It has the two protocols of a journal. The writer takes its steps on the event loop and has no thread. A kill keeps
commits that were written and not synced, a power cut keeps some of the first of them.
"""

import asyncio
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

import msgspec

from exchange.journal.errors import (
    JournalBrokenError,
    JournalError,
    JournalFullError,
    JournalMissingError,
)
from exchange.journal.lock import JournalLock
from exchange.journal.protocols import Fields
from exchange.journal.records import AnswerRow, Checkpoint, DigestRow, Head, Record
from exchange.journal.schema import prepare
from exchange.journal.sqlite_part import Page
from tests.faults.machine import Machine

_PAGE_ROWS = 50


@cache
def _empty_journal() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        prepare(path)
        return path.read_bytes()


class CommitFault(NamedTuple):
    """The `nth` commit of a life fails: `full` records nothing, `write` and `sync` leave it unknown."""

    kind: str
    nth: int


class Commit(NamedTuple):
    """One transaction: rows of `table`; or a new base, or the last seq of deleted rows."""

    table: str
    rows: Any


class _Tables:
    """What the commits amount to."""

    def __init__(self) -> None:
        self.base = Checkpoint()
        self.records: dict[int, Record] = {}
        self.digests: dict[tuple[int, str], str] = {}
        self.answers: dict[int, int] = {}
        self.version = 0

    def apply(self, commit: Commit) -> None:
        self.version += 1
        table, rows = commit
        if table == "commands":
            for record in rows:
                assert record.seq not in self.records, f"seq {record.seq} was recorded twice"
                self.records[record.seq] = record
        elif table == "digests":
            for seq, subject, digest in rows:
                self.digests.setdefault((seq, subject), digest)
        elif table == "answers":
            self.answers.update(rows)
        elif table == "seal":
            self.base = rows
        else:
            self.records = {seq: record for seq, record in self.records.items() if seq > rows}
            self.digests = {key: digest for key, digest in self.digests.items() if key[0] > rows}
            self.answers = {seq: time for seq, time in self.answers.items() if seq > rows}

    @property
    def head(self) -> Head:
        if not self.records:
            return self.base.head
        last = self.records[max(self.records)]
        return max(self.base.head, Head(last.seq, last.ts_us, last.hash))


class DiskJournal:
    """The log of commits. Only one writer at a time may have it open."""

    # True lets commits return before they are synced.
    skips_sync = False

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.random = machine.random("journal")
        self.faults: list[CommitFault] = []
        self.log: list[Commit] = []
        self.synced = 0
        self.tables = _Tables()
        self._seen = 0
        self.writers = 0
        self.writers_max = 0
        self.commits = 0

    @property
    def exists(self) -> bool:
        return bool(self.log)

    def open(self, path: Path) -> None:
        """One more writer opens it."""
        self.put_files(path)
        self.writers += 1
        self.writers_max = max(self.writers_max, self.writers)

    def put_files(self, path: Path) -> None:
        """Write an empty journal and -wal, because the exchange looks at these files by themselves."""
        path.write_bytes(_empty_journal())
        path.with_name(path.name + "-wal").touch()

    def write(self, commit: Commit) -> None:
        """A commit is in the log, and not on disk yet."""
        self.log.append(commit)

    def sync(self) -> None:
        """All that was written is on disk."""
        self.synced = len(self.log)
        self.show()

    def show(self) -> None:
        """Readers see all commits that were written."""
        for commit in self.log[self._seen :]:
            self.tables.apply(commit)
        self._seen = len(self.log)

    def end_life(self, is_power_cut: bool) -> None:
        """Lose some of the last commits in a power cut. The next reader finds the rest, synced or not."""
        if is_power_cut:
            del self.log[self.random.randint(self.synced, len(self.log)) :]
            self.synced = len(self.log)
        if self._seen > len(self.log):
            self.tables, self._seen = _Tables(), 0
        self.show()
        self.writers = self.commits = 0

    def next_fault(self) -> str | None:
        """How the next commit fails."""
        self.commits += 1
        return next((fault.kind for fault in self.faults if fault.nth == self.commits), None)


# The journals by the path of the present life.
JOURNALS: dict[Path, DiskJournal] = {}


class SimulatedWriter:
    """A `JournalWriter` on the model."""

    def __init__(self, journal: DiskJournal, lock: JournalLock | None) -> None:
        self._journal = journal
        self._lock = lock
        self._turn = asyncio.Lock()
        self.head = journal.tables.head

    @classmethod
    async def open(cls, path: Path, lock: JournalLock | None = None) -> Self:
        journal = JOURNALS[path]
        journal.machine.step("start")
        journal.open(path)
        await asyncio.sleep(0.001)
        journal.machine.step("start")
        return cls(journal, lock)

    async def append(self, records: list[Record]) -> None:
        assert records[0].seq == self.head.seq + 1, "the journal would have a gap"
        await self._commit("append", Commit("commands", records))
        self.head = Head(records[-1].seq, records[-1].ts_us, records[-1].hash)
        if self._lock is not None:
            self._lock.note(self.head.seq)

    async def append_digests(self, rows: list[DigestRow]) -> None:
        await self._commit("digest", Commit("digests", rows))

    async def append_answers(self, rows: list[AnswerRow]) -> None:
        await self._commit("digest", Commit("answers", rows))

    async def seal(self, base: Checkpoint) -> None:
        assert base.head.seq < self.head.seq, "the journal keeps at least one command"
        await self._commit("archive", Commit("seal", base))

    async def delete_sealed(self, count: int) -> bool:
        tables = self._journal.tables
        sealed = [seq for seq in tables.records if seq <= tables.base.head.seq]
        if sealed:
            await self._commit("archive", Commit("delete", min(min(sealed) + count - 1, max(sealed))))
        return bool(sealed)

    async def close(self) -> None:
        self._journal.writers = max(0, self._journal.writers - 1)

    async def _commit(self, step: str, commit: Commit) -> None:
        journal = self._journal
        machine, random = journal.machine, journal.random
        async with self._turn:
            machine.step(step)
            fault = journal.next_fault()
            await asyncio.sleep(random.choice((0.0001, 0.001, 0.01)))
            if fault is not None:
                machine.note("disk", f"journal {fault}".encode())
            if fault == "full":
                raise JournalFullError("the disk is full: free some space, then start again")
            if fault != "write" or random.random() < 0.5:
                journal.write(commit)
                machine.note("commit", commit.table.encode())
            machine.step("commit")
            if fault is not None:
                raise JournalBrokenError(f"writing the journal failed ({fault}): check the disk, then start again")
            if journal.skips_sync:
                journal.show()
            else:
                await asyncio.sleep(random.choice((0.0005, 0.002)))
                machine.step("commit")
                journal.sync()
            machine.step("synced")
            # The thread of the writer tells the event loop a little later.
            await asyncio.sleep(0.0001)
            machine.step("synced")


class SimulatedPart:
    """The part of a journal that is not in archives, for the reader of the exchange."""

    def __init__(self, path: Path, last_seq: int) -> None:
        if path not in JOURNALS or not JOURNALS[path].exists:
            raise JournalMissingError(f"{path} does not exist")
        self.path = path
        self.last_seq = last_seq
        self._journal = JOURNALS[path]
        self.base = self._tables.base

    @property
    def _tables(self) -> _Tables:
        return self._journal.tables

    def close(self) -> None:
        pass

    def page(self, table: str, first_seq: int, last_seq: int, any_of: Sequence[Fields] = ()) -> Page:
        first_seq, last_seq = max(first_seq, self.base.head.seq + 1), min(last_seq, self.last_seq)
        rows = self._rows(table, first_seq, last_seq)
        if any_of:
            rows = [row for row in rows if _matches(row[2], any_of)]
        if len(rows) <= _PAGE_ROWS:
            return Page(rows, last_seq + 1)
        end_seq = rows[_PAGE_ROWS][0]
        page = [row for row in rows if row[0] <= end_seq]
        return Page(page, end_seq + 1)

    def _rows(self, table: str, first_seq: int, last_seq: int) -> list[Any]:
        tables = self._tables
        if table == "commands":
            last_seq = min(last_seq, first_seq + 2 * _PAGE_ROWS, tables.head.seq) if first_seq else last_seq
            return [tables.records[seq] for seq in range(first_seq, last_seq + 1) if seq in tables.records]
        if table == "digests":
            return sorted((*key, d) for key, d in tables.digests.items() if first_seq <= key[0] <= last_seq)
        if table == "answers":
            found = sorted((seq, at_us) for seq, at_us in tables.answers.items() if first_seq <= seq <= last_seq)
            return [(seq, tables.records[seq].ts_us, at_us) for seq, at_us in found if seq in tables.records]
        return []

    def head_at(self, seq: int) -> Head | None:
        record = self._tables.records.get(seq)
        return None if record is None else Head(record.seq, record.ts_us, record.hash)

    def last_head(self) -> Head:
        return self._tables.head

    def kinds(self) -> list[tuple[str, int, int]]:
        raise JournalError("kinds are not part of this model")

    def events_seq(self) -> int:
        return 0

    def data_version(self) -> int:
        return self._tables.version

    def has_moved(self) -> bool:
        return self._tables.base.head.seq != self.base.head.seq

    def orphan_rows(self) -> Iterator[tuple[Path, str, int]]:
        return iter(())


def _matches(payload: str, any_of: Sequence[Fields]) -> bool:
    found = msgspec.json.decode(payload)
    return any(all(found.get(name) == value for name, value in fields.items()) for fields in any_of)
