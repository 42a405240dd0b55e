"""The volatility smile of one expiration, in integers, and its fit to the quotes of the book.

The smile is SSVI: J. Gatheral and A. Jacquier, "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14
(2014). With k = log(K/F), theta = level² · years and z = k / √theta, the variance until expiry is

    w(k) = theta/2 · (1 + rho·eta·z + √((eta·z + rho)² + 1 - rho²))

`level` is the volatility at the money, rho the `skew`, eta the `curvature`, all in millionths (`_ppm`). Theorem 4.2
there: no butterfly arbitrage if eta · √theta · (1 + |rho|) < 4 and eta² · (1 + |rho|) ≤ 4. eta is lowered to meet both.
"""

from functools import lru_cache
from math import isqrt
from typing import NamedTuple

from exchange.domain.black76 import ONE, call_micros, density_nano, log_nano, normal_nano
from exchange.domain.units import PPM, US_PER_DAY

US_PER_YEAR = 365 * US_PER_DAY
US_PER_MINUTE = 60_000_000
SKEW_MAX_PPM = 900_000
CURVATURE_MIN_PPM = 100_000
CURVATURE_MAX_PPM = 2_000_000


class Smile(NamedTuple):
    """The parameters of an expiration, and the time of their last change by quotes or by the way back."""

    level_ppm: int
    skew_ppm: int
    curvature_ppm: int
    moved_us: int


class SmileLimits(NamedTuple):
    """The limits of all smiles: those of the level, and the largest move of a parameter in a minute."""

    level_min_ppm: int
    level_max_ppm: int
    move_ppm: int


class Point(NamedTuple):
    """A quote against the smile: the moneyness z in billionths, and the volatility that the smile lacks there."""

    z_nano: int
    missing_ppm: int


