"""A whole exchange without sockets and without disk: texts go in, texts come out, and time stands still until told.

Everything that a node has is here but the gateway's sockets and the files: engine, pipeline, feeds and sessions on a
journal in memory. The clock is the test's, so every `ts_us` is known beforehand. A `Lawyer` watches each connection.
"""

import asyncio
from collections.abc import Callable, Iterator

from exchange.catch_up.request import CatchUpRequest, Done, Take
from exchange.catch_up.worker import keys_of, replay_messages
from exchange.domain.commands import (
    Command,
    CreateInstrument,
    Genesis,
    StartSession,
    decode_command,
    encode_command,
)
from exchange.domain.rules import Rules
from exchange.domain.units import next_day_end_us
from exchange.engine.engine import Engine
from exchange.engine.recovery import event_rows
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.limits import QUEUE_MAX
from exchange.gateway.methods import METHODS
from exchange.gateway.session import Session
from exchange.gateway.subscriptions import Subscriptions
from exchange.journal.memory import MemoryJournal
from exchange.journal.records import Record, chain
from exchange.projections.order_timeline import CommandRecord, PlacedStep, TimelineStep, timeline_of
from exchange.projections.views import Change
from exchange.runtime.clock import Clock
from exchange.runtime.engine_port import EnginePort
from exchange.runtime.pipeline import Pipeline
from tests.lawyer import Lawyer

START_US = 1_771_545_600_000_000  # 2026-02-20 00:00:00 UTC
APPEND_TURNS = 4
TURNS_MAX = 100_000  # of the event loop, before something that does not come is given up
ADMIN_SECRET = "the secret"


class ManualClock(Clock):
    """Exchange time as the test sets it."""

    def __init__(self, ts_us: int) -> None:
        self.ts_us = ts_us

    def now_us(self) -> int:
        return self.ts_us


class SlowJournal(MemoryJournal):
    """Takes its time, as a disk does: what is appended is not recorded before the event loop has turned a few times."""

    async def append(self, records: list[Record]) -> None:
        for _ in range(APPEND_TURNS):
            await asyncio.sleep(0)
        await super().append(records)


class Connection:
    """The client's end of a session. `inbox` holds what has arrived and was not taken yet."""

    def __init__(self, desk: "TestDesk") -> None:
        self.inbox: list[bytes] = []
        self.lawyer = Lawyer()
        self._unread: list[bytes] = []  # by the lawyer, whose objections the session must not see
        self.reasons: list[str] = []  # for which the exchange has hung up
        self.session = Session(desk, METHODS, desk.subscriptions, self._arrive, self.reasons.append)

    def send(self, text: str | bytes) -> None:
        """One frame."""
        frame = text.encode() if isinstance(text, str) else text
        self.lawyer.sent(frame)
        self.session.receive(frame)

    def take(self) -> list[bytes]:
        """What has arrived since the last time."""
        taken, self.inbox = self.inbox, []
        return taken

    def check(self) -> None:
        """Let the lawyer object to what has arrived."""
        unread, self._unread = self._unread, []
        for text in unread:
            self.lawyer.got(text)

    def _arrive(self, text: bytes) -> None:
        self._unread.append(text)
        self.inbox.append(text)


class TestBackfill:
    """A backfill from the journal in memory, which goes on when it is told to."""

    __test__ = False

    def __init__(
        self,
        missed: CatchUpRequest,
        texts: Iterator[tuple[str, bytes]],
        take: Take,
        done: Done,
    ) -> None:
        self.missed = missed
        self.take = take
        self.done = done
        self.is_paused = self.is_over = False
        self._texts = texts

    def pause(self, is_paused: bool) -> None:
        self.is_paused = is_paused

    def end(self) -> None:
        self.is_over = True

    def go_on(self, count: int | None = None) -> None:
        """Bring so many texts, or all that are left; as far as it may."""
        while not self.is_paused and not self.is_over and count != 0:
            count = None if count is None else count - 1
            found = next(self._texts, None)
            if found is None:
                self.is_over = True
                self.done(None)
            else:
                self.take(*found)

    def fail(self, reason: str) -> None:
        """What is left cannot be had."""
        self.is_over = True
        self.done(reason)


