"""An exchange that clients talk to without sockets, at a time that is set."""

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
    """Exchange time as it is set."""

    def __init__(self, ts_us: int) -> None:
        self.ts_us = ts_us

    def now_us(self) -> int:
        return self.ts_us


class InProcessExchange(Node):
    """A node whose clients are in this process. `line` opens a conversation."""

    async def open(self) -> None:
        """Begin, as a node does."""
        self._road = asyncio.create_task(self._pipeline.run())
        await self._execute(StartSession(__version__))
        for command in start_prices(self.views):
            await self._execute(command)

    async def close(self) -> None:
        """End in good order."""
        self._pipeline.submit(EndSession(), lambda change: None)
        self._pipeline.stop()
        await self._road

    def client(self) -> "LocalClient":
        return LocalClient(self)


class LocalClient:
    """A client's end of a conversation."""

    def __init__(self, venue: InProcessExchange) -> None:
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[IncomingMessage]] = {}
        self._player: BotRunner | None = None
        self._session = venue.open_session(self._arrive)

    async def call(self, method: str, **params: Any) -> bytes:
        """The result, as JSON; AssertionError where there is none."""
        received = await self._ask(method, params)
        assert received.error is None, f"{method}: {received.error}"
        return received.result

    def play(self, player: BotRunner) -> None:
        """From here on, what is notified is told to the player."""
        self._player = player

    def request(self, request: BotRequest) -> Awaitable[None]:
        """Send it at once; the player hears the answer, and the result is there once it has."""
        return self._heard(request, self._ask(*method_and_params(request)))

    async def _heard(self, request: BotRequest, answer: Awaitable[IncomingMessage]) -> None:
        received = await answer
        assert self._player is not None, "a request of nobody"
        if received.error is None:
            self._player.view.answered(request, received.result)
        else:
            self._player.view.refused(request, received.error.code)

    def _ask(self, method: str, params: dict[str, Any]) -> asyncio.Future[IncomingMessage]:
        request_id = next(self._ids)
        answer = self._asked[request_id] = asyncio.get_running_loop().create_future()
        self._session.receive(encode_request(request_id, method, params))
        return answer

    def _arrive(self, text: bytes) -> None:
        received = decode_message(text)
        if received.params is not None:
            params = received.params
            message = message_of(params.channel, params.seq, msgspec.Raw(params.data))
            if message is not None and self._player is not None:
                self._player.view.take(message)
        elif received.id is not None:
            self._asked.pop(received.id).set_result(received)
