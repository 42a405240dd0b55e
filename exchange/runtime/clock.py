"""Exchange time: the wall clock, guarded against jumps, plus a fixed shift; never before the last recorded command."""

import logging
import time
from collections.abc import Callable

from exchange.domain.units import US_PER_SECOND

_log = logging.getLogger(__name__)

# A wall clock that moves further than this against the steady clock has jumped.
JUMP_MAX_US = 60 * US_PER_SECOND

# The steady clock. On Linux it also counts while the machine sleeps, so that a sleep is not a jump.
_STEADY_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

# Reads the wall clock and the steady clock, both in microseconds.
ReadClocks = Callable[[], tuple[int, int]]


class Clock:
    """Exchange time in microseconds since the Unix epoch. It advances at the speed of the wall clock.

    It begins at `start_us` (None: the wall clock's time), but never before `not_before_us`, the time of the last
    recorded command. So a journal whose last command lies in the future continues from there.

    Days end and series expire by this time, for ever. So a wall clock that jumps by more than `JUMP_MAX_US` against the
    steady clock is not believed: exchange time follows the steady clock until the wall clock is back, or until
    `confirm` accepts it. `jump_us` is then its distance from the time that was expected, otherwise 0.
    """

    jump_us = 0

    def __init__(self, start_us: int | None = None, not_before_us: int = 0, read: ReadClocks | None = None) -> None:
        self._read = read or _read_system_clocks
        wall_us, steady_us = self._read()
        self._shift_us = max(wall_us if start_us is None else start_us, not_before_us) - wall_us
        # The wall clock's lead over the steady clock. It follows small steps and slow drift.
        self._lead_us = wall_us - steady_us

    def now_us(self) -> int:
        """The current exchange time."""
        wall_us, steady_us = self._read()
        lead_us = wall_us - steady_us
        jump_us = lead_us - self._lead_us
        if -JUMP_MAX_US <= jump_us <= JUMP_MAX_US:
            self._lead_us, jump_us = lead_us, 0
        if (jump_us == 0) != (self.jump_us == 0):
            _report(jump_us)
        self.jump_us = jump_us
        return steady_us + self._lead_us + self._shift_us

    def confirm(self) -> int:
        """Accept the time that the wall clock shows. Returns the jump in microseconds, 0 if it had not jumped."""
        self.now_us()
        wall_us, steady_us = self._read()
        self._lead_us, jump_us, self.jump_us = wall_us - steady_us, self.jump_us, 0
        return jump_us


def jump_text(jump_us: int) -> str:
    """A jump for people: its length in seconds and its direction."""
    return f"{abs(jump_us) / US_PER_SECOND:,.1f} s {'ahead of' if jump_us > 0 else 'behind'} the expected time"


def _report(jump_us: int) -> None:
    if jump_us:
        _log.error(
            "the system clock jumped: it is %s. New commands are refused. Set the clock right, or accept its time with "
            "`exchange admin confirm-time`",
            jump_text(jump_us),
        )
    else:
        _log.warning("the system clock shows the expected time again: new commands are accepted")


def _read_system_clocks() -> tuple[int, int]:
    return time.time_ns() // 1_000, time.clock_gettime_ns(_STEADY_CLOCK) // 1_000


def thread_cpu_us() -> int:
    """The CPU time that this thread has used. Unlike elapsed time, it does not depend on the load of the machine."""
    return time.thread_time_ns() // 1_000
