"""The tape: recent trades of every instrument and user, and statistics of a day. The journal has all trades."""

from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import TypeVar

from exchange.domain.events import Traded
from exchange.domain.units import cost_micros
from exchange.projections.candles import RunningCandle, flat
from exchange.projections.recent import RecentTrades
from exchange.projections.rolling_statistics import NO_TRADES, US_PER_MINUTE, RollingStatistics
from exchange.projections.wire_types import DayStatistics, OrderView, Trade, UserTrade

INSTRUMENT_TRADES_KEPT = 10_000
USER_TRADES_KEPT = 10_000

_T = TypeVar("_T", bound=Trade | UserTrade)


class Tape:
    """Recent trades, oldest first."""

    def __init__(
        self,
        instruments: Mapping[str, RecentTrades[Trade]] = {},
        users: Mapping[str, RecentTrades[UserTrade]] = {},
        days: Mapping[str, RollingStatistics] = {},
    ) -> None:
        self.instruments = dict(instruments)
        self.users = dict(users)
        self.days = dict(days)

    def on_traded(
        self, event: Traded, seq: int, ts_us: int, maker_order: OrderView, taker_order: OrderView
    ) -> tuple[Trade, UserTrade, UserTrade]:
        """Record a fill. Return it as the public, the maker and the taker see it."""
        common = (
            event.trade_id,
            event.instrument_id,
            event.price_micros,
            event.size_milli,
            event.taker_side,
            seq,
            ts_us,
        )
        trade = Trade(*common, taker_order.liquidation)
        maker = UserTrade(
            *common,
            event.maker_order_id,
            "ask" if event.taker_side == "bid" else "bid",
            "maker",
            event.maker_fee_micros,
            maker_order.client_order_id,
            False,
            maker_order.label,
        )
        taker = UserTrade(
            *common,
            event.taker_order_id,
            event.taker_side,
            "taker",
            event.taker_fee_micros,
            taker_order.client_order_id,
            taker_order.liquidation,
            taker_order.label,
        )
        trades = self.instruments.get(event.instrument_id)
        if trades is None:
            trades = self.instruments[event.instrument_id] = RecentTrades(INSTRUMENT_TRADES_KEPT)
        trades.append(trade)
        self._user_trades(event.maker_user_id).append(maker)
        self._user_trades(event.taker_user_id).append(taker)
        day = self.days.get(event.instrument_id)
        if day is None:
            day = self.days[event.instrument_id] = RollingStatistics()
        day.add(event.price_micros, event.size_milli, ts_us)
        return trade, maker, taker

    def trades(self, instrument_id: str, count: int, before: int | None = None) -> list[Trade]:
        """Return trades of the instrument with a `trade_id` below `before`, newest first."""
        return _newest(self.instruments.get(instrument_id, ()), count, before)

    def user_trades(
        self, user_id: str, count: int, before: int | None = None, instrument_id: str | None = None
    ) -> list[UserTrade]:
        """Return trades of the user with a `trade_id` below `before`, newest first."""
        return _newest(self.users.get(user_id, ()), count, before, instrument_id)

    def trades_of_order(self, user_id: str, order_id: int) -> list[UserTrade]:
        """Return the fills of one order, oldest first."""
        return [trade for trade in self.users.get(user_id, ()) if trade.order_id == order_id]

    def day_statistics(self, instrument_id: str, ts_us: int) -> DayStatistics:
        """Return the figures of the trades in the 24 hours before `ts_us`."""
        day = self.days.get(instrument_id)
        return NO_TRADES if day is None else day.statistics(ts_us, self.last_price_micros(instrument_id))

    def last_price_micros(self, instrument_id: str) -> int | None:
        """Return the price of the last trade; None if there was none."""
        trades = self.instruments.get(instrument_id)
        return trades[-1].price_micros if trades else None

    def running_candle(self, instrument_id: str, begin_us: int) -> RunningCandle | None:
        """Return the candle of the trades since `begin_us`, at most a day ago; a flat one if there were none.

        Without a trade it is None. An interval that is no whole number of minutes is also None, if it has more trades
        than the tape keeps.
        """
        last_micros = self.last_price_micros(instrument_id)
        if last_micros is None:
            return None
        if begin_us % US_PER_MINUTE:
            return self._candle_of_trades(instrument_id, begin_us)
        day = self.days.get(instrument_id)
        candle = None if day is None else day.candle_since(begin_us, last_micros)
        return candle or flat(begin_us, last_micros)

    def _candle_of_trades(self, instrument_id: str, begin_us: int) -> RunningCandle | None:
        kept = self.instruments[instrument_id]
        trades = list(takewhile(lambda trade: trade.ts_us >= begin_us, reversed(kept)))
        if len(trades) == INSTRUMENT_TRADES_KEPT:
            return None
        candle = None
        for trade in reversed(trades):
            if candle is None:
                candle = flat(begin_us, trade.price_micros)
            notional_micros = cost_micros(trade.price_micros, trade.size_milli)
            candle.add(trade.price_micros, trade.size_milli, notional_micros)
        return candle or flat(begin_us, kept[-1].price_micros)

    def _user_trades(self, user_id: str) -> RecentTrades[UserTrade]:
        trades = self.users.get(user_id)
        if trades is None:
            trades = self.users[user_id] = RecentTrades(USER_TRADES_KEPT)
        return trades


def _newest(trades: Iterable[_T], count: int, before: int | None = None, instrument_id: str | None = None) -> list[_T]:
    page: list[_T] = []
    for trade in reversed(list(trades)):
        if len(page) == count:
            break
        if (before is None or trade.trade_id < before) and instrument_id in (None, trade.instrument_id):
            page.append(trade)
    return page
