"""Candles and historical volatilities of any time, from the trades and index prices of the history."""

from typing import Any

from exchange.domain.units import US_PER_DAY, US_PER_SECOND
from exchange.history_db.past_views import PastViews
from exchange.projections.candles import CandleRange, RunningCandle, filled
from exchange.projections.historical_volatility import DAYS, historical_volatility
from exchange.projections.record_page import RecordPage
from exchange.projections.wire_types import Candle, HistoricalVolatility

# Of one answer: about 5,000,000 trades or prices, which take some seconds. Other questions wait so long.
_STEPS_MAX = 150_000_000
_US_PER_HOUR = 3_600 * US_PER_SECOND


def trade_candles(views: PastViews, instrument_id: str, wanted: CandleRange) -> list[Candle]:
    """Return the candles of the trades in the intervals. O(trades in them). Raises TooMuchToReadError."""
    expiration_us = views.instruments[instrument_id].expiration_s * US_PER_SECOND
    # The premium of a trade is a whole number, because prices are multiples of 1,000 micros. Sums of high and low parts
    # stay within 64 bits.
    rows = _read(
        views,
        "SELECT begin_us, opened.price_micros, high, low, closed.price_micros, size, high_part, low_part FROM ("
        "SELECT ts_us - ts_us % :length_us AS begin_us, min(trade_id) AS first_id, max(trade_id) AS last_id, "
        "max(price_micros) AS high, min(price_micros) AS low, sum(size_milli) AS size, "
        "sum(price_micros * size_milli / 1000 >> 31) AS high_part, "
        "sum(price_micros * size_milli / 1000 & 2147483647) AS low_part FROM trade WHERE instrument = :instrument "
        "AND ts_us >= :first_us AND ts_us < :end_us AND ts_us <= :ts_us GROUP BY begin_us) "
        "JOIN trade opened ON opened.trade_id = first_id JOIN trade closed ON closed.trade_id = last_id",
        instrument=views.key_of_instrument(instrument_id),
        first_us=wanted.first_us,
        end_us=wanted.last_us + wanted.length_us,
        length_us=wanted.length_us,
        ts_us=views.ts_us,
    )
    found = [
        RunningCandle(begin_us, first, high, low, last, size_milli, (high_part << 31) + low_part)
        for begin_us, first, high, low, last, size_milli, high_part, low_part in rows
    ]
    before = views.query(
        "SELECT price_micros FROM trade WHERE instrument = :instrument AND ts_us < :first_us AND ts_us <= :ts_us "
        "ORDER BY ts_us DESC, trade_id DESC LIMIT 1",
        instrument=views.key_of_instrument(instrument_id),
        first_us=wanted.first_us,
        ts_us=views.ts_us,
    ).fetchone()
    wanted = wanted._replace(last_us=min(wanted.last_us, expiration_us - 1))
    return filled(found, wanted, None if before is None else before[0])


def index_candles(views: PastViews, asset: str, wanted: CandleRange) -> list[Candle]:
    """Return the candles of the index in the intervals. O(prices in them). Raises TooMuchToReadError."""
    first_seq, last_seq = views.seqs_of(RecordPage(0, None, wanted.first_us, wanted.last_us + wanted.length_us - 1))
    rows = _read(
        views,
        "SELECT begin_us, opened.price_micros, high, low, closed.price_micros FROM ("
        "SELECT ts_us - ts_us % :length_us AS begin_us, min(seq) AS first_seq, max(seq) AS last_seq, "
        "max(price_micros) AS high, min(price_micros) AS low FROM index_price WHERE asset = :asset "
        "AND seq BETWEEN :first_seq AND :last_seq GROUP BY begin_us) "
        "JOIN index_price opened ON opened.asset = :asset AND opened.seq = first_seq "
        "JOIN index_price closed ON closed.asset = :asset AND closed.seq = last_seq",
        asset=asset,
        first_seq=first_seq,
        last_seq=last_seq,
        length_us=wanted.length_us,
    )
    found = [RunningCandle(*terms) for terms in rows]
    before = views.query(
        "SELECT price_micros FROM index_price WHERE asset = :asset AND seq < :first_seq ORDER BY seq DESC LIMIT 1",
        asset=asset,
        first_seq=first_seq,
    ).fetchone()
    return filled(found, wanted, None if before is None else before[0])


def historical_volatilities(views: PastViews, asset: str, count: int, end_us: int) -> list[HistoricalVolatility]:
    """Return the volatilities at the last `count` full hours up to `end_us`, the oldest first.

    There is none for an hour before the index was 15 days old. O((count + 15 * 24) * log(commands)).
    """
    last_us = end_us - end_us % _US_PER_HOUR
    prices: dict[int, int | None] = {}

    def price_at(ts_us: int) -> int | None:
        if ts_us not in prices:
            prices[ts_us] = _price_at(views, asset, ts_us)
        return prices[ts_us]

    found: list[HistoricalVolatility] = []
    for ts_us in range(max(0, last_us - (count - 1) * _US_PER_HOUR), last_us + 1, _US_PER_HOUR):
        daily = [price_at(ts_us - day * US_PER_DAY) for day in range(DAYS, -1, -1)]
        known = [price for price in daily if price is not None]
        if len(known) == len(daily):
            found.append(HistoricalVolatility(ts_us, historical_volatility(known)))
    return found


def _price_at(views: PastViews, asset: str, ts_us: int) -> int | None:
    row = views.query(
        "SELECT price_micros FROM index_price WHERE asset = :asset AND seq <= :seq AND seq <= "
        "(SELECT seq FROM command WHERE ts_us <= :ts_us ORDER BY ts_us DESC LIMIT 1) ORDER BY seq DESC LIMIT 1",
        asset=asset,
        ts_us=ts_us,
    ).fetchone()
    return None if row is None else int(row[0])


def _read(views: PastViews, sql: str, **values: Any) -> list[Any]:
    with views.bounded(_STEPS_MAX):
        return views.query(sql, **values).fetchall()
