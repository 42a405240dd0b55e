"""The index of an asset: its price, and its running average over the last half hour of the day."""

from exchange.domain.smile import Smile
from exchange.domain.units import US_PER_SECOND, next_day_end_us

# A delivery price is the average of the index over this time before 08:00 UTC.
WINDOW_US = 30 * 60 * US_PER_SECOND
# Values of `IndexState.reopens_us`: the asset waits for an index price, and the run of the server has ended normally.
CANCEL_ONLY = 0
ENDED = -1


class IndexState:
    """The index price since `ts_us`, and the sums for its average.

    `window_sum` is the sum of price * duration (micros * microseconds) within this day's window, up to `ts_us`.
    `window_us` is the time that the sum covers. All series expire at 08:00 UTC, so one window a day is enough.
    `listed` is a cache: the strike and the day for which all series are already listed. `smiles` are those of the live
    expirations, by expiration_us; only in a fair market. `reopens_us` is the time until which only post-only orders are
    accepted, CANCEL_ONLY or ENDED; None in an open market.
    """

    __slots__ = ("listed", "price_micros", "reopens_us", "smiles", "ts_us", "window_sum", "window_us")

    def __init__(self, price_micros: int, ts_us: int, window_sum: int = 0, window_us: int = 0) -> None:
        self.price_micros = price_micros
        self.ts_us = ts_us
        self.window_sum = window_sum
        self.window_us = window_us
        self.listed: tuple[int, int] | None = None
        self.smiles: dict[int, Smile] = {}
        self.reopens_us: int | None = None

    def move(self, price_micros: int, ts_us: int) -> None:
        """Set the price from `ts_us` on, and add the previous one to the window."""
        day_end_us = next_day_end_us(ts_us)
        if next_day_end_us(self.ts_us) != day_end_us:
            self.window_sum = self.window_us = 0
        held_us = ts_us - max(self.ts_us, day_end_us - WINDOW_US)
        if held_us > 0:
            self.window_sum += self.price_micros * held_us
            self.window_us += held_us
        self.price_micros = price_micros
        self.ts_us = ts_us

    def delivery_micros(self, day_end_us: int, tick_micros: int) -> int | None:
        """Return the average over the window before `day_end_us`, rounded once, half up, to the tick.

        A price holds until the next one. None if the first known price came after `day_end_us`.
        """
        if self.ts_us >= day_end_us:
            return None
        is_this_day = next_day_end_us(self.ts_us) == day_end_us
        held_us = day_end_us - max(self.ts_us, day_end_us - WINDOW_US)
        total = (self.window_sum if is_this_day else 0) + self.price_micros * held_us
        per_tick = ((self.window_us if is_this_day else 0) + held_us) * tick_micros
        return (2 * total + per_tick) // (2 * per_tick) * tick_micros
