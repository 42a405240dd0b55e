"""The memory of used signatures, so that none is accepted twice."""

from collections import deque

# How far the time of a signature may be from that of the exchange.
WINDOW_MS = 60_000
# Signatures in memory of one key. Only its owner can make them, so that no client locks out another.
NONCES_MAX = 10_000


class UsedNonces:
    """The nonces of accepted signatures, per key, while their time is in the window.

    Signatures of a time that may have been forgotten are refused, also those of an earlier run: `now_ms` is its start.
    """

    def __init__(self, now_ms: int) -> None:
        self._forgotten_until_ms = now_ms
        self._used: dict[str, set[str]] = {}
        self._in_order: deque[tuple[int, str, str]] = deque()

    def why_refused(self, client_id: str, timestamp_ms: int, nonce: str, now_ms: int) -> str | None:
        """Why this signature, which is genuine, is not accepted; None if it is. It is then used."""
        if abs(now_ms - timestamp_ms) > WINDOW_MS:
            return (
                f"timestamp is {abs(now_ms - timestamp_ms) / 1_000:.0f} seconds away from the clock of the exchange, "
                f"which shows {now_ms}: at most {WINDOW_MS // 1_000} are allowed"
            )
        self._forget(now_ms)
        if timestamp_ms <= self._forgotten_until_ms:
            return "the request was signed before the exchange started: sign it again with the time now"
        used = self._used.setdefault(client_id, set())
        if nonce in used:
            return "nonce was used already: take a new one for each request"
        if len(used) >= NONCES_MAX:
            seconds = 2 * WINDOW_MS // 1_000
            return f"this key signed {NONCES_MAX} requests within {seconds} seconds: wait and sign again"
        used.add(nonce)
        self._in_order.append((timestamp_ms, client_id, nonce))
        return None

    def _forget(self, now_ms: int) -> None:
        """Forget nonces whose time is out of the window. They come nearly in the order of their times."""
        while self._in_order and self._in_order[0][0] < now_ms - 2 * WINDOW_MS:
            timestamp_ms, client_id, nonce = self._in_order.popleft()
            self._forgotten_until_ms = max(self._forgotten_until_ms, timestamp_ms)
            used = self._used[client_id]
            used.discard(nonce)
            if not used:
                del self._used[client_id]
