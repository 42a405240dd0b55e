"""Implied volatility and Greeks with an interest rate of zero. Only they and historical volatilities are floats.

Source: F. Black and M. Scholes, "The Pricing of Options and Corporate Liabilities", Journal of Political Economy 81
(1973). No decision depends on these numbers. They are computed from integers when a client requests them, and rounded
to six significant digits, which are the same on every machine. Prices, spots and strikes are in the same unit, any
one; `years` are years of 365 days.
"""

from collections.abc import Sequence
from math import erfc, exp, fsum, inf, isfinite, log, pi, sqrt
from typing import Literal

import msgspec
from msgspec.structs import astuple

from exchange.domain.units import MILLI_PER_CONTRACT

# 1.0 = 100 % a year.
Volatility = float

DAYS_A_YEAR = 365
_STEPS_MAX = 100
# Standard deviations until expiry. Beyond this number floats cannot tell prices apart.
_DEVIATIONS_MAX = 40.0
_PRECISION = 1e-9
# The smallest price that floats can tell from zero, as a part of the spot.
_SMALLEST = 1e-15
_SQRT_2 = sqrt(2)
_SQRT_2_PI = sqrt(2 * pi)


class Greeks(msgspec.Struct, frozen=True, gc=False):
    """Greeks of contracts: `gamma` per unit of the spot, `theta` per day, `vega` and `rho` per percentage point."""

    delta: float
    gamma: float
    vega: float
    theta: float
    rho: float


_GREEKS = len(Greeks.__struct_fields__)


def implied_volatility(
    option_type: Literal["call", "put"], price: float, spot: float, strike: float, years: float
) -> Volatility | None:
    """Return the volatility at which the option is worth `price`.

    None if there is no such volatility, for example for a price at or below the intrinsic value.
    """
    if not (years > 0 and spot > 0 and strike > 0 and 0 < spot / strike < inf):
        return None
    intrinsic = spot - strike if option_type == "call" else strike - spot
    # With an interest rate of zero, call and put of one strike have the same time value (put-call parity). It is the
    # price of the one that is out of the money.
    deviations = _implied_deviations(price - max(intrinsic, 0), spot, strike)
    if deviations is None:
        return None
    volatility = deviations / sqrt(years)
    return rounded(volatility) if volatility > 0 and isfinite(volatility) else None


def greeks_at(
    option_type: Literal["call", "put"], volatility: Volatility, spot: float, strike: float, years: float
) -> Greeks | None:
    """Return the Greeks at this volatility; None if one of them is not a finite number."""
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
    return Greeks(*map(rounded, greeks)) if all(map(isfinite, greeks)) else None


def greeks_of_portfolio(parts: Sequence[tuple[int, Greeks]]) -> Greeks:
    """Return the sums of the Greeks of positions, given as millicontracts and the Greeks of one contract.

    The order of the positions does not matter: each sum is exact until it is rounded.
    """
    contracts = [(quantity_milli / MILLI_PER_CONTRACT, astuple(greeks)) for quantity_milli, greeks in parts]
    return Greeks(*[rounded(fsum([count * of_one[n] for count, of_one in contracts])) for n in range(_GREEKS)])


def _implied_deviations(price: float, spot: float, strike: float) -> float | None:
    """Return volatility * sqrt(years) for the out-of-the-money option that costs `price`.

    Newton's method from the point of inflection, from where it cannot overshoot. Source: S. Manaster and G. Koehler,
    "The Calculation of Implied Variances from the Black-Scholes Model", Journal of Finance 37 (1982). Where floats are
    too coarse for Newton's method, a step outside the known bounds is replaced by bisection.
    """
    if not _SMALLEST * spot < price < _time_value(_DEVIATIONS_MAX, spot, strike):
        return None
    low, high = 0.0, _DEVIATIONS_MAX
    # The value and the density are written out: most of the work of a ticker is done here.
    moneyness, is_call = log(spot / strike), strike >= spot
    deviations = min(sqrt(2 * abs(moneyness)) or price * _SQRT_2_PI / spot, _DEVIATIONS_MAX / 2)
    for _ in range(_STEPS_MAX):
        d1 = moneyness / deviations + deviations / 2
        d2 = d1 - deviations
        if is_call:
            error = spot * (erfc(-d1 / _SQRT_2) / 2) - strike * (erfc(-d2 / _SQRT_2) / 2) - price
        else:
            error = strike * (erfc(d2 / _SQRT_2) / 2) - spot * (erfc(d1 / _SQRT_2) / 2) - price
        if error > 0:
            high = deviations
        else:
            low = deviations
        slope = spot * (exp(-d1 * d1 / 2) / _SQRT_2_PI)
        better = deviations - error / slope if slope > 0 else inf
        if abs(better - deviations) <= _PRECISION * deviations:
            break
        deviations = better if low < better < high else (low + high) / 2
    return deviations


def _time_value(deviations: float, spot: float, strike: float) -> float:
    """Return the price of the out-of-the-money option."""
    d1 = log(spot / strike) / deviations + deviations / 2
    d2 = d1 - deviations
    if strike >= spot:
        return spot * _normal(d1) - strike * _normal(d2)
    return strike * _normal(-d2) - spot * _normal(-d1)


def _normal(x: float) -> float:
    """Return the cumulative standard normal distribution at `x`."""
    return erfc(-x / _SQRT_2) / 2


def _density(x: float) -> float:
    return exp(-x * x / 2) / _SQRT_2_PI


def rounded(value: float) -> float:
    """Return the number with six significant digits, which are the same on every machine."""
    return float(f"{value:.6g}")
