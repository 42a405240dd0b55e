"""Subprocesses that replay the journal for catch-ups. At most WORKERS_MAX of them run at the same time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from subprocess import PIPE

from exchange.catch_up import worker as worker_module
from exchange.catch_up.limits import WORKERS_MAX
from exchange.catch_up.request import CatchUpRequest
from exchange.catch_up.worker import ReplayedMessage
from exchange.child_process import ChildProcess
from exchange.journal.errors import JournalError
from exchange.subprocesses import run_module

CHUNK_SIZE = 64 * 1024  # bytes


class Worker:
    """A running subprocess that replays the notifications of one request.

    `next_seq` is the first command whose notifications `next_messages` has not returned yet.
    """

    def __init__(self, process: ChildProcess, request: CatchUpRequest, on_evict: Callable[[], None]) -> None:
        self.next_seq = request.from_seq
        self.is_evicted = False
        self._process = process
        self._up_to = request.up_to
        self._on_evict = on_evict
        self._line = b""  # an incomplete last line
        # Messages of the last command that was read. More of them may follow.
        self._command: list[ReplayedMessage] = []

    async def next_messages(self) -> list[ReplayedMessage]:
        """Wait for the notifications of the next commands, each command's complete. Empty only at the end.

        Raises JournalError if the process failed.
        """
        assert self._process.stdout is not None
        complete: list[ReplayedMessage] = []
        while not complete:
            chunk = await self._process.stdout.read(CHUNK_SIZE)
            if not chunk:
                return await self._last_messages()
            *lines, self._line = (self._line + chunk).split(b"\n")
            for message in map(worker_module.parse, lines):
                if self._command and self._command[-1].seq != message.seq:
                    complete += self._command
                    self._command = []
                self._command.append(message)
        self.next_seq = complete[-1].seq + 1
        return complete

    async def _last_messages(self) -> list[ReplayedMessage]:
        code = await self._process.wait()
        if code or self._line:
            raise JournalError(
                f"the catch-up worker ended with code {code}: its error is in the log; if there is none, it was "
                "killed. Subscribe again"
            )
        self.next_seq = self._up_to + 1
        return self._command

    def evict(self) -> None:
        """Tell the catch-up that it must give up this worker."""
        self.is_evicted = True
        self._on_evict()


class WorkerPool:
    """All workers of a running exchange. If another catch-up waits for a process, idle workers are evicted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = asyncio.Semaphore(WORKERS_MAX)
        self._queued = 0  # catch-ups that wait for their turn
        self._running = 0  # workers that have their turn and are not evicted
        self._idle: dict[Worker, None] = {}  # the longest idle first

    @contextlib.asynccontextmanager
    async def worker(self, request: CatchUpRequest, on_evict: Callable[[], None]) -> AsyncIterator[Worker]:
        """Wait for a free place, then run a worker for `request` and end it afterwards. Raises OSError.

        If the worker is evicted, `on_evict` is called. Leave the context then, to free its place.
        """
        await self._take_turn()
        worker: Worker | None = None
        try:
            arguments = worker_module.arguments_of(self._path, request)
            async with run_module(worker_module.__name__, *arguments, stdout=PIPE) as process:
                worker = Worker(process, request, on_evict)
                yield worker
        finally:
            if worker is None or not worker.is_evicted:
                self._running -= 1
            self._turn.release()

    @contextlib.contextmanager
    def idle(self, worker: Worker) -> Iterator[None]:
        """Let the pool evict `worker` while its client takes nothing."""
        self._idle[worker] = None
        self._evict_idle()
        try:
            yield
        finally:
            self._idle.pop(worker, None)

    async def _take_turn(self) -> None:
        self._queued += 1
        self._evict_idle()
        try:
            await self._turn.acquire()
        finally:
            self._queued -= 1
        self._running += 1

    def _evict_idle(self) -> None:
        """Evict an idle worker for each catch-up in the queue that finds no free place."""
        missing = min(self._queued, self._queued + self._running - WORKERS_MAX)
        for worker in list(self._idle)[: max(missing, 0)]:
            del self._idle[worker]
            self._running -= 1
            worker.evict()
