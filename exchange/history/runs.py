"""The runs of the server, as the journal tells them."""

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
    """One run: commands `first_seq` to `last_seq`. `digest` is that of the state at its end, where one is recorded."""

    number: int
    first_seq: int
    last_seq: int
    started_us: int
    ended_us: int
    program_version: str
    ending: Literal["clean", "crashed", "running"]
    digest: str | None


def runs(path: Path) -> list[Run]:
    """All of them, oldest first. Raises a JournalError."""
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
    """The last command of a run. After a crash the next start may have ended a day before it began its own session:
    the digest of the state that it recorded first says what was left to it."""
    if ending == "crashed":
        last_seq = max((seq for seq in digest_seqs if first_seq <= seq <= last_seq), default=last_seq)
    head = reader.head_at(last_seq)
    assert head is not None, "a session that ends with no command"
    return head


def run_of(path: Path, number: int) -> Run:
    """The session of that number; JournalError says which there are."""
    found = runs(path)
    for session in found:
        if session.number == number:
            return session
    there_are = f"it has sessions 1 to {len(found)}" if found else "no server ever ran on it"
    raise JournalError(f"there is no session {number} in {path}: {there_are}")
