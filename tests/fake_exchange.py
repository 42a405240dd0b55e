"""A whole exchange without sockets and files: engine, pipeline, subscriptions and sessions on a journal in memory.

The test sets the clock, and so it knows every `ts_us` beforehand. A `Lawyer` checks each connection.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec

from exchange.catch_up.request import CatchUpRequest, Done, Take
from exchange.catch_up.worker import keys_of, replay_messages
from exchange.domain.commands import (
    Command,
    CreateInstrument,
    Genesis,
    StartSession,
    encode_command,
)
from exchange.domain.rules import RULES_VERSION, Rules
from exchange.domain.units import next_day_end_us
from exchange.engine.engine import Engine
from exchange.engine.recovery import replay_step
from exchange.gateway import jsonrpc
from exchange.gateway.dialect import Dialect
from exchange.gateway.exchange_port import PastAnswer, PastDone, PastQuestion, WhatIfQuestion
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.limits import NO_RATES, GatewayLimits
from exchange.gateway.methods import METHODS
from exchange.gateway.session import Session
from exchange.gateway.subscriptions import Subscriptions
from exchange.history import what_if_worker
from exchange.history_db.file import history_path
from exchange.history_db.writer import HistoryWriter
from exchange.journal.memory import MemoryJournal
from exchange.journal.opening import open_journal_writer
from exchange.journal.records import Record, chain
from exchange.keys.credentials import Credentials
from exchange.past.answers import PastAnswers
from exchange.projections.fold import Change
from exchange.runtime.clock import Clock
from exchange.runtime.engine_port import EnginePort
from exchange.runtime.pipeline import Pipeline
from tests.lawyer import Lawyer

# 2026-02-20 00:00:00 UTC
START_US = 1_771_545_600_000_000
# Turns of the event loop that an append takes.
APPEND_TURNS = 4
# Turns of the event loop before `settle` gives up.
TURNS_MAX = 100_000
ADMIN_SECRET = "the secret"


class ManualClock(Clock):
    """A clock that shows the time set in `ts_us`."""

    def __init__(self, ts_us: int) -> None:
        self.ts_us = ts_us

    def now_us(self) -> int:
        return self.ts_us

    def confirm(self) -> int:
        jump_us, self.jump_us = self.jump_us, 0
        return jump_us


class SlowJournal(MemoryJournal):
    """A journal whose appends take several turns of the event loop, as on a disk."""

    async def append(self, records: list[Record]) -> None:
        for _ in range(APPEND_TURNS):
            await asyncio.sleep(0)
        await super().append(records)


class Connection:
    """The client's end of a session. `inbox` has new messages, `reasons` those for which the exchange closed it."""

    def __init__(self, exchange: "FakeExchange") -> None:
        self.inbox: list[bytes] = []
        self.lawyer = Lawyer()
        # Messages for the lawyer. It reads them later, because the session must not see its exceptions.
        self._unread: list[bytes] = []
        self.reasons: list[str] = []
        self.session = Session(exchange, Dialect(METHODS), exchange.subscriptions, self._on_text, self.reasons.append)

    def send(self, text: str | bytes) -> None:
        """Send one frame."""
        frame = text.encode() if isinstance(text, str) else text
        self.lawyer.sent(frame)
        self.session.receive(frame)

    def take(self) -> list[bytes]:
        """Return the messages since the last call."""
        taken, self.inbox = self.inbox, []
        return taken

    def check(self) -> None:
        """Let the lawyer check the new messages."""
        unread, self._unread = self._unread, []
        for text in unread:
            self.lawyer.got(text)

    def _on_text(self, text: bytes) -> None:
        self._unread.append(text)
        self.inbox.append(text)


class FakeCatchUp:
    """A catch-up from the journal in memory. The test drives it with `deliver`."""

    def __init__(self, missed: CatchUpRequest, messages: Iterator[tuple[str, bytes]], take: Take, done: Done) -> None:
        self.missed = missed
        self.take = take
        self.done = done
        self.is_paused = self.is_over = False
        self._messages = messages

    def pause(self, is_paused: bool) -> None:
        self.is_paused = is_paused

    def end(self) -> None:
        self.is_over = True

    def deliver(self, count: int | None = None) -> None:
        """Deliver `count` messages, or all that are left, until it is paused or ended."""
        while not self.is_paused and not self.is_over and count != 0:
            count = None if count is None else count - 1
            message = next(self._messages, None)
            if message is None:
                self.is_over = True
                self.done(None)
            else:
                self.take(*message)

    def fail(self, reason: str) -> None:
        """End with an error: the rest cannot be read."""
        self.is_over = True
        self.done(reason)


async def write_records(path: Path, records: list[Record]) -> None:
    """Write a journal of these records."""
    journal = await open_journal_writer(path)
    try:
        await journal.append(records)
    finally:
        await journal.close()


