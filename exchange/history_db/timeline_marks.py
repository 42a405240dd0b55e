"""The marks of a timeline: runs of the server, halts, pauses, rules, expiries, liquidations, losses, and the alarm.

Nobody is named: everybody may read them.
"""

import json
from typing import Any, NamedTuple

from exchange.amounts import expiration, usdc
from exchange.history_db.past_views import PastViews
from exchange.projections.timeline import MARKS_MAX
from exchange.projections.wire_types import MarkKind, TimelineMark

_IN_RANGE = "seq BETWEEN :first_seq AND :last_seq"


class _Source(NamedTuple):
    """Rows of one kind of event: `seq`, and what `_words` needs. `rows` has an index by `seq`."""

    name: str
    rows: str


# The most important first: if there are more marks than fit, the last sources lose theirs.
_SOURCES = (
    _Source(
        "loss",
        # The last command of a loss has the ids that follow it. One loss is many commands.
        "SELECT seq, NULL AS detail FROM command INDEXED BY command_of_loss WHERE kind = 'lost' "
        "AND payload ->> '$.next_order_id' IS NOT NULL "
        f"AND {_IN_RANGE}",
    ),
    _Source(
        "halt",
        f"SELECT seq, value ->> '$.halted' AS detail FROM setting_version WHERE subject = 'halt' AND {_IN_RANGE}",
    ),
    _Source(
        "rules",
        "SELECT seq, NULL AS detail FROM command INDEXED BY command_of_rules "
        f"WHERE kind = 'change_rules' AND outcome = 'done' AND {_IN_RANGE}",
    ),
    _Source(
        "run",
        "SELECT seq, json_array(kind, payload ->> '$.program_version', (SELECT before.kind FROM command before "
        "INDEXED BY command_of_run WHERE before.kind IN ('start_session', 'end_session') AND before.seq < command.seq "
        "ORDER BY before.seq DESC LIMIT 1)) AS detail FROM command INDEXED BY command_of_run "
        f"WHERE kind IN ('start_session', 'end_session') AND {_IN_RANGE}",
    ),
    _Source(
        "pause",
        "SELECT c.seq, json_array(c.kind, coalesce(i.asset, c.payload ->> '$.asset'), i.instrument_id, "
        "c.payload ->> '$.expiration_s') AS detail FROM command c INDEXED BY command_of_pause "
        "LEFT JOIN instrument i USING (instrument) "
        "WHERE c.kind IN ('pause_instrument', 'resume_instrument', 'pause_series', 'resume_series') "
        "AND c.outcome = 'done' AND c.seq BETWEEN :first_seq AND :last_seq "
        "AND (:asset IS NULL OR coalesce(i.asset, c.payload ->> '$.asset', :asset) = :asset)",
    ),
    _Source(
        "expiry",
        "SELECT seq, json_array(asset, expiration_s, delivery_price_micros) AS detail FROM series_settlement "
        f"WHERE {_IN_RANGE} AND (:asset IS NULL OR asset = :asset)",
    ),
    _Source("liquidation", f"SELECT seq, count(*) AS detail FROM liquidation WHERE {_IN_RANGE} GROUP BY seq"),
)


def marks_between(views: PastViews, first_seq: int, last_seq: int, asset: str | None) -> tuple[list[TimelineMark], int]:
    """Return the marks of these commands, oldest first, and how many more there are than fit.

    Of the kind that does not fit whole, the newest marks are kept.
    """
    marks, left_out = list[TimelineMark](), 0
    if last_seq == views.seq and (alarm := views.alarm()) is not None:
        marks.append(TimelineMark(views.seq, views.ts_us, "alarm", alarm))
    bounds = {"first_seq": first_seq, "last_seq": last_seq, "asset": asset}
    for source in _SOURCES:
        (count,) = views.query(f"SELECT count(*) FROM ({source.rows})", **bounds).fetchone()
        room = MARKS_MAX - len(marks)
        rows = views.query(
            f"SELECT m.seq, c.ts_us, m.detail FROM ({source.rows} ORDER BY seq DESC LIMIT :room) m "
            "CROSS JOIN command c ON c.seq = m.seq",
            room=room,
            **bounds,
        )
        for seq, ts_us, detail in rows:
            marks.append(TimelineMark(seq, ts_us, *_words(source.name, detail)))
        left_out += max(0, count - room)
    marks.sort(key=lambda mark: mark.seq)
    return marks, left_out


def _words(source: str, detail: Any) -> tuple[MarkKind, str]:
    match source:
        case "loss":
            return "loss", "commands were lost here, and the operator accepted the loss"
        case "halt":
            return ("halt", "the exchange was halted") if detail else ("resume", "the halt ended")
        case "rules":
            return "rules", "new rules came into force"
        case "run":
            return _run(*json.loads(detail))
        case "pause":
            return _pause(*json.loads(detail))
        case "expiry":
            return _expiry(*json.loads(detail))
        case _:
            return "liquidation", "1 account was liquidated" if detail == 1 else f"{detail} accounts were liquidated"


def _run(kind: str, version: str | None, before: str | None) -> tuple[MarkKind, str]:
    if kind == "end_session":
        return "stop", "the server stopped"
    if before == "start_session":
        return "crash", f"the server started after a crash, version {version}"
    return "start", f"the server started, version {version}"


def _pause(kind: str, asset: str | None, instrument_id: str | None, expiration_s: int | None) -> tuple[MarkKind, str]:
    what = instrument_id or f"options on {asset or 'any asset'}"
    if instrument_id is None and expiration_s is not None:
        what += f" of {expiration(expiration_s)}"
    be = "was" if instrument_id is not None else "were"
    return ("pause", f"{what} {be} paused") if kind.startswith("pause") else ("resume", f"{what} {be} resumed")


def _expiry(asset: str, expiration_s: int, price_micros: int | None) -> tuple[MarkKind, str]:
    series = f"options on {asset} of {expiration(expiration_s)}"
    if price_micros is None:
        return "delayed", f"{series} expired without a delivery price"
    return "expiry", f"{series} were settled at {usdc(price_micros)}"
