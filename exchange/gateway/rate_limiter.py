"""Token buckets: a rate, and how much of it may be used at once."""

from collections.abc import Callable

from exchange.domain.units import US_PER_SECOND


class TokenBucket:
    """Holds at most `size` tokens, and gains `rate` tokens a second. `now_us` tells the exchange time."""

    __slots__ = ("_filled_us", "_now_us", "_rate", "_size", "_tokens")

    def __init__(self, rate: float, size: float, now_us: Callable[[], int]) -> None:
        self._rate = rate
        self._size = size
        self._tokens = size
        self._now_us = now_us
        self._filled_us = now_us()

    @property
    def tokens(self) -> int:
        """The tokens that are left."""
        return max(0, int(self._tokens))

    @property
    def is_full(self) -> bool:
        """True if as many tokens are there as the bucket holds."""
        self._refill()
        return self._tokens >= self._size

    def wait_ms(self, count: float) -> int:
        """The time until `count` tokens are there; 0 if they are. More than the bucket can hold counts as all of it."""
        if self._tokens >= count:
            return 0
        self._refill()
        missing = min(count, self._size) - self._tokens
        return 0 if missing <= 0 else int(missing * 1_000 / self._rate) + 1

    def take(self, count: float) -> None:
        """Take tokens. There may be fewer than none afterwards."""
        self._tokens -= count

    def _refill(self) -> None:
        now_us = self._now_us()
        gained = max(0, now_us - self._filled_us) * self._rate / US_PER_SECOND
        self._tokens = min(self._size, self._tokens + gained)
        self._filled_us = now_us
