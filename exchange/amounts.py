"""Reads and writes amounts and times for people: decimals of USDC and contracts, ISO 8601 in UTC. Never a float."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from exchange.domain.instruments import instrument_id_of, parse_instrument_id
from exchange.domain.units import DAY_END_US, NUMBER_MAX, US_PER_SECOND

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?|\.[0-9]+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# 1 USDC is 10**6 micros.
_MICROS_DIGITS = 6
# 1 contract is 10**3 millicontracts.
_MILLI_DIGITS = 3


def parse_usdc(text: str) -> int:
    """Micros in a decimal amount of USDC. Raises ValueError if the result would not be exact."""
    return _parse(text, _MICROS_DIGITS, "1.50")


def parse_contracts(text: str) -> int:
    """Millicontracts in a decimal number of contracts. Raises ValueError if the result would not be exact."""
    return _parse(text, _MILLI_DIGITS, "0.5")


def parse_time_us(text: str) -> int:
    """Microseconds since the epoch of an ISO 8601 time; UTC is the default zone. Raises ValueError."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time") from error
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    if not 2000 <= time.year < 2100:
        raise ValueError(f"{text!r} is out of range: the year must be 2000 to 2099")
    return (time - _EPOCH) // timedelta(microseconds=1)


def parse_expiration(text: str) -> int:
    """Unix seconds of 08:00 UTC on a date such as `28FEB26` or `2026-02-28`. Raises ValueError."""
    try:
        day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        return int(day.timestamp()) + DAY_END_US // US_PER_SECOND
    except ValueError:
        pass
    try:
        return parse_instrument_id(f"ANY_USDC-{text.upper()}-1-C").expiration_s
    except ValueError:
        raise ValueError(
            f"{text!r} is not a date; expected DMMMYY such as 28FEB26, or YYYY-MM-DD such as 2026-02-28"
        ) from None


def usdc(micros: int | None, decimals: int = 2) -> str:
    """Format a price: `1.50`, with at least `decimals` decimals; `-` for None."""
    return "-" if micros is None else _format(micros, _MICROS_DIGITS, decimals)


def cash(micros: int, decimals: int = 2) -> str:
    """Format an amount of cash, with separators between thousands: `10,000.00`."""
    whole, _, part = usdc(micros, decimals).partition(".")
    return f"{'-' if micros < 0 else ''}{abs(int(whole)):,}.{part}"


def contracts(milli: int, decimals: int = 1) -> str:
    """Format a size: `1.0`, `0.125`, with at least `decimals` decimals."""
    return _format(milli, _MILLI_DIGITS, decimals)


def price_decimals(prices_micros: Iterable[int]) -> int:
    """The number of decimals that a column of these prices needs."""
    return max((len(usdc(price).partition(".")[2]) for price in prices_micros), default=2)


def size_decimals(sizes_milli: Iterable[int]) -> int:
    """The number of decimals that a column of these sizes needs."""
    return max((len(contracts(size).partition(".")[2]) for size in sizes_milli), default=1)


def iso_time(ts_us: int) -> str:
    """Format a time exactly: `2026-02-28T08:00:00.000000Z`."""
    return (_EPOCH + timedelta(microseconds=ts_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def short_time(ts_us: int) -> str:
    """Format a time in the same form, to the second: `2026-02-28T08:00:00Z`."""
    return (_EPOCH + timedelta(microseconds=ts_us)).strftime("%Y-%m-%dT%H:%M:%SZ")


def expiration(expiration_s: int) -> str:
    """Format the expiry date of a series as in instrument ids: `28FEB26`."""
    return instrument_id_of("ANY", expiration_s, 1, "call").split("-")[1]


def _parse(text: str, digits: int, example: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a number; expected digits and a decimal point, such as {example}")
    numerator, denominator = Decimal(text).as_integer_ratio()
    per_unit: int = 10**digits
    value, rest = divmod(numerator * per_unit, denominator)
    if rest:
        raise ValueError(f"{text} has too many decimals; expected at most {digits}")
    if value > NUMBER_MAX:
        raise ValueError(f"{text} is too large; expected at most {_format(NUMBER_MAX, digits, 0)}")
    return value


def _format(value: int, digits: int, decimals: int) -> str:
    whole, part = divmod(abs(value), 10**digits)
    shown = f"{part:0{digits}d}".rstrip("0").ljust(decimals, "0")
    return f"{'-' if value < 0 else ''}{whole}{'.' if shown else ''}{shown}"
