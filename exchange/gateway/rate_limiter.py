"""The rate limit of one connection: a token bucket that holds one second's worth of requests."""

from collections.abc import Callable

from exchange.domain.units import US_PER_SECOND
from exchange.gateway.jsonrpc import rate_limited


class RateLimiter:
    """`requests_per_second` 0: no limit. `now_us` tells the exchange time."""

    def __init__(self, requests_per_second: int, now_us: Callable[[], int]) -> None:
        self._rate = requests_per_second
        self._tokens = float(requests_per_second)
        self._now_us = now_us
        self._filled_us = now_us()

    def take_token(self) -> None:
        """Count one request. Raises RpcError 1007 if the rate is exceeded."""
        if not self._rate:
            return
        if self._tokens < 1:
            self._refill()
            if self._tokens < 1:
                wait_ms = int((1 - self._tokens) * 1_000 / self._rate) + 1
                raise rate_limited(f"at most {self._rate} requests a second on one connection", wait_ms)
        self._tokens -= 1

    def _refill(self) -> None:
        now_us = self._now_us()
        gained = max(0, now_us - self._filled_us) * self._rate / US_PER_SECOND
        self._tokens = min(float(self._rate), self._tokens + gained)
        self._filled_us = now_us
