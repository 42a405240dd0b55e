"""Events and steps of trigger orders as sentences for people."""

from msgspec import UNSET

from exchange.amounts import contracts, usdc
from exchange.domain.enums import Side
from exchange.domain.events import (
    LinkedOrdersPlaced,
    TriggerOrderActivated,
    TriggerOrderEdited,
    TriggerOrderEnded,
    TriggerOrderPlaced,
    TriggersContinued,
)
from exchange.projections.order_timeline import (
    CancelledStep,
    PlacedStep,
    TriggerActivatedStep,
    TriggerEditedStep,
    TriggerEndedStep,
    TriggerPlacedStep,
)

TriggerStep = TriggerPlacedStep | TriggerActivatedStep | TriggerEditedStep | TriggerEndedStep

_TriggerEvent = (
    TriggerOrderPlaced
    | TriggerOrderEdited
    | TriggerOrderEnded
    | TriggersContinued
    | LinkedOrdersPlaced
    | TriggerOrderActivated
)
_NAMES = {"index_price": "the index price", "mark_price": "the mark price", "last_price": "the last price"}


def describe_trigger(event: _TriggerEvent) -> str:
    """Describe an event of a trigger order in one line."""
    match event:
        case TriggerOrderPlaced():
            wanted = wanted_text(event.side, event.size_milli, event.price_micros)
            return (
                f"trigger order {event.order_id}: {event.user_id} wants to {wanted} {event.instrument_id}, "
                f"{_kind(event)}{_primary(event)}{_terms(event)}"
            )
        case TriggerOrderEdited():
            price = "at market" if event.price_micros is None else f"@ {usdc(event.price_micros)}"
            when = waiting_text(event.trigger_price_micros, event.trigger_offset_micros)
            terms = f"{contracts(event.size_milli)} {price}{when and ' '}{when}"
            if event.cause is not UNSET:
                return f"trigger order {event.order_id} of {event.user_id} is made smaller by its link, to {terms}"
            return f"trigger order {event.order_id} of {event.user_id} is edited to {terms}"
        case TriggerOrderEnded():
            return f"trigger order {event.order_id} of {event.user_id} {_end(event)}"
        case LinkedOrdersPlaced():
            ids = ", ".join(str(order_id) for order_id in event.order_ids)
            return f"linked orders {ids} of {event.user_id}: {event.link}, {event.fill_condition}"
        case TriggerOrderActivated():
            name, price = f"trigger order {event.order_id} of {event.user_id}", usdc(event.trigger_price_micros)
            return f"{name} waits for its price {price} since a fill of its primary at {usdc(event.shown_micros)}"
        case TriggersContinued():
            return f"{event.count} trigger orders that a price met before continue"


def step_text(step: TriggerStep, user_id: str) -> str:
    """Describe a step in the life of a trigger order of this user."""
    match step:
        case TriggerPlacedStep():
            wanted = wanted_text(step.side, step.size_milli, step.price_micros)
            whose = user_id if step.part_of is None else f"a fill, as a part of order {step.part_of}"
            placed = f"placed by {whose}: {wanted}, {_kind(step)}{_primary(step)}"
            if step.trigger is None:
                return f"{placed}{_terms(step)}{link_text(step)}"
            now = (
                "no price yet"
                if step.trigger_reference_price_micros is None
                else f"now {usdc(step.trigger_reference_price_micros)}"
            )
            return f"{placed} ({now}){_terms(step)}{link_text(step)}"
        case TriggerActivatedStep():
            price = usdc(step.trigger_price_micros)
            return f"waits for its price {price} since its primary was filled at {usdc(step.shown_price_micros)}"
        case TriggerEditedStep():
            when = waiting_text(step.trigger_price_micros, step.trigger_offset_micros)
            price = "at market" if step.price_micros is None else f"at {usdc(step.price_micros)}"
            terms = f"{contracts(step.size_milli)} {price}{when and ' '}{when}"
            return f"made smaller by its link, to {terms}" if step.cause else f"edited by {user_id} to {terms}"
        case TriggerEndedStep():
            if step.status == "cancelled":
                return (
                    f"cancelled {linked_cause(step)}" if step.reason == "linked_order" else f"cancelled ({step.reason})"
                )
            shown = "" if step.shown_price_micros is None else f" at {usdc(step.shown_price_micros)}"
            if step.reject_reason is not None:
                return f"triggered{shown}, and the order was refused: {step.reject_reason.value}"
            return f"triggered{shown}, and placed order {step.placed_order_id}"


def linked_cause(step: CancelledStep | TriggerEndedStep) -> str:
    """Why the link of an order cancelled it: by which fill of which order."""
    if step.by_trade_id is not None:
        return f"because order {step.by_order_id}, to which it is linked, was filled (trade {step.by_trade_id})"
    return f"because order {step.by_order_id}, to which it is linked, was triggered or ended"


def link_text(step: PlacedStep | TriggerPlacedStep) -> str:
    """`, one_cancels_other with order 2`; nothing for an order without a link."""
    if step.link is None or step.linked_order_ids is None:
        return ""
    others = [str(order_id) for order_id in step.linked_order_ids if order_id != step.order_id]
    return f", {step.link} with order{'s' if len(others) > 1 else ''} {' and '.join(others)}"


def wanted_text(side: Side, size_milli: int, price_micros: int | None) -> str:
    """The order that a trigger order places: `buy 1.0 at 1.50`."""
    price = "at market" if price_micros is None else f"at {usdc(price_micros)}"
    return f"{'buy' if side == 'bid' else 'sell'} {contracts(size_milli)} {price}"


def waiting_text(trigger_price_micros: int | None, trigger_offset_micros: int | None) -> str:
    """The price that a trigger order waits for: `at 150.00`, or `2.00 from its best`; nothing for a plain order."""
    if trigger_price_micros is not None:
        return f"at {usdc(trigger_price_micros)}"
    return "" if trigger_offset_micros is None else f"{usdc(trigger_offset_micros)} from its best"


def _kind(order: TriggerOrderPlaced | TriggerPlacedStep) -> str:
    """`stop_market on the last price at 1.50`, or only `limit` for a plain order."""
    if order.trigger is None:
        return order.type
    when = waiting_text(order.trigger_price_micros, order.trigger_offset_micros)
    return f"{order.type} on {_NAMES[order.trigger]} {when}"


def _primary(order: TriggerOrderPlaced | TriggerPlacedStep) -> str:
    if isinstance(order, TriggerOrderPlaced) and order.part_of is not UNSET:
        return f", a part of order {order.part_of}"
    return f" after fills of order {order.primary_order_id}" if order.primary_order_id else ""


def _terms(order: TriggerOrderPlaced | TriggerPlacedStep) -> str:
    terms = (
        f", {order.time_in_force}",
        ", post-only" if order.post_only else "",
        ", reduce-only" if order.reduce_only is True else "",
        f", showing {contracts(order.display_milli)}" if isinstance(order.display_milli, int) else "",
        f", {order.client_order_id!r}" if order.client_order_id else "",
        f", label {order.label!r}" if order.label else "",
    )
    return "".join(terms)


def _end(event: TriggerOrderEnded) -> str:
    if event.status == "cancelled":
        of = "" if event.linked_order_id is UNSET else f" {event.linked_order_id}"
        return f"is cancelled ({event.cancel_reason}{of})"
    shown = usdc(event.shown_micros) if isinstance(event.shown_micros, int) else "?"
    if event.refusal:
        return f"is triggered by the price {shown}, and its order is refused: {event.refusal.value}"
    return f"is triggered by the price {shown}"
