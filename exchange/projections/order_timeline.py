"""The timeline of one order: placed, edited, filled, refused, cancelled, and the command that caused each step."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from exchange.domain.commands import CancelOrder, Command, EditOrder, PlaceOrder
from exchange.domain.enums import (
    CancelReason,
    EditCause,
    LinkType,
    Liquidity,
    OrderType,
    Side,
    TimeInForce,
    Trigger,
    TriggerEnd,
    TriggerType,
)
from exchange.domain.events import (
    Event,
    LinkedOrdersPlaced,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    Refused,
    Traded,
    TriggerOrderActivated,
    TriggerOrderEdited,
    TriggerOrderEnded,
    TriggerOrderPlaced,
)
from exchange.domain.reasons import Reason
from exchange.projections.wire_types import WIRE_NAMES


class CommandRecord(NamedTuple):
    """One command and its events."""

    seq: int
    ts_us: int
    command: Command
    events: list[Event]


class _TimelineStep(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="step", rename=WIRE_NAMES, omit_defaults=True
):
    """A step. `command` is the kind of the command that caused it; None if another user sent the command.

    `text` is the step in words, where clients ask for it.
    """

    seq: int
    ts_us: int
    command: str | None = None
    text: str = ""


class PlacedStep(_TimelineStep, frozen=True, kw_only=True, tag="placed"):
    """The order was placed. `liquidation`: by the exchange, to reduce a position of the user.

    `requested_price_micros` is the price that the user sent, if a post-only order got another one.
    """

    order_id: int
    user_id: str
    instrument_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    price_micros: int | None
    size_milli: int
    client_order_id: str | None = None
    reduce_only: bool = False
    liquidation: bool = False
    label: str | None = None
    trigger_order_id: int | None = None
    requested_price_micros: int | None = None
    display_milli: int | None = None
    link: LinkType | None = None
    linked_order_ids: list[int] | None = None


class EditedStep(_TimelineStep, frozen=True, kw_only=True, tag="edited"):
    """The order was edited. Without `kept_place` it went to the back of the queue.

    `cause`: the exchange made it smaller, within the command of any user.
    """

    price_micros: int
    size_milli: int
    remaining_milli: int
    kept_place: bool
    previous_price_micros: int
    previous_remaining_milli: int
    requested_price_micros: int | None = None
    cause: EditCause | None = None


class Counterparty(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The other order of a fill."""

    order_id: int
    user_id: str
    type: OrderType
    liquidation: bool = False


class FilledStep(_TimelineStep, frozen=True, kw_only=True, tag="filled"):
    """The order traded. `refilled_milli`: an iceberg order shows so much again, at the back of the queue."""

    trade_id: int
    price_micros: int
    size_milli: int
    remaining_milli: int
    liquidity: Liquidity
    fee_micros: int
    refilled_milli: int | None = None
    counterparty: Counterparty | None = None


class RepeatedStep(_TimelineStep, frozen=True, kw_only=True, tag="repeated"):
    """The same order was sent again under its client_order_id. Nothing changed."""


class RefusedStep(_TimelineStep, frozen=True, kw_only=True, tag="refused"):
    """An edit or a cancellation was refused. Nothing changed."""

    reason: Reason


class CancelledStep(_TimelineStep, frozen=True, kw_only=True, tag="cancelled"):
    """The order, or the rest of it, was cancelled.

    `by_order_id`: the user's own order that would have traded with it, or that it is linked to and that caused it;
    `by_trade_id` is then the fill, if a fill caused it.
    """

    remaining_milli: int
    reason: CancelReason
    by_order_id: int | None = None
    by_trade_id: int | None = None


class TriggerPlacedStep(_TimelineStep, frozen=True, kw_only=True, tag="trigger_placed"):
    """The trigger order was placed. `trigger_reference_price_micros` is the price that it waits for, as it was then.

    `trigger` is None for a plain order, which waits for fills of another order alone. `primary_order_id` is the order
    whose fills it waits for first, `part_of` the waiting order of which a fill released this part.
    """

    order_id: int
    user_id: str
    instrument_id: str
    side: Side
    type: TriggerType | OrderType
    trigger: Trigger | None
    trigger_price_micros: int | None
    trigger_offset_micros: int | None
    trigger_reference_price_micros: int | None
    time_in_force: TimeInForce
    post_only: bool
    price_micros: int | None
    size_milli: int
    client_order_id: str | None = None
    reduce_only: bool = False
    label: str | None = None
    display_milli: int | None = None
    link: LinkType | None = None
    linked_order_ids: list[int] | None = None
    primary_order_id: int | None = None
    part_of: int | None = None


