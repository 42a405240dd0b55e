"""Marks against vollib, the library of option values that py_vollib became; without it, only the other tests run."""

from itertools import product
from math import exp, log, sqrt

import pytest

from exchange.domain.commands import Genesis, SetIndexPrice
from exchange.domain.rules import Market, Rules, Series, Surface
from exchange.domain.smile import US_PER_YEAR, Slice, Smile
from exchange.domain.units import US_PER_DAY
from exchange.matching.apply import apply
from exchange.matching.state import State

black = pytest.importorskip("vollib.black", reason="pip install vollib").black

USDC = 1_000_000
# Friday 2026-02-20 10:00:00 UTC.
START_US = 1_771_581_600_000_000
INDEX_USDC = 150
MONEYNESS = [exp(-1.2 + 0.24 * n) for n in range(11)]
DAYS = (0.02, 0.25, 1, 2, 7, 14, 30, 60, 91, 182, 365, 730)
VOLATILITIES = [0.06 + 0.2 * n for n in range(16)]


def volatility(smile: Smile, forward: float, strike: float, years: float) -> float:
    """Return the volatility of the smile at a strike, by the formula of docs/market.md in floats."""
    theta, rho = (smile.level_ppm / 1e6) ** 2 * years, smile.skew_ppm / 1e6
    eta = min(smile.curvature_ppm / 1e6, 2 / sqrt(1 + abs(rho)), 4 / sqrt(theta) / (1 + abs(rho)))
    z = log(strike / forward) / sqrt(theta)
    variance = theta / 2 * (1 + rho * eta * z + sqrt((eta * z + rho) ** 2 + 1 - rho**2))
    return sqrt(variance / years)


def test_values_are_those_of_vollib() -> None:
    """2,112 cases of moneyness, time and volatility: within a micro and 1e-7 of the index."""
    worst = 0.0
    for moneyness, days, level in product(MONEYNESS, DAYS, VOLATILITIES):
        us_left, forward = round(days * US_PER_DAY), INDEX_USDC * USDC
        smile, strike = Smile(round(level * 1e6), -100_000, 700_000, 0), round(forward * moneyness)
        years = us_left / US_PER_YEAR
        sigma = volatility(smile, forward, strike, years)
        value = Slice(smile, forward, us_left).call_micros(strike)
        worst = max(worst, abs(value - black("c", forward, strike, years, 0.0, sigma)))
    assert worst <= 1 + INDEX_USDC * USDC * 1e-7


@pytest.mark.parametrize("level_ppm", [100_000, 800_000, 3_000_000])
def test_marks_are_those_of_vollib(level_ppm: int) -> None:
    """Calls and puts that a rule lists, at several index prices: within a tick."""
    surface = Surface(level_ppm=level_ppm)
    series = Series("SOL", 10, 12, dailies=2, weeklies=4, monthlies=6, surface=surface)
    state, ts_us = State(), START_US
    apply(state, ts_us, Genesis(Rules(market=Market(series=(series,), index_age_max_s=0)), 2))
    checked = 0
    for price_usdc in (150, 149, 131):
        ts_us += 3_600_000_000
        apply(state, ts_us, SetIndexPrice("SOL", price_usdc * USDC))
        for book in state.books.values():
            smile = state.indexes["SOL"].smiles[book.expiration_us]
            strike, years = book.strike_micros / USDC, (book.expiration_us - ts_us) / US_PER_YEAR
            flag = "c" if book.is_call else "p"
            value = black(flag, price_usdc, strike, years, 0.0, volatility(smile, price_usdc, strike, years))
            assert book.mark_micros is not None
            assert abs(book.mark_micros - value * USDC) <= book.tick_micros, (book.instrument_id, value)
            checked += 1
    assert checked > 1_500
