"""One connection's conversation, without the socket: frames of text go in, answers and notifications come out.

Answers leave in the order of the requests. Commands follow each other into the pipeline without waiting; whatever is
not a command, or is refused before it becomes one, waits until the commands before it are answered, and so sees what
they did. `public/auth` and inquiries are waited for. What a batch causes is held back until the batch is answered.
Streams that are filled from the journal hold up nothing else.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from exchange.catch_up.catch_ups import CatchUps
from exchange.catch_up.outbox import Outbox
from exchange.catch_up.request import CatchUpHandle, CatchUpRequest, Done, Take
from exchange.domain.commands import Command, Disconnect
from exchange.gateway import jsonrpc
from exchange.gateway.caller import Caller
from exchange.gateway.channels import Channel
from exchange.gateway.exchange_port import ExchangePort
from exchange.gateway.heartbeat import Heartbeat
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.limits import BATCH_MAX, SUBSCRIPTIONS_MAX, TURN_SECONDS
from exchange.gateway.methods import Method
from exchange.gateway.subscriptions import Subscriptions
from exchange.gateway.trading import Inquiry
from exchange.projections.views import Change

_log = logging.getLogger(__name__)

Reply = Callable[[bytes | None], None]  # takes the text of one answer, None for a notification's silence
CallLater = Callable[[Callable[[], None]], None]


class _Call(msgspec.Struct, eq=False):
    """A request on its way: what to do, and whom to answer."""

    raw_id: bytes | None
    reply: Reply
    name: str = ""
    error: RpcError | None = None
    method: Method | None = None
    params: Any = None

    @property
    def can_pipeline(self) -> bool:
        """Whether it need not wait until the commands before it are answered."""
        return self.method is not None and self.method.answer is not None and not self.method.waits

    def succeed(self, result: Any) -> None:
        self.reply(None if self.raw_id is None else jsonrpc.result_text(self.raw_id, result))

    def fail(self, error: RpcError) -> None:
        self.reply(None if self.raw_id is None else jsonrpc.error_text(self.raw_id, error))


class Session:
    """A client's conversation. `send` takes every text that is to leave, in order; `hang_up` a reason to close for.

    `later` calls something once others have had their turn; None: there is nobody else.
    """

    def __init__(
        self,
        exchange: ExchangePort,
        methods: Mapping[str, Method],
        subscriptions: Subscriptions,
        send: Callable[[bytes], None],
        hang_up: Callable[[str], None],
        later: CallLater | None = None,
    ) -> None:
        self.exchange = exchange
        self.caller = Caller(exchange, self)
        self.subscriptions = subscriptions
        self._methods = methods
        self.send = send
        self.close_connection = hang_up
        self._later = later
        self.channels: dict[str, Channel] = {}
        self.is_closed = False
        self._cancels_on_disconnect = self._cancelled_on_disconnect = False  # now, and before the last change
        self._in_flight = 0
        self._is_blocked = False  # by a command or an inquiry that is waited for
        self._inquiries: dict[_Call, None] = {}  # that are under way
        self._is_backpressured = False  # by answers that the client does not take
        self._yielding = False  # after work that kept others waiting
        self._worked_seconds = 0.0  # since the last rest
        self._waiting: deque[_Call] = deque()
        self._joining: list[Channel] = []  # subscribed, but the answer that says so is not sent yet
        self._outbox = Outbox(send, hang_up)
        self._catch_ups = CatchUps(self, self._outbox)
        self._heartbeat: Heartbeat | None = None
        self._allowance = float(exchange.requests_per_second)
        self._allowance_us = exchange.now_us()

    @property
    def user_id(self) -> str:
        """The user of this connection; empty until the client has authenticated."""
        return self.caller.user_id

    @property
    def next_seq(self) -> int:
        """The first command that the streams have not published yet."""
        return self.subscriptions.recent.next_seq

    @property
    def unanswered(self) -> int:
        """How many requests are not answered yet."""
        return self._in_flight + len(self._waiting)

    def receive(self, text: bytes) -> None:
        """Take one frame: a request, a notification, or a batch of them."""
        if self._heartbeat is not None:
            self._heartbeat.on_message()
        if jsonrpc.is_batch(text):
            self._receive_batch(text)
        else:
            self._accept(self._parse(text, self._reply))

    def close(self) -> None:
        """The connection is gone: its subscriptions end, and the commands that it sent before are carried out.

        Then, where it asked for that, the user's orders are cancelled.
        """
        if self.is_closed:
            return
        self.is_closed = True
        self._waiting = deque(call for call in self._waiting if call.method is not None and call.method.answer)
        for call in list(self._inquiries):
            self._end_inquiry(call)
        self._catch_ups.end()
        self.subscriptions.forget(self)
        self._proceed()

    def on_seek(self) -> None:
        """The exchange is at another moment from here on."""
        self._catch_ups.on_seek()

    def set_backpressure(self, is_clogged: bool) -> None:
        """Answer no more and fill no more for now, or go on."""
        if is_clogged != self._is_backpressured:
            self._is_backpressured = is_clogged
            self._pause_catch_ups()
            self._proceed()

    def set_heartbeat(self, interval_seconds: int | None) -> None:
        """After so much silence ask the client whether it is there; None: never."""
        self._heartbeat = None if interval_seconds is None else Heartbeat(interval_seconds)

    def on_test_reply(self) -> None:
        """The client sent what a heartbeat asks for."""
        if self._heartbeat is not None:
            self._heartbeat.on_test_reply()

    def on_tick(self) -> None:
        """Ask a client that is silent whether it is there, and end the connection of one that does not answer."""
        is_waiting_for_us = self.unanswered and not self._is_backpressured
        if self._heartbeat is None or is_waiting_for_us or self.is_closed:
            return
        match self._heartbeat.on_tick():
            case "ask":
                self.send(jsonrpc.TEST_REQUEST)
            case "give up":
                self.close_connection("the heartbeat's test_request was not answered with public/test")
                self.close()  # at once: one who is gone may not even answer that we hang up

    def notify(self, channel_name: str, text: bytes) -> None:
        """Send a live notification, after all that has to go before it."""
        self._outbox.notify(channel_name, text)

    def subscribe_streams(self, channel_names: Iterable[str]) -> int:
        """Subscribe to live notifications. Returns the seq of the first command whose notifications come live."""
        for name in channel_names:
            self.subscriptions.subscribe(self, self.channels[name])
        return self.subscriptions.recent.next_seq

    def start_catch_up(self, request: CatchUpRequest, take: Take, done: Done) -> CatchUpHandle:
        """As `ExchangePort.catch_up`."""
        return self.exchange.catch_up(request, take, done)

    def subscribe(self, channels: list[Channel], from_seq: int | None = None) -> list[str]:
        """Join these channels once the answer is sent; a book joined already begins again with a snapshot.

        Streams are filled from command `from_seq` on, and one joined already begins again there. Returns their names.
        """
        wanted = {channel.name: channel for channel in channels}
        if len(self.channels | wanted) > SUBSCRIPTIONS_MAX:
            raise jsonrpc.invalid_params("channels", f"a connection may have at most {SUBSCRIPTIONS_MAX} channels")
        if from_seq is not None:
            streams = {name: channel for name, channel in wanted.items() if channel.is_stream}
            self.unsubscribe(list(streams.values()))
            self.channels |= streams
            self._catch_ups.add(streams, from_seq)
        self._joining += [c for c in wanted.values() if not (c.is_stream and c.name in self.channels)]
        self.channels |= wanted
        return list(wanted)

    def unsubscribe(self, channels: list[Channel]) -> list[str]:
        """Leave these channels. Returns those that were subscribed."""
        left = [channel for channel in channels if self.channels.pop(channel.name, None) is not None]
        for channel in left:
            self.subscriptions.unsubscribe(self, channel)
        names = [channel.name for channel in left]
        self._joining = [channel for channel in self._joining if channel.name not in names]
        self._catch_ups.discard(names)
        self._outbox.discard(names)
        return names

    def set_cancel_on_disconnect(self, enabled: bool) -> bool:
        """Switch it for this connection. Returns whether any connection of the user has it now."""
        self._cancelled_on_disconnect, self._cancels_on_disconnect = self._cancels_on_disconnect, enabled
        return self.subscriptions.set_cancel_on_disconnect(self, enabled)

    def undo_cancel_on_disconnect(self) -> None:
        """The last switch could not be recorded: it is as it was before."""
        self.set_cancel_on_disconnect(self._cancelled_on_disconnect)

    def _disconnect(self) -> None:
        """Cancel the user's orders. Where that cannot be recorded, try again until it can: nobody else will."""
        command = Disconnect(self.user_id, self.set_cancel_on_disconnect(False))
        self.exchange.submit(command, lambda change: self._disconnect() if change is None else None)

    def _receive_batch(self, text: bytes) -> None:
        try:
            parts = jsonrpc.split_batch(text, BATCH_MAX)
        except RpcError as error:
            self._accept(_Call(b"null", self._reply, error=error))
            return
        answers: list[bytes] = []
        left = len(parts)

        def collect(answer: bytes | None) -> None:
            nonlocal left
            left -= 1
            if left and not self._outbox.is_holding:
                self._outbox.hold()
                self._pause_catch_ups()
            if answer is not None:
                answers.append(answer)
            if not left:
                self._reply(b"[%b]" % b",".join(answers) if answers else None)

        for part in parts:
            self._accept(self._parse(part, collect))

    def _parse(self, text: bytes, reply: Reply) -> _Call:
        request, error, raw_id = jsonrpc.parse_request(text)
        if request is None:
            return _Call(raw_id, reply, error=error)
        call = _Call(request.id, reply, request.method)
        try:
            self._take_rate_token()
            method = self._methods.get(request.method)
            if method is None:
                raise jsonrpc.method_not_found(request.method)
            call.params = method.decode(request.params)
            if method.dry_run is not None and call.params.dry_run:
                method = method._replace(handle=method.dry_run, answer=None)
            call.method = method
        except RpcError as raised:
            call.error = raised
        return call

    def _accept(self, call: _Call) -> None:
        self._waiting.append(call)
        self._proceed()

    def _proceed(self) -> None:
        """Carry out what waits, as far as order allows, and no longer than others can wait for their turn."""
        while self._waiting and not self._is_blocked and (self.is_closed or not self._is_backpressured):
            if (self._in_flight and not self._waiting[0].can_pipeline) or self._yielding:
                return
            call = self._waiting.popleft()
            began_seconds = time.perf_counter()
            try:
                self._carry_out(call)
            except RpcError as error:
                self._refuse(call, error)
            except Exception:
                _log.exception("a request failed: %s", call.name)
                self._refuse(call, jsonrpc.internal_error())
            self._worked_seconds += time.perf_counter() - began_seconds
            if self._worked_seconds > TURN_SECONDS and self._later is not None:
                self._yielding = True
                self._later(self._resume)
        if self.is_closed and self._cancels_on_disconnect and not self._waiting and not self._is_blocked:
            self._disconnect()

    def _resume(self) -> None:
        """Others have had their turn."""
        self._yielding, self._worked_seconds = False, 0.0
        self._proceed()

    def _refuse(self, call: _Call, error: RpcError) -> None:
        """Answer with an error, once the commands before are answered."""
        if self._in_flight:
            call.method, call.error = None, error
            self._waiting.appendleft(call)
        else:
            call.fail(error)

    def _carry_out(self, call: _Call) -> None:
        method = call.method
        if method is None or call.error is not None:
            raise call.error or jsonrpc.internal_error()
        if method.access == "admin" and self.exchange.is_read_only:
            raise jsonrpc.read_only_replay()
        if method.access != "public":
            if not self.caller.user_id:
                raise jsonrpc.must_authenticate()
            if method.access == "admin" and self.caller.user_id != "admin":
                raise RpcError("not_permitted", "only the administrator may do this")
        if method.answer is None:
            call.succeed(method.handle(self.caller, call.params))
            return
        if self.exchange.is_busy:
            raise jsonrpc.rate_limited("too many commands are waiting for the journal", 100)
        result = method.handle(self.caller, call.params)
        if not isinstance(result, Command | Inquiry):
            call.succeed(result)
            return
        if isinstance(result, Command) and self.exchange.is_read_only:
            if method.undo is not None:
                method.undo(self.caller)
            raise jsonrpc.read_only_replay()
        if isinstance(result, Inquiry) and self.is_closed:
            return  # nobody would hear of it
        self._in_flight += 1
        self._is_blocked = method.waits
        if isinstance(result, Inquiry):
            self._inquiries[call] = None
            result.ask(lambda found: self._on_inquiry_result(call, method, found))
        else:
            self.exchange.submit(result, lambda change: self._done(call, method, change))

    def _done(self, call: _Call, method: Method, change: Change | None) -> None:
        """A command is durable and applied (or could not be recorded: None). Answer it."""
        self._in_flight -= 1
        self._is_blocked = False
        if change is None:
            if method.undo is not None:
                method.undo(self.caller)
            call.fail(jsonrpc.journal_unavailable())
        elif change.refused is not None and change.refused != method.ignores:
            call.fail(jsonrpc.refused(change.refused, seq=change.seq))
        else:
            self._answer(call, method, change)
        self._proceed()

    def _on_inquiry_result(self, call: _Call, method: Method, found: Any) -> None:
        """What was inquired after is known. Answer it, if somebody still waits for that."""
        if call in self._inquiries:
            self._end_inquiry(call)
            self._answer(call, method, found)
            self._proceed()

    def _end_inquiry(self, call: _Call) -> None:
        del self._inquiries[call]
        self._in_flight -= 1
        self._is_blocked = False

    def _answer(self, call: _Call, method: Method, outcome: Any) -> None:
        """Answer with what a command changed, or with what was found."""
        assert method.answer is not None, "a command or an inquiry without an answer"
        try:
            call.succeed(method.answer(self.caller, outcome))
        except RpcError as error:
            call.fail(error)
        except Exception:
            _log.exception("a request was carried out, but could not be answered: %s", call.name)
            call.fail(jsonrpc.internal_error())

    def _reply(self, answer: bytes | None) -> None:
        """Send an answer, and after it what was held back for it and what it promised."""
        if answer is not None:
            self.send(answer)
        if self._outbox.is_holding:
            self._outbox.release()
            self._pause_catch_ups()
        if self._joining and not self.is_closed:
            joining, self._joining = self._joining, []
            for channel in joining:
                self.subscriptions.subscribe(self, channel)

    def _pause_catch_ups(self) -> None:
        """Fill on only while the client takes what it gets, and nothing is held back for a batch."""
        self._catch_ups.pause(self._is_backpressured or self._outbox.is_holding)

    def _take_rate_token(self) -> None:
        """One request of the connection's rate; RpcError 1007 where it is used up."""
        rate = self.exchange.requests_per_second
        if not rate:
            return
        if self._allowance < 1:
            now_us = self.exchange.now_us()
            self._allowance = min(float(rate), self._allowance + max(0, now_us - self._allowance_us) * rate / 1_000_000)
            self._allowance_us = now_us
            if self._allowance < 1:
                wait_ms = int((1 - self._allowance) * 1_000 / rate) + 1
                raise jsonrpc.rate_limited(f"at most {rate} requests a second on one connection", wait_ms)
        self._allowance -= 1
