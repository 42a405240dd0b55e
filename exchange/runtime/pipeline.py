"""The road of a command: from its acceptance to its answer and its notifications."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

from msgspec import UNSET

from exchange.domain.commands import Command, ContinueTriggers, EndDay, encode_commands
from exchange.domain.units import US_PER_DAY, next_day_end_us
from exchange.engine.engine import Engine
from exchange.journal.errors import JournalUnavailableError
from exchange.journal.protocols import JournalWriter
from exchange.journal.records import AnswerRow, DigestRow, Record, chain
from exchange.projections.fold import Change
from exchange.runtime.clock import Clock

BATCH_MAX = 1_000  # commands in one transaction

# Digests and times of answers are recorded when a digest is complete or when this many batches were answered.
ANSWERS_BATCH = 200

# If no command comes for this time, the remaining times of answers are recorded.
MEASUREMENTS_DELAY_SECONDS = 0.2

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
        # Complete digests and times of answers that wait to be recorded.
        self._digests: list[DigestRow] = []
        self._answers: list[AnswerRow] = []
        self._answered_us = 0
        self._recording: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._recording.set_result(None)
        self._wake = asyncio.Event()
        self._is_clock_due = False
        # Ends the wait for a command when the remaining times of answers are due. One timer serves many waits.
        self._answers_timer: asyncio.TimerHandle | None = None
        self._are_answers_due = False
        self._stopping = False
        # The first accepted command, which begins the run of the server, was taken.
        self._has_begun = False
        # A command that continues with trigger orders waits, or is being written.
        self._continues = False

    @property
    def queue_depth(self) -> int:
        """The number of accepted commands that wait to be written."""
        return len(self._waiting)

    def submit(self, command: Command, done: Done) -> None:
        """Accept a command. `done` is called once it is durable and applied."""
        assert not self._stopping, "a command after the last one"
        self._waiting.append((command, done))
        self._wake.set()

    def check_clock(self) -> None:
        """Check whether the day has ended, although no command came."""
        self._is_clock_due = True
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
                    return await self._record_remaining()
                await self._wait()
                continue
            writing = self._begin_writing(batch)
            self._record_behind()
            if durable:
                if batch:
                    # Writing begins in this turn of the event loop.
                    await asyncio.sleep(0)
                for record, (command, done) in durable:
                    _, change = self.engine.step(record, command)  # state machine, then projections
                    done(change)  # answer
                    self._publisher.publish(change)  # notifications of this command
                self._publisher.flush()  # books and tickers, then everything onto the sockets
                self._note_answers(durable[-1][0])
                self._continue_triggers()
            durable = await self._confirm(batch, writing)

    def _continue_triggers(self) -> None:
        """Let a command go on with the trigger orders that the last batch left, before any other command.

        Not before the run has begun: its first command cancels orders, and lets the market reopen after a crash. Nor
        once the pipeline stops: the last command ends the run, and the next run goes on.
        """
        triggers = self.engine.state.triggers
        if triggers is None or not triggers.due or self._continues or self._stopping or not self._has_begun:
            return
        self._continues = True
        self._waiting.appendleft((ContinueTriggers(), self._on_continued))

    def _on_continued(self, change: Change | None) -> None:
        self._continues = False
        if change is None:
            # It could not be recorded. No other command may come.
            self._continue_triggers()

    def _note_answers(self, last: Record) -> None:
        """Note when the batch that ends with `last` was answered.

        The times never fall, even if the system clock is set back, so that `verify` can check them.
        """
        self._answered_us = max(self._clock.now_us(), last.ts_us, self._answered_us)
        self._answers.append((last.seq, self._answered_us))

    def _next_batch(self) -> list[tuple[Record, _Accepted]]:
        """The waiting commands in order, each with its seq and a strictly rising time. The end of a day goes first."""
        if not self._waiting and not self._is_clock_due:
            return []
        self._is_clock_due = False
        head = self._journal.head
        now_us, last_us, day_end_us = self._clock.now_us(), head.ts_us, next_day_end_us(head.ts_us)
        batch: list[_Accepted] = []
        times_us: list[int] = []
        while len(batch) < BATCH_MAX:
            ts_us = max(now_us, last_us + 1)
            if head.seq and ts_us >= day_end_us and not (self._stopping and not self._waiting):
                batch.append((self._end_of_day(next_day_end_us(ts_us) - US_PER_DAY), _ignore))
                day_end_us = next_day_end_us(ts_us)
            elif self._waiting:
                batch.append(self._waiting.popleft())
                self._has_begun = True
            else:
                break
            times_us.append(ts_us)
            last_us = ts_us
        payloads = encode_commands([command for command, _ in batch])
        return list(zip(chain(head, zip(times_us, payloads, strict=True)), batch, strict=True))

    def _end_of_day(self, day_end_us: int) -> EndDay:
        """The end of a day, which may come before the run of the server begins. Only fair markets ask for that."""
        is_before_start = not self._has_begun and self.engine.state.has_fair_market
        return EndDay(day_end_us, True if is_before_start else UNSET)

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
            # The batch may have held the end of a day.
            self._is_clock_due = True
            await asyncio.sleep(UNAVAILABLE_PAUSE_SECONDS)
            return []
        return batch

    def _record_behind(self) -> None:
        """Start to record digests and times of answers if it is time and the previous ones are recorded."""
        self._digests += self.engine.events_digest.take_complete()
        if self._recording.done() and (self._digests or len(self._answers) >= ANSWERS_BATCH):
            self._recording.result()
            self._recording = asyncio.ensure_future(self._record())

    async def _record_remaining(self) -> None:
        """Record all digests and times of answers that are left, when there is nothing else to do."""
        await self._recording
        self._digests += self.engine.events_digest.take_complete()
        await self._record()

    async def _record(self) -> None:
        answers, self._answers = self._answers, []
        # If they cannot be recorded, the digests wait for the next time, and the times are lost.
        with contextlib.suppress(JournalUnavailableError):
            if digests := self._digests[:]:
                await self._journal.append_digests(digests)
                del self._digests[: len(digests)]
            if answers:
                await self._journal.append_answers(answers)

    async def _wait(self) -> None:
        """Wait for the next command. If none comes for a while, record the remaining times of answers."""
        self._wake.clear()
        if self._waiting or self._stopping:
            return
        if self._answers and self._answers_timer is None:
            loop = asyncio.get_running_loop()
            self._answers_timer = loop.call_later(MEASUREMENTS_DELAY_SECONDS, self._on_answers_due)
        await self._wake.wait()
        if self._are_answers_due:
            self._are_answers_due = False
            if not self._waiting:
                await self._record_remaining()

    def _on_answers_due(self) -> None:
        self._answers_timer = None
        self._are_answers_due = True
        self._wake.set()


def _ignore(_change: Change | None) -> None:
    pass
