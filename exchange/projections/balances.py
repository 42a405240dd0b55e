"""Balances and positions of every user, with average prices, profit and what they are worth; and open interest."""

from collections.abc import Callable

import msgspec

from exchange.domain.events import (
    BalanceChanged,
    LimitsSet,
    PositionChanged,
    PositionSettled,
    ShortfallCovered,
    SuspensionSet,
    Traded,
)
from exchange.domain.rules import Rules, market_of
from exchange.domain.units import MILLI_PER_CONTRACT, NUMBER_MAX
from exchange.projections.orders import divide_rounding_half_up
from exchange.projections.wire_types import AccountView, Balance, Limits, PositionView

Valuation = Callable[
    [str], tuple[int | None, int | None]
]  # an instrument's mark price, and what a contract is valued at


class Position(msgspec.Struct):
    """`basis_micros` is what the open quantity cost (long, positive) or brought (short, negative).

    `realised_micros` is the profit realised since it was opened, fees deducted.
    """

    quantity_milli: int = 0
    basis_micros: int = 0
    locked_micros: int = 0
    realised_micros: int = 0

    @property
    def average_price_micros(self) -> int | None:
        if not self.quantity_milli:
            return None
        return divide_rounding_half_up(abs(self.basis_micros) * MILLI_PER_CONTRACT, abs(self.quantity_milli))

    def trade(self, quantity_milli: int, price_micros: int, fee_micros: int) -> int:
        """Add a fill (negative: a sale). Returns the profit realised by what it closed, less the fee, in micros."""
        held = self.quantity_milli
        if not held:
            self.realised_micros = 0
        closes = 0 if held * quantity_milli >= 0 else min(abs(held), abs(quantity_milli))
        realised = -fee_micros
        if closes:
            sign = 1 if held > 0 else -1
            basis_closed = self.basis_micros * closes // abs(held)
            realised += sign * (price_micros * closes // MILLI_PER_CONTRACT) - basis_closed
            self.basis_micros -= basis_closed
            self.quantity_milli -= sign * closes
            quantity_milli += sign * closes
        self.quantity_milli += quantity_milli
        self.basis_micros += price_micros * quantity_milli // MILLI_PER_CONTRACT
        self.realised_micros += realised
        return realised

    def settle(self, payout_micros: int, fee_micros: int) -> int:
        """End it in cash. Returns the profit that this realised, less the fee."""
        realised = payout_micros - self.basis_micros - fee_micros
        self.quantity_milli = self.basis_micros = self.locked_micros = 0
        self.realised_micros += realised
        return realised

    def unrealised_micros(self, value_micros: int | None) -> int:
        """The profit that closing it at `value_micros` a contract would realise; None: at its average price."""
        if value_micros is None:
            return 0
        return self.quantity_milli * value_micros // MILLI_PER_CONTRACT - self.basis_micros

    def view(self, instrument_id: str, mark_micros: int | None, value_micros: int | None) -> PositionView:
        """As its owner sees it."""
        return PositionView(
            instrument_id,
            self.quantity_milli,
            self.average_price_micros,
            self.locked_micros,
            mark_micros,
            null_if_unsafe(self.unrealised_micros(value_micros)),
            null_if_unsafe(self.realised_micros),
        )


class AccountBalances(msgspec.Struct):
    """Cash, what of it is locked and the margin that keeps it from liquidation; profit realised so far, fees deducted.

    `shortfall_micros` is what the insurance has paid for the account. Limits are None where those of the rules hold.
    """

    cash_micros: int = 0
    locked_micros: int = 0
    maintenance_micros: int = 0
    shortfall_micros: int = 0
    realised_micros: int = 0
    positions: dict[str, Position] = {}
    suspended: bool = False
    open_orders_max: int | None = None
    position_max_milli: int | None = None

    def unrealised_micros(self, worth: Valuation) -> int:
        return sum(
            position.unrealised_micros(worth(instrument_id)[1]) for instrument_id, position in self.positions.items()
        )

    def become(self, event: BalanceChanged) -> None:
        self.cash_micros = event.cash_micros
        self.locked_micros = event.locked_micros
        self.maintenance_micros = event.maintenance_micros or 0

    def balance(self, user_id: str, seq: int) -> Balance:
        """As its owner sees it."""
        return Balance(
            user_id,
            self.cash_micros - self.locked_micros,
            self.locked_micros,
            self.maintenance_micros,
            self.shortfall_micros,
            seq,
        )

    def limits(self, rules: Rules) -> Limits:
        """Those that hold: the user's own, or those of the rules."""
        open_orders_max, position_max_milli = self.open_orders_max, self.position_max_milli
        if open_orders_max is None:
            open_orders_max = rules.open_orders_max
        if position_max_milli is None:
            market = market_of(rules)
            position_max_milli = market.position_max_milli if market else 0
        return Limits(open_orders_max, position_max_milli)


class Balances(msgspec.Struct):
    """`open_interest_milli`: by instrument, how many contracts are held, which is as many as are owed."""

    users: dict[str, AccountBalances] = {}
    open_interest_milli: dict[str, int] = {}

    def open(self, user_id: str) -> None:
        self.users[user_id] = AccountBalances()

    def on_balance(self, event: BalanceChanged) -> None:
        self.users[event.user_id].become(event)

    def on_position(self, event: PositionChanged) -> Position:
        position = self._position(event.user_id, event.instrument_id)
        assert position.quantity_milli == event.quantity_milli, "a projected position has drifted from its events"
        position.locked_micros = event.locked_micros
        if not event.quantity_milli and not event.locked_micros:
            del self.users[event.user_id].positions[event.instrument_id]
        return position

    def on_margin(self, user_id: str, instrument_id: str, locked_micros: int) -> Position:
        """The position is what it was, and other collateral is locked for it."""
        position = self._position(user_id, instrument_id)
        position.locked_micros = locked_micros
        return position

    def on_traded(self, event: Traded) -> tuple[Position, Position]:
        """The positions of both sides, maker first."""
        sign = 1 if event.taker_side == "bid" else -1
        return (
            self._trade(event.maker_user_id, event, -sign, event.maker_fee_micros),
            self._trade(event.taker_user_id, event, sign, event.taker_fee_micros),
        )

    def on_settled(self, event: PositionSettled) -> Position:
        funds = self.users[event.user_id]
        position = funds.positions.pop(event.instrument_id)
        assert position.quantity_milli == event.quantity_milli, "a projected position has drifted from its events"
        self.open_interest_milli[event.instrument_id] -= max(0, event.quantity_milli)
        funds.realised_micros += position.settle(event.payout_micros, event.fee_micros)
        return position

    def on_shortfall(self, event: ShortfallCovered) -> None:
        self.users[event.user_id].shortfall_micros = event.shortfall_micros

    def on_suspension(self, event: SuspensionSet) -> None:
        self.users[event.user_id].suspended = event.suspended

    def on_limits(self, event: LimitsSet) -> None:
        funds = self.users[event.user_id]
        funds.open_orders_max = event.open_orders_max
        funds.position_max_milli = event.position_max_milli

    def balance(self, user_id: str, seq: int) -> Balance:
        """The user's balance as of `seq`."""
        return (self.users.get(user_id) or AccountBalances()).balance(user_id, seq)

    def account(self, user_id: str, seq: int, rules: Rules, worth: Valuation) -> AccountView:
        """The account, and what it is worth.

        total_pnl = realised + unrealised; equity = cash + sum of quantity * value / 1000, the basis where no value is
        known.
        """
        funds = self.users.get(user_id) or AccountBalances()
        basis = sum(position.basis_micros for position in funds.positions.values())
        unrealised = funds.unrealised_micros(worth)
        return AccountView(
            user_id,
            funds.cash_micros - funds.locked_micros,
            funds.locked_micros,
            funds.maintenance_micros,
            funds.shortfall_micros,
            seq,
            self.positions(user_id, worth),
            null_if_unsafe(funds.realised_micros + unrealised),
            null_if_unsafe(funds.realised_micros),
            null_if_unsafe(unrealised),
            null_if_unsafe(funds.cash_micros + basis + unrealised),
            funds.suspended,
            funds.limits(rules),
        )

    def profit_micros(self, user_id: str, worth: Valuation) -> int:
        """Realised and unrealised."""
        funds = self.users.get(user_id) or AccountBalances()
        return funds.realised_micros + funds.unrealised_micros(worth)

    def positions(self, user_id: str, worth: Valuation) -> list[PositionView]:
        """Positions that are open, or that hold collateral for open asks."""
        funds = self.users.get(user_id) or AccountBalances()
        return [
            position.view(instrument_id, *worth(instrument_id))
            for instrument_id, position in funds.positions.items()
            if position.quantity_milli or position.locked_micros
        ]

    def _position(self, user_id: str, instrument_id: str) -> Position:
        positions = self.users[user_id].positions
        position = positions.get(instrument_id)
        if position is None:
            position = positions[instrument_id] = Position()
        return position

    def _trade(self, user_id: str, event: Traded, sign: int, fee_micros: int) -> Position:
        position = self._position(user_id, event.instrument_id)
        held = position.quantity_milli
        self.users[user_id].realised_micros += position.trade(sign * event.size_milli, event.price_micros, fee_micros)
        more = max(0, position.quantity_milli) - max(0, held)
        self.open_interest_milli[event.instrument_id] = self.open_interest_milli.get(event.instrument_id, 0) + more
        return position


def null_if_unsafe(micros: int) -> int | None:
    """None where it is beyond what a number on the wire may be: large positions may be worth more."""
    return micros if -NUMBER_MAX <= micros <= NUMBER_MAX else None