class TestDesk(EnginePort):
    """The gateway's desk and the pipeline's publisher, as a node is."""

    __test__ = False
    first_seq = 1

    def __init__(self, rules: Rules = Rules(), requests_per_second: int = 0) -> None:
        super().__init__(Engine())
        self.clock = ManualClock(START_US)
        self.journal = SlowJournal()
        self.connections: list[Connection] = []
        self.is_stopping = False
        self.queue_max = QUEUE_MAX
        self.backfills: list[TestBackfill] = []  # that are under way
        self.brings_at_once = True  # whether `settle` lets backfills go on, too
        self._founding = Genesis(rules)
        self._requests_per_second = requests_per_second
        self._outstanding = 0

    async def start(self, *instrument_ids: str) -> None:
        """Come up on what the journal holds, and list these instruments."""
        if not self.journal.records:
            await self.journal.append(chain(self.journal.head, [(START_US, encode_command(self._founding).decode())]))
        self.engine = Engine()
        for record in self.journal.records:
            events = self.engine.replay(record)
            if record.seq > self.journal.events_seq:
                await self.journal.append_events(event_rows([(record.seq, events)]))
        self.subscriptions = Subscriptions(self.engine.views)
        self.pipeline = Pipeline(self.engine, self.journal, self.clock, self)
        self._road = asyncio.create_task(self.pipeline.run())
        await self.execute(StartSession("test"))
        for instrument_id in instrument_ids:
            await self.execute(CreateInstrument(instrument_id, 10_000, 100))

    async def crash(self) -> None:
        """Go down without a word to anyone."""
        self._road.cancel()
        await asyncio.gather(self._road, return_exceptions=True)
        self.connections.clear()
        self.backfills.clear()
        self._outstanding = 0

    async def stop(self) -> None:
        """Finish what was accepted."""
        self.is_stopping = True
        self.pipeline.stop()
        await self._road

    def connect(self) -> Connection:
        connection = Connection(self)
        self.connections.append(connection)
        return connection

    def disconnect(self, connection: Connection) -> None:
        connection.check()
        self.connections.remove(connection)
        connection.session.close()

    async def execute(self, command: Command) -> None:
        """Have a command carried out that no session sent."""
        self.submit(command, lambda change: None)
        await self.settle()

    async def settle(self) -> None:
        """Wait until everything sent is answered and published, and the clock has been looked at."""
        self.pipeline.check_clock()
        turns = 0
        while self._is_under_way():
            if self._road.done():
                self._road.result()
            assert turns < TURNS_MAX, "a command is never answered"
            turns += 1
            await asyncio.sleep(0)
        while self.brings_at_once and (ready := [one for one in self.backfills if not one.is_paused]):
            for backfill in ready:
                backfill.go_on()
            self.backfills = [one for one in self.backfills if not one.is_over]
        for connection in self.connections:
            connection.check()

    def _is_under_way(self) -> bool:
        return (
            self._outstanding > 0
            or any(connection.session.unanswered for connection in self.connections)
            or next_day_end_us(self.engine.head.ts_us) <= self.clock.ts_us
        )

    @property
    def is_busy(self) -> bool:
        return self.pipeline.queue_depth >= self.queue_max

    @property
    def requests_per_second(self) -> int:
        return self._requests_per_second

    def now_us(self) -> int:
        return self.clock.now_us()

    def submit(self, command: Command, done: Callable[[Change | None], None]) -> None:
        def counted(change: Change | None) -> None:
            assert change is None or self.journal.head.seq >= change.seq, "answered before it is durable"
            self._outstanding -= 1
            done(change)

        if not self.is_stopping:
            self._outstanding += 1
            self.pipeline.submit(command, counted)

    def explain(self, user_id: str, order_id: int, done: Callable[[list[TimelineStep] | RpcError], None]) -> None:
        """Found by playing everything again, and told a few turns of the loop later."""
        engine = Engine()
        happenings = [
            CommandRecord(record.seq, record.ts_us, decode_command(record.payload), engine.replay(record))
            for record in self.journal.records[: self.engine.head.seq]
        ]
        steps = timeline_of(order_id, happenings)
        placed = steps[0] if steps else None
        is_own = isinstance(placed, PlacedStep) and placed.user_id == user_id
        asyncio.get_running_loop().call_soon(self._tell, APPEND_TURNS, done, steps if is_own else [])

    def catch_up(self, request: CatchUpRequest, take: Take, done: Done) -> TestBackfill:
        backfill = TestBackfill(request, self._missed_texts(request), take, done)
        self.backfills.append(backfill)
        return backfill

    def _missed_texts(self, missed: CatchUpRequest) -> Iterator[tuple[str, bytes]]:
        engine = Engine()
        for record in self.journal.records[: missed.from_seq - 1]:
            engine.replay(record)
        records = self.journal.records[missed.from_seq - 1 : missed.up_to]
        return ((name, text) for _, name, text in replay_messages(engine, records, keys_of(missed)))

    def is_admin_secret(self, secret: str | None) -> bool:
        return secret == ADMIN_SECRET

    def _tell(
        self, turns: int, done: Callable[[list[TimelineStep] | RpcError], None], steps: list[TimelineStep]
    ) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._tell, turns - 1, done, steps)
        else:
            done(steps)

    def publish(self, change: Change) -> None:
        self.subscriptions.publish(change)

    def flush(self) -> None:
        self.subscriptions.flush()
