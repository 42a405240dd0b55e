"""Historical volatility of an index: the standard deviation of its daily returns over 15 days, a year of 365 days.

Deribit takes the value of the index once a day at a fixed time, over a period of 15 days:
https://www.deribit.com/docs/historical-volatility-chart/. Its method answers with a value for each hour:
https://docs.deribit.com/api-reference/market-data/public-get_historical_volatility. Deribit does not publish the
estimator. This one is that of J. Hull, "Options, Futures, and Other Derivatives", chapter "Estimating Volatility from
Historical Data": with u = ln(price / price of the day before), s = sqrt(sum((u - mean)^2) / (n - 1)), a year has
s * sqrt(365). The numbers are floats, which are shown to users and decide nothing.
"""

from collections.abc import Sequence
from math import fsum, log, sqrt

from exchange.projections.black_scholes import DAYS_A_YEAR, Volatility, rounded

# The period in days. A value follows from the price at its time, and at the same time of each of these days before.
DAYS = 15


def historical_volatility(prices_micros: Sequence[int]) -> Volatility:
    """Return the volatility a year of daily prices, at least three, the oldest first; 1.0 is 100 %."""
    returns = [log(price_micros / prices_micros[day]) for day, price_micros in enumerate(prices_micros[1:])]
    mean = fsum(returns) / len(returns)
    variance = fsum([(one - mean) ** 2 for one in returns]) / (len(returns) - 1)
    return rounded(sqrt(variance * DAYS_A_YEAR))
