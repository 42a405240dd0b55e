"""Subscribers of one channel, each with a connection of its own. They only count what they receive.

    python -m benchmarks.subscribers --url ws://127.0.0.1:PORT/ --count 500 --channel book.INSTRUMENT.10

It prints `ready` when all have subscribed. It answers each line of its input with the number of notifications so far.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import click
from websockets.uri import parse_uri

from benchmarks.attackers import HANDSHAKE
from benchmarks.load import fastest_event_loop
from benchmarks.order_flow import request_frame

# In each notification once, and in no answer.
MARK = b'"method"'
SETUP_SECONDS = 60


class Subscriber(asyncio.Protocol):
    """One connection: it subscribes, and counts the notifications."""

    def __init__(self, port: int, channels: list[str]) -> None:
        self._port = port
        self._channels = channels
        self._rest = b""
        self._received = b""
        self._transport: asyncio.Transport
        self.notifications = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(HANDSHAKE % self._port)

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            self._receive_first(data)
            return
        # The mark may be cut in two.
        data = self._rest + data
        self.notifications += data.count(MARK)
        end = data.rfind(MARK) + len(MARK) if MARK in data else 0
        self._rest = data[max(end, len(data) - len(MARK) + 1) :]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"the server closed the connection: {exc}"))

    def _receive_first(self, data: bytes) -> None:
        had_handshake = b"\r\n\r\n" in self._received
        self._received += data
        if b"\r\n\r\n" in self._received and not had_handshake:
            if self._channels:
                self._transport.write(request_frame(0, "public/subscribe", {"channels": self._channels}))
            else:
                self.ready.set_result(None)
        elif had_handshake and b'"result"' in self._received:
            self.ready.set_result(None)


async def run(url: str, count: int, channels: list[str], spread: bool) -> None:
    """Subscribe, and count until the input ends. With `spread` each connection has one of the channels."""
    uri, loop = parse_uri(url), asyncio.get_running_loop()
    subscribers = []
    for number in range(count):
        own = [channels[number % len(channels)]] if spread and channels else channels
        _, subscriber = await loop.create_connection(partial(Subscriber, uri.port, own), uri.host, uri.port)
        subscribers.append(subscriber)
    async with asyncio.timeout(SETUP_SECONDS):
        await asyncio.gather(*(subscriber.ready for subscriber in subscribers))
    click.echo("ready")
    while await loop.run_in_executor(None, sys.stdin.readline):
        click.echo(str(sum(subscriber.notifications for subscriber in subscribers)))


class Subscribers:
    """The process, for the program that measures."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def notifications(self) -> int:
        """The number of notifications so far."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def subscribed(url: str, count: int, channels: list[str], spread: bool = False) -> Iterator[Subscribers]:
    """Run subscribers of these channels until the end of the context; without a channel they are idle connections."""
    arguments = ["--url", url, "--count", str(count)]
    arguments += [word for channel in channels for word in ("--channel", channel)] + ["--spread"] * spread
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.subscribers", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the subscribers could not subscribe"
        yield Subscribers(process)
    finally:
        process.communicate()


@click.command()
@click.option("--url", required=True, help="URL of the server.")
@click.option("--count", type=click.IntRange(0), required=True, help="Number of connections.")
@click.option("--channel", "channels", multiple=True, help="Channel to subscribe to; repeatable.")
@click.option("--spread", is_flag=True, help="Subscribe each connection to one of the channels only.")
def main(url: str, count: int, channels: tuple[str, ...], spread: bool) -> None:
    """Subscribe, and answer each line of the input with the number of notifications so far."""
    with asyncio.Runner(loop_factory=fastest_event_loop) as runner:
        runner.run(run(url, count, list(channels), spread))


if __name__ == "__main__":
    main()
