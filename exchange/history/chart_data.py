"""The data of charts, read from the history: prices, latency and depth of a part of a journal.

Each function reads the rows of its instrument between two commands; nothing is replayed. A line begins with the value
that was valid after the first command, and ends at the time of the last one.
"""

import sqlite3
from typing import Any, NamedTuple

from exchange.domain.enums import Side
from exchange.domain.units import US_PER_SECOND
from exchange.history_db.file import HistoryError
from exchange.history_db.past_views import PastViews
from exchange.projections.depth import Depth
from exchange.projections.wire_types import BookLevel

# A connection to the history, which `open_history` opens.
History = sqlite3.Connection

# Points of one line. A screen has fewer columns.
POINTS_MAX = 2_000
# More trades than this would overlap in a picture.
TRADES_MAX = 20_000

# Points of a latency chart. A point has ANSWERS_WANTED answers, because with fewer the 99th percentile would be the
# maximum. A short journal has smaller points, so that there are still LATENCIES_WANTED of them.
LATENCIES_MAX = 300
LATENCIES_WANTED = 30
ANSWERS_WANTED = 100


class Span(NamedTuple):
    """The commands that a chart shows, and the times of the first and the last."""

    first_seq: int
    last_seq: int
    first_us: int
    last_us: int


class QuotePoint(NamedTuple):
    """Best bid and best ask from `ts_us` on; None if that side is empty."""

    ts_us: int
    bid_micros: int | None
    ask_micros: int | None


class IndexPoint(NamedTuple):
    """The index of the asset from `ts_us` on."""

    ts_us: int
    price_micros: int


class TradePoint(NamedTuple):
    """A trade; `taker_side` is bid if the taker bought."""

    ts_us: int
    trade_id: int
    price_micros: int
    size_milli: int
    taker_side: Side


class Prices(NamedTuple):
    """Quotes and trades of one instrument, and the index prices of its asset while it was listed and not expired.

    `trades` has one in `stride` of the `trades_count` trades.
    """

    quotes: list[QuotePoint]
    trades: list[TradePoint]
    trades_count: int
    stride: int
    index_prices: list[IndexPoint]


class Latency(NamedTuple):
    """The latency of a group of answers, the last at `ts_us`: from the seq of a command until its answer was sent."""

    ts_us: int
    median_us: int
    p99_us: int
    longest_us: int


class DepthStep(NamedTuple):
    """The total size at `price_micros` or better."""

    side: Side
    price_micros: int
    total_milli: int


class Depths(NamedTuple):
    """A book after command `seq`, the best price first on each side."""

    seq: int
    ts_us: int
    steps: list[DepthStep]


def span_of(history: History, first_seq: int, last_seq: int) -> Span:
    """The span of the commands `first_seq` to `last_seq`, as far as the history holds them. Raises HistoryError."""
    first = history.execute(
        "SELECT seq, ts_us FROM commands WHERE seq >= ? ORDER BY seq LIMIT 1", (first_seq,)
    ).fetchone()
    last = history.execute(
        "SELECT seq, ts_us FROM commands WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (last_seq,)
    ).fetchone()
    if first is None or last is None or first > last:
        raise HistoryError(f"the history does not hold seq {first_seq} yet: ask again in a moment")
    return Span(first[0], last[0], first[1], last[1])


