"""Implied volatility and Greeks after Black and Scholes (1973), with no interest: the only floats of the read models.

Nothing is decided by them. They are computed of integers, when somebody asks, and shown with six significant digits,
which every machine agrees on. Prices, spots and strikes are in one unit, whichever; `years` are years of 365 days.
"""

from math import erfc, exp, inf, isfinite, log, pi, sqrt
from typing import Literal

import msgspec

Volatility = float  # 1.0 = 100 % a year

DAYS_A_YEAR = 365
_STEPS_MAX = 100
_DEVIATIONS_MAX = 40.0  # beyond so many standard deviations until expiry nothing is left to tell prices apart
_PRECISION = 1e-9
_SMALLEST = 1e-15  # of the spot: the smallest price that floats can tell from nothing
_SQRT_2 = sqrt(2)
_SQRT_2_PI = sqrt(2 * pi)


class Greeks(msgspec.Struct, frozen=True, gc=False):
    """Per contract: `gamma` for one unit of the spot, `theta` a day, `vega` and `rho` a percentage point."""

    delta: float
    gamma: float
    vega: float
    theta: float
    rho: float


def implied_volatility(
    option_type: Literal["call", "put"], price: float, spot: float, strike: float, years: float
) -> Volatility | None:
    """The volatility at which the option is worth `price`; None where there is none, as at or below intrinsic value."""
    if not (years > 0 and spot > 0 and strike > 0 and 0 < spot / strike < inf):
        return None
    intrinsic = spot - strike if option_type == "call" else strike - spot
    # Without interest, call and put of one strike have the same time value: the price of the one out of the money.
    deviations = _implied_deviations(price - max(intrinsic, 0), spot, strike)
    if deviations is None:
        return None
    volatility = deviations / sqrt(years)
    return _shown(volatility) if volatility > 0 and isfinite(volatility) else None


def greeks_at(
    option_type: Literal["call", "put"], volatility: Volatility, spot: float, strike: float, years: float
) -> Greeks | None:
    """The Greeks at this volatility; None where one of them cannot be said in numbers."""
    deviations = volatility * sqrt(years)
    d1 = log(spot / strike) / deviations + deviations / 2
    d2 = d1 - deviations
    density = _density(d1)
    if option_type == "call":
        delta, rho = _normal(d1), strike * years * _normal(d2) / 100
    else:
        delta, rho = -_normal(-d1), -strike * years * _normal(-d2) / 100
    greeks = (
        delta,
        density / (spot * deviations),
        spot * density * sqrt(years) / 100,
        -spot * density * volatility / (2 * sqrt(years)) / DAYS_A_YEAR,
        rho,
    )
    return Greeks(*map(_shown, greeks)) if all(map(isfinite, greeks)) else None


def _implied_deviations(price: float, spot: float, strike: float) -> float | None:
    """Volatility times the root of the time, for the option out of the money that costs `price`.

    Newton's steps from the point of inflection, from where they cannot overshoot (Manaster and Koehler, 1982), kept
    between bounds all the same: near the edges of what floats can tell apart, bisection goes on where they do not.
    """
    if not _SMALLEST * spot < price < _time_value(_DEVIATIONS_MAX, spot, strike):
        return None
    low, high = 0.0, _DEVIATIONS_MAX
    deviations = min(sqrt(2 * abs(log(spot / strike))) or price * _SQRT_2_PI / spot, _DEVIATIONS_MAX / 2)
    for _ in range(_STEPS_MAX):
        error = _time_value(deviations, spot, strike) - price
        if error > 0:
            high = deviations
        else:
            low = deviations
        slope = spot * _density(log(spot / strike) / deviations + deviations / 2)
        better = deviations - error / slope if slope > 0 else inf
        if abs(better - deviations) <= _PRECISION * deviations:
            break
        deviations = better if low < better < high else (low + high) / 2
    return deviations


def _time_value(deviations: float, spot: float, strike: float) -> float:
    """What the option out of the money costs."""
    d1 = log(spot / strike) / deviations + deviations / 2
    d2 = d1 - deviations
    if strike >= spot:
        return spot * _normal(d1) - strike * _normal(d2)
    return strike * _normal(-d2) - spot * _normal(-d1)


def _normal(x: float) -> float:
    """The standard normal distribution up to `x`."""
    return erfc(-x / _SQRT_2) / 2


def _density(x: float) -> float:
    return exp(-x * x / 2) / _SQRT_2_PI


def _shown(value: float) -> float:
    return float(f"{value:.6g}")
