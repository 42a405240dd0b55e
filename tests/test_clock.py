"""Exchange time, while the system clock drifts, jumps and comes back."""

import logging

import pytest

from exchange.domain.units import US_PER_DAY, US_PER_SECOND
from exchange.runtime.clock import Clock

START_US = 1_771_545_600_000_000
HOUR_US = 3_600 * US_PER_SECOND


class SystemClocks:
    """A wall clock and a steady clock, which counts from another beginning."""

    def __init__(self) -> None:
        self.wall_us, self.steady_us = START_US, 5_000

    def pass_time(self, us: int) -> None:
        self.wall_us += us
        self.steady_us += us

    def read(self) -> tuple[int, int]:
        return self.wall_us, self.steady_us


@pytest.fixture
def clocks() -> SystemClocks:
    return SystemClocks()


@pytest.fixture
def clock(clocks: SystemClocks) -> Clock:
    return Clock(read=clocks.read)


def test_time_follows_steps_of_up_to_a_minute(clocks: SystemClocks, clock: Clock) -> None:
    for step_us in (0, 60 * US_PER_SECOND, -60 * US_PER_SECOND, 1, -1):
        clocks.pass_time(US_PER_SECOND)
        clocks.wall_us += step_us
        assert clock.now_us() == clocks.wall_us
        assert clock.jump_us == 0


def test_slow_drift_is_not_a_jump(clocks: SystemClocks, clock: Clock) -> None:
    for _ in range(10):
        clocks.pass_time(HOUR_US)
        clocks.wall_us += 59 * US_PER_SECOND
        assert clock.now_us() == clocks.wall_us


@pytest.mark.parametrize("jump_us", [60 * US_PER_SECOND + 1, -HOUR_US, 3_650 * US_PER_DAY])
def test_time_does_not_follow_a_jump_until_it_is_confirmed(clocks: SystemClocks, clock: Clock, jump_us: int) -> None:
    clocks.wall_us += jump_us
    clocks.pass_time(90 * US_PER_SECOND)
    assert clock.now_us() == START_US + 90 * US_PER_SECOND
    assert clock.jump_us == jump_us

    assert clock.confirm() == jump_us
    assert clock.now_us() == clocks.wall_us
    assert clock.jump_us == 0
    assert clock.confirm() == 0


def test_a_clock_that_comes_back_needs_no_confirmation(
    clocks: SystemClocks, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    clocks.wall_us -= HOUR_US
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            clock.now_us()
        clocks.wall_us += HOUR_US
        for _ in range(3):
            clocks.pass_time(US_PER_SECOND)
            assert clock.now_us() == clocks.wall_us
    jumped, back = (record.message for record in caplog.records)
    assert "3,600.0 s behind the expected time" in jumped
    assert "shows the expected time again" in back


def test_a_shifted_clock_jumps_by_as_much(clocks: SystemClocks) -> None:
    clock = Clock(START_US + US_PER_DAY, START_US + 2 * US_PER_DAY, clocks.read)
    clocks.wall_us += HOUR_US
    clocks.pass_time(US_PER_SECOND)
    assert clock.now_us() == START_US + 2 * US_PER_DAY + US_PER_SECOND
    clock.confirm()
    assert clock.now_us() == START_US + 2 * US_PER_DAY + US_PER_SECOND + HOUR_US


def test_the_machine_has_a_steady_clock() -> None:
    clock = Clock()
    first_us, second_us = clock.now_us(), clock.now_us()
    assert first_us <= second_us
    assert clock.jump_us == 0
