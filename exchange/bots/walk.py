"""A seeded geometric random walk for index prices. It uses integers only, so it is the same on every machine."""

import random
from math import isqrt

from exchange.domain.units import PPM, PRICE_MAX_MICROS

MS_PER_YEAR = 365 * 86_400 * 1_000
_SCALE = 10**12
# The sum of twelve uniform numbers between 0 and 1 has a variance of one.
_UNIFORMS = 12
# Each uniform number is a multiple of 1 / _STEPS.
_STEPS = 2**20


class IndexWalk:
    """The index price of one asset, in micros, with one step every `tick_ms`.

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
