"""Serves catch-ups: from the recent updates in memory, or else from a worker that replays the journal.

The exchange never pauses for a catch-up: a worker is a process of its own.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from exchange.catch_up.limits import STALL_SECONDS
from exchange.catch_up.pool import Worker, WorkerPool
from exchange.catch_up.request import CatchUpRequest, Done, Take
from exchange.catch_up.streams import CommandUpdate, RecentUpdates, encode
from exchange.catch_up.worker import keys_of
from exchange.journal.archives import archives_of
from exchange.journal.opening import open_journal_reader

# Work for all catch-ups together before the sockets are read and commands are answered.
SLICE_SECONDS = 0.0005

# Each with the name of its channel.
_Notifications = Iterable[tuple[str, bytes]]

_log = logging.getLogger(__name__)


class CatchUpService:
    """All catch-ups of a running exchange. `flush` writes delivered notifications to the sockets."""

    def __init__(self, path: Path, recent: RecentUpdates, flush: Callable[[], None]) -> None:
        self.path = path
        self.recent = recent
        self.flush = flush
        self.pool = WorkerPool(path)
        # Held by the catch-up that delivers, for one slice: any number of them take no more time than one.
        self.delivering = asyncio.Lock()
        # A catch-up does not know its task. Otherwise one that is cancelled, with the exception that the task keeps,
        # is a cycle of references, which stays in memory until it is found.
        self._tasks: dict[_CatchUpTask, asyncio.Task[None]] = {}
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
        self._tasks[catch_up] = asyncio.get_running_loop().create_task(catch_up.run())
        self._tasks[catch_up].add_done_callback(lambda _: self._tasks.pop(catch_up))
        return catch_up

    def cancel(self, catch_up: "_CatchUpTask") -> None:
        """Cancel the task of a catch-up, if it still runs."""
        if catch_up in self._tasks:
            self._tasks[catch_up].cancel()

    async def stop(self) -> None:
        """End all catch-ups and wait until their workers have ended."""
        tasks = list(self._tasks.values())
        for catch_up in list(self._tasks):
            catch_up.end()
        await asyncio.gather(*tasks, return_exceptions=True)


class _CatchUpTask:
    """One catch-up, as an asyncio task. `_request` is the part of the request that is not delivered yet."""

    def __init__(self, service: CatchUpService, request: CatchUpRequest, take: Take, done: Done) -> None:
        self._service = service
        self._request = request
        self._take = take
        self._done = done
        self._is_paused = False
        self._is_ended = False
        # Set when the client reads again, and when the worker is evicted.
        self._wake = asyncio.Event()
        self._stalled_at = 0.0  # seconds of the event loop

    def pause(self, is_paused: bool) -> None:
        self._is_paused = is_paused
        self._wake.set()

    def end(self) -> None:
        # A second cancellation would interrupt the wait for the worker's end. `task.cancelling()` does not tell: the
        # timeout of a stalled client cancels the task for a moment, too, and then calls `done`.
        if not self._is_ended:
            self._is_ended = True
            self._service.cancel(self)

    async def run(self) -> None:
        """Deliver what the client missed, then call `done`."""
        error: str | None = None
        try:
            while (updates := self._from_memory()) is None:
                await self._replay_from_worker()
            await self._send_updates(updates)
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
        return self._service.recent.between(from_seq, up_to, keys_of(self._request)) if from_seq <= up_to else []

    async def _send_updates(self, updates: list[CommandUpdate]) -> None:
        wanted = keys_of(self._request)
        await self._deliver(((key[0], text) for key, text in encode(update, wanted)) for update in updates)

    async def _replay_from_worker(self) -> None:
        """Deliver a worker's messages until it has replayed everything or is evicted."""
        async with self._service.pool.worker(self._request, self._wake.set) as worker:
            while worker.next_seq <= self._request.up_to and not worker.is_evicted:
                messages = await worker.next_messages()
                await self._deliver(iter([[(channel_name, text) for _, channel_name, text in messages]]), worker)
                self._request = self._request._replace(from_seq=worker.next_seq)
        if worker.is_evicted:
            await self._wait_until_taken()

    async def _deliver(self, parts: Iterator[_Notifications], worker: Worker | None = None) -> None:
        """Deliver these parts in slices, while the client reads. If `worker` is evicted, it returns after the last."""
        is_more = True
        while is_more:
            async with self._service.delivering:
                is_more = self._deliver_slice(parts)
                # Other connections get their turn.
                await asyncio.sleep(0)
            await self._wait_until_taken(None if is_more else worker)

    def _deliver_slice(self, parts: Iterator[_Notifications]) -> bool:
        """Deliver whole parts until the slice is over. Returns False if that was all."""
        ends_seconds = time.perf_counter() + SLICE_SECONDS
        is_more = False
        for part in parts:
            for channel_name, text in part:
                self._take(channel_name, text)
            if time.perf_counter() > ends_seconds:
                is_more = True
                break
        self._service.flush()
        self._stalled_at = asyncio.get_running_loop().time() + STALL_SECONDS
        return is_more

    async def _wait_until_taken(self, worker: Worker | None = None) -> None:
        """Wait while the client reads nothing and `worker` is not evicted. Raises TimeoutError at `_stalled_at`."""
        with self._service.pool.idle(worker) if worker and self._is_paused else contextlib.nullcontext():
            async with asyncio.timeout_at(self._stalled_at):
                while self._is_paused and not (worker and worker.is_evicted):
                    self._wake.clear()
                    await self._wake.wait()
