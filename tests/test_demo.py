"""The demo: quotes in every option, children that end with it, and an index that goes on where it was."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exchange.client import Client, connect
from exchange.client.messages import BookMessage, IndexMessage, OrdersMessage, TradesMessage
from exchange.journal.lock import lock_owner
from tests.cli_support import command, environment

PATIENCE_SECONDS = 120
PRICES_OF_SOL = (
    "SELECT seq, payload ->> '$.price_micros' FROM commands "
    "WHERE kind = 'set_index_price' AND payload ->> '$.asset' = 'SOL' ORDER BY seq"
)
ASSETS = {"SOL", "BTC", "ETH"}


@contextlib.asynccontextmanager
async def demo(path: Path, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, list[str]]]:
    """A demo as a process, its URL, and what it says; it is ended with Ctrl-C, if it has not ended by itself."""
    process = await asyncio.create_subprocess_exec(
        *command("demo", "--db", path, "--port", 0, *options),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        said = [(await process.stdout.readline()).decode().rstrip()]
        assert said[0].startswith("listening on "), said
        while not said[-1].startswith("Ctrl-C"):
            said.append((await process.stdout.readline()).decode().rstrip())
        yield process, said[0].removeprefix("listening on "), said
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0 and b"Traceback" not in errors, errors.decode()


def run(visit: Callable[[], Any]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await visit()

    asyncio.run(bounded())


def children_of(pid: int) -> list[int]:
    """The processes that it started, those that serve Python's own ends left aside."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def bots_of(pid: int) -> int:
    """The process id of the bots."""
    (bots,) = [
        child for child in children_of(pid) if "runtime.demo_process" in Path(f"/proc/{child}/cmdline").read_text()
    ]
    return bots


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def gone(pids: list[int]) -> None:
    """Wait until none of these processes runs any more."""
    loop = asyncio.get_running_loop()
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = asyncio.Event()
        loop.add_reader(handle, ended.set)
        await ended.wait()
        loop.remove_reader(handle)
        os.close(handle)


async def quoted_everywhere(client: Client) -> int:
    """Wait until every listed option has a bid and an ask: how many there are."""
    while True:
        tickers = await client.get_tickers()
        if tickers and all(one.best_bid_micros and one.best_ask_micros for one in tickers):
            return len(tickers)
        await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children are looked for in /proc")
def test_every_option_is_quoted_and_ctrl_c_ends_all_processes(tmp_path: Path) -> None:
    async def visit() -> None:
        async with demo(tmp_path / "exchange.db") as (process, url, said):
            assert any("market makers quote every option" in line for line in said)
            assert any("exchange instrument list" in line for line in said)
            async with connect(url, "alice") as alice:
                assert await quoted_everywhere(alice) >= 60
                told = await alice.subscribe(*(f"index.{asset}" for asset in sorted(ASSETS)))
                moved: set[str] = set()
                while moved != ASSETS:
                    message = await anext(told)
                    assert isinstance(message, IndexMessage)
                    moved.add(message.data.asset)
            children = children_of(process.pid)
            assert len(children) >= 2
            process.send_signal(signal.SIGINT)
            await process.wait()
            assert not any(map(is_there, children))

    run(visit)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children are looked for in /proc")
def test_a_kill_ends_all_processes_and_the_index_continues(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"

    async def visit() -> None:
        async with demo(path) as (process, url, _), connect(url, reconnects=False) as watching:
            told = await watching.subscribe("index.SOL")
            await anext(told)
            children = children_of(process.pid)
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            await gone(children)
        with closing(sqlite3.connect(path)) as connection:
            *_, (last_seq, last_micros) = connection.execute(PRICES_OF_SOL)
        async with demo(path) as (_, url, _), connect(url, "alice") as alice:
            told = await alice.subscribe("index.SOL", from_seq=last_seq)
            first, second = await anext(told), await anext(told)
            assert isinstance(first, IndexMessage) and isinstance(second, IndexMessage)
            assert first.data.price_micros == last_micros
            assert abs(second.data.price_micros - last_micros) < last_micros // 100
            await quoted_everywhere(alice)

    run(visit)


@pytest.mark.slow
def test_bots_that_end_are_started_again(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"

    async def visit() -> None:
        async with demo(path) as (process, url, _), connect(url, "alice") as alice:
            await quoted_everywhere(alice)
            holder = lock_owner(path)
            assert holder is not None and holder.pid == process.pid
            os.kill(bots_of(process.pid), signal.SIGKILL)
            told = await alice.subscribe("index.SOL")
            await anext(told)
            await anext(told)

    run(visit)


@pytest.mark.soak
def test_a_client_of_all_channels_sees_quotes_and_trades_in_every_option_and_no_error(tmp_path: Path) -> None:
    async def visit() -> None:
        async with demo(tmp_path / "exchange.db") as (_, url, _), connect(url, "alice") as alice:
            names = [one.instrument_id for one in await alice.get_instruments()]
            everything = [f"{kind}.{name}" for name in names for kind in ("trades", "tickers")]
            everything += [f"book.{name}.10" for name in names] + ["user.orders", "settlement"]
            everything += [f"index.{asset}" for asset in sorted(ASSETS)]
            quoted, traded = set(), set()
            async for message in await alice.subscribe(*everything):
                match message:
                    case BookMessage(data=book) if book.best_bid and book.best_ask:
                        assert book.best_bid.price_micros < book.best_ask.price_micros
                        quoted.add(book.instrument_id)
                    case TradesMessage(data=trades):
                        traded.add(trades[0].instrument_id)
                    case OrdersMessage():
                        raise AssertionError("alice has no orders")
                    case _:
                        pass
                if len(quoted) == len(traded) == len(names):
                    break

    run(visit)
