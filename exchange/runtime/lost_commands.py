"""Commands that a journal has lost: files next to it know later ones.

Every such file is written after its commands are on disk in the journal, so none can be ahead of a whole journal.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from exchange.history_db.file import history_path, last_seq_of
from exchange.journal.archives import all_archives
from exchange.journal.errors import CommandsLostError
from exchange.journal.file_header import log_path
from exchange.journal.lock import is_lock_file_damaged, is_locked, lock_file, recorded_seq
from exchange.journal.opening import open_journal_reader
from exchange.journal.write_ahead_log import refuse_mixture
from exchange.runtime.follower import read_status, status_file
from exchange.snapshots.store import SnapshotStore


class KnownSeq(NamedTuple):
    """The last command that a file of a journal knows, and the name of that file for messages."""

    seq: int
    file: str


def known_seqs(path: Path) -> list[KnownSeq]:
    """The last command that each kind of file next to the journal at `path` knows, the latest first.

    A file that cannot be read knows nothing. The journal itself is not read.
    """
    found = [KnownSeq(*one) for one in _known(path) if one[0]]
    return sorted(found, key=lambda known: -known.seq)


def _known(path: Path) -> Iterator[tuple[int, str]]:
    rungs, archives = SnapshotStore(path).rungs(), all_archives(path)
    yield max((rung.seq for rung in rungs), default=0), "the newest snapshot"
    yield max((archive.last_seq for archive in archives), default=0), "the last archive"
    yield last_seq_of(path), history_path(path).name
    if (status := read_status(path)) is not None:
        yield status.seq, status_file(path).name
    yield recorded_seq(path), f"{path.name}.lock"


def refuse_lost_commands(path: Path) -> None:
    """Raise CommandsLostError if a file next to the journal at `path` knows a later command. Only reads.

    Raises JournalDamagedError instead if the chain of commands breaks at the start of the -wal.

    The message names the last command of the journal, the last one that is known, and the files that know later ones.
    """
    # A running exchange appends meanwhile, so the journal is read last.
    known = known_seqs(path)
    if not path.exists() or not path.stat().st_size:
        if known:
            raise CommandsLostError(
                1,
                f"there is no journal at {path}, but {_others(known)}: {_commands(1, known[0].seq)} lost",
                ". For a new journal, choose another name",
            )
        return
    with open_journal_reader(path) as reader:
        head = reader.head()
        digests = [KnownSeq(seq, "a digest in the journal") for seq, _, _ in reader.digests(head.seq)]
    known = [one for one in sorted([*known, *digests], key=lambda one: -one.seq) if one.seq > head.seq]
    if known:
        if log_path(path).exists():
            # A backup that was copied to a -wal needs another step than a journal that lost commands.
            refuse_mixture(path)
        raise CommandsLostError(
            head.seq + 1,
            f"{path} ends with seq {head.seq}, but {_others(known)}: {_commands(head.seq + 1, known[0].seq)} lost",
        )


def damaged_files(path: Path) -> Iterator[str]:
    """Sentences about the small files next to the journal at `path` that cannot be read. They may be deleted."""
    if status_file(path).exists() and read_status(path) is None:
        yield f"{status_file(path)} is damaged: delete it, the follower writes it again"
    if not is_locked(path) and is_lock_file_damaged(path):
        yield f"{lock_file(path)} is damaged: delete it, the exchange writes it again"


def _commands(first_seq: int, last_seq: int) -> str:
    if first_seq == last_seq:
        return f"seq {first_seq} is"
    return f"seq {first_seq} to {last_seq} ({last_seq - first_seq + 1:,} commands) are"


def _others(known: list[KnownSeq]) -> str:
    """The knowledge of the files, such as "the newest snapshot has seq 12, exchange.db.lock has seq 14"."""
    return ", ".join(f"{one.file} has seq {one.seq}" for one in known)
