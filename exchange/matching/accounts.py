"""Accounts: cash, what of it is locked, positions, open orders, and the orders that lately ended.

    available = cash - locked
    locked    = sum over open bids of (price * remaining / 1000, and the dearest fee it could meet)
              + sum over instruments of collateral(max(0, open asks - position))

A fill moves contracts from "open ask" to "short" and so leaves the seller's collateral as it is; a buyer's lock is at
least what the fill costs. That is why no fill can make `available` negative, and nothing needs checking after a trade.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from exchange.domain.rules import Fees, Rules
from exchange.domain.units import MILLI_PER_CONTRACT, PPM
from exchange.matching.book import Book, Order
from exchange.matching.collateral import collateral_micros


class Holding(msgspec.Struct, eq=False):
    """What one account has in one instrument. A short is a negative position."""

    book: Book
    position_milli: int = 0
    open_asks_milli: int = 0
    collateral_micros: int = 0  # locked for contracts sold, or offered, beyond those held

    @property
    def free_milli(self) -> int:
        """Contracts held that no ask offers yet; negative: contracts that need collateral."""
        return self.position_milli - self.open_asks_milli


class Account(msgspec.Struct, eq=False):
    """One user's account, cash in micros of USDC."""

    user_id: str
    cash_micros: int = 0
    locked_micros: int = 0
    cancel_on_disconnect: bool = False
    holdings: dict[str, Holding] = {}
    open_orders: dict[int, Order] = {}  # oldest first
    finished_orders: OrderedDict[int, Order] = msgspec.field(default_factory=OrderedDict)  # first finished first
    client_orders: dict[str, Order] = {}  # by client_order_id, open and lately finished

    @property
    def available_micros(self) -> int:
        return self.cash_micros - self.locked_micros

    def holding(self, book: Book) -> Holding:
        """The holding in the instrument of `book`, made where there was none."""
        holding = self.holdings.get(book.instrument_id)
        if holding is None:
            holding = self.holdings[book.instrument_id] = Holding(book)
        return holding

    def relock(self, holding: Holding) -> None:
        """Bring the collateral of one instrument in line with its position and open asks."""
        needed = collateral_micros(holding.book, holding.open_asks_milli - holding.position_milli)
        self.locked_micros += needed - holding.collateral_micros
        holding.collateral_micros = needed

    def reserve(self, order: Order, fees: Fees) -> None:
        """Set aside what the remainder of a limit order needs."""
        if order.side == "bid":
            assert order.price_micros is not None
            self.locked_micros += bid_lock_micros(fees, order.price_micros, order.remaining_milli)
        else:
            holding = self.holding(order.book)
            holding.open_asks_milli += order.remaining_milli
            self.relock(holding)

    def release(self, order: Order, fees: Fees) -> None:
        """Give back what `reserve` set aside for the remainder of a limit order."""
        if order.side == "bid":
            assert order.price_micros is not None
            self.locked_micros -= bid_lock_micros(fees, order.price_micros, order.remaining_milli)
        else:
            holding = self.holding(order.book)
            holding.open_asks_milli -= order.remaining_milli
            self.relock(holding)

    def finish(self, order: Order, kept: int) -> None:
        """Move an order that ended from open to finished, and forget the longest finished one beyond `kept`."""
        del self.open_orders[order.order_id]
        self.finished_orders[order.order_id] = order
        if len(self.finished_orders) > kept:
            _, forgotten = self.finished_orders.popitem(last=False)
            if forgotten.client_order_id is not None:
                del self.client_orders[forgotten.client_order_id]

    def check(self, rules: Rules) -> None:
        """Every invariant of one account."""
        asks = dict.fromkeys(self.holdings, 0)
        locked = 0
        for order_id, order in self.open_orders.items():
            assert order.order_id == order_id and order.account is self, "an open order is filed under another's name"
            assert order.level is not None, "an open order does not rest"
            if order.side == "bid":
                assert order.price_micros is not None
                locked += bid_lock_micros(rules.fees, order.price_micros, order.remaining_milli)
            else:
                asks[order.book.instrument_id] += order.remaining_milli
        for instrument_id, holding in self.holdings.items():
            assert holding.open_asks_milli == asks[instrument_id], "open asks are miscounted"
            needed = collateral_micros(holding.book, holding.open_asks_milli - holding.position_milli)
            assert holding.collateral_micros == needed, "collateral is not what position and asks need"
            locked += needed
        assert self.locked_micros == locked, "locks are not what is open"
        assert 0 <= self.locked_micros <= self.cash_micros, "more is locked than there is"
        assert list(self.open_orders) == sorted(self.open_orders), "open orders are out of order"
        for order_id, order in self.finished_orders.items():
            assert order.order_id == order_id and order.level is None, "a finished order rests"
            assert order_id not in self.open_orders, "an order is open and finished at once"
        assert len(self.open_orders) <= rules.open_orders_max, "more orders are open than may be"
        assert len(self.finished_orders) <= rules.finished_orders_kept, "more finished orders are kept than may be"
        keyed = [o for orders in (self.open_orders, self.finished_orders) for o in orders.values() if o.client_order_id]
        assert len(keyed) == len(self.client_orders), "an order cannot be found by its client_order_id"
        for client_order_id, order in self.client_orders.items():
            assert order.client_order_id == client_order_id, "an order is filed under another client_order_id"
            assert order.order_id in self.open_orders or order.order_id in self.finished_orders, "a lost order is named"


def bid_lock_micros(fees: Fees, price_micros: int, remaining_milli: int) -> int:
    """What a resting bid locks: its cost, and the dearest fee that its fills could meet."""
    cost = price_micros * remaining_milli // MILLI_PER_CONTRACT
    maker_ppm, taker_ppm = fees.maker_premium_ppm, fees.taker_premium_ppm
    if maker_ppm or taker_ppm:
        return cost + cost * max(maker_ppm, taker_ppm) // PPM
    return cost
