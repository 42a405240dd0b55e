"""The reader of a journal in SQLite and of the archives next to it, through read-only connections."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from exchange.journal.archive_file import ArchivePart, is_archive_file
from exchange.journal.archives import archive_folder, archives_of
from exchange.journal.errors import UNREADABLE_STEP, JournalArchivedError, JournalDamagedError, JournalUnreadableError
from exchange.journal.protocols import Fields
from exchange.journal.records import (
    Checkpoint,
    DigestRow,
    EventRow,
    Head,
    KindSummary,
    Record,
    check_link,
    count_linked,
)
from exchange.journal.sqlite_part import SqlitePart

_Part = SqlitePart | ArchivePart

_LAST = 2**63 - 1


class SqliteJournalReader:
    """Reads the journal at `path`, see `JournalReader`. Raises a JournalError if it is missing or not a journal.

    Every method reads in pages and holds no transaction while its caller waits. If the exchange seals commands into an
    archive meanwhile, the reader opens the archive and goes on there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parts = self._open_parts()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        _close(self._parts)

    @property
    def files(self) -> list[Path]:
        """The archives, oldest first, and the journal itself."""
        return [part.path for part in self._parts]

    @property
    def bases(self) -> list[Checkpoint]:
        """The checkpoint before each file, oldest first."""
        return [part.base for part in self._parts]

    def head(self) -> Head:
        """The last record; an empty head if there is none."""
        return self._parts[-1].last_head()

    def head_at(self, seq: int) -> Head | None:
        """The head after record `seq`; None if the files do not hold it."""
        for base in self.bases:
            if base.head.seq == seq:
                return base.head
        if seq <= self.bases[0].head.seq:
            return None
        part = self._part_at(seq)
        found = part.head_at(seq)
        return self.head_at(seq) if found is None and self._reopen_if_moved(part) else found

    def events_seq(self) -> int:
        """The seq of the last command whose events an earlier version recorded. See `JournalReader.events_seq`."""
        first_seq = self._parts[0].base.head.seq
        return next((seq for part in reversed(self._parts) if (seq := part.events_seq())), first_seq)

    def records(self, after: Head, up_to: int | None = None) -> Iterator[Record]:
        """The records after `after`, up to seq `up_to`, checked to continue the chain. See `JournalReader.records`."""
        head = after
        last_seq = self.head().seq if up_to is None else up_to
        self._refuse_missing_archive(head.seq)
        try:
            for rows in self._pages("commands", head.seq + 1, last_seq):
                records = list(map(Record._make, rows))
                linked = count_linked(head, records)
                yield from records[:linked]
                if linked:
                    head = Head(records[linked - 1].seq, records[linked - 1].ts_us, records[linked - 1].hash)
                if linked < len(records):
                    check_link(head, records[linked])
                self._refuse_missing_archive(head.seq)
        except JournalUnreadableError as error:
            raise JournalDamagedError(
                f"seq {head.seq + 1} cannot be read ({error.__cause__ or error}): {UNREADABLE_STEP}"
            ) from error

    def records_where(self, first_seq: int, last_seq: int, any_of: Sequence[Fields] = ()) -> Iterator[Record]:
        """The records of these seqs, in order, without a check of the chain. See `JournalReader.records_where`."""
        for rows in self._pages("commands", first_seq, last_seq, any_of):
            yield from map(Record._make, rows)

    def events(self, first_seq: int, last_seq: int, any_of: Sequence[Fields] = ()) -> Iterator[EventRow]:
        """The recorded events of these commands, in order. See `JournalReader.events`."""
        for rows in self._pages("events", first_seq, last_seq, any_of):
            yield from rows

    def kinds(self) -> dict[str, KindSummary]:
        """The number of commands of each kind, and the last one. See `JournalReader.kinds`."""
        while True:
            found: dict[str, KindSummary] = {}
            for part in self._parts:
                for kind, count, seq in part.kinds():
                    before = found[kind].commands if kind in found else 0
                    found[kind] = KindSummary(before + count, seq)
            # Rows are deleted only after the base has moved, so a count before that is complete.
            if not self._reopen_if_moved(self._parts[-1]):
                return found

    def digests(self, after_seq: int = 0) -> Iterator[DigestRow]:
        """The digests that the exchange recorded after `after_seq`, by seq."""
        for rows in self._pages("digests", after_seq + 1, _LAST):
            yield from rows

    def answer_times(self, first_seq: int, last_seq: int) -> Iterator[tuple[int, int, int]]:
        """Seq, time of arrival and time of the answer for each answered batch. See `JournalReader.answer_times`."""
        for rows in self._pages("answers", first_seq, last_seq):
            yield from rows

    def orphan_rows(self) -> Iterator[tuple[Path, str, int]]:
        """File, table and seq of rows that belong to no command of their file, so that no method returns them."""
        for part in self._parts:
            yield from part.orphan_rows()

    def data_version(self) -> int:
        """A number that changes when another connection has written to the journal."""
        return self._parts[-1].data_version()

    def _pages(self, table: str, first_seq: int, last_seq: int, any_of: Sequence[Fields] = ()) -> Iterator[list[Any]]:
        """The rows of these seqs from all files, page by page. No transaction is open while the caller has a page."""
        seq = first_seq
        while seq <= last_seq:
            part = self._part_at(seq)
            rows, next_seq = part.page(table, seq, last_seq, any_of)
            # Rows are deleted only after the base has moved, so a page read before that is complete.
            if self._reopen_if_moved(part):
                continue
            yield rows
            seq = max(next_seq, seq + 1)
            if part is self._parts[-1] and seq > part.last_seq:
                return

    def _part_at(self, seq: int) -> _Part:
        """The file with command `seq`; the first file if the command is older, the journal itself if it is newer."""
        return next((part for part in self._parts if part.last_seq >= seq), self._parts[-1])

    def _reopen_if_moved(self, part: _Part) -> bool:
        """Open all files again if `part` is the journal, and its first commands were sealed into an archive."""
        if part is not self._parts[-1] or not part.has_moved():
            return False
        reopened = self._open_parts()
        _close(self._parts)
        self._parts = reopened
        return True

    def _refuse_missing_archive(self, seq: int) -> None:
        """Raise JournalArchivedError if the commands after `seq` are in no file."""
        if seq < (first := self._parts[0].base.head.seq):
            raise JournalArchivedError(
                f"commands up to seq {first} of {self.path} are in an archive that is missing: "
                f"put the archive back into {archive_folder(self.path)}"
            )

    def _open_parts(self) -> list[_Part]:
        parts = [_open_part(self.path, _LAST)]
        try:
            # Oldest last, so that the journal stays the first of the list until it is turned round.
            for first_seq, last_seq, path in reversed(archives_of(self.path, parts[0].base.head.seq + 1)):
                parts.append(part := _open_part(path, last_seq))
                if part.base.head.seq + 1 != first_seq:
                    raise JournalDamagedError(
                        f"{path} begins with seq {part.base.head.seq + 1}, not with the seq in its name: "
                        "restore its name"
                    )
            parts.reverse()
            for part, following in pairwise(parts):
                if part.last_head() != following.base.head:
                    raise JournalDamagedError(
                        f"{part.path} is an archive of another journal: it does not end with seq "
                        f"{following.base.head.seq} of {self.path}. Move it to another folder"
                    )
        except BaseException:
            _close(parts)
            raise
        return parts


def _open_part(path: Path, last_seq: int) -> _Part:
    return ArchivePart(path) if is_archive_file(path) else SqlitePart(path, last_seq)


def _close(parts: Sequence[_Part]) -> None:
    for part in parts:
        part.close()
