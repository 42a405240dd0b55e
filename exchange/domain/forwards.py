"""The forward of an expiration: the price that its options are valued on, from rules version 2 on.

It is the index plus a basis, which shrinks to nothing until the expiration, so that marks end at the delivery price.
"""

from exchange.domain.instruments import parse_series_name, series_name_of
from exchange.domain.rules import FAIR_MARKET_VERSION, Market, Rules, market_of
from exchange.domain.smile import US_PER_YEAR
from exchange.domain.units import PPM, US_PER_SECOND

# No forward is further from the index than this share of it.
DISTANCE_MAX_PPM = 200_000


class ForwardCurve:
    """The forwards of an asset at one index price."""

    __slots__ = ("_basis_ppm", "_price_micros", "_ts_us")

    def __init__(self, market: Market, asset: str, price_micros: int, ts_us: int) -> None:
        self._basis_ppm = basis_of(market, asset)
        self._price_micros = price_micros
        self._ts_us = ts_us

    def at(self, expiration_us: int) -> int:
        """Return the forward of an expiration, in micros: the index price if the rules have no basis for it."""
        basis_ppm = self._basis_ppm.get(expiration_us, 0)
        if not basis_ppm:
            return self._price_micros
        return forward_micros(self._price_micros, basis_ppm, expiration_us - self._ts_us)


def basis_of(market: Market, asset: str) -> dict[int, int]:
    """Return the basis of each expiration of an asset that has one, in millionths a year, by expiration_us."""
    if not isinstance(market.forwards, dict):
        return {}
    named = [(parse_series_name(name), basis_ppm) for name, basis_ppm in market.forwards.items()]
    return {expiration_s * US_PER_SECOND: basis_ppm for (of, expiration_s), basis_ppm in named if of == asset}


def basis_of_option(market: Market, instrument_id: str) -> int | None:
    """Return the basis of the option's expiration in millionths a year; None if the rules have none for it. O(1)."""
    if not isinstance(market.forwards, dict):
        return None
    return market.forwards.get(series_name_of(instrument_id))


def forward_micros(price_micros: int, basis_ppm: int, us_left: int) -> int:
    """Return the price plus the basis for the time left, rounded down, at most DISTANCE_MAX_PPM from the price."""
    distance = price_micros * basis_ppm * max(0, us_left) // (PPM * US_PER_YEAR)
    most = price_micros * DISTANCE_MAX_PPM // PPM
    return price_micros + min(max(distance, -most), most)


def distance_error(rules: Rules, rules_version: int, ts_us: int) -> str | None:
    """Return which forward would be too far from the index at `ts_us`, as a sentence; None if none would.

    The rules must be valid. Distances shrink, so a forward that is near enough once is so until it expires.
    """
    market = market_of(rules)
    if market is None or rules_version < FAIR_MARKET_VERSION or not isinstance(market.forwards, dict):
        return None
    for name, basis_ppm in market.forwards.items():
        _, expiration_s = parse_series_name(name)
        distance_ppm = basis_ppm * max(0, expiration_s * US_PER_SECOND - ts_us) // US_PER_YEAR
        if distance_ppm <= -PPM:
            return (
                f"market.forwards.{name} makes the forward zero or negative: give a basis nearer to 0 than {basis_ppm}"
            )
        if abs(distance_ppm) > DISTANCE_MAX_PPM:
            return (
                f"market.forwards.{name} puts the forward {abs(distance_ppm)} millionths of the index away from it, "
                f"and at most {DISTANCE_MAX_PPM} are possible: give a basis nearer to 0 than {basis_ppm}"
            )
    return None
