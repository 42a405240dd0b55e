"""The port to the exchange: all that the gateway needs of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from exchange.catch_up.request import CatchUpHandle, CatchUpRequest, Done, Take
from exchange.domain.commands import ChangeRules, Command, PlaceOrder
from exchange.domain.events import Event
from exchange.domain.reasons import Reason
from exchange.domain.rules import Rules
from exchange.gateway.jsonrpc import RpcError, history_unavailable
from exchange.gateway.limits import NO_RATES, GatewayLimits
from exchange.gateway.meter import RequestMeter
from exchange.keys.credentials import Credentials
from exchange.projections.candles import CandleRange
from exchange.projections.fold import Change
from exchange.projections.market_moment import MarkPrice, OptionSettlement, TradeMoment
from exchange.projections.order_timeline import TimelineStep
from exchange.projections.record_page import RecordPage
from exchange.projections.timeline import SeqRange
from exchange.projections.views import Views
from exchange.projections.wire_types import (
    Candle,
    HistoricalVolatility,
    MomentResult,
    OrderView,
    ProfitHistory,
    StepUnit,
    Timeline,
    Trade,
    Transaction,
    UserTrade,
)


class PastQuestion(msgspec.Struct, frozen=True):
    """A request about the past: a method with its parameters as JSON, and the user who asks.

    The moment is right after command `at_seq`, or if that is None after the last command at or before `at_ts_us`.
    """

    method: str
    params: msgspec.Raw
    user_id: str
    at_seq: int | None
    at_ts_us: int | None = None


class PastAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a question: a result as JSON, an error, or the end of a history that is behind the moment.

    `error` is the `data` of an `RpcError`. `behind` is the last seq in the history, and `reason` says why there is
    no history, if there is none.
    """

    result: msgspec.Raw = msgspec.Raw()
    error: dict[str, Any] | None = None
    behind: int | None = None
    reason: str | None = None


class WhatIfQuestion(msgspec.Struct, frozen=True):
    """A what-if of an account: the parameters of `private/what_if` as JSON, and the last command to compare."""

    user_id: str
    params: msgspec.Raw
    last_seq: int


# Receives the result as JSON, or the error.
PastDone = Callable[[msgspec.Raw | RpcError], None]


class MarginQuote(NamedTuple):
    """The cash that an order would lock (`needed_micros`), and the reason if it would be refused.

    `initial_micros` and `maintenance_micros` are the margins of one short contract, rounded up; None if they do not
    follow an index.
    """

    needed_micros: int
    initial_micros: int | None
    maintenance_micros: int | None
    reason: Reason | None


class SimulatedPosition(NamedTuple):
    """Contracts of an account in one instrument, and what they and its open asks lock there."""

    quantity_milli: int
    locked_micros: int
    maintenance_micros: int


class SimulatedMargins(NamedTuple):
    """The margins of an account with other positions, and the positions by instrument."""

    cash_micros: int
    locked_micros: int
    maintenance_micros: int
    positions: dict[str, SimulatedPosition]


