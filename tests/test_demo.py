"""The demo: it quotes every option, ends its child processes, and continues the index after a restart."""

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
from tests.quotes import is_quoted

TIMEOUT_SECONDS = 120
PRICES_OF_SOL = (
    "SELECT seq, payload ->> '$.price_micros' FROM commands "
    "WHERE kind = 'set_index_price' AND payload ->> '$.asset' = 'SOL' ORDER BY seq"
)
ASSETS = {"SOL", "BTC", "ETH"}


@contextlib.asynccontextmanager
async def demo(path: Path, *options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, list[str]]]:
    """A demo process, its URL, and its first lines of output. At the end Ctrl-C stops it if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *command("demo", "--db", path, "--port", 0, *options),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        lines = [(await process.stdout.readline()).decode().rstrip()]
        assert lines[0].startswith("listening on "), lines
        while not lines[-1].startswith("Ctrl-C"):
            lines.append((await process.stdout.readline()).decode().rstrip())
        yield process, lines[0].removeprefix("listening on "), lines
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0 and b"Traceback" not in errors, errors.decode()


def run(visit: Callable[[], Any]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await visit()

    asyncio.run(bounded())


def children_of(pid: int) -> list[int]:
    """The process ids of the child processes."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def bots_of(pid: int) -> int:
    """The process id of the bots."""
    (bots,) = [
        child for child in children_of(pid) if "runtime.demo_process" in Path(f"/proc/{child}/cmdline").read_text()
    ]
    return bots


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def wait_for_end(pids: list[int]) -> None:
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


async def wait_for_quotes(client: Client) -> int:
    """Wait until every listed option is offered, and bid for if it is in the money. Return the number of options."""
    while True:
        tickers = await client.get_tickers()
        if is_quoted(tickers):
            return len(tickers)
        await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the test finds child processes in /proc")
def test_every_option_is_quoted_and_ctrl_c_ends_all_processes(tmp_path: Path) -> None:
    async def visit() -> None:
        async with demo(tmp_path / "exchange.db") as (process, url, lines):
            assert any("market makers quote every option" in line for line in lines)
            assert any("exchange instrument list" in line for line in lines)
            async with connect(url, "alice") as alice:
                assert await wait_for_quotes(alice) >= 60
                prices = await alice.subscribe(*(f"index.{asset}" for asset in sorted(ASSETS)))
                moved: set[str] = set()
                while moved != ASSETS:
                    message = await anext(prices)
                    assert isinstance(message, IndexMessage)
                    moved.add(message.data.asset)
            children = children_of(process.pid)
            assert len(children) >= 2
            process.send_signal(signal.SIGINT)
            await process.wait()
            assert not any(map(is_running, children))

    run(visit)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the test finds child processes in /proc")
def test_a_kill_ends_all_processes_and_the_index_continues(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"

    async def visit() -> None:
        async with demo(path) as (process, url, _), connect(url, reconnects=False) as client:
            prices = await client.subscribe("index.SOL")
            await anext(prices)
            children = children_of(process.pid)
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            await wait_for_end(children)
        with closing(sqlite3.connect(path)) as connection:
            *_, (last_seq, last_micros) = connection.execute(PRICES_OF_SOL)
        async with demo(path) as (_, url, _), connect(url, "alice") as alice:
            prices = await alice.subscribe("index.SOL", from_seq=last_seq)
            first, second = await anext(prices), await anext(prices)
            assert isinstance(first, IndexMessage) and isinstance(second, IndexMessage)
            assert first.data.price_micros == last_micros
            assert abs(second.data.price_micros - last_micros) < last_micros // 100
            await wait_for_quotes(alice)

    run(visit)


@pytest.mark.long
def test_bots_are_restarted_when_their_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"

    async def visit() -> None:
        async with demo(path) as (process, url, _), connect(url, "alice") as alice:
            await wait_for_quotes(alice)
            owner = lock_owner(path)
            assert owner is not None and owner.pid == process.pid
            os.kill(bots_of(process.pid), signal.SIGKILL)
            prices = await alice.subscribe("index.SOL")
            await anext(prices)
            await anext(prices)

    run(visit)


@pytest.mark.soak
def test_a_client_of_all_channels_sees_quotes_and_trades_in_every_option(tmp_path: Path) -> None:
    async def visit() -> None:
        async with demo(tmp_path / "exchange.db") as (_, url, _), connect(url, "alice") as alice:
            names = [one.instrument_id for one in await alice.get_instruments()]
            channels = [f"{kind}.{name}" for name in names for kind in ("trades", "tickers")]
            channels += [f"book.{name}.10" for name in names] + ["user.orders", "settlement"]
            channels += [f"index.{asset}" for asset in sorted(ASSETS)]
            quoted, traded = set(), set()
            async for message in await alice.subscribe(*channels):
                match message:
                    case BookMessage(data=book) if book.best_ask:
                        assert book.best_bid is None or book.best_bid.price_micros < book.best_ask.price_micros
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
