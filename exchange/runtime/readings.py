"""Processes that read the journal for clients, and what they found last, kept for a client who comes back for it."""

import asyncio
import contextlib
from asyncio.subprocess import PIPE
from collections import deque
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path

from exchange.gateway.desk import Missed
from exchange.gateway.limits import GIVEN_MAX, JOURNAL_READERS_MAX, READINGS_KEPT_MAX, READINGS_KEPT_SECONDS
from exchange.runtime import lookback
from exchange.runtime.lookback import Found
from exchange.runtime.workers import worker
from journal.errors import JournalError

CHUNK_SIZE = 64 * 1024  # bytes


class Reading:
    """One process, until it has found everything that was missed, and what it found last."""

    def __init__(self, path: Path, missed: Missed) -> None:
        self.missed = missed
        self._first_seq = missed.from_seq  # what this command told, and all after it, is here or is to come
        self._next_seq = missed.from_seq  # after the last command of which something was found
        self._given: deque[Found] = deque()
        self._given_size = 0
        self._coming: deque[Found] = deque()
        self._has_news = asyncio.Event()
        self._has_room = asyncio.Event()
        self._is_ended = False
        self.task = asyncio.get_running_loop().create_task(self._read(path))
        self.task.add_done_callback(lambda _: self._has_news.set())

    async def some(self) -> list[Found]:
        """What was found next, of whole commands; nothing once that was all. Raises what became of the process."""
        while not self._coming and not self.task.done():
            self._has_news.clear()
            await self._has_news.wait()
        if not self._coming:
            self.task.result()
        some = list(self._coming)
        self._coming.clear()
        self._has_room.set()
        self._keep(some)
        return some

    def goes_back(self, missed: Missed) -> bool:
        """Whether it gives from here on what was missed, or the first part of it."""
        is_broken = self.task.done() and (self.task.cancelled() or self.task.exception() is not None)
        is_here = self._first_seq <= missed.from_seq <= min(self._next_seq, self.missed.up_to)
        if is_broken or not is_here or self.missed.up_to > missed.up_to:
            return False
        while self._given and self._given[-1].seq >= missed.from_seq:
            found = self._given.pop()
            self._given_size -= len(found.text)
            self._coming.appendleft(found)
        while self._coming and self._coming[0].seq < missed.from_seq:
            self._keep([self._coming.popleft()])
        if not self._coming:
            self._has_room.set()
        return True

    def end(self) -> None:
        """It is not wanted any more."""
        if not self._is_ended:  # a second time would end the waiting for its process, too
            self._is_ended = True
            self.task.cancel()

    async def _read(self, path: Path) -> None:
        arguments = lookback.arguments_of(path, self.missed)
        async with worker(lookback.__name__, *arguments, stdout=PIPE) as process:
            assert process.stdout is not None
            rest = b""
            last: list[Found] = []  # of one command, of which there may be more
            while chunk := await process.stdout.read(CHUNK_SIZE):
                *lines, rest = (rest + chunk).split(b"\n")
                for found in map(lookback.parse, lines):
                    if last and last[-1].seq != found.seq:
                        self._coming += last
                        last = []
                    last.append(found)
                if self._coming:
                    await self._offer()
            code = await process.wait()
        if code or rest:
            raise JournalError(f"the process that reads the journal ended with code {code}")
        if last:
            self._coming += last
            await self._offer()

    async def _offer(self) -> None:
        """Let what is coming be taken."""
        self._next_seq = self._coming[-1].seq + 1
        self._has_news.set()
        self._has_room.clear()
        await self._has_room.wait()

    def _keep(self, given: Iterable[Found]) -> None:
        for found in given:
            self._given.append(found)
            self._given_size += len(found.text)
        while self._given_size > GIVEN_MAX:
            forgotten = self._given.popleft()
            self._given_size -= len(forgotten.text)
            self._first_seq = forgotten.seq + 1


class Readings:
    """All readings of a running exchange: at most JOURNAL_READERS_MAX are listened to at once, others wait their turn.

    Who does not take what he is given leaves his turn, and who has had it for long to those who wait (`is_wanted`).
    A reading outlives the connection for which it began, and is in nobody's way then: a client whose connections break
    sooner than a process can begin finds it where it was, and so gets on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = asyncio.Semaphore(JOURNAL_READERS_MAX)
        self._waiting = 0
        self._all: set[Reading] = set()
        self._kept: dict[tuple[str, ...], tuple[Reading, asyncio.TimerHandle]] = {}  # by whose they are

    @contextlib.asynccontextmanager
    async def of(self, missed: Missed) -> AsyncIterator[Reading]:
        """What finds it, or the first part of it: a reading that was kept, or else a new one."""
        async with self._its_turn():
            reading = self._take(missed)
            if reading is None or not reading.goes_back(missed):
                if reading is not None:
                    reading.end()
                reading = self._begin(missed)
            try:
                yield reading
            finally:
                self._keep(reading)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for a turn."""
        return self._waiting > 0

    async def stop(self) -> None:
        """End them all."""
        for reading, _ in list(self._kept.values()):
            self._let_go(reading.missed)
        for reading in self._all:
            reading.end()
        await asyncio.gather(*(reading.task for reading in self._all), return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _its_turn(self) -> AsyncIterator[None]:
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    def _begin(self, missed: Missed) -> Reading:
        reading = Reading(self._path, missed)
        self._all.add(reading)
        reading.task.add_done_callback(partial(self._has_ended, reading))
        return reading

    def _keep(self, reading: Reading) -> None:
        """For a while, for its client may come back."""
        self._let_go(reading.missed)
        timer = asyncio.get_running_loop().call_later(READINGS_KEPT_SECONDS, self._let_go, reading.missed)
        self._kept[_owner(reading.missed)] = reading, timer
        if len(self._kept) > READINGS_KEPT_MAX:
            oldest, _ = next(iter(self._kept.values()))
            self._let_go(oldest.missed)

    def _has_ended(self, reading: Reading, task: asyncio.Task[None]) -> None:
        self._all.discard(reading)
        if not task.cancelled():
            task.exception()  # seen: nobody may be there to hear of it

    def _take(self, missed: Missed) -> Reading | None:
        reading, timer = self._kept.pop(_owner(missed), (None, None))
        if timer is not None:
            timer.cancel()
        return reading

    def _let_go(self, missed: Missed) -> None:
        reading = self._take(missed)
        if reading is not None:
            reading.end()


def _owner(missed: Missed) -> tuple[str, ...]:
    return missed.user_id, *sorted(missed.channels)
