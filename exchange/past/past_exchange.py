"""The exchange at a moment of the past, as the handlers of the gateway see it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from exchange.catch_up.request import CatchUpHandle, CatchUpRequest, Done, Take
from exchange.domain.commands import ChangeRules, Command, PlaceOrder
from exchange.domain.events import Event
from exchange.domain.rules import Rules
from exchange.gateway.caller import Caller
from exchange.gateway.exchange_port import ExchangePort, MarginQuote, PastDone, PastQuestion, SimulatedMargins
from exchange.gateway.jsonrpc import invalid_params
from exchange.gateway.past_questions import unknown_moment
from exchange.history_db.candles import historical_volatilities, index_candles, trade_candles
from exchange.history_db.market_moments import Moments, created_us, mark_prices_in, settlements_in, trades_on
from exchange.history_db.moments import last_at, moment_after
from exchange.history_db.order_trail import in_words, order_named, own_order_timeline
from exchange.history_db.past_views import PastViews, TooMuchToReadError
from exchange.history_db.profit_history import profit_history
from exchange.history_db.records_in_range import orders_in, trades_in, user_trades_in
from exchange.history_db.timeline import first_command, timeline
from exchange.history_db.transactions import transactions_of
from exchange.keys.credentials import Credentials
from exchange.projections.candles import CandleRange
from exchange.projections.fold import Change
from exchange.projections.market_moment import MarkPrice, OptionSettlement, TradeMoment
from exchange.projections.order_timeline import TimelineStep
from exchange.projections.record_page import RecordPage
from exchange.projections.timeline import SeqRange
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

_READS_ONLY = "only methods that read are answered from the past"


class PastExchange(ExchangePort):
    """An exchange port that answers from the history. Methods that read call nothing else of the port."""

    def __init__(self, views: PastViews) -> None:
        self._views = views

    @property
    def views(self) -> PastViews:
        return self._views

    @property
    def head_hash(self) -> bytes:
        return self._views.journal_hash

    @property
    def rules(self) -> Rules:
        return self._views.rules

    @property
    def is_halted(self) -> bool:
        return self._views.is_halted

    def reopening(self) -> dict[str, int]:
        return self._views.reopening

    @property
    def is_read_only(self) -> bool:
        return True

    def now_us(self) -> int:
        return self._views.ts_us

    def transactions(self, user_id: str, page: RecordPage) -> list[Transaction]:
        return transactions_of(self._views, user_id, page)

    def trades_in(self, instrument_id: str, page: RecordPage) -> list[Trade]:
        return trades_in(self._views, instrument_id, page)

    def user_trades_in(
        self, user_id: str, page: RecordPage, instrument_id: str | None, order_id: int | None
    ) -> list[UserTrade] | None:
        return user_trades_in(self._views, user_id, page, instrument_id, order_id)

    def orders_in(
        self, user_id: str, page: RecordPage, instrument_id: str | None, label: str | None
    ) -> list[OrderView]:
        return orders_in(self._views, user_id, page, instrument_id, label)

    def candles_of(self, instrument_id: str, wanted: CandleRange) -> list[Candle]:
        with _refusing_much():
            return trade_candles(self._views, instrument_id, wanted)

    def index_candles(self, asset: str, wanted: CandleRange) -> list[Candle]:
        with _refusing_much():
            return index_candles(self._views, asset, wanted)

    def historical_volatilities(self, asset: str, count: int, end_us: int) -> list[HistoricalVolatility]:
        return historical_volatilities(self._views, asset, count, end_us)

    def timeline(self, wanted: SeqRange, buckets: int, asset: str | None) -> Timeline | None:
        return timeline(self._views, wanted, buckets, asset)

    def moment_after(self, seq: int | None, ts_us: int | None, by: StepUnit, count: int) -> MomentResult:
        views = self._views
        first_seq = first_command(views).seq
        if seq is None:
            seq = views.seq if ts_us is None else last_at(views, ts_us)
            if seq is None:
                raise unknown_moment("ts_us", f"the history begins later: its first command is {first_seq}")
        elif not first_seq <= seq <= views.seq:
            raise unknown_moment("seq", f"there is no command {seq}: expected {first_seq} to {views.seq}")
        return moment_after(views, seq, by, count)

    def profit_history(self, user_id: str, wanted: SeqRange, points: int) -> ProfitHistory | None:
        with _refusing_much("points", "too much to read: ask for fewer points or a shorter time"):
            return profit_history(self._views, user_id, wanted, points)

    def trade_moments(self, trades: Sequence[Trade] | Sequence[UserTrade]) -> list[TradeMoment]:
        moments = Moments(self._views)
        return [moments.of(trade) for trade in trades]

    def trades_on(self, asset: str | None, page: RecordPage) -> list[Trade]:
        return trades_on(self._views, asset, page)

    def mark_prices_in(self, instrument_id: str, page: RecordPage) -> list[MarkPrice]:
        return mark_prices_in(self._views, instrument_id, page)

    def settlements_in(
        self, user_id: str | None, asset: str | None, instrument_id: str | None, page: RecordPage
    ) -> list[OptionSettlement]:
        return settlements_in(self._views, user_id, asset, instrument_id, page)

    def created_us(self, instrument_ids: list[str]) -> dict[str, int]:
        return created_us(self._views, instrument_ids)

    def order_timeline(self, user_id: str, order_id: int | None, client_order_id: str | None) -> list[TimelineStep]:
        """As in the port. Raises JournalArchivedError if the order may be in an archive that is missing."""
        if client_order_id is not None:
            order_id = order_named(self._views, user_id, client_order_id)
        steps = [] if order_id is None else own_order_timeline(self._views, user_id, order_id)
        return in_words(steps) if steps else []

    @property
    def credentials(self) -> Credentials:
        raise AssertionError(_READS_ONLY)

    @property
    def first_seq(self) -> int:
        raise AssertionError(_READS_ONLY)

    def submit(self, command: Command, done: Callable[[Change | None], None]) -> None:
        raise AssertionError(_READS_ONLY)

    def dry_run(self, command: PlaceOrder) -> list[Event] | None:
        raise AssertionError(_READS_ONLY)

    def dry_run_rules(self, command: ChangeRules) -> list[Event]:
        raise AssertionError(_READS_ONLY)

    def margin(self, command: PlaceOrder) -> MarginQuote:
        raise AssertionError(_READS_ONLY)

    def simulate(self, user_id: str, quantities: Mapping[str, int], replaces: bool) -> SimulatedMargins:
        raise AssertionError(_READS_ONLY)

    def ask_past(self, question: PastQuestion, done: PastDone) -> None:
        raise AssertionError(_READS_ONLY)

    def catch_up(self, request: CatchUpRequest, take: Take, done: Done) -> CatchUpHandle:
        raise AssertionError(_READS_ONLY)


@contextmanager
def _refusing_much(
    param: str = "start_us",
    detail: str = "the candles of this time follow from too many trades or prices: ask for a shorter time",
) -> Iterator[None]:
    try:
        yield
    except TooMuchToReadError as error:
        raise invalid_params(param, detail) from error


class PastCaller(Caller):
    """The user who asks about the past. There is no connection: methods that read need none."""

    __slots__ = ()

    def __init__(self, exchange: PastExchange, user_id: str) -> None:
        self.exchange = exchange
        self.user_id = user_id
