"""Rows about linked orders: the link of each, and of the orders that follow from it."""

import json

from exchange.domain import events as e
from exchange.history_db.new_rows import NULL, Keys, NewRows
from exchange.projections.wire_types import OrderView

_Link = tuple[str, str, str]


class LinkRows:
    """Adds the rows of linked orders to `new`. An untriggered order hands its link on to its parts and to its order."""

    def __init__(self, new: NewRows) -> None:
        self._new = new
        self._waiting = new.memory.links
        self._rows = new.tables["linked_order"]
        # The link of the orders that the command places, by id; and that of the trigger order that ended last.
        self._placed: dict[int, _Link] = {}
        self._ended: tuple[int, _Link] | None = None

    def begin(self) -> None:
        """Forget what the command before placed and ended."""
        self._placed.clear()
        self._ended = None

    def placed(self, _n: int, event: e.LinkedOrdersPlaced) -> Keys:
        """New linked orders; each has an event of its own after this one."""
        link = (event.link, event.fill_condition, json.dumps(event.order_ids, separators=(",", ":")))
        self._placed = dict.fromkeys(event.order_ids, link)
        return self._new.user(event.user_id), NULL, event.order_ids[0]

    def accepted(self, event: e.OrderAccepted) -> None:
        """A new order, which may be linked, or placed by an order that was."""
        link = self._placed.get(event.order_id)
        if link is None and self._ended is not None and event.trigger_order_id == self._ended[0]:
            link = self._ended[1]
        if link is not None:
            self._rows.append((event.order_id, *link))

    def waits(self, event: e.TriggerOrderPlaced) -> None:
        """A new untriggered order, which may be linked, or a part of one that is."""
        link = self._placed.get(event.order_id)
        if link is None and isinstance(event.part_of, int):
            link = self._waiting.get(event.part_of)
        if link is not None:
            self._waiting[event.order_id] = link
            self._rows.append((event.order_id, *link))

    def ended(self, order_id: int) -> None:
        """The end of a trigger order, which may be linked."""
        link = self._waiting.pop(order_id, None)
        self._ended = None if link is None else (order_id, link)

    def add_state(self, order: OrderView) -> None:
        """Add an order of a state, if it is linked."""
        if order.link is None or order.fill_condition is None:
            return
        link = (order.link, order.fill_condition, json.dumps(order.linked_order_ids, separators=(",", ":")))
        self._rows.append((order.order_id, *link))
        if order.status == "untriggered":
            self._waiting[order.order_id] = link
