"""Turns: which connection works next, and for how long.

The bytes that a client sends wait until its connection has a turn. In a turn the connection decodes, refuses, starts
and answers requests, and all of this counts as its work. The connections with bytes or requests that wait are served
in passes:

- The connection with the least recent work goes first, so a client with little to do never waits behind a busy one.
- A turn ends after TURN_SECONDS. The rest waits for a later turn.
- A pass ends after PASS_SECONDS, and with the first turn that leaves work behind if other connections are there. So a
  client that floods the exchange slows down a step of the road by one turn. Then the event loop reads the sockets and
  answers commands before the next pass.
- If many commands wait for the journal, a connection with many unanswered requests waits for the next batch.

Work is forgotten by half every second. A connection that had no turn for a while is therefore served at last.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from operator import attrgetter
from typing import Protocol

from exchange.gateway.limits import CROWDED_UNANSWERED, PASS_SECONDS, TURN_SECONDS


class Turn:
    """The right of one connection to work. The request queue asks it after each request."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.worked_seconds = 0.0
        # When the connection read its last bytes, as `perf_counter` shows it.
        self.read_seconds = 0.0
        self._wake = wake
        self._ends_seconds = 0.0
        self._resume: Callable[[], None] | None = None

    @property
    def is_over(self) -> bool:
        """True if other connections go first."""
        return time.perf_counter() >= self._ends_seconds

    @property
    def has_waiting(self) -> bool:
        """True if requests wait for the next turn."""
        return self._resume is not None

    def wait(self, resume: Callable[[], None]) -> None:
        """Have `resume` called in the next turn."""
        self._resume = resume
        self._wake()

    def begin(self, ends_seconds: float) -> None:
        """Begin a turn, and let the requests that waited for it start."""
        self._ends_seconds = ends_seconds
        if self._resume is not None:
            resume, self._resume = self._resume, None
            resume()


class TurnTaker(Protocol):
    """A connection as this file sees it."""

    @property
    def worked_seconds(self) -> float:
        """Its recent work, and that of the connections that it shares a quota with."""
        ...

    def note_work(self, seconds: float) -> None:
        """Note how long a turn took."""
        ...

    @property
    def unanswered(self) -> int:
        """The number of requests that wait or are in flight."""
        ...

    def take_turn(self, ends_seconds: float) -> bool:
        """Work until that time of `perf_counter`. Returns True if some work is left."""
        ...


class Turns:
    """The connections with work to do.

    `is_crowded` tells if many commands wait for the journal; `after_pass` is called after each pass.
    """

    def __init__(self, is_crowded: Callable[[], bool], after_pass: Callable[[], None]) -> None:
        self._is_crowded = is_crowded
        self._after_pass = after_pass
        self._ready: dict[TurnTaker, None] = {}
        # Connections that wait for the next batch.
        self._parked: dict[TurnTaker, None] = {}
        self._is_scheduled = False

    def add(self, worker: TurnTaker) -> None:
        """Give this connection a turn in the next pass."""
        if worker not in self._parked:
            self._ready[worker] = None
            self._schedule()

    def remove(self, worker: TurnTaker) -> None:
        """Forget a closed connection."""
        self._ready.pop(worker, None)
        self._parked.pop(worker, None)

    def on_batch(self) -> None:
        """A batch of commands was answered: parked connections may have turns again."""
        if self._parked:
            self._ready |= self._parked
            self._parked.clear()
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        """One pass."""
        self._is_scheduled = False
        try:
            self._serve(time.perf_counter())
        finally:
            self._after_pass()
            if self._ready:
                self._schedule()

    def _serve(self, now_seconds: float) -> None:
        """Give turns until the pass ends."""
        pass_ends_seconds = now_seconds + PASS_SECONDS
        is_alone = len(self._ready) == 1
        for worker in sorted(self._ready, key=_worked) if len(self._ready) > 1 else list(self._ready):
            if worker not in self._ready:
                # It was closed in this pass.
                continue
            if worker.unanswered > CROWDED_UNANSWERED and self._is_crowded():
                self._parked[worker] = self._ready.pop(worker)
                continue
            is_work_left = False
            try:
                is_work_left = worker.take_turn(now_seconds + TURN_SECONDS)
            finally:
                # If the turn fails, the fault is logged, and the other connections have their turns in the next pass.
                if not is_work_left:
                    self._ready.pop(worker, None)
            ended_seconds = time.perf_counter()
            worker.note_work(ended_seconds - now_seconds)
            now_seconds = ended_seconds
            if now_seconds > pass_ends_seconds or (is_work_left and not is_alone):
                break


_worked = attrgetter("worked_seconds")
