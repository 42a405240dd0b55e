"""The volume of the last 24 hours, by the minute of exchange time."""

from exchange.domain.units import US_PER_DAY

US_PER_MINUTE = 60_000_000
_MINUTES = US_PER_DAY // US_PER_MINUTE


class RollingVolume:
    """The volume of one instrument; `minutes` holds (minute, volume) of each minute with trades, oldest first."""

    __slots__ = ("minutes", "total_milli")

    def __init__(self, minutes: list[tuple[int, int]] | None = None, total_milli: int = 0) -> None:
        self.minutes = [] if minutes is None else minutes
        self.total_milli = total_milli

    def add(self, size_milli: int, ts_us: int) -> None:
        """Add a trade, and drop the minutes that are a day old. O(minutes)."""
        minute = ts_us // US_PER_MINUTE
        if expired := self._expired(minute):
            self.total_milli -= self._sum(expired)
            del self.minutes[:expired]
        self.total_milli += size_milli
        if self.minutes and self.minutes[-1][0] == minute:
            size_milli += self.minutes.pop()[1]
        self.minutes.append((minute, size_milli))

    def volume_milli(self, ts_us: int) -> int:
        """Return the volume of the last 1,440 minutes, including that of `ts_us`."""
        return self.total_milli - self._sum(self._expired(ts_us // US_PER_MINUTE))

    def _sum(self, count: int) -> int:
        """Return the volume of the oldest minutes."""
        return sum([size_milli for _, size_milli in self.minutes[:count]])

    def _expired(self, minute: int) -> int:
        """Return how many of the stored minutes are a day old."""
        count = 0
        for stored, _ in self.minutes:
            if stored > minute - _MINUTES:
                break
            count += 1
        return count
