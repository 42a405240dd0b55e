"""Counts requests: their latencies by method, and their refusals by reason.

All counts are plain numbers that only the thread of the event loop changes, so that a request takes no lock. Without a
meter the gateway counts nothing.
"""

import time
from bisect import bisect_left

# The name of requests that call no method of the exchange. Names that clients invent would fill the memory.
NO_METHOD = "unknown"

REQUEST_BOUNDS_SECONDS = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)


class Distribution:
    """The number of values up to each of `bounds`, which rise, and the sum of all values.

    The last count, one more than there are bounds, is that of the values above all bounds.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def copy(self) -> "Distribution":
        """A copy that does not change."""
        copied = Distribution(self.bounds)
        copied.counts, copied.total = self.counts[:], self.total
        return copied


class RequestMeter:
    """Measures requests from the moment when they are read until the write that hands their answers to the socket."""

    def __init__(self) -> None:
        self.latencies: dict[str, Distribution] = {}
        self.refusals: dict[str, int] = {}
        # The method and the arrival of each request that was answered since the last write.
        self._answered: list[tuple[str, float]] = []

    def answered(self, method: str, arrived_seconds: float) -> None:
        """Count a request whose answer is ready to be written."""
        self._answered.append((method, arrived_seconds))

    def refused(self, reason: str) -> None:
        """Count a request that was answered with an error."""
        self.refusals[reason] = self.refusals.get(reason, 0) + 1

    def handed_over(self) -> None:
        """All answers that were ready are handed to the sockets."""
        if self._answered:
            now_seconds = time.perf_counter()
            for method, arrived_seconds in self._answered:
                latencies = self.latencies.get(method)
                if latencies is None:
                    latencies = self.latencies[method] = Distribution(REQUEST_BOUNDS_SECONDS)
                latencies.add(now_seconds - arrived_seconds)
            self._answered.clear()
