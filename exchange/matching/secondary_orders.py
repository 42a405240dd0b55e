"""Secondary orders: fills of their primary let them wait for their price, or, plain orders, make them due.

If a fill releases only a part of each, that part becomes an order of its own, with the next id, and the rest waits on.
The parts of the two secondaries of an OTOCO cancel each other, as the two do when they are released in full.
"""

from exchange.domain.events import Event, TriggerOrderActivated
from exchange.domain.units import INSTRUMENT_TRIGGERS_MAX, USER_TRIGGERS_MAX
from exchange.matching.cancellation import (
    can_place_parts,
    cancel_linked,
    leave_primary,
    remove_trigger,
    shrink_trigger,
    smallest_milli,
)
from exchange.matching.links import Links, OrderPair, Primary
from exchange.matching.reopening import why_not_reopened
from exchange.matching.state import Changes, State
from exchange.matching.trigger_changes import add_trigger, begin_to_trail, file_new_trigger, reference_of
from exchange.matching.trigger_orders import TriggerOrder


def release_secondaries(state: State, ts_us: int, events: list[Event]) -> None:
    """Let the secondaries of the primaries that were just filled go on, and add the events of that."""
    links = state.links
    if links is None or not links.filled:
        return
    changes = Changes()
    filled, links.filled = links.filled, {}
    for order_id in filled:
        primary = links.primaries.get(order_id)
        # Its secondaries may have been cancelled after the fill.
        if primary is not None:
            _release(state, ts_us, changes, links, primary)
    if links.are_none:
        state.links = None
    events += changes.take_events()


def hand_over_links(state: State, order: TriggerOrder, new_id: int) -> list[Event]:
    """Let the order with the id `new_id` take the place of the trigger order that is about to place it.

    A price that triggers one order of a pair counts as its first hit: the other one is cancelled before the order is
    placed, so that its lock is free.
    """
    changes, links = Changes(), state.links
    assert links is not None, "there are no links"
    pair = links.pairs.get(order.order_id)
    if pair is not None and pair.condition == "first_hit" and order.trigger is not None:
        links.drop_pair(pair)
        cancel_linked(state, changes, order.user_id, pair.other(order.order_id), order.order_id)
    primary = links.move(order.order_id, new_id)
    if primary is not None:
        triggers = state.accounts[order.user_id].triggers
        for order_id in primary.secondaries:
            triggers[order_id].primary_order_id = new_id
    if links.are_none:
        state.links = None
    return changes.take_events()


def is_open(state: State, ts_us: int, order: TriggerOrder) -> bool:
    """True if orders of the instrument can trade now. While they cannot, no price triggers one."""
    book = order.book
    if state.is_halted or book.state != "open" or ts_us >= book.expiration_us:
        return False
    return not state.has_fair_market or why_not_reopened(state, ts_us, book, False) is None


def _release(state: State, ts_us: int, changes: Changes, links: Links, primary: Primary) -> None:
    account = state.accounts[primary.user_id]
    secondaries = [account.triggers[order_id] for order_id in primary.secondaries]
    if not can_place_parts(state, primary) or not _may_split(state, primary, secondaries):
        return
    parts: list[TriggerOrder] = []
    for order in secondaries:
        held_milli = primary.secondaries[order.order_id]
        if held_milli == order.size_milli:
            _activate(state, ts_us, changes, order, primary.price_micros)
        else:
            primary.secondaries[order.order_id] = 0
            parts.append(_split(state, ts_us, changes, order, held_milli, primary.price_micros))
    if len(parts) > 1:
        links.add_pair(OrderPair(primary.user_id, primary.condition, parts[0].order_id, parts[1].order_id))


def _may_split(state: State, primary: Primary, secondaries: list[TriggerOrder]) -> bool:
    """True if each rest that waits on can be an order by itself, and the limits of trigger orders allow the parts."""
    account = state.accounts[primary.user_id]
    more = len(secondaries)
    for order in secondaries:
        rest_milli = order.size_milli - primary.secondaries[order.order_id]
        if not rest_milli:
            continue
        if rest_milli < smallest_milli(state, order.book, order.reduce_only):
            return False
        in_instrument = account.trigger_counts[order.book.instrument_id] + more
        if in_instrument > INSTRUMENT_TRIGGERS_MAX or len(account.triggers) + more > USER_TRIGGERS_MAX:
            return False
    return True


def _activate(state: State, ts_us: int, changes: Changes, order: TriggerOrder, price_micros: int) -> None:
    """Let a secondary go on that waits for its primary no longer."""
    remove_trigger(state, order)
    leave_primary(state, order)
    order.primary_order_id = 0
    if order.trigger is None:
        order.shown_micros = price_micros
        add_trigger(state, order)
        return
    reference_micros = reference_of(state, order.book, order.trigger)
    begin_to_trail(order, reference_micros)
    _show(state, ts_us, order, reference_micros)
    add_trigger(state, order)
    changes.events.append(
        TriggerOrderActivated(
            order.order_id,
            order.user_id,
            order.book.instrument_id,
            price_micros,
            order.level_micros,
            reference_micros,
        )
    )


def _split(
    state: State, ts_us: int, changes: Changes, order: TriggerOrder, size_milli: int, price_micros: int
) -> TriggerOrder:
    """Make a part of a secondary an order of its own. The rest waits on."""
    display_milli = order.display_milli if order.display_milli <= size_milli else 0
    shrink_trigger(changes, order, order.size_milli - size_milli)
    level_micros = order.level_micros if order.trigger is not None and order.offset_micros is None else None
    part = TriggerOrder(
        state.next_order_id,
        order.user_id,
        order.book,
        order.side,
        order.type,
        order.trigger,
        order.level_micros,
        order.offset_micros,
        order.time_in_force,
        order.price_micros,
        size_milli,
        order.post_only,
        None,
        order.reduce_only,
        order.label,
        (level_micros, order.offset_micros, order.price_micros, size_milli),
        reprices=order.reprices,
        display_milli=display_milli,
        connection=order.connection,
    )
    state.next_order_id += 1
    if order.trigger is None:
        part.shown_micros = price_micros
    elif order.offset_micros is None:
        _show(state, ts_us, part, reference_of(state, order.book, order.trigger))
    changes.events.append(file_new_trigger(state, state.accounts[order.user_id], part, order.order_id))
    return part


def _show(state: State, ts_us: int, order: TriggerOrder, reference_micros: int | None) -> None:
    """Make a trigger order due if the price meets it already. A stop must not be lost because it came too late."""
    if reference_micros is not None and order.is_met_by(reference_micros) and is_open(state, ts_us, order):
        order.shown_micros = reference_micros