class FakeExchange(EnginePort):
    """The exchange port and the publisher of a pipeline, like a node."""

    first_seq = 1

    def __init__(self, rules: Rules = Rules(), requests_per_second: int = 0) -> None:
        super().__init__(Engine())
        self.clock = ManualClock(START_US)
        self.journal = SlowJournal()
        self.connections: list[Connection] = []
        self.is_stopping = False
        self.catch_ups: list[FakeCatchUp] = []
        # True if `settle` also finishes the running catch-ups.
        self.finishes_catch_ups = True
        # False if questions about the past are refused.
        self.has_history = True
        self._genesis = Genesis(rules, RULES_VERSION)
        self._limits = msgspec.structs.replace(NO_RATES, requests_per_second=requests_per_second)
        self.queue_max = self._limits.queue_max
        self._credentials = Credentials(admin_secret=ADMIN_SECRET)
        self._outstanding = 0

    async def start(self, *instrument_ids: str) -> None:
        """Start from the journal, and list these instruments."""
        if not self.journal.records:
            await self.journal.append(chain(self.journal.head, [(START_US, encode_command(self._genesis).decode())]))
        self.engine = Engine()
        for record in self.journal.records:
            self.engine.replay(record)
        self.subscriptions = Subscriptions(self.engine.views)
        self.pipeline = Pipeline(self.engine, self.journal, self.clock, self)
        self._pipeline_task = asyncio.create_task(self.pipeline.run())
        await self.execute(StartSession("test"))
        for instrument_id in instrument_ids:
            await self.execute(CreateInstrument(instrument_id, 10_000, 100))

    async def crash(self) -> None:
        """Stop at once. The connections get no message."""
        self._pipeline_task.cancel()
        await asyncio.gather(self._pipeline_task, return_exceptions=True)
        self.connections.clear()
        self.catch_ups.clear()
        self._outstanding = 0

    async def stop(self) -> None:
        """Finish the accepted commands, then stop."""
        self.is_stopping = True
        self.pipeline.stop()
        await self._pipeline_task

    def connect(self) -> Connection:
        connection = Connection(self)
        self.connections.append(connection)
        return connection

    def disconnect(self, connection: Connection) -> None:
        connection.check()
        self.connections.remove(connection)
        connection.session.close()

    async def execute(self, command: Command) -> None:
        """Submit a command without a session and wait until it is done."""
        self.submit(command, lambda change: None)
        await self.settle()

    async def settle(self) -> None:
        """Check the clock, and wait until all requests are answered and all notifications are sent."""
        self.pipeline.check_clock()
        turns = 0
        while self._is_working():
            if self._pipeline_task.done():
                self._pipeline_task.result()
            assert turns < TURNS_MAX, "a command is never answered"
            turns += 1
            await asyncio.sleep(0)
        while self.finishes_catch_ups and (ready := [one for one in self.catch_ups if not one.is_paused]):
            for catch_up in ready:
                catch_up.deliver()
            self.catch_ups = [one for one in self.catch_ups if not one.is_over]
        for connection in self.connections:
            connection.check()

    def _is_working(self) -> bool:
        return (
            self._outstanding > 0
            or any(connection.session.unanswered for connection in self.connections)
            or next_day_end_us(self.engine.head.ts_us) <= self.clock.ts_us
        )

    @property
    def is_busy(self) -> bool:
        return self.pipeline.queue_depth >= self.queue_max

    @property
    def limits(self) -> GatewayLimits:
        return self._limits

    @property
    def clock_jump_us(self) -> int:
        return self.clock.jump_us

    def ask_metrics(self, done: Callable[[dict[str, float]], None]) -> None:
        done({"exchange_journal_seq": self.journal.head.seq, 'exchange_refusals_total{reason="price_off_tick"}': 2})

    def confirm_time(self) -> int:
        return self.clock.confirm()

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

    def ask_past(self, question: PastQuestion, done: PastDone) -> None:
        """Write the history of all commands, answer from it, and deliver that a few turns of the event loop later."""
        outcome: msgspec.Raw | RpcError = jsonrpc.history_unavailable("the history is switched off", 1_000)
        if self.has_history:
            with tempfile.TemporaryDirectory() as folder:
                outcome = self._answer_from_history(Path(folder) / "exchange.db", question)
        asyncio.get_running_loop().call_soon(self._deliver, APPEND_TURNS, done, outcome)

    def ask_what_if(self, question: WhatIfQuestion, done: PastDone) -> None:
        """Write a journal and its history, and answer from them as the process does: not in the event loop."""
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(self._answer_what_if, question).result()
        outcome = RpcError(**found.error) if found.error is not None else found.result
        asyncio.get_running_loop().call_soon(self._deliver, APPEND_TURNS, done, outcome)

    def _answer_what_if(self, question: WhatIfQuestion) -> PastAnswer:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "exchange.db"
            asyncio.run(write_records(path, self.journal.records[: self.engine.head.seq]))
            self._write_history(path)
            return what_if_worker.answer(path, question)

    def _write_history(self, path: Path) -> None:
        engine = Engine()
        with closing(HistoryWriter(history_path(path))) as writer:
            for record in self.journal.records[: self.engine.head.seq]:
                writer.add(record, *replay_step(engine, record), engine)
            writer.flush([])

    def _answer_from_history(self, path: Path, question: PastQuestion) -> msgspec.Raw | RpcError:
        self._write_history(path)
        with closing(PastAnswers(path, lambda end: True)) as answers:
            answer = answers.answer(question)
        assert answer.behind is None, answer
        return RpcError(**answer.error) if answer.error is not None else answer.result

    def catch_up(self, request: CatchUpRequest, take: Take, done: Done) -> FakeCatchUp:
        catch_up = FakeCatchUp(request, self._missed_messages(request), take, done)
        self.catch_ups.append(catch_up)
        return catch_up

    def _missed_messages(self, missed: CatchUpRequest) -> Iterator[tuple[str, bytes]]:
        engine = Engine()
        for record in self.journal.records[: missed.from_seq - 1]:
            engine.replay(record)
        records = self.journal.records[missed.from_seq - 1 : missed.up_to]
        return ((name, text) for _, name, text in replay_messages(engine, records, keys_of(missed)))

    @property
    def credentials(self) -> Credentials:
        return self._credentials

    @credentials.setter
    def credentials(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def _deliver(self, turns: int, done: PastDone, outcome: msgspec.Raw | RpcError) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._deliver, turns - 1, done, outcome)
        else:
            done(outcome)

    def publish(self, change: Change) -> None:
        self.subscriptions.publish(change)

    def flush(self) -> None:
        self.subscriptions.flush()
