"""The simulated machine: its time, its randomness, what happens next, and the step at which it crashes."""

import hashlib
import heapq
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

# 2026-02-26 07:59:50 UTC: the first day of a run ends after ten seconds.
BEGIN_US = 1_772_092_790_000_000
# The CPU time of one turn of the event loop.
TURN_US = 5
# The time that passes between two looks at the clock for performance.
WORK_US = 20
# Process ids that no real process has, so that `os.kill(pid, 0)` finds the processes of earlier lives dead.
PID_FIRST = 2**30


class Crash(SystemExit):
    """The machine stops here. Nothing that runs after it has an effect.

    asyncio lets only SystemExit and KeyboardInterrupt out of a task and out of the event loop.
    """


class CrashPlan(NamedTuple):
    """The machine crashes at the `nth` step of a kind. A power cut loses what was not synced."""

    step: str
    nth: int
    is_power_cut: bool


class _Event(NamedTuple):
    at_us: int
    number: int
    call: Callable[[], None]


class Machine:
    """The world of one run. Everything random comes from streams that the seed and a name determine."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now_us = BEGIN_US
        # The wall clock may be set to another time.
        self.wall_shift_us = 0
        # True while the exchange runs. Afterwards its code may still unwind, without effect.
        self.is_up = False
        self.life = 0
        self.crash_plan: CrashPlan | None = None
        # Called at the moment of a crash, before anything unwinds.
        self.on_crash: Callable[[bool], None] = lambda is_power_cut: None
        self.steps: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self._life_steps: Counter[str] = Counter()
        self._numbers = itertools.count()
        self._events: list[_Event] = []
        self._trace = hashlib.sha256()
        self.log: list[str] | None = None

    def random(self, name: str) -> Random:
        """A stream of random numbers of its own, so that one part of the run does not change the others."""
        return Random(f"{self.seed}/{name}")

    def note(self, kind: str, content: bytes) -> None:
        """Add to the trace of the run."""
        self._trace.update(b"%d %b %d %b\n" % (self.now_us, kind.encode(), len(content), content))
        if self.log is not None:
            self.log.append(f"{(self.now_us - BEGIN_US) / 1e6:10.6f} {kind} {content.decode(errors='replace'):.300}")

    @property
    def trace(self) -> str:
        """The digest of everything noted so far. The same seed gives the same trace."""
        return self._trace.hexdigest()

    def begin_life(self, plan: CrashPlan | None) -> None:
        """Prepare one more life of the exchange. It begins when `is_up` is set."""
        self.life += 1
        self._life_steps.clear()
        self.crash_plan = plan

    def step(self, kind: str) -> None:
        """The exchange is about to take a step of this kind, or has just taken it. Raises Crash if it ends here."""
        if not self.is_up:
            return
        self.steps[kind] += 1
        self._life_steps[kind] += 1
        plan = self.crash_plan
        if plan is not None and plan.step == kind and plan.nth == self._life_steps[kind]:
            self.crash(kind, plan.is_power_cut)

    def crash(self, kind: str, is_power_cut: bool) -> None:
        """Crash now. Raises Crash."""
        self.note("power cut" if is_power_cut else "kill", f"at {kind}".encode())
        self.crashes[kind] += 1
        self.is_up = False
        self.on_crash(is_power_cut)
        raise Crash(kind)

    def call_later(self, delay_us: int, call: Callable[[], None]) -> None:
        """Let something happen in the world outside the exchange."""
        heapq.heappush(self._events, _Event(self.now_us + delay_us, next(self._numbers), call))

    @property
    def next_us(self) -> int | None:
        """When the next event of the world happens."""
        return self._events[0].at_us if self._events else None

    def pass_time(self, until_us: int) -> None:
        """Let time pass, with all that happens in it."""
        while self._events and self._events[0].at_us <= until_us:
            event = heapq.heappop(self._events)
            self.now_us = max(self.now_us, event.at_us)
            event.call()
        self.now_us = max(self.now_us, until_us)

    def _work(self) -> float:
        """The time in seconds. The code between two looks at it takes some time."""
        self.now_us += WORK_US
        return self.now_us / 1e6

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let the code of this process read the time and the randomness of this machine."""
        urandom = self.random("urandom").randbytes
        replaced: dict[str, Any] = {
            "time.time": lambda: (self.now_us + self.wall_shift_us) / 1e6,
            "time.time_ns": lambda: (self.now_us + self.wall_shift_us) * 1_000,
            "time.monotonic": lambda: self.now_us / 1e6,
            "time.monotonic_ns": lambda: self.now_us * 1_000,
            "time.perf_counter": self._work,
            "time.thread_time_ns": lambda: self.now_us * 1_000,
            "time.sleep": lambda seconds: self.pass_time(self.now_us + math.ceil(seconds * 1e6)),
            "os.getpid": lambda: PID_FIRST + self.life,
            "os.urandom": urandom,
            "random._urandom": urandom,
        }
        known = random.getstate()
        random.seed(self.seed)
        with ExitStack() as stack:
            stack.callback(random.setstate, known)
            for name, value in replaced.items():
                stack.enter_context(patch(name, value))
            yield