def prices(history: History, instrument_id: str, span: Span) -> Prices:
    """Return up to TRADES_MAX trades, and about POINTS_MAX best quotes and index prices, evenly spread in time."""
    bounds = {"key": instrument_id, "first_seq": span.first_seq, "last_seq": span.last_seq}
    where = "FROM trades WHERE instrument_id = :key AND seq BETWEEN :first_seq AND :last_seq"
    ((count,),) = history.execute(f"SELECT count(*) {where}", bounds)
    stride = -(-count // TRADES_MAX) or 1
    trades = history.execute(
        "SELECT ts_us, trade_id, price_micros, size_milli, taker_side FROM ("
        f"SELECT *, row_number() OVER (ORDER BY trade_id) AS number {where}) WHERE (number - 1) % :stride = 0",
        {**bounds, "stride": stride},
    )
    quotes = _line(history, "bid_micros, ask_micros FROM quotes WHERE instrument_id = :key", instrument_id, span)
    return Prices(
        [QuotePoint(*row) for row in quotes],
        [TradePoint(*row) for row in trades],
        count,
        stride,
        _index_prices(history, instrument_id, span),
    )


def latencies(history: History, span: Span) -> list[Latency]:
    """Return up to LATENCIES_MAX latencies, each of the same number of batches; empty if no answer was recorded."""
    rows = history.execute(
        "SELECT ts_us, max(latency_us, 0) FROM answer_latency WHERE seq BETWEEN ? AND ? ORDER BY seq",
        (span.first_seq, span.last_seq),
    )
    return grouped_latencies(rows.fetchall())


def grouped_latencies(times: list[tuple[int, int]]) -> list[Latency]:
    """The latencies of groups of answers, from the times of commands and the latencies of their answers."""
    size = max(-(-len(times) // LATENCIES_MAX), min(ANSWERS_WANTED, len(times) // LATENCIES_WANTED), 1)
    return [_latency(times[start : start + size]) for start in range(0, len(times), size)]


def depths(history: History, instrument_id: str, seq: int) -> Depths:
    """Return the depth of a book after command `seq`, summed up from the best price; empty before the listing.

    Raises HistoryError if the history does not hold `seq`.
    """
    views = PastViews(history, seq)
    depth = views.depths.get(instrument_id) or Depth()
    return Depths(views.seq, views.ts_us, _summed("bid", depth.bids()) + _summed("ask", depth.asks()))


def _index_prices(history: History, instrument_id: str, span: Span) -> list[IndexPoint]:
    """The index while the instrument was listed and not expired."""
    asset, listed_seq, listed_us, expiration_s = history.execute(
        "SELECT asset, created_seq, created_us, expiration_s FROM instruments WHERE instrument_id = ?", (instrument_id,)
    ).fetchone()
    expiration_us = expiration_s * US_PER_SECOND
    (live_seq,) = history.execute("SELECT max(seq) FROM commands WHERE ts_us < ?", (expiration_us,)).fetchone()
    first_seq, first_us = max((span.first_seq, span.first_us), (listed_seq, listed_us))
    alive = Span(first_seq, min(span.last_seq, live_seq or 0), first_us, min(span.last_us, expiration_us - 1))
    if alive.first_seq > alive.last_seq:
        return []
    return [
        IndexPoint(*row) for row in _line(history, "price_micros FROM index_prices WHERE asset = :key", asset, alive)
    ]


def _line(history: History, source: str, key: str, span: Span) -> list[tuple[Any, ...]]:
    """The points of a line: the values at the beginning, those after each change, and again the last ones at the end.

    `source` selects columns of a view by `:key`. Of more than POINTS_MAX rows, only the last one of each of POINTS_MAX
    equal intervals of time is taken.
    """
    values: dict[str, Any] = {"key": key, **span._asdict(), "points": POINTS_MAX}
    where = source[source.index("FROM") :] + " AND seq > :first_seq AND seq <= :last_seq"
    ((count,),) = history.execute(f"SELECT count(*) {where}", values)
    interval = "seq" if count <= POINTS_MAX else "(ts_us - :first_us) * :points / (:last_us - :first_us + 1)"
    columns = source[: source.index(" FROM")]
    opening = history.execute(f"SELECT :first_us, {source} AND seq <= :first_seq ORDER BY seq DESC LIMIT 1", values)
    # SQLite takes the other columns from the row with the largest seq.
    later = history.execute(
        f"SELECT ts_us, {columns}, max(seq) AS seq {where} GROUP BY {interval} ORDER BY seq", values
    )
    points: list[tuple[Any, ...]] = []
    for row in [*opening, *(row[:-1] for row in later)]:
        if not points or points[-1][1:] != row[1:]:
            points.append(row)
    if points and points[-1][0] < span.last_us:
        points.append((span.last_us, *points[-1][1:]))
    return points


def _latency(times: list[tuple[int, int]]) -> Latency:
    taken = sorted(taken_us for _, taken_us in times)
    return Latency(times[-1][0], taken[len(taken) // 2], taken[len(taken) * 99 // 100], taken[-1])


def _summed(side: Side, levels: list[BookLevel]) -> list[DepthStep]:
    total_milli = 0
    steps = []
    for level in levels:
        total_milli += level.size_milli
        steps.append(DepthStep(side, level.price_micros, total_milli))
    return steps
