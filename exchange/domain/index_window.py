"""An index price and its running average over the last half hour of the day, from which a delivery price follows."""

from exchange.domain.units import US_PER_SECOND, next_day_end_us

# A delivery price is the average of the index over this time before 08:00 UTC.
WINDOW_US = 30 * 60 * US_PER_SECOND


class IndexWindow:
    """The index price since `ts_us`, and the sums for its average.

    `window_sum` is the sum of price * duration (micros * microseconds) within this day's window, up to `ts_us`.
    `window_us` is the time that the sum covers. All series expire at 08:00 UTC, so one window a day is enough.
    """

    __slots__ = ("price_micros", "ts_us", "window_sum", "window_us")

    def __init__(self, price_micros: int, ts_us: int, window_sum: int = 0, window_us: int = 0) -> None:
        self.price_micros = price_micros
        self.ts_us = ts_us
        self.window_sum = window_sum
        self.window_us = window_us

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
        return self._average_micros(day_end_us, day_end_us, tick_micros)

    def estimated_delivery_micros(self, day_end_us: int, now_us: int) -> int:
        """Return the average from the begin of the window before `day_end_us` until now, rounded half up to the micro.

        Before the window it is the price itself.
        """
        if now_us <= max(self.ts_us, day_end_us - WINDOW_US) and not (self.window_us and self._is_of(day_end_us)):
            return self.price_micros
        return self._average_micros(day_end_us, now_us, 1)

    def _average_micros(self, day_end_us: int, until_us: int, tick_micros: int) -> int:
        is_this_day = self._is_of(day_end_us)
        held_us = until_us - max(self.ts_us, day_end_us - WINDOW_US)
        total = (self.window_sum if is_this_day else 0) + self.price_micros * held_us
        per_tick = ((self.window_us if is_this_day else 0) + held_us) * tick_micros
        return (2 * total + per_tick) // (2 * per_tick) * tick_micros

    def _is_of(self, day_end_us: int) -> bool:
        return next_day_end_us(self.ts_us) == day_end_us
