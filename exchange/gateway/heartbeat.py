"""Heartbeats: whether a client that says nothing is still there. Time is told to it, second by second."""

from typing import Literal


class Heartbeat:
    """Of one connection: after `interval_seconds` of silence the client is asked, and has as long again to answer."""

    def __init__(self, interval_seconds: int) -> None:
        self._interval_seconds = interval_seconds
        self._seconds = 0  # of silence; once it was asked, since then
        self._is_asked = False

    def on_message(self) -> None:
        """The client sent something. That is no answer, if it was asked."""
        if not self._is_asked:
            self._seconds = 0

    def on_test_reply(self) -> None:
        """The client sent what it is asked for."""
        self._is_asked = False
        self._seconds = 0

    def on_tick(self) -> Literal["wait", "ask", "give up"]:
        """What is to be done now."""
        self._seconds += 1
        if self._seconds < self._interval_seconds:
            return "wait"
        if self._is_asked:
            return "give up"
        self._is_asked = True
        self._seconds = 0
        return "ask"
