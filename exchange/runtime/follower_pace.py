"""The pace of the follower: at once while the exchange is quiet, in large steps while it is busy.

A large step costs less than many small ones, and a burst of orders gets the processor that the follower leaves. After a
crash, the exchange replays at its start what the follower had not reached, so the follower never rests for long.

If more commands arrive than the follower can write rows for, it leaves the rows out until fewer arrive: a replay alone
is twice as fast, so snapshots keep the next start short. The history follows later.
"""

import math

# The exchange is busy from this number of commands a second on.
BUSY_PER_SECOND = 1_000
# A step begins if a replay of the commands that the follower lacks would take LAG_SECONDS, or after REST_SECONDS_MAX.
LAG_SECONDS = 1.0
REST_SECONDS_MAX = 5.0
# While the exchange is busy, a follower has its priority if a replay of the missing commands would take this time.
URGENT_SECONDS = 1.5
# A follower is overloaded if a replay of the missing commands would take this time, and more are missing than before.
OVERLOAD_SECONDS = 5.0
# Between two looks whether more are missing than before.
WINDOW_SECONDS = 2.0
# A step ends here: while the exchange is busy, new commands always arrive.
_STEP_END_SECONDS = 0.1
# Between two measurements of the rate of new commands.
_MEASURE_SECONDS = 0.05


class FollowerPace:
    """Decides when the follower works, and its priority."""

    def __init__(self) -> None:
        self._measured_seconds = self._rests_since_seconds = 0.0
        self._head_seq = 0
        self._is_busy = self._is_stepping = False
        self._window_seconds, self._window_head_seq, self._window_lag = 0.0, 0, math.inf
        self._overload_per_second = 0.0
        # True if the follower must not wait for the processor.
        self.is_urgent = False
        # True if the follower must not spend time on rows of the history.
        self.is_overloaded = False

    def begin(self) -> None:
        """Another follower begins, whose lag cannot be compared with that of the last one."""
        self._window_lag = math.inf

    def is_time_to_work(self, now_seconds: float, head_seq: int, seq: int, commands_per_second: float) -> bool:
        """True if a follower works now that has applied the commands up to `seq` of `head_seq`.

        `commands_per_second` is the speed of its replay.
        """
        passed_seconds = now_seconds - self._measured_seconds
        if passed_seconds >= _MEASURE_SECONDS:
            self._is_busy = head_seq - self._head_seq >= BUSY_PER_SECOND * passed_seconds
            self._measured_seconds, self._head_seq = now_seconds, head_seq
        lag_seconds = (head_seq - seq) / commands_per_second
        # A history that is written anew is far behind, too. While the exchange is quiet, the processor is free for it.
        self.is_urgent = self._is_busy and lag_seconds >= URGENT_SECONDS
        if now_seconds - self._window_seconds >= WINDOW_SECONDS:
            self._judge_load(now_seconds, head_seq, head_seq - seq, lag_seconds)
        if not self._is_busy:
            self._is_stepping, self._rests_since_seconds = False, now_seconds
            return True
        if self._is_stepping:
            self._is_stepping, self._rests_since_seconds = lag_seconds > _STEP_END_SECONDS, now_seconds
        else:
            has_rested = now_seconds - self._rests_since_seconds >= REST_SECONDS_MAX
            self._is_stepping = has_rested or lag_seconds >= LAG_SECONDS
        return self._is_stepping

    def _judge_load(self, now_seconds: float, head_seq: int, lag: int, lag_seconds: float) -> None:
        """Decide whether more commands arrive than the follower can write rows for."""
        per_second = (head_seq - self._window_head_seq) / (now_seconds - self._window_seconds)
        if self.is_overloaded:
            # A follower that just keeps up must not change its mind again and again.
            self.is_overloaded = per_second > self._overload_per_second / 2
        elif self._is_busy and lag_seconds >= OVERLOAD_SECONDS and lag > self._window_lag:
            self.is_overloaded, self._overload_per_second = True, per_second
        self._window_seconds, self._window_head_seq, self._window_lag = now_seconds, head_seq, lag
