"""The road of a command: from its acceptance to its answer and its notifications."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

from exchange.domain.commands import Command, EndDay, encode_commands
from exchange.domain.events import Event
from exchange.domain.units import US_PER_DAY, next_day_end_us
from exchange.engine.engine import Engine
from exchange.engine.recovery import event_rows
from exchange.journal.errors import JournalUnavailableError
from exchange.journal.protocols import JournalWriter
from exchange.journal.records import AnswerRow, DigestRow, Record, chain
from exchange.projections.views import Change
from exchange.runtime.clock import Clock

BATCH_MAX = 1_000  # commands in one transaction

# While commands keep coming, events are recorded as soon as there are this many. So few delay no command.
EVENTS_BATCH = 250

# If no command comes for this time, the remaining events are recorded.
EVENTS_DELAY_SECONDS = 0.05

# The pause after the journal could not record a batch, for example because the disk is full.
UNAVAILABLE_PAUSE_SECONDS = 0.1

# Receives what the command changed; None if it was not recorded.
Done = Callable[[Change | None], None]


class Publisher(Protocol):
    """Sends notifications to clients."""

    def publish(self, change: Change) -> None:
        """Called after every command."""
        ...

    def flush(self) -> None:
        """Called after every batch."""
        ...


_Accepted = tuple[Command, Done]


class Pipeline:
    """Puts commands in order, makes them durable, applies them, and then has them answered and published."""

    def __init__(
        self,
        engine: Engine,
        journal: JournalWriter,
        clock: Clock,
        publisher: Publisher,
    ) -> None:
        assert engine.head == journal.head, "the state is not that of the journal"
        self.engine = engine
        self._journal = journal
        self._clock = clock
        self._publisher = publisher
        self._waiting: deque[_Accepted] = deque()
        # Events of applied commands, by seq: those that wait to be recorded, and those that are being recorded.
        self._events: list[tuple[int, list[Event]]] = []
        self._events_count = 0
        self._events_under_way: list[tuple[int, list[Event]]] = []
        # Complete digests and times of answers that wait to be recorded.
        self._digests: list[DigestRow] = []
        self._answers: list[AnswerRow] = []
        self._answered_us = 0
        self._events_writing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._events_writing.set_result(None)
        self._wake = asyncio.Event()
        self._stopping = False

    @property
    def queue_depth(self) -> int:
        """The number of accepted commands that wait to be written."""
        return len(self._waiting)

    @property
    def unwritten_events(self) -> list[tuple[int, list[Event]]]:
        """The events of applied commands that may not be recorded yet, by seq."""
        return self._events_under_way + self._events

    def submit(self, command: Command, done: Done) -> None:
        """Accept a command. `done` is called once it is durable and applied."""
        assert not self._stopping, "a command after the last one"
        self._waiting.append((command, done))
        self._wake.set()

    def check_clock(self) -> None:
        """Check whether the day has ended, although no command came."""
        self._wake.set()

    def stop(self) -> None:
        """Let `run` return after it has finished all accepted commands."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """The road. While batch k+1 is being written to disk, batch k is applied, answered and published.

        Returns after `stop`. Raises a JournalError if it is unknown which commands reached the disk.
        """
        durable: list[tuple[Record, _Accepted]] = []
        while True:
            batch = self._next_batch()
            if not batch and not durable:
                if self._stopping:
                    return await self._record_remaining_events()
                await self._wait()
                continue
            writing = self._begin_writing(batch)
            self._write_events_behind()
            # Writing begins in this turn of the event loop.
            await asyncio.sleep(0)
            for record, (command, done) in durable:
                events, change = self.engine.step(record, command)  # state machine, then projections
                self._events.append((record.seq, events))
                self._events_count += len(events)
                done(change)  # answer
                self._publisher.publish(change)  # notifications of this command
            self._publisher.flush()  # books and tickers, then everything onto the sockets
            if durable:
                self._note_answers(durable[-1][0])
            durable = await self._confirm(batch, writing)

    def _note_answers(self, last: Record) -> None:
        """Note when the batch that ends with `last` was answered.

        The times never fall, even if the system clock is set back, so that `verify` can check them.
        """
        self._answered_us = max(self._clock.now_us(), last.ts_us, self._answered_us)
        self._answers.append((last.seq, self._answered_us))

    def _next_batch(self) -> list[tuple[Record, _Accepted]]:
        """The waiting commands in order, each with its seq and a strictly rising time. The end of a day goes first."""
        head = self._journal.head
        now_us, last_us, day_end_us = self._clock.now_us(), head.ts_us, next_day_end_us(head.ts_us)
        batch: list[_Accepted] = []
        times_us: list[int] = []
        while len(batch) < BATCH_MAX:
            ts_us = max(now_us, last_us + 1)
            if head.seq and ts_us >= day_end_us and not (self._stopping and not self._waiting):
                batch.append((EndDay(next_day_end_us(ts_us) - US_PER_DAY), _ignore))
                day_end_us = next_day_end_us(ts_us)
            elif self._waiting:
                batch.append(self._waiting.popleft())
            else:
                break
            times_us.append(ts_us)
            last_us = ts_us
        payloads = encode_commands([command for command, _ in batch])
        return list(zip(chain(head, zip(times_us, payloads, strict=True)), batch, strict=True))

    def _begin_writing(self, batch: list[tuple[Record, _Accepted]]) -> asyncio.Future[None] | None:
        """Start to write the batch at the next turn of the event loop."""
        return asyncio.ensure_future(self._journal.append([record for record, _ in batch])) if batch else None

    async def _confirm(
        self, batch: list[tuple[Record, _Accepted]], writing: asyncio.Future[None] | None
    ) -> list[tuple[Record, _Accepted]]:
        """Wait until the batch is durable and return it. If it could not be recorded, answer so and return nothing."""
        if writing is None:
            return []
        try:
            await writing
        except JournalUnavailableError:
            for _, (_, done) in batch:
                done(None)
            self._publisher.flush()
            await asyncio.sleep(UNAVAILABLE_PAUSE_SECONDS)
            return []
        return batch

    def _write_events_behind(self) -> None:
        """Start to record events if there are enough of them and the previous ones are recorded."""
        if self._events_count >= EVENTS_BATCH and self._events_writing.done():
            self._events_writing.result()
            self._events_writing = asyncio.ensure_future(self._write_events())

    async def _record_remaining_events(self) -> None:
        """Record all events that are left, when there is nothing else to do."""
        await self._events_writing
        await self._write_events()

    async def _write_events(self) -> None:
        """Record the events of applied commands. If the disk is full they wait: recovery can always redo them."""
        events, self._events, self._events_count = self._events, [], 0
        if not events:
            return
        self._events_under_way = events
        rows = event_rows(events)
        try:
            await self._journal.append_events(rows)
        except JournalUnavailableError:
            self._events = events + self._events
            self._events_count = sum(len(caused) for _, caused in self._events)
        else:
            await self._write_measurements()
        finally:
            self._events_under_way = []

    async def _write_measurements(self) -> None:
        """Record the complete digests of events, and the answer times of batches."""
        self._digests += self.engine.events_digest.take_complete()
        answers, self._answers = self._answers, []
        # If they cannot be recorded, the digests wait for the next time, and the times are lost.
        with contextlib.suppress(JournalUnavailableError):
            if self._digests:
                await self._journal.append_digests(self._digests)
                self._digests = []
            if answers:
                await self._journal.append_answers(answers)

    async def _wait(self) -> None:
        """Wait for the next command. If none comes for a while, record the remaining events."""
        self._wake.clear()
        if self._waiting or self._stopping:
            return
        if self._events:
            try:
                async with asyncio.timeout(EVENTS_DELAY_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                await self._record_remaining_events()
            return
        await self._wake.wait()


def _ignore(_change: Change | None) -> None:
    pass
