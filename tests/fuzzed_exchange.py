"""An exchange in this process that takes hostile frames. Afterwards it must hold what a replay of its journal makes."""

import asyncio
import gc
import heapq
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, NamedTuple

from exchange.catch_up.request import CatchUpRequest
from exchange.domain.rules import Market, Rules, Series
from exchange.engine.engine import Engine
from exchange.engine.recovery import replay_step
from exchange.gateway import jsonrpc
from exchange.gateway.exchange_port import PastDone, PastQuestion
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.methods import METHODS
from exchange.history_db.file import history_path
from exchange.history_db.writer import HistoryWriter
from exchange.past.answers import PastAnswers
from exchange.runtime.node import _make_garbage_collections_short
from tests.fake_exchange import ADMIN_SECRET, Connection, FakeExchange
from tests.frames import CALL, PUT, FrameMaker

# Frames of one exchange. Catch-ups replay its whole journal, so that a longer one costs much more.
FRAMES_OF_AN_EXCHANGE = 1_000
CONNECTIONS = 4
SLOWEST_SHOWN = 20
# The function calls that a frame may cause, and those for each of its bytes. The work for a frame is linear in its
# length. The shortest request that asks for much, `public/get_tickers`, has about 5 calls for each byte in this market.
CALLS_MAX, CALLS_PER_BYTE = 1_000, 8
# The answer of public/get_tickers has an entry for each listed instrument, however short the request is.
CALLS_PER_TICKER = 60
# The longest payload that a client's command may have. The rules with all their series are the longest.
PAYLOAD_MAX = 4_000

_SERIES = Series("SOL", 10_000_000, strikes_each_side=1, dailies=1, weeklies=0, monthlies=0)
_RULES = Rules(finished_orders_kept=20, open_orders_max=40, market=Market(series=(_SERIES,)))
_AUTH = (
    '{"jsonrpc":"2.0","id":1,"method":"public/auth","params":{"grant_type":"client_credentials","client_id":"%s"%s}}'
)
_SET_INDEX = '{"jsonrpc":"2.0","id":1,"method":"admin/set_index_price","params":{"asset":"SOL","price":150000000}}'
_ORDER = '{"jsonrpc":"2.0","id":1,"method":"private/%s","params":{"instrument_id":"%s","amount":1000,"price":%d}}'
LOGINS = (
    _AUTH % ("alice", ""),
    _AUTH % ("bob", ""),
    _AUTH % ("admin", f',"client_secret":"{ADMIN_SECRET}"'),
    # The last connection is a stranger's.
    '{"jsonrpc":"2.0","id":1,"method":"public/test"}',
)
ADMIN = 2
_USER = '{"jsonrpc":"2.0","id":1,"method":"admin/%s","params":{"user_id":"%s"%s}}'
# The administrator takes back what hostile frames of its own may have done, so that trading goes on.
RECOVERY = (
    '{"jsonrpc":"2.0","id":1,"method":"admin/end_halt"}',
    '{"jsonrpc":"2.0","id":1,"method":"admin/resume"}',
    *(_USER % ("reinstate", user_id, "") for user_id in ("alice", "bob")),
    *(_USER % ("deposit", user_id, ',"amount":10000000000') for user_id in ("alice", "bob")),
)


class SlowFrame(NamedTuple):
    """A frame and the processor time that the session took for it."""

    cpu_ms: float
    frame: bytes


class Tally:
    """What all fuzzed exchanges together did."""

    def __init__(self) -> None:
        self.frames = 0
        self.commands = 0
        self.answers = 0
        self.slowest: list[SlowFrame] = []

    def note(self, frame: bytes, cpu_ns: int) -> None:
        """Note the time of one frame."""
        self.frames += 1
        slow = SlowFrame(cpu_ns / 1e6, frame)
        if len(self.slowest) < SLOWEST_SHOWN:
            heapq.heappush(self.slowest, slow)
        elif slow > self.slowest[0]:
            heapq.heapreplace(self.slowest, slow)

    def report(self) -> str:
        """All figures and the slowest frames, as lines."""
        lines = [f"{self.frames} frames, {self.answers} answers, {self.commands} commands recorded; slowest frames:"]
        for cpu_ms, frame in sorted(self.slowest, reverse=True):
            lines += [f"{cpu_ms:8.2f} ms {len(frame):6} bytes {frame[:100]!r}"]
        return "\n".join(lines)


class FuzzedExchange(FakeExchange):
    """The fake exchange with a history of its first commands alone, which is written once."""

    def __init__(self, past: PastAnswers | None) -> None:
        super().__init__(_RULES)
        self._past = past
        # Of clients that have left.
        self.answers = 0

    def ask_past(self, question: PastQuestion, done: PastDone) -> None:
        """Answer from the history a few turns of the event loop later."""
        outcome: Any = jsonrpc.history_unavailable("the history ends earlier", 1_000)
        if self._past is not None and (answer := self._past.answer(question)).behind is None:
            outcome = RpcError(**answer.error) if answer.error is not None else answer.result
        asyncio.get_running_loop().call_soon(self._deliver, 2, done, outcome)

    async def open_market(self) -> None:
        """Start with a small market: accounts, instruments, trades and open orders."""
        for method in METHODS.values():
            if method.prepare is not None:
                method.prepare()
        await self.start(CALL, PUT)
        for n in range(CONNECTIONS):
            self.connect().send(LOGINS[n])
        await self.settle()
        alice, bob, admin, _ = self.connections
        admin.send(_SET_INDEX)
        await self.settle()
        for instrument_id in (CALL, PUT):
            for price_micros in (1_490_000, 1_500_000):
                alice.send(_ORDER % ("buy", instrument_id, price_micros))
            for price_micros in (1_500_000, 1_510_000):
                bob.send(_ORDER % ("sell", instrument_id, price_micros))
        await self.settle()
        assert self.views.tape.trades(CALL, 1), "the market has no trade"

    def _missed_messages(self, missed: CatchUpRequest) -> Iterator[tuple[str, bytes]]:
        """As in the fake exchange, but read when it is delivered: a real exchange reads the journal elsewhere."""
        yield from super()._missed_messages(missed)

    def replace(self, connection: Connection) -> None:
        """Disconnect a client, and connect another one in its place."""
        n = self.connections.index(connection)
        self.answers += connection.lawyer.answers
        self.disconnect(connection)
        fresh = self.connect()
        self.connections.insert(n, self.connections.pop())
        fresh.send(LOGINS[n])


