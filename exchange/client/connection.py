"""A connection that reconnects by itself, restores its subscriptions, and repeats unanswered requests.

After a break it does, in this order: authenticate, continue every subscription, and send the unanswered
requests again. A request that must not be carried out twice fails instead, because the client cannot know whether the
exchange carried it out.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial
from typing import Any, NamedTuple, cast

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.frames import CloseCode

from exchange.client.codec import decode_message, encode_request
from exchange.client.errors import (
    ExchangeError,
    connection_closed,
    connection_ended,
    connection_failed,
    connection_lost,
)

# The delay before the first attempt to reconnect. It doubles with each further attempt, up to RETRY_SECONDS_MAX.
RETRY_SECONDS = 0.1
RETRY_SECONDS_MAX = 5.0
OPEN_SECONDS = 10.0
# How long the exchange may take to answer the closing handshake.
CLOSE_SECONDS = 2.0
# With these codes the exchange rejects the data that the client sent. Sending it again would not help.
_REJECTIONS = (
    CloseCode.PROTOCOL_ERROR,
    CloseCode.UNSUPPORTED_DATA,
    CloseCode.INVALID_DATA,
    CloseCode.POLICY_VIOLATION,
    CloseCode.MESSAGE_TOO_BIG,
)


# Sends a method with its parameters and returns the result. Raises ExchangeError.
SendRequest = Callable[[str, dict[str, Any]], Awaitable[msgspec.Raw]]


class Callbacks(NamedTuple):
    """The callbacks of a connection.

    `on_connect` is awaited after each connect, before any other request is sent; it gets a function that sends on the
    new socket. `on_notification` gets the channel, seq and data of a message. `on_end` is called once, when the
    connection ends and will not reconnect.
    """

    on_connect: Callable[[SendRequest], Awaitable[None]]
    on_notification: Callable[[str, int, msgspec.Raw], None]
    on_end: Callable[[ExchangeError], None]


class _PendingRequest:
    """A request without an answer yet. `socket` is the last socket that sent it, if any."""

    def __init__(self, text: str, may_repeat: bool) -> None:
        self.text = text
        self.may_repeat = may_repeat
        self.socket: ClientConnection | None = None
        self.answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
            # Mark the exception as retrieved: the caller may have stopped waiting.
            self.answer.exception()


class Connection:
    """A connection to `url` that lasts until `close`. Without `reconnects` it ends with its first socket."""

    def __init__(self, url: str, callbacks: Callbacks, reconnects: bool, tls: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._tls = tls
        self._callbacks = callbacks
        self._reconnects = reconnects
        self._ids = itertools.count(1)
        self._pending: dict[int, _PendingRequest] = {}
        self._socket: ClientConnection | None = None
        # True if everything is restored on the current socket, so that new requests can be sent.
        self._is_ready = False
        self._was_connected = False
        self._end_error: ExchangeError | None = None
        self.reconnect_count = 0

    async def open(self) -> None:
        """Connect. Raises ExchangeError if the first attempt fails."""
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(first))
        try:
            await first
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        self._end(connection_closed())
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def is_ready(self) -> bool:
        """True if requests are sent at once: the connection is open and restored."""
        return self._is_ready

    @property
    def has_ended(self) -> bool:
        return self._end_error is not None

    async def call(self, method: str, params: dict[str, Any], may_repeat: bool = True) -> msgspec.Raw:
        """Send a request and return its result. With `may_repeat`, send it again after a break.

        Raises ExchangeError.
        """
        if self._end_error is not None:
            raise self._end_error
        request_id, request = self._add_request(method, params, may_repeat)
        try:
            if self._is_ready:
                await self._send(request)
            return await request.answer
        finally:
            del self._pending[request_id]

    def _add_request(self, method: str, params: dict[str, Any], may_repeat: bool) -> tuple[int, _PendingRequest]:
        request_id = next(self._ids)
        text = encode_request(request_id, method, params).decode()
        request = self._pending[request_id] = _PendingRequest(text, may_repeat)
        return request_id, request

    async def _call_on(self, socket: ClientConnection, method: str, params: dict[str, Any]) -> msgspec.Raw:
        """Send a request on this socket, even if the connection is not ready, and return its result."""
        request_id, request = self._add_request(method, params, may_repeat=False)
        request.socket = socket
        try:
            await socket.send(request.text)
            return await request.answer
        except ConnectionClosed as error:
            raise connection_lost("before it was ready") from error
        finally:
            del self._pending[request_id]

    async def _send(self, request: _PendingRequest) -> None:
        request.socket = self._socket
        if self._socket is not None:
            # The reading task sees the break as well and deals with the request.
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(request.text)

    async def _run(self, first: asyncio.Future[None]) -> None:
        """Stay connected until the connection ends. Then fail every pending request."""
        # None is not the default there, and does not go together with a `wss` URL.
        tls: dict[str, Any] = {} if self._tls is None else {"ssl": self._tls}
        attempts = connect(
            self._url,
            compression=None,
            max_size=None,
            proxy=None,
            **tls,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            reconnect_delays=_delays,
            process_exception=self._fatal,
        )
        try:
            async with contextlib.aclosing(cast(AsyncGenerator[ClientConnection, None], aiter(attempts))) as sockets:
                async for socket in sockets:
                    await self._use(socket, first)
                    await asyncio.sleep(RETRY_SECONDS)
        except ExchangeError as error:
            self._end(error)
        except InvalidStatus as error:
            # The body says why, for example that the exchange does not know the host name of the URL.
            detail = (error.response.body or b"").decode(errors="replace").strip()
            self._end(connection_failed(self._url, f"HTTP {error.response.status_code}: {detail}"))
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
            self._end(connection_failed(self._url, error))
        except Exception as error:
            self._end(connection_failed(self._url, repr(error)))
            raise
        finally:
            if not first.done() and self._end_error is not None:
                first.set_exception(self._end_error)

    def _fatal(self, error: Exception) -> Exception | None:
        """Return the error if connecting must be given up; None to try again.

        Every error of the first attempt is fatal. Later, network errors are not.
        """
        return None if self._was_connected and isinstance(error, OSError | TimeoutError | InvalidMessage) else error

    async def _use(self, socket: ClientConnection, first: asyncio.Future[None]) -> None:
        """Read from a socket until it breaks. Raises ExchangeError if the connection must not reconnect."""
        self._socket = socket
        restoring = asyncio.create_task(self._restore(socket, first))
        try:
            while True:
                self._receive(await socket.recv(decode=False))
        except ConnectionClosed as error:
            self._on_break(socket, error)
        finally:
            self._socket, self._is_ready = None, False
            restoring.cancel()
            await asyncio.gather(restoring, return_exceptions=True)

    async def _restore(self, socket: ClientConnection, first: asyncio.Future[None]) -> None:
        """Restore the state of the previous socket, then send the pending requests."""
        try:
            await self._callbacks.on_connect(partial(self._call_on, socket))
            while unsent := [request for request in self._pending.values() if request.socket is not socket]:
                for request in unsent:
                    await self._send(request)
            self._is_ready = self._was_connected = True
            if not first.done():
                first.set_result(None)
        except ExchangeError as error:
            # If the socket is closed, the break caused the error, and the connection reconnects.
            if self._socket is socket and socket.close_code is None:
                self._end(error)
                await socket.close()
        except Exception as error:
            # A bug in the client: end the connection, so that no caller waits for ever.
            self._end(connection_failed(self._url, repr(error)))
            await socket.close()
            raise

    def _receive(self, text: bytes) -> None:
        message = decode_message(text)
        if message.params is not None:
            self._callbacks.on_notification(message.params.channel, message.params.seq, message.params.data)
        elif message.id is not None and (request := self._pending.get(message.id)) is not None:
            if message.error is not None:
                request.fail(message.error.as_exception())
            elif not request.answer.done():
                request.answer.set_result(message.result)

    def _on_break(self, socket: ClientConnection, error: ConnectionClosed) -> None:
        """Fail the requests that must not be repeated. Raises ExchangeError if the connection must not reconnect."""
        close_frame = error.rcvd
        reason = "no reason was given" if close_frame is None else close_frame.reason or f"code {close_frame.code}"
        lost = connection_lost(reason)
        self.reconnect_count += 1
        for request in list(self._pending.values()):
            if request.socket is socket and not request.may_repeat:
                request.fail(lost)
        if self._end_error is not None:
            raise self._end_error
        if not self._reconnects or (close_frame is not None and close_frame.code in _REJECTIONS):
            raise connection_ended(reason)

    def _end(self, error: ExchangeError) -> None:
        if self._end_error is None:
            self._end_error = error
            for request in list(self._pending.values()):
                request.fail(error)
            self._is_ready = False
            self._callbacks.on_end(error)


def _delays() -> Generator[float]:
    """Seconds between two attempts. Each varies a little, so that many clients do not reconnect at the same time."""
    seconds = RETRY_SECONDS
    while True:
        yield seconds * random.uniform(0.75, 1.25)
        seconds = min(2 * seconds, RETRY_SECONDS_MAX)
