"""A whole exchange without sockets and without disk: texts go in, texts come out, and time stands still until told.

Everything that a node has is here but the gateway's sockets and the files: core, pipeline, feeds and sessions on a
journal in memory. The clock is the test's, so every `ts_us` is known beforehand. A `Lawyer` watches each connection.
"""

import asyncio
from collections.abc import Callable

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
from exchange.gateway.feeds import Feeds
from exchange.gateway.limits import QUEUE_MAX
from exchange.gateway.session import Session
from exchange.projections.life import Happening, PlacedStep, Step, life_of
from exchange.projections.views import Change, Views
from exchange.runtime.clock import Clock
from exchange.runtime.core import Core
from exchange.runtime.pipeline import Pipeline
from exchange.runtime.recovery import event_rows
from journal.memory import MemoryJournal
from journal.records import Record, chain
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
        self.session = Session(desk, desk.feeds, self._arrive)

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


class TestDesk:
    """The gateway's desk and the pipeline's publisher, as a node is."""

    __test__ = False

    def __init__(self, rules: Rules = Rules(), requests_per_second: int = 0) -> None:
        self.clock = ManualClock(START_US)
        self.journal = SlowJournal()
        self.connections: list[Connection] = []
        self.is_stopping = False
        self.queue_max = QUEUE_MAX
        self._founding = Genesis(rules)
        self._requests_per_second = requests_per_second
        self._outstanding = 0

    async def start(self, *instrument_ids: str) -> None:
        """Come up on what the journal holds, and list these instruments."""
        if not self.journal.records:
            await self.journal.append(chain(self.journal.head, [(START_US, encode_command(self._founding).decode())]))
        self.core = Core()
        for record in self.journal.records:
            events = self.core.replay(record)
            if record.seq > self.journal.events_seq:
                await self.journal.append_events(event_rows([(record.seq, events)]))
        self.feeds = Feeds(self.core.views)
        self.pipeline = Pipeline(self.core, self.journal, self.clock, self)
        self._road = asyncio.create_task(self.pipeline.run())
        await self.execute(StartSession("test"))
        for instrument_id in instrument_ids:
            await self.execute(CreateInstrument(instrument_id, 10_000, 100))

    async def crash(self) -> None:
        """Go down without a word to anyone."""
        self._road.cancel()
        await asyncio.gather(self._road, return_exceptions=True)
        self.connections.clear()
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
        self.pipeline.look_at_clock()
        turns = 0
        while self._is_under_way():
            if self._road.done():
                self._road.result()
            assert turns < TURNS_MAX, "a command is never answered"
            turns += 1
            await asyncio.sleep(0)
        for connection in self.connections:
            connection.check()

    def _is_under_way(self) -> bool:
        return (
            self._outstanding > 0
            or any(connection.session.unanswered for connection in self.connections)
            or next_day_end_us(self.core.head.ts_us) <= self.clock.ts_us
        )

    @property
    def views(self) -> Views:
        return self.core.views

    @property
    def rules(self) -> Rules:
        return self.core.state.rules

    @property
    def is_busy(self) -> bool:
        return self.pipeline.waiting >= self.queue_max

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

    def explain(self, user_id: str, order_id: int, done: Callable[[list[Step] | None], None]) -> None:
        """Found by playing everything again, and told a few turns of the loop later."""
        core = Core()
        happenings = [
            Happening(record.seq, record.ts_us, decode_command(record.payload), core.replay(record))
            for record in self.journal.records[: self.core.head.seq]
        ]
        steps = life_of(order_id, happenings)
        placed = steps[0] if steps else None
        is_own = isinstance(placed, PlacedStep) and placed.user_id == user_id
        asyncio.get_running_loop().call_soon(self._tell, APPEND_TURNS, done, steps if is_own else [])

    def is_admin_secret(self, secret: str | None) -> bool:
        return secret == ADMIN_SECRET

    def _tell(self, turns: int, done: Callable[[list[Step] | None], None], steps: list[Step]) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._tell, turns - 1, done, steps)
        else:
            done(steps)

    def publish(self, change: Change) -> None:
        self.feeds.publish(change)

    def flush(self) -> None:
        self.feeds.flush()
