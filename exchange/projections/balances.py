"""Balances and positions of every user, with average prices, profits and values; and open interest."""

from collections.abc import Callable, Iterator

from exchange.domain.events import (
    BalanceChanged,
    DebtRepaid,
    LimitsSet,
    LiquidationFeeCharged,
    LossShared,
    MarginsChanged,
    PositionChanged,
    PositionSettled,
    PositionTakenOver,
    ShortfallCovered,
    SuspensionSet,
    Traded,
)
from exchange.domain.rules import Rules, market_of
from exchange.domain.units import MILLI_PER_CONTRACT, NUMBER_MAX
from exchange.projections.black_scholes import Greeks
from exchange.projections.orders import divide_rounding_half_up
from exchange.projections.wire_types import AccountView, Balance, Limits, PositionView

# Returns the mark price of an instrument, and the value of one contract, both in micros.
Valuation = Callable[[str], tuple[int | None, int | None]]


class PositionRecord:
    """A position of one user in one instrument.

    `basis_micros` is the cost of the open quantity (long, positive) or its proceeds (short, negative).
    `realised_micros` is the profit realised since the position was opened, after fees.
    """

    __slots__ = ("basis_micros", "locked_micros", "quantity_milli", "realised_micros")

    def __init__(
        self, quantity_milli: int = 0, basis_micros: int = 0, locked_micros: int = 0, realised_micros: int = 0
    ) -> None:
        self.quantity_milli = quantity_milli
        self.basis_micros = basis_micros
        self.locked_micros = locked_micros
        self.realised_micros = realised_micros

    def copy(self) -> "PositionRecord":
        """Return a copy."""
        return PositionRecord(self.quantity_milli, self.basis_micros, self.locked_micros, self.realised_micros)

    @property
    def average_price_micros(self) -> int | None:
        """Basis per contract, rounded half up; None without contracts."""
        if not self.quantity_milli:
            return None
        return divide_rounding_half_up(abs(self.basis_micros) * MILLI_PER_CONTRACT, abs(self.quantity_milli))

    def trade(self, quantity_milli: int, price_micros: int, fee_micros: int) -> int:
        """Add a fill; a negative quantity is a sale. Return the profit of the closed part, less the fee, in micros."""
        before = self.quantity_milli
        if not before:
            self.realised_micros = 0
        closes = 0 if before * quantity_milli >= 0 else min(abs(before), abs(quantity_milli))
        realised = -fee_micros
        if closes:
            sign = 1 if before > 0 else -1
            basis_closed = self.basis_micros * closes // abs(before)
            realised += sign * (price_micros * closes // MILLI_PER_CONTRACT) - basis_closed
            self.basis_micros -= basis_closed
            self.quantity_milli -= sign * closes
            quantity_milli += sign * closes
        self.quantity_milli += quantity_milli
        self.basis_micros += price_micros * quantity_milli // MILLI_PER_CONTRACT
        self.realised_micros += realised
        return realised

    def settle(self, payout_micros: int, fee_micros: int) -> int:
        """Close the position in cash. Return the profit that this realised, less the fee."""
        realised = payout_micros - self.basis_micros - fee_micros
        self.quantity_milli = self.basis_micros = self.locked_micros = 0
        self.realised_micros += realised
        return realised

    def unrealised_micros(self, value_micros: int | None) -> int:
        """Return the profit of closing it at `value_micros` per contract; 0 if that is None."""
        if value_micros is None:
            return 0
        return self.quantity_milli * value_micros // MILLI_PER_CONTRACT - self.basis_micros

    def view(self, instrument_id: str, mark_micros: int | None, value_micros: int | None) -> PositionView:
        """Return the position as its owner sees it."""
        return PositionView(
            instrument_id,
            self.quantity_milli,
            self.average_price_micros,
            self.locked_micros,
            mark_micros,
            null_if_unsafe(self.unrealised_micros(value_micros)),
            null_if_unsafe(self.realised_micros),
        )


class AccountBalances:
    """Cash, locks, maintenance margin, realised profit after fees, positions and limits of one user.

    `shortfall_micros` is the sum that the insurance has paid for the account. A limit of None means that the limit of
    the rules applies.
    """

    __slots__ = (
        "cash_micros",
        "locked_micros",
        "maintenance_micros",
        "open_orders_max",
        "position_max_milli",
        "positions",
        "realised_micros",
        "shortfall_micros",
        "suspended",
    )

    def __init__(
        self,
        cash_micros: int = 0,
        locked_micros: int = 0,
        maintenance_micros: int = 0,
        shortfall_micros: int = 0,
        realised_micros: int = 0,
        positions: dict[str, PositionRecord] | None = None,
        suspended: bool = False,
        open_orders_max: int | None = None,
        position_max_milli: int | None = None,
    ) -> None:
        self.cash_micros = cash_micros
        self.locked_micros = locked_micros
        self.maintenance_micros = maintenance_micros
        self.shortfall_micros = shortfall_micros
        self.realised_micros = realised_micros
        self.positions = {} if positions is None else positions
        self.suspended = suspended
        self.open_orders_max = open_orders_max
        self.position_max_milli = position_max_milli

    def copy(self) -> "AccountBalances":
        """Return a copy that shares the positions."""
        return AccountBalances(
            self.cash_micros,
            self.locked_micros,
            self.maintenance_micros,
            self.shortfall_micros,
            self.realised_micros,
            self.positions,
            self.suspended,
            self.open_orders_max,
            self.position_max_milli,
        )

    def unrealised_micros(self, valuation: Valuation) -> int:
        """Return the sum of the unrealised profits of all positions."""
        return sum(
            [
                position.unrealised_micros(valuation(instrument_id)[1])
                for instrument_id, position in self.positions.items()
            ]
        )

    def on_balance(self, event: BalanceChanged) -> None:
        """Take over cash, lock and maintenance margin."""
        self.cash_micros = event.cash_micros
        self.locked_micros = event.locked_micros
        self.maintenance_micros = event.maintenance_micros or 0

    def balance(self, user_id: str, seq: int) -> Balance:
        """Return the balance as its owner sees it."""
        return Balance(
            user_id,
            self.cash_micros - self.locked_micros,
            self.locked_micros,
            self.maintenance_micros,
            self.shortfall_micros,
            seq,
        )

    def view(
        self, user_id: str, seq: int, rules: Rules, valuation: Valuation, greeks: dict[str, Greeks]
    ) -> AccountView:
        """Return the account with profits, equity and Greeks.

        total_pnl = realised + unrealised; equity = cash + sum of quantity * value / 1000. A position without a known
        value counts with its basis.
        """
        basis = sum([position.basis_micros for position in self.positions.values()])
        unrealised = self.unrealised_micros(valuation)
        return AccountView(
            user_id,
            self.cash_micros - self.locked_micros,
            self.locked_micros,
            self.maintenance_micros,
            self.shortfall_micros,
            seq,
            [position.view(name, *valuation(name)) for name, position in self.open_positions()],
            null_if_unsafe(self.realised_micros + unrealised),
            null_if_unsafe(self.realised_micros),
            null_if_unsafe(unrealised),
            null_if_unsafe(self.cash_micros + basis + unrealised),
            self.suspended,
            self.limits(rules),
            greeks,
        )

    def limits(self, rules: Rules) -> Limits:
        """Return the limits that apply: the user's own, or those of the rules."""
        open_orders_max, position_max_milli = self.open_orders_max, self.position_max_milli
        if open_orders_max is None:
            open_orders_max = rules.open_orders_max
        if position_max_milli is None:
            market = market_of(rules)
            position_max_milli = market.position_max_milli if market else 0
        return Limits(open_orders_max, position_max_milli)

    def open_positions(self) -> list[tuple[str, PositionRecord]]:
        """Return the positions that are open, or for which open asks lock collateral, by instrument id."""
        return [
            (instrument_id, position)
            for instrument_id, position in sorted(self.positions.items())
            if position.quantity_milli or position.locked_micros
        ]


class Balances:
    """The balances of all users, and by instrument the open interest: the contracts owned, which equal those owed."""

    __slots__ = ("open_interest_milli", "users")

    def __init__(self) -> None:
        self.users: dict[str, AccountBalances] = {}
        self.open_interest_milli: dict[str, int] = {}

    def open(self, user_id: str) -> None:
        """Add an empty account."""
        self.users[user_id] = AccountBalances()

    def on_balance(self, event: BalanceChanged) -> None:
        """Update cash, lock and maintenance margin of one user."""
        self.users[event.user_id].on_balance(event)

    def on_position(self, event: PositionChanged) -> PositionRecord:
        """Update the lock of a position; its quantity must already be that of the event."""
        position = self._position(event.user_id, event.instrument_id)
        assert position.quantity_milli == event.quantity_milli, "a projected position has drifted from its events"
        position.locked_micros = event.locked_micros
        if not event.quantity_milli and not event.locked_micros:
            del self.users[event.user_id].positions[event.instrument_id]
        return position

    def on_margins(self, event: MarginsChanged) -> Iterator[tuple[str, PositionRecord]]:
        """Update the locks of positions whose quantity did not change, and yield each with its instrument."""
        positions = self.users[event.user_id].positions
        for instrument_id, locked_micros in event.locked_micros.items():
            position = positions.get(instrument_id) or self._position(event.user_id, instrument_id)
            position.locked_micros = locked_micros
            yield instrument_id, position

    def on_traded(self, event: Traded) -> tuple[PositionRecord, PositionRecord]:
        """Update and return the positions of both sides, maker first."""
        sign = 1 if event.taker_side == "bid" else -1
        return (
            self._trade(event.maker_user_id, event, -sign, event.maker_fee_micros),
            self._trade(event.taker_user_id, event, sign, event.taker_fee_micros),
        )

    def on_settled(self, event: PositionSettled) -> PositionRecord:
        """Close and return a position that was settled."""
        account = self.users[event.user_id]
        position = account.positions.pop(event.instrument_id)
        assert position.quantity_milli == event.quantity_milli, "a projected position has drifted from its events"
        self.open_interest_milli[event.instrument_id] -= max(0, event.quantity_milli)
        account.realised_micros += position.settle(event.payout_micros, event.fee_micros)
        return position

    def on_taken_over(self, event: PositionTakenOver) -> tuple[PositionRecord, PositionRecord]:
        """Move a position to the insurance at a price; return those of the user and of the insurance."""
        quantity, price = event.quantity_milli, event.price_micros
        return (
            self._add(event.user_id, event.instrument_id, -quantity, price, 0),
            self._add("insurance", event.instrument_id, quantity, price, 0),
        )

    def on_liquidation_fee(self, event: LiquidationFeeCharged) -> None:
        """Take a fee from the profit of a user's position."""
        self.users[event.user_id].realised_micros -= event.amount_micros
        self._position(event.user_id, event.instrument_id).realised_micros -= event.amount_micros

    def on_loss_shared(self, event: LossShared) -> None:
        """Take a share of a loss from the profit of a user."""
        self.users[event.user_id].realised_micros -= event.amount_micros

    def on_shortfall(self, event: ShortfallCovered | DebtRepaid) -> None:
        """Take over the sum that the insurance has paid for a user, and that the user has not repaid."""
        self.users[event.user_id].shortfall_micros = event.shortfall_micros

    def on_suspension(self, event: SuspensionSet) -> None:
        """Note whether a user is suspended."""
        self.users[event.user_id].suspended = event.suspended

    def on_limits(self, event: LimitsSet) -> None:
        """Take over a user's own limits."""
        account = self.users[event.user_id]
        account.open_orders_max = event.open_orders_max
        account.position_max_milli = event.position_max_milli

    def _position(self, user_id: str, instrument_id: str) -> PositionRecord:
        positions = self.users[user_id].positions
        position = positions.get(instrument_id)
        if position is None:
            position = positions[instrument_id] = PositionRecord()
        return position

    def _trade(self, user_id: str, event: Traded, sign: int, fee_micros: int) -> PositionRecord:
        return self._add(user_id, event.instrument_id, sign * event.size_milli, event.price_micros, fee_micros)

    def _add(
        self, user_id: str, instrument_id: str, quantity_milli: int, price_micros: int, fee_micros: int
    ) -> PositionRecord:
        """Add contracts to a position, negative if they are sold, and count the open interest."""
        position = self._position(user_id, instrument_id)
        before = position.quantity_milli
        self.users[user_id].realised_micros += position.trade(quantity_milli, price_micros, fee_micros)
        more = max(0, position.quantity_milli) - max(0, before)
        self.open_interest_milli[instrument_id] = self.open_interest_milli.get(instrument_id, 0) + more
        return position


def null_if_unsafe(micros: int) -> int | None:
    """Return None if the number is beyond 2^53 - 1, the largest on the wire: large positions can exceed it."""
    return micros if -NUMBER_MAX <= micros <= NUMBER_MAX else None
