"""The band around the mark within which the price of an order must be."""

from exchange.domain.rules import Band
from exchange.domain.smile import Slice
from exchange.domain.units import PPM


def band_width_micros(band: Band, at: Slice, strike_micros: int) -> int:
    """Return how far from the mark the prices of a call and of a put with this strike may be.

    `at` is the smile of their expiration at its forward.
    """
    return at.forward_micros * band.index_ppm // PPM + at.gamma_micros(strike_micros, band.move_ppm)


def price_band(
    width_micros: int, forward_micros: int, is_call: bool, strike_micros: int, tick_micros: int, mark_micros: int
) -> tuple[int, int]:
    """Return the lowest and the highest price of an order in micros, both multiples of the tick.

    No price is above the forward (call) or the strike (put), but for one tick, which is always within the band.
    """
    highest = min(mark_micros + width_micros, forward_micros if is_call else strike_micros)
    highest_ticks = max(1, highest // tick_micros)
    lowest_ticks = max(1, -(-(mark_micros - width_micros) // tick_micros))
    return min(lowest_ticks, highest_ticks) * tick_micros, highest_ticks * tick_micros
