"""A small market to begin with: calls and puts on SOL, BTC and ETH, a few strikes around a stated spot."""

import calendar
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from exchange.domain.commands import CreateInstrument
from exchange.domain.instruments import instrument_id_of
from exchange.domain.units import US_PER_SECOND, next_day_end_us
from exchange.domain.words import OptionType

# asset: spot and distance between strikes in USDC, tick in micros
DEMO_ASSETS = {
    "SOL": (150, 10, 10_000),
    "BTC": (100_000, 5_000, 5_000_000),
    "ETH": (4_000, 200, 100_000),
}
STRIKES_EACH_SIDE = 2
MIN_SIZE_MILLI = 100
_FRIDAY = 4


def demo_market(now_us: int) -> Iterator[CreateInstrument]:
    """The listings of the demo market as of `now_us`: next daily, weekly (Friday) and monthly (last day) expiries."""
    for asset, (spot, spacing, tick_micros) in DEMO_ASSETS.items():
        for expiration_s in demo_expirations_s(now_us):
            for step in range(-STRIKES_EACH_SIDE, STRIKES_EACH_SIDE + 1):
                option_types: tuple[OptionType, ...] = ("call", "put")
                for option_type in option_types:
                    instrument_id = instrument_id_of(asset, expiration_s, spot + step * spacing, option_type)
                    yield CreateInstrument(instrument_id, tick_micros, MIN_SIZE_MILLI)


def demo_expirations_s(now_us: int) -> list[int]:
    """Unix seconds, earliest first, each once."""
    daily = datetime.fromtimestamp(next_day_end_us(now_us) // US_PER_SECOND, UTC)
    weekly = daily + timedelta(days=(_FRIDAY - daily.weekday()) % 7)
    monthly = daily.replace(day=calendar.monthrange(daily.year, daily.month)[1])
    return sorted({int(day.timestamp()) for day in (daily, weekly, monthly)})
