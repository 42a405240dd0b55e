"""An exchange for clients in the same process, without sockets, with a clock set by the caller."""

import asyncio
import itertools
from collections.abc import Awaitable
from typing import Any

import msgspec

from exchange import __version__
from exchange.bots.bot import BotRunner
from exchange.bots.requests import BotRequest, method_and_params
from exchange.client.codec import IncomingMessage, decode_message, encode_request
from exchange.client.messages import message_of
from exchange.domain.commands import EndSession, StartSession
from exchange.runtime.clock import Clock
from exchange.runtime.demo import start_prices
from exchange.runtime.node import Node


class ManualClock(Clock):
    """A clock that shows the time set in `ts_us`."""

    def __init__(self, ts_us: int) -> None:
        self.ts_us = ts_us

    def now_us(self) -> int:
        return self.ts_us


class InProcessExchange(Node):
    """A node without sockets. `client` opens a session."""

    async def open(self) -> None:
        """Start the pipeline and record the start of a run, as `Node` does."""
        self._pipeline_task = asyncio.create_task(self._pipeline.run())
        await self._execute(StartSession(__version__))
        for command in start_prices(self.views):
            await self._execute(command)

    async def close(self) -> None:
        """Record the end of the run and stop the pipeline."""
        self._pipeline.submit(EndSession(), lambda change: None)
        self._pipeline.stop()
        await self._pipeline_task

    def client(self) -> "LocalClient":
        """Open a session for a client in this process."""
        return LocalClient(self)


class LocalClient:
    """The client side of an in-process session."""

    def __init__(self, exchange: InProcessExchange) -> None:
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[IncomingMessage]] = {}
        self._runner: BotRunner | None = None
        self._session = exchange.open_session(self._receive)

    async def call(self, method: str, **params: Any) -> bytes:
        """Call a method and return its result as JSON. Raises AssertionError if the exchange answers with an error."""
        answer = await self._request(method, params)
        assert answer.error is None, f"{method}: {answer.error}"
        return answer.result

    async def ask(self, method: str, **params: Any) -> bytes:
        """Call a method and return its result as JSON. Raises ExchangeError if the exchange answers with an error."""
        answer = await self._request(method, params)
        if answer.error is not None:
            raise answer.error.as_exception()
        return answer.result

    def attach(self, runner: BotRunner) -> None:
        """Deliver results and channel messages to the view of this runner from now on."""
        self._runner = runner

    def request(self, request: BotRequest) -> Awaitable[None]:
        """Send a request now. The result is done when the answer was delivered to the runner's view."""
        return self._deliver(request, self._request(*method_and_params(request)))

    async def _deliver(self, request: BotRequest, answering: Awaitable[IncomingMessage]) -> None:
        answer = await answering
        assert self._runner is not None, "a request before a runner was attached"
        if answer.error is None:
            self._runner.view.on_result(request, answer.result)
        else:
            self._runner.view.on_error(request, answer.error.code)

    def _request(self, method: str, params: dict[str, Any]) -> asyncio.Future[IncomingMessage]:
        request_id = next(self._ids)
        answer = self._pending[request_id] = asyncio.get_running_loop().create_future()
        self._session.receive(encode_request(request_id, method, params))
        return answer

    def _receive(self, text: bytes) -> None:
        incoming = decode_message(text)
        if incoming.params is not None:
            params = incoming.params
            message = message_of(params.channel, params.seq, msgspec.Raw(params.data))
            if message is not None and self._runner is not None:
                self._runner.view.on_message(message)
        elif incoming.id is not None:
            self._pending.pop(incoming.id).set_result(incoming)
