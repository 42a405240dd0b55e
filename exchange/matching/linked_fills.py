"""What a fill does to the orders that are linked to it: right after the fill, before the next one.

A fill of one order of a pair cancels the other one or makes it smaller at once, so that no sweep fills both. A fill of
a primary only releases its secondaries: they are placed after the match (`secondary_orders.py`).
"""

from exchange.matching.book import Order
from exchange.matching.cancellation import cancel_linked, shrink, shrink_trigger
from exchange.matching.links import Links
from exchange.matching.state import Changes, State


def after_fill(state: State, changes: Changes, order: Order, price_micros: int, size_milli: int) -> None:
    """Let a fill of `order` act on the orders that are linked to it."""
    links = state.links
    if links is None:
        return
    pair = links.pairs.get(order.order_id)
    if pair is not None:
        other_id = pair.other(order.order_id)
        if pair.condition == "first_hit" or not order.remaining_milli:
            links.drop_pair(pair)
            cancel_linked(state, changes, order.user_id, other_id, order.order_id)
        elif pair.condition == "incremental":
            _shrink_linked(state, changes, order.user_id, other_id, size_milli, order.remaining_milli + size_milli)
    if order.order_id in links.primaries:
        _release(state, links, order, price_micros, size_milli)
    if links.are_none:
        state.links = None


def part_milli(whole_milli: int, fill_milli: int, before_milli: int) -> int:
    """Return the part of a size that a fill is of the other order's remainder before it, rounded down."""
    return whole_milli * fill_milli // before_milli


def _shrink_linked(
    state: State, changes: Changes, user_id: str, order_id: int, fill_milli: int, before_milli: int
) -> None:
    """Take the part of a fill from the other order of the pair. Some of it is left, as of the order that was filled."""
    account = state.accounts[user_id]
    trigger = account.triggers.get(order_id)
    if trigger is not None:
        part = part_milli(trigger.size_milli, fill_milli, before_milli)
        if part:
            shrink_trigger(changes, trigger, trigger.size_milli - part)
        return
    order = account.open_orders.get(order_id)
    if order is not None and order.level is not None:
        part = part_milli(order.remaining_milli, fill_milli, before_milli)
        if part:
            shrink(state, changes, account, order, order.remaining_milli - part, "linked_order")


def _release(state: State, links: Links, order: Order, price_micros: int, fill_milli: int) -> None:
    """Release the part of each secondary that this fill places, or all of it."""
    primary = links.primaries[order.order_id]
    triggers = state.accounts[order.user_id].triggers
    primary.price_micros = price_micros
    for order_id, held_milli in primary.secondaries.items():
        waiting_milli = triggers[order_id].size_milli - held_milli
        if primary.condition == "first_hit" or not order.remaining_milli:
            primary.secondaries[order_id] = held_milli + waiting_milli
        elif primary.condition == "incremental":
            part = part_milli(waiting_milli, fill_milli, order.remaining_milli + fill_milli)
            primary.secondaries[order_id] = held_milli + part
    links.filled[order.order_id] = None
