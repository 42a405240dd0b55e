"""Processes that do what would hold up the exchange: each runs a module of ours beside it, and ends before it does."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def run_module(module: str, *arguments: str, stdout: int | None = None) -> AsyncIterator[Process]:
    """A process that runs `module`; it is ended, if it has not ended by itself, and waited for. Raises OSError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", module, *arguments, stdin=DEVNULL, stdout=stdout
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        await process.communicate()  # to the end of its output, too, if nobody has read that far


def set_up_subprocess() -> None:
    """For the process itself: Ctrl-C is for the exchange, which then ends it; and the exchange goes first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(format="%(levelname)s %(message)s")
    if hasattr(os, "nice"):
        os.nice(10)
