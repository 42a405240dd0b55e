"""An index that walks at random: geometric, seeded, in integers, and so the same on every machine."""

import random
from math import isqrt

from exchange.domain.units import PPM, PRICE_MAX_MICROS

MS_PER_YEAR = 365 * 86_400 * 1_000
_SCALE = 10**12
_UNIFORMS = 12  # of which the sum has a variance of one
_STEPS = 2**20  # into which the unit is divided for each of them


class IndexWalk:
    """Prices of one asset in micros, a step every `tick_ms`; `volatility_ppm` of 1,000,000 is 100 % a year."""

    def __init__(self, price_micros: int, volatility_ppm: int, tick_ms: int, seed: int | str) -> None:
        self.price_micros = price_micros
        self._deviation = isqrt(volatility_ppm**2 * (_SCALE // PPM) ** 2 * tick_ms // MS_PER_YEAR)  # of a step, scaled
        self._chance = random.Random(seed)

    def step(self) -> int:
        """The next price: the last one times 1 + deviation * z, with z near to normal (Irwin and Hall's sum)."""
        draws = sum(self._chance.getrandbits(20) for _ in range(_UNIFORMS))
        z = 2 * draws - _UNIFORMS * (_STEPS - 1)  # in halves of a step
        change = self.price_micros * self._deviation * z // (2 * _STEPS * _SCALE)
        self.price_micros = min(max(self.price_micros + change, 1), PRICE_MAX_MICROS)
        return self.price_micros
