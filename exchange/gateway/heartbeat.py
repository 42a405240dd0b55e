"""Heartbeats: finds out if a silent client is still connected. The caller ticks it every second.

state      silence counts from    `public/test`      any other message    after `interval_seconds`
waiting    the last message       starts again       starts again         asks: becomes asked
asked      the test request       becomes waiting    changes nothing      gives up
"""

from typing import Literal


class Heartbeat:
    """The heartbeat of one connection. The client has `interval_seconds` to answer a test request."""

    def __init__(self, interval_seconds: int) -> None:
        self._interval_seconds = interval_seconds
        # Seconds of silence, or seconds since the test request if the client was asked.
        self._seconds = 0
        self._is_asked = False

    def on_message(self) -> None:
        """Restart the silence. The caller reports every frame; only `on_test_reply` answers a test request."""
        if not self._is_asked:
            self._seconds = 0

    def on_test_reply(self) -> None:
        """The client called `public/test`."""
        self._is_asked = False
        self._seconds = 0

    def on_tick(self) -> Literal["wait", "ask", "give up"]:
        """One second passed. Returns the action for the caller."""
        self._seconds += 1
        if self._seconds < self._interval_seconds:
            return "wait"
        if self._is_asked:
            return "give up"
        self._is_asked = True
        self._seconds = 0
        return "ask"
