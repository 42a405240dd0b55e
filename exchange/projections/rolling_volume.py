"""What was traded in the last 24 hours, by the minute of exchange time."""

import msgspec

from exchange.domain.units import US_PER_DAY

US_PER_MINUTE = 60_000_000
_MINUTES = US_PER_DAY // US_PER_MINUTE


class RollingVolume(msgspec.Struct):
    """The volume of one instrument: each minute in which there was any, oldest first, and how much."""

    minutes: list[tuple[int, int]] = []
    total_milli: int = 0

    def add(self, size_milli: int, ts_us: int) -> None:
        """Count a trade, and forget the minutes that are a day old by now."""
        minute = ts_us // US_PER_MINUTE
        expired = self._expired(minute)
        self.total_milli += size_milli - sum(size for _, size in self.minutes[:expired])
        del self.minutes[:expired]
        if self.minutes and self.minutes[-1][0] == minute:
            size_milli += self.minutes.pop()[1]
        self.minutes.append((minute, size_milli))

    def volume_milli(self, ts_us: int) -> int:
        """The volume of the last 1,440 minutes, the one of `ts_us` included."""
        expired = self._expired(ts_us // US_PER_MINUTE)
        return self.total_milli - sum(size for _, size in self.minutes[:expired])

    def _expired(self, minute: int) -> int:
        """How many of the minutes are a day old."""
        count = 0
        for begun, _ in self.minutes:
            if begun > minute - _MINUTES:
                break
            count += 1
        return count
