"""The state machine and its projections together. Live, recovery, replay and audit run the same `step`."""

from exchange.domain.commands import Command, decode_command
from exchange.domain.events import Event
from exchange.engine.digests import EventsDigest
from exchange.journal.records import Head, Record
from exchange.matching.apply import apply
from exchange.matching.reopening import phases_of
from exchange.matching.state import State
from exchange.matching.state_codec import copy_state, decode_state, digest, encode_state
from exchange.projections.fold import Change
from exchange.projections.views import Views
from exchange.projections.views_codec import Compression, MatcherIndexes, copy_views, decode_views, encode_views
from exchange.snapshots.compression import compress, decompress
from exchange.snapshots.store import Snapshot, digest_of

# The encoding of states and views in a snapshot. Raise it whenever one of them is encoded differently.
IMAGE_VERSION = 6
# In version 2, trades and finished orders were not compressed one by one. Version 3 has no version of the rules.
# Version 4 has neither the averages and closing prices of the indexes nor the prices of the last day.
# Version 5 has no candles of the indexes.
READABLE_IMAGE_VERSIONS = (2, 3, 4, 5, IMAGE_VERSION)
# The subject under which the journal records digests of the whole state. Raise it if a state is encoded differently.
STATE_SUBJECT = "state/2"
_COMPRESSION = Compression(compress, decompress)


class Engine:
    """The exchange after the command at `head`."""

    def __init__(
        self,
        state: State | None = None,
        views: Views | None = None,
        head: Head = Head(),
        events_digest: bytes | None = None,
    ) -> None:
        """`events_digest` is the value of `EventsDigest` after `head`; None if it is unknown."""
        self.state = state or State()
        self.views = views or Views()
        self.head = head
        self.events_digest = EventsDigest(head.seq, events_digest)

    def step(self, record: Record, command: Command) -> tuple[list[Event], Change]:
        """Apply one recorded command. Returns its events and what they changed in the views."""
        assert record.seq == self.head.seq + 1, "a command was skipped"
        events = apply(self.state, record.ts_us, command)
        self.events_digest.add(events)
        change = self.views.project(record.seq, record.ts_us, events)
        self.head = Head(record.seq, record.ts_us, record.hash)
        return events, change

    def replay(self, record: Record) -> list[Event]:
        """Apply one record of the journal. Returns its events."""
        events, _ = self.step(record, decode_command(record.payload))
        return events

    def digest(self) -> str:
        """SHA-256 of the encoded state, in hexadecimal. The views are not part of it."""
        return digest(self.state)

    def reopening(self) -> dict[str, int]:
        """The assets that are reopening, by the end of their time of post-only orders; 0: it has not begun."""
        return phases_of(self.state, self.head.ts_us)

    def snapshot(self) -> Snapshot:
        """A snapshot of the current state and views."""
        state = encode_state(self.state)
        head = self.head
        return Snapshot(
            IMAGE_VERSION,
            head.seq,
            head.ts_us,
            head.hash,
            digest_of(state),
            state,
            encode_views(self.views, _COMPRESSION),
            self.events_digest.value,
        )

    def copy(self) -> "Engine":
        """A copy, which changes independently. It shares the orders and trades that never change again, so it takes a
        tenth of the time of a snapshot."""
        return Engine(copy_state(self.state), copy_views(self.views), self.head, self.events_digest.value)

    def mismatch_with(self, snapshot: Snapshot) -> str | None:
        """Why a snapshot of this seq differs from the current state or views; None if it is equal."""
        made = f"that the commands up to seq {self.head.seq} make"
        if snapshot.digest != self.digest():
            return f"its state is not the one {made}"
        views = decode_views(snapshot.views, decompress, lambda: _indexes_of(self.state))
        # A snapshot of an earlier version, and one that a start from it wrote, lack the running candles.
        for asset, candles in views.fold.index_candles.items():
            if (known := self.views.fold.index_candles.get(asset)) is not None:
                candles.complete(known)
        if (snapshot.ts_us, encode_views(views)) != (self.head.ts_us, encode_views(self.views)):
            return f"its views are not those {made}"
        digests = snapshot.events_digest, self.events_digest.value
        if None not in digests and digests[0] != digests[1]:
            return f"its digest of the events is not the one {made}"
        return None

    @classmethod
    def restore(cls, snapshot: Snapshot) -> "Engine":
        """The engine as it was at the snapshot. Raises AssertionError or a msgspec error if an image is damaged."""
        head = Head(snapshot.seq, snapshot.ts_us, snapshot.journal_hash)
        state = decode_state(snapshot.state)
        views = decode_views(snapshot.views, decompress, lambda: _indexes_of(state))
        return cls(state, views, head, snapshot.events_digest)


def _indexes_of(state: State) -> MatcherIndexes:
    closed = [book for book in state.books.values() if book.state == "expired" and book.delivery_micros is None]
    closing = {book.instrument_id: book.index_micros for book in closed if book.index_micros}
    return MatcherIndexes(state.indexes, closing)
