"""Linked orders of the naive exchange: a list of pairs and a list of primaries, written from docs/protocol.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import replace

from exchange.domain.commands import PlaceLinkedOrders, PlaceOrder, PlaceTriggerOrder
from exchange.domain.enums import FillCondition
from exchange.domain.events import (
    Event,
    LinkedOrdersPlaced,
    OrderEdited,
    OrderRepeated,
    Refused,
    TriggerOrderActivated,
    TriggerOrderEdited,
    TriggerOrderPlaced,
)
from exchange.domain.reasons import Reason
from tests import naive_triggers as triggers
from tests.naive_triggers import NaiveTrigger

if TYPE_CHECKING:
    from tests.naive import NaiveExchange, NaiveOrder


@dataclass
class NaivePair:
    user_id: str
    condition: FillCondition
    ids: list[int]

    def other(self, order_id: int) -> int:
        return self.ids[1] if self.ids[0] == order_id else self.ids[0]


@dataclass
class NaivePrimary:
    """`released` are the parts of the waiting orders that fills released and that are not placed yet, by order_id."""

    user_id: str
    condition: FillCondition
    order_id: int
    waiting: list[NaiveTrigger]
    released: dict[int, int] = field(default_factory=dict)
    price: int = 0


# Placing


def place_linked(naive: NaiveExchange, ts_us: int, command: PlaceLinkedOrders) -> list[Event]:
    user_id, orders = command.user_id, command.orders
    if user_id not in naive.users:
        return [Refused(user_id, Reason.UNKNOWN_USER)]
    if any(order.valid_until_us is not UNSET and ts_us > order.valid_until_us for order in orders):
        return [Refused(user_id, Reason.VALID_UNTIL_PASSED)]
    if _is_contradictory(command):
        return [Refused(user_id, Reason.INVALID_LINKED_ORDERS)]
    if repeated := _repeated(naive, orders[0]):
        return [OrderRepeated(repeated, user_id)]
    first_id = naive.last_order_id + 1
    ids = [first_id + number for number in range(len(orders))]
    plain: list[tuple[int, PlaceOrder, int]] = []
    waiting: list[NaiveTrigger] = []
    for order_id, order in zip(ids, orders, strict=True):
        if isinstance(order, PlaceOrder) and (order_id == first_id or command.link == "one_cancels_other"):
            priced = replace(order, price_micros=naive.price_to_place(order, order.price_micros))
            size = naive.size_to_place(order)
            if reason := _why_not_enter(naive, ts_us, priced, size, plain):
                return [naive.refused(user_id, reason, order.instrument_id)]
            plain.append((order_id, order, size))
            continue
        is_secondary = order_id != first_id and command.link != "one_cancels_other"
        if reason := _why_not_wait(naive, ts_us, order, is_secondary, len(waiting)):
            return [Refused(user_id, reason)]
        waiting.append(_as_trigger(order_id, order, first_id if is_secondary else None))
    if len(plain) == 2 and _cross(naive, plain[0][1], plain[1][1]):
        return [Refused(user_id, Reason.INVALID_LINKED_ORDERS)]

    events: list[Event] = [LinkedOrdersPlaced(user_id, command.link, command.fill_condition, ids)]
    if command.link != "one_triggers_other":
        naive.pairs.append(NaivePair(user_id, command.fill_condition, ids[-2:]))
    if command.link != "one_cancels_other":
        secondaries = [it for it in waiting if it.primary is not None]
        naive.primaries.append(
            NaivePrimary(user_id, command.fill_condition, first_id, secondaries, {it.order_id: 0 for it in secondaries})
        )
    events += [_file(naive, order) for order in waiting]
    first: NaiveOrder | None = None
    for order_id, order, size in plain:
        naive.last_order_id = order_id - 1
        priced = replace(order, price_micros=naive.price_to_place(order, order.price_micros))
        if first is None:
            entered, more = naive.enter(priced, size, order)
            first = entered
        else:
            more = _enter_second(naive, command.fill_condition, first, priced, size, order)
        events += more
    naive.last_order_id = ids[-1]
    return events + naive.liquidate_traders(ts_us, events)


def _is_contradictory(command: PlaceLinkedOrders) -> bool:
    count = 3 if command.link == "one_triggers_one_cancels_other" else 2
    names = [order.client_order_id for order in command.orders if order.client_order_id is not None]
    if len(command.orders) != count or len(names) != len(dict.fromkeys(names)):
        return True
    in_pair = [] if command.link == "one_triggers_other" else command.orders[-2:]
    never_rests = [
        order
        for order in in_pair
        if isinstance(order, PlaceOrder) and (order.type != "limit" or order.time_in_force in ("ioc", "fok"))
    ]
    return bool(never_rests) or any(order.user_id != command.user_id for order in command.orders)


def _repeated(naive: NaiveExchange, primary: PlaceOrder | PlaceTriggerOrder) -> int | None:
    if primary.client_order_id is None:
        return None
    other = {"valid_until_us": UNSET, "connection": UNSET}
    known: list[NaiveOrder] | list[NaiveTrigger] = naive.known_orders(primary.user_id)
    if isinstance(primary, PlaceTriggerOrder):
        known = naive.known_triggers(primary.user_id)
    for order in known:
        if order.placed.client_order_id == primary.client_order_id:
            return order.order_id if replace(order.placed, **other) == replace(primary, **other) else None
    return None


def _namesake(naive: NaiveExchange, order: PlaceOrder | PlaceTriggerOrder) -> object:
    names = [it.placed.client_order_id for it in naive.known_orders(order.user_id)]
    names += [it.placed.client_order_id for it in naive.known_triggers(order.user_id)]
    return True if order.client_order_id is not None and order.client_order_id in names else None


def _why_not_enter(
    naive: NaiveExchange, ts_us: int, order: PlaceOrder, size: int, before: list[tuple[int, PlaceOrder, int]]
) -> Reason | None:
    """Check an order as if the one before it rested already, out of its reach."""
    from tests.naive import NaiveOrder

    for order_id, first, first_size in before:
        price = naive.price_to_place(first, first.price_micros)
        naive.promised = NaiveOrder(order_id, first, price, first_size, first_size, 0)
        naive.orders.append(naive.promised)
    reason = naive.why_not_place(ts_us, order, size, _namesake(naive, order))
    if naive.promised is not None:
        naive.orders.remove(naive.promised)
        naive.promised = None
    return reason


def _why_not_wait(
    naive: NaiveExchange, ts_us: int, order: PlaceOrder | PlaceTriggerOrder, is_secondary: bool, before: int
) -> Reason | None:
    if reason := triggers.why_not_wait(naive, ts_us, order, before):
        return reason
    if isinstance(order, PlaceOrder):
        return None
    it = NaiveTrigger(0, order, order.trigger_price_micros or 0, order.trigger_offset_micros, None, 0)
    reason = triggers.why_bad_level(naive, it)
    passed = (Reason.TRIGGER_PRICE_TOO_LOW, Reason.TRIGGER_PRICE_TOO_HIGH)
    return None if is_secondary and reason in passed else reason


def _as_trigger(order_id: int, order: PlaceOrder | PlaceTriggerOrder, primary: int | None) -> NaiveTrigger:
    if isinstance(order, PlaceOrder):
        return NaiveTrigger(order_id, order, 0, None, order.price_micros, order.size_milli, primary=primary)
    level, offset = order.trigger_price_micros or 0, order.trigger_offset_micros
    return NaiveTrigger(order_id, order, level, offset, order.price_micros, order.size_milli, primary=primary)


def _cross(naive: NaiveExchange, first: PlaceOrder, second: PlaceOrder) -> bool:
    if first.instrument_id != second.instrument_id or first.side == second.side:
        return False
    prices = {it.side: naive.price_to_place(it, it.price_micros) or 0 for it in (first, second)}
    return prices["bid"] >= prices["ask"]


def _file(naive: NaiveExchange, order: NaiveTrigger, part_of: int | None = None) -> Event:
    """Add an order that waits to the list, and tell its terms now."""
    it, now = order.placed, None
    if isinstance(it, PlaceTriggerOrder):
        now = triggers.reference(naive, naive.instruments[it.instrument_id], it.trigger)
        if order.offset is not None and order.primary is None and now is not None:
            order.level = now + order.offset if order.rises else now - order.offset
    naive.triggers.append(order)
    if it.connection:
        naive.connections[order.order_id] = it.connection
    is_trigger = isinstance(it, PlaceTriggerOrder)
    return TriggerOrderPlaced(
        order.order_id,
        it.user_id,
        it.instrument_id,
        it.side,
        it.type,
        it.trigger if isinstance(it, PlaceTriggerOrder) else None,
        order.level if is_trigger and order.offset is None else None,
        order.offset,
        now,
        it.time_in_force,
        order.price,
        order.size,
        it.post_only,
        it.client_order_id,
        it.reduce_only,
        it.label,
        it.display_milli,
        UNSET if order.primary is None else order.primary,
        UNSET if part_of is None else part_of,
    )


def _enter_second(
    naive: NaiveExchange,
    condition: FillCondition,
    first: NaiveOrder,
    order: PlaceOrder,
    size: int,
    placed: PlaceOrder,
) -> list[Event]:
    filled = first.size - first.remaining
    if condition == "incremental" and first.remaining:
        size -= size * filled // first.size
    if order.reduce_only is True and naive.reducible(order):
        size = min(size, naive.reducible(order))
    reason = None
    if pair_of(naive, naive.last_order_id + 1) is None:
        reason = "linked_order"
    elif order.reduce_only is True and not naive.reducible(order):
        reason = "nothing_to_reduce"
    else:
        needed = naive.needed(replace(order, size_milli=size))
        if needed > 0 and needed > naive.available(order.user_id):
            reason = "insufficient_balance"
    if reason is None:
        return naive.enter(order, size, placed)[1]
    cancelled, accepted = naive.accept(order, size)
    cancelled.placed = placed
    naive.orders.append(cancelled)
    return [accepted, *naive.close_order(cancelled, reason)]  # type: ignore[arg-type]


# What fills and ends do


def pair_of(naive: NaiveExchange, order_id: int) -> NaivePair | None:
    return next((pair for pair in naive.pairs if order_id in pair.ids), None)


def primary_of(naive: NaiveExchange, order_id: int) -> NaivePrimary | None:
    return next((it for it in naive.primaries if it.order_id == order_id), None)


def after_fill(naive: NaiveExchange, order: NaiveOrder, price: int, size: int) -> list[Event]:
    """Let a fill act on the other order of the pair, and count it for the orders that wait for it."""
    events: list[Event] = []
    before = order.remaining + size
    pair = pair_of(naive, order.order_id)
    if pair is not None:
        if pair.condition == "first_hit" or order.remaining == 0:
            naive.pairs.remove(pair)
            events += cancel_other(naive, pair.other(order.order_id), order.order_id)
        elif pair.condition == "incremental":
            events += _shrink_other(naive, pair.other(order.order_id), size, before)
    primary = primary_of(naive, order.order_id)
    if primary is not None:
        primary.price = price
        for it in primary.waiting:
            left = it.size - primary.released[it.order_id]
            if primary.condition == "first_hit" or order.remaining == 0:
                primary.released[it.order_id] += left
            elif primary.condition == "incremental":
                primary.released[it.order_id] += left * size // before
        if primary not in naive.just_filled:
            naive.just_filled.append(primary)
    return events


def cancel_other(naive: NaiveExchange, order_id: int, cause: int) -> list[Event]:
    """Cancel an order because of another one, unless it is trading now."""
    for trigger in naive.triggers:
        if trigger.order_id == order_id:
            return triggers.cancel_triggers(naive, [trigger], "linked_order", cause)
    for order in naive.orders:
        if order.order_id == order_id and order is not naive.taker:
            return naive.close_order(order, "linked_order", cause)
    return []


def _shrink_other(naive: NaiveExchange, order_id: int, size: int, before: int) -> list[Event]:
    for trigger in naive.triggers:
        if trigger.order_id == order_id and trigger.size * size // before:
            return [_smaller(trigger, trigger.size - trigger.size * size // before)]
    for order in naive.orders:
        part = order.remaining * size // before
        if order.order_id != order_id or order is naive.taker or not part:
            continue
        naive.note_order(order)
        left = order.remaining
        order.remaining, order.size = left - part, order.size - part
        names = (order.order_id, order.user_id, order.instrument_id, order.side)
        price = order.price or 0
        event = OrderEdited(*names, price, order.size, order.remaining, True, price, left, "linked_order")
        if order.shown is not None:
            shown, order.shown = order.shown, min(order.shown, order.remaining)
            event = replace(event, displayed_milli=order.shown, previous_displayed_milli=shown)
        return [event]
    return []


def _smaller(order: NaiveTrigger, size: int) -> Event:
    order.size = size
    if order.placed.display_milli is not UNSET and order.placed.display_milli > size:
        order.placed = replace(order.placed, display_milli=UNSET)
    has_level = isinstance(order.placed, PlaceTriggerOrder) and order.offset is None
    names = (order.order_id, order.placed.user_id, order.placed.instrument_id)
    level = order.level if has_level else None
    return TriggerOrderEdited(*names, level, order.offset, order.price, size, "linked_order")


def end_links(naive: NaiveExchange, order_id: int) -> list[Event]:
    """An order ended without being filled: what it is linked to goes with it."""
    events: list[Event] = []
    pair = pair_of(naive, order_id)
    if pair is not None:
        naive.pairs.remove(pair)
        events += cancel_other(naive, pair.other(order_id), order_id)
    primary = primary_of(naive, order_id)
    if primary is None:
        return events
    if _can_place(naive, primary):
        for it in primary.waiting:
            released = primary.released[it.order_id]
            if released < it.size:
                events.append(_smaller(it, released))
        if primary not in naive.just_filled:
            naive.just_filled.append(primary)
        return events
    naive.primaries.remove(primary)
    ids = [it.order_id for it in primary.waiting]
    naive.pairs = [it for it in naive.pairs if not any(order_id in it.ids for order_id in ids)]
    for order in list(primary.waiting):
        events += triggers.cancel_triggers(naive, [order], "linked_order", primary.order_id)
    return events


def leave(naive: NaiveExchange, order: NaiveTrigger) -> None:
    """The order waits for its primary no longer."""
    for primary in list(naive.primaries):
        primary.waiting = [it for it in primary.waiting if it is not order]
        if not primary.waiting:
            naive.primaries.remove(primary)


def _can_place(naive: NaiveExchange, primary: NaivePrimary) -> bool:
    """True if what was released of each order is all of it, or enough for an order."""
    return all(
        primary.released[it.order_id] == it.size or primary.released[it.order_id] >= triggers.smallest(naive, it.placed)
        for it in primary.waiting
    )


# After the match


def release(naive: NaiveExchange, ts_us: int) -> list[Event]:
    events: list[Event] = []
    filled, naive.just_filled = naive.just_filled, []
    for primary in filled:
        if primary in naive.primaries and _can_place(naive, primary) and _may_split(naive, primary):
            parts: list[NaiveTrigger] = []
            for order in list(primary.waiting):
                if primary.released[order.order_id] == order.size:
                    events += _go_on(naive, ts_us, order, primary)
                else:
                    made = _split(naive, ts_us, order, primary)
                    parts.append(made[0])
                    events += made[1]
            if len(parts) == 2:
                naive.pairs.append(NaivePair(primary.user_id, primary.condition, [it.order_id for it in parts]))
    return events


def _may_split(naive: NaiveExchange, primary: NaivePrimary) -> bool:
    mine = [it for it in naive.triggers if it.placed.user_id == primary.user_id]
    for order in primary.waiting:
        rest = order.size - primary.released[order.order_id]
        here = [it for it in mine if it.placed.instrument_id == order.placed.instrument_id]
        count = len(primary.waiting)
        too_many = len(here) + count > triggers.MOST_WAITING or len(mine) + count > triggers.MOST_WAITING_IN_ALL
        if rest and (rest < triggers.smallest(naive, order.placed) or too_many):
            return False
    return True


def _go_on(naive: NaiveExchange, ts_us: int, order: NaiveTrigger, primary: NaivePrimary) -> list[Event]:
    leave(naive, order)
    order.primary = None
    if isinstance(order.placed, PlaceOrder):
        order.shown = primary.price
        return []
    now = _begin(naive, ts_us, order)
    names = (order.order_id, order.placed.user_id, order.placed.instrument_id)
    return [TriggerOrderActivated(*names, primary.price, order.level, now)]


def _begin(naive: NaiveExchange, ts_us: int, order: NaiveTrigger) -> int | None:
    """Let the order wait for its price from now on. If the price is there already, the order is due."""
    assert isinstance(order.placed, PlaceTriggerOrder)
    now = triggers.reference(naive, naive.instruments[order.placed.instrument_id], order.placed.trigger)
    if now is not None:
        if order.offset is not None:
            order.level = now + order.offset if order.rises else now - order.offset
        if order.meets(now) and triggers.is_open(naive, ts_us, order):
            order.shown = now
    return now


def _split(
    naive: NaiveExchange, ts_us: int, order: NaiveTrigger, primary: NaivePrimary
) -> tuple[NaiveTrigger, list[Event]]:
    size, primary.released[order.order_id] = primary.released[order.order_id], 0
    placed = replace(order.placed, client_order_id=None)
    if placed.display_milli is not UNSET and placed.display_milli > size:
        placed = replace(placed, display_milli=UNSET)
    smaller = _smaller(order, order.size - size)
    naive.last_order_id += 1
    part = NaiveTrigger(naive.last_order_id, placed, order.level, order.offset, order.price, size)
    if order.order_id in naive.connections:
        naive.connections[part.order_id] = naive.connections[order.order_id]
    if isinstance(placed, PlaceOrder):
        part.shown = primary.price
    else:
        _begin(naive, ts_us, part)
    return part, [smaller, _file(naive, part, order.order_id)]


def hand_over(naive: NaiveExchange, order: NaiveTrigger) -> list[Event]:
    """The order that a trigger order is about to place takes its place. A price that triggers it is a first hit."""
    events: list[Event] = []
    new_id = naive.last_order_id + 1
    pair = pair_of(naive, order.order_id)
    if pair is not None:
        if pair.condition == "first_hit" and isinstance(order.placed, PlaceTriggerOrder):
            naive.pairs.remove(pair)
            events += cancel_other(naive, pair.other(order.order_id), order.order_id)
        else:
            pair.ids = [new_id if it == order.order_id else it for it in pair.ids]
    primary = primary_of(naive, order.order_id)
    if primary is not None:
        primary.order_id = new_id
        for it in primary.waiting:
            it.primary = new_id
    return events
