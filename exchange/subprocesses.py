"""Subprocesses that run a module of this project alongside the exchange, and end before it does.

The exchange has four: the follower and the demo's bots, which a `Supervisor` keeps running, the process that answers
questions about the past, and the workers of catch-ups. The last two start when a client asks, with `run_module` alone.
"""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from subprocess import DEVNULL

from exchange.child_process import ChildProcess, start_process

RETRY_SECONDS = 1.0  # before the first restart of a process that ended
# How much lower the priority of a subprocess is: its start and its work must not slow down the exchange.
NICENESS = 10
BLOCKED_LOOK_SECONDS = 1.0  # between two checks whether a process may start again

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def run_module(
    module: str, *arguments: str, stdin: int = DEVNULL, stdout: int | None = None, limit: int = 64 * 1024
) -> AsyncIterator[ChildProcess]:
    """Run `module` as a subprocess; at the end terminate it, if it still runs, and wait for it. Raises OSError.

    `limit` is the largest line of its output, in bytes.
    """
    process = await start_process([sys.executable, "-P", "-m", module, *arguments], stdin, stdout, limit, NICENESS)
    try:
        yield process
    finally:
        process.terminate()
        # This reads the rest of its output too: a process that cannot write it does not end.
        await process.drain()


class Supervisor:
    """Keeps one subprocess running: starts it again after it ends, until `stop`.

    The delay before a restart doubles each time, up to `retry_seconds_max`. A process that ran longer than that sets
    it back. `blocked` returns the reason why the process must not start now, or None. The reason is logged once.
    """

    def __init__(
        self,
        name: str,
        module: str,
        *,
        retry_seconds_max: float = RETRY_SECONDS,
        blocked: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._name = name
        self._module = module
        self._retry_seconds_max = retry_seconds_max
        self._blocked = blocked
        self._task: asyncio.Task[None] | None = None
        # None while the process waits for its next start.
        self._process: ChildProcess | None = None

    @property
    def is_running(self) -> bool:
        """True if the process runs now."""
        return self._process is not None and self._process.returncode is None

    def start(self, *arguments: str) -> None:
        """Start the subprocess. Its last argument is the process id of its parent, this process."""
        assert self._task is None, f"the {self._name} was started twice"
        self._task = asyncio.get_running_loop().create_task(self._keep_running(*arguments, str(os.getpid())))

    async def stop(self) -> None:
        """Terminate the subprocess and wait for it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_running(self, *arguments: str) -> None:
        pause_seconds = RETRY_SECONDS
        while True:
            await self._wait_while_blocked()
            began_seconds = time.monotonic()
            outcome = await self._run(arguments)
            if self._reason_to_wait() is not None:
                continue
            if time.monotonic() - began_seconds > self._retry_seconds_max:
                pause_seconds = RETRY_SECONDS
            _log.warning("the %s %s; starting it again in %.0f s", self._name, outcome, pause_seconds)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, self._retry_seconds_max)

    async def _run(self, arguments: tuple[str, ...]) -> str:
        """Run the subprocess until it ends. Returns a verb phrase for the log."""
        try:
            async with run_module(self._module, *arguments, stdout=DEVNULL) as process:
                self._process = process
                return f"ended with code {await process.wait()}"
        except OSError as error:
            return f"could not be started: {error}"
        finally:
            self._process = None

    async def _wait_while_blocked(self) -> None:
        logged: str | None = None
        while (reason := self._reason_to_wait()) is not None:
            if reason != logged:
                _log.error("%s", reason)
                logged = reason
            await asyncio.sleep(BLOCKED_LOOK_SECONDS)

    def _reason_to_wait(self) -> str | None:
        try:
            return self._blocked()
        except OSError as error:
            # A shortage, of open files for example, may pass. An exception here would end the supervision for good.
            return f"the {self._name} waits, because its permission to start cannot be read: {error}"
