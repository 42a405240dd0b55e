"""The band around the mark within which the price of an order must be."""

from exchange.domain.rules import Band
from exchange.domain.smile import Slice
from exchange.domain.units import PPM


def price_band(
    band: Band, at: Slice, is_call: bool, strike_micros: int, tick_micros: int, mark_micros: int
) -> tuple[int, int]:
    """Return the lowest and the highest price of an order in micros, both multiples of the tick.

    `at` is the smile of the option at its forward. No price is above the forward (call) or the strike (put), but for
    one tick, which is always within the band.
    """
    forward_micros = at.forward_micros
    width = forward_micros * band.index_ppm // PPM + at.gamma_micros(strike_micros, band.move_ppm)
    highest = min(mark_micros + width, forward_micros if is_call else strike_micros)
    highest_ticks = max(1, highest // tick_micros)
    lowest_ticks = max(1, -(-(mark_micros - width) // tick_micros))
    return min(lowest_ticks, highest_ticks) * tick_micros, highest_ticks * tick_micros
