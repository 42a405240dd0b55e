"""A model of the history: the rows of each command, in transactions that a power cut may take back."""

from typing import Any, NamedTuple

from exchange.domain.events import Event, encode_event_array
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Head, Record
from tests.faults.machine import Machine


class HistoryRow(NamedTuple):
    """What the history knows of one command."""

    seq: int
    ts_us: int
    hash: bytes
    events: bytes


class SimulatedHistory:
    """The history of a run. SQLite syncs it only now and then, so that a power cut takes back its last commands."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._random = machine.random("history")
        self.rows: list[HistoryRow] = []

    def end_life(self, is_power_cut: bool) -> None:
        if is_power_cut:
            # The last transactions may be lost; the history is never a part of one.
            del self.rows[len(self.rows) - self._random.choice((0, 0, min(20, len(self.rows)))) :]

    def open(self, reader: JournalReader, _report: Any) -> "SimulatedHistoryWriter":
        """As `open_fitting_writer` does. Raises AssertionError if the history does not fit the journal."""
        writer = SimulatedHistoryWriter(self)
        head = writer.head
        known = reader.head_at(head.seq) if head.seq else head
        assert known == head, f"the history ends with seq {head.seq}, which the journal does not have"
        return writer


class SimulatedHistoryWriter:
    """What the follower needs of a `HistoryWriter`."""

    def __init__(self, history: SimulatedHistory) -> None:
        self._history = history
        self._new: list[HistoryRow] = []
        self.answered_seq = 0

    @property
    def head(self) -> Head:
        """The last command that is written."""
        return Head(*self._history.rows[-1][:3]) if self._history.rows else Head()

    @property
    def seq(self) -> int:
        """The last command that was taken."""
        return self._new[-1].seq if self._new else self.head.seq

    def add(self, record: Record, _command: Any, events: list[Event], _change: Any, _engine: Any) -> None:
        assert record.seq == self.seq + 1, f"the history goes from seq {self.seq} to {record.seq}"
        self._new.append(HistoryRow(record.seq, record.ts_us, record.hash, encode_event_array(events)))

    def seed(self, engine: Any) -> None:
        raise AssertionError("the first commands are missing")

    def set_alarm(self, text: str | None) -> None:
        assert text is None, text

    def flush(self, answers: list[tuple[int, int]]) -> None:
        self._history.machine.step("history")
        if self._history.machine.is_up:
            self._history.rows += self._new
            self._new = []
        self._history.machine.step("history")
        if answers:
            self.answered_seq = answers[-1][0]

    def close(self) -> None:
        pass
