"""Trigger orders of the naive exchange: one list of them, which each price looks through from its first to its last."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from exchange.domain.commands import CancelAll, CancelOrder, EditOrder, PlaceOrder, PlaceTriggerOrder
from exchange.domain.enums import CancelReason, OrderType, TriggerEnd
from exchange.domain.events import (
    BalanceChanged,
    Event,
    IndexPriceSet,
    LiquidationStarted,
    MarginsChanged,
    MarksSet,
    OrderRepeated,
    PositionChanged,
    Refused,
    Traded,
    TriggerOrderEdited,
    TriggerOrderEnded,
    TriggerOrderPlaced,
)
from exchange.domain.reasons import Reason
from exchange.domain.units import PRICE_MAX_MICROS
from tests import naive_links as links

if TYPE_CHECKING:
    from tests.naive import NaiveExchange, NaiveInstrument

MOST_AT_ONCE = 100
MOST_WAITING = 100
MOST_WAITING_IN_ALL = 1_000


@dataclass
class NaiveTrigger:
    """`level` is the price that triggers it, `shown` the price that did; `end` is None while it waits."""

    order_id: int
    placed: PlaceTriggerOrder | PlaceOrder
    level: int
    offset: int | None
    price: int | None
    size: int
    shown: int | None = None
    end: TriggerEnd | None = None
    # The order whose fills it waits for.
    primary: int | None = None

    @property
    def rises(self) -> bool:
        """True if it waits for a rise: a stop to buy, or a take profit to sell."""
        return (self.placed.side == "bid") == (self.placed.type in ("stop_market", "stop_limit", "trailing_stop"))

    def meets(self, price: int) -> bool:
        return price >= self.level if self.rises else price <= self.level


def reference(naive: NaiveExchange, instrument: NaiveInstrument, trigger: str) -> int | None:
    if trigger == "index_price":
        return naive.index_of(instrument.terms.asset) or None
    return instrument.mark if trigger == "mark_price" else instrument.last_price


def place_trigger(naive: NaiveExchange, ts_us: int, command: PlaceTriggerOrder) -> list[Event]:
    user_id = command.user_id
    if user_id not in naive.users:
        return [Refused(user_id, Reason.UNKNOWN_USER)]
    if command.valid_until_us is not UNSET and ts_us > command.valid_until_us:
        return [Refused(user_id, Reason.VALID_UNTIL_PASSED)]
    namesakes = [it for it in naive.known_triggers(user_id) if it.placed.client_order_id == command.client_order_id]
    if command.client_order_id is not None and namesakes and _same(namesakes[0].placed, command):
        return [OrderRepeated(namesakes[0].order_id, user_id)]
    if reason := _why_not_place(naive, ts_us, command):
        return [Refused(user_id, reason)]
    now = reference(naive, naive.instruments[command.instrument_id], command.trigger)
    naive.last_order_id += 1
    level, offset = command.trigger_price_micros, command.trigger_offset_micros
    order = NaiveTrigger(naive.last_order_id, command, level or 0, offset, command.price_micros, command.size_milli)
    if offset is not None and now is not None:
        order.level = now + offset if order.rises else now - offset
    naive.triggers.append(order)
    if command.connection:
        naive.connections[order.order_id] = command.connection
    terms = (command.time_in_force, command.price_micros, command.size_milli, command.post_only)
    names = (order.order_id, user_id, command.instrument_id, command.side, command.type, command.trigger)
    keys = (command.client_order_id, command.reduce_only, command.label, command.display_milli)
    return [TriggerOrderPlaced(*names, level, offset, now, *terms, *keys)]


def _same(placed: PlaceTriggerOrder | PlaceOrder, command: PlaceTriggerOrder) -> bool:
    other = {"valid_until_us": UNSET, "connection": UNSET}
    return replace(placed, **other) == replace(command, **other)


def _why_not_place(naive: NaiveExchange, ts_us: int, command: PlaceTriggerOrder) -> Reason | None:
    return why_not_wait(naive, ts_us, command) or why_bad_level(
        naive, NaiveTrigger(0, command, command.trigger_price_micros or 0, command.trigger_offset_micros, None, 0)
    )


def why_not_wait(
    naive: NaiveExchange, ts_us: int, command: PlaceTriggerOrder | PlaceOrder, before: int = 0
) -> Reason | None:
    user_id, instrument = command.user_id, naive.instruments.get(command.instrument_id)
    if naive.users[user_id].suspended:
        return Reason.USER_SUSPENDED
    if instrument is None:
        return naive.unknown(command.instrument_id)
    if reason := naive.why_closed(ts_us, instrument):
        return reason
    if reason := naive.why_not_these_terms(
        command.price_micros, command.size_milli, 0, instrument.tick, smallest(naive, command)
    ):
        return reason
    if reason := naive.why_not_display(command.display_milli, command.size_milli, instrument):
        return reason
    if command.client_order_id is not None:
        names = [order.placed.client_order_id for order in naive.known_orders(user_id)]
        names += [order.placed.client_order_id for order in naive.known_triggers(user_id)]
        if command.client_order_id in names:
            return Reason.CLIENT_ORDER_ID_USED
    waiting = [
        it for it in naive.triggers if (it.placed.user_id, it.placed.instrument_id) == (user_id, command.instrument_id)
    ]
    in_all = [it for it in naive.triggers if it.placed.user_id == user_id]
    if len(waiting) + before >= MOST_WAITING or len(in_all) + before >= MOST_WAITING_IN_ALL:
        return Reason.TOO_MANY_TRIGGER_ORDERS
    return None


def smallest(naive: NaiveExchange, order: PlaceTriggerOrder | PlaceOrder) -> int:
    """From rules version 2 on, a position below the minimum can be closed."""
    return 1 if order.reduce_only is True and naive.version > 1 else naive.instruments[order.instrument_id].min_size


def why_bad_level(naive: NaiveExchange, order: NaiveTrigger) -> Reason | None:
    assert isinstance(order.placed, PlaceTriggerOrder)
    wanted = order.level if order.offset is None else order.offset
    if not 0 < wanted <= PRICE_MAX_MICROS:
        return Reason.TRIGGER_PRICE_INVALID
    now = reference(naive, naive.instruments[order.placed.instrument_id], order.placed.trigger)
    if now is None:
        is_patient = order.placed.trigger == "last_price" and order.offset is None
        return None if is_patient else Reason.NO_TRIGGER_PRICE
    if order.offset is None and order.meets(now):
        return Reason.TRIGGER_PRICE_TOO_LOW if order.rises else Reason.TRIGGER_PRICE_TOO_HIGH
    return None


def find_trigger(naive: NaiveExchange, command: CancelOrder | EditOrder) -> NaiveTrigger | Reason:
    """Return the waiting order that the command names, or why there is none."""
    for order in naive.known_triggers(command.user_id) if command.user_id in naive.users else []:
        if command.label is not UNSET:
            named = order.placed.label == command.label and order.end is None
            if command.instrument_id not in (None, UNSET, order.placed.instrument_id):
                continue
        elif command.order_id is not None:
            named = order.order_id == command.order_id
        else:
            named = command.client_order_id is not None and order.placed.client_order_id == command.client_order_id
        if not named:
            continue
        if command.instrument_id not in (None, UNSET, order.placed.instrument_id):
            return Reason.ORDER_NOT_FOUND
        if order.end is None and (order.shown is None or isinstance(command, CancelOrder)):
            return order
        return Reason.ORDER_ALREADY_CANCELLED if order.end == "cancelled" else Reason.ORDER_TRIGGERED
    return Reason.ORDER_NOT_FOUND


def edit_trigger(naive: NaiveExchange, ts_us: int, order: NaiveTrigger, command: EditOrder) -> list[Event]:
    user_id, instrument = command.user_id, naive.instruments[order.placed.instrument_id]
    level, offset = command.trigger_price_micros, command.trigger_offset_micros
    price = order.price if command.price_micros is None else command.price_micros
    size = order.size if command.size_milli is None else command.size_milli
    wrong = offset if order.offset is None else level
    if isinstance(order.placed, PlaceOrder) and level is not UNSET:
        wrong = level
    if wrong is not UNSET or (order.price is None and price is not None):
        return [Refused(user_id, Reason.TERMS_DO_NOT_FIT)]
    reason = Reason.USER_SUSPENDED if naive.users[user_id].suspended else naive.why_closed(ts_us, instrument)
    released = [it.released[order.order_id] for it in naive.primaries if order in it.waiting]
    least = smallest(naive, order.placed)
    reason = reason or naive.why_not_these_terms(price, size, sum(released), instrument.tick, least)
    shows = order.placed.display_milli
    if not reason and shows is not UNSET:
        reason = naive.why_not_display(shows, max(size, shows), instrument)
    if reason:
        return [Refused(user_id, reason)]
    if level is not UNSET or offset is not UNSET:
        wanted = NaiveTrigger(0, order.placed, 0, order.offset, None, 0)
        wanted.level, wanted.offset = (level, None) if level is not UNSET else (0, offset or 0)
        reason = why_bad_level(naive, wanted)
        if order.primary is not None and reason is not Reason.TRIGGER_PRICE_INVALID:
            # Its price counts from the fill of its primary on.
            reason = None
        if reason:
            return [Refused(user_id, reason)]
        assert isinstance(order.placed, PlaceTriggerOrder)
        now = reference(naive, instrument, order.placed.trigger)
        if order.primary is None and order.offset is not None and wanted.offset is not None and now is not None:
            best = order.level - order.offset if order.rises else order.level + order.offset
            wanted.level = best + wanted.offset if order.rises else best - wanted.offset
            if wanted.meets(now):
                return [
                    Refused(user_id, Reason.TRIGGER_PRICE_TOO_LOW if order.rises else Reason.TRIGGER_PRICE_TOO_HIGH)
                ]
        order.level, order.offset = wanted.level, wanted.offset
    order.price, order.size = price, size
    has_level = order.offset is None and isinstance(order.placed, PlaceTriggerOrder)
    shown_level = order.level if has_level else None
    return [
        TriggerOrderEdited(order.order_id, user_id, instrument.instrument_id, shown_level, order.offset, price, size)
    ]


def cancel_triggers(
    naive: NaiveExchange, orders: list[NaiveTrigger], reason: CancelReason, cause: int | UnsetType = UNSET
) -> list[Event]:
    events: list[Event] = []
    for order in orders:
        if order.end is not None:
            continue
        end(naive, order, "cancelled")
        names = (order.order_id, order.placed.user_id, order.placed.instrument_id)
        events.append(TriggerOrderEnded(*names, "cancelled", cancel_reason=reason, linked_order_id=cause))
        links.leave(naive, order)
        events += links.end_links(naive, order.order_id)
    return events


def group(naive: NaiveExchange, command: CancelAll) -> list[NaiveTrigger]:
    return [it for it in naive.triggers if naive.is_in_group(command, it.placed)]


def end(naive: NaiveExchange, order: NaiveTrigger, how: TriggerEnd) -> None:
    order.end = how
    naive.triggers.remove(order)
    ended = naive.users[order.placed.user_id].ended_triggers
    ended.append(order)
    del ended[: max(0, len(ended) - naive.rules.finished_orders_kept)]


def trigger_all(naive: NaiveExchange, ts_us: int, events: list[Event]) -> list[Event]:
    """Let the prices in the events meet the orders, and place those orders. Return the events of that, too."""
    placed, seen = 0, 0
    while True:
        for event in events[seen:]:
            show(naive, ts_us, event)
        seen = len(events)
        events += naive.told(lambda: links.release(naive, ts_us))
        due = sorted((it.level, it.order_id) for it in naive.triggers if it.shown is not None)
        if not due or placed == MOST_AT_ONCE:
            return told_once(events) if placed else events
        order = next(it for it in naive.triggers if it.order_id == due[0][1])
        if isinstance(order.placed, PlaceTriggerOrder) and not is_open(naive, ts_us, order):
            order.shown = None
            continue
        placed += 1
        assert order.shown is not None
        end(naive, order, "triggered")
        it = order.placed
        events += naive.told(partial(links.hand_over, naive, order))
        new_id = naive.last_order_id + 1
        kind: OrderType = "market" if order.price is None else "limit"
        command = PlaceOrder(
            it.user_id,
            it.instrument_id,
            it.side,
            it.type if isinstance(it, PlaceOrder) else kind,
            it.time_in_force,
            order.price,
            order.size,
            it.post_only,
            None,
            it.reduce_only,
            it.label,
            it.reprices,
            it.display_milli,
            connection=naive.connections.get(order.order_id, UNSET),
        )
        naive.trigger_order_id = order.order_id
        naive.liquidated = [event.user_id for event in events if isinstance(event, LiquidationStarted)]
        result = naive.apply_one(ts_us, command)
        naive.trigger_order_id, naive.liquidated = None, []
        names = (order.order_id, it.user_id, it.instrument_id)
        if isinstance(result[0], Refused):
            order.end = "rejected"
            events.append(TriggerOrderEnded(*names, "rejected", order.shown, result[0].reason))
            events += naive.told(partial(links.end_links, naive, new_id))
        else:
            events += [TriggerOrderEnded(*names, "triggered", order.shown), *result]


def told_once(events: list[Event]) -> list[Event]:
    """Each order told the balances and positions after it. Keep the last of each, and put them at the end."""
    told: list[Event] = [
        event for event in events if not isinstance(event, MarginsChanged | PositionChanged | BalanceChanged)
    ]
    positions = [event for event in events if isinstance(event, PositionChanged)]
    balances = [event for event in events if isinstance(event, BalanceChanged)]
    keys = list(dict.fromkeys((event.user_id, event.instrument_id) for event in positions))
    for event in events:
        if isinstance(event, MarginsChanged):
            locked = {name: it for name, it in event.locked_micros.items() if (event.user_id, name) not in keys}
            told += [MarginsChanged(event.user_id, locked)] if locked else []
    for key in keys:
        told.append([event for event in positions if (event.user_id, event.instrument_id) == key][-1])
    for user_id in dict.fromkeys(event.user_id for event in balances):
        told.append([event for event in balances if event.user_id == user_id][-1])
    return told


def is_open(naive: NaiveExchange, ts_us: int, order: NaiveTrigger) -> bool:
    instrument = naive.instruments[order.placed.instrument_id]
    return not (naive.why_closed(ts_us, instrument) or naive.why_not_reopened(ts_us, instrument.terms.asset, False))


def show(naive: NaiveExchange, ts_us: int, event: Event) -> None:
    """Let the waiting orders see the price in an event, if there is one."""
    for order in naive.triggers:
        price, instrument_id = None, order.placed.instrument_id
        if order.primary is not None or isinstance(order.placed, PlaceOrder):
            continue
        match event, order.placed.trigger:
            case Traded(instrument_id=traded), "last_price" if traded == instrument_id:
                price = event.price_micros
            case IndexPriceSet(asset=asset), "index_price" if asset == naive.instruments[instrument_id].terms.asset:
                price = event.price_micros
            case MarksSet(marks=marks), "mark_price":
                price = marks.get(instrument_id)
        if price is None or order.shown is not None:
            continue
        if order.offset is not None:
            best = (price + order.offset) if order.rises else (price - order.offset)
            order.level = min(order.level, best) if order.rises else max(order.level, best)
        if order.meets(price) and is_open(naive, ts_us, order):
            order.shown = price
