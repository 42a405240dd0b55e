"""Open orders, and the orders that lately ended, of every user."""

from collections import OrderedDict
from itertools import islice

import msgspec

from exchange.domain.events import OrderAccepted, OrderCancelled, OrderEdited, Traded
from exchange.domain.units import MILLI_PER_CONTRACT
from exchange.projections.wire_types import OrderView


class UserOrders(msgspec.Struct):
    """One user's orders by id: open ones oldest first, finished ones in the order in which they ended."""

    open: dict[int, OrderView] = {}
    finished: OrderedDict[int, OrderView] = msgspec.field(default_factory=OrderedDict)


class Orders(msgspec.Struct):
    """Orders by user. `finished_kept` is how many finished orders a user has in view; the journal keeps them all."""

    finished_kept: int = 0
    users: dict[str, UserOrders] = {}
    notional_micros: dict[int, int] = {}  # spent so far by open orders that are partially filled

    def of(self, user_id: str) -> UserOrders:
        orders = self.users.get(user_id)
        if orders is None:
            orders = self.users[user_id] = UserOrders()
        return orders

    def find(self, user_id: str, order_id: int) -> OrderView | None:
        """The user's order, open or lately finished."""
        orders = self.users.get(user_id)
        return None if orders is None else orders.open.get(order_id) or orders.finished.get(order_id)

    def newest_named(self, user_id: str, client_order_id: str) -> OrderView | None:
        """The user's order that has this client_order_id now, open or lately finished."""
        orders = self.users.get(user_id)
        named = [
            order
            for group in ((orders.open, orders.finished) if orders else ())
            for order in group.values()
            if order.client_order_id == client_order_id
        ]
        return max(named, key=lambda order: order.order_id, default=None)

    def open_orders(self, user_id: str, instrument_id: str | None = None) -> list[OrderView]:
        """Oldest first."""
        orders = self.users.get(user_id)
        return [
            order
            for order in (orders.open.values() if orders else ())
            if instrument_id is None or order.instrument_id == instrument_id
        ]

    def open_count(self) -> int:
        """How many orders of all users are open; it may be asked from another thread."""
        return sum(len(orders.open) for orders in list(self.users.values()))

    def history(
        self, user_id: str, count: int, before: int | None = None, instrument_id: str | None = None
    ) -> list[OrderView]:
        """Finished orders, newest `order_id` first, those below `before` only."""
        orders = self.users.get(user_id)
        if orders is None:
            return []
        newest_first = (orders.finished[order_id] for order_id in sorted(orders.finished, reverse=True))
        wanted = (
            order
            for order in newest_first
            if (before is None or order.order_id < before) and instrument_id in (None, order.instrument_id)
        )
        return list(islice(wanted, count))

    def on_accepted(self, event: OrderAccepted, ts_us: int) -> OrderView:
        order = OrderView(
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
            "open",
            ts_us,
            ts_us,
            event.client_order_id,
            reduce_only=event.reduce_only is True,
            liquidation=event.liquidation is True,
        )
        self.of(event.user_id).open[event.order_id] = order
        return order

    def keep(self, finished_kept: int) -> None:
        """From here on so many finished orders of a user stay in view: what is beyond goes, first finished first."""
        self.finished_kept = finished_kept
        for orders in self.users.values():
            while len(orders.finished) > finished_kept:
                orders.finished.popitem(last=False)

    def on_traded(self, event: Traded, ts_us: int) -> tuple[OrderView, OrderView]:
        """Both orders of the fill, maker first."""
        maker = self.users[event.maker_user_id].open[event.maker_order_id]
        taker = self.users[event.taker_user_id].open[event.taker_order_id]
        self.fill(maker, event, event.maker_remaining_milli, ts_us)
        self.fill(taker, event, event.taker_remaining_milli, ts_us)
        return maker, taker

    def on_edited(self, event: OrderEdited, ts_us: int) -> OrderView:
        order = self.users[event.user_id].open[event.order_id]
        order.price_micros = event.price_micros
        order.size_milli = event.size_milli
        order.remaining_milli = event.remaining_milli
        order.updated_us = ts_us
        return order

    def on_cancelled(self, event: OrderCancelled, ts_us: int) -> OrderView:
        order = self.users[event.user_id].open[event.order_id]
        assert order.remaining_milli == event.remaining_milli, "a projected order has drifted from its events"
        order.status = "cancelled"
        order.cancel_reason = event.reason
        order.updated_us = ts_us
        self._finish(order)
        return order

    def fill(self, order: OrderView, event: Traded, remaining_milli: int, ts_us: int) -> None:
        """Bring one side of a fill up to date."""
        order_id = order.order_id
        notional = event.price_micros * event.size_milli // MILLI_PER_CONTRACT
        if order.filled_milli:
            notional += self.notional_micros[order_id]
        order.remaining_milli = remaining_milli
        order.filled_milli = filled = order.size_milli - remaining_milli
        order.average_price_micros = divide_rounding_half_up(notional * MILLI_PER_CONTRACT, filled)
        order.updated_us = ts_us
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
        orders.finished[order.order_id] = order
        if len(orders.finished) > self.finished_kept:
            orders.finished.popitem(last=False)


def divide_rounding_half_up(numerator: int, denominator: int) -> int:
    """The nearest integer to `numerator / denominator`; a half goes up. For `denominator` > 0."""
    return (2 * numerator + denominator) // (2 * denominator)
