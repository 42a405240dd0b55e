"""The profit of accounts over time, read from the history without a replay."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from exchange.history.chart_data import History, Span
from exchange.history_db.past_views import PastViews
from exchange.projections.balances import PositionRecord

# Points of one line: a chart has about two columns of the screen for each.
POINTS_MAX = 450
# Moments at which the profits of all accounts are compared, to find those that moved most.
MOMENTS = 5


class Profit(NamedTuple):
    """A user's realised and unrealised profit at `ts_us`, the same as `total_pnl` of private/get_account."""

    ts_us: int
    user_id: str
    profit_micros: int


class _Moment(NamedTuple):
    seq: int
    ts_us: int


class _Changes:
    """What one user's trades and settlements changed between two moments: quantities, and the new costs and profit."""

    def __init__(self) -> None:
        self.quantities_milli: dict[str, int] = defaultdict(int)
        self.bases_micros: dict[str, int] = {}
        self.realised_micros: int | None = None


def most_moving(history: History, span: Span, count: int) -> tuple[list[str], list[str]]:
    """Return the `count` users whose profit moved most within the span, and the other users.

    The profits are compared at MOMENTS moments; the move is the difference between the highest and the lowest. Of more
    than `count` users, those whose profit did not move are among the others.
    """
    users = list(PastViews(history, span.last_seq).balances.users)
    if len(users) <= count:
        return users, []
    lowest: dict[str, int] = {}
    highest: dict[str, int] = {}
    for moment in _moments(history, span, MOMENTS - 1):
        views = PastViews(history, moment.seq)
        for user_id in users:
            profit_micros = views.profit_micros(user_id) if user_id in views.balances.users else 0
            lowest[user_id] = min(profit_micros, lowest.get(user_id, profit_micros))
            highest[user_id] = max(profit_micros, highest.get(user_id, profit_micros))
    moves = {user_id: highest[user_id] - lowest[user_id] for user_id in users}
    users.sort(key=lambda user_id: -moves[user_id])
    moved = max(1, min(count, sum(move > 0 for move in moves.values())))
    return users[:moved], users[moved:]


def profits(history: History, users: list[str], span: Span) -> list[Profit]:
    """Return the profit of each user at the first and the last command, and at POINTS_MAX moments evenly spread."""
    moments = _moments(history, span, POINTS_MAX)
    value_at = _valuation(history)
    opening = PastViews(history, span.first_seq)
    return [point for user_id in users for point in _profits_of(history, user_id, opening, moments, value_at)]


def _moments(history: History, span: Span, intervals: int) -> list[_Moment]:
    """The last command of each of the equal intervals of time, each only once, and before them the first command."""
    times = [span.first_us + (span.last_us - span.first_us) * n // intervals for n in range(intervals + 1)]
    query = "SELECT seq, ts_us FROM commands WHERE ts_us <= ? ORDER BY ts_us DESC LIMIT 1"
    found = [_Moment(*history.execute(query, (ts_us,)).fetchone()) for ts_us in times]
    return list(dict.fromkeys(found))


def _profits_of(
    history: History,
    user_id: str,
    opening: PastViews,
    moments: list[_Moment],
    value_at: Callable[[str, _Moment], int | None],
) -> list[Profit]:
    account = opening.balances.users.get(user_id)
    positions = {} if account is None else dict(account.positions)
    realised_micros = 0 if account is None else account.realised_micros
    changes = _changes_of(history, user_id, [moment.seq for moment in moments])
    points = []
    for moment in moments:
        if change := changes.get(moment.seq):
            realised_micros = realised_micros if change.realised_micros is None else change.realised_micros
            _apply(change, positions)
        unrealised_micros = sum(
            position.unrealised_micros(value_at(instrument_id, moment)) for instrument_id, position in positions.items()
        )
        points.append(Profit(moment.ts_us, user_id, realised_micros + unrealised_micros))
    return points


def _apply(change: _Changes, positions: dict[str, PositionRecord]) -> None:
    for instrument_id, quantity_milli in change.quantities_milli.items():
        positions.setdefault(instrument_id, PositionRecord()).quantity_milli += quantity_milli
    for instrument_id, basis_micros in change.bases_micros.items():
        positions.setdefault(instrument_id, PositionRecord()).basis_micros = basis_micros
    for instrument_id in (*change.quantities_milli, *change.bases_micros):
        if instrument_id in positions and not positions[instrument_id].quantity_milli:
            del positions[instrument_id]


def _changes_of(history: History, user_id: str, seqs: list[int]) -> dict[int, _Changes]:
    """The changes up to each of the seqs since the one before, by seq."""
    changes: dict[int, _Changes] = defaultdict(_Changes)
    bounds = (user_id, seqs[0], seqs[-1])
    for seq, instrument_id, basis_micros, realised_micros in history.execute(
        "SELECT seq, instrument_id, basis_micros, account_realised_micros FROM profits "
        "WHERE user_id = ? AND seq > ? AND seq <= ? ORDER BY seq",
        bounds,
    ):
        change = changes[seqs[bisect_left(seqs, seq)]]
        change.bases_micros[instrument_id] = basis_micros
        change.realised_micros = realised_micros
    for seq, instrument_id, quantity_milli in history.execute(
        "SELECT seq, instrument_id, iif(side = 'bid', size_milli, -size_milli) FROM fills "
        "WHERE user_id = ?1 AND seq > ?2 AND seq <= ?3 UNION ALL "
        "SELECT seq, instrument_id, -quantity_milli FROM settlements WHERE user_id = ?1 AND seq > ?2 AND seq <= ?3",
        bounds,
    ):
        changes[seqs[bisect_left(seqs, seq)]].quantities_milli[instrument_id] += quantity_milli
    return changes


def _valuation(history: History) -> Callable[[str, _Moment], int | None]:
    """A function that returns the value of a contract after a command, in micros, as `Views.valuation` does."""
    newest = (
        "SELECT mark_micros FROM marks WHERE instrument_id = :key AND seq <= :seq ORDER BY seq DESC, n DESC LIMIT 1",
        "SELECT (bid_micros + ask_micros) / 2 FROM quotes WHERE instrument_id = :key AND seq <= :seq "
        "ORDER BY seq DESC LIMIT 1",
        "SELECT price_micros FROM trades WHERE instrument_id = :key AND ts_us <= :ts_us "
        "ORDER BY ts_us DESC, trade_id DESC LIMIT 1",
    )

    @cache
    def value_at(instrument_id: str, moment: _Moment) -> int | None:
        for query in newest:
            row = history.execute(query, {"key": instrument_id, **moment._asdict()}).fetchone()
            if row is not None and row[0] is not None:
                return int(row[0])
        return None

    return value_at
