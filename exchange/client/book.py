"""An order book that is kept from what its channel sends, with an eye on gaps."""

from typing import Any

import msgspec
from sortedcontainers import SortedDict

from exchange.projections.wire_types import BookLevel


class BookUpdate(msgspec.Struct):
    """What `book.*` sends: a snapshot, which has no `prev_seq`, or what changed since `prev_seq`."""

    seq: int
    ts_us: int
    bids: list[BookLevel]
    asks: list[BookLevel]
    type: str = "snapshot"
    prev_seq: int | None = None


class Book:
    """The levels of one instrument as of command `seq`; brought up to date in place."""

    def __init__(self, instrument_id: str) -> None:
        self.instrument_id = instrument_id
        self.seq = 0  # 0: no snapshot has come yet, or something was missed since
        self.ts_us = 0
        self._bids: SortedDict[int, BookLevel] = SortedDict()
        self._asks: SortedDict[int, BookLevel] = SortedDict()

    @property
    def bids(self) -> list[BookLevel]:
        """Best first."""
        return list(reversed(self._bids.values()))

    @property
    def asks(self) -> list[BookLevel]:
        """Best first."""
        return list(self._asks.values())

    @property
    def best_bid(self) -> BookLevel | None:
        return self._bids.peekitem(-1)[1] if self._bids else None

    @property
    def best_ask(self) -> BookLevel | None:
        return self._asks.peekitem(0)[1] if self._asks else None

    def take(self, update: BookUpdate) -> bool:
        """Fold in what was sent; False where something before it was missed, and a fresh snapshot is needed."""
        if update.type == "snapshot":
            self._bids.clear()
            self._asks.clear()
        elif update.prev_seq != self.seq:
            self.seq = 0
            return False
        for side, levels in ((self._bids, update.bids), (self._asks, update.asks)):
            _fold(side, levels)
        self.seq, self.ts_us = update.seq, update.ts_us
        return True


def _fold(side: Any, levels: list[BookLevel]) -> None:
    for level in levels:
        if level.size_milli:
            side[level.price_micros] = level
        else:
            side.pop(level.price_micros, None)
