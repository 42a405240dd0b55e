"""Open orders, and recently finished orders, of every user."""

from collections.abc import Mapping

from msgspec import UNSET

from exchange.domain.events import (
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    Traded,
    TriggerOrderActivated,
    TriggerOrderEdited,
    TriggerOrderEnded,
    TriggerOrderPlaced,
)
from exchange.domain.units import MILLI_PER_CONTRACT
from exchange.projections.new_orders import add_order, add_trigger_order
from exchange.projections.recent import FinishedOrders
from exchange.projections.wire_types import OrderView


class UserOrders:
    """One user's orders by id: open and untriggered ones oldest first, finished ones in the order of their end.

    `ended` are the trigger orders that ended. The same number of them is kept as of the others, as in the matcher.
    """

    __slots__ = ("ended", "finished", "open", "triggers")

    def __init__(
        self,
        open_orders: dict[int, OrderView],
        finished: FinishedOrders,
        triggers: dict[int, OrderView],
        ended: FinishedOrders,
    ) -> None:
        self.open = open_orders
        self.finished = finished
        self.triggers = triggers
        self.ended = ended

    def all_finished(self) -> Mapping[int, OrderView]:
        """Return finished orders and trigger orders that ended."""
        return {**self.finished, **self.ended} if self.ended else self.finished


