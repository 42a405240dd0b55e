"""Orders that wait for a price, and the lists that find those which a price meets.

The names and the states are those of Deribit
(https://docs.deribit.com/api-reference/trading/private-get_trigger_order_history): a trigger order is untriggered
until a price meets it. Then it places another order, and is triggered, or rejected if that order is refused.

A secondary order of linked orders waits here for fills of its primary. A fill makes it due, if it is a plain order, or
lets it wait for its price, if it is a trigger order.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable

from exchange.domain.enums import OrderType, Side, TimeInForce, Trigger, TriggerEnd, TriggerType
from exchange.matching.book import OrderBook

# What a price belongs to: its kind, and the asset (of an index price) or the instrument.
PriceKey = tuple[Trigger, str]


class TriggerOrder:
    """One trigger order. `status` is None while it waits.

    `level_micros` is the price that triggers it; that of a trailing stop follows the best price since its placing at
    `offset_micros`. `shown_micros` is the price that met the order: then it is due, and triggers as soon as the limit
    of a command allows. `original` are trigger price, offset, price and size when it was placed. `primary_order_id` is
    the order whose fills it waits for, 0 if for none. `trigger` is None for a plain order, which waits for no price.
    """

    __slots__ = (
        "book",
        "client_order_id",
        "connection",
        "display_milli",
        "label",
        "level_micros",
        "offset_micros",
        "order_id",
        "original",
        "post_only",
        "price_micros",
        "primary_order_id",
        "reduce_only",
        "reprices",
        "shown_micros",
        "side",
        "size_milli",
        "status",
        "time_in_force",
        "trigger",
        "type",
        "user_id",
    )

    def __init__(
        self,
        order_id: int,
        user_id: str,
        book: OrderBook,
        side: Side,
        order_type: TriggerType | OrderType,
        trigger: Trigger | None,
        level_micros: int,
        offset_micros: int | None,
        time_in_force: TimeInForce,
        price_micros: int | None,
        size_milli: int,
        post_only: bool,
        client_order_id: str | None,
        reduce_only: bool,
        label: str | None,
        original: tuple[int | None, int | None, int | None, int],
        shown_micros: int | None = None,
        status: TriggerEnd | None = None,
        reprices: bool = False,
        display_milli: int = 0,
        primary_order_id: int = 0,
        connection: int = 0,
    ) -> None:
        self.connection = connection
        self.order_id = order_id
        self.user_id = user_id
        self.book = book
        self.side: Side = side
        self.type: TriggerType | OrderType = order_type
        self.trigger: Trigger | None = trigger
        self.level_micros = level_micros
        self.offset_micros = offset_micros
        self.time_in_force: TimeInForce = time_in_force
        self.price_micros = price_micros
        self.size_milli = size_milli
        self.post_only = post_only
        self.client_order_id = client_order_id
        self.reduce_only = reduce_only
        self.label = label
        self.original = original
        self.shown_micros = shown_micros
        self.status: TriggerEnd | None = status
        self.reprices = reprices
        self.display_milli = display_milli
        self.primary_order_id = primary_order_id

    @property
    def order_type(self) -> OrderType:
        """The type of the order to place."""
        if self.type == "limit" or self.type == "market" or self.type == "market_limit":
            return self.type
        return "market" if self.price_micros is None else "limit"

    @property
    def waits_for_rise(self) -> bool:
        """True if a price at or above the level triggers the order, False if one at or below it does.

        A stop limits a loss: it buys after a rise and sells after a fall. A take profit does the opposite.
        """
        is_take = self.type == "take_market" or self.type == "take_limit"
        return (self.side == "bid") != is_take

    @property
    def key(self) -> PriceKey:
        """The price that the order waits for."""
        assert self.trigger is not None, "a plain order waits for no price"
        return self.trigger, self.book.asset if self.trigger == "index_price" else self.book.instrument_id

    @property
    def rank(self) -> tuple[int, int]:
        """Orders trigger in this order."""
        return self.level_micros, self.order_id

    def trail(self, price_micros: int) -> None:
        """Move the level of a trailing stop, if the price is a new best one."""
        assert self.offset_micros is not None, "only a trailing stop trails"
        if self.waits_for_rise:
            self.level_micros = min(self.level_micros, price_micros + self.offset_micros)
        else:
            self.level_micros = max(self.level_micros, price_micros - self.offset_micros)

    def is_met_by(self, price_micros: int) -> bool:
        """True if this price triggers the order."""
        return price_micros >= self.level_micros if self.waits_for_rise else price_micros <= self.level_micros


class _WaitingOrders:
    """The orders that wait for one price. The lists hold their ranks in rising order."""

    __slots__ = ("falls", "rises", "trailing")

    def __init__(self) -> None:
        self.rises: list[tuple[int, int]] = []
        self.falls: list[tuple[int, int]] = []
        self.trailing: dict[int, TriggerOrder] = {}

    def ranks(self, order: TriggerOrder) -> list[tuple[int, int]]:
        return self.rises if order.waits_for_rise else self.falls


class TriggerLists:
    """All untriggered orders by id, those that wait by their price, and the ranks of those that are due, in order.

    Those that wait for fills of their primary are by id only.
    """

    __slots__ = ("_waiting", "due", "orders")

    def __init__(self) -> None:
        self.orders: dict[int, TriggerOrder] = {}
        self.due: list[tuple[int, int]] = []
        self._waiting: dict[PriceKey, _WaitingOrders] = {}

    def add(self, order: TriggerOrder) -> None:
        """Add an order, which is due if a price has met it."""
        self.orders[order.order_id] = order
        if order.primary_order_id:
            return
        if order.shown_micros is not None:
            insort(self.due, order.rank)
            return
        waiting = self._waiting.get(order.key)
        if waiting is None:
            waiting = self._waiting[order.key] = _WaitingOrders()
        if order.offset_micros is None:
            insort(waiting.ranks(order), order.rank)
        else:
            waiting.trailing[order.order_id] = order

    def remove(self, order: TriggerOrder) -> None:
        """Take an order out."""
        del self.orders[order.order_id]
        if order.primary_order_id:
            return
        if order.shown_micros is not None:
            _remove(self.due, order.rank)
            return
        waiting = self._waiting[order.key]
        if order.offset_micros is None:
            _remove(waiting.ranks(order), order.rank)
        else:
            del waiting.trailing[order.order_id]
        if not (waiting.rises or waiting.falls or waiting.trailing):
            del self._waiting[order.key]

    def waits_for(self, key: PriceKey) -> bool:
        """True if an order waits for this price."""
        return key in self._waiting

    def show(self, key: PriceKey, price_micros: int, is_open: Callable[[TriggerOrder], bool]) -> None:
        """Make the orders due that this price meets and whose instrument is open, and move trailing stops."""
        waiting = self._waiting.get(key)
        if waiting is None:
            return
        first_above = bisect_left(waiting.rises, (price_micros + 1, 0))
        met = [self.orders[order_id] for _, order_id in waiting.rises[:first_above]]
        first_met = bisect_left(waiting.falls, (price_micros, 0))
        met += [self.orders[order_id] for _, order_id in waiting.falls[first_met:]]
        for order in waiting.trailing.values():
            order.trail(price_micros)
            if order.is_met_by(price_micros):
                met.append(order)
        for order in met:
            if is_open(order):
                self.remove(order)
                order.shown_micros = price_micros
                self.add(order)


def _remove(ranks: list[tuple[int, int]], rank: tuple[int, int]) -> None:
    at = bisect_left(ranks, rank)
    assert ranks[at] == rank, "an order is not in its list"
    del ranks[at]
