"""What clients missed on their streams: from memory where it was told just now, else from the journal.

The journal is read by a process of its own: the exchange never pauses for it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from exchange.catch_up.pool import WorkerPool
from exchange.catch_up.worker import keys_of
from exchange.gateway.exchange_port import CatchUpRequest
from exchange.gateway.limits import STALL_SECONDS
from exchange.gateway.streams import CommandUpdate, RecentUpdates, encode
from exchange.journal.archives import archives_of
from exchange.journal.opening import open_journal_reader

COMMANDS_AT_ONCE = 500  # commands, from memory: then it is everybody else's turn

_log = logging.getLogger(__name__)

Take = Callable[[str, bytes], None]
Done = Callable[[str | None], None]


class CatchUpService:
    """All backfills of a running exchange. `flush` has what was taken sent."""

    def __init__(self, path: Path, recent: RecentUpdates, flush: Callable[[], None]) -> None:
        self.path = path
        self.recent = recent
        self.flush = flush
        self.pool = WorkerPool(path)
        self._backfills: set[_CatchUpTask] = set()
        with open_journal_reader(path) as reader:
            self._first_seq = reader.bases[-1].head.seq + 1  # in the journal itself, archives left aside

    @property
    def first_seq(self) -> int:
        """The first command that is here, in the journal or in an archive beside it."""
        if self._first_seq == 1:
            return 1
        archives = archives_of(self.path, self._first_seq)
        return archives[0].first_seq if archives else self._first_seq

    def start(self, missed: CatchUpRequest, take: Take, done: Done) -> "_CatchUpTask":
        """As `Desk.backfill`."""
        backfill = _CatchUpTask(self, missed, take, done)
        self._backfills.add(backfill)
        backfill.task.add_done_callback(lambda _: self._backfills.discard(backfill))
        return backfill

    async def stop(self) -> None:
        """End what is under way."""
        for backfill in self._backfills:
            backfill.end()
        await asyncio.gather(*(backfill.task for backfill in self._backfills), return_exceptions=True)
        await self.pool.stop()


class _CatchUpTask:
    """One backfill, as a task."""

    def __init__(self, backfiller: CatchUpService, missed: CatchUpRequest, take: Take, done: Done) -> None:
        self._backfiller = backfiller
        self._missed = missed  # and not brought yet
        self._take = take
        self._done = done
        self._told = self._recent()
        self._room = asyncio.Event()
        self._room.set()
        self.task = asyncio.get_running_loop().create_task(self._run())

    def pause(self, is_paused: bool) -> None:
        (self._room.clear if is_paused else self._room.set)()

    def end(self) -> None:
        self.task.cancel()

    async def _run(self) -> None:
        error: str | None = None
        try:
            while self._told is None:
                await self._read_journal()
                self._told = self._recent()
            await self._recall(self._told)
        except TimeoutError:
            error = f"nothing of what was missed was taken for {STALL_SECONDS} seconds"
        except Exception:  # whatever it was, the client must not take the rest for the whole
            _log.exception("commands %d to %d could not be looked back at", self._missed.from_seq, self._missed.up_to)
            error = "what was missed could not be read from the journal; the server's log says more"
        self._done(error)
        self._backfiller.flush()

    def _recent(self) -> list[CommandUpdate] | None:
        from_seq, up_to = self._missed.from_seq, self._missed.up_to
        return self._backfiller.recent.between(from_seq, up_to) if from_seq <= up_to else []

    async def _recall(self, told: list[CommandUpdate]) -> None:
        wanted = keys_of(self._missed)
        for start in range(0, len(told), COMMANDS_AT_ONCE):
            some = told[start : start + COMMANDS_AT_ONCE]
            self._give((key[0], text) for one in some for key, text in encode(one, wanted))
            await self._taken()

    async def _read_journal(self) -> None:
        """Bring what a reading finds, until that was all, or it has given way to others."""
        readings = self._backfiller.pool
        reading = readings.begin(self._missed)
        assert reading.missed.up_to >= self._missed.from_seq, "what is read is not what is missed"
        try:
            while some := await reading.next_messages():
                self._give((channel_name, text) for _, channel_name, text in some)
                self._missed = self._missed._replace(from_seq=some[-1].seq + 1)
                if not self._room.is_set():
                    readings.idle(reading)
                    await self._taken()
                    if not readings.resume(reading):
                        return
                await asyncio.sleep(0)
            self._missed = self._missed._replace(from_seq=reading.missed.up_to + 1)
        finally:
            readings.park(reading)

    def _give(self, missed: Iterable[tuple[str, bytes]]) -> None:
        """Have some of it sent."""
        for channel_name, text in missed:
            self._take(channel_name, text)
        self._backfiller.flush()

    async def _taken(self) -> None:
        """Wait until the client takes more, and others had their turn. Where this was ended, it goes no further."""
        async with asyncio.timeout(STALL_SECONDS):
            await self._room.wait()
        await asyncio.sleep(0)
