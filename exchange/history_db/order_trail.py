"""The audit trail of one order in a history: the commands that changed it, and the refused ones that named it.

Each function takes the views of a moment and reads the history up to there.
"""

from msgspec import UNSET
from msgspec.structs import replace

from exchange.domain.commands import decode_command
from exchange.domain.events import OrderEdited, Traded, decode_event
from exchange.history_db.file import HistoryError
from exchange.history_db.order_text import step_sentence
from exchange.history_db.past_views import PastViews
from exchange.journal.errors import JournalArchivedError
from exchange.projections.order_timeline import (
    CommandRecord,
    PlacedStep,
    TimelineStep,
    TriggerPlacedStep,
    timeline_of,
)

# Orders and trigger orders, which have ids and names in common.
_PLACED = (
    "(SELECT order_id, user_id, client_order_id, label, placed_seq FROM orders UNION ALL "
    "SELECT order_id, user_id, client_order_id, label, placed_seq FROM trigger_orders)"
)
# The kind of the row that stands for the commands before the first one of the journal.
_BASE = "base"
# Refused edits and cancellations of an order. A unary plus keeps SQLite from an index that finds more rows.
_REFUSED_EDITS = (
    "SELECT seq FROM command WHERE outcome = 'refused' AND kind IN ('edit_order', 'cancel_order') "
    "AND +seq > :placed_seq AND +seq <= :until "
)
_REFUSED_BY_ID = _REFUSED_EDITS + "AND +user = :user AND order_id = :order_id"
_REFUSED_BY_NAME = _REFUSED_EDITS + "AND user = :user AND order_id IS NULL AND payload ->> '$.client_order_id' = :name"
# Those that named one order by its label. They have no client_order_id, which the index begins with.
_REFUSED_BY_LABEL = (
    _REFUSED_EDITS + "AND user = :user AND order_id IS NULL AND payload ->> '$.client_order_id' IS NULL "
    "AND payload ->> '$.label' = :label"
)


class UnknownOrderError(HistoryError):
    """There is no such order; the message says which orders there are."""

    reason = "order_not_found"


def own_order_timeline(views: PastViews, user_id: str, order_id: int) -> list[TimelineStep]:
    """The timeline of the user's order; empty if the user has no such order.

    Raises JournalArchivedError if the order may have been placed before the first command here.
    """
    try:
        owner = _placing(views, order_id)[1]
    except UnknownOrderError:
        return []
    return timeline_of(order_id, order_audit_trail(views, order_id)) if owner == user_id else []


def in_words(steps: list[TimelineStep]) -> list[TimelineStep]:
    """The steps of an order, from its placing on, with their texts."""
    placed = steps[0]
    assert isinstance(placed, PlacedStep | TriggerPlacedStep), "the history of an order does not begin with its placing"
    return [replace(step, text=step_sentence(step, placed)) for step in steps]


def order_named(views: PastViews, user_id: str, client_order_id: str) -> int | None:
    """The user's newest order with this client_order_id; None if there is none."""
    row = views.query(
        f"SELECT order_id FROM {_PLACED} WHERE client_order_id = :name AND user_id = :user_id AND placed_seq <= :seq "
        "ORDER BY order_id DESC LIMIT 1",
        name=client_order_id,
        user_id=user_id,
    ).fetchone()
    return None if row is None else int(row[0])


def order_audit_trail(views: PastViews, order_id: int) -> list[CommandRecord]:
    """The commands that concern the order, the placing one first.

    Raises UnknownOrderError, or JournalArchivedError if the order was placed before the first command here.
    """
    placed_seq, user_id, name, label = _placing(views, order_id)
    changes = views.query(
        "SELECT seq FROM order_history WHERE order_id = :order_id AND seq <= :seq UNION ALL "
        "SELECT seq FROM trigger_version WHERE order_id = :order_id AND seq <= :seq",
        order_id=order_id,
    )
    seqs = {seq for (seq,) in changes}
    refused = {"user": views.user_key(user_id), "placed_seq": placed_seq}
    by_id = views.query(_REFUSED_BY_ID, **refused, until=views.seq, order_id=order_id)
    seqs.update(seq for (seq,) in by_id)
    if name is not None:
        until = _last_seq_of_name(views, order_id, user_id, name)
        seqs.update(seq for (seq,) in views.query(_REFUSED_BY_NAME, **refused, until=until, name=name))
    if label is not None:
        by_label = views.query(_REFUSED_BY_LABEL, **refused, until=views.seq, label=label)
        seqs.update(seq for (seq,) in by_label)
    return [command_record(views, seq) for seq in sorted(seqs)]


