"""Compacts a journal into an archive of the first kind, a journal file of its own, as earlier versions did."""

from pathlib import Path

from exchange.engine.engine import STATE_SUBJECT
from exchange.engine.recovery import recover
from exchange.journal.archives import archive_path
from exchange.journal.atomic_journal import copy_rows, new_journal
from exchange.journal.offline import continue_from, prepare_offline
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Checkpoint, Head
from exchange.snapshots.store import pack


def compact_into_journal(path: Path, before_seq: int) -> Path:
    """Move the commands before `before_seq` into an archive. Returns it."""
    prepare_offline(path)
    with open_journal_reader(path) as reader:
        first_seq = reader.bases[-1].head.seq + 1
    snapshot = recover(path, lambda sentence: None, lambda done, total: None, up_to=before_seq - 1).engine.snapshot()
    archive = archive_path(path, first_seq, before_seq - 1)
    archive.parent.mkdir(exist_ok=True)
    with new_journal(archive) as draft:
        copy_rows(draft, [path], snapshot.seq)
        draft.connection.execute(
            "INSERT OR IGNORE INTO digests (seq, subject, digest) VALUES (?, ?, ?)",
            (snapshot.seq, STATE_SUBJECT, snapshot.digest),
        )
        draft.path.chmod(0o444)
    continue_from(path, Checkpoint(Head(snapshot.seq, snapshot.ts_us, snapshot.journal_hash), pack(snapshot)))
    return archive
