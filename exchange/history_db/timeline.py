"""The timeline of the history: buckets of equal numbers of commands, with trades, volumes and index prices.

Trades and volumes are differences of the sums in `trade_total`, so that the cost depends on the number of buckets and
assets alone: O(buckets * assets * log(commands)).
"""

import json
from typing import NamedTuple

from exchange.history_db.past_views import PastViews
from exchange.history_db.timeline_marks import marks_between
from exchange.projections.timeline import SeqRange
from exchange.projections.wire_types import Timeline, TimelineBucket

# The sums up to the end of the last whole block, and the trades after it, at each of the seqs.
_SUMS = """
    SELECT coalesce(sum(total.trades), 0) + (SELECT count(*) {trades}),
           coalesce(sum(total.size_milli), 0) + (SELECT coalesce(sum(t.size_milli), 0) {trades})
    FROM json_each(:seqs) bound LEFT JOIN json_each(:assets) asset
    LEFT JOIN trade_total total ON total.asset = asset.value AND total.block = (
        SELECT b.block FROM trade_total b WHERE b.asset = asset.value AND b.block < bound.value / 100
        ORDER BY b.block DESC LIMIT 1)
    GROUP BY bound.key ORDER BY bound.key"""
_TRADES = "FROM trade t WHERE t.seq BETWEEN bound.value / 100 * 100 AND bound.value"
_TRADES_ON = (
    # The trades of the block first: those of an asset can be millions.
    "FROM trade t CROSS JOIN instrument i ON i.instrument = t.instrument AND i.asset = :asset "
    "WHERE t.seq BETWEEN bound.value / 100 * 100 AND bound.value"
)
_PRICES = """
    SELECT bound.key, asset.value, (SELECT p.price_micros FROM index_price p WHERE p.asset = asset.value
        AND p.seq <= bound.value ORDER BY p.seq DESC LIMIT 1) AS price_micros
    FROM json_each(:seqs) bound CROSS JOIN json_each(:assets) asset WHERE price_micros IS NOT NULL"""
_ASSETS_WITH_TRADES = """WITH RECURSIVE known (asset) AS (
    SELECT min(asset) FROM trade_total
    UNION ALL SELECT (SELECT min(t.asset) FROM trade_total t WHERE t.asset > known.asset) FROM known
    WHERE known.asset IS NOT NULL)
    SELECT asset FROM known WHERE asset IS NOT NULL"""


class Command(NamedTuple):
    """A command and its time."""

    seq: int
    ts_us: int


def first_command(views: PastViews) -> Command:
    """The first command of the history: that of the journal, or of what is left of it."""
    return Command(*views.query("SELECT seq, ts_us FROM command ORDER BY seq LIMIT 1").fetchone())


def seqs_between(views: PastViews, wanted: SeqRange) -> tuple[int, int]:
    """The first and the last command in a range, as far as the history holds them; the first is above the last if there
    is none."""
    first_seq, last_seq = first_command(views).seq, views.seq
    if wanted.from_seq is not None:
        first_seq = max(first_seq, wanted.from_seq)
    if wanted.to_seq is not None:
        last_seq = min(last_seq, wanted.to_seq)
    if wanted.start_us is not None:
        query = "SELECT seq FROM command WHERE ts_us >= :us ORDER BY ts_us LIMIT 1"
        found = views.query(query, us=wanted.start_us).fetchone()
        first_seq = max(first_seq, views.seq + 1 if found is None else found[0])
    if wanted.end_us is not None:
        query = "SELECT seq FROM command WHERE ts_us <= :us ORDER BY ts_us DESC LIMIT 1"
        found = views.query(query, us=wanted.end_us).fetchone()
        last_seq = min(last_seq, 0 if found is None else found[0])
    return first_seq, last_seq


def timeline(views: PastViews, wanted: SeqRange, buckets: int, asset: str | None) -> Timeline | None:
    """Return the timeline of a range, on all assets or on one; None if no command lies in it."""
    first_seq, last_seq = seqs_between(views, wanted)
    if first_seq > last_seq:
        return None
    first = first_command(views)
    marks, left_out = marks_between(views, first_seq, last_seq, asset)
    return Timeline(
        first.seq,
        views.seq,
        first.ts_us,
        views.ts_us,
        _buckets(views, first_seq, last_seq, buckets, asset),
        marks,
        left_out,
        views.seq,
    )


def _buckets(views: PastViews, first_seq: int, last_seq: int, count: int, asset: str | None) -> list[TimelineBucket]:
    commands = last_seq - first_seq + 1
    count = min(count, commands)
    ends = [first_seq - 1 + commands * number // count for number in range(count + 1)]
    sums = _sums(views, ends, asset)
    prices = _prices(views, ends[1:], list(views.indexes) if asset is None else [asset])
    times = _times(views, [seq for end in ends for seq in (end, end + 1)])
    return [
        TimelineBucket(
            ends[at] + 1,
            ends[at + 1],
            times[ends[at] + 1],
            times[ends[at + 1]],
            ends[at + 1] - ends[at],
            sums[at + 1][0] - sums[at][0],
            sums[at + 1][1] - sums[at][1],
            prices[at],
        )
        for at in range(count)
    ]


def _sums(views: PastViews, seqs: list[int], asset: str | None) -> list[tuple[int, int]]:
    """The trades and their size from the beginning of the history up to each of the seqs."""
    assets = [name for (name,) in views.query(_ASSETS_WITH_TRADES)] if asset is None else [asset]
    sql = _SUMS.format(trades=_TRADES if asset is None else _TRADES_ON)
    return views.query(sql, seqs=json.dumps(seqs), assets=json.dumps(assets), asset=asset).fetchall()


def _prices(views: PastViews, seqs: list[int], assets: list[str]) -> list[dict[str, int]]:
    """The index prices after each of the seqs, by asset."""
    prices: list[dict[str, int]] = [{} for _ in seqs]
    for at, asset, price_micros in views.query(_PRICES, seqs=json.dumps(seqs), assets=json.dumps(assets)):
        prices[at][asset] = price_micros
    return prices


def _times(views: PastViews, seqs: list[int]) -> dict[int, int]:
    sql = "SELECT c.seq, c.ts_us FROM json_each(:seqs) bound CROSS JOIN command c ON c.seq = bound.value"
    return dict(views.query(sql, seqs=json.dumps(seqs)).fetchall())
