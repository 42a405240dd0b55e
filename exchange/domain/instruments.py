"""Instrument ids: `{ASSET}_USDC-{D}{MMM}{YY}-{STRIKE}-{C|P}`, such as `SOL_USDC-28FEB26-150-C`.

A strike that is no whole number has the letter `d` as its decimal point, as on Deribit. `XRP_USDC-28FEB26-0d625-C` has
the strike 0.625; it may have three decimals. A full stop separates the parts of channel names, so ids have none.

A day may have a leading zero (`03MAR26`), and a decimal strike zeros at its end (`0d50`): it is the same instrument.
The canonical id has none.
"""

import calendar
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from exchange.domain.enums import OptionType
from exchange.domain.units import MICROS_PER_USDC, PRICE_MAX_MICROS, US_PER_SECOND

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
ASSET_PATTERN = "[A-Z][A-Z0-9]{0,9}"
_ID = re.compile(
    rf"({ASSET_PATTERN})_USDC-(\d{{1,2}})([A-Z]{{3}})(\d{{2}})-(0|[1-9]\d{{0,9}})(?:d(\d{{1,3}}))?-([CP])", re.ASCII
)
# An id has two digits of the year. Rules list dates up to a year ahead, which must not reach the next century.
LAST_YEAR = 2098
LAST_EXPIRATION_S = calendar.timegm((LAST_YEAR, 12, 31, 8, 0, 0))
_EXPECTED = "expected ASSET_USDC-DMMMYY-STRIKE-C|P, for example SOL_USDC-28FEB26-150-C"


class InstrumentTerms(NamedTuple):
    """The terms in an instrument id: the strike in micros of USDC, the expiration (08:00 UTC) in Unix seconds."""

    instrument_id: str
    asset: str
    option_type: OptionType
    strike_micros: int
    expiration_s: int


def parse_instrument_id(text: str) -> InstrumentTerms:
    """Return the terms of an instrument id, with the id in its canonical spelling.

    Raises ValueError for a wrong shape, an unknown month, a day that the month does not have, a strike out of range.
    """
    match = _ID.fullmatch(text)
    strike_micros = 0 if match is None else int(match[5]) * MICROS_PER_USDC + _decimals_micros(match[6])
    if match is None or not strike_micros:
        raise ValueError(f"{text!r} is not an instrument id: {_EXPECTED}")
    asset, day_text, month_name, year_text, _, _, letter = match.groups()
    day, year = int(day_text), 2000 + int(year_text)
    if month_name not in _MONTHS:
        raise ValueError(f"{text!r} has an unknown month {month_name!r}: expected one of {', '.join(_MONTHS)}")
    month = _MONTHS.index(month_name) + 1
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        raise ValueError(f"{text!r} names a day that does not exist: {month_name} {year} has no day {day}")
    if strike_micros > PRICE_MAX_MICROS:
        raise ValueError(
            f"{text!r} has a strike that is too high: expected at most {PRICE_MAX_MICROS // MICROS_PER_USDC} USDC"
        )
    return InstrumentTerms(
        instrument_id=f"{asset}_USDC-{day}{month_name}{year_text}-{strike_name(strike_micros)}-{letter}",
        asset=asset,
        option_type="call" if letter == "C" else "put",
        strike_micros=strike_micros,
        expiration_s=calendar.timegm((year, month, day, 8, 0, 0)),
    )


def asset_of_expired(instrument_id: str, ts_us: int) -> str | None:
    """Return the asset of an id whose expiration is over at `ts_us`; None for another one, and for any other text."""
    try:
        terms = parse_instrument_id(instrument_id)
    except ValueError:
        return None
    return terms.asset if terms.expiration_s * US_PER_SECOND <= ts_us else None


def has_decimal_strike(instrument_id: str) -> bool:
    """True if the strike in an id is written with a decimal point. Ids had none in the first journals."""
    return "d" in instrument_id


def strike_name(strike_micros: int) -> str:
    """Return the strike as canonical ids have it: `150`, or `0d625`."""
    whole, part = divmod(strike_micros, MICROS_PER_USDC)
    return f"{whole}d{part:06d}".rstrip("0") if part else str(whole)


def _decimals_micros(digits: str | None) -> int:
    return 0 if digits is None else int(digits.ljust(6, "0"))


@lru_cache(maxsize=10_000)
def parse_series_name(name: str) -> tuple[str, int]:
    """Return the asset and the expiration (08:00 UTC, Unix seconds) of a name like SOL-27MAR26.

    Raises ValueError if it has another shape, or names the expiration in another way than ids do.
    """
    asset, _, day = name.partition("-")
    instrument_id = f"{asset}_USDC-{day}-1-C"
    try:
        terms = parse_instrument_id(instrument_id)
    except ValueError:
        terms = None
    if terms is None or terms.instrument_id != instrument_id:
        raise ValueError(f"{name!r} names no expiration of an asset: expected ASSET-DMMMYY, for example SOL-27MAR26")
    return asset, terms.expiration_s


def series_name_of(instrument_id: str) -> str:
    """Return the name of the expiration of a canonical id: SOL-27MAR26 for SOL_USDC-27MAR26-150-C."""
    return f"{asset_of(instrument_id)}-{instrument_id.split('-', 2)[1]}"


def asset_of(instrument_id: str) -> str:
    """Return the asset of a canonical id."""
    return instrument_id[: instrument_id.index("_")]


def instrument_id_of(asset: str, expiration_s: int, strike_usdc: int, option_type: OptionType) -> str:
    """Return the canonical id of the option that expires on the UTC day of `expiration_s`. The strike is in USDC."""
    day = datetime.fromtimestamp(expiration_s, UTC)
    letter = "C" if option_type == "call" else "P"
    return f"{asset}_USDC-{day.day}{_MONTHS[day.month - 1]}{day.year % 100:02d}-{strike_usdc}-{letter}"
