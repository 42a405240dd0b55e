"""A disk of 4 MB: when it is full the exchange refuses commands, goes on reading, and continues once there is space."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from exchange.history.verify import verify
from exchange.journal.opening import open_journal_reader
from tests.cli_support import CALL, CLOCK_START, Server

DISK_BYTES = 4 * 1024 * 1024
# Bytes that the test takes and gives back.
BALLAST_BYTES = 1024 * 1024
JOURNAL_UNAVAILABLE = 1024
COMMANDS_MAX = 50_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    (folder := tmp_path / "disk").mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(folder)]
    if mount is None or os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk (tmpfs)")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def ask(client: ClientConnection, method: str, **params: Any) -> Any:
    client.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    return json.loads(client.recv())


def buy(client: ClientConnection) -> Any:
    return ask(
        client, "private/buy", instrument_id=CALL, amount=100, price=1_000_000, time_in_force="ioc", receipt=True
    )


@pytest.mark.long
def test_a_full_disk_of_4_mb(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    path = small_disk / "exchange.db"
    receipts = []
    with (
        Server(path, "--demo", "--clock-start", CLOCK_START, "--rate-limit", 0) as server,
        connect(server.url) as client,
    ):
        ask(client, "public/auth", grant_type="client_credentials", client_id="alice")
        for _ in range(COMMANDS_MAX):
            if "error" in (answer := buy(client)):
                break
            receipts.append(answer["result"]["receipt"])
        assert answer["error"]["code"] == JOURNAL_UNAVAILABLE, answer
        assert ask(client, "private/get_account")["result"]["user_id"] == "alice"
        ballast.unlink()
        # The journal tries again after a pause, so that the first answers may still be refusals.
        while "error" in (answer := buy(client)):
            assert answer["error"]["code"] == JOURNAL_UNAVAILABLE, answer
        receipts.append(answer["result"]["receipt"])
        assert server.stop(signal.SIGTERM)[0] == 0, server.errors
    assert verify(path, False, lambda done, total: None).damage is None
    with open_journal_reader(path) as reader:
        for receipt in receipts:
            head = reader.head_at(receipt["seq"])
            assert head is not None and head.hash.hex() == receipt["hash"]
