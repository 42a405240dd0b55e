"""Asks the running exchange about the present."""

from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from exchange.amounts import short_time
from exchange.cli.client import RunningExchange, ServerError, given_key, log_in, log_in_as_admin
from exchange.cli.names import unknown_instrument, unknown_user
from exchange.cli.questions import AccountNow, HeadNow, Quote
from exchange.client import OrderBookSnapshot
from exchange.domain.reasons import REFUSALS, Reason
from exchange.domain.rules import Rules
from exchange.gateway.limits import COUNT_MAX
from exchange.projections.record_page import RecordPage
from exchange.projections.wire_types import (
    AccountSummary,
    AccountView,
    Candles,
    ExchangeStatus,
    HistoricalVolatility,
    IndexPrice,
    Instrument,
    OrderView,
    PositionsResult,
    Reopening,
    Resolution,
    RulesResult,
    Settlement,
    SimulatedAccount,
    Ticker,
    Trade,
    Transaction,
    TransactionsResult,
    UserSettlement,
)

_T = TypeVar("_T")
_ORDER = ("private/get_order", OrderView)
_ORDERS = ("private/get_open_orders", list[OrderView])
_POSITIONS = ("private/get_positions", PositionsResult)
_LOG = ("private/get_transaction_log", TransactionsResult)
_PAID = ("private/get_settlements", list[UserSettlement])


