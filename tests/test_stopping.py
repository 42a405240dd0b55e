"""SIGTERM: the exchange takes no more commands, answers those that it has, closes with 1001, and ends soon."""

import asyncio
import json
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head
from exchange.snapshots.store import SnapshotStore
from tests.cli_support import command, environment
from tests.wire import INSTRUMENT, TEXT, Closed, Wire, exchange, frame_bytes, request

COUNT = 300
# The time that a stop may take, and some more for a machine that is busy.
STOP_SECONDS = 5 + 25


def buy(request_id: int) -> bytes:
    text = request("private/buy", request_id, instrument_id=INSTRUMENT, price=1_500_000, amount=100)
    return frame_bytes(TEXT, text.encode())


async def answers_until_closed(wire: Wire) -> tuple[list[Any], int | None]:
    """The answers that come, and the code of the Close."""
    answers = []
    try:
        while True:
            answers.append(json.loads((await wire.frame()).payload))
    except Closed as closed:
        return answers, closed.code


def placed(path: Path) -> int:
    """The number of orders in the journal."""
    with open_journal_reader(path) as reader:
        return sum("place_order" in record.payload for record in reader.records(Head()))


@pytest.mark.slow
def test_requests_that_have_begun_are_answered(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"

    async def conversation() -> None:
        async with exchange(path) as server:
            alice = await server.client("alice")
            alice.writer.write(b"".join(map(buy, range(COUNT))))
            first = await alice.frame()
            server.stop()
            answers, code = await answers_until_closed(alice)
            assert code == 1001 and first.opcode == TEXT
            answered = 1 + len(answers)
            assert [answer["id"] for answer in answers] == list(range(1, answered))
            assert all("result" in answer for answer in answers)
            await alice.hang_up()
            await server.running
            assert placed(path) == answered, "a command was carried out and not answered"

    asyncio.run(conversation())


def test_clients_that_do_not_read_or_close_do_not_delay_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.gateway.server.LAST_ANSWERS_SECONDS", 0.01)
    monkeypatch.setattr("exchange.gateway.server.LAST_CLOSES_SECONDS", 0.01)

    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            deaf: Wire = await server.connect(receive_buffer=4_096)
            for _ in range(100):
                deaf.send(request("public/get_api"))
            await deaf.writer.drain()
            half_open = await server.dial()
            half_open.writer.write(b"GET / HTTP/1.1\r\n")
            silent = await server.connect()
            await silent.ask("public/test")
            server.stop()
            # Its end of the connection stays open, without an answer to the Close.
            assert await silent.closing() == 1001
            await server.running

    asyncio.run(conversation())


def start(path: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        command("serve", "--db", path, "--port", "0", "--rate-limit", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    return process, process.stdout.readline().removeprefix("listening on ").strip()


async def flood(url: str, process: subprocess.Popen[str], path: Path) -> tuple[int, int | None]:
    """Stop the exchange in the middle of many orders. Returns the number of answers, and the code of the Close."""
    admin, alice = await Wire.dial(url), await Wire.dial(url)
    await admin.shake_hands()
    await admin.log_in("admin", client_secret=(path.with_name(path.name + ".admin")).read_text().strip())
    await admin.ask("admin/create_instrument", instrument_id=INSTRUMENT)
    await admin.hang_up()
    await alice.shake_hands()
    await alice.log_in("alice")
    alice.writer.write(b"".join(map(buy, range(2_000))))
    await alice.frame()
    process.send_signal(signal.SIGTERM)
    answers, code = await answers_until_closed(alice)
    await alice.hang_up()
    return 1 + len(answers), code


@pytest.mark.slow
def test_a_process_stops_at_sigterm(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    process, url = start(path)
    answered, code = asyncio.run(flood(url, process, path))
    _, errors = process.communicate(timeout=STOP_SECONDS)
    assert process.returncode == 0 and code == 1001, errors
    assert placed(path) == answered
    with open_journal_reader(path) as reader:
        assert SnapshotStore(path).seqs()[-1] == reader.head().seq, "no snapshot of the end"


async def signal_twice(url: str, process: subprocess.Popen[str]) -> None:
    """Send a second SIGTERM while the first one waits for a client that does not read its answers."""
    deaf = await Wire.dial(url, receive_buffer=4_096)
    await deaf.shake_hands()
    for _ in range(300):
        deaf.send(request("public/get_api"))
    await deaf.writer.drain()
    await deaf.frame()
    process.send_signal(signal.SIGTERM)
    while accepts(url):
        pass
    process.send_signal(signal.SIGTERM)
    await deaf.hang_up()


def accepts(url: str) -> bool:
    """True if the exchange accepts connections."""
    host, port = url.removeprefix("ws://").rstrip("/").rsplit(":", 1)
    with socket.socket() as stranger:
        return stranger.connect_ex((host, int(port))) == 0


@pytest.mark.slow
def test_a_second_sigterm_ends_the_process_at_once(tmp_path: Path) -> None:
    process, url = start(tmp_path / "exchange.db")
    asyncio.run(signal_twice(url, process))
    process.communicate(timeout=STOP_SECONDS)
    assert process.returncode == -signal.SIGTERM