class Unexpected(logging.Handler):
    """Collects log entries that a client must not be able to cause: errors and tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.entries: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the entry if it is an error or has a traceback."""
        if record.levelno >= logging.ERROR or record.exc_info:
            self.entries.append(self.format(record))


@contextmanager
def no_unexpected_log() -> Iterator[Unexpected]:
    """Fail if an error or a traceback is logged."""
    handler = Unexpected()
    logging.getLogger().addHandler(handler)
    try:
        yield handler
    finally:
        logging.getLogger().removeHandler(handler)
    assert not handler.entries, handler.entries[0]


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Collect garbage as rarely as the exchange does, so that no frame has the time of a collection."""
    thresholds = gc.get_threshold()
    _make_garbage_collections_short()
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


@contextmanager
def past_of_the_market() -> Iterator[PastAnswers]:
    """Write the history of a market that was just opened. Each fuzzed exchange begins with the same commands."""

    async def records() -> FuzzedExchange:
        exchange = FuzzedExchange(None)
        await exchange.open_market()
        await exchange.stop()
        return exchange

    exchange = asyncio.run(records())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exchange.db"
        engine, writer = Engine(), HistoryWriter(history_path(path))
        for record in exchange.journal.records:
            writer.add(record, *replay_step(engine, record), engine)
        writer.flush([])
        writer.close()
        answers = PastAnswers(path, lambda end: True)
        try:
            yield answers
        finally:
            answers.close()


def fuzz(seed: int, frames: int, past: PastAnswers, tally: Tally, counts_calls: bool = False) -> None:
    """Send `frames` frames to one exchange. Raises AssertionError if it breaks a promise.

    With `counts_calls` the function calls for each frame are counted instead of its time, and have a limit.
    """
    asyncio.run(_fuzz(Random(seed), frames, past, tally, counts_calls))


async def _fuzz(random: Random, frames: int, past: PastAnswers, tally: Tally, counts_calls: bool) -> None:
    exchange, maker = FuzzedExchange(past), FrameMaker(random)
    await exchange.open_market()
    recorded = exchange.journal.head.seq
    for _ in range(frames):
        connection = random.choice(exchange.connections)
        # The socket's side refuses frames that are not UTF-8.
        frame = maker.frame().decode(errors="ignore").encode()
        if not counts_calls:
            begun_ns = time.thread_time_ns()
            connection.session.receive(frame)
            tally.note(frame, time.thread_time_ns() - begun_ns)
        else:
            calls = counted_calls(connection, frame)
            tickers = frame.count(b"get_tickers") * len(exchange.views.live_instruments())
            assert calls <= CALLS_MAX + CALLS_PER_BYTE * len(frame) + CALLS_PER_TICKER * tickers, (
                f"{calls} calls for {len(frame)} bytes: {frame[:300]!r}"
            )
            tally.note(frame, 0)
        connection.lawyer.sent(frame)
        await _go_on(random, exchange, connection)
    await exchange.settle()
    for connection in exchange.connections:
        connection.lawyer.rest()
        assert connection.session.unanswered == 0
    await exchange.stop()
    tally.commands += exchange.journal.head.seq - recorded
    tally.answers += exchange.answers + sum(connection.lawyer.answers for connection in exchange.connections)
    check_replay(exchange)


async def _go_on(random: Random, exchange: FuzzedExchange, connection: Connection) -> None:
    """Let some time pass, as a rule after a few frames, and replace a client that was disconnected."""
    if random.random() < 0.2:
        await exchange.settle()
        exchange.clock.ts_us += random.choice((0, 1, 1_000, 1_000_000))
        for one in exchange.connections:
            one.take()
    if random.random() < 0.0005:
        exchange.clock.ts_us += 8 * 3_600_000_000
        await exchange.settle()
    if random.random() < 0.02:
        for text in RECOVERY:
            exchange.connections[ADMIN].send(text)
    if connection.reasons or random.random() < 0.002:
        await exchange.settle()
        exchange.replace(connection)


def check_replay(exchange: FakeExchange) -> None:
    """The state and the events are those that a replay of the journal makes."""
    exchange.engine.state.check()
    replayed = Engine()
    for record in exchange.journal.records:
        replayed.replay(record)
        assert len(record.payload) < PAYLOAD_MAX, "a hostile client can fill the journal"
    assert replayed.head == exchange.engine.head == exchange.journal.head
    assert replayed.digest() == exchange.engine.digest()
    assert replayed.events_digest.value == exchange.engine.events_digest.value
    assert replayed.mismatch_with(exchange.engine.snapshot()) is None


def counted_calls(connection: Connection, frame: bytes) -> int:
    """Let the session take a frame. Returns the number of function calls, which no load of the machine changes."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        connection.session.receive(frame)
    finally:
        sys.setprofile(None)
    return calls