class Slice:
    """A smile at one forward and one time until expiry. Values of options come from here."""

    __slots__ = ("_eta_ppm", "_log_forward", "_rest", "_rho", "_root_theta", "_root_years", "forward_micros")

    def __init__(self, smile: Smile, forward_micros: int, us_left: int) -> None:
        self.forward_micros = forward_micros
        self._log_forward = log_nano(forward_micros)
        self._root_years = isqrt(max(0, us_left) * ONE * ONE // US_PER_YEAR)
        self._root_theta = smile.level_ppm * self._root_years // PPM
        self._rho = smile.skew_ppm * (ONE // PPM)
        self._rest = ONE * ONE - self._rho * self._rho
        self._eta_ppm = sound_curvature_ppm(smile.curvature_ppm, smile.skew_ppm, self._root_theta)

    def z_nano(self, strike_micros: int) -> int:
        """Return k / √theta, in billionths; 0 if there is no time left."""
        return self._log(strike_micros) * ONE // self._root_theta if self._root_theta else 0

    def volatility_ppm(self, strike_micros: int) -> int:
        """Return the volatility of a year at this strike; 0 if there is no time left."""
        root = self._root_years
        return (self._deviation(self._log(strike_micros)) * PPM + root // 2) // root if root else 0

    def call_micros(self, strike_micros: int) -> int:
        """Return the value of the call."""
        log = self._log(strike_micros)
        return call_micros(self.forward_micros, strike_micros, log, self._deviation(log))

    def delta_nano(self, strike_micros: int, is_call: bool) -> int:
        """Return the change of an option's value with the forward, in billionths: N(d1), of a put N(d1) - 1.

        Without time left it is 1 (a call) or -1 (a put) in the money, and 0 out of it and at it.
        """
        log = self._log(strike_micros)
        deviation = self._deviation(log)
        if not deviation:
            if strike_micros == self.forward_micros:
                return 0
            return (ONE if log < 0 else 0) if is_call else (-ONE if log > 0 else 0)
        delta = normal_nano(-log * ONE // deviation + deviation // 2)
        return delta if is_call else delta - ONE

    def vega_micros(self, strike_micros: int) -> int:
        """Return the change of an option's value for a volatility that is higher by 1 (100 points)."""
        log = self._log(strike_micros)
        deviation = self._deviation(log)
        if not deviation:
            return 0
        d1 = -log * ONE // deviation + deviation // 2
        return self.forward_micros * density_nano(d1) // ONE * self._root_years // ONE

    def gamma_micros(self, strike_micros: int, move_ppm: int) -> int:
        """Return the gamma part of an option's change if the index moves by `move_ppm`, at most the move itself.

        It is S · density(d1) / s · move² / 2, to second order.
        """
        most = self.forward_micros * move_ppm // PPM
        log = self._log(strike_micros)
        deviation = self._deviation(log)
        if not deviation:
            return most
        density = density_nano(-log * ONE // deviation + deviation // 2)
        return min(most, most * move_ppm * density // (2 * PPM * deviation))

    def _log(self, strike_micros: int) -> int:
        """log(K/F) in billionths."""
        return _log_of_strike(strike_micros) - self._log_forward

    def _deviation(self, log: int) -> int:
        """√w, the volatility until expiry at this log(K/F), in billionths."""
        root_theta = self._root_theta
        if not root_theta:
            return 0
        rho = self._rho
        u = self._eta_ppm * (log * ONE // root_theta) // PPM
        shape = (ONE + rho * u // ONE + isqrt((u + rho) * (u + rho) + self._rest)) // 2
        return root_theta * isqrt(shape * ONE) // ONE


# Strikes stay, so their logarithms are worth keeping.
_log_of_strike = lru_cache(maxsize=10_000)(log_nano)


def sound_curvature_ppm(curvature_ppm: int, skew_ppm: int, root_theta_nano: int) -> int:
    """Return the curvature, lowered if the smile would allow butterfly arbitrage."""
    weight_ppm = PPM + abs(skew_ppm)
    highest = isqrt(4 * PPM * PPM * PPM // weight_ppm)
    if root_theta_nano:
        highest = min(highest, (4 * PPM * PPM * ONE - 1) // (weight_ppm * root_theta_nano))
    return min(curvature_ppm, highest)


def moved_smile(smile: Smile, points: list[Point], configured: Smile, limits: SmileLimits, ts_us: int) -> Smile:
    """Return the smile at `ts_us`, nearer to the quotes; a parameter that they do not show goes back.

    `configured` is the smile without quotes. No parameter moves more than the limit of a minute, however long ago the
    last move was.
    """
    allowed = limits.move_ppm * min(ts_us - smile.moved_us, US_PER_MINUTE) // US_PER_MINUTE
    if allowed <= 0:
        return smile
    level, skew, curvature = _wanted(smile, points, configured)
    level = min(max(level, limits.level_min_ppm), limits.level_max_ppm)
    skew = min(max(skew, -SKEW_MAX_PPM), SKEW_MAX_PPM)
    curvature = min(max(curvature, CURVATURE_MIN_PPM), CURVATURE_MAX_PPM)
    return Smile(
        _moved(smile.level_ppm, level, allowed),
        _moved(smile.skew_ppm, skew, allowed),
        _moved(smile.curvature_ppm, curvature, allowed),
        ts_us,
    )


def _moved(value: int, wanted: int, allowed: int) -> int:
    return min(max(wanted, value - allowed), value + allowed)


def _wanted(smile: Smile, points: list[Point], configured: Smile) -> tuple[int, int, int]:
    """Return the parameters that the points ask for, by medians, which no minority of quotes can move far.

    The missing volatility is about a + b·z + c·z². To first order at the money, the level adds a, the skew adds b for
    level · eta / 2 of it, and the curvature adds c for level · eta · (1 - 2 · rho²) / 4.
    """
    if not points:
        return configured.level_ppm, configured.skew_ppm, configured.curvature_ppm
    near = [point.missing_ppm for point in points if abs(point.z_nano) <= ONE]
    a = _median(near or [point.missing_ppm for point in points])
    level = smile.level_ppm + a
    skew, curvature = configured.skew_ppm, configured.curvature_ppm
    scale = smile.level_ppm * smile.curvature_ppm
    slopes = [(p.missing_ppm - a) * ONE // p.z_nano for p in points if abs(p.z_nano) >= ONE // 4]
    b = 0
    if len(slopes) >= 2:
        b = _median(slopes)
        skew = smile.skew_ppm + 2 * b * PPM * PPM // scale
    bends = [
        (p.missing_ppm - a - b * p.z_nano // ONE) * ONE // p.z_nano * ONE // p.z_nano
        for p in points
        if abs(p.z_nano) >= ONE // 2
    ]
    if len(bends) >= 2:
        rho_square = smile.skew_ppm * smile.skew_ppm // PPM
        share_ppm = max(PPM - 2 * rho_square, PPM // 4)
        curvature = smile.curvature_ppm + 4 * _median(bends) * PPM * PPM * PPM // (scale * share_ppm)
    return level, skew, curvature


def _median(values: list[int]) -> int:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2
