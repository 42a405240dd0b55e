"""Checks of the recorded times of answers, which no replay can compute again."""

from collections import deque

from exchange.amounts import iso_time
from exchange.history.verdict import DamageError
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Record

# Rows are read in spans of this number of commands.
_SPAN = 1_000
# A clock that is ahead of the wall clock continues from the last command after a restart. So the new run may begin
# before the last answer of the old one, by the latency of that answer.
_LATENCY_MAX_US = 60_000_000
_START = '{"kind":"start_session"'
_ALTERED = "the row in the table answers was added or altered, or the system clock was set back"


class AnswerAudit:
    """Checks each recorded time against the commands and the time before it.

    `file_faults` finds rows whose seq is not a recorded command.
    """

    def __init__(self, reader: JournalReader) -> None:
        self._reader = reader
        self._rows: deque[tuple[int, int, int]] = deque()
        self._read_seq = 0
        self._last_seq = 0
        self._last_us = 0

    def check(self, record: Record) -> None:
        """Check the answer of a command; the caller passes all commands in order. Raises DamageError."""
        if record.payload.startswith(_START):
            self._check_run(record)
        if record.seq > self._read_seq:
            self._read_seq = record.seq + _SPAN - 1
            self._rows = deque(self._reader.answer_times(record.seq, self._read_seq))
        if self._rows and self._rows[0][0] == record.seq:
            seq, ts_us, answered_us = self._rows.popleft()
            if answered_us < ts_us:
                self._refuse(seq, answered_us, f"before the command at {iso_time(ts_us)}")
            if answered_us < self._last_us:
                self._refuse(seq, answered_us, f"before the answer of seq {self._last_seq}")
            self._last_seq, self._last_us = seq, answered_us

    def _check_run(self, start: Record) -> None:
        """Check the last answer of the run before `start`. The clock of each run begins anew."""
        if self._last_us > start.ts_us + _LATENCY_MAX_US:
            self._refuse(self._last_seq, self._last_us, f"after the next run began at {iso_time(start.ts_us)}")
        self._last_us = 0

    def _refuse(self, seq: int, answered_us: int, problem: str) -> None:
        # An added row may have a number that is no time.
        is_time = abs(answered_us) < 2**57
        answered = iso_time(answered_us) if is_time else f"{answered_us} microseconds"
        raise DamageError(seq, f"the answer of seq {seq} is recorded at {answered}, {problem}: {_ALTERED}")
