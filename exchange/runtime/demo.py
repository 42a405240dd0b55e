"""The demo's market: options on SOL, BTC and ETH, and the first price of each index."""

from collections.abc import Iterator

from exchange.domain.commands import SetIndexPrice
from exchange.domain.rules import FEE_PROFILES, Market, Rules, Series, Surface, complete_rules, market_of
from exchange.domain.units import MICROS_PER_USDC
from exchange.projections.views import Views

START_USDC = {"SOL": 150, "BTC": 100_000, "ETH": 4_000}


def _surface(level_ppm: int, quote_size_min_milli: int) -> Surface:
    """The surface of an asset: the level of its makers, and flat enough for marks of the last hours before expiry."""
    return Surface(level_ppm, curvature_ppm=200_000, quote_size_min_milli=quote_size_min_milli)


# An age limit of 0 allows trading while no process updates the index prices.
DEMO_RULES = complete_rules(
    Rules(
        market=Market(
            series=(
                Series("SOL", 10, 2, 10_000, dailies=1, weeklies=1, monthlies=1, surface=_surface(800_000, 1_000)),
                Series("BTC", 5_000, 2, 5_000_000, dailies=1, weeklies=1, monthlies=1, surface=_surface(500_000, 100)),
                Series("ETH", 200, 2, 100_000, dailies=1, weeklies=1, monthlies=1, surface=_surface(650_000, 1_000)),
            ),
            fees=FEE_PROFILES["deribit_usdc"],
            index_age_max_s=0,
        )
    )
)


def start_prices(views: Views) -> Iterator[SetIndexPrice]:
    """The first index prices of the demo's assets that have none yet. The first price lists instruments."""
    market = market_of(views.rules)
    for series in market.series if market is not None else ():
        if series.asset in START_USDC and series.asset not in views.indexes:
            yield SetIndexPrice(series.asset, START_USDC[series.asset] * MICROS_PER_USDC)
