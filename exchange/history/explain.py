"""Why: the life of one order, and what one command did, with the figures behind a refusal."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from exchange.domain.commands import Command
from exchange.domain.events import Event, Refused
from exchange.domain.reasons import Reason
from exchange.engine.recovery import Progress, event_rows, recover
from exchange.history.moment import Moment, seq_at
from exchange.history.refusal_details import refusal_figures
from exchange.history.replay import ReplayStep as Done
from exchange.history.replay import replay_range
from exchange.journal.errors import JournalDamagedError, JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import EventRow
from exchange.matching.refusal import Figures
from exchange.matching.state import State
from exchange.projections.order_timeline import PlacedStep, TimelineStep, is_open, timeline_of
from exchange.projections.wire_types import WIRE_NAMES
from exchange.runtime.order_audit_trail import read_order_audit_trail


class UnknownOrderError(JournalError):
    """There is no such order; the message says how many there are."""


class QueuePosition(msgspec.Struct, frozen=True, rename=WIRE_NAMES):
    """Where an open order stands at its price: `place` 1 trades next, `ahead_milli` is what trades before it."""

    place: int
    ahead_milli: int
    price_micros: int
    remaining_milli: int
    size_milli: int


class OrderStory(msgspec.Struct, frozen=True):
    """The life of an order up to command `seq`; `queue` while it is open."""

    order_id: int
    seq: int
    steps: list[TimelineStep]
    queue: QueuePosition | None


class RefusalStory(msgspec.Struct, frozen=True):
    """Which check refused a command, and what it compared."""

    reason: Reason
    figures: Figures


class CommandStory(msgspec.Struct, frozen=True):
    """What command `seq` was, and what it caused."""

    seq: int
    ts_us: int
    command: Command
    events: list[Event]
    refused: RefusalStory | None


def explain_order(path: Path, order_id: int, progress: Progress, believes_events: bool = False) -> OrderStory:
    """The life of an order until now, counterparties named. Raises UnknownOrderError, or another JournalError.

    Recorded events tell it; unless they are believed, the commands from its placing to its end, or to the last one, are
    carried out once more to prove them. Those that are not recorded yet, or never were for a crash, are worked out.
    """
    with open_journal_reader(path) as reader:
        last_seq = reader.head().seq
        state: State | None = None
        unrecorded: list[EventRow] = []
        if reader.events_seq() < last_seq:
            engine, unrecorded = recover(path, _quietly, progress, last_seq)
            state = engine.state
        steps = timeline_of(
            order_id, read_order_audit_trail(reader, order_id, last_seq, unrecorded), names_counterparties=True
        )
        if steps and not believes_events:
            for done in _proven(reader, steps[0].seq, last_seq if is_open(steps) else steps[-1].seq, progress):
                state = done.engine.state
    queue = None
    if not steps or is_open(steps):
        state = state or recover(path, _quietly, progress, last_seq).engine.state
        if not steps:
            raise _unknown(order_id, path, state.next_order_id - 1)
        queue = _queue(state, path, steps[0], order_id)
    return OrderStory(order_id, last_seq, steps, queue)


def explain_command(path: Path, seq: int, progress: Progress) -> CommandStory:
    """What command `seq` did, carried out once more on the state before it. Raises a JournalError."""
    with open_journal_reader(path) as reader:
        seq_at(reader, Moment(seq))
        ((record, command, events, _, engine),) = _proven(reader, seq, seq, progress)
    refused = None
    for event in events:
        if isinstance(event, Refused):
            refused = RefusalStory(event.reason, refusal_figures(engine.state, record.ts_us, command))
    return CommandStory(seq, record.ts_us, command, events, refused)


def _proven(reader: JournalReader, first_seq: int, last_seq: int, progress: Progress) -> Iterator[Done]:
    """Carry out these commands; JournalDamagedError at the first whose recorded events are not what it causes."""
    recorded_seq = reader.events_seq()
    for done in replay_range(reader.path, first_seq, last_seq, progress):
        seq = done.record.seq
        if seq <= recorded_seq and list(reader.events(seq, seq)) != event_rows([(seq, done.events)]):
            raise JournalDamagedError(
                f"seq {seq} of {reader.path} has other events recorded than its command causes, so what "
                "they tell is not what happened: see `exchange journal verify`; `exchange journal rebuild` writes "
                "events anew from the commands"
            )
        yield done


def _unknown(order_id: int, path: Path, count: int) -> JournalError:
    if order_id <= count:
        return _untold(order_id, path, "was placed")
    there_are = f"its orders are 1 to {count}" if count else "none has been accepted yet"
    return UnknownOrderError(f"there is no order {order_id} in {path}: {there_are}")


def _untold(order_id: int, path: Path, what: str) -> JournalError:
    return JournalDamagedError(
        f"order {order_id} {what}, but no event in {path} tells of it: see `exchange journal verify`; "
        "`exchange journal rebuild` writes events anew from the commands"
    )


def _queue(state: State, path: Path, placed: TimelineStep, order_id: int) -> QueuePosition:
    assert isinstance(placed, PlacedStep), "a life that does not begin with its placing"
    order = state.accounts[placed.user_id].open_orders.get(order_id)
    if order is None:
        raise _untold(order_id, path, "has ended")
    assert order.level is not None and order.price_micros is not None, "an open order does not rest"
    place, ahead_milli = 1, 0
    for other in order.level:
        if other is order:
            break
        place += 1
        ahead_milli += other.remaining_milli
    return QueuePosition(place, ahead_milli, order.price_micros, order.remaining_milli, order.size_milli)


def _quietly(_sentence: str) -> None:
    pass
