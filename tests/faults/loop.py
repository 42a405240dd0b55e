"""An event loop on simulated time, without threads, sockets or processes of the operating system.

It stands in for the operating system: servers listen on the simulated network, functions for other threads run as a
step of the loop, and subprocesses are tasks.
"""

import asyncio
import math
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

from tests.faults.machine import TURN_US, Crash, Machine

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


# A coroutine does not wait in more `finally` blocks, one in the other.
CLOSES_MAX = 10


class DeadlockError(AssertionError):
    """The exchange waits for something that can never happen."""


class _Selector:
    """Instead of waiting for sockets, lets time pass until the next timer of the loop or event of the world."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def select(self, timeout: float | None) -> list[Any]:
        machine = self._machine
        if not machine.is_up:
            # A `finally` or a callback of the exchange kept the crash from ending the loop.
            raise Crash("the machine is down")
        until_us = machine.now_us + TURN_US
        if timeout is None or timeout > 0:
            ends_us = [machine.next_us] if machine.next_us is not None else []
            if timeout is not None:
                ends_us.append(machine.now_us + math.ceil(timeout * 1e6))
            if not ends_us:
                raise DeadlockError("nothing is left to happen, but the exchange has not ended")
            until_us = max(until_us, min(ends_us))
        machine.pass_time(until_us)
        return []

    def close(self) -> None:
        pass


class SimulatedLoop(BaseEventLoop):
    """The loop of one life of the exchange. `listen` puts a server onto the network."""

    def __init__(self, machine: Machine, listen: Callable[..., Any]) -> None:
        self._machine = machine
        self._listen = listen
        super().__init__()
        self._selector = _Selector(machine)
        self._clock_resolution = 1e-6
        self._all_tasks: list[asyncio.Task[Any]] = []
        # What the exception handler was told, except during a crash.
        self.failures: list[str] = []
        self.set_task_factory(self._new_task)
        self.set_exception_handler(self._note_failure)

    def time(self) -> float:
        return self._machine.now_us / 1e6

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Arguments]], _Result], *args: *_Arguments
    ) -> asyncio.Future[_Result]:
        """Run a function for another thread as a step of this loop."""
        return self.create_task(self._call(func, args))

    async def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        await asyncio.sleep(0.0001)
        return function(*arguments)

    async def create_server(
        self, protocol_factory: Any, host: Any = None, port: Any = None, *_: Any, **options: Any
    ) -> Any:
        return self._listen(self, protocol_factory, host, port, options.get("start_serving", True))

    def kill(self) -> None:
        """End all tasks at once, as a crash does: no `finally` of theirs gets to wait for anything."""
        # What a `finally` starts belongs to this loop, and never runs.
        asyncio._set_running_loop(self)
        while self._all_tasks:
            task = self._all_tasks.pop()
            object.__setattr__(task, "_log_destroy_pending", False)
            coroutine = task.get_coro()
            for _ in range(CLOSES_MAX if isinstance(coroutine, Coroutine) and not task.done() else 0):
                # RuntimeError: it waits in a `finally`, and is closed again. The machine is down, so that nothing there
                # has an effect, and other errors mean nothing.
                try:
                    coroutine.close()
                except RuntimeError:
                    continue
                except (Exception, Crash):
                    pass
                break
        asyncio._set_running_loop(None)
        self.failures.clear()
        self.close()

    def _new_task(self, _loop: Any, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=self, **options)
        self._all_tasks.append(task)
        if len(self._all_tasks) > 1_000:
            self._all_tasks = [one for one in self._all_tasks if not one.done()]
        return task

    def _note_failure(self, _loop: Any, context: dict[str, Any]) -> None:
        if self._machine.is_up:
            self.failures.append(f"{context['message']}: {context.get('exception')!r}")

    def _process_events(self, _events: Any) -> None:
        pass

    def _write_to_self(self) -> None:
        pass
