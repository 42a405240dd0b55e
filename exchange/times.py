"""Times as people give them: `now`, `2h ago`, `yesterday 08:00`, epochs and ISO 8601. UTC is the default zone."""

import re
import time
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import NamedTuple

from exchange.amounts import parse_time_us
from exchange.domain.units import US_PER_DAY, US_PER_SECOND

_AGO = re.compile(r"([0-9]{1,9})\s*([a-z]+)\s+ago")
_DAY = re.compile(r"(today|yesterday)(?:\s+(.+))?")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_UNITS = {
    name: _SECONDS[names[0]]
    for names in (
        ("s", "sec", "secs", "second", "seconds"),
        ("m", "min", "mins", "minute", "minutes"),
        ("h", "hour", "hours"),
        ("d", "day", "days"),
        ("w", "week", "weeks"),
    )
    for name in names
}
# The years 2000 to 2099 in seconds since 1970. In milliseconds and microseconds they are other numbers, so that the
# size of a number tells its unit.
_EPOCH_S = range(946_684_800, 4_102_444_800)
FORMS = "2026-02-20T00:00:00Z, now, '2h ago', 'yesterday 08:00', or seconds, milliseconds or microseconds since 1970"


class Moment(NamedTuple):
    """The moment after command `seq`, or after the last command at or before `ts_us`. Without both it is now."""

    seq: int | None = None
    ts_us: int | None = None


def parse_given_time_us(text: str, now_us: int | None = None) -> int:
    """Microseconds since 1970 of a time in one of the FORMS. `now_us` is the system clock if None. Raises ValueError.

    `now`, `ago`, `today` and `yesterday` count from `now_us`.
    """
    words = text.strip().lower()
    now_us = time.time_ns() // 1_000 if now_us is None else now_us
    if words == "now":
        return now_us
    if match := _AGO.fullmatch(words):
        if match[2] not in _UNITS:
            raise ValueError(f"{match[2]!r} is not a unit of time; expected s, m, h, d or w, such as '2h ago'")
        return now_us - int(match[1]) * _UNITS[match[2]] * US_PER_SECOND
    if match := _DAY.fullmatch(words):
        midnight_us = now_us - now_us % US_PER_DAY - (US_PER_DAY if match[1] == "yesterday" else 0)
        return midnight_us + (0 if match[2] is None else _time_of_day_us(match[2]))
    if is_epoch(words):
        return _epoch_us(int(words))
    return parse_time_us(text)


def is_epoch(text: str) -> bool:
    """True if `text` is a number that stands for a time in the years 2000 to 2099."""
    return text.isascii() and text.isdigit() and _unit_us(int(text)) is not None


def _epoch_us(number: int) -> int:
    unit_us = _unit_us(number)
    assert unit_us is not None, "not an epoch"
    return number * unit_us


def _unit_us(number: int) -> int | None:
    """Microseconds in one unit of an epoch: of seconds, milliseconds or microseconds. None if it is no epoch."""
    for unit_us in (US_PER_SECOND, 1_000, 1):
        if number * unit_us // US_PER_SECOND in _EPOCH_S:
            return unit_us
    return None


def _time_of_day_us(text: str) -> int:
    try:
        given = time_of_day.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time of day; expected HH:MM, such as 'yesterday 08:00'") from None
    start = datetime(2000, 1, 1, tzinfo=UTC)
    at = datetime.combine(start.date(), given, given.tzinfo or UTC)
    return (at - start) // timedelta(microseconds=1)
