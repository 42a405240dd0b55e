"""Accounts: cash, locks, positions, open orders, and the closed orders that are still kept.

    available = cash - locked
    locked    = sum over open bids of (price * remaining / 1000, plus the highest fee that its fills can cost)
              + margin: sum over instruments of collateral(max(0, open asks - position))

No fill can reduce `available`. A fill moves contracts from "open ask" to "short", so the seller's collateral stays the
same, and a bid locks at least what its fills cost. If margins follow an index, a new price can make `available`
negative. But bids never lock more than the cash, so every fill can be paid.
"""

from __future__ import annotations

from exchange.domain.margin_rates import nanos_to_micros
from exchange.domain.rules import Rules, market_of
from exchange.domain.units import NUMBER_MAX
from exchange.matching.book import Order, OrderBook
from exchange.matching.closed_orders import ClosedOrders
from exchange.matching.fees import FeeSchedule, fee_schedule_of
from exchange.matching.margin_profiles import collateral_micros
from exchange.matching.mmp_groups import MmpGroup
from exchange.matching.reducing_orders import ReducingOrders
from exchange.matching.trigger_orders import TriggerOrder

# The exchange's own accounts: the insurance pays what an account cannot, and every fee is paid to "fees".
INSURANCE = "insurance"
FEES = "fees"


class Position:
    """The contracts of one account in one instrument. A short is a negative position.

    `collateral_micros` is locked for the contracts sold or offered beyond those owned. `maintenance_micros` is the cash
    that the account must have to keep its short.
    """

    __slots__ = ("book", "collateral_micros", "maintenance_micros", "open_asks_milli", "position_milli")

    def __init__(
        self,
        book: OrderBook,
        position_milli: int = 0,
        open_asks_milli: int = 0,
        collateral_micros: int = 0,
        maintenance_micros: int = 0,
    ) -> None:
        self.book = book
        self.position_milli = position_milli
        self.open_asks_milli = open_asks_milli
        self.collateral_micros = collateral_micros
        self.maintenance_micros = maintenance_micros

    def copy_to(self, book: OrderBook) -> Position:
        """Return a copy for another book."""
        return Position(
            book, self.position_milli, self.open_asks_milli, self.collateral_micros, self.maintenance_micros
        )

    @property
    def free_milli(self) -> int:
        """Contracts owned that no ask offers; if negative, the number of contracts that need collateral."""
        return self.position_milli - self.open_asks_milli


