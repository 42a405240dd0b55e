"""The subprocesses of the exchange, as tasks of its event loop: the follower, catch-up workers, the writer of archives.

Each is a generator of the exchange's own code. It yields bytes for its standard output, or the seconds that it sleeps.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, cast

from exchange.catch_up.request import CatchUpRequest
from exchange.catch_up.worker import messages_of
from exchange.history_db.update import history_lock
from exchange.journal.errors import JournalError
from exchange.journal.opening import open_journal_reader
from exchange.runtime import archiver
from exchange.runtime.follower import DIVERGED, DivergedError, follow
from tests.faults.machine import Machine

Body = Generator[bytes | float, None, None]

# Bytes in the pipe to the exchange. A process that writes more waits.
_PIPE_SIZE = 4_096


class Process:
    """A process as `exchange.child_process.ChildProcess`, and the transport of its output."""

    stdin = None

    def __init__(self, machine: Machine, body: Body) -> None:
        self.pid = os.getpid()
        self.returncode: int | None = None
        self.stdout = asyncio.StreamReader()
        self.stdout.set_transport(cast(Any, self))
        self._machine = machine
        self._body = body
        self._ended = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        code = 0
        try:
            # A process needs some time to start.
            await asyncio.sleep(0.02)
            for made in self._body:
                if isinstance(made, bytes):
                    for start in range(0, len(made), _PIPE_SIZE):
                        await self._may_write.wait()
                        self.stdout.feed_data(made[start : start + _PIPE_SIZE])
                else:
                    await asyncio.sleep(max(made, 0.0001))
        except (JournalError, OSError):
            code = 1
        except DivergedError:
            code = DIVERGED
        except asyncio.CancelledError:
            code = -15
        # A file that the process writes at its end may fail too.
        with contextlib.suppress(OSError):
            self._body.close()
        self.returncode = code
        self.stdout.feed_eof()
        self._ended.set()

    def terminate(self) -> None:
        if self._machine.is_up:
            self._task.cancel()

    async def wait(self) -> int | None:
        await self._ended.wait()
        return self.returncode

    async def drain(self) -> None:
        while await self.stdout.read(_PIPE_SIZE):
            pass
        await self.wait()

    def pause_reading(self) -> None:
        self._may_write.clear()

    def resume_reading(self) -> None:
        self._may_write.set()


def starter(machine: Machine) -> Callable[..., Awaitable[Process]]:
    """In place of `start_process`: starts a module of the exchange as a task. Raises OSError if it is another one."""
    bodies: dict[str, Callable[[list[str]], Body]] = {
        "exchange.catch_up.worker": _replay,
        "exchange.runtime.archiver": _seal,
        "exchange.runtime.follower": _follow,
    }

    async def start(command: list[str], *_: Any) -> Process:
        module, *arguments = command[command.index("-m") + 1 :]
        if module not in bodies:
            raise OSError(f"no process {module} in this simulation")
        machine.note("process", module.encode())
        return Process(machine, bodies[module](arguments))

    return start


def _replay(arguments: list[str]) -> Body:
    path, from_seq, up_to, user_id, *channels = arguments
    request = CatchUpRequest(int(from_seq), int(up_to), user_id, tuple(channels))
    for seq, channel_name, text in messages_of(Path(path), request):
        yield b"%d %b %b\n" % (seq, channel_name.encode(), text)


def _seal(arguments: list[str]) -> Body:
    yield f"{archiver.seal(Path(arguments[0]), int(arguments[1])).path}\n".encode()


def _follow(arguments: list[str]) -> Body:
    path = Path(arguments[0])
    with history_lock(path), open_journal_reader(path) as reader:
        yield from follow(path, int(arguments[1]), reader, lambda: False, int(arguments[2]))
