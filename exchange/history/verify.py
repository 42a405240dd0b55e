"""Is a journal sound? Everything in it is read once, carried out again, and compared with what was recorded.

It stops at the first damage: what comes after it stands on sand.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from exchange.domain.commands import EndSession, decode_command
from exchange.engine.digests import DIGEST_EVERY, EventsDigest, span_start
from exchange.engine.engine import IMAGE_VERSION, STATE_SUBJECT, Engine
from exchange.engine.recovery import Progress, event_rows, recover, replay
from exchange.journal.errors import JournalArchivedError, JournalDamagedError, JournalError, JournalUnreadableError
from exchange.journal.file_faults import file_faults
from exchange.journal.lock import lock_owner
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import EventRow, Record
from exchange.snapshots.store import DamagedSnapshotError, Snapshot, SnapshotStore, load, unpack

CHECK_EVERY = 1_000  # commands, after which all invariants are looked at


class Verdict(msgspec.Struct):
    """What was looked at, and the first damage: `damage` says what is wrong, `damaged_seq` where, if that is known.

    `events_behind`: commands at the end whose events are not recorded yet, as while an exchange runs or after a crash.
    """

    path: str
    first_seq: int = 0
    last_seq: int = 0
    commands: int = 0
    events: int = 0
    events_behind: int = 0
    snapshots: int = 0
    digests: int = 0
    digest: str | None = None
    notes: list[str] = []
    damage: str | None = None
    damaged_seq: int | None = None


class _Found(Exception):  # noqa: N818 - it ends the search
    """The first damage."""

    def __init__(self, seq: int | None, text: str) -> None:
        super().__init__(text)
        self.seq = seq


def verify(path: Path, fast: bool, progress: Progress) -> Verdict:
    """Look at everything, or (`fast`) only at the chain of commands. Reads only.

    Raises a JournalError where there is nothing to look at: no file, no journal, a newer program's, no rights.
    """
    verdict = Verdict(str(path))
    try:
        with open_journal_reader(path) as reader:
            _verify_chain(reader, verdict, progress) if fast else _Audit(reader, verdict, progress).run()
            if not fast:
                _verify_files(path)
    except _Found as found:
        verdict.damage, verdict.damaged_seq = str(found), found.seq
    except JournalUnreadableError as error:
        verdict.damage = f"the file cannot be read on after seq {verdict.first_seq + verdict.commands - 1} ({error})"
        verdict.damaged_seq = verdict.first_seq + verdict.commands
    except JournalDamagedError as error:
        verdict.damage, verdict.damaged_seq = str(error), _seq_in(str(error))
    return verdict


def _verify_chain(reader: JournalReader, verdict: Verdict, progress: Progress) -> None:
    base, last_seq = reader.bases[0].head, reader.head().seq
    verdict.first_seq = base.seq + 1
    for record in reader.records(base, last_seq):
        verdict.commands, verdict.last_seq = verdict.commands + 1, record.seq
        progress(verdict.commands, last_seq - base.seq)
    _end_at(verdict, last_seq)


def _verify_files(path: Path) -> None:
    """What no command leads to: rows before the first one, the schema with its triggers, pages that nothing is on."""
    for fault in file_faults(path):
        raise _Found(fault.seq, fault.text)


class _Audit:
    """One pass over commands, events, snapshots and digests, side by side."""

    def __init__(self, reader: JournalReader, verdict: Verdict, progress: Progress) -> None:
        self._reader = reader
        self._verdict = verdict
        self._progress = progress
        self._events_seq = reader.events_seq()
        self._digests = {(seq, subject): recorded for seq, subject, recorded in reader.digests()}
        self._snapshots = self._load_snapshots()
        self._head = reader.head()  # last, for a running exchange writes on: nothing found here is beyond it
        self._events = reader.events(reader.bases[0].head.seq + 1, max(self._head.seq, self._events_seq))
        self._next_row: EventRow | None = None
        self._unreadable: JournalUnreadableError | None = None
        self._engine = Engine()
        self._last_checked = 0

    def run(self) -> None:
        verdict, base = self._verdict, self._reader.bases[0].head
        if self._events_seq > self._head.seq:
            raise _Found(self._events_seq, f"events of seq {self._events_seq} are recorded, but no such command")
        self._engine = self._begin()
        verdict.first_seq, verdict.last_seq, self._last_checked = base.seq + 1, base.seq, base.seq
        snapshots, digests = self._snapshots, self._digests  # each is taken out where it is compared
        events_digest = EventsDigest(base.seq)
        self._compare_with(snapshots.pop(base.seq, []))
        self._advance()
        last_payload = ""
        for record in self._reader.records(base, self._head.seq):
            events = replay(self._engine, record)
            rows = event_rows([(record.seq, events)])
            self._compare_events(record, rows)
            verdict.commands, verdict.last_seq = verdict.commands + 1, record.seq
            self._compare_with(snapshots.pop(record.seq, []))
            for seq, _, computed in events_digest.add(rows):
                self._compare_digest(seq, "events", digests.pop((seq, "events"), None), computed)
            if (record.seq, STATE_SUBJECT) in digests:
                recorded = digests.pop((record.seq, STATE_SUBJECT))
                self._compare_digest(record.seq, "state", recorded, self._engine.digest())
            if record.seq % CHECK_EVERY == 0:
                self._check()
            self._progress(verdict.commands, self._head.seq - base.seq)
            last_payload = record.payload
        self._check()
        verdict.digest = self._engine.digest()
        _end_at(verdict, self._head.seq)
        if verdict.events_behind and isinstance(decode_command(last_payload), EndSession):
            self._refuse_missing_events()
        self._judge_what_is_left(base.seq)

    def _begin(self) -> Engine:
        try:
            return recover(
                self._reader.path,
                lambda sentence: None,
                lambda done, total: None,
                self._reader.bases[0].head.seq,
                False,
            ).engine
        except JournalArchivedError as error:
            seq = self._reader.bases[0].head.seq
            raise _Found(
                seq, f"the state at seq {seq}, with which the file begins, cannot be restored: {error}"
            ) from error

    def _refuse_missing_events(self) -> None:
        """An exchange that ended in good order recorded them all before; one that starts now soon will have."""
        if lock_owner(self._reader.path) is None:
            raise _Found(
                self._events_seq + 1,
                f"the events of seq {self._events_seq + 1} to {self._head.seq} are missing, though the exchange ended "
                "in good order: `exchange journal rebuild` records them again",
            )

    def _load_snapshots(self) -> dict[int, list[tuple[str, Snapshot]]]:
        """Every snapshot that can be compared, by seq, each with a name for it."""
        found: dict[int, list[tuple[str, Snapshot]]] = {}
        named: list[tuple[str, Snapshot]] = []
        for file in SnapshotStore(self._reader.path).files():
            try:
                named.append((f"snapshot {file.name}", load(file)))
            except FileNotFoundError:
                continue  # the follower has pruned it
            except OSError as error:
                raise JournalError(
                    f"snapshot {file} cannot be read ({error.strerror}): have it opened to you, or delete it"
                ) from error
            except DamagedSnapshotError as error:
                raise _Found(None, f"snapshot {file.name} is damaged: {error}. It may be deleted") from error
        for base in self._reader.bases:
            if base.head.seq:
                try:
                    named.append((f"the base at seq {base.head.seq}", unpack(base.snapshot)))
                except DamagedSnapshotError as error:
                    raise _Found(base.head.seq, f"the base at seq {base.head.seq} is damaged: {error}") from error
        for name, snapshot in named:
            if snapshot.version == IMAGE_VERSION:
                found.setdefault(snapshot.seq, []).append((name, snapshot))
            else:
                self._verdict.notes.append(f"{name} is of another version of the program and was not looked at")
        return found

    def _judge_what_is_left(self, base_seq: int) -> None:
        """Snapshots and digests that nothing was compared with: some cannot be, others have no business here."""
        for seq, left in sorted(self._snapshots.items()):
            if seq > base_seq:
                raise _Found(
                    seq,
                    f"{left[0][0]} is of another journal: it is of seq {seq}, and the last here is {self._head.seq}",
                )
            self._verdict.notes.append(f"{left[0][0]} is older than the first command here, and cannot be checked")
        for seq, subject in self._digests:
            name = f"the digest of the {subject} at seq {seq}"
            if subject.startswith("state/") and subject != STATE_SUBJECT:
                self._verdict.notes.append(f"{name} is of another version of the program")
            elif subject == "events" and span_start(base_seq) < base_seq < seq == span_start(base_seq) + DIGEST_EVERY:
                self._verdict.notes.append(f"{name} is of earlier commands as well, and cannot be checked")
            else:
                raise _Found(seq, f"a digest of the {subject} is recorded for seq {seq}, where none belongs")

    def _compare_with(self, snapshots: list[tuple[str, Snapshot]]) -> None:
        for name, snapshot in snapshots:
            if snapshot.journal_hash != self._engine.head.hash:
                raise _Found(
                    snapshot.seq, f"{name} is of another journal: the hash at seq {snapshot.seq} is not its own"
                )
            if (fault := self._engine.mismatch_with(snapshot)) is not None:
                raise _Found(snapshot.seq, f"{name} is not what it says: {fault}")
            self._verdict.snapshots += 1

    def _compare_digest(self, seq: int, subject: str, recorded: str | None, computed: str) -> None:
        if recorded is None:
            return
        if recorded != computed:
            raise _Found(
                seq, f"the digest of the {subject} recorded at seq {seq} is {recorded}, and now it is {computed}"
            )
        self._verdict.digests += 1

    def _compare_events(self, record: Record, rows: list[EventRow]) -> None:
        recorded: list[EventRow] = []
        while self._next_row is not None and self._next_row[0] == record.seq:
            recorded.append(self._next_row)
            self._advance()
        self._verdict.events += len(recorded)
        if recorded == rows:
            return
        if self._unreadable is not None:
            raise _Found(record.seq, f"the events of seq {record.seq} cannot be read ({self._unreadable})")
        if not recorded and record.seq > self._events_seq:
            self._verdict.events_behind += 1
            return
        for n, row in enumerate(rows):
            if n >= len(recorded) or recorded[n] != row:
                was = repr(recorded[n][2]) if n < len(recorded) else "nothing"
                raise _Found(
                    record.seq,
                    f"seq {record.seq} causes other events than are recorded: event {n} is recorded as {was:.300} "
                    f"and comes out as {row[2]!r:.300}",
                )
        raise _Found(
            record.seq, f"seq {record.seq} has more events recorded than it causes: {recorded[len(rows)][2]!r:.300}"
        )

    def _advance(self) -> None:
        try:
            self._next_row = next(self._events, None)
        except JournalUnreadableError as error:
            self._next_row, self._unreadable = None, error  # the damage is where this row is missed

    def _check(self) -> None:
        """Every invariant. Where one is broken, find out by which command."""
        try:
            self._engine.state.check()
        except AssertionError:
            for seq, broken in self._checks_after(self._last_checked):
                raise _Found(seq, f"after seq {seq} {broken}") from None
            raise
        self._last_checked = self._verdict.last_seq

    def _checks_after(self, seq: int) -> Iterator[tuple[int, AssertionError]]:
        engine = _engine_after(self._reader.path, seq)
        for record in self._reader.records(engine.head, self._verdict.last_seq):
            replay(engine, record)
            try:
                engine.state.check()
            except AssertionError as error:
                yield record.seq, error


def _engine_after(path: Path, seq: int) -> Engine:
    """The exchange after `seq`, without the help of snapshots."""
    return recover(path, lambda sentence: None, lambda done, total: None, seq, use_snapshots=False).engine


def _end_at(verdict: Verdict, last_seq: int) -> None:
    if verdict.last_seq != last_seq:
        missing = verdict.last_seq + 1
        raise _Found(missing, f"seq {missing} is missing: the last command is seq {last_seq}")


def _seq_in(message: str) -> int | None:
    """The seq that a JournalDamagedError begins with."""
    words = message.split()
    with suppress(ValueError, IndexError):
        return int(words[1]) if words[0] == "seq" else None
    return None
