"""Why: the life of one order, and what one command did, with the figures behind a refusal."""

from pathlib import Path

import msgspec

from exchange.domain.commands import Command, decode_command
from exchange.domain.events import Event, Refused
from exchange.domain.reasons import Reason
from exchange.history.moment import Moment, seq_at
from exchange.history.refusal import Figures, figures_of
from exchange.matching.state import State
from exchange.projections.life import PlacedStep, Step, is_open, life_of, wire_name
from exchange.runtime.recovery import Progress, recover, replay
from exchange.runtime.trail import read_trail
from journal.errors import JournalArchivedError, JournalError
from journal.reader import JournalReader


class UnknownOrderError(JournalError):
    """There is no such order; the message says how many there are."""


class Queue(msgspec.Struct, frozen=True, rename=wire_name):
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
    steps: list[Step]
    queue: Queue | None


class Refusal(msgspec.Struct, frozen=True):
    """Which check refused a command, and what it compared."""

    reason: Reason
    figures: Figures


class CommandStory(msgspec.Struct, frozen=True):
    """What command `seq` was, and what it caused."""

    seq: int
    ts_us: int
    command: Command
    events: list[Event]
    refused: Refusal | None


def explain_order(path: Path, order_id: int, progress: Progress) -> OrderStory:
    """The life of an order until now, counterparties named. Raises UnknownOrderError, or another JournalError.

    Events that a running exchange has not recorded yet, or that a crash kept it from recording, are worked out.
    """
    with JournalReader(path) as reader:
        last_seq = reader.head().seq
        recovered = None
        if reader.events_seq() < last_seq:
            recovered = recover(path, _quietly, progress, last_seq)
        trail = read_trail(reader, order_id, last_seq, recovered.missing_events if recovered else [])
    steps = life_of(order_id, trail, names_counterparties=True)
    queue = None
    if not steps or is_open(steps):
        state = (recovered or recover(path, _quietly, progress, last_seq)).core.state
        if not steps:
            count = state.next_order_id - 1
            there_are = f"its orders are 1 to {count}" if count else "none has been accepted yet"
            raise UnknownOrderError(f"there is no order {order_id} in {path}: {there_are}")
        queue = _queue(state, steps[0], order_id)
    return OrderStory(order_id, last_seq, steps, queue)


def explain_command(path: Path, seq: int, progress: Progress) -> CommandStory:
    """What command `seq` did, carried out once more on the state before it. Raises a JournalError."""
    with JournalReader(path) as reader:
        seq_at(reader, Moment(seq))
        record = reader.record_at(seq)
    if record is None:
        raise JournalArchivedError(f"command {seq} is in an archive that is not beside {path}: put it back")
    core = recover(path, _quietly, progress, seq - 1).core
    events = replay(core, record)  # a refusal changes nothing: afterwards the state still is what refused it
    command = decode_command(record.payload)
    refused = None
    for event in events:
        if isinstance(event, Refused):
            refused = Refusal(event.reason, figures_of(core.state, record.ts_us, command, event.reason))
    return CommandStory(seq, record.ts_us, command, events, refused)


def _queue(state: State, placed: Step, order_id: int) -> Queue:
    assert isinstance(placed, PlacedStep), "a life that does not begin with its placing"
    order = state.accounts[placed.user_id].open_orders[order_id]
    assert order.level is not None and order.price_micros is not None, "an open order does not rest"
    place, ahead_milli = 1, 0
    for other in order.level:
        if other is order:
            break
        place += 1
        ahead_milli += other.remaining_milli
    return Queue(place, ahead_milli, order.price_micros, order.remaining_milli, order.size_milli)


def _quietly(_sentence: str) -> None:
    pass
