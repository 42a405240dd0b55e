"""Reading a journal, also while it is being written: a read-only connection that checks the chain as it goes."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from journal.records import EventRow, Head, Record, check_link
from journal.schema import connect_read_only


class JournalReader:
    """A read-only view of the journal at `path`. A context manager; raises a JournalError where it is none."""

    def __init__(self, path: Path) -> None:
        self._connection = connect_read_only(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self._connection.close()

    def head(self) -> Head:
        """The last record, or an empty head."""
        row = self._connection.execute("SELECT seq, ts_us, hash FROM commands ORDER BY seq DESC LIMIT 1").fetchone()
        return Head(*row) if row else Head()

    def head_at(self, seq: int) -> Head | None:
        """The record `seq` as a head; None where there is no such record."""
        if seq == 0:
            return Head()
        row = self._connection.execute("SELECT seq, ts_us, hash FROM commands WHERE seq = ?", (seq,)).fetchone()
        return Head(*row) if row else None

    def events_seq(self) -> int:
        """The last command whose events are recorded."""
        (seq,) = self._connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        return int(seq)

    def records(self, after: Head, up_to: int | None = None) -> Iterator[Record]:
        """The records that follow `after`, until seq `up_to`; each is checked to continue the one before.

        Raises JournalDamagedError at the first that does not.
        """
        head = after
        last = up_to if up_to is not None else 2**63 - 1
        rows = self._connection.execute(
            "SELECT seq, ts_us, payload, hash FROM commands WHERE seq > ? AND seq <= ? ORDER BY seq", (after.seq, last)
        )
        for row in rows:
            record = Record(*row)
            head = check_link(head, record)
            yield record

    def newest(self, count: int) -> list[Record]:
        """The last `count` records, oldest first."""
        rows = self._connection.execute(
            "SELECT seq, ts_us, payload, hash FROM commands ORDER BY seq DESC LIMIT ?", (count,)
        ).fetchall()
        return [Record(*row) for row in reversed(rows)]

    def events(self, first_seq: int, last_seq: int) -> Iterator[EventRow]:
        """The recorded events of these commands, in order."""
        return self._connection.execute(
            "SELECT seq, n, payload FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq, n", (first_seq, last_seq)
        )

    def data_version(self) -> int:
        """Changes whenever another connection has written."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)
