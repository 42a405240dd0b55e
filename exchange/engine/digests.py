"""Digests of events, recorded while the exchange runs. Applying the same commands again must give the same digests.

Events are digested and not the state: this costs almost nothing, however many orders are open, and every change of
state that matters changes the events too.
"""

import hashlib
from bisect import bisect_right

from exchange.domain.events import Event, encode_event_array
from exchange.journal.records import DigestRow, EventRow

DIGEST_EVERY = 10_000  # commands
EVENTS_SUBJECT = "events/2"
OLD_EVENTS_SUBJECT = "events"
# The digest before the first command of a span.
_SPAN_START = bytes(32)


class EventsDigest:
    """A chain of SHA-256 over the events of each span of commands: (0, every], (every, 2 * every] and so on.

    `value` is SHA-256(value before the command | the events of the command as one JSON array). It begins with 32 zero
    bytes before the first command of a span, so that each span can be compared by itself. It is None (unknown) up to
    the end of a span if the events from its beginning are not known.
    """

    def __init__(self, seq: int = 0, value: bytes | None = None, every: int = DIGEST_EVERY) -> None:
        self.seq = seq
        self.value = value
        self._every = every
        self._complete: list[DigestRow] = []

    def add(self, events: list[Event]) -> None:
        """Take the events of the next command."""
        before = self.value if self.seq % self._every else _SPAN_START
        self.seq += 1
        self.value = None if before is None else hashlib.sha256(before + encode_event_array(events)).digest()
        if not self.seq % self._every:
            self._complete += self.rows()

    def rows(self) -> list[DigestRow]:
        """The row that the journal records for the digest after the last command; no row if it is unknown."""
        return [] if self.value is None else [(self.seq, EVENTS_SUBJECT, self.value.hex())]

    def take_complete(self) -> list[DigestRow]:
        """Return the digests of the spans that have ended since the last call."""
        complete, self._complete = self._complete, []
        return complete


class OldEventsDigest:
    """The digest of events that earlier versions recorded every `every` commands: SHA-256 of the events as lines.

    Takes the events in order, from the command after `after_seq` on. An incomplete first span has no digest.
    """

    def __init__(self, after_seq: int, every: int = DIGEST_EVERY) -> None:
        self._every = every
        # The last seq of the current span.
        self._mark = span_start(after_seq, every) + every
        self._is_whole = after_seq % every == 0
        self._hash = hashlib.sha256()

    def add(self, rows: list[EventRow]) -> list[DigestRow]:
        """Take the events of whole commands. Returns the digests that they complete."""
        complete: list[DigestRow] = []
        while rows and rows[-1][0] >= self._mark:
            split = bisect_right(rows, self._mark, key=lambda row: row[0])
            self._take(rows[:split])
            if self._is_whole:
                complete.append((self._mark, OLD_EVENTS_SUBJECT, self._hash.hexdigest()))
            self._hash, self._is_whole = hashlib.sha256(), True
            self._mark += self._every
            rows = rows[split:]
        self._take(rows)
        return complete

    def _take(self, rows: list[EventRow]) -> None:
        self._hash.update("".join([f"{payload}\n" for _, _, payload in rows]).encode())


def span_start(seq: int, every: int = DIGEST_EVERY) -> int:
    """The last seq before the span of the command after `seq`: with spans of 10, 9 gives 0 and 10 gives 10."""
    return seq // every * every
