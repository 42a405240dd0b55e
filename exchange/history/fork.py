"""A live exchange from any past point: a journal of its own, with the same commands up to there."""

from pathlib import Path

from exchange.domain.commands import Fork, encode_command
from exchange.runtime.core import Core
from exchange.runtime.follower import save
from exchange.runtime.recovery import Progress, event_rows, recover, replay
from journal.draft import copy_rows, drafted, refuse_leftovers
from journal.reader import JournalReader
from journal.records import Head, chain


def fork(path: Path, seq: int, new_path: Path, progress: Progress) -> Head:
    """Write the journal at `new_path`: commands up to `seq` as they are, and one that records the parentage.

    Returns its head. The journal at `path` is only read, archives included. Raises a JournalError.
    """
    refuse_leftovers(new_path)
    recovered = recover(path, lambda sentence: None, progress, up_to=seq)
    core = recovered.core
    parent = core.head
    command = Fork(path.name, parent.seq, parent.hash.hex())
    (record,) = chain(parent, [(parent.ts_us + 1, encode_command(command).decode())])
    with JournalReader(path) as reader, drafted(new_path) as draft:
        copy_rows(draft, reader.files, seq)
        rows = recovered.missing_events + event_rows([(record.seq, replay(core, record))])
        draft.connection.execute("INSERT INTO commands (seq, ts_us, payload, hash) VALUES (?, ?, ?, ?)", record)
        draft.connection.executemany("INSERT INTO events (seq, n, payload) VALUES (?, ?, ?)", rows)
    _save_snapshot(new_path, core)
    return core.head


def _save_snapshot(new_path: Path, core: Core) -> None:
    """So that the fork of a long journal starts at once."""
    save(new_path, core.snapshot())
