"""Candles: open, high, low and close of the trades of an instrument, or of the prices of an index, by intervals.

An interval begins at a multiple of its resolution since 1970 (UTC), so that the longest one is a UTC day. An interval
without trades or prices has a flat candle at the close of the one before, with no volume, as on Deribit:
https://docs.deribit.com/subscriptions/market-data/charttradesinstrument_nameresolution (the notice on filling samples).
Before the first trade or price there are no candles, and after its expiration an instrument has none.
"""

from collections.abc import Iterable
from typing import NamedTuple

from exchange.domain.units import US_PER_SECOND
from exchange.projections.balances import null_if_unsafe
from exchange.projections.wire_types import Candle, Resolution

# Seconds of each resolution: those of Deribit in minutes, hours and a day, and some seconds.
RESOLUTIONS: dict[Resolution, int] = {
    "1s": 1,
    "5s": 5,
    "15s": 15,
    "30s": 30,
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "10m": 600,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "2h": 7_200,
    "3h": 10_800,
    "6h": 21_600,
    "12h": 43_200,
    "1d": 86_400,
}

# Of one answer. A day of candles of a minute has 1,440.
CANDLES_MAX = 5_000


def interval_us(resolution: Resolution) -> int:
    """Return the length of an interval in microseconds."""
    return RESOLUTIONS[resolution] * US_PER_SECOND


class CandleRange(NamedTuple):
    """The intervals of a length that begin at `first_us` to `last_us`."""

    first_us: int
    last_us: int
    length_us: int


def range_of(
    resolution: Resolution, start_us: int | None, end_us: int | None, count: int | None, now_us: int
) -> CandleRange:
    """Return the last `count` intervals (100 if it is None) up to `end_us` or now, or all from that of `start_us` on.

    Raises ValueError for more than CANDLES_MAX intervals.
    """
    length_us = interval_us(resolution)
    last_us = now_us if end_us is None else min(end_us, now_us)
    last_us -= last_us % length_us
    if start_us is None:
        return CandleRange(max(0, last_us - ((count or 100) - 1) * length_us), last_us, length_us)
    first_us = start_us - start_us % length_us
    if (found := (last_us - first_us) // length_us + 1) > CANDLES_MAX:
        raise ValueError(
            f"{found:,} candles of {resolution}: one answer has at most {CANDLES_MAX:,}; give a later start_us, an "
            "earlier end_us or a longer resolution"
        )
    return CandleRange(first_us, last_us, length_us)


class RunningCandle:
    """The candle of the interval that begins at `begin_us`, up to the last trade or price in it.

    It `is_flat` until the first one: then its prices are the close of the candle before.
    """

    __slots__ = (
        "begin_us",
        "close_micros",
        "high_micros",
        "is_flat",
        "low_micros",
        "notional_micros",
        "open_micros",
        "size_milli",
    )

    def __init__(
        self,
        begin_us: int,
        open_micros: int,
        high_micros: int,
        low_micros: int,
        close_micros: int,
        size_milli: int = 0,
        notional_micros: int = 0,
    ) -> None:
        self.begin_us = begin_us
        self.open_micros = open_micros
        self.high_micros = high_micros
        self.low_micros = low_micros
        self.close_micros = close_micros
        self.size_milli = size_milli
        self.notional_micros = notional_micros
        self.is_flat = False

    def add(self, price_micros: int, size_milli: int = 0, notional_micros: int = 0) -> None:
        """Add a trade, or a price of an index."""
        if self.is_flat:
            self.is_flat = False
            self.open_micros = self.high_micros = self.low_micros = price_micros
        self.high_micros = max(self.high_micros, price_micros)
        self.low_micros = min(self.low_micros, price_micros)
        self.close_micros = price_micros
        self.size_milli += size_milli
        self.notional_micros += notional_micros

    def view(self) -> Candle:
        """Return the candle as clients see it. A notional beyond 2^53 - 1 is null."""
        return Candle(
            self.begin_us,
            self.open_micros,
            self.high_micros,
            self.low_micros,
            self.close_micros,
            self.size_milli,
            null_if_unsafe(self.notional_micros),
        )


def flat(begin_us: int, price_micros: int) -> RunningCandle:
    """Return the candle of an interval in which the price stayed the same."""
    candle = RunningCandle(begin_us, price_micros, price_micros, price_micros, price_micros)
    candle.is_flat = True
    return candle


def filled(candles: Iterable[RunningCandle], wanted: CandleRange, before_micros: int | None) -> list[Candle]:
    """Return the candles of all intervals: those given, and flat ones between.

    `before_micros` is the price before the first interval; None if there was none.
    """
    by_begin = {candle.begin_us: candle for candle in candles}
    found: list[Candle] = []
    close_micros = before_micros
    for begin_us in range(wanted.first_us, wanted.last_us + 1, wanted.length_us):
        candle = by_begin.get(begin_us)
        if candle is None and close_micros is not None:
            candle = flat(begin_us, close_micros)
        if candle is not None:
            close_micros = candle.close_micros
            found.append(candle.view())
    return found


class IndexCandles:
    """The running candles of an index, by their length in microseconds. The trades of instruments have statistics."""

    __slots__ = ("by_length_us",)

    def __init__(self, by_length_us: dict[int, RunningCandle] | None = None) -> None:
        self.by_length_us = {} if by_length_us is None else by_length_us

    @staticmethod
    def unknown(ts_us: int) -> "IndexCandles":
        """Return the candles of an index whose earlier prices are not known: only later intervals have some."""
        lengths = [seconds * US_PER_SECOND for seconds in RESOLUTIONS.values()]
        return IndexCandles({length: flat(ts_us - ts_us % length, 0) for length in lengths})

    def complete(self, known: "IndexCandles") -> None:
        """Take the candles that are not known here from `known`."""
        for length_us, candle in self.by_length_us.items():
            if not candle.open_micros and length_us in known.by_length_us:
                self.by_length_us[length_us] = known.by_length_us[length_us]

    def add(self, price_micros: int, ts_us: int) -> None:
        """Add a price. O(number of resolutions)."""
        for seconds in RESOLUTIONS.values():
            length_us = seconds * US_PER_SECOND
            begin_us = ts_us - ts_us % length_us
            candle = self.by_length_us.get(length_us)
            if candle is None or candle.begin_us != begin_us:
                candle = self.by_length_us[length_us] = flat(begin_us, price_micros)
            if candle.open_micros:
                candle.add(price_micros)

    def at(self, length_us: int, price_micros: int, ts_us: int) -> RunningCandle | None:
        """Return the candle of the interval of `ts_us`, given the last price; None if its first prices are unknown."""
        begin_us = ts_us - ts_us % length_us
        candle = self.by_length_us.get(length_us)
        if candle is None or candle.begin_us != begin_us:
            return flat(begin_us, price_micros)
        if not candle.open_micros:
            return None
        return RunningCandle(begin_us, candle.open_micros, candle.high_micros, candle.low_micros, candle.close_micros)

    def image(self) -> list[tuple[int, int, int, int, int, int]]:
        """Return the length, begin, open, high, low and close of each candle."""
        return [
            (length, one.begin_us, one.open_micros, one.high_micros, one.low_micros, one.close_micros)
            for length, one in self.by_length_us.items()
        ]
