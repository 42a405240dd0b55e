"""Processes that read the journal for clients, and what they found last, kept for a client who comes back for it."""

import asyncio
from asyncio.subprocess import PIPE
from collections import deque
from collections.abc import Callable, Iterable
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
    """One process, until it has found everything that was missed, and what it found last.

    It waits for its `turn` to have a process, and calls `begun` when it comes.
    """

    def __init__(self, path: Path, missed: Missed, turn: asyncio.Semaphore, begun: Callable[[], None]) -> None:
        self.missed = missed
        self.is_waiting = True
        self.has_process = False
        self.is_ended = False
        self._first_seq = missed.from_seq  # what this command told, and all after it, is here or is to come
        self._next_seq = missed.from_seq  # after the last command of which something was found
        self._given: deque[Found] = deque()
        self._given_size = 0
        self._coming: deque[Found] = deque()
        self._has_news = asyncio.Event()
        self._has_room = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._read(path, turn, begun))
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
        if is_broken or self.is_ended or not is_here or self.missed.up_to > missed.up_to:
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
        if not self.is_ended:  # a second time would end the waiting for its process, too
            self.is_ended = True
            self.task.cancel()

    async def _read(self, path: Path, turn: asyncio.Semaphore, begun: Callable[[], None]) -> None:
        async with turn:
            self.is_waiting, self.has_process = False, True
            begun()
            try:
                last = await self._listen(path)
            finally:
                self.has_process = False
        if last:
            self._coming += last
            await self._offer()

    async def _listen(self, path: Path) -> list[Found]:
        """Offer what the process finds; returns what it found of the last command."""
        last: list[Found] = []  # of one command, of which there may be more
        rest = b""
        arguments = lookback.arguments_of(path, self.missed)
        async with worker(lookback.__name__, *arguments, stdout=PIPE) as process:
            assert process.stdout is not None
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
        return last

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
    """All readings of a running exchange: at most JOURNAL_READERS_MAX processes are there at once, others wait.

    A reading outlives the connection for which it began: a client whose connections break sooner than a process can
    begin finds it where it was, and so gets on. But one of which nobody takes anything gives way to those who wait.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = asyncio.Semaphore(JOURNAL_READERS_MAX)
        self._all: dict[Reading, None] = {}  # whose task is not done
        self._resting: dict[Reading, None] = {}  # of which nobody takes anything, for longest first
        self._kept: dict[Reading, asyncio.TimerHandle] = {}  # whose client is gone, for longest first

    def begin(self, missed: Missed) -> Reading:
        """What finds it, or the first part of it: a reading that was kept for the same client, or else a new one."""
        for reading in reversed(self._kept):
            if _owner(reading.missed) == _owner(missed) and reading.goes_back(missed):
                self._kept.pop(reading).cancel()
                self._resting.pop(reading)
                return reading
        reading = Reading(self._path, missed, self._turn, self._make_room)
        self._all[reading] = None
        reading.task.add_done_callback(partial(self._is_done, reading))
        self._make_room()
        return reading

    def rest(self, reading: Reading) -> None:
        """Its client takes nothing for now."""
        self._resting.pop(reading, None)
        self._resting[reading] = None
        self._make_room()

    def go_on(self, reading: Reading) -> bool:
        """Its client takes more; False where it has given way to others, so that another one has to begin."""
        return self._resting.pop(reading, self) is None and not reading.is_ended

    def keep(self, reading: Reading) -> None:
        """Its client is gone, or has everything; but he may come back, and not have got all that he was sent."""
        if not reading.is_ended:
            timer = asyncio.get_running_loop().call_later(READINGS_KEPT_SECONDS, self._let_go, reading)
            self._kept[reading] = timer
            self.rest(reading)
            if len(self._kept) > READINGS_KEPT_MAX:
                self._let_go(next(iter(self._kept)))

    async def stop(self) -> None:
        """End them all."""
        for reading in list(self._kept):
            self._let_go(reading)
        for reading in self._all:
            reading.end()
        await asyncio.gather(*(reading.task for reading in self._all), return_exceptions=True)

    def _make_room(self) -> None:
        """Where somebody waits for a process, those of which nobody takes anything give way, as many as are wanted."""
        wanted = sum(one.is_waiting and not one.is_ended and one not in self._resting for one in self._all)
        taken = sum(one.has_process and not one.is_ended for one in self._all)
        missing = min(wanted + taken - JOURNAL_READERS_MAX, wanted)
        if missing > 0:
            for reading in [one for one in self._resting if one.has_process][:missing]:
                self._let_go(reading)

    def _let_go(self, reading: Reading) -> None:
        self._resting.pop(reading, None)
        if timer := self._kept.pop(reading, None):
            timer.cancel()
        reading.end()

    def _is_done(self, reading: Reading, task: asyncio.Task[None]) -> None:
        self._all.pop(reading, None)
        if not task.cancelled():
            task.exception()  # seen: nobody may be there to hear of it


def _owner(missed: Missed) -> tuple[str, ...]:
    return missed.user_id, *sorted(missed.channels)
