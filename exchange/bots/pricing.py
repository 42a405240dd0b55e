"""The Black-Scholes value and Greeks of an option at an interest rate of zero; bots derive their quotes from them."""

from math import erfc, exp, log, pi, sqrt
from typing import NamedTuple

from exchange.domain.enums import OptionType
from exchange.domain.units import US_PER_SECOND

US_PER_YEAR = 365 * 86_400 * US_PER_SECOND
_SQRT_2 = sqrt(2)
_SQRT_2_PI = sqrt(2 * pi)


class Valuation(NamedTuple):
    """The value of an option, its change for one unit of the index (`delta`), and for a volatility of 1 (`vega`)."""

    value: float
    delta: float
    vega: float


def value(option_type: OptionType, spot: float, strike: float, years: float, volatility: float) -> float:
    """Return the value of an option, in the unit of `spot` and `strike`.

    `volatility` is annual: 0.5 is 50 %.
    """
    return valuation(option_type, spot, strike, years, volatility).value


def valuation(option_type: OptionType, spot: float, strike: float, years: float, volatility: float) -> Valuation:
    """Return the value and the Greeks of an option, in the unit of `spot` and `strike`.

    `volatility` is annual: 0.5 is 50 %. Source: Black and Scholes (1973), with a rate of zero.
    """
    root_years = sqrt(max(years, 0.0))
    deviations = volatility * root_years
    if deviations > 0:
        d1 = log(spot / strike) / deviations + deviations / 2
        delta = _normal(d1)
        call = spot * delta - strike * _normal(d1 - deviations)
        vega = spot * root_years * exp(-d1 * d1 / 2) / _SQRT_2_PI
    else:
        call, delta, vega = max(spot - strike, 0.0), float(spot > strike), 0.0
    if option_type == "call":
        return Valuation(call, delta, vega)
    return Valuation(max(call - spot + strike, 0.0), delta - 1, vega)


def _normal(x: float) -> float:
    """The cumulative standard normal distribution at `x`."""
    return erfc(-x / _SQRT_2) / 2
