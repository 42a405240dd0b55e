"""Rows about trigger orders: their terms when they were placed, and every state since."""

from msgspec import UNSET

from exchange.domain import events as e
from exchange.history_db.link_rows import LinkRows
from exchange.history_db.memory import UntriggeredOrder
from exchange.history_db.new_rows import NULL, Keys, NewRows


class TriggerRows:
    """Adds the rows of events about trigger orders to `new`. Methods for an event return its keys."""

    def __init__(self, new: NewRows, links: LinkRows) -> None:
        self._new = new
        self._links = links
        self._orders = new.memory.untriggered

    def placed(self, n: int, event: e.TriggerOrderPlaced) -> Keys:
        """A new trigger order."""
        new, order_id = self._new, event.order_id
        user, instrument = new.user(event.user_id), new.instrument(event.instrument_id)
        new.tables["trigger_order"].append(
            (
                order_id,
                user,
                instrument,
                _or_null(event.client_order_id),
                event.label or NULL,
                event.side,
                event.type,
                _or_null(event.trigger),
                event.time_in_force,
                int(event.post_only),
                int(event.reduce_only is True),
                _or_null(event.reference_micros),
                new.seq,
            )
        )
        terms = (event.trigger_price_micros, event.trigger_offset_micros, event.price_micros, event.size_milli)
        self._orders[order_id] = UntriggeredOrder(*terms, event.primary_order_id or None)
        self._links.waits(event)
        if event.display_milli is not UNSET:
            self._new.tables["iceberg_version"].append((order_id, self._new.seq, n, event.display_milli, NULL))
        self._changed(n, order_id, "untriggered")
        return user, instrument, order_id

    def edited(self, n: int, event: e.TriggerOrderEdited) -> Keys:
        """New terms of an untriggered order."""
        terms = (event.trigger_price_micros, event.trigger_offset_micros, event.price_micros, event.size_milli)
        self._orders[event.order_id] = UntriggeredOrder(*terms, self._orders[event.order_id].primary_order_id)
        self._changed(n, event.order_id, "untriggered")
        return self._new.user(event.user_id), self._new.instrument(event.instrument_id), event.order_id

    def activated(self, n: int, event: e.TriggerOrderActivated) -> Keys:
        """A trigger order that waits for its price from now on, with the terms that it has."""
        self._orders[event.order_id].primary_order_id = None
        self._changed(n, event.order_id, "untriggered")
        return self._new.user(event.user_id), self._new.instrument(event.instrument_id), event.order_id

    def ended(self, n: int, event: e.TriggerOrderEnded) -> Keys:
        """The end of a trigger order."""
        reason: str | int = NULL
        if event.cancel_reason:
            reason = event.cancel_reason
        elif event.refusal:
            reason = event.refusal.value
        shown_micros = event.shown_micros if isinstance(event.shown_micros, int) else NULL
        self._changed(n, event.order_id, event.status, shown_micros, reason)
        del self._orders[event.order_id]
        self._links.ended(event.order_id)
        return self._new.user(event.user_id), self._new.instrument(event.instrument_id), event.order_id

    def _changed(self, n: int, order_id: int, status: str, shown_micros: int = NULL, reason: str | int = NULL) -> None:
        order = self._orders[order_id]
        levels = (_or_null(order.trigger_price_micros), _or_null(order.trigger_offset_micros))
        terms = (*levels, _or_null(order.price_micros), order.size_milli, _or_null(order.primary_order_id))
        self._new.tables["trigger_version"].append((order_id, self._new.seq, n, status, *terms, shown_micros, reason))


def _or_null(value: str | int | None) -> str | int:
    return NULL if value is None else value
