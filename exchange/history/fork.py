"""Forks a journal: makes a new journal with the same commands up to a seq, ready for an exchange to run on."""

from pathlib import Path

from exchange.domain.commands import Fork, encode_command
from exchange.engine.recovery import Progress, recover, replay
from exchange.free_space import is_space_low
from exchange.journal.atomic_journal import Draft, copy_pages, copy_rows, new_journal, refuse_leftovers
from exchange.journal.opening import journal_files, open_journal_reader
from exchange.journal.records import Head, chain
from exchange.journal.write_ahead_log import sync_journal
from exchange.runtime.follower import save_and_prune


def fork(path: Path, seq: int, new_path: Path, progress: Progress) -> Head:
    """Write a journal at `new_path` with the commands up to `seq` and one that records the fork. Return its head.

    The journal at `path` and its archives are only read. Raises JournalError.
    """
    refuse_leftovers(new_path)
    engine = recover(path, lambda sentence: None, progress, up_to=seq).engine
    parent = engine.head
    sync_journal(path)
    command = Fork(path.name, parent.seq, parent.hash.hex())
    (record,) = chain(parent, [(parent.ts_us + 1, encode_command(command).decode())])
    with new_journal(new_path) as draft:
        _copy(path, seq, draft)
        replay(engine, record)
        draft.connection.execute("INSERT INTO commands (seq, ts_us, payload, hash) VALUES (?, ?, ?, ?)", record)
    # With a snapshot, the fork of a long journal starts at once.
    if not is_space_low(new_path):
        save_and_prune(new_path, engine.snapshot())
    return engine.head


def _copy(path: Path, seq: int, draft: Draft) -> None:
    """Copy the commands up to `seq`, in the way that takes less time: whole pages if at least half of them are kept."""
    files = journal_files(path)
    with open_journal_reader(path) as reader:
        first_seq, last_seq = reader.bases[0].head.seq, reader.head().seq
    if len(files) == 1 and 2 * (seq - first_seq) >= last_seq - first_seq:
        copy_pages(draft, files[0], seq)
    else:
        copy_rows(draft, files, seq)
