"""The profit of accounts over time, read from the history without a replay."""

import json
from bisect import bisect_left
from collections import defaultdict
from typing import NamedTuple

from exchange.history.chart_data import History, Span
from exchange.history_db.past_views import PastViews
from exchange.history_db.position_changes import profit_changes, quantity_changes
from exchange.projections.balances import PositionRecord

# Points of one line: a chart has three columns of the screen for each.
POINTS_MAX = 300
# Moments at which the profits of all accounts are compared, to find those that moved most.
MOMENTS = 5


# Moments whose values one query reads.
_VALUES_AT_ONCE = 64
# The mark price, else the middle of the best bid and ask, else the price of the last trade.
_VALUES = """
    SELECT coalesce(
        (SELECT mark_micros FROM marks WHERE instrument_id = :key AND seq <= moment.value ->> 0
         ORDER BY seq DESC, n DESC LIMIT 1),
        (SELECT (bid_micros + ask_micros) / 2 FROM quotes WHERE instrument_id = :key AND seq <= moment.value ->> 0
         ORDER BY seq DESC LIMIT 1),
        (SELECT price_micros FROM trades WHERE instrument_id = :key AND ts_us <= moment.value ->> 1
         ORDER BY ts_us DESC, trade_id DESC LIMIT 1))
    FROM json_each(:moments) moment ORDER BY moment.key"""


class Profit(NamedTuple):
    """A user's realised and unrealised profit at `ts_us`, the same as `total_pnl` of private/get_account."""

    ts_us: int
    user_id: str
    profit_micros: int


class _Moment(NamedTuple):
    seq: int
    ts_us: int


class _Changes:
    """What one user's trades and settlements left at a moment: quantities, costs, and the realised profit."""

    def __init__(self) -> None:
        self.quantities_milli: dict[str, int] = {}
        self.bases_micros: dict[str, int] = {}
        # The seq of the newest of these changes, and the profit there.
        self.realised: tuple[int, int] | None = None


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
    values = _Values(history, moments)
    opening = PastViews(history, span.first_seq)
    return [point for user_id in users for point in _profits_of(history, user_id, opening, moments, values)]


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
    values: "_Values",
) -> list[Profit]:
    account = opening.balances.users.get(user_id)
    positions = {} if account is None else dict(account.positions)
    realised_micros = 0 if account is None else account.realised_micros
    changes = _changes_of(history, user_id, [moment.seq for moment in moments])
    points = []
    for index, moment in enumerate(moments):
        if change := changes.get(moment.seq):
            realised_micros = realised_micros if change.realised is None else change.realised[1]
            _apply(change, positions)
        unrealised_micros = sum(
            position.unrealised_micros(values.at(instrument_id, index)) for instrument_id, position in positions.items()
        )
        points.append(Profit(moment.ts_us, user_id, realised_micros + unrealised_micros))
    return points


def _apply(change: _Changes, positions: dict[str, PositionRecord]) -> None:
    for instrument_id, quantity_milli in change.quantities_milli.items():
        positions.setdefault(instrument_id, PositionRecord()).quantity_milli = quantity_milli
    for instrument_id, basis_micros in change.bases_micros.items():
        positions.setdefault(instrument_id, PositionRecord()).basis_micros = basis_micros
    for instrument_id in (*change.quantities_milli, *change.bases_micros):
        if instrument_id in positions and not positions[instrument_id].quantity_milli:
            del positions[instrument_id]


def _changes_of(history: History, user_id: str, seqs: list[int]) -> dict[int, _Changes]:
    """The newest changes up to each of the seqs since the one before, by seq."""
    changes: dict[int, _Changes] = defaultdict(_Changes)
    for instrument_id, seq, basis_micros, realised_micros in profit_changes(history, user_id, seqs[0], seqs[-1]):
        change = changes[seqs[bisect_left(seqs, seq)]]
        change.bases_micros[instrument_id] = basis_micros
        if change.realised is None or seq >= change.realised[0]:
            change.realised = seq, realised_micros
    for instrument_id, seq, quantity_milli in quantity_changes(history, user_id, seqs[0], seqs[-1]):
        changes[seqs[bisect_left(seqs, seq)]].quantities_milli[instrument_id] = quantity_milli
    return changes


class _Values:
    """The values of contracts at the moments of a chart, as `Views.valuation` gives them, read block by block."""

    def __init__(self, history: History, moments: list[_Moment]) -> None:
        self._history = history
        self._moments = moments
        self._blocks: dict[tuple[str, int], list[int | None]] = {}

    def at(self, instrument_id: str, index: int) -> int | None:
        """The value of a contract at a moment, in micros; None if there was no price."""
        key = instrument_id, index // _VALUES_AT_ONCE
        block = self._blocks.get(key)
        if block is None:
            block = self._blocks[key] = self._read(*key)
        return block[index % _VALUES_AT_ONCE]

    def _read(self, instrument_id: str, number: int) -> list[int | None]:
        moments = self._moments[number * _VALUES_AT_ONCE : (number + 1) * _VALUES_AT_ONCE]
        rows = self._history.execute(_VALUES, {"key": instrument_id, "moments": json.dumps(moments)})
        return [value_micros for (value_micros,) in rows]
