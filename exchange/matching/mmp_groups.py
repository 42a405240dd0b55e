"""MMP groups: the quotes of an account that market maker protection cancels together, and the sums of their fills.

The rules are Deribit's (https://docs.deribit.com/articles/market-maker-protection). An interval begins with the first
fill; a fill after its end begins the next one. A limit that the sums reach freezes the group: its quotes are cancelled,
and new ones are refused until the frozen time ends or the group is reset.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from exchange.domain.enums import Side
from exchange.domain.units import US_PER_SECOND
from exchange.matching.book import Order


class MmpGroup:
    """One group of an account.

    `quantity_milli` is the sum of all fills. `delta` and `vega` are net: of bids less of asks, in billionths of a
    contract's delta times millicontracts, and in micros for a volatility higher by 1 times millicontracts. They are
    counted only if the group has a limit of one of them. `frozen_until_us` is None if the group is not frozen, 0 if
    only a reset ends the freeze; a freeze that has ended stays noted until the next mass quote. `bids` and `asks` are
    the open orders of the group by instrument.
    """

    __slots__ = (
        "asks",
        "asset",
        "bids",
        "delta",
        "delta_limit_milli",
        "frozen_s",
        "frozen_until_us",
        "interval_s",
        "name",
        "quantity_limit_milli",
        "quantity_milli",
        "started_us",
        "vega",
        "vega_limit_micros",
    )

    def __init__(
        self,
        name: str,
        asset: str,
        interval_s: int,
        frozen_s: int,
        quantity_limit_milli: int | UnsetType,
        delta_limit_milli: int | UnsetType,
        vega_limit_micros: int | UnsetType,
    ) -> None:
        self.name = name
        self.asset = asset
        self.interval_s = interval_s
        self.frozen_s = frozen_s
        self.quantity_limit_milli = quantity_limit_milli
        self.delta_limit_milli = delta_limit_milli
        self.vega_limit_micros = vega_limit_micros
        self.frozen_until_us: int | None = None
        self.bids: dict[str, Order] = {}
        self.asks: dict[str, Order] = {}
        self.restart()

    def restart(self) -> None:
        """Set all sums to zero. The next fill begins an interval."""
        self.started_us: int | None = None
        self.quantity_milli = self.delta = self.vega = 0

    @property
    def counts_greeks(self) -> bool:
        """True if fills count with their delta and vega."""
        return self.delta_limit_milli is not UNSET or self.vega_limit_micros is not UNSET

    def begin_interval(self, ts_us: int) -> None:
        """Begin an interval with a fill at `ts_us`, unless one runs."""
        if self.started_us is None or ts_us >= self.started_us + self.interval_s * US_PER_SECOND:
            self.restart()
            self.started_us = ts_us

    def thaw(self, ts_us: int) -> None:
        """Forget a freeze that has ended."""
        if self.frozen_until_us and ts_us >= self.frozen_until_us:
            self.frozen_until_us = None

    def quote(self, instrument_id: str, side: Side) -> Order | None:
        """Return the group's resting quote; None if there is none."""
        order = (self.bids if side == "bid" else self.asks).get(instrument_id)
        return None if order is None or order.level is None else order

    def file(self, order: Order) -> None:
        """Take an order as the quote of its instrument and side."""
        (self.bids if order.side == "bid" else self.asks)[order.book.instrument_id] = order

    def drop(self, order: Order) -> None:
        """Forget a quote that closed, unless there is another one on its side already."""
        quotes = self.bids if order.side == "bid" else self.asks
        if quotes.get(order.book.instrument_id) is order:
            del quotes[order.book.instrument_id]

    def resting(self) -> list[Order]:
        """Return the resting quotes, oldest first."""
        known = [*self.bids.values(), *self.asks.values()]
        return sorted([order for order in known if order.level is not None], key=_order_id)

    def check(self, open_orders: dict[int, Order]) -> None:
        """Check every invariant of the group; AssertionError names the broken one."""
        filed = [("bid", *item) for item in self.bids.items()] + [("ask", *item) for item in self.asks.items()]
        for side, instrument_id, order in filed:
            assert (order.book.instrument_id, order.side) == (instrument_id, side), "a quote is misfiled"
            assert order.mmp_group == self.name, "a quote is filed in another group"
            assert order.level is not None and order.order_id in open_orders, "a closed quote is not forgotten"
        quotes = [order for order in open_orders.values() if order.mmp_group == self.name]
        assert quotes == self.resting(), "a group has two quotes on one side, or misses one"
        assert self.frozen_until_us is None or not quotes, "a frozen group has quotes"
        assert self.started_us is not None or (self.quantity_milli, self.delta, self.vega) == (0, 0, 0), "stray sums"


def _order_id(order: Order) -> int:
    return order.order_id
