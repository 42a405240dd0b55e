"""The conversation with one client, without the socket: frames of text come in, answers and notifications go out.

A session is three machines with little in common, each with a file and a theory of its own:

    request_queue.py      the requests, their order and their answers
    session_channels.py   the subscribed channels and their notifications
    heartbeat.py          silence, and whether the client still answers

This file joins them: it turns frames into requests, and passes on the events that concern more than one of them.

    state           begins with                   requests         notifications    catch-ups
    open            the connection                start            sent             run
    backpressured   `set_backpressure(True)`      wait             sent             paused
    batch           the first answer of a batch   start            held             paused
    closed          `close`                       only commands    none             none

`open` and `backpressured` alternate. `batch` comes on top of either, and ends with the last answer of the batch.
Nothing leads out of `closed`. If the client asked for cancel-on-disconnect, the user's orders are cancelled when the
last command of a closed session is submitted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from msgspec import UNSET, UnsetType
from websockets.frames import CloseCode

from exchange.domain.commands import Disconnect
from exchange.domain.enums import CancelScope
from exchange.gateway import jsonrpc
from exchange.gateway.authentication import authentication_answer, checked_login, enter, log_out, why_login_ended
from exchange.gateway.caller import Caller
from exchange.gateway.channels import Channel
from exchange.gateway.dialect import Dialect
from exchange.gateway.exchange_port import ExchangePort
from exchange.gateway.heartbeat import Heartbeat
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.limits import (
    BATCH_MAX,
    CATCH_UP_CREDITS,
    CHANNELS_PER_CREDIT,
    DRY_RUN_CREDITS,
    MALFORMED_CREDITS,
    PAST_CREDITS,
    REFUSED_CREDITS,
)
from exchange.gateway.measured_call import MeasuredCall
from exchange.gateway.meter import NO_METHOD
from exchange.gateway.methods import METHODS, Method
from exchange.gateway.params import AuthParams
from exchange.gateway.past_questions import as_inquiry, is_past
from exchange.gateway.quotas import ConnectionQuota
from exchange.gateway.request_queue import Call, Reply, RequestQueue
from exchange.gateway.session_channels import SessionChannels
from exchange.gateway.subscriptions import Subscriptions
from exchange.gateway.turns import Turn
from exchange.keys.credentials import Login


class CheckedLogin(NamedTuple):
    """A login that was checked, as the parameters of a request."""

    login: Login
    receipt: bool = False


def _enter(caller: Caller, params: CheckedLogin) -> object:
    return enter(caller, params.login)


# Decides what happens to a request for a method: returns what takes its answer, or raises RpcError.
Interfere = Callable[[str, Reply], Reply]

# The login of a request that brings its credentials with it.
_LOG_IN = METHODS["public/auth"]._replace(handle=_enter, answer=authentication_answer)


class Peer(NamedTuple):
    """The other end of a socket.

    `reject` closes the connection with a reason and a code, a moment later. Requests start in the `turn` and use up the
    `quota`.
    """

    address: str
    reject: Callable[[str, CloseCode], None]
    turn: Turn
    quota: ConnectionQuota


class _LoginCall(Call):
    """A login that no request of the client asked for. Only a refusal is told."""

    def __init__(self, dialect: Dialect, session: Session) -> None:
        super().__init__(dialect, None, _ignore)
        self.session = session

    def fail(self, error: RpcError) -> None:
        """Let the next request be refused."""
        self.session.login_error = error


def _ignore(_answer: bytes | None) -> None:
    pass


class Session:
    """The conversation with one client.

    `send` takes every text for the client, in order; `close_connection` takes the reason to close the connection for.
    `peer` is None for a client in this process. `interfere` lets requests fail on purpose; None: it does not.
    """

    def __init__(
        self,
        exchange: ExchangePort,
        dialect: Dialect,
        subscriptions: Subscriptions,
        send: Callable[[bytes], None],
        close_connection: Callable[[str], None],
        peer: Peer | None = None,
        interfere: Interfere | None = None,
    ) -> None:
        self._interfere = interfere
        self._exchange = exchange
        self._dialect = dialect
        self._subscriptions = subscriptions
        self._send = send
        self._close_connection = close_connection
        self._reject_connection = (lambda reason, _code: close_connection(reason)) if peer is None else peer.reject
        self._quota = ConnectionQuota(exchange.limits, exchange.now_us) if peer is None else peer.quota
        self._caller = Caller(exchange, self, self._quota, "" if peer is None else peer.address)
        self._turn = None if peer is None else peer.turn
        self._requests = RequestQueue(self._caller, self._turn, self._on_requests_drained)
        self.channels = SessionChannels(self._caller, subscriptions, send, close_connection)
        # Why the last login was refused.
        self.login_error: RpcError | None = None
        self._heartbeat: Heartbeat | None = None
        self._cancel_scope: CancelScope | None = None
        self._previous_cancel_scope: CancelScope | None = None
        # The number of this connection among those of the server's run, from when orders depend on it.
        self._number = 0
        self._is_backpressured = False
        self.is_closed = False

    @property
    def unanswered(self) -> int:
        """The number of requests that are not answered yet."""
        return self._requests.unanswered

    def speak(self, dialect: Dialect) -> None:
        """Take and give texts in this dialect from now on."""
        self._dialect = dialect

    def check_login(self, params: AuthParams) -> Login:
        """The account that a client may enter: as `checked_login`."""
        return checked_login(self._caller, params)

    def log_in(self, login: Login) -> None:
        """Log in before the next request, after a check. If that is refused, so is the next request."""
        if (reason := self._exchange.credentials.why_ended(login)) is not None:
            self.log_out()
            self.login_error = RpcError("invalid_credentials", reason)
        elif self._caller.login != login:
            self.log_out()
            call = _LoginCall(self._dialect, self)
            call.method, call.params = _LOG_IN, CheckedLogin(login)
            self._requests.add(call)

    def log_out(self) -> None:
        """Make the next request one of nobody."""
        self.login_error = None
        if self._caller.login is not None:
            log_out(self._caller)

    def receive(self, text: bytes) -> None:
        """Take one frame: a request, a JSON-RPC notification, or a batch of them."""
        if self._heartbeat is not None:
            self._heartbeat.on_message()
        if jsonrpc.is_batch(text):
            self._receive_batch(text)
        else:
            self._requests.add(self._parse(text, self._reply))

    def close(self) -> None:
        """End the session: the connection is gone. Commands that the client sent before are still carried out."""
        if not self.is_closed:
            self.is_closed = True
            self.channels.end()
            self._requests.close()
            self._quota.close()

    @property
    def is_engaged(self) -> bool:
        """True if the client has logged in or subscribed to a channel."""
        return bool(self._caller.user_id or self.channels.subscribed)

    def on_seek(self) -> None:
        """The exchange moved to another moment."""
        self.channels.on_seek()

    def set_backpressure(self, is_backpressured: bool) -> None:
        """Pause answers and catch-ups while the client does not read, or continue."""
        if is_backpressured != self._is_backpressured:
            self._is_backpressured = is_backpressured
            self.channels.set_backpressure(is_backpressured)
            self._requests.set_backpressure(is_backpressured)

    def on_tick(self) -> None:
        """Send a test request to a silent client; close the connection if it did not answer the last one.

        Called every second. Silence does not count while the client waits for an answer that it would read.
        """
        if (reason := why_login_ended(self._caller)) is not None:
            self.reject(reason)
        is_client_waiting = self.unanswered and not self._is_backpressured
        if self._heartbeat is None or is_client_waiting or self.is_closed:
            return
        match self._heartbeat.on_tick():
            case "ask":
                self._send(self._dialect.test_request)
            case "give up":
                self._close_connection("the heartbeat's test_request was not answered with public/test")
                # The client may not even answer the closing handshake.
                self.close()

    # The caller's connection, as methods see it.

    @property
    def next_seq(self) -> int:
        """The first command that the streams have not published yet."""
        return self.channels.next_seq

    def subscribe(self, channels: list[Channel], from_seq: int | None = None) -> list[str]:
        """As in `SessionChannels`."""
        self._quota.charge(len(channels) // CHANNELS_PER_CREDIT + (0 if from_seq is None else CATCH_UP_CREDITS))
        return self.channels.subscribe(channels, from_seq)

    def unsubscribe(self, channels: list[Channel]) -> list[str]:
        """As in `SessionChannels`."""
        self._quota.charge(len(channels) // CHANNELS_PER_CREDIT)
        return self.channels.unsubscribe(channels)

    def translate(self, translate: Callable[[bytes], list[bytes]]) -> None:
        """Send, for each notification, these texts instead."""
        self.channels.translate(translate)

    def set_heartbeat(self, interval_seconds: int | None) -> None:
        """Send test requests after this many seconds of silence; None: never."""
        self._heartbeat = None if interval_seconds is None else Heartbeat(interval_seconds)

    def on_test_reply(self) -> None:
        """The client called `public/test`."""
        if self._heartbeat is not None:
            self._heartbeat.on_test_reply()

    @property
    def order_mark(self) -> int | UnsetType:
        """The number of this connection if the orders that it places depend on it."""
        return self._number if self._cancel_scope == "connection" else UNSET

    @property
    def cancel_scope(self) -> CancelScope | None:
        """The orders that are cancelled when this connection ends; None: it has not asked for that."""
        return self._cancel_scope

    def set_cancel_on_disconnect(self, scope: CancelScope | None) -> bool:
        """Switch it for this connection; None: off. Returns True if one of the user's has it for all orders."""
        self._previous_cancel_scope = self._cancel_scope
        self._cancel_scope = scope
        if scope == "connection" and not self._number:
            self._number = self._subscriptions.number_connection()
        return self._subscriptions.set_cancel_on_disconnect(self.channels, scope == "account")

    def undo_cancel_on_disconnect(self) -> None:
        """Take back the last switch, because it could not be recorded."""
        self.set_cancel_on_disconnect(self._previous_cancel_scope)

    def reject(self, reason: str, code: CloseCode = CloseCode.POLICY_VIOLATION) -> None:
        """Close the connection, after the answer of this request."""
        self._reject_connection(reason, code)

    def _on_requests_drained(self) -> None:
        if self._cancel_scope is not None:
            self._disconnect(self.order_mark)

    def _disconnect(self, connection: int | UnsetType) -> None:
        """Cancel the orders of this connection, or of the user. Repeat until that is recorded: the client is gone."""
        command = Disconnect(self._caller.user_id, self.set_cancel_on_disconnect(None), connection)
        self._exchange.submit(command, lambda change: self._disconnect(connection) if change is None else None)

    def _receive_batch(self, text: bytes) -> None:
        """Take a batch: its requests start like others, and their answers leave together after the last one."""
        try:
            parts = jsonrpc.split_batch(text, BATCH_MAX)
        except RpcError as error:
            self._requests.add(self._new_call(b"null", self._reply, error=self._charged(error, MALFORMED_CREDITS)))
            return
        answers: list[bytes] = []
        missing = len(parts)

        def collect(answer: bytes | None) -> None:
            nonlocal missing
            missing -= 1
            if answer is not None:
                answers.append(answer)
            if missing:
                self.channels.hold()
            else:
                self._reply(b"[%b]" % b",".join(answers) if answers else None)

        for part in parts:
            self._requests.add(self._parse(part, collect))

    def _parse(self, text: bytes, reply: Reply) -> Call:
        """Turn a text into a request; one that cannot be parsed, or exceeds the rate, gets its error."""
        request, error, raw_id = self._dialect.parse(text)
        if request is None:
            assert error is not None, "neither a request nor an error"
            return self._new_call(raw_id, reply, error=self._charged(error, MALFORMED_CREDITS))
        call = self._new_call(request.id, reply, request.method)
        if self.login_error is not None:
            call.error = self.login_error
            return call
        try:
            if self._interfere is not None:
                call.reply = self._interfere(request.method, reply)
            self._quota.take()
            call.method = self._decode(call, request)
        except RpcError as raised:
            call.error = raised.detached()
        return call

    def _decode(self, call: Call, request: jsonrpc.Request) -> Method:
        """Decode the parameters, and find the method that answers them. Raises RpcError."""
        method = self._dialect.method(request)
        if method is None:
            self._quota.charge(REFUSED_CREDITS)
            raise jsonrpc.method_not_found(request.method)
        try:
            call.params = method.decode(request.params)
        except RpcError:
            self._quota.charge(REFUSED_CREDITS)
            raise
        if method.dry_run is not None and call.params.dry_run:
            self._quota.charge(DRY_RUN_CREDITS)
            return method._replace(handle=method.dry_run, answer=None)
        if is_past(method, call.params):
            self._quota.charge(PAST_CREDITS)
            return as_inquiry(request.method, method)
        return method

    def _charged(self, error: RpcError, count: int) -> RpcError:
        """The error of a text that is not a request; the error of the rate if that is exceeded."""
        try:
            self._quota.take()
            self._quota.charge(count)
        except RpcError as limited:
            return limited.detached()
        return error.detached()

    def _new_call(self, raw_id: bytes | None, reply: Reply, name: str = "", error: RpcError | None = None) -> Call:
        dialect, meter = self._dialect, self._exchange.meter
        if meter is None:
            call = Call(dialect, raw_id, reply, name, error)
        else:
            label = name if name in dialect.methods else NO_METHOD
            arrived_seconds = time.perf_counter() if self._turn is None else self._turn.read_seconds
            call = MeasuredCall(dialect, raw_id, reply, name, error, meter, label, arrived_seconds)
        if dialect.is_timed:
            call.arrived_us = self._exchange.now_us()
        return call

    def _reply(self, answer: bytes | None) -> None:
        """Send an answer, then the notifications that were held for it, then let subscribed channels go live."""
        if answer is not None:
            self._send(answer)
        self.channels.release()
        if not self.is_closed:
            self.channels.start_pending()
