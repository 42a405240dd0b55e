"""Exchange time: the wall clock, shifted where a start elsewhere was asked for, and never before what is recorded."""

import time


class Clock:
    """Microseconds since the epoch, at the normal speed of the wall clock.

    `start_us` is where exchange time begins (None: now). It never begins before `not_before_us`, the time of the last
    recorded command: a journal that lies in the future continues there.
    """

    def __init__(self, start_us: int | None = None, not_before_us: int = 0) -> None:
        wall_us = _wall_us()
        self._shift_us = max(wall_us if start_us is None else start_us, not_before_us) - wall_us

    def now_us(self) -> int:
        return _wall_us() + self._shift_us


def _wall_us() -> int:
    return time.time_ns() // 1_000


def thread_cpu_us() -> int:
    """The time for which this thread has worked so far, whatever else the machine was doing."""
    return time.thread_time_ns() // 1_000
