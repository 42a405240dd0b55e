"""Rows about orders and trades: their versions, the best quotes, liquidations, and lists of open orders."""

from msgspec import UNSET

from exchange.domain import events as e
from exchange.domain.commands import PlaceLinkedOrders, PlaceTriggerOrder
from exchange.domain.units import cost_micros
from exchange.history_db.iceberg_rows import IcebergRows
from exchange.history_db.memory import OpenOrder
from exchange.history_db.new_rows import NULL, Keys, NewRows
from exchange.projections.depth import Depth

# Between two lists of all open orders, so that a book of the past follows from few versions.
CHECKPOINT_EVERY = 10_000
# With more open orders than this, lists are rarer, so that they do not become larger than all the rest.
_CHECKPOINT_ORDERS = 100_000


class OrderRows:
    """Adds the rows of events about orders to `new`. Methods for an event return its keys."""

    def __init__(self, new: NewRows) -> None:
        self._new = new
        self._orders = new.memory.open_orders
        self._versions = new.tables["order_version"]
        self._trades = new.tables["trade"]
        self.icebergs = IcebergRows(new)

    def accepted(self, n: int, event: e.OrderAccepted) -> Keys:
        """A new order."""
        new, order_id = self._new, event.order_id
        seq, user, instrument = new.seq, new.user(event.user_id), new.instrument(event.instrument_id)
        price, size = event.price_micros, event.size_milli
        new.touched[event.user_id, event.instrument_id] = None
        if event.display_milli is not UNSET:
            self.icebergs.accepted(n, event, event.display_milli)
        self._orders[order_id] = OpenOrder(instrument, price, size, size, 0, 0)
        new.tables["book_order"].append(
            (
                order_id,
                user,
                instrument,
                NULL if event.client_order_id is None else event.client_order_id,
                event.side,
                event.type,
                event.time_in_force,
                int(event.post_only),
                int(event.reduce_only is True),
                int(event.liquidation is True),
                event.label or NULL,
                event.trigger_order_id or NULL,
                seq,
                price,
                size,
                price,
                size,
                0,
                0,
                0,
                "open",
                NULL,
                seq,
            )
        )
        self._versions.append((order_id, seq, n, "placed", price, size, size, 0, 0, NULL, NULL, NULL))
        return user, instrument, order_id

    def repeated(self, n: int, event: e.OrderRepeated) -> Keys:
        """An order that was sent again, which changes nothing. A trigger order has no version of that."""
        command = self._new.command
        first = command.orders[0] if isinstance(command, PlaceLinkedOrders) else command
        if isinstance(first, PlaceTriggerOrder):
            return self._new.user(event.user_id), NULL, event.order_id
        self._versions.append((event.order_id, self._new.seq, n, "repeated", NULL, 0, 0, 0, 0, NULL, NULL, NULL))
        return self._new.user(event.user_id), NULL, event.order_id

    def traded(self, n: int, event: e.Traded) -> Keys:
        """A trade, and a fill of both orders."""
        new, trade_id, instrument_id = self._new, event.trade_id, event.instrument_id
        price, size = event.price_micros, event.size_milli
        maker, maker_fee = event.maker_order_id, event.maker_fee_micros
        taker, taker_fee = event.taker_order_id, event.taker_fee_micros
        instrument = new.instrument(instrument_id)
        taker_user, maker_user = new.user(event.taker_user_id), new.user(event.maker_user_id)
        sides = (event.taker_side, taker_user, taker, taker_fee, maker_user, maker, maker_fee)
        self._trades.append((trade_id, new.seq, n, new.ts_us, instrument, price, size, *sides))
        for user_id in (event.maker_user_id, event.taker_user_id):
            new.touched[user_id, instrument_id] = new.profited[user_id, instrument_id] = None
        if self.icebergs.shown:
            self.icebergs.traded(n, event)
        cost = cost_micros(price, size)
        self._fill(n, trade_id, maker, cost, event.maker_remaining_milli, maker_fee)
        self._fill(n, trade_id, taker, cost, event.taker_remaining_milli, taker_fee)
        return NULL, instrument, trade_id

    def _fill(self, n: int, trade_id: int, order_id: int, cost: int, remaining_milli: int, fee_micros: int) -> None:
        order = self._orders[order_id]
        order.remaining_milli = remaining_milli
        order.cost_micros += cost
        order.fee_micros += fee_micros
        status = "partially_filled" if remaining_milli else "filled"
        self._changed(n, order_id, order, "filled", status, trade_id=trade_id)
        if not remaining_milli:
            del self._orders[order_id]

    def edited(self, n: int, event: e.OrderEdited) -> Keys:
        """A new price or size of an order."""
        new, order_id, remaining_milli = self._new, event.order_id, event.remaining_milli
        new.touched[event.user_id, event.instrument_id] = None
        order = self._orders[order_id]
        order.price_micros, order.size_milli, order.remaining_milli = (
            event.price_micros,
            event.size_milli,
            remaining_milli,
        )
        status = "open" if remaining_milli == event.size_milli else "partially_filled"
        self.icebergs.edited(n, order_id, event.displayed_milli)
        change = "edited" if event.cause is UNSET else "reduced"
        self._changed(n, order_id, order, change, status, kept_place=int(event.kept_place))
        return new.user(event.user_id), order.instrument, order_id

    def cancelled(self, n: int, event: e.OrderCancelled) -> Keys:
        """The end of an order."""
        new, order_id = self._new, event.order_id
        new.touched[event.user_id, event.instrument_id] = None
        order = self._orders.pop(order_id)
        if self.icebergs.shown:
            self.icebergs.cancelled(order_id)
        self._changed(n, order_id, order, "cancelled", "cancelled", reason=event.reason)
        return new.user(event.user_id), order.instrument, order_id

    def _changed(
        self,
        n: int,
        order_id: int,
        order: OpenOrder,
        change: str,
        status: str,
        kept_place: int = NULL,
        trade_id: int = NULL,
        reason: str | int = NULL,
    ) -> None:
        """Add a version of an order, and replace its newest state."""
        seq, price, size, remaining = self._new.seq, order.price_micros, order.size_milli, order.remaining_milli
        cost, fee = order.cost_micros, order.fee_micros
        self._versions.append(
            (order_id, seq, n, change, price, size, remaining, cost, fee, kept_place, trade_id, reason)
        )
        self._new.updated_orders[order_id] = (price, size, size - remaining, cost, fee, status, reason, seq, order_id)

    def add_quotes(self, books: dict[str, Depth]) -> None:
        """Add the best quotes of these books where they changed."""
        new, quotes = self._new, self._new.memory.quotes
        for instrument_id, depth in books.items():
            instrument, (bid, ask) = new.instrument(instrument_id), depth.tops()
            quote = (
                None if bid is None else bid.price_micros,
                0 if bid is None else bid.size_milli,
                None if ask is None else ask.price_micros,
                0 if ask is None else ask.size_milli,
            )
            if quotes.get(instrument) != quote:
                quotes[instrument] = quote
                new.tables["quote_version"].append((instrument, new.seq, *quote))

    def add_liquidation(self, start: e.LiquidationStarted) -> None:
        """Add a liquidation with the sums of all that it did within the command."""
        new = self._new
        cancelled = wanted = bought = cost = fee = sold = proceeds = taken_over = insurance_fee = 0
        orders: dict[int, None] = {}
        for event in new.events:
            if isinstance(event, e.OrderCancelled) and (event.user_id, event.reason) == (start.user_id, "liquidation"):
                cancelled += 1
            elif isinstance(event, e.OrderAccepted) and event.liquidation is True and event.user_id == start.user_id:
                orders[event.order_id] = None
                wanted += event.size_milli
            elif isinstance(event, e.Traded) and event.taker_order_id in orders:
                fee += event.taker_fee_micros
                if event.taker_side == "bid":
                    bought += event.size_milli
                    cost += cost_micros(event.price_micros, event.size_milli)
                else:
                    sold += event.size_milli
                    proceeds += cost_micros(event.price_micros, event.size_milli)
            elif isinstance(event, e.PositionTakenOver) and event.user_id == start.user_id:
                taken_over += abs(event.quantity_milli)
            elif isinstance(event, e.LiquidationFeeCharged) and event.user_id == start.user_id:
                insurance_fee += event.amount_micros
        sums = (cancelled, wanted, bought, cost, fee, sold, proceeds, taken_over, insurance_fee)
        found = (new.seq, new.user(start.user_id), start.cash_micros, start.maintenance_micros)
        new.tables["liquidation"].append((*found, *sums))

    def add_checkpoint(self) -> None:
        """List all open orders every now and then."""
        orders, seq = self._orders, self._new.seq
        if seq % (CHECKPOINT_EVERY * (1 + len(orders) // _CHECKPOINT_ORDERS)) == 0:
            rows = self._new.tables["open_order_checkpoint"]
            rows += sorted((seq, order.instrument, order_id) for order_id, order in orders.items())
