"""A live exchange from any past point: a journal of its own, with the same commands up to there."""

from pathlib import Path

from exchange.domain.commands import Fork, encode_command
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, event_rows, recover, replay
from exchange.journal.atomic_journal import copy_rows, new_journal, refuse_leftovers
from exchange.journal.opening import journal_files
from exchange.journal.records import Head, chain
from exchange.runtime.follower import save_and_prune


def fork(path: Path, seq: int, new_path: Path, progress: Progress) -> Head:
    """Write the journal at `new_path`: commands up to `seq` as they are, and one that records the parentage.

    Returns its head. The journal at `path` is only read, archives included. Raises a JournalError.
    """
    refuse_leftovers(new_path)
    recovered = recover(path, lambda sentence: None, progress, up_to=seq)
    engine = recovered.engine
    parent = engine.head
    command = Fork(path.name, parent.seq, parent.hash.hex())
    (record,) = chain(parent, [(parent.ts_us + 1, encode_command(command).decode())])
    with new_journal(new_path) as draft:
        copy_rows(draft, journal_files(path), seq)
        rows = recovered.missing_events + event_rows([(record.seq, replay(engine, record))])
        draft.connection.execute("INSERT INTO commands (seq, ts_us, payload, hash) VALUES (?, ?, ?, ?)", record)
        draft.connection.executemany("INSERT INTO events (seq, n, payload) VALUES (?, ?, ?)", rows)
    _save_snapshot(new_path, engine)
    return engine.head


def _save_snapshot(new_path: Path, engine: Engine) -> None:
    """So that the fork of a long journal starts at once."""
    save_and_prune(new_path, engine.snapshot())