class Account:
    """One user's account. Cash is in micros of USDC.

    `margin_micros` is the part of `locked_micros` that is collateral; bids lock the rest. `shortfall_micros` is the sum
    that the insurance has paid for the account and that it has not repaid. A limit of None means that the limit of the
    rules applies. `prices_below` are the index prices in a row that found it below its maintenance margin.
    `exposures` are the positions with contracts or open asks, by asset and instrument: most positions are empty, and an
    index price changes the margins of these alone. `open_orders` are in order of placing, `closed_orders` in order of
    closing. `client_orders` are the open orders that have a client_order_id, by it. `open_bids_milli` are the sums
    of the remainders of open bids, by instrument; a position has that of its asks. `reducing` are the reduce-only
    orders that rest, by instrument. `triggers` are the untriggered orders, and `closed_triggers` the newest of those
    that ended; `client_triggers` those of both that have a client_order_id, by it. `trigger_counts` are the numbers of
    untriggered orders, by instrument. `mmp_groups` are those of its quotes, by name.
    """

    __slots__ = (
        "cancel_on_disconnect",
        "cash_micros",
        "client_orders",
        "client_triggers",
        "closed_orders",
        "closed_triggers",
        "exposures",
        "is_suspended",
        "locked_micros",
        "maintenance_micros",
        "margin_micros",
        "mmp_groups",
        "open_bids_milli",
        "open_orders",
        "open_orders_max",
        "position_max_milli",
        "positions",
        "prices_below",
        "reducing",
        "shortfall_micros",
        "trigger_counts",
        "triggers",
        "user_id",
    )

    def __init__(
        self,
        user_id: str,
        cash_micros: int = 0,
        locked_micros: int = 0,
        margin_micros: int = 0,
        maintenance_micros: int = 0,
        shortfall_micros: int = 0,
        cancel_on_disconnect: bool = False,
        is_suspended: bool = False,
        open_orders_max: int | None = None,
        position_max_milli: int | None = None,
        prices_below: int = 0,
    ) -> None:
        self.user_id = user_id
        self.cash_micros = cash_micros
        self.locked_micros = locked_micros
        self.margin_micros = margin_micros
        self.maintenance_micros = maintenance_micros
        self.shortfall_micros = shortfall_micros
        self.cancel_on_disconnect = cancel_on_disconnect
        self.is_suspended = is_suspended
        self.open_orders_max = open_orders_max
        self.position_max_milli = position_max_milli
        self.prices_below = prices_below
        self.positions: dict[str, Position] = {}
        self.exposures: dict[str, dict[str, Position]] = {}
        self.open_bids_milli: dict[str, int] = {}
        self.open_orders: dict[int, Order] = {}
        self.closed_orders = ClosedOrders()
        self.client_orders: dict[str, Order] = {}
        self.reducing: dict[str, ReducingOrders] = {}
        self.triggers: dict[int, TriggerOrder] = {}
        self.closed_triggers: dict[int, TriggerOrder] = {}
        self.client_triggers: dict[str, TriggerOrder] = {}
        self.trigger_counts: dict[str, int] = {}
        self.mmp_groups: dict[str, MmpGroup] = {}

    def copy_without_orders(self) -> Account:
        """Return a copy without orders and positions."""
        return Account(
            self.user_id,
            self.cash_micros,
            self.locked_micros,
            self.margin_micros,
            self.maintenance_micros,
            self.shortfall_micros,
            self.cancel_on_disconnect,
            self.is_suspended,
            self.open_orders_max,
            self.position_max_milli,
            self.prices_below,
        )

    @property
    def available_micros(self) -> int:
        """Cash that is not locked; negative if margins rose above the cash."""
        return self.cash_micros - self.locked_micros

    @property
    def bids_micros(self) -> int:
        """The sum that resting bids lock."""
        return self.locked_micros - self.margin_micros

    def find_order(self, order_id: int) -> Order | None:
        """Return the order with this id, open or closed; None if there is none."""
        return self.open_orders.get(order_id) or self.closed_orders.find(order_id)

    def find_client_order(self, client_order_id: str | None) -> Order | None:
        """Return the order with this client_order_id, open or closed; None if there is none."""
        if client_order_id is None:
            return None
        return self.client_orders.get(client_order_id) or self.closed_orders.find_client_order(client_order_id)

    def find_trigger(self, order_id: int | None, client_order_id: str | None) -> TriggerOrder | None:
        """Return the trigger order with this id, or else with this client_order_id, waiting or ended."""
        if order_id is not None:
            return self.triggers.get(order_id) or self.closed_triggers.get(order_id)
        return None if client_order_id is None else self.client_triggers.get(client_order_id)

    def file_resting(self, order: Order) -> None:
        """Add an open order that rests already, as a copy of the account has it."""
        self.open_orders[order.order_id] = order
        if order.side == "bid":
            self.move_bids(order.book, order.remaining_milli)
        if order.reduce_only:
            self.file_reducing(order)
        if order.client_order_id is not None:
            self.client_orders[order.client_order_id] = order

    def file_reducing(self, order: Order) -> None:
        """Add a reduce-only order that rests to the others in its instrument."""
        reducing = self.reducing.get(order.book.instrument_id)
        if reducing is None:
            reducing = self.reducing[order.book.instrument_id] = ReducingOrders()
        reducing.add(order)

    def unfile_reducing(self, order: Order) -> None:
        """Take a reduce-only order out of those that rest, before its price changes, if it is there."""
        reducing = self.reducing.get(order.book.instrument_id)
        if reducing is not None:
            reducing.remove(order)
            if not reducing:
                del self.reducing[order.book.instrument_id]

    def change_reducing(self, order: Order, more_milli: int) -> None:
        """Note that the remainder of a resting reduce-only order became larger by this, or smaller if negative."""
        self.reducing[order.book.instrument_id].change(more_milli)

    def position(self, book: OrderBook) -> Position:
        """Return the position in the instrument of `book`; create an empty one if there is none."""
        position = self.positions.get(book.instrument_id)
        if position is None:
            position = self.positions[book.instrument_id] = Position(book)
        return position

    def position_milli(self, instrument_id: str) -> int:
        """Return the contracts owned in the instrument, negative if short."""
        position = self.positions.get(instrument_id)
        return position.position_milli if position is not None else 0

    def move(self, position: Position, contracts_milli: int, open_asks_milli: int) -> None:
        """Add contracts and open asks, or remove them, if negative. Margins do not change until `update_margin`."""
        was_empty = not (position.position_milli or position.open_asks_milli)
        position.position_milli += contracts_milli
        position.open_asks_milli += open_asks_milli
        if was_empty or not (position.position_milli or position.open_asks_milli):
            self.file_exposure(position)

    def move_bids(self, book: OrderBook, bids_milli: int) -> None:
        """Add to the size of the open bids in an instrument, or take from it, if negative."""
        wanted_milli = self.open_bids_milli.get(book.instrument_id, 0) + bids_milli
        if wanted_milli:
            self.open_bids_milli[book.instrument_id] = wanted_milli
        else:
            del self.open_bids_milli[book.instrument_id]

    def file_exposure(self, position: Position) -> None:
        """Put the position into `exposures`, or take it out if it is empty."""
        book = position.book
        exposed = self.exposures.get(book.asset)
        if position.position_milli or position.open_asks_milli:
            if exposed is None:
                exposed = self.exposures[book.asset] = {}
            exposed[book.instrument_id] = position
        elif exposed is not None:
            exposed.pop(book.instrument_id, None)

    def update_margin(self, position: Position) -> None:
        """Compute the margins of one instrument again, from its position, open asks and rates."""
        book, position_milli = position.book, position.position_milli
        uncovered_milli = position.open_asks_milli - position_milli
        needed = nanos_to_micros(book.initial_nanos, uncovered_milli) if uncovered_milli > 0 else 0
        if more := needed - position.collateral_micros:
            self.locked_micros += more
            self.margin_micros += more
            position.collateral_micros = needed
        if book.maintenance_nanos or position.maintenance_micros:
            maintenance = nanos_to_micros(book.maintenance_nanos, -position_milli) if position_milli < 0 else 0
            self.maintenance_micros += maintenance - position.maintenance_micros
            position.maintenance_micros = maintenance

    def reserve(self, order: Order, fee_schedule: FeeSchedule) -> None:
        """Lock the cash or collateral that the remainder of a limit order needs."""
        if order.side == "bid":
            assert order.price_micros is not None
            self.locked_micros += fee_schedule.bid_lock_micros(order.price_micros, order.remaining_milli)
            self.move_bids(order.book, order.remaining_milli)
        else:
            position = self.position(order.book)
            self.move(position, 0, order.remaining_milli)
            self.update_margin(position)

    def release(self, order: Order, fee_schedule: FeeSchedule) -> None:
        """Unlock the cash or collateral that `reserve` locked for the remainder of a limit order."""
        if order.side == "bid":
            assert order.price_micros is not None
            self.locked_micros -= fee_schedule.bid_lock_micros(order.price_micros, order.remaining_milli)
            self.move_bids(order.book, -order.remaining_milli)
        else:
            position = self.position(order.book)
            self.move(position, 0, -order.remaining_milli)
            self.update_margin(position)

    def close_order(self, order: Order, kept: int) -> None:
        """Move an order from the open to the closed ones, and keep the newest `kept` of those."""
        del self.open_orders[order.order_id]
        if order.reduce_only and order.price_micros is not None:
            self.unfile_reducing(order)
        if order.mmp_group is not None:
            self.mmp_groups[order.mmp_group].drop(order)
        if order.client_order_id is not None:
            del self.client_orders[order.client_order_id]
        self.closed_orders.add(order, kept)

    def file_trigger(self, order: TriggerOrder) -> None:
        """Add a trigger order, untriggered or ended."""
        if order.client_order_id is not None:
            self.client_triggers[order.client_order_id] = order
        if order.status is None:
            instrument_id = order.book.instrument_id
            self.triggers[order.order_id] = order
            self.trigger_counts[instrument_id] = self.trigger_counts.get(instrument_id, 0) + 1
        else:
            self.closed_triggers[order.order_id] = order

    def close_trigger(self, order: TriggerOrder, kept: int) -> None:
        """Move a trigger order to the ended ones, and keep the newest `kept` of those."""
        del self.triggers[order.order_id]
        instrument_id = order.book.instrument_id
        self.trigger_counts[instrument_id] -= 1
        if not self.trigger_counts[instrument_id]:
            del self.trigger_counts[instrument_id]
        self.closed_triggers[order.order_id] = order
        self.evict_triggers(kept)

    def evict_triggers(self, kept: int) -> None:
        """Drop all but the newest `kept` trigger orders that ended."""
        while len(self.closed_triggers) > kept:
            evicted = self.closed_triggers.pop(next(iter(self.closed_triggers)))
            if evicted.client_order_id is not None:
                del self.client_triggers[evicted.client_order_id]

    def check(self, rules: Rules, may_owe: bool) -> None:
        """Check every invariant of the account; AssertionError names the broken one.

        `may_owe`: the cash may be negative, until options are sold or settled that pay for it.
        """
        bids, margin, maintenance = self._check_open_orders(rules)
        assert self.margin_micros == margin, "the margin is not the sum of the collaterals"
        assert self.maintenance_micros == maintenance, "the maintenance margin is not the sum over the positions"
        assert self.locked_micros == margin + bids <= NUMBER_MAX, "the locked sum is not that of bids and collaterals"
        assert self.cash_micros >= 0 or may_owe or self.user_id == INSURANCE, "an account is overdrawn"
        assert bids <= max(0, self.cash_micros), "bids lock more than the cash"
        assert market_of(rules) or self.locked_micros <= self.cash_micros, "more is locked than the cash"
        assert self.shortfall_micros >= 0, "a negative shortfall"
        assert list(self.open_orders) == sorted(self.open_orders), "open orders are not in order of their ids"
        for order_id, order in self.closed_orders.items():
            assert order.order_id == order_id and order.level is None, "a closed order rests"
            assert order_id not in self.open_orders, "an order is both open and closed"
            if order.client_order_id is not None:
                found = self.find_client_order(order.client_order_id)
                assert found is order, "a closed order is filed under another client_order_id"
        assert len(self.closed_orders) <= rules.finished_orders_kept, "more closed orders are kept than the rules allow"
        keyed = [order for order in self.open_orders.values() if order.client_order_id is not None]
        assert len(keyed) == len(self.client_orders), "an order cannot be found by its client_order_id"
        for client_order_id, order in self.client_orders.items():
            assert order.client_order_id == client_order_id, "an order is filed under another client_order_id"
            assert order.order_id in self.open_orders, "a closed order is filed as an open one"
            assert self.closed_orders.find_client_order(client_order_id) is None, "two orders have one client_order_id"

    def check_triggers(self, kept: int) -> None:
        """Check every invariant of the trigger orders; AssertionError names the broken one."""
        assert len(self.closed_triggers) <= kept, "more ended trigger orders are kept than the rules allow"
        waiting = [order.book.instrument_id for order in self.triggers.values()]
        assert self.trigger_counts == {it: waiting.count(it) for it in waiting}, "trigger orders are miscounted"
        both = [*self.triggers.values(), *self.closed_triggers.values()]
        keyed = {order.client_order_id: order for order in both if order.client_order_id is not None}
        assert self.client_triggers == keyed, "a trigger order cannot be found by its client_order_id"
        for orders in (self.triggers, self.closed_triggers):
            for order_id, order in orders.items():
                assert order.order_id == order_id and order.user_id == self.user_id, "a trigger order is misfiled"
                assert (order.status is None) == (orders is self.triggers), "a trigger order that ended waits"
                assert order.client_order_id is None or self.find_client_order(order.client_order_id) is None, (
                    "an order and a trigger order have one client_order_id"
                )

    def check_quotes(self) -> None:
        """Check every invariant of the MMP groups; AssertionError names the broken one."""
        for name, group in self.mmp_groups.items():
            assert group.name == name, "a group is filed under another name"
            group.check(self.open_orders)
        quotes = [order for order in self.open_orders.values() if order.mmp_group is not None]
        assert all(order.mmp_group in self.mmp_groups for order in quotes), "a quote is in no group"

    def _check_open_orders(self, rules: Rules) -> tuple[int, int, int]:
        """Check open orders and positions; return the sums locked by bids, of collateral, and of maintenance."""
        fee_schedule = fee_schedule_of(rules)
        asks = dict.fromkeys(self.positions, 0)
        wanted: dict[str, int] = {}
        bids = margin = maintenance = 0
        for order_id, order in self.open_orders.items():
            assert order.order_id == order_id and order.user_id == self.user_id, "an open order is filed under another"
            assert order.level is not None, "an open order does not rest"
            if order.side == "bid":
                assert order.price_micros is not None
                bids += fee_schedule.bid_lock_micros(order.price_micros, order.remaining_milli)
                instrument_id = order.book.instrument_id
                wanted[instrument_id] = wanted.get(instrument_id, 0) + order.remaining_milli
            else:
                asks[order.book.instrument_id] += order.remaining_milli
        assert self.open_bids_milli == wanted, "open bids are miscounted"
        for instrument_id, position in self.positions.items():
            book = position.book
            assert book.instrument_id == instrument_id, "a position is filed under another instrument"
            assert position.open_asks_milli == asks[instrument_id], "open asks are miscounted"
            needed = collateral_micros(book, position.open_asks_milli - position.position_milli)
            kept = nanos_to_micros(book.maintenance_nanos, max(0, -position.position_milli))
            assert position.collateral_micros == needed, "collateral is not what position and asks need"
            assert position.maintenance_micros == kept, "maintenance is not what the position needs"
            margin += needed
            maintenance += kept
        self._check_exposures()
        self._check_reduce_only()
        return bids, margin, maintenance

    def _check_reduce_only(self) -> None:
        reducing = {order_id: order for order_id, order in self.open_orders.items() if order.reduce_only}
        filed = {order.order_id: order for some in self.reducing.values() for order in some.first_to_trade()}
        assert filed == reducing, "a reduce-only order is not filed"
        for instrument_id, some in self.reducing.items():
            orders = some.first_to_trade()
            assert orders and all(it.book.instrument_id == instrument_id for it in orders), "an order is misfiled"
            assert some.sum_milli == sum(it.remaining_milli for it in orders), "reduce-only orders are misadded"
        sums: dict[str, int] = {}
        for order in reducing.values():
            instrument_id = order.book.instrument_id
            sign = 1 if order.side == "ask" else -1
            sums[instrument_id] = sums.get(instrument_id, 0) + sign * order.remaining_milli
            assert sign * self.position_milli(instrument_id) >= sign * sums[instrument_id] > 0, (
                "reduce-only orders are larger than the position"
            )

    def _check_exposures(self) -> None:
        exposed = [
            (asset, instrument_id, position)
            for asset, positions in self.exposures.items()
            for instrument_id, position in positions.items()
        ]
        for asset, instrument_id, position in exposed:
            assert position is self.positions[instrument_id], "an exposure is not a position of the account"
            assert position.book.asset == asset, "an exposure is filed under another asset"
            assert position.position_milli or position.open_asks_milli, "an exposure is empty"
        held = [one for one in self.positions.values() if one.position_milli or one.open_asks_milli]
        assert len(exposed) == len(held), "a position that is not empty is not filed as an exposure"
