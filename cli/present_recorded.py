"""Answers questions about the present, or about a past moment, from the recorded data."""

from pathlib import Path

import click

from exchange.cli.current_views import Recorded, as_of, past_views, require_instrument, require_user
from exchange.cli.questions import AccountNow, HeadNow, Quote
from exchange.client import OrderBookSnapshot
from exchange.domain.rules import Rules
from exchange.history_db.candles import historical_volatilities, index_candles, trade_candles
from exchange.history_db.order_trail import UnknownOrderError
from exchange.history_db.past_views import TooMuchToReadError
from exchange.history_db.transactions import transactions_of
from exchange.projections.candles import range_of
from exchange.projections.record_page import RecordPage
from exchange.projections.wire_types import (
    AccountSummary,
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


class RecordedPresent:
    """A `Present` that reads the state after a recorded command."""

    def __init__(self, recorded: Recorded, path: Path) -> None:
        self.views = recorded.views
        self._recorded = recorded
        self._path = path

    def head(self) -> HeadNow:
        return HeadNow(self.views.seq, self.views.ts_us, self._recorded.hash.hex())

    def as_of(self) -> str:
        return as_of(self.views)

    def rules(self) -> Rules:
        return self.views.rules

    def is_halted(self) -> bool:
        return self._recorded.is_halted

    def reopening(self) -> list[Reopening]:
        return self._recorded.reopening

    def instruments(self) -> dict[str, Instrument]:
        return {one.instrument_id: one for one in self.views.live_instruments()}

    def quotes(self, asset: str | None, with_expired: bool = False) -> list[Quote]:
        listed = self.views.instruments.values() if with_expired else self.views.live_instruments()
        return [self._quote(one) for one in listed if asset in (None, one.asset)]

    def _quote(self, instrument: Instrument) -> Quote:
        name = instrument.instrument_id
        bid, ask = self.views.depths[name].best()
        return Quote(instrument, bid, ask, self.views.last_price_micros(name), self.views.marks.get(name))

    def expired_count(self) -> int:
        return len(self.views.instruments) - len(self.views.live_instruments())

    def indexes(self) -> list[IndexPrice]:
        return list(self.views.indexes.values())

    def book(self, instrument_id: str, depth: int, trades: int) -> tuple[OrderBookSnapshot, list[Trade]]:
        require_instrument(self.views, instrument_id, self._path)
        views, levels = self.views, self.views.depths[instrument_id]
        shown = OrderBookSnapshot(instrument_id, views.seq, views.ts_us, levels.bids(depth), levels.asks(depth))
        return shown, views.trades(instrument_id, trades)

    def accounts(self) -> list[AccountSummary]:
        return [self.views.account_summary(user_id) for user_id in self.views.balances.users]

    def account(self, user_id: str, settlements_max: int) -> AccountNow:
        require_user(self.views, user_id, self._path)
        settlements = self.views.settlements.newest_of(user_id, settlements_max) if settlements_max else []
        return AccountNow(self.views.account(user_id), settlements)

    def positions(self, user_id: str, asset: str | None) -> PositionsResult:
        require_user(self.views, user_id, self._path)
        return self.views.positions(user_id, asset)

    def transactions(self, user_id: str, page: RecordPage) -> list[Transaction]:
        require_user(self.views, user_id, self._path)
        return transactions_of(past_views(self._path, self.views), user_id, page)

    def open_orders(self, user_id: str, instrument_id: str | None, label: str | None = None) -> list[OrderView]:
        require_user(self.views, user_id, self._path)
        if instrument_id is not None:
            require_instrument(self.views, instrument_id, self._path)
        return self.views.open_orders(user_id, instrument_id, label)

    def order(self, user_id: str, order_id: int | None, client_order_id: str | None, label: str | None) -> OrderView:
        require_user(self.views, user_id, self._path)
        found = self.views.find_order(user_id, order_id, client_order_id, label)
        if found is None:
            raise UnknownOrderError(f"{user_id} has no such order; `exchange order list` shows the open orders")
        return found

    def ticker(self, instrument_id: str) -> Ticker:
        require_instrument(self.views, instrument_id, self._path)
        return self.views.ticker(instrument_id)

    def tickers(self, asset: str) -> list[Ticker]:
        return [self.views.ticker(one.instrument_id) for one in self.views.live_instruments(asset)]

    def candles(self, of: str, resolution: Resolution, start_us: int | None, count: int | None) -> Candles:
        views = past_views(self._path, self.views)
        try:
            wanted = range_of(resolution, start_us, None, count, views.ts_us)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        try:
            if "_" not in of:
                return Candles(index_candles(views, of, wanted), views.seq)
            require_instrument(views, of, self._path)
            return Candles(trade_candles(views, of, wanted), views.seq)
        except TooMuchToReadError as error:
            raise click.ClickException("that is too long a time to read at once: use -n, or a later --since") from error

    def volatilities(self, asset: str, count: int) -> list[HistoricalVolatility]:
        views = past_views(self._path, self.views)
        return historical_volatilities(views, asset, count, views.ts_us)

    def settlements(self, asset: str | None, count: int) -> list[Settlement]:
        return self.views.settlements.newest(count, asset=asset)

    def settlements_of(self, user_id: str, count: int) -> list[UserSettlement]:
        require_user(self.views, user_id, self._path)
        return self.views.settlements.newest_of(user_id, count)
