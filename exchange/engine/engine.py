"""The state machine and its projections as one: live, recovery, replay and audit all run this `step`."""

from exchange.domain.commands import Command, decode_command
from exchange.domain.events import Event
from exchange.journal.records import Head, Record
from exchange.matching.apply import apply
from exchange.matching.state import State
from exchange.matching.state_codec import decode_state, digest, encode_state
from exchange.projections.views import Change, Views
from exchange.projections.views_codec import decode_views, encode_views
from exchange.snapshots.store import Snapshot, digest_of

IMAGE_VERSION = 2  # of the bytes in a snapshot: raise it whenever a state or a view is encoded differently
STATE_SUBJECT = f"state/{IMAGE_VERSION}"  # under which the journal records digests of the whole state


class Engine:
    """The exchange after the command at `head`."""

    def __init__(self, state: State | None = None, views: Views | None = None, head: Head = Head()) -> None:
        self.state = state or State()
        self.views = views or Views()
        self.head = head

    def step(self, record: Record, command: Command) -> tuple[list[Event], Change]:
        """Carry out one recorded command: its events, and what they changed in the views."""
        assert record.seq == self.head.seq + 1, "a command was skipped"
        events = apply(self.state, record.ts_us, command)
        change = self.views.project(record.seq, record.ts_us, events)
        self.head = Head(record.seq, record.ts_us, record.hash)
        return events, change

    def replay(self, record: Record) -> list[Event]:
        """`step`, from what the journal holds."""
        events, _ = self.step(record, decode_command(record.payload))
        return events

    def digest(self) -> str:
        """SHA-256 of the whole state, in hexadecimal."""
        return digest(self.state)

    def snapshot(self) -> Snapshot:
        """The exchange as it is now."""
        state = encode_state(self.state)
        head = self.head
        return Snapshot(
            IMAGE_VERSION, head.seq, head.ts_us, head.hash, digest_of(state), state, encode_views(self.views)
        )

    def mismatch_with(self, snapshot: Snapshot) -> str | None:
        """What in a snapshot that was taken at this seq is not as it is here; None where it is the same."""
        made = f"that the commands up to seq {self.head.seq} make"
        if snapshot.digest != self.digest():
            return f"its state is not the one {made}"
        if (snapshot.ts_us, snapshot.views) != (self.head.ts_us, encode_views(self.views)):
            return f"its views are not those {made}"
        return None

    @classmethod
    def restore(cls, snapshot: Snapshot) -> "Engine":
        """The exchange as it was; an assertion fails or msgspec raises where the images do not make one."""
        head = Head(snapshot.seq, snapshot.ts_us, snapshot.journal_hash)
        return cls(decode_state(snapshot.state), decode_views(snapshot.views), head)
