"""Accounts: cash, what of it is locked, positions, open orders, and the orders that lately ended.

    available = cash - locked
    locked    = sum over open bids of (price * remaining / 1000, and the dearest fee it could meet)
              + margin: sum over instruments of collateral(max(0, open asks - position))

A fill moves contracts from "open ask" to "short" and so leaves the seller's collateral as it is; a buyer's lock is at
least what the fill costs. That is why no fill can make `available` less than it was. Where margins follow an index,
that can: `available` may then be negative. But bids never lock more than the cash, so every fill can be paid.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from exchange.domain.rules import Rules, market_of
from exchange.domain.units import NUMBER_MAX
from exchange.matching.book import Order, OrderBook
from exchange.matching.fees import FeeSchedule, fee_schedule_of
from exchange.matching.margin_profiles import collateral_micros, nanos_to_micros

INSURANCE = "insurance"  # pays what others cannot
FEES = "fees"  # is paid every fee


class Position(msgspec.Struct, eq=False):
    """What one account has in one instrument. A short is a negative position."""

    book: OrderBook
    position_milli: int = 0
    open_asks_milli: int = 0
    collateral_micros: int = 0  # locked for contracts sold, or offered, beyond those held
    maintenance_micros: int = 0  # what the account must have to keep the contracts sold beyond those held

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held, sold or offered."""
        return not self.position_milli and not self.open_asks_milli

    @property
    def free_milli(self) -> int:
        """Contracts held that no ask offers yet; negative: contracts that need collateral."""
        return self.position_milli - self.open_asks_milli


class Account(msgspec.Struct, eq=False):
    """One user's account, cash in micros of USDC. `margin_micros` is the part of what is locked that no bid locks.

    `shortfall_micros` is what the insurance has paid for it. Limits of its own are None where those of the rules hold.
    """

    user_id: str
    cash_micros: int = 0
    locked_micros: int = 0
    margin_micros: int = 0
    maintenance_micros: int = 0
    shortfall_micros: int = 0
    cancel_on_disconnect: bool = False
    is_suspended: bool = False
    open_orders_max: int | None = None
    position_max_milli: int | None = None
    positions: dict[str, Position] = {}
    open_orders: dict[int, Order] = {}  # oldest first
    closed_orders: OrderedDict[int, Order] = msgspec.field(default_factory=OrderedDict)  # first finished first
    client_orders: dict[str, Order] = {}  # by client_order_id, open and lately finished

    @property
    def available_micros(self) -> int:
        return self.cash_micros - self.locked_micros

    @property
    def bids_micros(self) -> int:
        """What resting bids lock."""
        return self.locked_micros - self.margin_micros

    def position(self, book: OrderBook) -> Position:
        """The holding in the instrument of `book`, made where there was none."""
        holding = self.positions.get(book.instrument_id)
        if holding is None:
            holding = self.positions[book.instrument_id] = Position(book)
        return holding

    def update_margin(self, holding: Position) -> None:
        """Bring the margins of one instrument in line with its position, open asks and rates."""
        book, position_milli = holding.book, holding.position_milli
        uncovered_milli = holding.open_asks_milli - position_milli
        needed = nanos_to_micros(book.initial_nanos, uncovered_milli) if uncovered_milli > 0 else 0
        if more := needed - holding.collateral_micros:
            self.locked_micros += more
            self.margin_micros += more
            holding.collateral_micros = needed
        if book.maintenance_nanos or holding.maintenance_micros:
            kept = nanos_to_micros(book.maintenance_nanos, -position_milli) if position_milli < 0 else 0
            self.maintenance_micros += kept - holding.maintenance_micros
            holding.maintenance_micros = kept

    def reserve(self, order: Order, charges: FeeSchedule) -> None:
        """Set aside what the remainder of a limit order needs."""
        if order.side == "bid":
            assert order.price_micros is not None
            self.locked_micros += charges.bid_lock_micros(order.price_micros, order.remaining_milli)
        else:
            holding = self.position(order.book)
            holding.open_asks_milli += order.remaining_milli
            self.update_margin(holding)

    def release(self, order: Order, charges: FeeSchedule) -> None:
        """Give back what `reserve` set aside for the remainder of a limit order."""
        if order.side == "bid":
            assert order.price_micros is not None
            self.locked_micros -= charges.bid_lock_micros(order.price_micros, order.remaining_milli)
        else:
            holding = self.position(order.book)
            holding.open_asks_milli -= order.remaining_milli
            self.update_margin(holding)

    def close_order(self, order: Order, kept: int) -> None:
        """Move an order that ended from open to finished, and forget the longest finished ones beyond `kept`."""
        del self.open_orders[order.order_id]
        self.closed_orders[order.order_id] = order
        self.evict(kept)

    def evict(self, kept: int) -> None:
        """Forget the longest finished orders beyond `kept`."""
        while len(self.closed_orders) > kept:
            _, forgotten = self.closed_orders.popitem(last=False)
            if forgotten.client_order_id is not None:
                del self.client_orders[forgotten.client_order_id]

    def check(self, rules: Rules) -> None:
        """Every invariant of one account."""
        charges = fee_schedule_of(rules)
        asks = dict.fromkeys(self.positions, 0)
        bids = margin = maintenance = 0
        for order_id, order in self.open_orders.items():
            assert order.order_id == order_id and order.user_id == self.user_id, (
                "an open order is filed under another's name"
            )
            assert order.level is not None, "an open order does not rest"
            if order.side == "bid":
                assert order.price_micros is not None
                bids += charges.bid_lock_micros(order.price_micros, order.remaining_milli)
            else:
                asks[order.book.instrument_id] += order.remaining_milli
        for instrument_id, holding in self.positions.items():
            book = holding.book
            assert holding.open_asks_milli == asks[instrument_id], "open asks are miscounted"
            needed = collateral_micros(book, holding.open_asks_milli - holding.position_milli)
            kept = nanos_to_micros(book.maintenance_nanos, max(0, -holding.position_milli))
            assert holding.collateral_micros == needed, "collateral is not what position and asks need"
            assert holding.maintenance_micros == kept, "maintenance is not what the position needs"
            margin += needed
            maintenance += kept
        assert self.margin_micros == margin, "the margin is not the sum of the collaterals"
        assert self.maintenance_micros == maintenance, "the maintenance margin is not the sum of the positions'"
        assert self.locked_micros == margin + bids <= NUMBER_MAX, "locks are not what is open"
        assert self.cash_micros >= 0 or self.user_id == INSURANCE, "an account is overdrawn"
        assert bids <= max(0, self.cash_micros), "bids lock more than there is"
        assert market_of(rules) or self.locked_micros <= self.cash_micros, "more is locked than there is"
        assert self.shortfall_micros >= 0, "a negative shortfall"
        assert list(self.open_orders) == sorted(self.open_orders), "open orders are out of order"
        for order_id, order in self.closed_orders.items():
            assert order.order_id == order_id and order.level is None, "a finished order rests"
            assert order_id not in self.open_orders, "an order is open and finished at once"
        assert len(self.closed_orders) <= rules.finished_orders_kept, "more finished orders are kept than may be"
        keyed = [o for orders in (self.open_orders, self.closed_orders) for o in orders.values() if o.client_order_id]
        assert len(keyed) == len(self.client_orders), "an order cannot be found by its client_order_id"
        for client_order_id, order in self.client_orders.items():
            assert order.client_order_id == client_order_id, "an order is filed under another client_order_id"
            assert order.order_id in self.open_orders or order.order_id in self.closed_orders, "a lost order is named"
