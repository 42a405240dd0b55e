"""Units: costs are exact, and the exchange day ends at 08:00 UTC."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random

import pytest

from exchange.domain.units import (
    DAY_END_US,
    NUMBER_MAX,
    PRICE_MAX_MICROS,
    PRICE_STEP_MICROS,
    SIZE_MAX_MILLI,
    US_PER_DAY,
    cost_micros,
    next_day_end_us,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("price_micros", "size_milli", "cost"),
    [
        (1_500_000, 1_000, 1_500_000),  # a contract at 1.50
        (1_000, 1, 1),  # the smallest price and size: a micro
        (10_000, 1, 10),
        (1_501_000, 333, 499_833),
        (PRICE_MAX_MICROS, 1_000, PRICE_MAX_MICROS),
        (PRICE_MAX_MICROS, SIZE_MAX_MILLI, 10**19),
    ],
)
def test_cost(price_micros: int, size_milli: int, cost: int) -> None:
    assert cost_micros(price_micros, size_milli) == cost


def test_costs_of_parts_add_up() -> None:
    random = Random(1)
    for _ in range(1_000):
        price = random.randint(1, 10**7) * PRICE_STEP_MICROS
        size = random.randint(2, 10**6)
        part = random.randint(1, size - 1)
        assert cost_micros(price, size) == Fraction(price * size, 1_000)
        assert cost_micros(price, part) + cost_micros(price, size - part) == cost_micros(price, size)


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-02-28 07:59:59.999999", "2026-02-28 08:00:00"),
        ("2026-02-28 08:00:00", "2026-03-01 08:00:00"),
        ("2026-02-28 08:00:00.000001", "2026-03-01 08:00:00"),
        ("2026-02-28 00:00:00", "2026-02-28 08:00:00"),
        ("2026-02-28 23:59:59.999999", "2026-03-01 08:00:00"),
        ("2028-02-28 12:00:00", "2028-02-29 08:00:00"),
        ("2026-12-31 12:00:00", "2027-01-01 08:00:00"),
        ("1970-01-01 00:00:00", "1970-01-01 08:00:00"),
        ("1970-01-01 08:00:00", "1970-01-02 08:00:00"),
    ],
)
def test_next_day_end(now: str, end: str) -> None:
    assert next_day_end_us(us(now)) == us(end)


def test_next_day_end_is_the_first_one_strictly_after() -> None:
    random = Random(1)
    for _ in range(1_000):
        now = random.randint(0, 10**16)
        end = next_day_end_us(now)
        assert now < end <= now + US_PER_DAY and end % US_PER_DAY == DAY_END_US


def test_numbers_fit_into_javascript() -> None:
    assert NUMBER_MAX == 9_007_199_254_740_991
    assert float(NUMBER_MAX) == NUMBER_MAX and float(NUMBER_MAX + 1) == NUMBER_MAX + 1 == float(NUMBER_MAX + 2)
    assert max(PRICE_MAX_MICROS, SIZE_MAX_MILLI) <= NUMBER_MAX
