"""How orders end without being filled, or become smaller, and what that does to the orders that are linked to them.

If one order of a pair ends, the other one is cancelled with it, as in an order list of Binance
(https://developers.binance.com/docs/binance-spot-api-docs/rest-api). If a primary ends before
fills have released its secondaries, they are cancelled with it. An order that is trading now is never cancelled by a
link: it goes on alone.
"""

from collections.abc import Iterable

from msgspec import UNSET, UnsetType

from exchange.domain.enums import CancelReason, EditCause
from exchange.domain.events import OrderCancelled, OrderEdited, TriggerOrderEdited, TriggerOrderEnded
from exchange.domain.rules import FAIR_MARKET_VERSION
from exchange.matching.accounts import Account
from exchange.matching.book import Order, OrderBook
from exchange.matching.links import Links, Primary
from exchange.matching.state import Changes, State
from exchange.matching.trigger_orders import TriggerOrder


def cancel_each(state: State, changes: Changes, orders: Iterable[Order], reason: CancelReason) -> None:
    """Cancel these resting orders, in the given order. One of them may end with another one that it is linked to."""
    for order in orders:
        if order.level is not None:
            cancel_resting(state, changes, order, reason)


def cancel_unaffordable_bids(state: State, changes: Changes, account: Account) -> None:
    """Cancel the newest bids until the cash covers the locks of the others, so that every fill can be paid."""
    for order in reversed(list(account.open_orders.values())):
        if account.bids_micros <= max(0, account.cash_micros):
            return
        if order.side == "bid" and order.level is not None:
            cancel_resting(state, changes, order, "insufficient_balance")


def cancel_resting(
    state: State, changes: Changes, order: Order, reason: CancelReason, linked_order_id: int | UnsetType = UNSET
) -> None:
    """Take a resting order out of its book and close it."""
    order.book.side(order.side).remove(order)
    close_order(state, changes, order, reason, linked_order_id)


def close_order(
    state: State, changes: Changes, order: Order, reason: CancelReason, linked_order_id: int | UnsetType = UNSET
) -> None:
    """Close an order that does not rest, and release the lock of its remainder."""
    account = state.accounts[order.user_id]
    if order.price_micros is not None:
        changes.track_order(account, order)
        account.release(order, state.fee_schedule)
    account.close_order(order, state.rules.finished_orders_kept)
    changes.events.append(
        OrderCancelled(
            order.order_id,
            account.user_id,
            order.book.instrument_id,
            order.side,
            order.price_micros,
            order.remaining_milli,
            reason,
            order.shown_milli if order.display_milli else UNSET,
            linked_order_id,
        )
    )
    if state.links is not None:
        end_links(state, changes, account.user_id, order.order_id)


def cancel_triggers(state: State, changes: Changes, orders: Iterable[TriggerOrder], reason: CancelReason) -> None:
    """Cancel these untriggered orders, in the given order. One of them may end with another that it is linked to."""
    for order in orders:
        if order.status is None:
            cancel_trigger(state, changes, order, reason)


def cancel_trigger(
    state: State,
    changes: Changes,
    order: TriggerOrder,
    reason: CancelReason,
    linked_order_id: int | UnsetType = UNSET,
) -> None:
    """Cancel an untriggered order."""
    end_trigger(state, order)
    order.status = "cancelled"
    names = (order.order_id, order.user_id, order.book.instrument_id)
    changes.events.append(TriggerOrderEnded(*names, "cancelled", cancel_reason=reason, linked_order_id=linked_order_id))
    if state.links is not None:
        leave_primary(state, order)
        end_links(state, changes, order.user_id, order.order_id)


def end_trigger(state: State, order: TriggerOrder) -> None:
    """Take an order out of the lists, and file it among the ended ones."""
    remove_trigger(state, order)
    state.accounts[order.user_id].close_trigger(order, state.rules.finished_orders_kept)


def remove_trigger(state: State, order: TriggerOrder) -> None:
    """Take an order out of the lists, which are there only while an order waits."""
    assert state.triggers is not None, "an order waits in no list"
    state.triggers.remove(order)
    if not state.triggers.orders:
        state.triggers = None


def smallest_milli(state: State, book: OrderBook, reduce_only: bool) -> int:
    """Return the smallest size of a trigger order. The position that a reduce-only order reduces is known only then."""
    return 1 if reduce_only and state.rules_version >= FAIR_MARKET_VERSION else book.min_size_milli


