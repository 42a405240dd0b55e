"""Checks the chain of the commands before a snapshot, which a start does not replay."""

import time
from pathlib import Path

from exchange.journal.errors import JournalDamagedError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader

# A start reads about 100,000 commands in this time.
START_SECONDS = 0.2
_COMMANDS_AT_ONCE = 5_000


class ChainCheck:
    """Checks the commands after `checked_seq` and up to `last_seq`, a part at a time."""

    def __init__(self, checked_seq: int, last_seq: int) -> None:
        self.checked_seq = checked_seq
        self.last_seq = last_seq

    @property
    def is_done(self) -> bool:
        """True if there is nothing left to check."""
        return self.checked_seq >= self.last_seq

    def step(self, reader: JournalReader) -> None:
        """Check the next part. Raises JournalDamagedError, which names the first damaged command."""
        # Commands that are in archives by now prove themselves when they are read.
        self.checked_seq = max(self.checked_seq, reader.bases[-1].head.seq)
        head = reader.head_at(self.checked_seq)
        if head is None:
            raise JournalDamagedError(f"seq {self.checked_seq} is missing")
        up_to = min(self.last_seq, self.checked_seq + _COMMANDS_AT_ONCE)
        for record in reader.records(head, up_to):
            self.checked_seq = record.seq
        if self.checked_seq < up_to:
            raise JournalDamagedError(f"seq {self.checked_seq + 1} is missing")


def check_unreplayed(path: Path, last_seq: int, seconds: float = START_SECONDS) -> ChainCheck:
    """Check the commands of the file at `path` up to `last_seq`, but not for longer than `seconds`.

    Archives are not read. Raises JournalDamagedError.
    """
    with open_journal_reader(path) as reader:
        check = ChainCheck(reader.bases[-1].head.seq, last_seq)
        until_seconds = time.monotonic() + seconds
        while not check.is_done and time.monotonic() < until_seconds:
            check.step(reader)
    return check
