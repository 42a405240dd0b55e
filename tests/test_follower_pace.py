"""The pace of the follower: when it works, and with which priority, on a clock of the test."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, pairwise

import pytest

from exchange.runtime import follower
from exchange.runtime.follower_pace import (
    BUSY_PER_SECOND,
    LAG_SECONDS,
    OVERLOAD_SECONDS,
    REST_SECONDS_MAX,
    URGENT_SECONDS,
    FollowerPace,
)

SPEED = 30_000.0  # commands of a replay in a second


def decisions(arrivals: list[int], per_look: int, speed: float = SPEED) -> Iterator[tuple[int, bool, bool]]:
    """The lag, whether the follower works, and whether this is urgent, at looks every tenth of a second.

    So many commands arrive before each look, and a follower that works applies up to `per_look`.
    """
    paced, head_seq, seq = FollowerPace(), 1_000, 1_000
    for look, arrived in enumerate(arrivals):
        head_seq += arrived
        works = paced.is_time_to_work(100 + look / 10, head_seq, seq, speed)
        yield head_seq - seq, works, paced.is_urgent
        if works:
            seq = min(head_seq, seq + per_look)


def test_a_quiet_exchange_is_followed_at_once() -> None:
    assert all(works for _, works, _ in decisions([BUSY_PER_SECOND // 10 - 1] * 100, 1_000))


def test_during_a_burst_the_follower_rests_and_works_when_it_ends() -> None:
    looks = list(decisions([1, *[1_200] * 20, 0, 0], 100_000))
    assert [works for _, works, _ in looks] == [True, *[False] * 20, True, True]
    assert not any(urgent for _, _, urgent in looks)


def test_during_a_long_load_it_works_in_large_steps_before_its_lag_is_urgent() -> None:
    looks = list(decisions([1_200] * 300, 4_000))
    assert max(lag for lag, _, _ in looks) <= (LAG_SECONDS + 0.1) * SPEED < URGENT_SECONDS * SPEED
    begun = [lag for (_, before, _), (lag, works, _) in pairwise(looks[1:]) if works and not before]
    assert len(begun) >= 3
    assert min(begun) >= LAG_SECONDS * SPEED


def test_it_rests_for_a_limited_time() -> None:
    looks = list(decisions([BUSY_PER_SECOND // 5] * 200, 100_000, speed=1e9))
    rests = "".join("w" if works else "-" for _, works, _ in looks[1:]).split("w")
    assert REST_SECONDS_MAX * 10 - 2 <= max(map(len, rests)) <= REST_SECONDS_MAX * 10


def test_a_follower_without_enough_processor_becomes_urgent_until_the_load_ends() -> None:
    looks = list(decisions([1, *[1_200] * 200, *[0] * 10], 900))
    assert looks[-1][0] > URGENT_SECONDS * SPEED
    assert [urgent for _, _, urgent in looks[:-10]] == [lag >= URGENT_SECONDS * SPEED for lag, _, _ in looks[:-10]]
    assert all(works and not urgent for _, works, urgent in looks[-10:])


def test_an_overloaded_follower_writes_no_rows_until_half_as_many_commands_arrive() -> None:
    paced, head_seq, seq, begun_lag = FollowerPace(), 0, 0, 0
    overloaded: list[bool] = []
    paced.begin()
    for look, arrived in enumerate([1_500] * 400 + [1_400] * 100 + [700] * 50):
        head_seq += arrived
        paced.is_time_to_work(100 + look / 10, head_seq, seq, SPEED)
        if paced.is_overloaded and not any(overloaded):
            begun_lag, seq = head_seq - seq, head_seq
            paced.begin()
        seq = min(head_seq, seq + (3_000 if paced.is_overloaded else 1_000))
        overloaded.append(paced.is_overloaded)
    assert OVERLOAD_SECONDS * SPEED <= begun_lag <= OVERLOAD_SECONDS * SPEED + 20 * 500
    assert [change for change, _ in groupby(overloaded)] == [False, True, False]
    assert overloaded.count(True) >= 200
    assert all(overloaded[400:500])


@pytest.mark.parametrize("changes", [False, True])
def test_a_history_that_is_written_anew_is_not_given_up_while_it_gains(changes: bool) -> None:
    """It may be far behind. Nor is one that begins after a follower which was not."""
    paced, head_seq, seq = FollowerPace(), 2_000_000, 0
    paced.begin()
    for look in range(100):
        paced.is_time_to_work(100 + look / 10, head_seq, seq, SPEED)
        head_seq, seq = head_seq + 200, seq + 1_000
        if changes and look == 50:
            seq = 0
            paced.begin()
        assert not paced.is_overloaded


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="only Linux has priorities of threads")
def test_only_the_thread_of_work_that_is_not_urgent_has_the_lowest_priority() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    own = niceness()
    with ThreadPoolExecutor(1, initializer=follower.lower_priority) as low:
        assert low.submit(niceness).result() == 19
    assert niceness() == own
