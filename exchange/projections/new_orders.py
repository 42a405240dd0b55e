"""New orders of the read models.

This module must stay interpreted: in compiled code, each number that is read and passed on becomes a new object. The
objects of an order stay in memory while it is open, and here they are those of its event.
"""

from msgspec import UNSET

from exchange.domain.events import OrderAccepted, TriggerOrderPlaced
from exchange.projections.wire_types import OrderView


def add_order(open_orders: dict[int, OrderView], event: OrderAccepted, ts_us: int) -> OrderView:
    """Add an order that was accepted to the open ones, and return it."""
    order_id, size_milli = event.order_id, event.size_milli
    order = open_orders[order_id] = OrderView(
        order_id,
        event.instrument_id,
        event.user_id,
        event.side,
        event.type,
        event.time_in_force,
        event.post_only,
        event.price_micros,
        size_milli,
        0,
        size_milli,
        None,
        "open",
        ts_us,
        ts_us,
        event.client_order_id,
        None,
        event.reduce_only is True,
        event.liquidation is True,
        event.label or None,
        event.trigger_order_id or None,
    )
    if event.display_milli is not UNSET:
        order.refresh_milli = event.display_milli
        order.displayed_milli = min(event.display_milli, size_milli)
    return order


def add_trigger_order(triggers: dict[int, OrderView], event: TriggerOrderPlaced, ts_us: int) -> OrderView:
    """Add a trigger order that was placed to the untriggered ones, and return it."""
    order = triggers[event.order_id] = OrderView(
        event.order_id,
        event.instrument_id,
        event.user_id,
        event.side,
        event.type,
        event.time_in_force,
        event.post_only,
        event.price_micros,
        event.size_milli,
        0,
        event.size_milli,
        None,
        "untriggered",
        ts_us,
        ts_us,
        event.client_order_id,
        reduce_only=event.reduce_only is True,
        label=event.label or None,
        trigger=event.trigger,
        trigger_price_micros=event.trigger_price_micros,
        trigger_offset_micros=event.trigger_offset_micros,
        trigger_reference_price_micros=event.reference_micros,
        refresh_milli=event.display_milli or None,
        primary_order_id=event.primary_order_id or None,
    )
    return order


def link_as(order: OrderView, other: OrderView) -> None:
    """Give an order the link of the one that it was placed by, or that it is a part of."""
    order.link, order.fill_condition = other.link, other.fill_condition
    order.linked_order_ids = other.linked_order_ids
