"""The audit trail of one order in a journal: the commands that changed it, and the refused ones that named it."""

from itertools import chain
from pathlib import Path

from exchange.domain.commands import decode_command
from exchange.domain.events import OrderAccepted, decode_event
from exchange.engine.recovery import unrecorded_events
from exchange.journal.errors import JournalArchivedError, JournalDamagedError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import Fields, JournalReader
from exchange.journal.records import EventRow
from exchange.projections.order_timeline import CommandRecord, TimelineStep, affects, refers_to, timeline_of

_ACCEPTED: list[Fields] = [{"kind": "order_accepted"}]


def own_order_timeline(path: Path, user_id: str, order_id: int, last_seq: int) -> list[TimelineStep]:
    """The timeline of the user's order up to command `last_seq`; empty if the user has no such order.

    Raises JournalArchivedError if the order may have been placed before the first command here.
    """
    with open_journal_reader(path) as reader:
        unrecorded = unrecorded_events(reader, last_seq, lambda done, total: None)
        trail = read_order_audit_trail(reader, order_id, last_seq, unrecorded)
    placing_events = trail[0].events if trail else []
    is_own = any(
        isinstance(event, OrderAccepted) and (event.order_id, event.user_id) == (order_id, user_id)
        for event in placing_events
    )
    return timeline_of(order_id, trail) if is_own else []


def read_order_audit_trail(
    reader: JournalReader, order_id: int, last_seq: int, unrecorded: list[EventRow]
) -> list[CommandRecord]:
    """The commands that concern the order up to `last_seq`, the placing one first; empty if there is no such order.

    `unrecorded` are the last events up to `last_seq` that the journal does not have yet. Raises
    JournalArchivedError if the order may have been placed before the first command here.
    """
    recorded_seq = unrecorded[0][0] - 1 if unrecorded else last_seq
    found = _find_placing(reader, order_id, recorded_seq) or _find_unrecorded_placing(unrecorded, order_id)
    if found is None:
        _raise_if_archived(reader, order_id, recorded_seq)
        return []
    placed_seq, placed = found
    seqs: dict[int, None] = {}
    for seq, _, payload in chain(reader.events(placed_seq, recorded_seq, _events_about(placed)), unrecorded):
        event = decode_event(payload)
        if affects(event, order_id):
            seqs[seq] = None
        elif seq > placed_seq and isinstance(event, OrderAccepted) and _has_same_client_order_id(event, placed):
            # From this command on, the client_order_id is that of another order.
            last_seq = seq - 1
            break
    for record in reader.records_where(placed_seq, last_seq, _commands_about(placed)):
        if refers_to(decode_command(record.payload), placed):
            seqs[record.seq] = None
    return [_command_record(reader, seq, recorded_seq, unrecorded) for seq in sorted(seqs)]


def _events_about(placed: OrderAccepted) -> list[Fields]:
    """Selects the events of an order, and the acceptance of another order with its client_order_id."""
    about: list[Fields] = [
        {"order_id": placed.order_id},
        {"kind": "traded", "maker_order_id": placed.order_id},
        {"kind": "traded", "taker_order_id": placed.order_id},
    ]
    if (name := placed.client_order_id) is not None:
        about.append({"kind": "order_accepted", "user_id": placed.user_id, "client_order_id": name})
    return about


def _commands_about(placed: OrderAccepted) -> list[Fields]:
    """Selects the edits and cancellations that name an order, by its id or by its client_order_id."""
    names: list[Fields] = [{"order_id": placed.order_id}]
    if (name := placed.client_order_id) is not None:
        names.append({"client_order_id": name})
    return [
        {"kind": kind, "user_id": placed.user_id, **named} for kind in ("edit_order", "cancel_order") for named in names
    ]


def _find_placing(reader: JournalReader, order_id: int, recorded_seq: int) -> tuple[int, OrderAccepted] | None:
    """The seq and event that accepted an order, by binary search: order ids rise with seq."""
    low, high = reader.bases[0].head.seq + 1, recorded_seq
    while low <= high:
        middle = (low + high) // 2
        seq, accepted = _first_accepted(reader, middle, high)
        if not accepted or accepted[0].order_id > order_id:
            high = middle - 1
        elif accepted[-1].order_id < order_id:
            low = seq + 1
        else:
            return seq, accepted[order_id - accepted[0].order_id]
    return None


def _first_accepted(reader: JournalReader, first_seq: int, last_seq: int) -> tuple[int, list[OrderAccepted]]:
    """The first command that accepted orders, and these orders. A liquidation may accept several."""
    for seq, _, _ in reader.events(first_seq, last_seq, _ACCEPTED):
        events = [decode_event(payload) for _, _, payload in reader.events(seq, seq, _ACCEPTED)]
        return seq, [event for event in events if isinstance(event, OrderAccepted)]
    return 0, []


def _find_unrecorded_placing(rows: list[EventRow], order_id: int) -> tuple[int, OrderAccepted] | None:
    for seq, _, payload in rows:
        event = decode_event(payload)
        if isinstance(event, OrderAccepted) and event.order_id == order_id:
            return seq, event
    return None


def _raise_if_archived(reader: JournalReader, order_id: int, recorded_seq: int) -> None:
    begin = reader.bases[0].head.seq
    _, first = _first_accepted(reader, begin + 1, recorded_seq) if begin else (0, [])
    if begin and (not first or order_id < first[0].order_id):
        raise JournalArchivedError(
            f"order {order_id} was placed before seq {begin + 1}, the first command of {reader.path}: "
            "put the archive that contains it back into its original folder"
        )


def _has_same_client_order_id(event: OrderAccepted, placed: OrderAccepted) -> bool:
    return event.user_id == placed.user_id and event.client_order_id == placed.client_order_id is not None


def _command_record(reader: JournalReader, seq: int, recorded_seq: int, unrecorded: list[EventRow]) -> CommandRecord:
    record = next(reader.records_where(seq, seq), None)
    if record is None:
        raise JournalDamagedError(
            f"command seq {seq} is missing, but its events are recorded: run `exchange journal verify`; restore a "
            "backup if it finds damage"
        )
    rows = reader.events(seq, seq) if seq <= recorded_seq else (row for row in unrecorded if row[0] == seq)
    events = [decode_event(payload) for _, _, payload in rows]
    return CommandRecord(seq, record.ts_us, decode_command(record.payload), events)
