"""Expirations: the dates on which the options of a series rule expire, all at 08:00 UTC."""

import calendar
from datetime import UTC, datetime

from exchange.domain.instruments import LAST_EXPIRATION_S, LAST_YEAR
from exchange.domain.rules import FAIR_MARKET_VERSION, Rules, Series, market_of
from exchange.domain.units import US_PER_SECOND, next_day_end_us

_DAY_S = 86_400
_FRIDAY = 4


def expirations_s(series: Series, ts_us: int) -> list[int]:
    """Return the expirations after `ts_us` that the rule lists, in Unix seconds, ascending and without repetition."""
    first_s = next_day_end_us(ts_us) // US_PER_SECOND
    first = datetime.fromtimestamp(first_s, UTC)
    dailies = [first_s + day * _DAY_S for day in range(series.dailies)]
    friday_s = first_s + (_FRIDAY - first.weekday()) % 7 * _DAY_S
    weeklies = [friday_s + week * 7 * _DAY_S for week in range(series.weeklies)]
    months = [_last_friday_s(first.year, first.month + month) for month in range(series.monthlies + 1)]
    monthlies = [expiration_s for expiration_s in months if expiration_s >= first_s][: series.monthlies]
    return sorted(dict.fromkeys(dailies + weeklies + monthlies))


def expirations_error(rules: Rules, rules_version: int, ts_us: int) -> str | None:
    """Return which series rule would list an expiration that is too late, as a sentence; None if none would.

    Before version 2, rules may list them.
    """
    market = market_of(rules)
    if market is None or rules_version < FAIR_MARKET_VERSION:
        return None
    for series in market.series:
        if expirations_s(series, ts_us)[-1] > LAST_EXPIRATION_S:
            return (
                f"the series rule of {series.asset} would list options that expire after {LAST_YEAR}, and their ids "
                "could not tell the year: lower its dailies, weeklies or monthlies"
            )
    return None


def _last_friday_s(year: int, month: int) -> int:
    """Return 08:00 UTC of the month's last Friday; month 13 is the next January, and so on."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    days = calendar.monthrange(year, month)[1]
    last_s = calendar.timegm((year, month, days, 8, 0, 0))
    return last_s - (datetime.fromtimestamp(last_s, UTC).weekday() - _FRIDAY) % 7 * _DAY_S
