"""The runs of the server on a journal. The SQL view and the command call them sessions."""

from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

from exchange.engine.engine import STATE_SUBJECT
from exchange.journal.errors import JournalError
from exchange.journal.lock import lock_owner
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Head
from exchange.journal.sql_union import connect_union


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
    ending: Literal["clean", "crashed", "running"]
    digest: str | None


def runs(path: Path) -> list[Run]:
    """Return all runs, oldest first. Raises JournalError."""
    with closing(connect_union(path)) as connection:
        rows = connection.execute(
            "SELECT session, first_seq, last_seq, started_us, ended_us, program_version, ending FROM sessions"
        ).fetchall()
    with open_journal_reader(path) as reader:
        recorded = [(seq, subject, digest) for seq, subject, digest in reader.digests() if subject.startswith("state/")]
        ends = [_end(reader, row[1], row[2], row[6], [seq for seq, _, _ in recorded]) for row in rows]
    digests = {seq: digest for seq, subject, digest in recorded if subject == STATE_SUBJECT}
    last_ending: Literal["crashed", "running"] = "running" if lock_owner(path) is not None else "crashed"
    return [
        Run(
            number,
            first_seq,
            end.seq,
            started_us,
            end.ts_us,
            version,
            ending if ending in ("clean", "crashed") else last_ending,
            digests.get(end.seq),
        )
        for (number, first_seq, _, started_us, _, version, ending), end in zip(rows, ends, strict=True)
    ]


def _end(reader: JournalReader, first_seq: int, last_seq: int, ending: str, digest_seqs: list[int]) -> Head:
    """Return the last command of a run.

    After a crash, the next start may end a day before it starts its own run. The digest of the state that it records
    first marks the end of the crashed run.
    """
    if ending == "crashed":
        last_seq = max((seq for seq in digest_seqs if first_seq <= seq <= last_seq), default=last_seq)
    head = reader.head_at(last_seq)
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
