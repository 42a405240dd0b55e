"""The test kills the exchange under load twenty times on one journal; no answered command may be lost.

Each client gives its orders client_order_ids and keeps several requests in flight. When the exchange has restarted, the
client connects again and repeats its last orders, as the protocol recommends.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from exchange.engine.recovery import recover
from exchange.journal.lock import lock_owner
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head
from exchange.matching.state_codec import digest
from exchange.projections.views_codec import encode_views
from exchange.snapshots.store import SnapshotStore

CLIENTS = 8
IN_FLIGHT = 4
INSTRUMENT = "SOL_USDC-28FEB26-150-C"
SERVE = ["-m", "exchange.cli.main", "serve", "--port", "0", "--demo", "--clock-start", "2026-02-27T09:00:00Z"]


@contextlib.asynccontextmanager
async def server(path: Path, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A server process and its URL. At the end it is killed if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *SERVE,
        "--db",
        str(path),
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        if not line.startswith("listening on "):
            _, errors = await process.communicate()
            pytest.fail(f"the server did not start: {line} {errors.decode()}")
        yield process, line.removeprefix("listening on ").strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


class Trader:
    """A client that sends a new order after every answer, and keeps all answers."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.random = random.Random(seed)
        # Orders and results, by client_order_id.
        self.sent: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        self.repeated = 0

    async def trade(self, url: str, answered: asyncio.Semaphore) -> None:
        """Repeat the last orders, then send new ones until the connection breaks."""
        with contextlib.suppress(ConnectionClosed, OSError):
            async with connect(url, compression=None) as socket:
                await self._request(socket, "auth", "public/auth", grant_type="client_credentials", client_id=self.name)
                await socket.recv()
                for client_order_id in list(self.sent)[-2 * IN_FLIGHT :]:
                    await self._repeat(socket, client_order_id)
                for _ in range(IN_FLIGHT):
                    await self._send_new(socket)
                while True:
                    answer = json.loads(await socket.recv())
                    assert "result" in answer, answer
                    self.answers[answer["id"]] = answer["result"]
                    answered.release()
                    await self._send_new(socket)

    async def _repeat(self, socket: ClientConnection, client_order_id: str) -> None:
        """Send the same order again. If it was answered before, the answer names the same order."""
        await self._place(socket, client_order_id)
        result = json.loads(await socket.recv())["result"]
        if client_order_id in self.answers:
            assert result["duplicate"] is True, "an answered order was lost"
            assert result["order"]["order_id"] == self.answers[client_order_id]["order"]["order_id"]
            self.repeated += 1
        else:
            self.answers[client_order_id] = result

    async def _send_new(self, socket: ClientConnection) -> None:
        client_order_id = f"{self.name}-{len(self.sent)}"
        self.sent[client_order_id] = {
            "instrument_id": INSTRUMENT,
            "amount": 1_000,
            "price": self.random.choice((1_480_000, 1_490_000, 1_500_000, 1_510_000, 1_520_000)),
            "client_order_id": client_order_id,
            "side": self.random.choice(("buy", "sell")),
        }
        await self._place(socket, client_order_id)

    async def _place(self, socket: ClientConnection, client_order_id: str) -> None:
        order = dict(self.sent[client_order_id])
        await self._request(socket, client_order_id, f"private/{order.pop('side')}", **order)

    async def _request(self, socket: ClientConnection, request_id: str, method: str, **params: Any) -> None:
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}))


@pytest.mark.long
@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.soak)])
def test_kill_the_exchange_under_load_again_and_again(tmp_path: Path, kills: int) -> None:
    path = tmp_path / "exchange.db"
    random_numbers = random.Random(20)
    traders = [Trader(f"trader-{number}", number) for number in range(CLIENTS)]

    async def one_round(until_snapshot: bool) -> None:
        async with server(path, "--snapshot-every", "200") as (process, url):
            answered = asyncio.Semaphore(0)
            clients = [asyncio.create_task(trader.trade(url, answered)) for trader in traders]
            for _ in range(random_numbers.randrange(20, 200)):
                await answered.acquire()
            while until_snapshot and not SnapshotStore(path).files():
                await answered.acquire()
            os.kill(process.pid, signal.SIGKILL)
            await asyncio.gather(*clients)

    async def all_rounds() -> None:
        for number in range(kills):
            await one_round(until_snapshot=number == kills // 2)

    asyncio.run(all_rounds())
    assert lock_owner(path) is None
    with open_journal_reader(path) as reader:
        records = list(reader.records(Head()))
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
    check_every_answer(path, traders)


def check_every_answer(path: Path, traders: list[Trader]) -> None:
    """Check that every answered order is recorded at its seq, and that a start with and without snapshots agree."""
    messages: list[str] = []
    with_snapshots = recover(path, messages.append, lambda done, total: None).engine
    from_the_first = recover(path, messages.append, lambda done, total: None, use_snapshots=False).engine
    assert "snapshot at seq" in messages[0], "no snapshot was usable: the test needs some"
    from_the_first.state.check()
    assert digest(with_snapshots.state) == digest(from_the_first.state)
    assert encode_views(with_snapshots.views) == encode_views(from_the_first.views)
    with open_journal_reader(path) as reader:
        payloads = {record.seq: record.payload for record in reader.records(Head())}
    for trader in traders:
        assert trader.repeated, "a client found nothing to repeat: the rounds are too short"
        account = from_the_first.state.accounts[trader.name]
        for client_order_id, result in trader.answers.items():
            known = account.find_client_order(client_order_id)
            assert known is not None and known.order_id == result["order"]["order_id"]
            if "duplicate" not in result:
                assert json.loads(payloads[result["seq"]])["client_order_id"] == client_order_id
        assert len(account.open_orders) + len(account.closed_orders) <= len(trader.sent)


@pytest.mark.slow
def test_a_clean_stop_leaves_nothing_to_replay(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"

    async def start_and_stop() -> tuple[int | None, str]:
        async with server(path) as (process, _):
            process.send_signal(signal.SIGTERM)
            _, errors = await process.communicate()
            return process.returncode, errors.decode()

    assert asyncio.run(start_and_stop())[0] == 0
    with open_journal_reader(path) as reader:
        last_seq = reader.head().seq
        assert '"kind":"end_session"' in next(reader.records_where(last_seq, last_seq)).payload
    code, errors = asyncio.run(start_and_stop())
    assert code == 0
    assert f"snapshot at seq {last_seq}, replaying 0 commands" in errors
