"""The trades of the last 24 hours in figures, by the minute of exchange time: prices, volume and premium."""

from exchange.domain.units import NUMBER_MAX, PPM, US_PER_DAY, cost_micros
from exchange.projections.candles import RunningCandle
from exchange.projections.wire_types import DayStatistics

US_PER_MINUTE = 60_000_000
_MINUTES = US_PER_DAY // US_PER_MINUTE


class TradedMinute:
    """The trades of one instrument in one minute: first, highest and lowest price, contracts, and premium."""

    __slots__ = ("first_micros", "high_micros", "low_micros", "minute", "notional_micros", "size_milli")

    def __init__(
        self,
        minute: int,
        size_milli: int,
        notional_micros: int,
        first_micros: int,
        high_micros: int,
        low_micros: int,
    ) -> None:
        self.minute = minute
        self.size_milli = size_milli
        self.notional_micros = notional_micros
        self.first_micros = first_micros
        self.high_micros = high_micros
        self.low_micros = low_micros

    def image(self) -> tuple[int, int, int, int, int, int]:
        """Return the figures in the order of the constructor."""
        return (
            self.minute,
            self.size_milli,
            self.notional_micros,
            self.first_micros,
            self.high_micros,
            self.low_micros,
        )


class RollingStatistics:
    """The statistics of one instrument; `minutes` holds each minute with trades, the oldest first.

    The totals are those of `minutes`. `_high_micros` and `_low_micros` hold at `_extremes_minute`. It is None after a
    trade of another minute: the next call of `statistics` then searches them again.
    """

    __slots__ = ("_extremes_minute", "_high_micros", "_low_micros", "_notional_micros", "_size_milli", "minutes")

    def __init__(self, minutes: list[TradedMinute] | None = None) -> None:
        self.minutes = [] if minutes is None else minutes
        self._size_milli = sum([minute.size_milli for minute in self.minutes])
        self._notional_micros = sum([minute.notional_micros for minute in self.minutes])
        self._extremes_minute: int | None = None
        self._high_micros = self._low_micros = 0

    def add(self, price_micros: int, size_milli: int, ts_us: int) -> None:
        """Add a trade, and drop the minutes that are a day old. O(1) without such minutes."""
        minute = ts_us // US_PER_MINUTE
        if expired := self._expired(minute):
            for one in self.minutes[:expired]:
                self._size_milli -= one.size_milli
                self._notional_micros -= one.notional_micros
            del self.minutes[:expired]
        notional_micros = cost_micros(price_micros, size_milli)
        self._size_milli += size_milli
        self._notional_micros += notional_micros
        if self._extremes_minute == minute:
            self._high_micros = max(self._high_micros, price_micros)
            self._low_micros = min(self._low_micros, price_micros)
        else:
            self._extremes_minute = None
        if self.minutes and (last := self.minutes[-1]).minute == minute:
            last.size_milli += size_milli
            last.notional_micros += notional_micros
            last.high_micros = max(last.high_micros, price_micros)
            last.low_micros = min(last.low_micros, price_micros)
        else:
            prices = (price_micros, price_micros, price_micros)
            self.minutes.append(TradedMinute(minute, size_milli, notional_micros, *prices))

    def statistics(self, ts_us: int, last_micros: int | None) -> DayStatistics:
        """Return the figures of the last 1,440 minutes, including that of `ts_us`. `last_micros` is the last price.

        O(minutes), but O(1) if only trades came in since a call in the same minute.
        """
        minute = ts_us // US_PER_MINUTE
        expired = self._expired(minute)
        if expired == len(self.minutes):
            return NO_TRADES
        size_milli, notional_micros = self._size_milli, self._notional_micros
        for one in self.minutes[:expired]:
            size_milli -= one.size_milli
            notional_micros -= one.notional_micros
        if self._extremes_minute != minute:
            self._extremes_minute = minute
            self._high_micros = max([one.high_micros for one in self.minutes[expired:]])
            self._low_micros = min([one.low_micros for one in self.minutes[expired:]])
        first_micros = self.minutes[expired].first_micros
        return day_statistics(
            self._high_micros, self._low_micros, size_milli, notional_micros, first_micros, last_micros
        )

    def candle_since(self, begin_us: int, last_micros: int) -> RunningCandle | None:
        """Return the candle of all trades since `begin_us`, a whole minute; `last_micros` is the last price.

        None if there were none. O(minutes).
        """
        minutes = [one for one in self.minutes if one.minute >= begin_us // US_PER_MINUTE]
        if not minutes:
            return None
        return RunningCandle(
            begin_us,
            minutes[0].first_micros,
            max([one.high_micros for one in minutes]),
            min([one.low_micros for one in minutes]),
            last_micros,
            sum([one.size_milli for one in minutes]),
            sum([one.notional_micros for one in minutes]),
        )

    def _expired(self, minute: int) -> int:
        """Return how many of the stored minutes are a day old."""
        count = 0
        for one in self.minutes:
            if one.minute > minute - _MINUTES:
                break
            count += 1
        return count


NO_TRADES = DayStatistics(None, None, 0, 0, None)


def day_statistics(
    high_micros: int,
    low_micros: int,
    size_milli: int,
    notional_micros: int,
    first_micros: int,
    last_micros: int | None,
) -> DayStatistics:
    """Return the statistics of a day with trades. The change of the price is rounded half up to a millionth.

    A premium beyond 2^53 - 1, the largest number on the wire, becomes None.
    """
    change_ppm = None
    if last_micros is not None:
        change_ppm = (2 * (last_micros - first_micros) * PPM + first_micros) // (2 * first_micros)
    shown_micros = notional_micros if notional_micros <= NUMBER_MAX else None
    return DayStatistics(high_micros, low_micros, size_milli, shown_micros, change_ppm)