class TriggerActivatedStep(_TimelineStep, frozen=True, kw_only=True, tag="trigger_activated"):
    """Fills of its primary, the last one at `shown_price_micros`, let the trigger order wait for its price."""

    shown_price_micros: int
    trigger_price_micros: int
    trigger_reference_price_micros: int | None


class TriggerEditedStep(_TimelineStep, frozen=True, kw_only=True, tag="trigger_edited"):
    """The untriggered order has new terms. `cause`: the exchange made it smaller."""

    trigger_price_micros: int | None
    trigger_offset_micros: int | None
    price_micros: int | None
    size_milli: int
    cause: EditCause | None = None


class TriggerEndedStep(_TimelineStep, frozen=True, kw_only=True, tag="trigger_ended"):
    """The trigger order placed an order (`placed_order_id`), or that was refused, or the user or a rule cancelled it.

    `shown_price_micros` is the price that met it, or that of the fill which it waited for. `by_order_id` and
    `by_trade_id` are the linked order, and its fill, that cancelled it.
    """

    status: TriggerEnd
    shown_price_micros: int | None = None
    placed_order_id: int | None = None
    reject_reason: Reason | None = None
    reason: CancelReason | None = None
    by_order_id: int | None = None
    by_trade_id: int | None = None


TimelineStep = (
    PlacedStep
    | EditedStep
    | FilledStep
    | RepeatedStep
    | RefusedStep
    | CancelledStep
    | TriggerPlacedStep
    | TriggerActivatedStep
    | TriggerEditedStep
    | TriggerEndedStep
)


def timeline_of(
    order_id: int, records: Iterable[CommandRecord], names_counterparties: bool = False
) -> list[TimelineStep]:
    """Return the steps of the order that these commands caused; `records` must be in order of their seq.

    Commands that do not affect the order are ignored.
    """
    steps: list[TimelineStep] = []
    placed: OrderAccepted | TriggerOrderPlaced | None = None
    for record in records:
        seq, ts_us, command, events = record
        for event in events:
            if isinstance(event, OrderAccepted | TriggerOrderPlaced) and event.order_id == order_id:
                placed = event
            if affects(event, order_id):
                steps.append(_step(order_id, record, event, names_counterparties))
            elif isinstance(event, Refused) and placed is not None and _is_about(record, event, placed, steps):
                steps.append(RefusedStep(seq=seq, ts_us=ts_us, command=kind_of(command), reason=event.reason))
    return steps


def affects(event: Event, order_id: int) -> bool:
    """True if the event changed this order, or repeated it."""
    match event:
        case Traded():
            return order_id in (event.maker_order_id, event.taker_order_id)
        case OrderAccepted() | OrderEdited() | OrderRepeated() | OrderCancelled():
            return event.order_id == order_id
        case TriggerOrderPlaced() | TriggerOrderActivated() | TriggerOrderEdited() | TriggerOrderEnded():
            return event.order_id == order_id
        case _:
            return False


def refers_to(command: Command, placed: OrderAccepted | TriggerOrderPlaced) -> bool:
    """True if the command asks for an edit or a cancellation of this order."""
    if not isinstance(command, EditOrder | CancelOrder) or command.user_id != placed.user_id:
        return False
    if command.order_id is not None:
        return command.order_id == placed.order_id
    return command.client_order_id is not None and command.client_order_id == placed.client_order_id


def _is_about(
    record: CommandRecord, refused: Refused, placed: OrderAccepted | TriggerOrderPlaced, steps: list[TimelineStep]
) -> bool:
    """True if the refused command asked for an edit or a cancellation of this order, which has had these steps."""
    command = record.command
    if not isinstance(command, EditOrder | CancelOrder) or command.label is UNSET:
        return refers_to(command, placed)
    # A label names an open order, and nothing if several have it.
    names_none = refused.reason in (Reason.ORDER_NOT_FOUND, Reason.LABEL_NOT_UNIQUE, Reason.INSTRUMENT_NOT_FOUND)
    is_named = (command.user_id, command.label) == (placed.user_id, placed.label)
    is_there = command.instrument_id in (None, UNSET, placed.instrument_id)
    return is_named and is_there and not names_none and is_open(steps)


