"""Digests of events, recorded while the exchange runs. Applying the same commands again must give the same digests.

Events are digested and not the state: this costs almost nothing, however many orders are open, and every change of
state that matters changes the events too.
"""

import hashlib
from bisect import bisect_right

from exchange.journal.records import DigestRow, EventRow

DIGEST_EVERY = 10_000  # commands


class EventsDigest:
    """SHA-256 of the events of every `every` commands: (0, every], (every, 2 * every] and so on.

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
                complete.append((self._mark, "events", self._hash.hexdigest()))
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
