"""The longest wait of a client while a snapshot of 100,000 open orders is written.

A real server has that many open orders. One client places and cancels orders, one at a time; the figure is its longest
wait for an answer. The reference is the same wait without snapshots.
"""

import asyncio
import json
import tempfile
import time
from pathlib import Path

from websockets.sync.client import ClientConnection, connect

from benchmarks.scale import Scale
from benchmarks.servers import running
from benchmarks.table import Goal, Row, median
from exchange.domain.commands import Command, CreateInstrument, Genesis, OpenAccount, PlaceOrder, encode_command
from exchange.domain.events import Event
from exchange.domain.rules import Rules
from exchange.domain.units import NUMBER_MAX
from exchange.engine.engine import Engine
from exchange.journal.opening import open_journal_writer
from exchange.journal.records import Record, chain
from exchange.snapshots.store import SnapshotStore

ORDERS = 100_000
GOAL = Goal(figure=50, at_most=True)
INSTRUMENT = "BENCH_USDC-31DEC98-1-C"


def run(scale: Scale) -> list[Row]:
    """Return one row: the longest wait in milliseconds, which should be at most 50."""
    orders = scale.sized(ORDERS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        asyncio.run(_prepare(path, orders))
        quiet = _waits_ms(path, 0, 2 * scale.seconds)
        made_before = set(SnapshotStore(path).files())
        busy = _waits_ms(path, 200, 2 * scale.seconds)
        # Without the last snapshot, which the stop of the server writes.
        made = len(set(SnapshotStore(path).files()) - made_before) - 1
    return [
        Row(
            "longest answer during a snapshot",
            max(busy),
            "ms",
            max(quiet),
            "without snapshots",
            GOAL,
            f"{orders:,} open orders, {made} snapshots; medians {median(busy):.1f} and {median(quiet):.1f} ms",
        )
    ]


def _waits_ms(path: Path, snapshot_every: int, seconds: float) -> list[float]:
    serve = ("-m", "exchange.cli.main", "serve", "--db", str(path), "--port", "0")
    waits = []
    with (
        running(*serve, "--snapshot-every", str(snapshot_every)) as server,
        connect(server.url, compression=None) as client,
    ):
        _call(client, "public/auth", grant_type="client_credentials", client_id="client")
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            order = _call(client, "private/buy", instrument_id=INSTRUMENT, price=1_000, amount=1_000)["order"]
            middle = time.perf_counter()
            _call(client, "private/cancel", order_id=order["order_id"])
            waits += [(middle - start) * 1_000, (time.perf_counter() - middle) * 1_000]
    return waits


def _call(client: ClientConnection, method: str, **params: object) -> dict[str, dict[str, int]]:
    client.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    result: dict[str, dict[str, int]] = json.loads(client.recv())["result"]
    return result


async def _prepare(path: Path, orders: int) -> None:
    """Write a journal with this many open orders, without a server."""
    engine = Engine()
    records: list[Record] = []
    caused: list[tuple[int, list[Event]]] = []
    for command in _commands(orders):
        (record,) = chain(engine.head, [(engine.head.ts_us + 1, encode_command(command).decode())])
        events, _ = engine.step(record, command)
        records.append(record)
        caused.append((record.seq, events))
    journal = await open_journal_writer(path)
    for start in range(0, len(records), 1_000):
        await journal.append(records[start : start + 1_000])
    await journal.close()


def _commands(orders: int) -> list[Command]:
    commands: list[Command] = [
        Genesis(Rules(open_orders_max=orders + 1, starting_cash_micros=10_000_000_000)),
        CreateInstrument(INSTRUMENT, 1_000, 1),
        OpenAccount("resting", NUMBER_MAX // 2),
    ]
    for number in range(orders):
        price_micros = 1_000_000 + 1_000 * (number * 7 % 1_000)
        commands.append(PlaceOrder("resting", INSTRUMENT, "bid", "limit", "gtc", price_micros, 1_000))
    return commands