class RunningPresent:
    """A `Present` that asks the running exchange. Questions about a user need the administrator's secret."""

    def __init__(self, client: RunningExchange, path: Path) -> None:
        self._client = client
        self._path = path
        self._is_admin = False

    def head(self) -> HeadNow:
        return self._ask(HeadNow, "public/get_head")

    def as_of(self) -> str:
        head = self.head()
        return f"at seq {head.seq}, {short_time(head.ts_us)}"

    def rules(self) -> Rules:
        return self._ask(RulesResult, "public/get_rules").rules

    def is_halted(self) -> bool:
        return self._ask(ExchangeStatus, "public/get_status").halted

    def reopening(self) -> list[Reopening]:
        return self._ask(ExchangeStatus, "public/get_status").reopening

    def instruments(self) -> dict[str, Instrument]:
        return {one.instrument_id: one for one in self._instruments(None)}

    def quotes(self, asset: str | None, with_expired: bool = False) -> list[Quote]:
        listed = {one.instrument_id: one for one in self._instruments(asset)}
        return [
            Quote(listed[one.instrument_id], one.best_bid_micros, one.best_ask_micros, one.last_micros, one.mark_micros)
            for one in self._ask(list[Ticker], "public/get_tickers", asset=asset)
            if one.instrument_id in listed
        ]

    def expired_count(self) -> int:
        return 0

    def indexes(self) -> list[IndexPrice]:
        return self._ask(list[IndexPrice], "public/get_index_prices")

    def book(self, instrument_id: str, depth: int, trades: int) -> tuple[OrderBookSnapshot, list[Trade]]:
        book = self._ask(OrderBookSnapshot, "public/get_order_book", instrument_id=instrument_id, depth=depth)
        return book, self._ask(list[Trade], "public/get_trades", instrument_id=instrument_id, count=trades)

    def accounts(self) -> list[AccountSummary]:
        return self._accounts()

    def account(self, user_id: str, settlements_max: int) -> AccountNow:
        account = self._account(user_id)
        return AccountNow(account, self._ask_as(user_id, _PAID, count=settlements_max) if settlements_max else [])

    def positions(self, user_id: str, asset: str | None) -> PositionsResult:
        self._account(user_id)
        return self._ask_as(user_id, _POSITIONS, asset=asset)

    def transactions(self, user_id: str, page: RecordPage) -> list[Transaction]:
        self._account(user_id)
        which = {"count": page.count_max, "before": page.before, "start_us": page.start_us, "end_us": page.end_us}
        return self._ask_as(user_id, _LOG, **which).transactions

    def simulate(self, user_id: str, positions: dict[str, int], add_positions: bool) -> SimulatedAccount:
        """The margins and Greeks of a user with other positions."""
        self._account(user_id)
        question = ("private/simulate", SimulatedAccount)
        return self._ask_as(user_id, question, positions=positions, add_positions=add_positions)

    def open_orders(self, user_id: str, instrument_id: str | None, label: str | None = None) -> list[OrderView]:
        self._account(user_id)
        return self._ask_as(user_id, _ORDERS, instrument_id=instrument_id, label=label)

    def order(self, user_id: str, order_id: int | None, client_order_id: str | None, label: str | None) -> OrderView:
        self._account(user_id)
        name = {"order_id": order_id, "client_order_id": client_order_id, "label": label}
        return self._ask_as(user_id, _ORDER, **name)

    def ticker(self, instrument_id: str) -> Ticker:
        return self._ask(Ticker, "public/get_ticker", instrument_id=instrument_id)

    def tickers(self, asset: str) -> list[Ticker]:
        return self._ask(list[Ticker], "public/get_tickers", asset=asset)

    def candles(self, of: str, resolution: Resolution, start_us: int | None, count: int | None) -> Candles:
        of_what = {"instrument_id" if "_" in of else "asset": of}
        when = {"start_us": start_us, "count": count}
        return self._ask(Candles, "public/get_candles", resolution=resolution, **of_what, **when)

    def volatilities(self, asset: str, count: int) -> list[HistoricalVolatility]:
        return self._ask(list[HistoricalVolatility], "public/get_historical_volatility", asset=asset, count=count)

    def settlements(self, asset: str | None, count: int) -> list[Settlement]:
        return self._ask(list[Settlement], "public/get_settlements", asset=asset, count=count)

    def settlements_of(self, user_id: str, count: int) -> list[UserSettlement]:
        self._account(user_id)
        return self._ask_as(user_id, _PAID, count=count)

    def _instruments(self, asset: str | None) -> list[Instrument]:
        return self._ask(list[Instrument], "public/get_instruments", asset=asset)

    def _accounts(self) -> list[AccountSummary]:
        self._become_admin()
        found: list[AccountSummary] = []
        after = None
        while True:
            page = self._client.call("admin/get_accounts", count=COUNT_MAX, after=after)["accounts"]
            found += msgspec.convert(page, list[AccountSummary])
            if len(page) < COUNT_MAX:
                return found
            after = found[-1].user_id

    def _account(self, user_id: str) -> AccountView:
        """The account of a user. A login without this question would open the account of an unknown user."""
        key = given_key()
        if key is not None and key.user_id == user_id:
            return self._ask_as(user_id, ("private/get_account", AccountView))
        self._become_admin()
        try:
            return self._ask(AccountView, "admin/get_account", user_id=user_id)
        except ServerError as error:
            if error.reason != Reason.UNKNOWN_USER.value:
                raise
            raise unknown_user(user_id, [one.user_id for one in self._accounts()], self._path) from error

    def _become_admin(self) -> None:
        if not self._is_admin:
            log_in_as_admin(self._client, self._path)
            self._is_admin = True

    def _ask_as(self, user_id: str, question: tuple[str, type[_T]], **params: Any) -> _T:
        """Ask on a connection of the user: that of the administrator cannot change its user."""
        method, kind = question
        with RunningExchange(self._client.url, self._path) as client:
            log_in(client, user_id)
            return self._convert(client, kind, method, params)

    def _ask(self, kind: type[_T], method: str, **params: Any) -> _T:
        return self._convert(self._client, kind, method, params)

    def _convert(self, client: RunningExchange, kind: type[_T], method: str, params: dict[str, Any]) -> _T:
        try:
            return msgspec.convert(client.call(method, **params), kind)
        except ServerError as error:
            if "instrument_id" not in params or error.code != REFUSALS[Reason.INSTRUMENT_NOT_FOUND].code:
                raise
            self._refuse(params["instrument_id"], error)

    def _refuse(self, instrument_id: str, error: ServerError) -> NoReturn:
        raise unknown_instrument(instrument_id, self._instruments(None), self._path) from error
