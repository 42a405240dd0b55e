"""The exchange of a test: on real sockets, with a clock that the test moves, and a history written on demand."""

import asyncio
import tempfile
from pathlib import Path

from websockets.frames import CloseCode

from exchange import __version__
from exchange.domain.commands import StartSession
from exchange.domain.units import next_day_end_us
from exchange.gateway.chaos import Chaos
from exchange.gateway.exchange_port import PastDone, PastQuestion
from exchange.history_db.update import update_history
from exchange.runtime.demo import start_prices
from exchange.simulation.in_process import InProcessExchange, ManualClock


def venue_folder() -> str:
    """A new folder for the files of a venue: in memory if the system has such a place, since no test needs a disk."""
    memory = Path("/dev/shm")
    return tempfile.mkdtemp(prefix="venue-", dir=memory if memory.is_dir() else None)


class ServedVenue(InProcessExchange):
    """An in-process exchange that also serves clients on a port."""

    _clock: ManualClock

    async def open_at(self, port: int, chaos: Chaos) -> str:
        """Start the exchange on a port of this machine, 0 for any. Returns the URL of the native API."""
        self._batch_done = asyncio.Event()
        self.gateway.chaos = chaos
        url = await self.gateway.bind("127.0.0.1", port)
        self._pipeline_task = asyncio.create_task(self._pipeline.run())
        await self._execute(StartSession(__version__))
        for command in start_prices(self.views):
            await self._execute(command)
        await self.gateway.open()
        self._closed_because = None
        return url

    async def end(self) -> None:
        """Break all connections, finish the commands, and stop."""
        self.gateway.abort()
        await self.close()
        await self.cancel_tasks()
        await self.catch_up_service.stop()
        await self.past_service.stop()

    def close_connections(self) -> None:
        """Close all connections, as at the begin of maintenance."""
        self.gateway.close_all(CloseCode.SERVICE_RESTART, "maintenance")
        self.gateway.send_all()

    def flush(self) -> None:
        super().flush()
        self._batch_done.set()

    async def advance_to(self, ts_us: int) -> None:
        """Set the clock, and wait until the day has ended if that was due. One end of a day at most lies between."""
        self._clock.ts_us = max(self._clock.ts_us, ts_us)
        day_end_us = next_day_end_us(self.engine.head.ts_us)
        if self._clock.ts_us < day_end_us:
            return
        self._pipeline.check_clock()
        while self.engine.head.ts_us < day_end_us:
            self._batch_done.clear()
            await self._batch_done.wait()

    def ask_past(self, question: PastQuestion, done: PastDone) -> None:
        self.start_task(self._ask_past(question, done))

    async def _ask_past(self, question: PastQuestion, done: PastDone) -> None:
        """Write the history up to now, which no follower does here, and ask."""
        await asyncio.to_thread(update_history, self.path, _ignore_report, _ignore_progress)
        super().ask_past(question, done)


def _ignore_report(_sentence: str) -> None:
    pass


def _ignore_progress(_done: int, _total: int) -> None:
    pass
