"""Explanations: the timeline of an order, and the events of a command or the figures behind its refusal."""

from contextlib import closing
from pathlib import Path

import msgspec

from exchange.domain.commands import Command
from exchange.domain.events import Event, Refused
from exchange.domain.reasons import Reason
from exchange.engine.recovery import Progress, Report, recover
from exchange.history.moment import Moment, seq_at
from exchange.history.refusal_details import refusal_figures
from exchange.history_db.file import head_of
from exchange.history_db.order_trail import command_record, order_audit_trail, queued_since
from exchange.history_db.past_views import PastViews
from exchange.history_db.update import open_current_history
from exchange.journal.opening import open_journal_reader
from exchange.matching.refusal import Figures
from exchange.projections.order_timeline import PlacedStep, TimelineStep, is_open, timeline_of
from exchange.projections.wire_types import WIRE_NAMES


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


def explain_order(path: Path, order_id: int, report: Report, progress: Progress) -> OrderStory:
    """Return the timeline of an order until now, with its counterparties, from the history.

    The history is first brought up to date. Raises UnknownOrderError and other JournalErrors.
    """
    with closing(open_current_history(path, report, progress)) as history:
        views = PastViews(history, head_of(history).seq)
        steps = timeline_of(order_id, order_audit_trail(views, order_id), names_counterparties=True)
        queue = _queue(views, steps[0], order_id) if isinstance(steps[0], PlacedStep) and is_open(steps) else None
    return OrderStory(order_id, views.seq, steps, queue)


def explain_command(path: Path, seq: int, report: Report, progress: Progress) -> CommandStory:
    """Return command `seq` and its events from the history. Raises JournalError.

    The figures behind a refusal are those of the matcher, so its state is restored by a replay from a snapshot.
    """
    with open_journal_reader(path) as reader:
        seq_at(reader, Moment(seq))
    with closing(open_current_history(path, report, progress)) as history:
        _, ts_us, command, events = command_record(PastViews(history, seq), seq)
    refused = None
    for event in events:
        if isinstance(event, Refused):
            # A refusal changes nothing, so the state after it is the one that refused the command.
            state = recover(path, lambda sentence: None, progress, seq).engine.state
            refused = RefusalStory(event.reason, refusal_figures(state, ts_us, command))
    return CommandStory(seq, ts_us, command, events, refused)


def _queue(views: PastViews, placed: TimelineStep, order_id: int) -> QueuePosition:
    """The position of an open order. At one price, the order that came first trades first."""
    assert isinstance(placed, PlacedStep), "a timeline that does not begin with the placing of the order"
    resting = {order.order_id: order for order in views.open_orders(instrument_id=placed.instrument_id)}
    own = resting[order_id]
    assert own.price_micros is not None, "an open order does not rest"
    level = [one for one in resting.values() if (one.side, one.price_micros) == (own.side, own.price_micros)]
    level.sort(key=lambda one: queued_since(views, one.order_id))
    ahead = level[: level.index(own)]
    # Of an iceberg order only the part that the book shows: the rest comes after this order.
    ahead_milli = sum(one.remaining_milli if one.displayed_milli is None else one.displayed_milli for one in ahead)
    return QueuePosition(len(ahead) + 1, ahead_milli, own.price_micros, own.remaining_milli, own.size_milli)
