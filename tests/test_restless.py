"""Random clients that come and go, and random small limits: each client gets exactly the journal's notifications."""

import asyncio
import contextlib
import json
import random
import secrets
from pathlib import Path

import pytest

from exchange.catch_up import outbox, pool, service, streams
from exchange.catch_up.request import CatchUpRequest
from exchange.catch_up.worker import messages_of
from exchange.gateway import socket_connection, turns
from exchange.journal.opening import open_journal_reader
from tests.wire import INSTRUMENT, Server, exchange, request

USERS = ("alice", "bob")
STREAMS = (f"trades.{INSTRUMENT}", "instruments.SOL", "status", "user.orders", "user.trades", "user.balance")
CLIENTS, VISITS = 6, 8
LIMITS = {
    (streams, "RECENT_MAX"): (0, 3, 30, 10_000),
    (outbox, "CATCH_UP_BUFFER_MAX"): (300, 30_000),
    (pool, "CHUNK_SIZE"): (100, 1_000, 20_000),
    (service, "SLICE_SECONDS"): (0, 0.0005, 0.005),
    (socket_connection, "UNSENT_MAX"): (500, 5_000, 1_000_000),
    (turns, "TURN_SECONDS"): (0, 0.005),
}


class Visit:
    """One subscription of a client, and the notifications that it got, in order."""

    def __init__(self, wanted: CatchUpRequest) -> None:
        self.wanted = wanted
        self.got: list[bytes] = []


class Restless:
    """A client that subscribes to random streams from a random command, and disconnects after a while."""

    def __init__(self, chance: random.Random) -> None:
        self.visits: list[Visit] = []
        self._chance = chance
        self._user_id = chance.choice(USERS)
        self._seq = 1  # the last command whose notifications came

    async def live(self, running: Server) -> None:
        chance = self._chance
        for _ in range(VISITS):
            channels = tuple(chance.sample(STREAMS, chance.randint(1, len(STREAMS))))
            from_seq = chance.choice((1, self._seq, self._seq, chance.randint(1, running.engine.head.seq)))
            count = chance.choice((0, 1, 20, 200, 2_000))
            patience = chance.choice((0.01, 0.1, 1.0))
            await self._visit(running, CatchUpRequest(from_seq, 0, self._user_id, channels), count, patience)

    async def get_the_rest(self, running: Server) -> None:
        """Read all notifications from the last seen command on, after trading has ended."""
        wanted = CatchUpRequest(self._seq, running.engine.head.seq, self._user_id, STREAMS)
        await self._visit(running, wanted, len(list(messages_of(running.path, wanted))), None)

    async def _visit(self, running: Server, wanted: CatchUpRequest, count: int, patience_seconds: float | None) -> None:
        wire = await running.connect(self._chance.choice((None, 4_096)))
        await wire.log_in(self._user_id)
        wire.send(request("public/subscribe", channels=list(wanted.channels), from_seq=wanted.from_seq))
        self.visits.append(visit := Visit(wanted))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                while len(visit.got) < count:
                    _, text = await wire.frame()
                    if text.startswith(b'{"jsonrpc":"2.0","method"'):
                        visit.got.append(text)
                        self._seq = json.loads(text)["params"]["seq"]
        await wire.hang_up()


async def trade(running: Server, user_id: str, chance: random.Random) -> None:
    """Place and cancel a few orders at a time, until the task is cancelled."""
    wire = await running.client(user_id)
    while True:
        for _ in range(chance.randint(1, 10)):
            order = {"instrument_id": INSTRUMENT, "price": chance.choice((1_490_000, 1_500_000)), "amount": 100}
            await wire.ask(chance.choice(("private/buy", "private/sell")), **order)
        await wire.ask("private/cancel_all")


def live_restlessly(path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    for (module, name), values in LIMITS.items():
        monkeypatch.setattr(module, name, chance.choice(values))
    clients = [Restless(random.Random(chance.random())) for _ in range(CLIENTS)]

    async def run() -> None:
        async with exchange(path) as running:
            traders = [asyncio.create_task(trade(running, user, random.Random(chance.random()))) for user in USERS]
            await asyncio.gather(*(client.live(running) for client in clients))
            for trader in traders:
                trader.cancel()
            await asyncio.gather(*traders, return_exceptions=True)
            await asyncio.gather(*(client.get_the_rest(running) for client in clients))

    asyncio.run(run())
    compare(path, [visit for client in clients for visit in client.visits])


def compare(path: Path, visits: list[Visit]) -> None:
    """Check that each visit got a prefix of the notifications that it requested, with identical texts."""
    told = {user: list(messages_of(path, CatchUpRequest(1, last_seq(path), user, STREAMS))) for user in USERS}
    for visit in visits:
        from_seq, _, user_id, channels = visit.wanted
        expected = [one.text for one in told[user_id] if one.seq >= from_seq and one.channel_name in channels]
        assert visit.got == expected[: len(visit.got)], visit.wanted
    assert sum(len(visit.got) for visit in visits) > 500, "too few notifications for a meaningful test"


def last_seq(path: Path) -> int:
    with open_journal_reader(path) as reader:
        return reader.head().seq


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_what_restless_clients_get(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    live_restlessly(tmp_path / "exchange.db", seed, monkeypatch)


@pytest.mark.soak
@pytest.mark.parametrize("_run", range(30))
def test_what_many_restless_clients_get(tmp_path: Path, _run: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = secrets.randbelow(2**32)
    print(f"seed {seed}")  # noqa: T201
    live_restlessly(tmp_path / "exchange.db", seed, monkeypatch)
