"""Processes that read the journal for clients, and what they found last, kept for a client who comes back for it."""

import asyncio
from asyncio.subprocess import PIPE
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from exchange.catch_up import worker
from exchange.catch_up.worker import ReplayedMessage
from exchange.gateway.exchange_port import CatchUpRequest
from exchange.gateway.limits import REPLAYED_KEPT_MAX, WORKERS_MAX, WORKERS_PARKED_MAX, WORKERS_PARKED_SECONDS
from exchange.journal.errors import JournalError
from exchange.subprocesses import run_module

CHUNK_SIZE = 64 * 1024  # bytes


class Worker:
    """One process, until it has found everything that was missed, and what it found last.

    It waits for its `turn` to have a process, and calls `begun` when it comes.
    """

    def __init__(self, path: Path, missed: CatchUpRequest, turn: asyncio.Semaphore, begun: Callable[[], None]) -> None:
        self.missed = missed
        self.is_queued = True
        self.has_process = False
        self.is_ended = False
        self._first_seq = missed.from_seq  # what this command told, and all after it, is here or is to come
        self._next_seq = missed.from_seq  # after the last command of which something was found
        self._given: deque[ReplayedMessage] = deque()
        self._given_size = 0
        self._coming: deque[ReplayedMessage] = deque()
        self._has_news = asyncio.Event()
        self._has_room = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._read(path, turn, begun))
        self.task.add_done_callback(lambda _: self._has_news.set())

    async def next_messages(self) -> list[ReplayedMessage]:
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

    def rewind_to(self, missed: CatchUpRequest) -> bool:
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
            self.is_queued, self.has_process = False, True
            begun()
            try:
                last = await self._listen(path)
            finally:
                self.has_process = False
        if last:
            self._coming += last
            await self._offer()

    async def _listen(self, path: Path) -> list[ReplayedMessage]:
        """Offer what the process finds; returns what it found of the last command."""
        last: list[ReplayedMessage] = []  # of one command, of which there may be more
        rest = b""
        arguments = worker.arguments_of(path, self.missed)
        async with run_module(worker.__name__, *arguments, stdout=PIPE) as process:
            assert process.stdout is not None
            while chunk := await process.stdout.read(CHUNK_SIZE):
                *lines, rest = (rest + chunk).split(b"\n")
                for found in map(worker.parse, lines):
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

    def _keep(self, given: Iterable[ReplayedMessage]) -> None:
        for found in given:
            self._given.append(found)
            self._given_size += len(found.text)
        while self._given_size > REPLAYED_KEPT_MAX:
            forgotten = self._given.popleft()
            self._given_size -= len(forgotten.text)
            self._first_seq = forgotten.seq + 1


class WorkerPool:
    """All readings of a running exchange: at most JOURNAL_READERS_MAX processes are there at once, others wait.

    A reading outlives the connection for which it began: a client whose connections break sooner than a process can
    begin finds it where it was, and so gets on. But one of which nobody takes anything gives way to those who wait.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = asyncio.Semaphore(WORKERS_MAX)
        self._all: dict[Worker, None] = {}  # whose task is not done
        self._idle: dict[Worker, None] = {}  # of which nobody takes anything, for longest first
        self._parked: dict[Worker, asyncio.TimerHandle] = {}  # whose client is gone, for longest first

    def begin(self, missed: CatchUpRequest) -> Worker:
        """What finds it, or the first part of it: a reading that was kept for the same client, or else a new one."""
        for reading in reversed(self._parked):
            if _client_of(reading.missed) == _client_of(missed) and reading.rewind_to(missed):
                self._parked.pop(reading).cancel()
                self._idle.pop(reading)
                return reading
        reading = Worker(self._path, missed, self._turn, self._evict_idle)
        self._all[reading] = None
        reading.task.add_done_callback(partial(self._is_done, reading))
        self._evict_idle()
        return reading

    def idle(self, reading: Worker) -> None:
        """Its client takes nothing for now."""
        self._idle.pop(reading, None)
        self._idle[reading] = None
        self._evict_idle()

    def resume(self, reading: Worker) -> bool:
        """Its client takes more; False where it has given way to others, so that another one has to begin."""
        return self._idle.pop(reading, self) is None and not reading.is_ended

    def park(self, reading: Worker) -> None:
        """Its client is gone, or has everything; but he may come back, and not have got all that he was sent."""
        if not reading.is_ended:
            timer = asyncio.get_running_loop().call_later(WORKERS_PARKED_SECONDS, self._evict, reading)
            self._parked[reading] = timer
            self.idle(reading)
            if len(self._parked) > WORKERS_PARKED_MAX:
                self._evict(next(iter(self._parked)))

    async def stop(self) -> None:
        """End them all."""
        for reading in list(self._parked):
            self._evict(reading)
        for reading in self._all:
            reading.end()
        await asyncio.gather(*(reading.task for reading in self._all), return_exceptions=True)

    def _evict_idle(self) -> None:
        """Where somebody waits for a process, those of which nobody takes anything give way, as many as are wanted."""
        wanted = sum(one.is_queued and not one.is_ended and one not in self._idle for one in self._all)
        taken = sum(one.has_process and not one.is_ended for one in self._all)
        missing = min(wanted + taken - WORKERS_MAX, wanted)
        if missing > 0:
            for reading in [one for one in self._idle if one.has_process][:missing]:
                self._evict(reading)

    def _evict(self, reading: Worker) -> None:
        self._idle.pop(reading, None)
        if timer := self._parked.pop(reading, None):
            timer.cancel()
        reading.end()

    def _is_done(self, reading: Worker, task: asyncio.Task[None]) -> None:
        self._all.pop(reading, None)
        if not task.cancelled():
            task.exception()  # seen: nobody may be there to hear of it


def _client_of(missed: CatchUpRequest) -> tuple[str, ...]:
    return missed.user_id, *sorted(missed.channels)
