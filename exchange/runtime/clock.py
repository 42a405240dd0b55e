"""Exchange time: the wall clock plus a fixed shift, and never before the last recorded command."""

import time


class Clock:
    """Exchange time in microseconds since the Unix epoch. It advances at the speed of the wall clock.

    It begins at `start_us` (None: the wall clock's time), but never before `not_before_us`, the time of the last
    recorded command. So a journal whose last command lies in the future continues from there.
    """

    def __init__(self, start_us: int | None = None, not_before_us: int = 0) -> None:
        wall_us = _wall_us()
        self._shift_us = max(wall_us if start_us is None else start_us, not_before_us) - wall_us

    def now_us(self) -> int:
        """The current exchange time."""
        return _wall_us() + self._shift_us


def _wall_us() -> int:
    return time.time_ns() // 1_000


def thread_cpu_us() -> int:
    """The CPU time that this thread has used. Unlike elapsed time, it does not depend on the load of the machine."""
    return time.thread_time_ns() // 1_000
