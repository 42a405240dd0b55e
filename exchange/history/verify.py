"""Verifies a journal: replays it once and compares the result with the recorded events, snapshots, digests and history.

It stops at the first damage, because everything after that builds on it.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from exchange.engine.recovery import Progress
from exchange.history.audit import Audit
from exchange.history.expectations import Expectation, compare
from exchange.history.history_audit import HistoryAudit
from exchange.history.verdict import DamageError, Verdict, check_last_seq
from exchange.journal.errors import CommandsLostError, JournalDamagedError, JournalUnreadableError
from exchange.journal.file_faults import file_faults
from exchange.journal.lock import is_locked
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.write_ahead_log import is_log_whole
from exchange.runtime.lost_commands import damaged_files, refuse_lost_commands


def _ignore(_done: int, _total: int) -> None:
    pass


def verify(
    path: Path,
    fast: bool,
    progress: Progress,
    expectations: Sequence[Expectation] = (),
    until: int | None = None,
    row_progress: Progress = _ignore,
) -> Verdict:
    """Verify the journal at `path` and return the verdict. With `fast`, verify only the hash chain of the commands.

    With `expectations`, the recorded hashes are compared first, because that takes no time. The chain then shows that
    they are the hashes of the commands.

    Commands after seq `until` are not verified. The history is compared up to its last command. `progress` hears of
    commands that were carried out, and then `row_progress` of rows of the history that were compared.

    Only reads. Raises JournalError if there is no readable journal: no file, another file format, a newer version of
    the program, or no permission.
    """
    verdict = Verdict(str(path))
    try:
        with open_journal_reader(path) as reader:
            refuse_lost_commands(path)
            if not is_locked(path):
                is_log_whole(path, verdict.notes.append)
            for fault in damaged_files(path):
                raise DamageError(None, fault)
            verdict.expected = compare(reader, expectations)
            if fast:
                _verify_chain(reader, verdict, progress, until)
            else:
                # The history is never ahead of the journal, so its end is read first.
                with HistoryAudit(reader, until, verdict, row_progress) as history:
                    Audit(reader, verdict, progress, history, until).run()
                    _verify_files(path)
                    history.compare()
    except DamageError as error:
        verdict.damage, verdict.damaged_seq = str(error), error.seq
    except CommandsLostError as error:
        verdict.damage, verdict.damaged_seq = str(error), error.seq
    except JournalUnreadableError as error:
        verdict.damage = f"the file cannot be read after seq {verdict.first_seq + verdict.commands - 1} ({error})"
        verdict.damaged_seq = verdict.first_seq + verdict.commands
    except JournalDamagedError as error:
        verdict.damage, verdict.damaged_seq = str(error), _seq_in(str(error))
    return verdict


def _verify_chain(reader: JournalReader, verdict: Verdict, progress: Progress, until: int | None) -> None:
    base, last_seq = reader.bases[0].head, reader.head().seq
    if until is not None:
        last_seq = min(last_seq, until)
    verdict.first_seq = base.seq + 1
    for record in reader.records(base, last_seq):
        verdict.commands, verdict.last_seq = verdict.commands + 1, record.seq
        progress(verdict.commands, last_seq - base.seq)
    check_last_seq(verdict, last_seq)


def _verify_files(path: Path) -> None:
    """Check what a replay does not read.

    Raises DamageError for rows that belong to no command of the file, a changed schema and damaged pages.
    """
    for fault in file_faults(path):
        raise DamageError(fault.seq, fault.text)


def _seq_in(message: str) -> int | None:
    """The seq at the beginning of a JournalDamagedError's text; None if there is none."""
    words = message.split()
    with suppress(ValueError, IndexError):
        return int(words[1]) if words[0] == "seq" else None
    return None
