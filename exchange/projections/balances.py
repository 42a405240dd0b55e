"""Balances and positions of every user, with average prices and realised profit."""

from collections.abc import Callable

import msgspec

from exchange.domain.events import BalanceChanged, PositionChanged, Traded
from exchange.domain.units import MILLI_PER_CONTRACT
from exchange.projections.orders import divide_rounding_half_up
from exchange.projections.shapes import AccountView, Balance, PositionView


class Position(msgspec.Struct):
    """`basis_micros` is what the open quantity cost (long, positive) or brought (short, negative)."""

    quantity_milli: int = 0
    basis_micros: int = 0
    locked_micros: int = 0

    @property
    def average_price_micros(self) -> int | None:
        if not self.quantity_milli:
            return None
        return divide_rounding_half_up(abs(self.basis_micros) * MILLI_PER_CONTRACT, abs(self.quantity_milli))

    def trade(self, quantity_milli: int, price_micros: int) -> int:
        """Add a fill (negative: a sale). Returns the profit realised by what it closed, in micros."""
        held = self.quantity_milli
        closes = 0 if held * quantity_milli >= 0 else min(abs(held), abs(quantity_milli))
        realised = 0
        if closes:
            sign = 1 if held > 0 else -1
            basis_closed = self.basis_micros * closes // abs(held)
            realised = sign * (price_micros * closes // MILLI_PER_CONTRACT) - basis_closed
            self.basis_micros -= basis_closed
            self.quantity_milli -= sign * closes
            quantity_milli += sign * closes
        self.quantity_milli += quantity_milli
        self.basis_micros += price_micros * quantity_milli // MILLI_PER_CONTRACT
        return realised


class Funds(msgspec.Struct):
    """Cash and what of it is locked, the profit realised so far (fees deducted), positions by instrument."""

    cash_micros: int = 0
    locked_micros: int = 0
    realised_micros: int = 0
    positions: dict[str, Position] = {}


class Balances(msgspec.Struct):
    users: dict[str, Funds] = {}

    def open(self, user_id: str) -> None:
        self.users[user_id] = Funds()

    def on_balance(self, event: BalanceChanged) -> None:
        funds = self.users[event.user_id]
        funds.cash_micros = event.cash_micros
        funds.locked_micros = event.locked_micros

    def on_position(self, event: PositionChanged) -> None:
        position = self._position(event.user_id, event.instrument_id)
        assert position.quantity_milli == event.quantity_milli, "a projected position has drifted from its events"
        position.locked_micros = event.locked_micros

    def on_traded(self, event: Traded) -> None:
        sign = 1 if event.taker_side == "bid" else -1
        self._trade(event.maker_user_id, event, -sign, event.maker_fee_micros)
        self._trade(event.taker_user_id, event, sign, event.taker_fee_micros)

    def balance(self, user_id: str, seq: int) -> Balance:
        """The user's balance as of `seq`."""
        funds = self.users.get(user_id) or Funds()
        return Balance(user_id, funds.cash_micros - funds.locked_micros, funds.locked_micros, seq)

    def account(self, user_id: str, seq: int, value_micros: Callable[[str], int | None]) -> AccountView:
        """The account, its positions valued at `value_micros(instrument_id)` (None: at their average price).

        total_pnl = realised + unrealised; equity = cash + sum of quantity * value / 1000.
        """
        funds = self.users.get(user_id) or Funds()
        worth = basis = 0
        for instrument_id, position in funds.positions.items():
            value = value_micros(instrument_id)
            basis += position.basis_micros
            worth += position.basis_micros if value is None else position.quantity_milli * value // MILLI_PER_CONTRACT
        return AccountView(
            user_id,
            funds.cash_micros - funds.locked_micros,
            funds.locked_micros,
            seq,
            self.positions(user_id),
            funds.realised_micros + worth - basis,
            funds.cash_micros + worth,
        )

    def positions(self, user_id: str) -> list[PositionView]:
        """Positions that are open, or that hold collateral for open asks."""
        funds = self.users.get(user_id) or Funds()
        return [
            PositionView(instrument_id, position.quantity_milli, position.average_price_micros, position.locked_micros)
            for instrument_id, position in funds.positions.items()
            if position.quantity_milli or position.locked_micros
        ]

    def _position(self, user_id: str, instrument_id: str) -> Position:
        positions = self.users[user_id].positions
        position = positions.get(instrument_id)
        if position is None:
            position = positions[instrument_id] = Position()
        return position

    def _trade(self, user_id: str, event: Traded, sign: int, fee_micros: int) -> None:
        realised = self._position(user_id, event.instrument_id).trade(sign * event.size_milli, event.price_micros)
        self.users[user_id].realised_micros += realised - fee_micros
