"""Explanations: the timeline of an order, and the events of a command or the figures behind its refusal."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from exchange.domain.commands import Command
from exchange.domain.events import Event, Refused
from exchange.domain.reasons import Reason
from exchange.engine.recovery import Progress, event_rows, recover
from exchange.history.moment import Moment, seq_at
from exchange.history.refusal_details import refusal_figures
from exchange.history.replay import ReplayStep, replay_range
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
    """The journal has no such order; the message says which orders it has."""


class QueuePosition(msgspec.Struct, frozen=True, rename=WIRE_NAMES):
    """The position of an open order in the queue of its price.

    `place` 1 trades next. `ahead_milli` is the size of the orders that trade before it.
    """

    place: int
    ahead_milli: int
    price_micros: int
    remaining_milli: int
    size_milli: int


class OrderStory(msgspec.Struct, frozen=True):
    """The timeline of an order up to command `seq`, and its place in the queue if it is still open."""

    order_id: int
    seq: int
    steps: list[TimelineStep]
    queue: QueuePosition | None


class RefusalStory(msgspec.Struct, frozen=True):
    """The check that refused a command, and the figures that it compared."""

    reason: Reason
    figures: Figures


class CommandStory(msgspec.Struct, frozen=True):
    """Command `seq` and the events it caused."""

    seq: int
    ts_us: int
    command: Command
    events: list[Event]
    refused: RefusalStory | None


def explain_order(path: Path, order_id: int, progress: Progress, trusts_events: bool = False) -> OrderStory:
    """Return the timeline of an order until now, with its counterparties.

    It is read from the recorded events. Unless `trusts_events`, all commands from the placing of the order to its end
    (or the last command) are replayed to prove these events. Events that are not recorded yet, or were lost in a crash,
    are computed. Raises UnknownOrderError and other JournalErrors.
    """
    with open_journal_reader(path) as reader:
        last_seq = reader.head().seq
        state: State | None = None
        unrecorded: list[EventRow] = []
        if reader.events_seq() < last_seq:
            engine, unrecorded = recover(path, _ignore, progress, last_seq)
            state = engine.state
        steps = timeline_of(
            order_id, read_order_audit_trail(reader, order_id, last_seq, unrecorded), names_counterparties=True
        )
        if steps and not trusts_events:
            for step in _proven(reader, steps[0].seq, last_seq if is_open(steps) else steps[-1].seq, progress):
                state = step.engine.state
    queue = None
    if not steps or is_open(steps):
        state = state or recover(path, _ignore, progress, last_seq).engine.state
        if not steps:
            raise _no_such_order(order_id, path, state.next_order_id - 1)
        queue = _queue(state, path, steps[0], order_id)
    return OrderStory(order_id, last_seq, steps, queue)


def explain_command(path: Path, seq: int, progress: Progress) -> CommandStory:
    """Replay command `seq` on the state before it and return what it did. Raises JournalError."""
    with open_journal_reader(path) as reader:
        seq_at(reader, Moment(seq))
        ((record, command, events, _, engine),) = _proven(reader, seq, seq, progress)
    refused = None
    for event in events:
        # A refusal changes nothing, so this is still the state that refused the command.
        if isinstance(event, Refused):
            refused = RefusalStory(event.reason, refusal_figures(engine.state, record.ts_us, command))
    return CommandStory(seq, record.ts_us, command, events, refused)


def _proven(reader: JournalReader, first_seq: int, last_seq: int, progress: Progress) -> Iterator[ReplayStep]:
    """Replay these commands. Raises JournalDamagedError at the first whose recorded events differ."""
    recorded_seq = reader.events_seq()
    for step in replay_range(reader.path, first_seq, last_seq, progress):
        seq = step.record.seq
        if seq <= recorded_seq and list(reader.events(seq, seq)) != event_rows([(seq, step.events)]):
            raise JournalDamagedError(
                f"seq {seq} of {reader.path} has other events recorded than its command causes, so the timeline "
                "cannot be trusted: run `exchange journal verify`; `exchange journal rebuild` writes the events again "
                "from the commands"
            )
        yield step


def _no_such_order(order_id: int, path: Path, count: int) -> JournalError:
    if order_id <= count:
        return _missing_event(order_id, path, "was placed")
    existing = f"it has orders 1 to {count}" if count else "it has no orders yet"
    return UnknownOrderError(f"there is no order {order_id} in {path}: {existing}")


def _missing_event(order_id: int, path: Path, change: str) -> JournalError:
    return JournalDamagedError(
        f"order {order_id} {change}, but no event in {path} records it: run `exchange journal verify`; "
        "`exchange journal rebuild` writes the events again from the commands"
    )


def _queue(state: State, path: Path, placed: TimelineStep, order_id: int) -> QueuePosition:
    assert isinstance(placed, PlacedStep), "a timeline that does not begin with the placing of the order"
    order = state.accounts[placed.user_id].open_orders.get(order_id)
    if order is None:
        raise _missing_event(order_id, path, "has ended")
    assert order.level is not None and order.price_micros is not None, "an open order does not rest"
    place, ahead_milli = 1, 0
    for other in order.level:
        if other is order:
            break
        place += 1
        ahead_milli += other.remaining_milli
    return QueuePosition(place, ahead_milli, order.price_micros, order.remaining_milli, order.size_milli)


def _ignore(_sentence: str) -> None:
    pass
