"""Connections that break at any moment, under load and through a crash: the joined streams equal the journal.

Watchers follow docs/protocol.md: they subscribe from the last command that they have seen, and skip its notifications
that they have. Some forget everything and subscribe from the start. No notification may be missing, and none may come
that was not requested.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.lawyer import Lawyer
from tests.recorded_updates import Told, told_by
from tests.test_recovery import INSTRUMENT, server

USERS = ("alice", "bob", "carol")
FORGETS_EVERY = 10  # connections
# Messages before a connection breaks. Most break after the streams are live again, some before.
MESSAGES_MAX = 800
PATIENCE_SECONDS = 300  # before the test fails
CHANNELS = [f"trades.{INSTRUMENT}", "user.orders", "user.trades", "user.balance"]


Seen = dict[str, dict[int, Any]]  # by channel, then by seq


def last_seq(seen: Seen) -> int:
    return max((seq for told in seen.values() for seq in told), default=0)


class Link:
    """One connection of a user. A lawyer checks each message; `notified` receives the notifications."""

    def __init__(self, socket: ClientConnection, notified: Callable[..., None]) -> None:
        self._socket = socket
        self._notified = notified
        self._lawyer = Lawyer()
        self._ids = itertools.count(1)

    async def send(self, method: str, **params: Any) -> int:
        request_id = next(self._ids)
        text = json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        self._lawyer.sent(text.encode())
        await self._socket.send(text)
        return request_id

    async def receive(self) -> dict[str, Any]:
        text = await self._socket.recv(decode=False)
        self._lawyer.got(text)
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self._notified(**message["params"])
        return message

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        request_id = await self.send(method, **params)
        while (message := await self.receive()).get("id") != request_id:
            pass
        return message


class Market:
    """The exchange as its clients know it: its address, and whether it is up."""

    def __init__(self, breaks_of_each: int) -> None:
        self.breaks_of_each = breaks_of_each  # connections of each watcher that break
        self.url = ""
        self.is_up = asyncio.Event()
        self.is_over = False
        self.breaks = 0
        self.half_broken = asyncio.Event()

    def has_broken(self) -> None:
        self.breaks += 1
        if self.breaks == self.breaks_of_each * len(USERS) // 2:
            self.half_broken.set()

    async def visit(self, user_id: str, notified: Callable[..., None], stay: Callable[[Link], Any]) -> None:
        """Connect, call `stay`, and break the connection, unless it broke before."""
        await self.is_up.wait()
        with contextlib.suppress(ConnectionClosed, InvalidHandshake, OSError):
            async with connect(self.url, compression=None) as socket:
                link = Link(socket, notified)
                await link.call("public/auth", grant_type="client_credentials", client_id=user_id)
                await stay(link)
                socket.transport.abort()


class Watcher:
    """Keeps what it has seen, by channel and seq. `forgotten` keeps what it had seen before it forgot everything."""

    def __init__(self, user_id: str, seed: int) -> None:
        self.user_id = user_id
        self.random = random.Random(seed)
        self.from_seq = 1
        self.seen: Seen = {}
        self.forgotten: list[Seen] = []
        self.repeated = 0
        self.end_seq = 0  # the last command that it waits for

    async def watch(self, market: Market) -> None:
        for visit in range(market.breaks_of_each):
            if visit % FORGETS_EVERY == FORGETS_EVERY - 1:
                self.forgotten.append(self.seen)
                self.seen = {}
            await market.visit(self.user_id, self._take, self._stay_a_while)
            market.has_broken()

    async def watch_to_the_end(self, market: Market) -> None:
        await market.visit(self.user_id, self._take, self._stay_until_own_order)

    async def _subscribe(self, link: Link) -> None:
        self.from_seq = last_seq(self.seen) or 1
        await link.send("public/subscribe", channels=CHANNELS, from_seq=self.from_seq)

    async def _stay_a_while(self, link: Link) -> None:
        await self._subscribe(link)
        for _ in range(self.random.randrange(MESSAGES_MAX)):
            await link.receive()

    async def _stay_until_own_order(self, link: Link) -> None:
        await self._subscribe(link)
        answer = await link.call("private/buy", instrument_id=INSTRUMENT, price=10_000, amount=1_000)
        self.end_seq = answer["result"]["seq"]
        while self.end_seq not in self.seen.get("user.balance", {}):
            await link.receive()

    def _take(self, channel: str, seq: int, data: Any) -> None:
        told = self.seen.setdefault(channel, {})
        if seq in told:
            assert seq == self.from_seq and told[seq] == data, "a notification came twice that was requested once"
            self.repeated += 1
        told[seq] = data


async def trade(market: Market, user_id: str, seed: int) -> None:
    """Buy, sell, edit and cancel until the market is over."""
    chance = random.Random(seed)

    async def stay(link: Link) -> None:
        while not market.is_over:
            what, price = chance.randrange(10), chance.choice((1_490_000, 1_500_000, 1_510_000))
            if what < 8:
                side = chance.choice(("buy", "sell"))
                client_order_id = f"{user_id}-{chance.randrange(10**9)}" if what < 4 else None
                named = {"client_order_id": client_order_id} if client_order_id else {}
                await link.call(f"private/{side}", instrument_id=INSTRUMENT, price=price, amount=500, **named)
            elif open_orders := (await link.call("private/get_open_orders"))["result"]:
                order_id = chance.choice(open_orders)["order_id"]
                change = {"price": price, "amount": 700} if what == 8 else {}
                await link.call(f"private/{'edit' if change else 'cancel'}", order_id=order_id, **change)

    while not market.is_over:
        await market.visit(user_id, lambda **params: None, stay)


async def trade_and_watch(path: Path, watchers: list[Watcher], breaks_of_each: int) -> None:
    market = Market(breaks_of_each)
    traders = [asyncio.create_task(trade(market, user_id, seed)) for seed, user_id in enumerate(USERS)]
    watching = asyncio.gather(*(watcher.watch(market) for watcher in watchers))
    async with server(path, "--snapshot-every", "1000") as (process, market.url):
        market.is_up.set()
        await market.half_broken.wait()
        market.is_up.clear()
        os.kill(process.pid, signal.SIGKILL)
    async with server(path, "--snapshot-every", "1000") as (process, market.url):
        market.is_up.set()
        await watching
        market.is_over = True
        await asyncio.gather(*traders)
        await asyncio.gather(*(watcher.watch_to_the_end(market) for watcher in watchers))
        process.send_signal(signal.SIGTERM)
        await process.communicate()


@pytest.mark.long
@pytest.mark.parametrize("breaks_of_each", [12, pytest.param(100, marks=pytest.mark.soak)])
def test_streams_joined_over_many_breaks_equal_the_journal(tmp_path: Path, breaks_of_each: int) -> None:
    path = tmp_path / "exchange.db"
    watchers = [Watcher(user_id, 100 + seed) for seed, user_id in enumerate(USERS)]
    asyncio.run(asyncio.wait_for(trade_and_watch(path, watchers, breaks_of_each), PATIENCE_SECONDS))
    told = told_by(path)
    for watcher in watchers:
        assert watcher.repeated, "no notification was repeated: the connections break too early"
        for seen in watcher.forgotten:
            compare(seen, told, watcher.user_id, last_seq(seen) - 1)  # the last command may be incomplete
        compare(watcher.seen, told, watcher.user_id, watcher.end_seq)


def compare(seen: Seen, told: Told, user_id: str, up_to: int) -> None:
    for channel in CHANNELS:
        expected = told[channel, user_id if channel.startswith("user.") else ""]
        wrong = {
            seq: (expected.get(seq), seen.get(channel, {}).get(seq))
            for seq in sorted(expected.keys() | seen.get(channel, {}).keys())
            if seq <= up_to and expected.get(seq) != seen.get(channel, {}).get(seq)
        }
        assert not wrong, f"{channel} of {user_id}: told and seen differ {len(wrong)} times, first {min(wrong.items())}"
