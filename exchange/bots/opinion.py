"""A market maker's opinion of volatility: a smile for each expiration, around the level of the asset.

The smile is SSVI, as that of the marks (docs/market.md), so that marks can follow the quotes.
"""

import random
from math import log, sqrt

# Annual volatilities by asset; VOLATILITY is that of any other asset.
VOLATILITIES = {"BTC": 0.5, "ETH": 0.65, "SOL": 0.8}
VOLATILITY = 0.8
SKEW = -0.1
CURVATURE = 0.5
# No smile rises above this volatility, unless its level does.
WING_MAX = 1.15
# Short expirations have a level lower than the asset's by half of this part, long ones one that is higher by half.
TERM_PART = 0.04
TERM_YEARS = 14 / 365
# Below this time the smile keeps its width in log(K/S). With a width in deviations, wings would rise until expiry.
WIDTH_YEARS = 7 / 365


def level_of(asset: str) -> float:
    """Return the annual volatility of an asset at the money."""
    return VOLATILITIES.get(asset, VOLATILITY)


class Opinion:
    """The volatilities that one maker believes in. They differ a little from maker to maker."""

    def __init__(self, numbers: random.Random, volatility: float | None) -> None:
        self._factor = numbers.uniform(0.995, 1.005)
        self._skew = SKEW + numbers.uniform(-0.005, 0.005)
        self._curvature = CURVATURE * numbers.uniform(0.97, 1.03)
        self._volatility = volatility

    def volatility(self, asset: str, spot: float, strike: float, years: float) -> float:
        """Return the annual volatility at a strike and a time until expiry."""
        level = self._factor * (self._volatility or level_of(asset))
        if years <= 0:
            return level
        level *= 1 + TERM_PART * (years / (years + TERM_YEARS) - 0.5)
        z = log(strike / spot) / (level * sqrt(years))
        u = self._curvature * sqrt(min(1.0, years / WIDTH_YEARS)) * z
        shape = (1 + self._skew * u + sqrt((u + self._skew) ** 2 + 1 - self._skew**2)) / 2
        return min(level * sqrt(shape), max(WING_MAX, level))
