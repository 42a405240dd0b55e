"""An order book kept up to date from its channel. It detects missed changes."""

from typing import Any

import msgspec
from sortedcontainers import SortedDict

from exchange.projections.wire_types import BookLevel


class BookUpdate(msgspec.Struct):
    """A message of a `book.*` channel: a snapshot without `prev_seq`, or the levels that changed since `prev_seq`."""

    seq: int
    ts_us: int
    bids: list[BookLevel]
    asks: list[BookLevel]
    type: str = "snapshot"
    prev_seq: int | None = None


class Book:
    """The levels of one instrument after command `seq`, updated in place.

    `ts_us` is the exchange time of that command, in microseconds since 1970 (UTC). `seq` is 0 while the book is
    incomplete: before the first snapshot, and after a missed change until the next snapshot.
    """

    def __init__(self, instrument_id: str) -> None:
        self.instrument_id = instrument_id
        self.seq = 0
        self.ts_us = 0
        self._bids: SortedDict[int, BookLevel] = SortedDict()
        self._asks: SortedDict[int, BookLevel] = SortedDict()

    @property
    def bids(self) -> list[BookLevel]:
        """The bid levels, highest price first."""
        return list(reversed(self._bids.values()))

    @property
    def asks(self) -> list[BookLevel]:
        """The ask levels, lowest price first."""
        return list(self._asks.values())

    @property
    def best_bid(self) -> BookLevel | None:
        """The highest bid; None if there is no bid."""
        return self._bids.peekitem(-1)[1] if self._bids else None

    @property
    def best_ask(self) -> BookLevel | None:
        """The lowest ask; None if there is no ask."""
        return self._asks.peekitem(0)[1] if self._asks else None

    def apply(self, update: BookUpdate) -> bool:
        """Apply an update. Return False if an earlier change was missed and the book needs a new snapshot."""
        if update.type == "snapshot":
            self._bids.clear()
            self._asks.clear()
        elif update.prev_seq != self.seq:
            self.seq = 0
            return False
        for side, levels in ((self._bids, update.bids), (self._asks, update.asks)):
            _update_side(side, levels)
        self.seq, self.ts_us = update.seq, update.ts_us
        return True


def _update_side(side: Any, levels: list[BookLevel]) -> None:
    for level in levels:
        if level.size_milli:
            side[level.price_micros] = level
        else:
            side.pop(level.price_micros, None)
