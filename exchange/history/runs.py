"""The runs of the server on a journal. The SQL view and the command call them sessions."""

from itertools import zip_longest
from pathlib import Path
from typing import Literal, NamedTuple

from exchange.domain.commands import EndSession, StartSession, decode_command
from exchange.engine.engine import STATE_SUBJECT
from exchange.journal.errors import JournalError
from exchange.journal.lock import lock_owner
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Head, Record

Ending = Literal["clean", "crashed", "running"]


class Run(NamedTuple):
    """A run of the server: commands `first_seq` to `last_seq`. Times are in microseconds since 1970 (UTC).

    `digest` is that of the state at the end of the run; None if it was not recorded.
    """

    number: int
    first_seq: int
    last_seq: int
    started_us: int
    ended_us: int
    program_version: str
    ending: Ending
    digest: str | None


def runs(path: Path) -> list[Run]:
    """Return all runs, oldest first. Raises JournalError."""
    with open_journal_reader(path) as reader:
        recorded = [(seq, subject, digest) for seq, subject, digest in reader.digests() if subject.startswith("state/")]
        digests = {seq: digest for seq, subject, digest in recorded if subject == STATE_SUBJECT}
        marks = list(reader.records_where(1, reader.head().seq, [{"kind": "start_session"}, {"kind": "end_session"}]))
        found: list[Run] = []
        for mark, following in zip_longest(marks, marks[1:]):
            command = decode_command(mark.payload)
            if isinstance(command, StartSession):
                ending, end = _ending(reader, mark, following, [seq for seq, _, _ in recorded])
                number, version = len(found) + 1, command.program_version
                found.append(
                    Run(number, mark.seq, end.seq, mark.ts_us, end.ts_us, version, ending, digests.get(end.seq))
                )
    return found


def _ending(
    reader: JournalReader, start: Record, following: Record | None, digest_seqs: list[int]
) -> tuple[Ending, Head]:
    """How a run ended, and its last command. `following` is the next command that begins or ends a run."""
    if following is None:
        return "running" if lock_owner(reader.path) is not None else "crashed", reader.head()
    if isinstance(decode_command(following.payload), EndSession):
        return "clean", Head(following.seq, following.ts_us, following.hash)
    return "crashed", _end_of_crashed(reader, start.seq, following.seq - 1, digest_seqs)


def _end_of_crashed(reader: JournalReader, first_seq: int, last_seq: int, digest_seqs: list[int]) -> Head:
    """Return the last command of a run that crashed and was followed by another one.

    The next start may end a day before it starts its own run. The digest of the state that it records first marks the
    end of the crashed run.
    """
    head = reader.head_at(max((seq for seq in digest_seqs if first_seq <= seq <= last_seq), default=last_seq))
    assert head is not None, "a run without a last command"
    return head


def run_of(path: Path, number: int) -> Run:
    """Return the run with this number. Raises JournalError if there is none."""
    all_runs = runs(path)
    for run in all_runs:
        if run.number == number:
            return run
    existing = f"it has runs 1 to {len(all_runs)}" if all_runs else "no server has run on it"
    raise JournalError(f"there is no run {number} in {path}: {existing}")
