"""Faults on purpose, for the tests of bots: slow answers, lost ones, broken connections, refusals, and maintenance.

A fault is drawn for each request from the seed of the plan, the number of the connection, and the number of the request
on it. So the same requests on the same connections get the same faults, however the clients take turns.

    fault             the request is    the client sees
    rate_limit        not carried out   the error 1007, rate_limit_exceeded
    disconnect        not carried out   a broken connection
    late_disconnect   carried out       a broken connection
    lost_answer       carried out       nothing: the answer never comes, and the connection stays
"""

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable
from http import HTTPStatus
from random import Random
from typing import Annotated, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta

from exchange.gateway.handshake import HandshakeRefusal
from exchange.gateway.jsonrpc import rate_limited
from exchange.gateway.request_queue import Reply

Fault = Literal["rate_limit", "disconnect", "late_disconnect", "lost_answer"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
# The faults of a long test; the oldest are dropped.
LOG_MAX = 100_000
RETRY_MS = 100

Share = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[float, Meta(ge=0, le=60_000)]
Seconds = Annotated[int, Meta(ge=1, le=86_400)]

_log = logging.getLogger(__name__)


class MaintenancePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Maintenance begins `every_s` seconds after the one before has ended, and lasts for `for_s`."""

    every_s: Seconds
    for_s: Seconds


class ChaosPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which faults clients meet. A fault is a share of all requests, from 0 to 1; together they are at most 1.

    `latency_ms`: the shortest and the longest delay of a message to a client, in milliseconds.
    """

    seed: int = 1
    latency_ms: tuple[Milliseconds, Milliseconds] = (0, 0)
    rate_limit: Share = 0
    disconnect: Share = 0
    late_disconnect: Share = 0
    lost_answer: Share = 0
    maintenance: MaintenancePlan | None = None


class ChaosEntry(NamedTuple):
    """A fault that a client met: the numbers of its connection and of its request there, from 1 on."""

    connection: int
    request: int
    method: str
    fault: Fault


def contradiction(plan: ChaosPlan) -> str | None:
    """Return why a plan is not possible, as a sentence; None if it is."""
    shortest, longest = plan.latency_ms
    if shortest > longest:
        return f"latency_ms: the shortest delay, {shortest:g}, is above the longest, {longest:g}"
    shares = sum(getattr(plan, fault) for fault in FAULTS)
    return (
        f"the shares of {', '.join(FAULTS)} are {shares:g} together, but at most 1 is possible" if shares > 1 else None
    )


class Chaos:
    """The faults of one exchange, and a log of them. `planned` are faults for the next requests, by method."""

    def __init__(self, plan: ChaosPlan = ChaosPlan()) -> None:
        self.plan = plan
        self.log: deque[ChaosEntry] = deque(maxlen=LOG_MAX)
        self.planned: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._connections = 0
        # Times of the steady clock. Maintenance is under way before `_ends`; the next one begins at `_begins`.
        self._ends_seconds = 0.0
        every_s = 0 if plan.maintenance is None else plan.maintenance.every_s
        self._begins_seconds = time.monotonic() + every_s

    def of_connection(
        self, send: Callable[[bytes], None], flush: Callable[[], None], abort: Callable[[], None]
    ) -> "ConnectionChaos":
        """The faults of a new connection: `send` queues a text, `flush` writes what is queued, `abort` breaks it."""
        self._connections += 1
        return ConnectionChaos(self, self._connections, send, flush, abort)

    def fault_of(self, random: Random, method: str) -> Fault | None:
        """Return the fault of the next request for a method: a planned one, else one that is drawn."""
        drawn = random.random()
        if planned := self.planned.get(method):
            return planned.popleft()
        for fault in FAULTS:
            drawn -= getattr(self.plan, fault)
            if drawn < 0:
                return fault
        return None

    def begin_maintenance(self, seconds: float) -> None:
        """Refuse new connections for so long. The gateway closes those that are open."""
        self._ends_seconds = time.monotonic() + seconds
        _log.info("maintenance begins and lasts for %g s", seconds)

    def end_maintenance(self) -> None:
        """Accept connections again."""
        self._ends_seconds = 0.0

    def is_maintenance_due(self) -> bool:
        """True if maintenance begins now by the plan; it then has begun."""
        maintenance, now = self.plan.maintenance, time.monotonic()
        if maintenance is None or now < self._begins_seconds:
            return False
        self.begin_maintenance(maintenance.for_s)
        self._begins_seconds = now + maintenance.for_s + maintenance.every_s
        return True

    def why_refused(self) -> HandshakeRefusal | None:
        """Return why a connection is refused now; None if it is not."""
        left_seconds = self._ends_seconds - time.monotonic()
        if left_seconds <= 0:
            return None
        return HandshakeRefusal(HTTPStatus.SERVICE_UNAVAILABLE, f"maintenance for another {left_seconds:.1f} s\n")


class ConnectionChaos:
    """The faults of one connection."""

    def __init__(
        self,
        chaos: Chaos,
        number: int,
        send: Callable[[bytes], None],
        flush: Callable[[], None],
        abort: Callable[[], None],
    ) -> None:
        self._chaos = chaos
        self._number = number
        self._send, self._flush, self._abort = send, flush, abort
        self._requests = 0
        seed = f"{chaos.plan.seed} {number}"
        self._faults = Random(seed)
        # Draws of their own: faults do not depend on the number of messages.
        self._delays = Random(f"latency {seed}")
        # Texts that wait, each with the time at which it may leave.
        self._waiting: deque[tuple[float, bytes]] = deque()

    def on_request(self, method: str, reply: Reply) -> Reply:
        """Return what takes the answer of the next request. Raises RpcError if the request is refused."""
        self._requests += 1
        fault = self._chaos.fault_of(self._faults, method)
        if fault is None:
            return reply
        entry = ChaosEntry(self._number, self._requests, method, fault)
        self._chaos.log.append(entry)
        _log.info("connection %d, request %d, %s: %s", *entry)
        if fault == "rate_limit":
            raise rate_limited("a fault on purpose: try again later", RETRY_MS)
        if fault == "disconnect":
            self._abort()
            raise rate_limited("the connection was broken on purpose", RETRY_MS)

        def lose(_answer: bytes | None) -> None:
            if fault == "late_disconnect":
                self._abort()
            # As for a request without an answer, so that notifications go on.
            reply(None)

        return lose

    def send(self, text: bytes) -> None:
        """Send a text after a random delay. The order of texts stays."""
        shortest_ms, longest_ms = self._chaos.plan.latency_ms
        if not longest_ms:
            self._send(text)
            return
        loop = asyncio.get_running_loop()
        due_seconds = loop.time() + self._delays.uniform(shortest_ms, longest_ms) / 1_000
        if self._waiting:
            due_seconds = max(due_seconds, self._waiting[-1][0])
        self._waiting.append((due_seconds, text))
        if len(self._waiting) == 1:
            loop.call_at(due_seconds, self._send_due)

    def _send_due(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self._waiting[0][0] <= loop.time():
            self._send(self._waiting.popleft()[1])
        if self._waiting:
            loop.call_at(self._waiting[0][0], self._send_due)
        self._flush()
