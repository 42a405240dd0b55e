"""Real processes on a disk that is read only, with a clock that is set back, and at the end of their terminal."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head
from tests.cli_support import CALL, CLOCK_START, Server, complained, exchange, said
from tests.faults.power_cut import build_shim

CLOCK_JUMPED = 1032


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which a test can make read only."""
    (folder := tmp_path / "disk").mkdir()
    mount = [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", "size=32m", "none", str(folder)]
    if os.name != "posix" or os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def make_read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)


def ask(client: ClientConnection, method: str, **params: Any) -> Any:
    client.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    return json.loads(client.recv())


def buy(client: ClientConnection) -> Any:
    return ask(client, "private/buy", instrument_id=CALL, amount=100, price=1_000_000)


def log_in(client: ClientConnection) -> None:
    ask(client, "public/auth", grant_type="client_credentials", client_id="alice")


@pytest.mark.slow
def test_a_disk_that_is_read_only(disk: Path) -> None:
    path = disk / "exchange.db"
    with Server(path, "--demo", "--clock-start", CLOCK_START) as server:
        with connect(server.url) as client:
            log_in(client)
            assert "result" in buy(client)
        assert server.stop(signal.SIGTERM)[0] == 0, server.errors
    before = {file.name: file.read_bytes() for file in disk.iterdir() if file.is_file()}
    make_read_only(disk)
    for db in (path, disk / "new.db"):
        text = complained(exchange("serve", "--db", db, "--port", 0))
        assert f"{db}.lock cannot be written (Read-only file system)" in text and "choose another folder" in text
    assert CALL in said(exchange("order", "list", "--user", "alice", "--db", path))
    assert said(exchange("journal", "info", "--db", path))
    assert said(exchange("journal", "verify", "--db", path)).endswith("sound\n")
    assert {file.name: file.read_bytes() for file in disk.iterdir() if file.is_file()} == before


@pytest.mark.slow
@pytest.mark.parametrize("shift_seconds", [-3_600, 7_200])
def test_a_clock_that_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift_seconds: int) -> None:
    """New commands wait for the administrator, no day ends, and times in the journal rise."""
    if (shim := build_shim(tmp_path, "clock_shim")) is None:
        pytest.skip("no C compiler (cc or gcc) is installed, and the shim that sets the clock is written in C")
    (clock := tmp_path / "clock").write_text("0")
    path = tmp_path / "exchange.db"
    with ExitStack() as stack:
        with monkeypatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(shim))
            patch.setenv("SHIM_CLOCK", str(clock))
            server = stack.enter_context(Server(path, "--demo", "--clock-start", CLOCK_START))
        client = stack.enter_context(connect(server.url))
        log_in(client)
        assert "result" in buy(client)
        clock.write_text(str(shift_seconds))
        # The exchange looks at the clock after it accepted a command. The first one gets the time that it expected.
        answers = [buy(client), buy(client)]
        assert answers[1]["error"]["code"] == CLOCK_JUMPED, answers
        # Questions are answered.
        assert ask(client, "private/get_account")["result"]["user_id"] == "alice"
        said(exchange("admin", "confirm-time", "--db", path))
        assert "result" in buy(client)
        assert server.stop(signal.SIGTERM)[0] == 0, server.errors
    with open_journal_reader(path) as reader:
        records = list(reader.records(Head()))
    times_us = [record.ts_us for record in records]
    assert times_us == sorted(set(times_us))
    assert not any("end_day" in record.payload for record in records)


@pytest.mark.slow
@pytest.mark.parametrize("is_ignored", [False, True])
def test_the_end_of_its_terminal_stops_the_exchange_cleanly(tmp_path: Path, is_ignored: bool) -> None:
    """SIGHUP is a request to stop. A process that was started with `nohup` ignores it."""
    with ExitStack() as stack:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN if is_ignored else signal.SIG_DFL)
        try:
            db = tmp_path / "exchange.db"
            server = stack.enter_context(Server(db, "--demo", "--clock-start", CLOCK_START))
        finally:
            signal.signal(signal.SIGHUP, before)
        client = stack.enter_context(connect(server.url))
        if is_ignored:
            os.kill(server.process.pid, signal.SIGHUP)
            log_in(client)
            assert "result" in buy(client)
        end = signal.SIGTERM if is_ignored else signal.SIGHUP
        assert server.stop(end)[0] == 0, server.errors
