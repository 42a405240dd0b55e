"""Clients of Deribit's dialect in this process: a whole exchange with a market, without sockets and files."""

import asyncio
from typing import Any

import msgspec

from exchange.domain.commands import SetIndexPrice
from exchange.domain.rules import FEE_PROFILES, Market, Rules, Series
from exchange.gateway.deribit.dialect import DeribitDialects
from exchange.gateway.methods import METHODS
from exchange.gateway.session import Session
from tests.fake_exchange import TURNS_MAX, FakeExchange

USDC = 1_000_000
MINUTE_US = 60_000_000
DAY_US = 86_400_000_000
# Strikes of 140, 150 and 160, and two expirations.
MARKET = Market(series=(Series("SOL", 10, 1, dailies=2, weeklies=0, monthlies=0),), fees=FEE_PROFILES["deribit"])
RULES = Rules(market=MARKET)
CALL = "SOL_USDC-21FEB26-150-C"
PUT = "SOL_USDC-21FEB26-150-P"
SOON = "SOL_USDC-20FEB26-150-C"


class Client:
    """One connection."""

    def __init__(self, exchange: FakeExchange, dialects: DeribitDialects, user_id: str) -> None:
        self.exchange = exchange
        self.user_id = user_id
        self.messages: list[Any] = []
        self.answers: list[Any] = []
        # Why the exchange closed the connection.
        self.reasons: list[str] = []
        self.session = Session(
            exchange, dialects.of_websocket, exchange.subscriptions, self._on_text, self.reasons.append
        )

    async def answer_to(self, method: str, **params: Any) -> Any:
        """The whole answer to a request."""
        self.answers.clear()
        self.session.receive(msgspec.json.encode({"id": 1, "method": method, "params": params}))
        for _ in range(TURNS_MAX):
            if self.answers:
                break
            await asyncio.sleep(0)
            await self.exchange.settle()
        assert not self.reasons, self.reasons
        (answer,) = self.answers
        return answer

    async def call(self, method: str, **params: Any) -> Any:
        """The result of a request."""
        answer = await self.answer_to(method, **params)
        assert "error" not in answer, (method, params, answer)
        return answer["result"]

    async def refusal(self, method: str, **params: Any) -> int:
        """The code of the error of a request."""
        code: int = (await self.answer_to(method, **params))["error"]["code"]
        return code

    def told(self, channel: str) -> list[Any]:
        """The data of the messages of a channel."""
        return [one["data"] for one in self.messages if one["channel"] == channel]

    def _on_text(self, text: bytes) -> None:
        message = msgspec.json.decode(text)
        if "method" in message:
            self.messages.append(message["params"])
        else:
            self.answers.append(message)


class DeribitDesk:
    """An exchange, and clients of it by user."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.exchange = FakeExchange(rules)
        self.dialects = DeribitDialects(METHODS, self.exchange.now_us)

    async def open(self, *user_ids: str) -> list[Client]:
        """Start a market with an index price of 150 USDC. Returns a client for each of these users."""
        await self.exchange.start()
        await self.set_index(150)
        return [await self.client(user_id) for user_id in user_ids]

    async def client(self, user_id: str = "") -> Client:
        """Connect a client, and log it in if a user is given."""
        client = Client(self.exchange, self.dialects, user_id)
        if user_id:
            await client.call("public/auth", grant_type="client_credentials", client_id=user_id)
        return client

    async def set_index(self, usdc: float) -> None:
        """Set the index price of SOL."""
        await self.exchange.execute(SetIndexPrice("SOL", round(usdc * USDC), forced=True))

    async def wait(self, us: int) -> None:
        """Let time pass."""
        self.exchange.clock.ts_us += us
        await self.exchange.settle()
