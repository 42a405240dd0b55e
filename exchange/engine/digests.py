"""Digests of what the exchange did, recorded while it runs: whoever applies the same commands must come to the same.

The events are digested, not the state: that costs the running exchange next to nothing however much is open, and no
change of state that matters leaves the events as they were.
"""

import hashlib
from bisect import bisect_right

from exchange.journal.records import DigestRow, EventRow

DIGEST_EVERY = 10_000  # commands


class EventsDigest:
    """SHA-256 of the events of every `every` commands: (0, every], (every, 2 * every] and so on.

    Hears the events in order, beginning after command `after_seq`. The first span is left out unless it is heard whole.
    """

    def __init__(self, after_seq: int, every: int = DIGEST_EVERY) -> None:
        self._every = every
        self._mark = span_start(after_seq, every) + every  # the seq that ends this span
        self._is_whole = after_seq % every == 0
        self._hash = hashlib.sha256()

    def add(self, rows: list[EventRow]) -> list[DigestRow]:
        """Take the events of whole commands; returns the digests that are complete with them."""
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
    """The command after which the span with the one after `seq` begins."""
    return seq // every * every
