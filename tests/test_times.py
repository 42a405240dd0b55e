"""The forms in which people give times."""

import pytest

from exchange.amounts import iso_time
from exchange.cli.options import MOMENT
from exchange.history.moment import Moment
from exchange.times import parse_given_time_us

# 2026-02-20T10:30:00Z
NOW_US = 1_771_583_400_000_000


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("now", "2026-02-20T10:30:00.000000Z"),
        ("NOW", "2026-02-20T10:30:00.000000Z"),
        ("2h ago", "2026-02-20T08:30:00.000000Z"),
        ("90 minutes ago", "2026-02-20T09:00:00.000000Z"),
        ("30s ago", "2026-02-20T10:29:30.000000Z"),
        ("1w ago", "2026-02-13T10:30:00.000000Z"),
        ("today", "2026-02-20T00:00:00.000000Z"),
        ("yesterday", "2026-02-19T00:00:00.000000Z"),
        ("yesterday 08:00", "2026-02-19T08:00:00.000000Z"),
        ("yesterday 08:00:01.5", "2026-02-19T08:00:01.500000Z"),
        ("yesterday 08:00+02:00", "2026-02-19T06:00:00.000000Z"),
        ("1771545600", "2026-02-20T00:00:00.000000Z"),
        ("1771545600001", "2026-02-20T00:00:00.001000Z"),
        ("1771545600000001", "2026-02-20T00:00:00.000001Z"),
        ("2026-02-20", "2026-02-20T00:00:00.000000Z"),
        ("2026-02-20 08:00", "2026-02-20T08:00:00.000000Z"),
        ("2026-02-20T08:00:00+05:30", "2026-02-20T02:30:00.000000Z"),
        ("2026-02-20T08:00:00-08:00", "2026-02-20T16:00:00.000000Z"),
    ],
)
def test_a_time_may_have_any_of_these_forms(text: str, time: str) -> None:
    assert iso_time(parse_given_time_us(text, NOW_US)) == time


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2x ago", "'x' is not a unit of time; expected s, m, h, d or w"),
        ("yesterday noon", "'noon' is not a time of day; expected HH:MM"),
        ("946684799", "is not a time"),
        ("4102444800", "is not a time"),
        ("17715456000000000", "is not a time"),
        ("soon", "is not a time"),
        ("1999-12-31", "the year must be 2000 to 2099"),
    ],
)
def test_other_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_given_time_us(text, NOW_US)


def test_a_small_number_is_a_seq_and_a_large_one_is_a_time() -> None:
    assert MOMENT.convert("946684799", None, None) == Moment(seq=946_684_799)
    assert MOMENT.convert("1771545600", None, None) == Moment(ts_us=1_771_545_600_000_000)
    assert MOMENT.convert("1771545600000", None, None) == Moment(ts_us=1_771_545_600_000_000)
    assert MOMENT.convert("now", None, None) == Moment()
