"""The Black-Scholes value of an option at an interest rate of zero; bots derive their quotes from it."""

from math import erfc, log, sqrt

from exchange.domain.enums import OptionType
from exchange.domain.units import US_PER_SECOND

US_PER_YEAR = 365 * 86_400 * US_PER_SECOND
_SQRT_2 = sqrt(2)


def value(option_type: OptionType, spot: float, strike: float, years: float, volatility: float) -> float:
    """Return the value of an option, in the unit of `spot` and `strike`.

    `volatility` is annual: 0.5 is 50 %. Source: Black and Scholes (1973), with a rate of zero.
    """
    deviations = volatility * sqrt(max(years, 0.0))
    call = max(spot - strike, 0.0)
    if deviations > 0:
        d1 = log(spot / strike) / deviations + deviations / 2
        call = spot * _normal(d1) - strike * _normal(d1 - deviations)
    return call if option_type == "call" else max(call - spot + strike, 0.0)


def _normal(x: float) -> float:
    """The cumulative standard normal distribution at `x`."""
    return erfc(-x / _SQRT_2) / 2