def shrink(
    state: State, changes: Changes, account: Account, order: Order, remaining_milli: int, cause: EditCause
) -> None:
    """Make a resting order smaller. It keeps its place in the queue."""
    assert order.price_micros is not None, "a market order rests"
    previous_milli = order.remaining_milli
    changes.track_order(account, order)
    account.release(order, state.fee_schedule)
    order.size_milli -= previous_milli - remaining_milli
    order.remaining_milli = remaining_milli
    if order.reduce_only:
        account.change_reducing(order, remaining_milli - previous_milli)
    account.reserve(order, state.fee_schedule)
    shown: int | UnsetType = UNSET
    previous_shown: int | UnsetType = UNSET
    if order.display_milli:
        previous_shown = order.shown_milli
        order.shown_milli = shown = min(order.shown_milli, remaining_milli)
    changes.events.append(
        OrderEdited(
            order.order_id,
            account.user_id,
            order.book.instrument_id,
            order.side,
            order.price_micros,
            order.size_milli,
            remaining_milli,
            True,
            order.price_micros,
            previous_milli,
            cause,
            shown,
            previous_shown,
        )
    )


def shrink_trigger(changes: Changes, order: TriggerOrder, size_milli: int) -> None:
    """Make an untriggered order smaller because of its link."""
    order.size_milli = size_milli
    if order.display_milli > size_milli:
        # It shows all of it.
        order.display_milli = 0
    is_level = order.trigger is not None and order.offset_micros is None
    changes.events.append(
        TriggerOrderEdited(
            order.order_id,
            order.user_id,
            order.book.instrument_id,
            order.level_micros if is_level else None,
            order.offset_micros,
            order.price_micros,
            size_milli,
            "linked_order",
        )
    )


def end_links(state: State, changes: Changes, user_id: str, order_id: int) -> None:
    """Let the end of an order, which was not filled, end those that are linked to it."""
    links = state.links
    if links is None:
        return
    pair = links.pairs.get(order_id)
    if pair is not None:
        links.drop_pair(pair)
        cancel_linked(state, changes, user_id, pair.other(order_id), order_id)
    primary = links.primaries.get(order_id)
    if primary is not None:
        _end_primary(state, changes, links, primary)
    if links.are_none:
        state.links = None


def cancel_linked(state: State, changes: Changes, user_id: str, order_id: int, cause_id: int) -> None:
    """Cancel an order of the user because of the order `cause_id`, unless it is trading now."""
    account = state.accounts[user_id]
    trigger = account.triggers.get(order_id)
    if trigger is not None:
        cancel_trigger(state, changes, trigger, "linked_order", cause_id)
        return
    order = account.open_orders.get(order_id)
    if order is not None and order.level is not None:
        cancel_resting(state, changes, order, "linked_order", cause_id)


def leave_primary(state: State, order: TriggerOrder) -> None:
    """Let an order that ends, or that waits for its primary no longer, leave the primary's secondaries."""
    links = state.links
    if links is None or not order.primary_order_id:
        return
    primary = links.primaries.get(order.primary_order_id)
    if primary is not None:
        del primary.secondaries[order.order_id]
        if not primary.secondaries:
            links.drop_primary(primary)


def can_place_parts(state: State, primary: Primary) -> bool:
    """True if what fills have released of each secondary can be an order by itself."""
    orders = state.accounts[primary.user_id].triggers
    for order_id, held_milli in primary.secondaries.items():
        order = orders[order_id]
        is_enough = held_milli >= smallest_milli(state, order.book, order.reduce_only)
        if held_milli < order.size_milli and not is_enough:
            return False
    return True


def _end_primary(state: State, changes: Changes, links: Links, primary: Primary) -> None:
    """Cancel the secondaries of a primary that ends, but for the parts of them that its fills have released."""
    account = state.accounts[primary.user_id]
    secondaries = [account.triggers[order_id] for order_id in primary.secondaries]
    if can_place_parts(state, primary):
        for order in secondaries:
            held_milli = primary.secondaries[order.order_id]
            if held_milli < order.size_milli:
                shrink_trigger(changes, order, held_milli)
        links.filled[primary.order_id] = None
        return
    links.drop_primary(primary)
    for order in secondaries:
        # They end because of the primary, and not because of each other.
        pair = links.pairs.get(order.order_id)
        if pair is not None:
            links.drop_pair(pair)
    for order in secondaries:
        cancel_trigger(state, changes, order, "linked_order", primary.order_id)
