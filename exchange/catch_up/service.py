"""Serves catch-ups: from the recent updates in memory, or else from a worker that replays the journal.

The exchange never pauses for a catch-up: a worker is a process of its own.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from exchange.catch_up.limits import STALL_SECONDS
from exchange.catch_up.pool import Worker, WorkerPool
from exchange.catch_up.request import CatchUpRequest, Done, Take
from exchange.catch_up.streams import CommandUpdate, RecentUpdates, encode
from exchange.catch_up.worker import keys_of
from exchange.journal.archives import archives_of
from exchange.journal.opening import open_journal_reader

# Commands that are delivered from memory before other connections get their turn.
COMMANDS_AT_ONCE = 500

_log = logging.getLogger(__name__)


class CatchUpService:
    """All catch-ups of a running exchange. `flush` writes delivered notifications to the sockets."""

    def __init__(self, path: Path, recent: RecentUpdates, flush: Callable[[], None]) -> None:
        self.path = path
        self.recent = recent
        self.flush = flush
        self.pool = WorkerPool(path)
        self._tasks: set[_CatchUpTask] = set()
        with open_journal_reader(path) as reader:
            # Of the first run of this exchange, without archives. Commands that it seals go into archives that follow.
            self._first_seq = reader.bases[-1].head.seq + 1

    @property
    def first_seq(self) -> int:
        """The first command that can be replayed, from the journal or from one of its archives."""
        if self._first_seq == 1:
            return 1
        archives = archives_of(self.path, self._first_seq)
        return archives[0].first_seq if archives else self._first_seq

    def start(self, request: CatchUpRequest, take: Take, done: Done) -> "_CatchUpTask":
        """Start a catch-up; the arguments are those of `ExchangePort.catch_up`."""
        catch_up = _CatchUpTask(self, request, take, done)
        self._tasks.add(catch_up)
        catch_up.task.add_done_callback(lambda _: self._tasks.discard(catch_up))
        return catch_up

    async def stop(self) -> None:
        """End all catch-ups and wait until their workers have ended."""
        running = list(self._tasks)
        for catch_up in running:
            catch_up.end()
        await asyncio.gather(*(catch_up.task for catch_up in running), return_exceptions=True)


class _CatchUpTask:
    """One catch-up, as an asyncio task. `_request` is the part of the request that is not delivered yet."""

    def __init__(self, service: CatchUpService, request: CatchUpRequest, take: Take, done: Done) -> None:
        self._service = service
        self._request = request
        self._take = take
        self._done = done
        self._updates = self._from_memory()
        self._is_paused = False
        self._is_ended = False
        # Set when the client reads again, and when the worker is evicted.
        self._wake = asyncio.Event()
        self._stalled_at = 0.0  # seconds of the event loop
        self.task = asyncio.get_running_loop().create_task(self._run())

    def pause(self, is_paused: bool) -> None:
        self._is_paused = is_paused
        self._wake.set()

    def end(self) -> None:
        # A second cancellation would interrupt the wait for the worker's end. `task.cancelling()` does not tell: the
        # timeout of a stalled client cancels the task for a moment, too, and then calls `done`.
        if not self._is_ended:
            self._is_ended = True
            self.task.cancel()

    async def _run(self) -> None:
        error: str | None = None
        try:
            while self._updates is None:
                await self._replay_from_worker()
                self._updates = self._from_memory()
            await self._send_updates(self._updates)
        except TimeoutError:
            error = f"the client read no missed notifications for {STALL_SECONDS} seconds"
        except Exception:
            # After any failure the connection must end: the client would take the rest for the whole.
            _log.exception("commands %d to %d could not be replayed", self._request.from_seq, self._request.up_to)
            error = "missed notifications could not be read from the journal; the server's log has the reason"
        self._done(error)
        self._service.flush()

    def _from_memory(self) -> list[CommandUpdate] | None:
        from_seq, up_to = self._request.from_seq, self._request.up_to
        return self._service.recent.between(from_seq, up_to) if from_seq <= up_to else []

    async def _send_updates(self, updates: list[CommandUpdate]) -> None:
        wanted = keys_of(self._request)
        for start in range(0, len(updates), COMMANDS_AT_ONCE):
            some = updates[start : start + COMMANDS_AT_ONCE]
            self._deliver((key[0], text) for update in some for key, text in encode(update, wanted))
            await self._wait_until_taken()

    async def _replay_from_worker(self) -> None:
        """Deliver a worker's messages until it has replayed everything or is evicted."""
        async with self._service.pool.worker(self._request, self._wake.set) as worker:
            while worker.next_seq <= self._request.up_to and not worker.is_evicted:
                messages = await worker.next_messages()
                self._deliver((channel_name, text) for _, channel_name, text in messages)
                self._request = self._request._replace(from_seq=worker.next_seq)
                if messages:
                    await self._wait_until_taken(worker)
        if worker.is_evicted:
            await self._wait_until_taken()

    def _deliver(self, notifications: Iterable[tuple[str, bytes]]) -> None:
        for channel_name, text in notifications:
            self._take(channel_name, text)
        self._service.flush()
        self._stalled_at = asyncio.get_running_loop().time() + STALL_SECONDS

    async def _wait_until_taken(self, worker: Worker | None = None) -> None:
        """Wait while the client reads nothing and `worker` is not evicted. Raises TimeoutError at `_stalled_at`."""
        with self._service.pool.idle(worker) if worker and self._is_paused else contextlib.nullcontext():
            async with asyncio.timeout_at(self._stalled_at):
                while self._is_paused and not (worker and worker.is_evicted):
                    self._wake.clear()
                    await self._wake.wait()
        # Other connections get their turn.
        await asyncio.sleep(0)