class Orders:
    """Orders by user.

    `finished_kept` is the number of finished orders that are kept for each user; the journal has all of them.
    `notional_micros` is the sum traded so far by each open order that is partially filled.
    """

    __slots__ = ("finished_kept", "notional_micros", "users")

    def __init__(self, finished_kept: int = 0) -> None:
        self.finished_kept = finished_kept
        self.users: dict[str, UserOrders] = {}
        self.notional_micros: dict[int, int] = {}

    def of(self, user_id: str) -> UserOrders:
        """Return the orders of one user; create an empty collection if there is none."""
        orders = self.users.get(user_id)
        if orders is None:
            orders = self.users[user_id] = UserOrders({}, FinishedOrders(), {}, FinishedOrders())
        return orders

    def find(self, user_id: str, order_id: int) -> OrderView | None:
        """Return the user's order, open, untriggered or finished; None if it is unknown or no longer kept."""
        orders = self.users.get(user_id)
        if orders is None:
            return None
        waiting = orders.open.get(order_id) or orders.triggers.get(order_id)
        return waiting or orders.finished.get(order_id) or orders.ended.get(order_id)

    def find_named(
        self, user_id: str, order_id: int | None, client_order_id: str | None, label: str | None
    ) -> OrderView | None:
        """Return the user's order with this id, or the newest one with this client_order_id or label.

        Open orders come before finished ones. O(number of kept orders) if no id is given.
        """
        orders = self.users.get(user_id)
        if orders is None or order_id is not None:
            return None if order_id is None else self.find(user_id, order_id)
        for group in ({**orders.open, **orders.triggers}, orders.all_finished()):
            newest_id = 0
            for order in group.values():
                fits = order.label == label if client_order_id is None else order.client_order_id == client_order_id
                if fits and order.order_id > newest_id:
                    newest_id = order.order_id
            if newest_id:
                return group[newest_id]
        return None

    def open_orders(self, user_id: str, instrument_id: str | None = None, label: str | None = None) -> list[OrderView]:
        """Return the user's open and untriggered orders, oldest first."""
        orders = self.users.get(user_id)
        if orders is None:
            return []
        found = orders.open if not orders.triggers else dict(sorted({**orders.open, **orders.triggers}.items()))
        return [
            order
            for order in found.values()
            if instrument_id in (None, order.instrument_id) and label in (None, order.label)
        ]

    def open_count(self) -> int:
        """Return the number of open orders of all users. Another thread may call this."""
        return sum(len(orders.open) for orders in list(self.users.values()))

    def history(
        self,
        user_id: str,
        count: int,
        before: int | None = None,
        instrument_id: str | None = None,
        label: str | None = None,
    ) -> list[OrderView]:
        """Return finished orders with an `order_id` below `before`, the highest first."""
        orders = self.users.get(user_id)
        if orders is None:
            return []
        page: list[OrderView] = []
        finished = orders.all_finished()
        for order_id in sorted(finished, reverse=True):
            if len(page) == count:
                break
            if before is None or order_id < before:
                order = finished[order_id]
                if instrument_id in (None, order.instrument_id) and label in (None, order.label):
                    page.append(order)
        return page

    def on_accepted(self, event: OrderAccepted, ts_us: int) -> OrderView:
        """Add a new open order."""
        return add_order(self.of(event.user_id).open, event, ts_us)

    def keep(self, finished_kept: int) -> None:
        """Keep the newest `finished_kept` finished orders of each user from now on, and drop the others."""
        self.finished_kept = finished_kept
        for orders in self.users.values():
            orders.finished.keep(finished_kept)
            orders.ended.keep(finished_kept)

    def on_traded(self, event: Traded, ts_us: int) -> tuple[OrderView, OrderView]:
        """Update and return both orders of a fill, maker first."""
        maker = self.users[event.maker_user_id].open[event.maker_order_id]
        taker = self.users[event.taker_user_id].open[event.taker_order_id]
        self.fill(maker, event, event.maker_remaining_milli, ts_us)
        self.fill(taker, event, event.taker_remaining_milli, ts_us)
        return maker, taker

    def on_edited(self, event: OrderEdited, ts_us: int) -> OrderView:
        """Take over price and size of an edited order."""
        order = self.users[event.user_id].open[event.order_id]
        order.price_micros = event.price_micros
        order.size_milli = event.size_milli
        order.remaining_milli = event.remaining_milli
        if event.displayed_milli is not UNSET:
            order.displayed_milli = event.displayed_milli
        order.updated_us = ts_us
        return order

    def on_cancelled(self, event: OrderCancelled, ts_us: int) -> OrderView:
        """Move a cancelled order to the finished ones."""
        order = self.users[event.user_id].open[event.order_id]
        assert order.remaining_milli == event.remaining_milli, "a projected order has drifted from its events"
        order.status = "cancelled"
        order.cancel_reason = event.reason
        order.updated_us = ts_us
        self._finish(order)
        return order

    def on_trigger_placed(self, event: TriggerOrderPlaced, ts_us: int) -> OrderView:
        """Add a new trigger order."""
        return add_trigger_order(self.of(event.user_id).triggers, event, ts_us)

    def on_trigger_edited(self, event: TriggerOrderEdited, ts_us: int) -> OrderView:
        """Take over the terms of an edited trigger order."""
        order = self.users[event.user_id].triggers[event.order_id]
        order.trigger_price_micros = event.trigger_price_micros
        order.trigger_offset_micros = event.trigger_offset_micros
        order.price_micros = event.price_micros
        order.size_milli = order.remaining_milli = event.size_milli
        order.updated_us = ts_us
        return order

    def on_trigger_activated(self, event: TriggerOrderActivated, ts_us: int) -> OrderView:
        """Let a trigger order wait for its price from now on."""
        order = self.users[event.user_id].triggers[event.order_id]
        order.primary_order_id = None
        order.updated_us = ts_us
        return order

    def on_trigger_ended(self, event: TriggerOrderEnded, ts_us: int) -> OrderView:
        """Move a trigger order that ended to the finished ones."""
        orders = self.users[event.user_id]
        order = orders.triggers.pop(event.order_id)
        order.status = event.status
        order.cancel_reason = event.cancel_reason or None
        order.reject_reason = event.refusal or None
        order.updated_us = ts_us
        orders.ended.add(order, self.finished_kept)
        return order

    def fill(self, order: OrderView, event: Traded, remaining_milli: int, ts_us: int) -> None:
        """Update the order on one side of a fill."""
        order_id = order.order_id
        notional = event.price_micros * event.size_milli // MILLI_PER_CONTRACT
        if order.filled_milli:
            notional += self.notional_micros[order_id]
        order.remaining_milli = remaining_milli
        order.filled_milli = filled = order.size_milli - remaining_milli
        order.average_price_micros = divide_rounding_half_up(notional * MILLI_PER_CONTRACT, filled)
        order.updated_us = ts_us
        if order.refresh_milli is not None:
            _show(order, event)
        if remaining_milli:
            order.status = "partially_filled"
            self.notional_micros[order_id] = notional
        else:
            order.status = "filled"
            self._finish(order)

    def _finish(self, order: OrderView) -> None:
        orders = self.users[order.user_id]
        del orders.open[order.order_id]
        self.notional_micros.pop(order.order_id, None)
        orders.finished.add(order, self.finished_kept)


def _show(order: OrderView, event: Traded) -> None:
    """Update the part of an iceberg order that the book shows after a fill."""
    assert order.refresh_milli is not None and order.displayed_milli is not None, "not an iceberg order"
    if order.order_id != event.maker_order_id:
        order.displayed_milli = min(order.refresh_milli, order.remaining_milli)
    elif event.maker_refilled_milli is not UNSET:
        order.displayed_milli = event.maker_refilled_milli
    else:
        order.displayed_milli -= event.size_milli


def divide_rounding_half_up(numerator: int, denominator: int) -> int:
    """Return the integer nearest to `numerator / denominator`, half rounded up. `denominator` must be positive."""
    return (2 * numerator + denominator) // (2 * denominator)
