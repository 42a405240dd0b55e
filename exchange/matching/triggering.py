"""Triggering: a price that a command shows meets trigger orders, and they place their orders within that command.

They trigger in the order of their trigger prices, then of their ids. What they trade shows prices, too, which may meet
others. A command triggers TRIGGERED_MAX orders at most, so that it ends soon; those that are left stay due, and the
next commands continue. After a command that leaves some, the server records a ContinueTriggers. Secondary orders that
fills of their primary have released are due as well.
"""

from msgspec import UNSET

from exchange.domain.commands import PlaceOrder
from exchange.domain.events import (
    BalanceChanged,
    Event,
    IndexPriceSet,
    LiquidationStarted,
    MarginsChanged,
    MarksSet,
    PositionChanged,
    Traded,
    TriggerOrderEnded,
    TriggersContinued,
)
from exchange.domain.units import TRIGGERED_MAX
from exchange.matching.cancellation import end_links, end_trigger, remove_trigger
from exchange.matching.orders import place
from exchange.matching.refusal import FailedCheck
from exchange.matching.secondary_orders import hand_over_links, is_open, release_secondaries
from exchange.matching.state import Changes, State
from exchange.matching.trigger_changes import add_trigger
from exchange.matching.trigger_orders import TriggerOrder


def trigger_orders(state: State, ts_us: int, events: list[Event]) -> None:
    """Trigger the orders that the prices in these events meet, and add the events of that to them."""
    seen = triggered = 0
    liquidated: dict[str, None] = {}
    while state.triggers is not None:
        _show(state, ts_us, events, seen)
        for event in events[seen:]:
            if type(event) is LiquidationStarted:
                liquidated[event.user_id] = None
        seen = len(events)
        if state.links is not None:
            release_secondaries(state, ts_us, events)
        if triggered == TRIGGERED_MAX or state.triggers is None or not state.triggers.due:
            break
        order = state.triggers.orders[state.triggers.due[0][1]]
        # A plain order waits for no price: if its instrument is not open, it is refused.
        if order.trigger is None or is_open(state, ts_us, order):
            events += _trigger(state, ts_us, order, liquidated)
            triggered += 1
        else:
            # The instrument closed while the order was due. It waits for the next price.
            remove_trigger(state, order)
            order.shown_micros = None
            add_trigger(state, order)
    if triggered:
        events[:] = _with_last_values(events)


def _with_last_values(events: list[Event]) -> list[Event]:
    """Return the events with one last value of each position and balance, at the end, as those of any command have.

    Each order that was triggered told these values after it.
    """
    others: list[Event] = []
    margins: list[MarginsChanged] = []
    positions: dict[tuple[str, str], Event] = {}
    balances: dict[str, Event] = {}
    for event in events:
        if type(event) is BalanceChanged:
            balances[event.user_id] = event
        elif type(event) is PositionChanged:
            positions[event.user_id, event.instrument_id] = event
        elif type(event) is MarginsChanged:
            margins.append(event)
        else:
            others.append(event)
    for changed in margins:
        locked = {it: micros for it, micros in changed.locked_micros.items() if (changed.user_id, it) not in positions}
        if locked:
            others.append(MarginsChanged(changed.user_id, locked))
    others += positions.values()
    others += balances.values()
    return others


def continue_triggers(state: State) -> list[Event]:
    """The event of a command that only goes on with orders that are due, as every command does."""
    return [TriggersContinued(0 if state.triggers is None else len(state.triggers.due))]


def _show(state: State, ts_us: int, events: list[Event], seen: int) -> None:
    """Show the trigger orders the prices in the events after the first `seen`."""
    lists = state.triggers
    assert lists is not None, "there are no trigger orders"

    def can_trade(order: TriggerOrder) -> bool:
        return is_open(state, ts_us, order)

    for event in events[seen:]:
        if type(event) is Traded:
            lists.show(("last_price", event.instrument_id), event.price_micros, can_trade)
        elif type(event) is IndexPriceSet:
            lists.show(("index_price", event.asset), event.price_micros, can_trade)
        elif type(event) is MarksSet:
            for instrument_id, mark_micros in event.marks.items():
                lists.show(("mark_price", instrument_id), mark_micros, can_trade)


def _trigger(state: State, ts_us: int, order: TriggerOrder, liquidated: dict[str, None]) -> list[Event]:
    """Place the order that a trigger order stands for. It is checked as if its user sent it now.

    `liquidated`: the accounts whose liquidation started in this command before.
    """
    assert order.shown_micros is not None, "no price has met the order"
    end_trigger(state, order)
    new_id = state.next_order_id
    events = [] if state.links is None else hand_over_links(state, order, new_id)
    command = PlaceOrder(
        order.user_id,
        order.book.instrument_id,
        order.side,
        order.order_type,
        order.time_in_force,
        order.price_micros,
        order.size_milli,
        order.post_only,
        None,
        order.reduce_only or UNSET,
        order.label or UNSET,
        order.reprices or UNSET,
        order.display_milli or UNSET,
        connection=order.connection or UNSET,
    )
    names = (order.order_id, order.user_id, order.book.instrument_id)
    result = place(state, ts_us, command, order.order_id, liquidated)
    if isinstance(result, FailedCheck):
        order.status = "rejected"
        events.append(TriggerOrderEnded(*names, "rejected", order.shown_micros, result.reason))
        if state.links is not None:
            changes = Changes()
            end_links(state, changes, order.user_id, new_id)
            events += changes.take_events()
        return events
    order.status = "triggered"
    return [*events, TriggerOrderEnded(*names, "triggered", order.shown_micros), *result]
