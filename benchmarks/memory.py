"""Memory of a resting order, in the matcher and in the projections, and of an idle connection of a running exchange."""

import asyncio
import gc
import tempfile
import tracemalloc
from pathlib import Path

from benchmarks.orders import create_journal
from benchmarks.scale import Scale
from benchmarks.servers import exchange_arguments, resident_bytes, running
from benchmarks.subscribers import subscribed
from benchmarks.table import Goal, Row
from exchange.domain.commands import CreateInstrument, Genesis, OpenAccount, PlaceOrder, decode_command, encode_command
from exchange.domain.rules import Rules
from exchange.domain.units import NUMBER_MAX
from exchange.engine.engine import Engine
from exchange.journal.records import Record

ORDERS = 200_000
USERS = 100
LEVELS = 1_000
CONNECTIONS, FIRST_CONNECTIONS = 1_000, 100
GOAL = Goal(figure=450, at_most=True)
CONNECTION_GOAL = Goal(figure=40, at_most=True)
INSTRUMENT = "BENCH_USDC-31DEC98-1-C"


def run(scale: Scale) -> list[Row]:
    """Two rows."""
    return [_of_orders(scale.sized(ORDERS)), _of_connections(scale.sized(CONNECTIONS, least=50))]


def _of_orders(orders: int) -> Row:
    """The commands are decoded from text as in a running server, so that they share no more objects than there."""
    engine = Engine()
    _step(engine, Genesis(Rules(open_orders_max=ORDERS)))
    _step(engine, CreateInstrument(INSTRUMENT, 1_000, 1))
    for user in range(USERS):
        _step(engine, OpenAccount(f"user-{user}", NUMBER_MAX // USERS))
    gc.collect()
    tracemalloc.start()
    for number in range(orders):
        _step(engine, _order(number))
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Row("memory of an order", used / orders, "bytes", goal=GOAL, note=f"{orders:,} resting orders")


def _of_connections(connections: int) -> Row:
    """The growth of the resident memory of the exchange. Its first connections do not count: they load code."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "bench.db"
        asyncio.run(create_journal(db))
        with running(*exchange_arguments(db)) as exchange, subscribed(exchange.url, FIRST_CONNECTIONS, []):
            before = resident_bytes(exchange.pid)
            with subscribed(exchange.url, connections, []):
                used = resident_bytes(exchange.pid) - before
    name, note = "memory of an idle connection", f"{connections:,} connections"
    return Row(name, used / connections / 1024, "KiB", goal=CONNECTION_GOAL, note=note)


def _order(number: int) -> PlaceOrder:
    price_micros = 1_000_000 + 1_000 * (number * 7 % LEVELS)
    return PlaceOrder(
        user_id=f"user-{number % USERS}",
        instrument_id=INSTRUMENT,
        side="bid",
        type="limit",
        time_in_force="gtc",
        price_micros=price_micros,
        size_milli=1_000 + number % 9_000,
    )


def _step(engine: Engine, command: object) -> None:
    text = encode_command(command).decode()
    head = engine.head
    engine.step(Record(head.seq + 1, head.ts_us + 1_000_003, text, b""), decode_command(text))