def command_record(views: PastViews, seq: int) -> CommandRecord:
    """Command `seq` and its events. Raises HistoryError if the history begins later."""
    found = views.query("SELECT ts_us, payload, kind FROM commands WHERE seq = :of_seq", of_seq=seq).fetchone()
    if found is None or found[2] == _BASE:
        raise HistoryError(f"there is no seq {seq} in the history: it begins with seq {_base_seq(views) + 1}")
    events = views.query("SELECT payload FROM events WHERE seq = :of_seq ORDER BY n", of_seq=seq)
    return CommandRecord(seq, found[0], decode_command(found[1]), [decode_event(event) for (event,) in events])


def queued_since(views: PastViews, order_id: int) -> tuple[int, int]:
    """The seq and number of the event that put an order to the back of the queue of its price."""
    changes = views.query(
        "SELECT seq, n, change FROM order_history WHERE order_id = :order_id AND seq <= :seq "
        "AND change IN ('placed', 'edited', 'filled') ORDER BY seq DESC, n DESC",
        order_id=order_id,
    )
    return next((seq, n) for seq, n, change in changes if change == "placed" or _requeues(views, seq, n, order_id))


def _requeues(views: PastViews, seq: int, n: int, order_id: int) -> bool:
    """True if the event, an edit or a fill of an iceberg order, put the order to the back of the queue."""
    payloads = views.query("SELECT payload FROM events WHERE seq = :of_seq AND n = :n", of_seq=seq, n=n)
    event = decode_event(payloads.fetchone()[0])
    if isinstance(event, Traded):
        return event.maker_order_id == order_id and event.maker_refilled_milli is not UNSET
    return isinstance(event, OrderEdited) and not event.kept_place


def _base_seq(views: PastViews) -> int:
    """The seq of the state at the beginning of a history whose older archives are missing; 0 if it is complete."""
    seq, kind = views.query("SELECT seq, kind FROM commands ORDER BY seq LIMIT 1").fetchone()
    return int(seq) if kind == _BASE else 0


def _placing(views: PastViews, order_id: int) -> tuple[int, str, str | None, str | None]:
    """The seq, the user, the client_order_id and the label of the command that placed an order."""
    base_seq = _base_seq(views)
    found = views.query(
        f"SELECT placed_seq, user_id, client_order_id, label FROM {_PLACED} WHERE order_id = :order_id",
        order_id=order_id,
    ).fetchone()
    if found is not None and base_seq < found[0] <= views.seq:
        return found[0], found[1], found[2], found[3]
    first, last = _end_of_orders(views, base_seq, "ASC"), _end_of_orders(views, base_seq, "DESC")
    if base_seq and (found is not None or first is None or order_id < first):
        raise JournalArchivedError(
            f"order {order_id} was placed before seq {base_seq + 1}, the first command here: put the archive that "
            "contains it back into its original folder, then write the history anew with `exchange history rebuild`"
        )
    existing = f"the exchange has orders {first} to {last}" if first else "the exchange has no orders yet"
    raise UnknownOrderError(f"there is no order {order_id}: {existing}")


def _end_of_orders(views: PastViews, base_seq: int, direction: str) -> int | None:
    """The first or the last order that was placed after the base; None if there was none."""
    sql = "SELECT order_id FROM orders WHERE placed_seq > :base_seq AND placed_seq <= :seq ORDER BY placed_seq "
    row = views.query(f"{sql} {direction}, order_id {direction} LIMIT 1", base_seq=base_seq).fetchone()
    return None if row is None else int(row[0])


def _last_seq_of_name(views: PastViews, order_id: int, user_id: str, name: str) -> int:
    """The last seq before a later order of the user takes over the client_order_id."""
    (later,) = views.query(
        f"SELECT min(placed_seq) FROM {_PLACED} WHERE client_order_id = :name AND user_id = :user_id "
        "AND order_id > :order_id AND placed_seq <= :seq",
        name=name,
        user_id=user_id,
        order_id=order_id,
    ).fetchone()
    return views.seq if later is None else int(later) - 1
