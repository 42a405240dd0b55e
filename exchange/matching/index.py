"""The index of an asset: its price, and what its average over the last half hour of the day has come to so far."""

import msgspec

from exchange.domain.units import US_PER_SECOND, next_day_end_us

WINDOW_US = 30 * 60 * US_PER_SECOND  # before 08:00 UTC, over which a delivery price is averaged


class IndexState(msgspec.Struct, eq=False):
    """`window_sum` is the sum of price times duration (micros times microseconds) within the window of this day, up to
    `ts_us`, and `window_us` the time that it covers. All series expire at 08:00 UTC, so one window a day is enough.

    `listed` says for which strike and day every series is known to be listed; it is only a shortcut.
    """

    price_micros: int
    ts_us: int
    window_sum: int = 0
    window_us: int = 0
    listed: tuple[int, int] | None = None

    def move(self, price_micros: int, ts_us: int) -> None:
        """The price is another one from `ts_us` on."""
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
        """The average over the window before `day_end_us`, rounded once, half up, to the tick; a price holds until the
        next one. None where all that is known came later.
        """
        if self.ts_us >= day_end_us:
            return None
        is_this_day = next_day_end_us(self.ts_us) == day_end_us
        held_us = day_end_us - max(self.ts_us, day_end_us - WINDOW_US)
        total = (self.window_sum if is_this_day else 0) + self.price_micros * held_us
        per_tick = ((self.window_us if is_this_day else 0) + held_us) * tick_micros
        return (2 * total + per_tick) // (2 * per_tick) * tick_micros
