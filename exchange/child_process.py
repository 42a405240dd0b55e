"""A subprocess with streams for asyncio, whose start takes about a millisecond.

uvloop starts a subprocess with a fork that copies the page tables of the exchange: with 250 MB of memory, this takes
20 ms, and each page costs time again when the exchange next writes to it. `subprocess` starts it with `vfork`, which
copies nothing.

Its standard input and output are one end of a socket pair, and not pipes: uvloop and the file object of a pipe would
both close its descriptor. The second of them closes another file if the number is in use again: that of the next
subprocess, or the journal itself.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from subprocess import PIPE

# Between two looks whether a process has ended: the first one, and the longest.
_LOOK_SECONDS_MIN, _LOOK_SECONDS_MAX = 0.001, 0.05


class ChildProcess:
    """A running subprocess. `stdin` and `stdout` are None if no stream was wanted."""

    def __init__(
        self, process: subprocess.Popen[bytes], stdout: StreamReader | None = None, stdin: StreamWriter | None = None
    ) -> None:
        self.pid = process.pid
        self.stdout = stdout
        self.stdin = stdin
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
        # A process that ends before it has read all its input resets the connection.
        with contextlib.suppress(ConnectionError):
            if self.stdin is not None:
                self.stdin.write_eof()
            if self.stdout is not None:
                while await self.stdout.read(64 * 1024):
                    pass
        await self.wait()
        if self.stdin is not None:
            self.stdin.close()


async def start_process(
    arguments: Sequence[str], stdin: int, stdout: int | None, limit: int, niceness: int = 0
) -> ChildProcess:
    """Start a subprocess. `stdin` and `stdout` are as in `subprocess.Popen`; `limit` is the largest line of its output.

    Its priority is lower by `niceness`. Raises OSError.
    """
    if PIPE not in (stdin, stdout):
        return ChildProcess(_started(arguments, stdin, stdout, niceness))
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            end = theirs.fileno()
            process = _started(arguments, end if stdin == PIPE else stdin, end if stdout == PIPE else stdout, niceness)
        except BaseException:
            ours.close()
            raise
    try:
        reader, writer = await asyncio.open_connection(sock=ours, limit=limit)
    except BaseException:
        # Nothing else could end it now.
        ours.close()
        process.kill()
        process.wait()
        raise
    return ChildProcess(process, reader, writer)


def _started(arguments: Sequence[str], stdin: int | None, stdout: int | None, niceness: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(arguments, stdin=stdin, stdout=stdout)
    if niceness and hasattr(os, "setpriority"):
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + niceness)
    return process