class ExchangePort(ABC):
    """The exchange as the gateway sees it. By default it is not busy, not read-only, and has no rate limit."""

    # Counts the requests; None if nobody reads the metrics.
    meter: RequestMeter | None = None

    @property
    @abstractmethod
    def views(self) -> Views:
        """The read models, as of the last command."""

    @property
    @abstractmethod
    def head_hash(self) -> bytes:
        """The hash of the last command that `views` include."""

    @property
    @abstractmethod
    def rules(self) -> Rules:
        """The rules in force."""

    @property
    @abstractmethod
    def is_halted(self) -> bool:
        """True while the administrator has halted the exchange."""

    @abstractmethod
    def reopening(self) -> dict[str, int]:
        """Return the assets that are reopening, with the time until which only post-only orders are accepted.

        0: until the next index price, orders can only be cancelled.
        """

    @property
    @abstractmethod
    def first_seq(self) -> int:
        """The first command that a catch-up can start from. Older ones are in archives that are missing."""

    @property
    def is_busy(self) -> bool:
        """True while too many commands wait for the journal to accept another one."""
        return False

    @property
    def is_crowded(self) -> bool:
        """True while many commands wait for the journal: clients with many unanswered requests wait for the others."""
        return False

    @property
    def is_read_only(self) -> bool:
        """True for a replay. `submit`, `dry_run` and `margin` are then never called."""
        return False

    @property
    def limits(self) -> GatewayLimits:
        """The limits of clients. By default no rate is limited."""
        return NO_RATES

    @property
    def clock_jump_us(self) -> int:
        """The distance of a system clock that jumped from the expected time; otherwise 0, and commands are accepted."""
        return 0

    def confirm_time(self) -> int:
        """Accept the time of the system clock although it jumped. Returns the jump in microseconds."""
        return 0

    def ask_metrics(self, done: Callable[[dict[str, float]], None]) -> None:
        """Read the figures of the running exchange, without blocking. `done` gets them by name.

        By default, there are none.
        """
        done({})

    @abstractmethod
    def now_us(self) -> int:
        """Exchange time."""

    @abstractmethod
    def submit(self, command: Command, done: Callable[[Change | None], None]) -> None:
        """Queue a command. `done` gets its changes once it is durable; None if it could not be recorded."""

    @abstractmethod
    def dry_run(self, command: PlaceOrder) -> list[Event] | None:
        """The events that the order would cause now, with 0 for order_id and trade_ids; None if too busy.

        Changes nothing.
        """

    @abstractmethod
    def dry_run_rules(self, command: ChangeRules) -> list[Event]:
        """The events that this change of rules would cause now. Changes nothing."""

    @abstractmethod
    def margin(self, command: PlaceOrder) -> MarginQuote:
        """The margin that the order would need now."""

    @abstractmethod
    def simulate(self, user_id: str, quantities: Mapping[str, int], replaces: bool) -> SimulatedMargins:
        """The margins of the account with these millicontracts added, or in place of its positions."""

    @abstractmethod
    def ask_past(self, question: PastQuestion, done: PastDone) -> None:
        """Answer a question about a past moment, without blocking. `done` is called once."""

    def ask_what_if(self, question: WhatIfQuestion, done: PastDone) -> None:
        """Replay an edited history for an account, without blocking. `done` is called once.

        By default there is no journal to replay.
        """
        done(history_unavailable("this exchange has no journal to replay", 1_000))

    def transactions(self, user_id: str, page: RecordPage) -> list[Transaction]:
        """A page of the transaction log of a user. As with `order_timeline`, only the past of an exchange knows it."""
        raise AssertionError(f"the transactions of {user_id} are in the history")

    def trades_in(self, instrument_id: str, page: RecordPage) -> list[Trade]:
        """The trades of an instrument at the times of the page. Only the past knows all of them."""
        raise AssertionError(f"all trades of {instrument_id} are in the history")

    def user_trades_in(
        self, user_id: str, page: RecordPage, instrument_id: str | None, order_id: int | None
    ) -> list[UserTrade] | None:
        """The trades of a user at the times of the page, or of one order; None if the user has no such order.

        Only the past knows all of them.
        """
        raise AssertionError(f"all trades of {user_id} are in the history")

    def orders_in(
        self, user_id: str, page: RecordPage, instrument_id: str | None, label: str | None
    ) -> list[OrderView]:
        """The orders of a user that ended at the times of the page. Only the past knows all of them."""
        raise AssertionError(f"all orders of {user_id} are in the history")

    def candles_of(self, instrument_id: str, wanted: CandleRange) -> list[Candle]:
        """The candles of an instrument of these intervals. Only the past knows all trades."""
        raise AssertionError(f"the candles of {instrument_id} are in the history")

    def index_candles(self, asset: str, wanted: CandleRange) -> list[Candle]:
        """The candles of an index of these intervals. Only the past knows all prices."""
        raise AssertionError(f"the candles of {asset} are in the history")

    def historical_volatilities(self, asset: str, count: int, end_us: int) -> list[HistoricalVolatility]:
        """The volatilities of an index at the last full hours. Only the past knows its prices."""
        raise AssertionError(f"the index prices of {asset} are in the history")

    def timeline(self, wanted: SeqRange, buckets: int, asset: str | None) -> Timeline | None:
        """The timeline of a range; None if no command lies in it. Only the past knows it."""
        raise AssertionError(f"the timeline of {wanted} is in the history")

    def moment_after(self, seq: int | None, ts_us: int | None, by: StepUnit, count: int) -> MomentResult:
        """The moment some units after command `seq`, or after `ts_us`, or before it; without both, of the last command.

        Raises RpcError if there is no such command. Only the past knows it.
        """
        raise AssertionError(f"the moments around {seq} or {ts_us} are in the history")

    def profit_history(self, user_id: str, wanted: SeqRange, points: int) -> ProfitHistory | None:
        """The profit of an account at moments of a range; None if no command lies in it. Only the past knows it."""
        raise AssertionError(f"the profits of {user_id} are in the history")

    def trade_moments(self, trades: Sequence[Trade] | Sequence[UserTrade]) -> list[TradeMoment]:
        """What held when these trades happened. Only the past knows earlier prices."""
        raise AssertionError(f"the prices at the times of {len(trades)} trades are in the history")

    def trades_on(self, asset: str | None, page: RecordPage) -> list[Trade]:
        """The trades of the options on an asset, or of all, at the times of the page. Only the past knows them."""
        raise AssertionError(f"all trades on {asset} are in the history")

    def mark_prices_in(self, instrument_id: str, page: RecordPage) -> list[MarkPrice]:
        """The mark prices of an instrument at the times of the page, the oldest first. Only the past knows them."""
        raise AssertionError(f"the mark prices of {instrument_id} are in the history")

    def settlements_in(
        self, user_id: str | None, asset: str | None, instrument_id: str | None, page: RecordPage
    ) -> list[OptionSettlement]:
        """The settlements of a user's positions, or of all, at the times of the page. Only the past knows them."""
        raise AssertionError(f"all settlements of {user_id} are in the history")

    def created_us(self, instrument_ids: list[str]) -> dict[str, int]:
        """When these instruments were listed. Only the past knows it."""
        raise AssertionError(f"the times of {instrument_ids} are in the history")

    def order_timeline(self, user_id: str, order_id: int | None, client_order_id: str | None) -> list[TimelineStep]:
        """The life of the user's own order, given by one of its ids; empty if the user has no such order.

        Only the past of an exchange knows it, so that this is never called for a running one.
        """
        raise AssertionError(f"the life of order {order_id} or {client_order_id!r} is in the history")

    @abstractmethod
    def catch_up(self, request: CatchUpRequest, take: Take, done: Done) -> CatchUpHandle:
        """Start to replay missed notifications: later, `take` receives them in order, and `done` is called once."""

    @property
    @abstractmethod
    def credentials(self) -> Credentials:
        """Who may enter which account."""