def is_open(steps: list[TimelineStep]) -> bool:
    """True if an order with these steps still rests, or still waits for a price."""
    return not any(
        isinstance(step, CancelledStep | TriggerEndedStep)
        or (isinstance(step, FilledStep) and not step.remaining_milli)
        for step in steps
    )


def kind_of(message: Command | Event) -> str:
    """Return the tag of the message in the journal."""
    return str(type(message).__struct_config__.tag)


def _step(order_id: int, record: CommandRecord, event: Event, names_counterparties: bool) -> TimelineStep:
    """Return the step of an event that affects the order."""
    seq, ts_us, kind = record.seq, record.ts_us, kind_of(record.command)
    match event:
        case OrderAccepted():
            return PlacedStep(
                seq=seq,
                ts_us=ts_us,
                command=kind,
                order_id=event.order_id,
                user_id=event.user_id,
                instrument_id=event.instrument_id,
                side=event.side,
                type=event.type,
                time_in_force=event.time_in_force,
                post_only=event.post_only,
                price_micros=event.price_micros,
                size_milli=event.size_milli,
                client_order_id=event.client_order_id,
                reduce_only=event.reduce_only is True,
                liquidation=event.liquidation is True,
                label=event.label or None,
                trigger_order_id=event.trigger_order_id or None,
                requested_price_micros=_requested(record.command, event),
                display_milli=event.display_milli or None,
                **_link_of(record, event.order_id),
            )
        case OrderEdited():
            return EditedStep(
                seq=seq,
                ts_us=ts_us,
                command=kind if event.cause is UNSET else None,
                price_micros=event.price_micros,
                size_milli=event.size_milli,
                remaining_milli=event.remaining_milli,
                kept_place=event.kept_place,
                previous_price_micros=event.previous_price_micros,
                previous_remaining_milli=event.previous_remaining_milli,
                requested_price_micros=_requested(record.command, event),
                cause=event.cause or None,
            )
        case Traded():
            return _filled(order_id, record, event, names_counterparties)
        case OrderCancelled():
            return CancelledStep(
                seq=seq,
                ts_us=ts_us,
                command=None if event.reason == "nothing_to_reduce" or event.reason == "linked_order" else kind,
                remaining_milli=event.remaining_milli,
                reason=event.reason,
                by_order_id=_cause(record.events, event),
                by_trade_id=_trade_of_cause(record.events, event),
            )
        case TriggerOrderPlaced() | TriggerOrderActivated() | TriggerOrderEdited() | TriggerOrderEnded():
            return _trigger_step(record, event)
        case _:
            return RepeatedStep(seq=seq, ts_us=ts_us, command=kind)


def _requested(command: Command, event: OrderAccepted | OrderEdited) -> int | None:
    """Return the price in the command that placed or edited a post-only order, if the order got another one."""
    if isinstance(event, OrderEdited):
        is_own = event.cause is UNSET
    else:
        is_own = event.post_only and event.trigger_order_id is UNSET
    if not is_own or not isinstance(command, PlaceOrder | EditOrder) or command.user_id != event.user_id:
        return None
    return None if command.price_micros == event.price_micros else command.price_micros


