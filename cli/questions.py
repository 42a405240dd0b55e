"""The questions about the present that commands ask, and the shapes of the answers."""

from typing import NamedTuple, Protocol

import msgspec

from exchange.client import OrderBookSnapshot
from exchange.domain.rules import Rules
from exchange.projections.record_page import RecordPage
from exchange.projections.wire_types import (
    AccountSummary,
    AccountView,
    Candles,
    HistoricalVolatility,
    IndexPrice,
    Instrument,
    OrderView,
    PositionsResult,
    Reopening,
    Resolution,
    Settlement,
    Ticker,
    Trade,
    Transaction,
    UserSettlement,
)


class HeadNow(msgspec.Struct, frozen=True):
    """The last command: its seq, time, and hash in hexadecimal digits."""

    seq: int
    ts_us: int
    hash: str


class AccountNow(NamedTuple):
    """An account with its newest settlements."""

    account: AccountView
    settled: list[UserSettlement]


class Quote(NamedTuple):
    """An instrument with its prices in micros; None if there is no such price."""

    instrument: Instrument
    bid_micros: int | None
    ask_micros: int | None
    last_micros: int | None
    mark_micros: int | None


class Present(Protocol):
    """Questions about the present. A name that the exchange does not know raises a ClickException."""

    def head(self) -> HeadNow:
        """The last command."""

    def as_of(self) -> str:
        """The moment of the last command, for a caption."""

    def rules(self) -> Rules:
        """The rules in force."""

    def is_halted(self) -> bool:
        """True if the administrator has halted the exchange."""

    def reopening(self) -> list[Reopening]:
        """The assets that are reopening after a halt or a crash, and their phases."""

    def instruments(self) -> dict[str, Instrument]:
        """The instruments that have not expired, by id."""

    def quotes(self, asset: str | None, with_expired: bool = False) -> list[Quote]:
        """The instruments with their prices; on all assets or on one. Only recorded data have the expired ones."""

    def expired_count(self) -> int:
        """The number of expired instruments; 0 from the running exchange, which does not know them."""

    def indexes(self) -> list[IndexPrice]:
        """The index prices of all assets."""

    def book(self, instrument_id: str, depth: int, trades: int) -> tuple[OrderBookSnapshot, list[Trade]]:
        """The best `depth` prices of a book, and its last trades, newest first."""

    def accounts(self) -> list[AccountSummary]:
        """All accounts, in the order in which they were opened."""

    def account(self, user_id: str, settlements_max: int) -> AccountNow:
        """The account of a user."""

    def positions(self, user_id: str, asset: str | None) -> PositionsResult:
        """The positions of a user with margins, profits and Greeks; on all assets or on one."""

    def transactions(self, user_id: str, page: RecordPage) -> list[Transaction]:
        """A page of the transaction log of a user, newest first."""

    def open_orders(self, user_id: str, instrument_id: str | None, label: str | None = None) -> list[OrderView]:
        """The open orders of a user, oldest first."""

    def order(self, user_id: str, order_id: int | None, client_order_id: str | None, label: str | None) -> OrderView:
        """The user's order with this id, or the newest one with this client_order_id or label.

        Raises UnknownOrderError or ServerError if there is none.
        """

    def ticker(self, instrument_id: str) -> Ticker:
        """The ticker of one instrument."""

    def tickers(self, asset: str) -> list[Ticker]:
        """The tickers of the instruments on `asset` that have not expired."""

    def candles(self, of: str, resolution: Resolution, start_us: int | None, count: int | None) -> Candles:
        """The candles of an instrument or of an index, oldest first."""

    def volatilities(self, asset: str, count: int) -> list[HistoricalVolatility]:
        """The historical volatilities of an index at the last full hours, oldest first."""

    def settlements(self, asset: str | None, count: int) -> list[Settlement]:
        """The settlements of expired series, newest first."""

    def settlements_of(self, user_id: str, count: int) -> list[UserSettlement]:
        """The settled positions of a user, newest first."""
