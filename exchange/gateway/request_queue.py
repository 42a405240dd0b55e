"""The requests of one connection: when each may start, and in which order their answers leave.

A request waits until it starts. A query is answered when it starts. A command and an inquiry are *in flight* from then
on: a command until it is durable and applied, an inquiry until its outcome is known.

Answers leave in the order of the requests, and a request sees the effects of all requests before it. Commands are
answered in the order of their submission, so that a command may start while others are in flight. Queries and inquiries
wait until nothing is in flight. So do the refusals of requests that never became commands. A method that `waits` is
alone in flight.

    state        in flight                         may start
    idle         nothing                           any request
    pipelining   commands that need not wait       a command that need not wait
    exclusive    one request of a method that      nothing
                 `waits`

    event                                  idle          pipelining    exclusive
    a query or a refusal starts            idle          -             -
    a command starts                       pipelining    pipelining    -
    a request that `waits` starts          exclusive     -             -
    the last one in flight is answered     -             idle          idle

The state is not stored: `_in_flight` and `_is_exclusive` say it. Two conditions suspend starting in every state:

    suspended by   because                                 until
    backpressure   the client does not read its answers    it reads, or the connection is closed
    yielding       the connection used up its turn         other connections had their turn

After `close` the answers go nowhere: queries are dropped, inquiries are abandoned, but waiting commands still start.
When none waits any more, the queue is drained.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from exchange.domain.commands import Command
from exchange.gateway import jsonrpc
from exchange.gateway.caller import Caller, Inquiry
from exchange.gateway.dialect import Dialect
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.limits import COMMAND_SECONDS
from exchange.gateway.methods import Method
from exchange.gateway.turns import Turn
from exchange.projections.fold import Change
from exchange.projections.wire_types import Receipt

_log = logging.getLogger(__name__)

BUSY_RETRY_MS = 100

# Takes the text of an answer; None for a JSON-RPC notification, which has no answer.
Reply = Callable[[bytes | None], None]


class Call:
    """One request: its method and parameters, or the error to answer with; and `reply`, which takes the answer."""

    __slots__ = ("arrived_us", "dialect", "error", "method", "name", "params", "raw_id", "reply")

    def __init__(
        self, dialect: Dialect, raw_id: bytes | None, reply: Reply, name: str = "", error: RpcError | None = None
    ) -> None:
        self.dialect = dialect
        # In exchange time, if the dialect is timed.
        self.arrived_us = 0
        self.raw_id = raw_id
        self.reply = reply
        self.name = name
        self.error = error
        self.method: Method | None = None
        self.params: Any = None

    @property
    def can_pipeline(self) -> bool:
        """True if it may start while commands are in flight."""
        return self.method is not None and self.method.answer is not None and not self.method.waits

    def succeed(self, result: Any) -> None:
        """Answer with a result."""
        self.reply(None if self.raw_id is None else self.dialect.result_text(self.raw_id, result, self.arrived_us))

    def fail(self, error: RpcError) -> None:
        """Answer with an error."""
        self.reply(None if self.raw_id is None else self.dialect.error_text(self.raw_id, error, self.arrived_us))


class RequestQueue:
    """Starts the requests of one connection in order, and answers them.

    Requests start in the connection's `turn`; None if there are no other connections. `on_drained` is called when the
    queue is closed and all its commands are submitted; it may be called again.
    """

    def __init__(self, caller: Caller, turn: Turn | None, on_drained: Callable[[], None]) -> None:
        self._caller = caller
        self._exchange = caller.exchange
        self._turn = turn
        self._on_drained = on_drained
        self._waiting: deque[Call] = deque()
        self._in_flight = 0
        self._is_exclusive = False
        self._inquiries: dict[Call, None] = {}
        self._is_backpressured = False
        self._is_yielding = False
        self._is_closed = False

    @property
    def unanswered(self) -> int:
        """The number of requests that wait or are in flight."""
        return self._in_flight + len(self._waiting)

    def add(self, call: Call) -> None:
        """Take the next request."""
        self._waiting.append(call)
        self._start_waiting()

    def set_backpressure(self, is_backpressured: bool) -> None:
        """Start nothing while the client does not read its answers."""
        self._is_backpressured = is_backpressured
        self._start_waiting()

    def close(self) -> None:
        """Drop queries and inquiries; commands that wait still start."""
        self._is_closed = True
        self._waiting = deque(call for call in self._waiting if call.method is not None and call.method.answer)
        for call in list(self._inquiries):
            self._end_inquiry(call)
        if self._is_yielding and self._turn is not None:
            # The gateway forgot the closed connection, and its next turn with it.
            self._turn.wait(self._resume)
        self._start_waiting()

    def _start_waiting(self) -> None:
        """Start requests as far as the state allows, for one turn."""
        while self._waiting and not self._is_exclusive and (self._is_closed or not self._is_backpressured):
            if (self._in_flight and not self._waiting[0].can_pipeline) or self._is_yielding:
                return
            call = self._waiting.popleft()
            try:
                if call.error is None:
                    self._start(call)
                else:
                    self._refuse(call, call.error)
            except RpcError as error:
                self._refuse(call, error.detached())
            except Exception:
                _log.exception("a request failed: %s", call.name)
                self._refuse(call, jsonrpc.internal_error())
            if self._turn is not None and self._turn.is_over:
                self._is_yielding = True
                self._turn.wait(self._resume)
        if self._is_closed and not self._waiting and not self._is_exclusive:
            self._on_drained()

    def _resume(self) -> None:
        """Begin a new turn."""
        self._is_yielding = False
        self._start_waiting()

    def _start(self, call: Call) -> None:
        """Answer the request, or put it in flight. Raises RpcError if it is refused."""
        method = call.method
        assert method is not None, "a request without a method and without an error"
        if method.level > self._caller.level:
            raise self._why_not_permitted(method)
        if method.answer is None:
            call.succeed(method.handle(self._caller, call.params))
            return
        if self._exchange.is_busy:
            raise jsonrpc.rate_limited("too many commands wait for the journal: try again later", BUSY_RETRY_MS)
        result = method.handle(self._caller, call.params)
        if isinstance(result, Command):
            self._submit(call, method, result)
        elif isinstance(result, Inquiry):
            self._inquire(call, method, result)
        else:
            call.succeed(result)

    def _why_not_permitted(self, method: Method) -> RpcError:
        """The error of a method that needs more rights than the caller has."""
        if method.access == "admin" and self._exchange.is_read_only:
            return jsonrpc.read_only_replay()
        if not self._caller.user_id:
            return jsonrpc.must_authenticate()
        if method.access == "admin":
            return RpcError("not_permitted", "only the administrator may do this")
        return RpcError("not_permitted", "this key has the right to read only: log in with one that may trade")

    def _refuse(self, call: Call, error: RpcError) -> None:
        """Answer with an error, after the commands in flight are answered."""
        if self._in_flight:
            call.method, call.error = None, error
            self._waiting.appendleft(call)
        else:
            call.fail(error)

    def _submit(self, call: Call, method: Method, command: Command) -> None:
        if self._exchange.is_read_only or self._exchange.clock_jump_us:
            if method.undo is not None:
                method.undo(self._caller)
            if self._exchange.is_read_only:
                raise jsonrpc.read_only_replay()
            raise jsonrpc.clock_jumped(self._exchange.clock_jump_us)
        self._in_flight += 1
        self._is_exclusive = method.waits
        if self._turn is not None:
            self._turn.worked_seconds += COMMAND_SECONDS
        self._exchange.submit(command, lambda change: self._on_command_done(call, method, change))

    def _on_command_done(self, call: Call, method: Method, change: Change | None) -> None:
        """Answer a command that is durable and applied; None: it could not be recorded."""
        self._in_flight -= 1
        self._is_exclusive = False
        if change is None:
            if method.undo is not None:
                method.undo(self._caller)
            call.fail(jsonrpc.journal_unavailable())
        elif change.refused is not None and change.refused != method.ignores:
            data = {"receipt": self._receipt(change)} if call.params.receipt else {}
            band = {} if change.band is None else {"min_price": change.band[0], "max_price": change.band[1]}
            call.fail(jsonrpc.refused(change.refused, seq=change.seq, **band, **data))
        else:
            self._answer(call, method, change, self._receipt(change) if call.params.receipt else None)
        self._start_waiting()

    def _receipt(self, change: Change) -> Receipt:
        """The receipt of the command that has just been applied, which made this change."""
        assert self._exchange.views.seq == change.seq, "the hash would be that of another command"
        return Receipt(change.seq, change.ts_us, self._exchange.head_hash.hex())

    def _inquire(self, call: Call, method: Method, inquiry: Inquiry) -> None:
        if self._is_closed:
            return
        self._in_flight += 1
        self._is_exclusive = method.waits
        self._inquiries[call] = None
        inquiry.ask(lambda outcome: self._on_inquiry_done(call, method, outcome))

    def _on_inquiry_done(self, call: Call, method: Method, outcome: Any) -> None:
        """Answer an inquiry, unless it was abandoned."""
        if call in self._inquiries:
            self._end_inquiry(call)
            self._answer(call, method, outcome)
            self._start_waiting()

    def _end_inquiry(self, call: Call) -> None:
        del self._inquiries[call]
        self._in_flight -= 1
        self._is_exclusive = False

    def _answer(self, call: Call, method: Method, outcome: Any, receipt: Receipt | None = None) -> None:
        """Answer with the changes of a command, or with the outcome of an inquiry."""
        assert method.answer is not None, "a command or an inquiry without an answer"
        self._caller.asked = call.params
        try:
            result = method.answer(self._caller, outcome)
            call.succeed(result if receipt is None else jsonrpc.result_with(result, receipt))
        except RpcError as error:
            call.fail(error.detached())
        except Exception:
            _log.exception("a request was carried out, but could not be answered: %s", call.name)
            call.fail(jsonrpc.internal_error())
