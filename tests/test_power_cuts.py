"""Power cuts: from every image of the disk that a cut may leave, the exchange starts, and no answered command is lost.

A shim around the C library records the writes and syncs of a real exchange, and a cut loses what was not synced.
"""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.cli_support import CALL, CLOCK_START, Server
from tests.faults.power_cut import Told, build_shim, losses

COMMANDS = 120
# Requests that a client sends before it reads the answers.
BURST = 6
IMAGES, SOAK_IMAGES = 25, 2_000


class Recording:
    """An exchange that ran twice in `folder`, first until it was killed. `told` are the receipts of its answers."""

    def __init__(self, folder: Path, trace: Path) -> None:
        self.folder = folder
        self.trace = trace
        self.told: list[Told] = []

    @property
    def has_all_files(self) -> bool:
        """True if the follower has written all that it writes."""
        patterns = ("exchange.db.snapshots/*", "exchange.history.db-wal", "exchange.db.follower")
        return all(list(self.folder.glob(pattern)) for pattern in patterns)

    def run(self, end: signal.Signals, waits_for_files: bool) -> None:
        options = ("--demo", "--clock-start", CLOCK_START, "--snapshot-every", 25, "--archive-after", "1s")
        with Server(self.folder / "exchange.db", *options) as server:
            with connect(server.url) as client:
                ask(client, [("public/auth", {"grant_type": "client_credentials", "client_id": "alice"})])
                first = -BURST
                while first < COMMANDS or (waits_for_files and not self.has_all_files):
                    first += BURST
                    requests = [("private/buy", order(first + n)) for n in range(BURST)]
                    for answer in ask(client, requests):
                        # A refused order is a command too, and has a receipt.
                        receipt = (answer.get("result") or answer["error"]["data"])["receipt"]
                        self.told.append(Told(self.trace.stat().st_size, receipt["seq"], receipt["hash"]))
            server.stop(end)


def order(number: int) -> dict[str, Any]:
    return {"instrument_id": CALL, "amount": 100, "price": 1_000_000 + 10_000 * (number % 7), "receipt": True}


def ask(client: ClientConnection, requests: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    for number, (method, params) in enumerate(requests):
        client.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
    return [json.loads(client.recv()) for _ in requests]


Record = Callable[..., Recording]


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    def run(waits_for_files: bool = False, **variables: str) -> Recording:
        shim = build_shim(tmp_path)
        if shim is None:
            pytest.skip("no C compiler (cc or gcc) is installed, and the shim that records writes is written in C")
        (folder := tmp_path / "exchange").mkdir()
        trace = tmp_path / "trace"
        recording = Recording(folder, trace)
        with monkeypatch.context() as patch:
            for name, value in {"SHIM_FOLDER": str(folder), "SHIM_TRACE": str(trace), **variables}.items():
                patch.setenv(name, value)
            patch.setenv("LD_PRELOAD", str(shim))
            recording.run(signal.SIGKILL, waits_for_files)
            recording.run(signal.SIGTERM, waits_for_files)
        return recording

    return run


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (folder := tmp_path / "images").mkdir()
    return folder


def cuts(count: int, seed: int) -> list[float]:
    random = Random(seed)
    return [random.random() for _ in range(count - 1)] + [1.0]


@pytest.mark.long
def test_no_answered_command_is_lost_in_a_power_cut(record: Record, images: Path) -> None:
    recording = record()
    assert len(recording.told) >= 2 * COMMANDS
    assert "\n".join(losses(recording.trace, recording.folder, images, recording.told, cuts(IMAGES, 1), 1)) == ""


@pytest.mark.long
def test_the_images_find_losses_on_a_disk_that_does_not_sync(record: Record, images: Path) -> None:
    recording = record(SHIM_NO_SYNC="1")
    assert any(losses(recording.trace, recording.folder, images, recording.told, cuts(IMAGES, 1), 1))


@pytest.mark.soak
def test_no_answered_command_is_lost_in_many_power_cuts(record: Record, images: Path) -> None:
    seed = SystemRandom().randrange(1_000_000_000)
    recording = record(waits_for_files=True)
    found = list(losses(recording.trace, recording.folder, images, recording.told, cuts(SOAK_IMAGES, seed), seed))
    assert found == []