def _trigger_step(
    record: CommandRecord,
    event: TriggerOrderPlaced | TriggerOrderActivated | TriggerOrderEdited | TriggerOrderEnded,
) -> TimelineStep:
    """Return the step of an event of a trigger order. What met it is shown, and not whose command showed that."""
    seq, ts_us, kind = record.seq, record.ts_us, kind_of(record.command)
    match event:
        case TriggerOrderPlaced():
            return TriggerPlacedStep(
                seq=seq,
                ts_us=ts_us,
                command=kind if event.part_of is UNSET else None,
                order_id=event.order_id,
                user_id=event.user_id,
                instrument_id=event.instrument_id,
                side=event.side,
                type=event.type,
                trigger=event.trigger,
                trigger_price_micros=event.trigger_price_micros,
                trigger_offset_micros=event.trigger_offset_micros,
                trigger_reference_price_micros=event.reference_micros,
                time_in_force=event.time_in_force,
                post_only=event.post_only,
                price_micros=event.price_micros,
                size_milli=event.size_milli,
                client_order_id=event.client_order_id,
                reduce_only=event.reduce_only is True,
                label=event.label or None,
                display_milli=event.display_milli or None,
                primary_order_id=event.primary_order_id or None,
                part_of=event.part_of or None,
                **_link_of(record, event.order_id),
            )
        case TriggerOrderActivated():
            return TriggerActivatedStep(
                seq=seq,
                ts_us=ts_us,
                command=None,
                shown_price_micros=event.shown_micros,
                trigger_price_micros=event.trigger_price_micros,
                trigger_reference_price_micros=event.reference_micros,
            )
        case TriggerOrderEdited():
            return TriggerEditedStep(
                seq=seq,
                ts_us=ts_us,
                command=kind if event.cause is UNSET else None,
                trigger_price_micros=event.trigger_price_micros,
                trigger_offset_micros=event.trigger_offset_micros,
                price_micros=event.price_micros,
                size_milli=event.size_milli,
                cause=event.cause or None,
            )
        case TriggerOrderEnded():
            accepted = (it for it in record.events if isinstance(it, OrderAccepted))
            placed = (it.order_id for it in accepted if it.trigger_order_id == event.order_id)
            return TriggerEndedStep(
                seq=seq,
                ts_us=ts_us,
                command=kind if event.status == "cancelled" and event.cancel_reason != "linked_order" else None,
                status=event.status,
                shown_price_micros=event.shown_micros or None,
                placed_order_id=next(placed, None),
                reject_reason=event.refusal or None,
                reason=event.cancel_reason or None,
                by_order_id=event.linked_order_id or None,
                by_trade_id=_trade_of_cause(record.events, event),
            )


def _filled(order_id: int, record: CommandRecord, event: Traded, names_counterparties: bool) -> FilledStep:
    command = record.command
    is_maker = event.maker_order_id == order_id
    liquidity: Liquidity = "maker" if is_maker else "taker"
    counterparty = None
    if names_counterparties and is_maker:
        counterparty = _taker(record.events, event)
    elif names_counterparties:
        counterparty = Counterparty(event.maker_order_id, event.maker_user_id, "limit")
    return FilledStep(
        seq=record.seq,
        ts_us=record.ts_us,
        command=kind_of(command) if names_counterparties or not is_maker else None,
        trade_id=event.trade_id,
        price_micros=event.price_micros,
        size_milli=event.size_milli,
        remaining_milli=event.maker_remaining_milli if is_maker else event.taker_remaining_milli,
        liquidity=liquidity,
        fee_micros=event.maker_fee_micros if is_maker else event.taker_fee_micros,
        refilled_milli=event.maker_refilled_milli or None if is_maker else None,
        counterparty=counterparty,
    )


def _taker(events: list[Event], trade: Traded) -> Counterparty:
    """Return the taker of a trade. If it was not accepted by this command, it was edited, so it is a limit order."""
    for event in events:
        if isinstance(event, OrderAccepted) and event.order_id == trade.taker_order_id:
            return Counterparty(event.order_id, event.user_id, event.type, event.liquidation is True)
    return Counterparty(trade.taker_order_id, trade.taker_user_id, "limit")


def _link_of(record: CommandRecord, order_id: int) -> dict[str, Any]:
    """The link of an order that the command placed together with others, as fields of its step."""
    for event in record.events:
        if isinstance(event, LinkedOrdersPlaced) and order_id in event.order_ids:
            return {"link": event.link, "linked_order_ids": event.order_ids}
    return {}


def _cause(events: list[Event], event: OrderCancelled) -> int | None:
    """Return the user's own order because of which this one was cancelled, if one is the cause."""
    if event.reason == "self_trade_prevention":
        return _entering(events, event)
    return event.linked_order_id or None


def _trade_of_cause(events: list[Event], event: OrderCancelled | TriggerOrderEnded) -> int | None:
    """Return the fill of the linked order that cancelled this one; None if the linked order did not trade before."""
    cause = event.linked_order_id
    if cause is UNSET:
        return None
    for before in reversed(events[: events.index(event)]):
        if isinstance(before, Traded) and cause in (before.maker_order_id, before.taker_order_id):
            return before.trade_id
    return None


def _entering(events: list[Event], cancelled: OrderCancelled) -> int | None:
    """Return the id of the order that had entered the book last when this one was cancelled."""
    before = events[: events.index(cancelled)]
    entering = (
        event.order_id
        for event in reversed(before)
        if isinstance(event, OrderAccepted) or (isinstance(event, OrderEdited) and event.cause is UNSET)
    )
    return next(entering, None)
