"""The command `exchange` in a process that also measures for how long its event loop does nothing else than one thing.

    STALLS_FILE=PATH python -m benchmarks.watched_server serve --db ...

A task sleeps for a few milliseconds again and again. The time by which it wakes too late is a stall. Each second it
appends two figures in milliseconds to the file: the longest stall, and the longest one without the time for which the
thread waited for a core, as it does on a busy machine.
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from exchange.cli.main import main
from exchange.runtime.node import Node

STEP_SECONDS = 0.005
VARIABLE = "STALLS_FILE"
_run = Node.run


async def watch(file: Path) -> None:
    """Append the longest stall of each second, until the task is cancelled."""
    with file.open("a", encoding="ascii", buffering=1) as output:
        while True:
            end_seconds = time.perf_counter() + 1
            stalls = [await _stall_ms()]
            while time.perf_counter() < end_seconds:
                stalls.append(await _stall_ms())
            output.write("{} {}\n".format(*map(max, zip(*stalls, strict=True))))


async def _stall_ms() -> tuple[float, float]:
    """The time by which one step is too long, and the part of it for which the thread can have used a core."""
    began_seconds, began_cpu_seconds = time.perf_counter(), time.thread_time()
    await asyncio.sleep(STEP_SECONDS)
    stall_seconds = max(0.0, time.perf_counter() - began_seconds - STEP_SECONDS)
    return 1000 * stall_seconds, 1000 * min(stall_seconds, time.thread_time() - began_cpu_seconds)


async def _run_watched(node: Node, listening: Callable[[str], None], stop: asyncio.Event) -> None:
    node.start_task(watch(Path(os.environ[VARIABLE])))
    await _run(node, listening, stop)


if __name__ == "__main__":
    with patch.object(Node, "run", _run_watched):
        main()
