"""One pass over a journal that replays its commands and compares events, snapshots and digests with the results."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from exchange.engine.digests import DIGEST_EVERY, EVENTS_SUBJECT, OLD_EVENTS_SUBJECT, OldEventsDigest, span_start
from exchange.engine.engine import READABLE_IMAGE_VERSIONS, STATE_SUBJECT, Engine
from exchange.engine.recovery import Progress, event_rows, recover, replay, replay_step
from exchange.history.answer_audit import AnswerAudit
from exchange.history.history_audit import HistoryAudit
from exchange.history.verdict import DamageError, Verdict, check_last_seq
from exchange.journal.archive_file import ArchivePart, is_archive_file
from exchange.journal.archives import archives_of
from exchange.journal.errors import JournalArchivedError, JournalError, JournalUnreadableError
from exchange.journal.protocols import JournalReader
from exchange.journal.records import DigestRow, EventRow, Record
from exchange.snapshots.store import (
    DamagedSnapshotError,
    Snapshot,
    SnapshotHeader,
    SnapshotStore,
    header_of,
    load,
    load_header,
    unpack,
)

# All invariants are checked after this many commands.
CHECK_EVERY = 1_000

Content = TypeVar("Content")


class _Found(NamedTuple):
    """A snapshot to compare: its name for messages, and a function that loads it."""

    name: str
    load: Callable[[], Snapshot | None]


class Audit:
    """Audits a journal and fills in the verdict. `run` raises DamageError at the first damage."""

    def __init__(
        self, reader: JournalReader, verdict: Verdict, progress: Progress, history: HistoryAudit, until: int | None
    ) -> None:
        self._reader = reader
        self._history = history
        self._verdict = verdict
        self._progress = progress
        self._events_seq = reader.events_seq()
        self._digests = {(seq, subject): recorded for seq, subject, recorded in reader.digests()}
        self._snapshots = self._find_snapshots()
        self._check_ends_of_archives()
        self._answers = AnswerAudit(reader)
        # A running exchange appends meanwhile. The head is read last, so that nothing read before is beyond it.
        self._head = reader.head()
        self._last_seq = self._head.seq if until is None else min(self._head.seq, until)
        self._events = reader.events(reader.bases[0].head.seq + 1, self._events_seq)
        self._next_row: EventRow | None = None
        self._unreadable: JournalUnreadableError | None = None
        self._engine = Engine()
        self._last_checked = 0

    def run(self) -> None:
        """Replay and compare everything. Raises DamageError, and JournalError if a file cannot be read."""
        verdict, base = self._verdict, self._reader.bases[0].head
        if self._events_seq > self._head.seq:
            raise DamageError(self._events_seq, f"events of seq {self._events_seq} are recorded, but no such command")
        self._engine = self._restore_base()
        verdict.first_seq, verdict.last_seq, self._last_checked = base.seq + 1, base.seq, base.seq
        old_digest = OldEventsDigest(base.seq) if self._has_old_digests() else None
        self._history.begin(self._engine)
        self._compare_snapshots(base.seq)
        self._read_next_row()
        for record in self._reader.records(base, self._last_seq):
            self._replay(record, old_digest)
            if record.seq % CHECK_EVERY == 0:
                self._check_invariants()
            self._progress(verdict.commands, self._last_seq - base.seq)
        self._check_invariants()
        verdict.digest = self._engine.digest()
        check_last_seq(verdict, self._last_seq)
        self._check_unused(base.seq)

    def _replay(self, record: Record, old_digest: OldEventsDigest | None) -> None:
        """Replay a command, and compare its events and the snapshots and digests recorded after it."""
        command, events, change = replay_step(self._engine, record)
        self._history.add(record, command, events, change, self._engine)
        rows = event_rows([(record.seq, events)]) if old_digest or record.seq <= self._events_seq else []
        if record.seq <= self._events_seq:
            self._compare_events(record, rows)
        self._verdict.commands, self._verdict.last_seq = self._verdict.commands + 1, record.seq
        self._compare_snapshots(record.seq)
        self._answers.check(record)
        computed = old_digest.add(rows) if old_digest else []
        if (record.seq, EVENTS_SUBJECT) in self._digests:
            computed += self._engine.events_digest.rows()
        if (record.seq, STATE_SUBJECT) in self._digests:
            computed.append((record.seq, STATE_SUBJECT, self._engine.digest()))
        for row in computed:
            self._compare_digest(row)

    def _has_old_digests(self) -> bool:
        return any(subject == OLD_EVENTS_SUBJECT for _, subject in self._digests)

    def _restore_base(self) -> Engine:
        seq = self._reader.bases[0].head.seq
        try:
            return _engine_after(self._reader.path, seq)
        except JournalArchivedError as error:
            raise DamageError(
                seq, f"the file continues from the state at seq {seq}, but this state cannot be restored: {error}"
            ) from error

    def _find_snapshots(self) -> dict[int, list[_Found]]:
        """Every snapshot that can be compared, by seq. Each is loaded when the replay reaches it: they are large."""
        named: list[tuple[SnapshotHeader, _Found]] = [
            (header, _Found(f"snapshot {file.name}", partial(_of_file, file, load)))
            for file in SnapshotStore(self._reader.path).files()
            if (header := _of_file(file, load_header)) is not None
        ]
        for base in self._reader.bases:
            if base.head.seq:
                try:
                    snapshot = unpack(base.snapshot)
                except DamagedSnapshotError as error:
                    raise DamageError(base.head.seq, f"the base at seq {base.head.seq} is damaged: {error}") from error
                found = _Found(f"the base at seq {base.head.seq}", partial(unpack, base.snapshot))
                named.append((header_of(snapshot), found))
        by_seq: dict[int, list[_Found]] = {}
        for header, found in named:
            if header.version in READABLE_IMAGE_VERSIONS:
                by_seq.setdefault(header.seq, []).append(found)
            else:
                self._verdict.notes.append(f"{found.name} was written by another version of the program: not checked")
        return by_seq

    def _check_ends_of_archives(self) -> None:
        """Check the state that each archive ends with. The next file has a copy of it, which is compared."""
        for archive in archives_of(self._reader.path, self._reader.bases[-1].head.seq + 1):
            if is_archive_file(archive.path):
                with closing(ArchivePart(archive.path)) as part:
                    try:
                        unpack(part.end.snapshot)
                    except DamagedSnapshotError as error:
                        raise DamageError(
                            archive.last_seq, f"the state at the end of {archive.path} is damaged: {error}"
                        ) from error

    def _check_unused(self, base_seq: int) -> None:
        """Check the snapshots and digests that were not compared: note those that cannot be, refuse the others."""
        for seq, unused in sorted(self._snapshots.items()):
            name = unused[0].name
            if self._is_after_end(seq):
                continue
            if seq > base_seq:
                raise DamageError(
                    seq, f"{name} is of another journal: it is of seq {seq}, but the last command is {self._head.seq}"
                )
            self._verdict.notes.append(f"{name} is older than the first command here: not checked")
        for seq, subject in self._digests:
            name = f"the digest of the {subject} at seq {seq}"
            if self._is_after_end(seq):
                continue
            if subject.startswith("state/") and subject != STATE_SUBJECT:
                self._verdict.notes.append(f"{name} was written by another version of the program: not checked")
            elif subject in (EVENTS_SUBJECT, OLD_EVENTS_SUBJECT) and _begins_before(base_seq, seq):
                self._verdict.notes.append(f"{name} includes commands that are not here: not checked")
            else:
                raise DamageError(
                    seq,
                    f"the journal has {name}, where the exchange never records one: the row was added or altered",
                )

    def _is_after_end(self, seq: int) -> bool:
        """True for a command of the journal after the last one that is verified."""
        return self._last_seq < seq <= self._head.seq

    def _compare_snapshots(self, seq: int) -> None:
        for name, load_found in self._snapshots.pop(seq, []):
            if (snapshot := load_found()) is None:
                continue
            if snapshot.journal_hash != self._engine.head.hash:
                raise DamageError(seq, f"{name} is of another journal: it has another hash for seq {seq}")
            if (fault := self._engine.mismatch_with(snapshot)) is not None:
                raise DamageError(seq, f"{name} has wrong content: {fault}")
            self._verdict.snapshots += 1

    def _compare_digest(self, row: DigestRow) -> None:
        """Compare a computed digest with the recorded one, if there is one."""
        seq, subject, computed = row
        if (recorded := self._digests.pop((seq, subject), None)) is None:
            return
        if recorded != computed:
            content = subject.partition("/")[0]
            raise DamageError(
                seq, f"the digest of the {content} recorded at seq {seq} is {recorded}, but the replay gives {computed}"
            )
        self._verdict.digests += 1

    def _compare_events(self, record: Record, rows: list[EventRow]) -> None:
        recorded: list[EventRow] = []
        while self._next_row is not None and self._next_row[0] == record.seq:
            recorded.append(self._next_row)
            self._read_next_row()
        self._verdict.events += len(recorded)
        if recorded == rows:
            return
        if self._unreadable is not None:
            raise DamageError(record.seq, f"the events of seq {record.seq} cannot be read ({self._unreadable})")
        for n, row in enumerate(rows):
            if n >= len(recorded) or recorded[n] != row:
                was = repr(recorded[n][2]) if n < len(recorded) else "nothing"
                raise DamageError(
                    record.seq,
                    f"seq {record.seq} causes other events than recorded: event {n} is recorded as {was:.300}, "
                    f"but the replay gives {row[2]!r:.300}",
                )
        raise DamageError(
            record.seq, f"seq {record.seq} has more events recorded than it causes: {recorded[len(rows)][2]!r:.300}"
        )

    def _read_next_row(self) -> None:
        try:
            self._next_row = next(self._events, None)
        except JournalUnreadableError as error:
            # The error is reported at the command that misses this row.
            self._next_row, self._unreadable = None, error

    def _check_invariants(self) -> None:
        """Check every invariant of the state. If one is broken, replay again to find the command that broke it."""
        try:
            self._engine.state.check()
        except AssertionError:
            for seq, error in self._broken_invariants(self._last_checked):
                raise DamageError(seq, f"after seq {seq} {error}") from None
            raise
        self._last_checked = self._verdict.last_seq

    def _broken_invariants(self, after_seq: int) -> Iterator[tuple[int, AssertionError]]:
        engine = _engine_after(self._reader.path, after_seq)
        for record in self._reader.records(engine.head, self._verdict.last_seq):
            replay(engine, record)
            try:
                engine.state.check()
            except AssertionError as error:
                yield record.seq, error


def _of_file(file: Path, read: Callable[[Path], Content]) -> Content | None:
    """Read a snapshot file; None if the follower deleted it in the meantime."""
    try:
        return read(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise JournalError(
            f"snapshot {file} cannot be read ({error.strerror}): check its permissions "
            "and the disk; if neither helps, delete it; a snapshot can be made again"
        ) from error
    except DamagedSnapshotError as error:
        raise DamageError(None, f"snapshot {file.name} is damaged: {error}. It may be deleted") from error


def _begins_before(base_seq: int, seq: int) -> bool:
    """True if the digest of events at `seq` includes commands up to `base_seq`."""
    return span_start(base_seq) < base_seq < seq <= span_start(base_seq) + DIGEST_EVERY


def _engine_after(path: Path, seq: int) -> Engine:
    """The exchange after command `seq`, restored without snapshots, which the audit must not trust."""
    return recover(path, lambda sentence: None, lambda done, total: None, seq, use_snapshots=False).engine
