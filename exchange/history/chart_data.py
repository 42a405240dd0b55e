"""The data of charts: prices, profit, latency and depth of a part of a journal."""

from pathlib import Path
from typing import NamedTuple, TypeVar

from exchange.engine.recovery import Progress
from exchange.history.moment import Moment, engine_at
from exchange.history.replay import replay_range
from exchange.journal.opening import open_journal_reader
from exchange.matching.state import State
from exchange.projections.depth import Depth
from exchange.projections.wire_types import BookLevel, Trade

# Points of one line. A screen has fewer columns.
POINTS_MAX = 2_000

# Points of a latency chart. A point has ANSWERS_WANTED answers, because with fewer the 99th percentile would be the
# maximum. A short journal has smaller points, so that there are still LATENCIES_WANTED of them.
LATENCIES_MAX = 300
LATENCIES_WANTED = 30
ANSWERS_WANTED = 100


class QuotePoint(NamedTuple):
    """Best bid and best ask from `ts_us` on; None if that side is empty."""

    ts_us: int
    bid_micros: int | None
    ask_micros: int | None


class IndexPoint(NamedTuple):
    """The index of the asset from `ts_us` on."""

    ts_us: int
    price_micros: int


class Prices(NamedTuple):
    """Quotes and trades of one instrument, and the index prices of its asset while it was listed and not expired."""

    quotes: list[QuotePoint]
    trades: list[Trade]
    index_prices: list[IndexPoint]


_Point = TypeVar("_Point", QuotePoint, IndexPoint)


class Profit(NamedTuple):
    """A user's realised and unrealised profit at `ts_us`, the same as `total_pnl` of private/get_account."""

    ts_us: int
    user_id: str
    profit_micros: int


class Latency(NamedTuple):
    """The latency of a group of answers, the last at `ts_us`: from the seq of a command until its answer was sent."""

    ts_us: int
    median_us: int
    p99_us: int
    longest_us: int


class DepthStep(NamedTuple):
    """The total size at `price_micros` or better."""

    side: str
    price_micros: int
    total_milli: int


class Depths(NamedTuple):
    """A book after command `seq`, the best price first on each side."""

    seq: int
    ts_us: int
    steps: list[DepthStep]


def prices(path: Path, instrument_id: str, first_seq: int, last_seq: int, progress: Progress) -> Prices:
    """Return every trade, and up to POINTS_MAX best quotes and index prices, evenly spread. Raises JournalError."""
    quotes: list[QuotePoint] = []
    trades: list[Trade] = []
    index: list[IndexPoint] = []
    for step in replay_range(path, first_seq, last_seq, progress):
        price_micros = _index_micros(step.engine.state, instrument_id)
        if price_micros is not None and (not index or index[-1].price_micros != price_micros):
            index.append(IndexPoint(step.record.ts_us, price_micros))
        if instrument_id not in step.change.books:
            continue
        trades += [trade for trade in step.change.trades if trade.instrument_id == instrument_id]
        bid, ask = step.engine.views.depths[instrument_id].best()
        if not quotes or quotes[-1][1:] != (bid, ask):
            quotes.append(QuotePoint(step.record.ts_us, bid, ask))
    return Prices(_thinned(quotes), trades, _thinned(index))


def profits(path: Path, users: list[str], first_seq: int, last_seq: int, progress: Progress) -> list[Profit]:
    """Return the profit of `users`, or of all if empty, at up to POINTS_MAX commands, evenly spread.

    Raises JournalError.
    """
    stride = max(1, (last_seq - first_seq) // POINTS_MAX)
    points: list[Profit] = []
    for step in replay_range(path, first_seq, last_seq, progress):
        if (step.record.seq - first_seq) % stride and step.record.seq != last_seq:
            continue
        views = step.engine.views
        points += [
            Profit(step.record.ts_us, user_id, views.profit_micros(user_id))
            for user_id in users or views.balances.users
            if user_id in views.balances.users
        ]
    return points


def latencies(path: Path, first_seq: int, last_seq: int) -> list[Latency]:
    """Return up to LATENCIES_MAX latencies, each of the same number of batches; empty if no answer was recorded.

    Raises JournalError.
    """
    with open_journal_reader(path) as reader:
        times = [
            (ts_us, max(0, answered_us - ts_us)) for _, ts_us, answered_us in reader.answer_times(first_seq, last_seq)
        ]
    size = max(-(-len(times) // LATENCIES_MAX), min(ANSWERS_WANTED, len(times) // LATENCIES_WANTED), 1)
    return [_latency(times[start : start + size]) for start in range(0, len(times), size)]


def depths(path: Path, instrument_id: str, moment: Moment, progress: Progress) -> Depths:
    """Return the depth of a book at a moment, summed up from the best price; empty before the listing.

    Raises JournalError.
    """
    views = engine_at(path, moment, progress).views
    depth = views.depths.get(instrument_id) or Depth()
    return Depths(views.seq, views.ts_us, _summed("bid", depth.bids()) + _summed("ask", depth.asks()))


def _latency(times: list[tuple[int, int]]) -> Latency:
    taken = sorted(taken_us for _, taken_us in times)
    return Latency(times[-1][0], taken[len(taken) // 2], taken[len(taken) * 99 // 100], taken[-1])


def _summed(side: str, levels: list[BookLevel]) -> list[DepthStep]:
    total_milli = 0
    steps = []
    for level in levels:
        total_milli += level.size_milli
        steps.append(DepthStep(side, level.price_micros, total_milli))
    return steps


def _index_micros(state: State, instrument_id: str) -> int | None:
    book = state.books.get(instrument_id)
    if book is None or book.state == "expired":
        return None
    index = state.indexes.get(book.asset)
    return index.price_micros if index is not None else None


def _thinned(points: list[_Point]) -> list[_Point]:
    """Keep the last point of each of POINTS_MAX equal intervals of time."""
    if len(points) <= POINTS_MAX:
        return points
    first_us, span_us = points[0].ts_us, points[-1].ts_us - points[0].ts_us
    last_of_interval = {(point.ts_us - first_us) * POINTS_MAX // span_us: point for point in points}
    return list(last_of_interval.values())
