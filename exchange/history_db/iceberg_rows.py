"""Rows about iceberg orders: the part that each shows, after each event that changes it."""

from msgspec import UNSET, UnsetType

from exchange.domain import events as e
from exchange.history_db.new_rows import NewRows


class IcebergRows:
    """Adds the rows of events about iceberg orders to `new`. Other orders have no rows here."""

    def __init__(self, new: NewRows) -> None:
        self._new = new
        # Of each open iceberg order: the part that it shows at once, and the part that it shows now.
        self.shown = new.memory.icebergs
        self._rows = new.tables["iceberg_version"]

    def accepted(self, n: int, event: e.OrderAccepted, display_milli: int) -> None:
        """A new iceberg order."""
        self._show(event.order_id, n, display_milli, min(display_milli, event.size_milli))

    def traded(self, n: int, event: e.Traded) -> None:
        """A fill, which may be of iceberg orders."""
        maker, taker = self.shown.get(event.maker_order_id), self.shown.get(event.taker_order_id)
        if maker is not None:
            shown_milli = maker[1] - event.size_milli + (event.maker_refilled_milli or 0)
            self._show(event.maker_order_id, n, maker[0], shown_milli)
            if not event.maker_remaining_milli:
                del self.shown[event.maker_order_id]
        if taker is not None:
            remaining_milli = event.taker_remaining_milli
            self._show(event.taker_order_id, n, taker[0], min(taker[0], remaining_milli))
            if not remaining_milli:
                del self.shown[event.taker_order_id]

    def edited(self, n: int, order_id: int, displayed_milli: int | UnsetType) -> None:
        """An edit, which may be of an iceberg order."""
        if displayed_milli is not UNSET:
            self._show(order_id, n, self.shown[order_id][0], displayed_milli)

    def cancelled(self, order_id: int) -> None:
        """The end of an order, which may be an iceberg order. It keeps the part that it showed last."""
        self.shown.pop(order_id, None)

    def _show(self, order_id: int, n: int, display_milli: int, shown_milli: int) -> None:
        self.shown[order_id] = (display_milli, shown_milli)
        self._rows.append((order_id, self._new.seq, n, display_milli, shown_milli))
