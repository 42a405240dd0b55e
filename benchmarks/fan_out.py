"""Notifications of one busy book to 500 subscribers, compared with `websockets.broadcast` of the same bytes.

One trader has one order in flight, and each order changes the book. The reference sends a notification of the exchange
to as many subscribers for each message of its client. The figure is the number of notifications that the subscribers
have received, for each second of CPU time of the server's main thread; the orders are part of that time.
"""

import asyncio
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from websockets.asyncio.client import ClientConnection, connect

from benchmarks import cpu
from benchmarks.load import first_open_instrument
from benchmarks.orders import create_journal, load
from benchmarks.scale import Scale
from benchmarks.servers import Server, exchange_arguments, running
from benchmarks.subscribers import Subscribers, subscribed
from benchmarks.table import Goal, Row, median

SUBSCRIBERS = 500
DEPTH = 10
GOAL = Goal(ratio=0.7)
# The text that the reference sends is one of these, of median length.
RECORDED = 15


class _Sent(NamedTuple):
    """Notifications for a second of CPU time, and for a second."""

    per_cpu_second: float
    per_second: float


def run(scale: Scale) -> list[Row]:
    """One row."""
    ours, theirs = [], []
    count = scale.sized(SUBSCRIBERS, least=5)
    with tempfile.TemporaryDirectory() as folder:
        db, file = Path(folder) / "bench.db", Path(folder) / "text"
        asyncio.run(create_journal(db))
        with running(*exchange_arguments(db)) as exchange:
            channel = f"book.{asyncio.run(first_open_instrument(exchange.url))}.{DEPTH}"
            file.write_bytes(asyncio.run(_recorded(exchange.url, channel, exchange, scale)))
            with (
                running("-m", "benchmarks.broadcast", str(file)) as reference,
                subscribed(exchange.url, count, [channel]) as our_subscribers,
                subscribed(reference.url, count, [channel]) as their_subscribers,
            ):
                for _ in range(scale.rounds):
                    ours.append(_measure(exchange, our_subscribers, scale, "orders"))
                    theirs.append(_measure(reference, their_subscribers, scale, "echo"))
            size = file.stat().st_size
    rates = [median([sent.per_second for sent in some]) for some in (ours, theirs)]
    return [
        Row(
            "fan-out",
            median([sent.per_cpu_second for sent in ours]),
            "notifications/s of CPU",
            median([sent.per_cpu_second for sent in theirs]),
            "websockets.broadcast",
            GOAL,
            f"{count} subscribers, {size} bytes; {rates[0]:,.0f} notifications/s, broadcast {rates[1]:,.0f}",
        )
    ]


def _measure(server: Server, subscribers: Subscribers, scale: Scale, mode: str) -> _Sent:
    with ThreadPoolExecutor() as pool:
        first = subscribers.notifications()
        loading = pool.submit(load, server, scale._replace(seconds=1.2 * scale.seconds), mode, 1, 1)
        while subscribers.notifications() == first and not loading.done():
            time.sleep(0.01)
        time.sleep(scale.warm_up_seconds)
        cpu_before, before, began = cpu.sample(server.pid), subscribers.notifications(), time.perf_counter()
        time.sleep(scale.seconds)
        cpu_after, after, seconds = cpu.sample(server.pid), subscribers.notifications(), time.perf_counter() - began
        loading.result()
    cpu_seconds = cpu.by_part(server.pid, cpu_before, cpu_after)["main thread"] / 1e9
    return _Sent((after - before) / cpu_seconds, (after - before) / seconds)


async def _recorded(url: str, channel: str, exchange: Server, scale: Scale) -> bytes:
    """A notification of median length, of those that the exchange sends during a load."""
    # Without a limit of its queue, the client reads all, so that the connection can be closed at once.
    async with connect(url, compression=None, max_queue=None) as client:
        await client.send(
            f'{{"jsonrpc":"2.0","id":1,"method":"public/subscribe","params":{{"channels":["{channel}"]}}}}'
        )
        receiving = asyncio.create_task(_receive(client))
        while not receiving.done():
            await asyncio.to_thread(load, exchange, scale, "orders", 1, 1)
        texts = await receiving
    # The first two are the answer and the snapshot.
    return sorted(texts[2:], key=len)[RECORDED // 2]


async def _receive(client: ClientConnection) -> list[bytes]:
    return [await client.recv(decode=False) for _ in range(RECORDED + 2)]
