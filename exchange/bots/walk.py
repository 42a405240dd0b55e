"""Seeded random walks for index prices, the same on every machine: of one asset, and of a market of several."""

import random
from math import isqrt, sqrt

from exchange.domain.units import PPM, PRICE_MAX_MICROS

MS_PER_YEAR = 365 * 86_400 * 1_000
_SCALE = 10**12
# The sum of twelve uniform numbers between 0 and 1 has a variance of one.
_UNIFORMS = 12
# Each uniform number is a multiple of 1 / _STEPS.
_STEPS = 2**20


class IndexWalk:
    """The index price of one asset, in micros, with one step every `tick_ms`. It uses integers only.

    `volatility_ppm` is annual: 1,000,000 is 100 %.
    """

    def __init__(self, price_micros: int, volatility_ppm: int, tick_ms: int, seed: int | str) -> None:
        self.price_micros = price_micros
        # The standard deviation of one step, times _SCALE.
        self._deviation = isqrt(volatility_ppm**2 * (_SCALE // PPM) ** 2 * tick_ms // MS_PER_YEAR)
        self._random = random.Random(seed)

    def step(self) -> int:
        """Return the next price: the last price times 1 + deviation * z, where z is nearly normal.

        Source: z is the sum of twelve uniform numbers, less its mean (Irwin-Hall distribution).
        """
        draws = sum(self._random.getrandbits(20) for _ in range(_UNIFORMS))
        # z in units of 1 / (2 * _STEPS), so that it is an integer.
        z = 2 * draws - _UNIFORMS * (_STEPS - 1)
        change = self.price_micros * self._deviation * z // (2 * _STEPS * _SCALE)
        self.price_micros = min(max(self.price_micros + change, 1), PRICE_MAX_MICROS)
        return self.price_micros


# The part of a return's variance that all assets share: a correlation of 0.7 between any two of them.
_SHARED = 0.7
# The variance of the market relative to its mean. It returns to 1 within about two days, and falls and rises against
# the market: its random numbers have this correlation with the shared returns.
_RETURNS_PER_YEAR = 365 / 2
_VARIANCE_OF_VARIANCE = 12.0
_LEVERAGE = -0.5
# A jump of all assets happens every other day on average, and makes this part of the variance.
_JUMPS_PER_YEAR = 365 / 2
_JUMP_PART = 0.2


class MarketWalk:
    """The index prices of several assets, in micros, with one step of all every `tick_ms`.

    `volatilities` are annual means: 0.5 is 50 %. Returns of the assets are correlated, their variance is stochastic and
    the same for all, and now and then all jump together. Only operations that IEEE 754 rounds exactly are used, so that
    the same seed gives the same prices on every machine.

    Source: S. Heston, "A closed-form solution for options with stochastic volatility", Review of Financial Studies 6
    (1993), with the jumps of R. Merton, "Option pricing when underlying stock returns are discontinuous", Journal of
    Financial Economics 3 (1976).
    """

    def __init__(
        self, prices_micros: dict[str, int], volatilities: dict[str, float], tick_ms: int, seed: int | str
    ) -> None:
        self.prices_micros = dict(prices_micros)
        self._volatilities = volatilities
        self._years = tick_ms / MS_PER_YEAR
        self._random = random.Random(seed)
        # The variance relative to its mean.
        self._variance = 1.0

    def step(self) -> dict[str, int]:
        """Return the next price of each asset, in micros."""
        shared = self._normal()
        diffusion = sqrt((1 - _JUMP_PART) * self._variance * self._years)
        jump = self._normal() * sqrt(_JUMP_PART / _JUMPS_PER_YEAR) if self._jumps() else 0.0
        for asset, price_micros in self.prices_micros.items():
            normal = sqrt(_SHARED) * shared + sqrt(1 - _SHARED) * self._normal()
            change = self._volatilities[asset] * (diffusion * normal + jump)
            moved_micros = int(price_micros * (1 + max(change, -0.4)))
            self.prices_micros[asset] = min(max(moved_micros, 1), PRICE_MAX_MICROS)
        self._move_variance(shared)
        return dict(self.prices_micros)

    def _move_variance(self, shared: float) -> None:
        """Move the variance towards 1, and by a random number that goes against the market."""
        normal = _LEVERAGE * shared + sqrt(1 - _LEVERAGE**2) * self._normal()
        back = min(_RETURNS_PER_YEAR * self._years, 1.0) * (1 - self._variance)
        self._variance = max(
            self._variance + back + _VARIANCE_OF_VARIANCE * sqrt(self._variance * self._years) * normal, 0.0
        )

    def _jumps(self) -> bool:
        """True if all assets jump in this step. The number is drawn in every step."""
        return self._random.random() < _JUMPS_PER_YEAR * self._years

    def _normal(self) -> float:
        """A nearly normal random number: the sum of twelve uniform numbers, less its mean (Irwin-Hall)."""
        return sum(self._random.random() for _ in range(_UNIFORMS)) - _UNIFORMS / 2
