"""Steps from a moment of the history to others: by commands, by trades, or by seconds that have commands."""

from exchange.domain.units import US_PER_SECOND
from exchange.history_db.past_views import PastViews
from exchange.history_db.timeline import Command, first_command
from exchange.projections.wire_types import MomentResult, StepUnit

# Each step by a second finds the next command after it, and the last one of that second. One second further at least.
_SECONDS_FORWARD = """WITH RECURSIVE step (number, ts_us) AS (
    SELECT 0, :ts_us
    UNION ALL SELECT number + 1, (SELECT c.ts_us FROM command c WHERE c.ts_us >= (step.ts_us / 1000000 + 1) * 1000000
        AND c.ts_us <= :last_us ORDER BY c.ts_us LIMIT 1)
    FROM step WHERE number < :count AND step.ts_us IS NOT NULL)
SELECT count(*), max(ts_us) FROM step WHERE number AND ts_us IS NOT NULL"""
_SECONDS_BACK = """WITH RECURSIVE step (number, ts_us) AS (
    SELECT 0, :ts_us
    UNION ALL SELECT number + 1, (SELECT c.ts_us FROM command c WHERE c.ts_us < step.ts_us / 1000000 * 1000000
        ORDER BY c.ts_us DESC LIMIT 1)
    FROM step WHERE number < :count AND step.ts_us IS NOT NULL)
SELECT count(*), min(ts_us) FROM step WHERE number AND ts_us IS NOT NULL"""


def moment_after(views: PastViews, seq: int, by: StepUnit, count: int) -> MomentResult:
    """Return the moment `count` units after command `seq`, or before it if `count` is negative; clipped at the ends.

    O(count * log(commands)). The history must hold `seq`.
    """
    first, last = first_command(views), Command(views.seq, views.ts_us)
    match by:
        case "command":
            reached = min(max(seq + count, first.seq), last.seq)
            steps = abs(reached - seq)
        case "trade":
            steps, reached = _by_trades(views, seq, count)
        case "second":
            steps, reached = _by_seconds(views, seq, count)
    if steps < abs(count):
        # There is no other trade or second: the end is as near as one can come.
        reached = last.seq if count > 0 else first.seq
    return MomentResult(reached, time_of(views, reached), steps < abs(count), *first, *last)


def time_of(views: PastViews, seq: int) -> int:
    """The time of a command."""
    ((ts_us,),) = views.query("SELECT ts_us FROM command WHERE seq = :of", of=seq)
    return int(ts_us)


def last_at(views: PastViews, ts_us: int) -> int | None:
    """The last command at or before a time; None if the history begins later."""
    sql = "SELECT seq FROM command WHERE ts_us <= :us AND seq <= :seq ORDER BY ts_us DESC LIMIT 1"
    found = views.query(sql, us=min(ts_us, views.ts_us)).fetchone()
    return None if found is None else int(found[0])


def _by_trades(views: PastViews, seq: int, count: int) -> tuple[int, int]:
    """How many commands that traded there are, up to `count`, and the last of them."""
    where, order, last = ("t.seq > :of", "", "max") if count > 0 else ("t.seq < :of", "DESC", "min")
    found, reached = views.query(
        f"SELECT count(*), {last}(seq) FROM (SELECT DISTINCT t.seq FROM trade t WHERE {where} AND t.seq <= :seq "
        f"ORDER BY t.seq {order} LIMIT :count)",
        of=seq,
        count=abs(count),
    ).fetchone()
    return found, reached or seq


def _by_seconds(views: PastViews, seq: int, count: int) -> tuple[int, int]:
    """How many seconds with commands there are, up to `count`, and the last command of the last of them."""
    sql = _SECONDS_FORWARD if count > 0 else _SECONDS_BACK
    values = {"ts_us": time_of(views, seq), "last_us": views.ts_us, "count": abs(count)}
    found, reached_us = views.query(sql, **values).fetchone()
    if reached_us is None:
        return 0, seq
    end_of_second_us = (reached_us // US_PER_SECOND + 1) * US_PER_SECOND - 1
    reached = last_at(views, end_of_second_us)
    assert reached is not None, "a second without commands"
    return found, reached
