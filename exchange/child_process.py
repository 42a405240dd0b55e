"""A subprocess with pipes for asyncio, whose start takes about a millisecond.

uvloop starts a subprocess with a fork that copies the page tables of the exchange: with 250 MB of memory, this takes
20 ms, and each page costs time again when the exchange next writes to it. `subprocess` starts it with `vfork`, which
copies nothing.
"""

import asyncio
import contextlib
import os
import subprocess
from asyncio import StreamReader, StreamReaderProtocol, StreamWriter
from asyncio.streams import FlowControlMixin
from collections.abc import Sequence

# Between two looks whether a process has ended: the first one, and the longest.
_LOOK_SECONDS_MIN, _LOOK_SECONDS_MAX = 0.001, 0.05


class ChildProcess:
    """A running subprocess. `stdin` and `stdout` are None where no pipe was wanted."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self.stdin: StreamWriter | None = None
        self.stdout: StreamReader | None = None
        self._process = process

    @property
    def returncode(self) -> int | None:
        """The exit code; a negative one is the signal that ended the process; None while it runs."""
        return self._process.poll()

    async def wait(self) -> int:
        """Wait until the process has ended. Returns its exit code."""
        # A thread that waits would cost more: on a busy machine its start takes up to 100 ms of the event loop.
        delay_seconds = _LOOK_SECONDS_MIN
        while (code := self.returncode) is None:
            await asyncio.sleep(delay_seconds)
            delay_seconds = min(2 * delay_seconds, _LOOK_SECONDS_MAX)
        return code

    def terminate(self) -> None:
        """Send SIGTERM, unless the process has ended."""
        self._process.terminate()

    async def drain(self) -> None:
        """Close its input, read the rest of its output, and wait until it has ended."""
        if self.stdin is not None:
            self.stdin.close()
        if self.stdout is not None:
            while await self.stdout.read(64 * 1024):
                pass
        await self.wait()


async def start_process(
    arguments: Sequence[str], stdin: int, stdout: int | None, limit: int, niceness: int = 0
) -> ChildProcess:
    """Start a subprocess. `stdin` and `stdout` are as in `subprocess.Popen`; `limit` is the largest line of its output.

    Its priority is lower by `niceness`. Raises OSError.
    """
    process = subprocess.Popen(arguments, stdin=stdin, stdout=stdout)  # noqa: ASYNC220 - it takes a millisecond
    if niceness and hasattr(os, "setpriority"):
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + niceness)
    try:
        return await _connected(process, limit)
    except BaseException:
        # Cancelled before anybody could end it.
        process.kill()
        process.wait()
        raise


async def _connected(process: subprocess.Popen[bytes], limit: int) -> ChildProcess:
    """The process with its pipes in the event loop."""
    loop = asyncio.get_running_loop()
    child = ChildProcess(process)
    if process.stdin is not None:
        transport, protocol = await loop.connect_write_pipe(FlowControlMixin, process.stdin)
        child.stdin = StreamWriter(transport, protocol, None, loop)
    if process.stdout is not None:
        child.stdout = StreamReader(limit, loop)
        reader = child.stdout
        await loop.connect_read_pipe(lambda: StreamReaderProtocol(reader), process.stdout)
    return child
