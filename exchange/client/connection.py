"""One connection that outlives its sockets: it connects again, goes on with its subscriptions, and repeats requests.

After a break, in this order: authenticate, subscribe from where each subscription was, and send again what was not
answered. A request that may not be carried out twice fails instead, for nobody knows whether it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial
from typing import Any, NamedTuple, cast

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidURI
from websockets.frames import CloseCode

from exchange.client.codec import decode_received, request_text
from exchange.client.errors import (
    ExchangeError,
    connection_closed,
    connection_ended,
    connection_failed,
    connection_lost,
)

RETRY_SECONDS = 0.1  # before the first attempt to connect again; each one after it waits twice as long
RETRY_SECONDS_MAX = 5.0
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 2.0  # for which the exchange may take leave
# The exchange objects to what we sent: to send it again would not help.
_OBJECTIONS = (
    CloseCode.PROTOCOL_ERROR,
    CloseCode.UNSUPPORTED_DATA,
    CloseCode.INVALID_DATA,
    CloseCode.POLICY_VIOLATION,
    CloseCode.MESSAGE_TOO_BIG,
)


Ask = Callable[[str, dict[str, Any]], Awaitable[msgspec.Raw]]  # a method and its parameters; ExchangeError


class Callbacks(NamedTuple):
    """Whom a link tells what.

    `renewed`: there is a new connection; it is awaited, with what to ask on it, before anything else is sent.
    `notified`: a channel sent something. `ended`: there will be no other connection.
    """

    renewed: Callable[[Ask], Awaitable[None]]
    notified: Callable[[str, int, msgspec.Raw], None]
    ended: Callable[[ExchangeError], None]


class _PendingRequest:
    """A request that is not answered yet. `socket`: where it was last sent, if it was."""

    def __init__(self, text: str, may_repeat: bool) -> None:
        self.text = text
        self.may_repeat = may_repeat
        self.socket: ClientConnection | None = None
        self.answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # seen: whoever asked may be gone


class Connection:
    """Connected to `url` until `close`. Without `reconnects` it ends with its first socket."""

    def __init__(self, url: str, hearers: Callbacks, reconnects: bool) -> None:
        self._url = url
        self._hearers = hearers
        self._reconnects = reconnects
        self._ids = itertools.count(1)
        self._unanswered: dict[int, _PendingRequest] = {}
        self._socket: ClientConnection | None = None
        self._is_ready = False  # everything is as it was before the break
        self._was_connected = False
        self._over: ExchangeError | None = None  # why nothing can be asked any more
        self.breaks = 0

    async def open(self) -> None:
        """Connect; ExchangeError where nobody is there."""
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeping = asyncio.create_task(self._keep(first))
        try:
            await first
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        self._end(connection_closed())
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)

    @property
    def has_ended(self) -> bool:
        return self._over is not None

    async def call(self, method: str, params: dict[str, Any], may_repeat: bool = True) -> msgspec.Raw:
        """The result of a request, however many connections it takes. Raises ExchangeError."""
        if self._over is not None:
            raise self._over
        request_id, request = self._request(method, params, may_repeat)
        try:
            if self._is_ready:
                await self._send(request)
            return await request.answer
        finally:
            del self._unanswered[request_id]

    def _request(self, method: str, params: dict[str, Any], may_repeat: bool) -> tuple[int, _PendingRequest]:
        request_id = next(self._ids)
        text = request_text(request_id, method, params).decode()
        request = self._unanswered[request_id] = _PendingRequest(text, may_repeat)
        return request_id, request

    async def _ask(self, socket: ClientConnection, method: str, params: dict[str, Any]) -> msgspec.Raw:
        """The result of a request on this socket, whether it is ready or not."""
        request_id, request = self._request(method, params, may_repeat=False)
        request.socket = socket
        try:
            await socket.send(request.text)
            return await request.answer
        except ConnectionClosed as error:
            raise connection_lost("before it was ready") from error
        finally:
            del self._unanswered[request_id]

    async def _send(self, request: _PendingRequest) -> None:
        request.socket = self._socket
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):  # whoever reads hears of it, too
                await self._socket.send(request.text)

    async def _keep(self, first: asyncio.Future[None]) -> None:
        """Be connected. Ends with an error for everyone who waits."""
        sockets = connect(
            self._url,
            compression=None,
            max_size=None,
            proxy=None,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            reconnect_delays=_delays,
            process_exception=self._fatal,
        )
        try:
            async with contextlib.aclosing(cast(AsyncGenerator[ClientConnection, None], aiter(sockets))) as coming:
                async for socket in coming:
                    await self._use(socket, first)
                    await asyncio.sleep(RETRY_SECONDS)
        except ExchangeError as error:
            self._end(error)
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
            self._end(connection_failed(self._url, error))
        except Exception as error:
            self._end(connection_failed(self._url, repr(error)))
            raise
        finally:
            if not first.done() and self._over is not None:
                first.set_exception(self._over)

    def _fatal(self, error: Exception) -> Exception | None:
        """What makes it give up: everything at the first attempt, later whatever is no trouble of the network."""
        return None if self._was_connected and isinstance(error, OSError | TimeoutError | InvalidMessage) else error

    async def _use(self, socket: ClientConnection, first: asyncio.Future[None]) -> None:
        """Stay until the connection breaks; ExchangeError where there shall be no other."""
        self._socket = socket
        preparing = asyncio.create_task(self._prepare(socket, first))
        try:
            while True:
                self._take(await socket.recv(decode=False))
        except ConnectionClosed as error:
            self._has_broken(socket, error)
        finally:
            self._socket, self._is_ready = None, False
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)

    async def _prepare(self, socket: ClientConnection, first: asyncio.Future[None]) -> None:
        """Make everything as it was before the break, then send what waits."""
        try:
            await self._hearers.renewed(partial(self._ask, socket))
            while waiting := [one for one in self._unanswered.values() if one.socket is not socket]:
                for request in waiting:
                    await self._send(request)
            self._is_ready = self._was_connected = True
            if not first.done():
                first.set_result(None)
        except ExchangeError as error:
            if self._socket is socket and socket.close_code is None:  # otherwise the break is why
                self._end(error)
                await socket.close()
        except Exception as error:  # a bug of ours: nobody is to wait for ever because of it
            self._end(connection_failed(self._url, repr(error)))
            await socket.close()
            raise

    def _take(self, text: bytes) -> None:
        received = decode_received(text)
        if received.params is not None:
            self._hearers.notified(received.params.channel, received.params.seq, received.params.data)
        elif received.id is not None and (request := self._unanswered.get(received.id)) is not None:
            if received.error is not None:
                request.fail(received.error.as_exception())
            elif not request.answer.done():
                request.answer.set_result(received.result)

    def _has_broken(self, socket: ClientConnection, error: ConnectionClosed) -> None:
        """What may not be sent twice fails; ExchangeError where no connection shall follow."""
        reason = (error.rcvd.reason or f"code {error.rcvd.code}") if error.rcvd is not None else "without a word"
        lost = connection_lost(reason)
        self.breaks += 1
        for request in list(self._unanswered.values()):
            if request.socket is socket and not request.may_repeat:
                request.fail(lost)
        if self._over is not None:
            raise self._over
        if not self._reconnects or (error.rcvd is not None and error.rcvd.code in _OBJECTIONS):
            raise connection_ended(reason)

    def _end(self, error: ExchangeError) -> None:
        if self._over is None:
            self._over = error
            for request in list(self._unanswered.values()):
                request.fail(error)
            self._is_ready = False
            self._hearers.ended(error)


def _delays() -> Generator[float]:
    """Seconds between two attempts, each a little off, so that a thousand clients do not all come at once."""
    seconds = RETRY_SECONDS
    while True:
        yield seconds * random.uniform(0.75, 1.25)
        seconds = min(2 * seconds, RETRY_SECONDS_MAX)
