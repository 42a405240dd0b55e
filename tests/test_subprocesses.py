"""A supervisor starts its subprocess again, waits longer each time, and not at all while it is blocked."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from subprocess import PIPE, Popen
from typing import Any

import pytest

from exchange import child_process, subprocesses
from exchange.inside_subprocess import is_orphaned
from exchange.subprocesses import Supervisor


class Process:
    """A subprocess that ends at once with `code`."""

    def __init__(self, code: int) -> None:
        self._code = code

    async def wait(self) -> int:
        return self._code


class Starts:
    """In place of `run_module`: one entry of `outcomes` a start, an exit code or an error; then the process runs on."""

    def __init__(self, *outcomes: int | OSError) -> None:
        self.arguments: list[tuple[str, ...]] = []
        self.runs_on = asyncio.Event()
        self.is_terminated = False
        self._outcomes = list(outcomes)

    @contextlib.asynccontextmanager
    async def __call__(self, module: str, *arguments: str, stdout: int) -> AsyncIterator[Process]:
        self.arguments.append((module, *arguments))
        if not self._outcomes:
            self.runs_on.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.is_terminated = True
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, OSError):
            raise outcome
        yield Process(outcome)


async def supervise(starts: Starts, supervisor: Supervisor) -> None:
    supervisor.start("an argument")
    async with asyncio.timeout(60):
        await starts.runs_on.wait()
    await supervisor.stop()
    assert starts.is_terminated


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that a supervisor makes, which take no time here."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", pause)
    return pauses


def test_it_starts_again_after_longer_and_longer_pauses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, pauses: list[float]
) -> None:
    async def run() -> None:
        starts = Starts(1, OSError("no memory"), -9, 0)
        monkeypatch.setattr(subprocesses, "run_module", starts)
        await supervise(starts, Supervisor("helper", "a.module", retry_seconds_max=4.0))
        assert starts.arguments == [("a.module", "an argument", str(os.getpid()))] * 5

    asyncio.run(run())
    assert pauses == [1.0, 2.0, 4.0, 4.0]
    assert caplog.messages == [
        "the helper ended with code 1; starting it again in 1 s",
        "the helper could not be started: no memory; starting it again in 2 s",
        "the helper ended with code -9; starting it again in 4 s",
        "the helper ended with code 0; starting it again in 4 s",
    ]


def test_it_does_not_start_while_it_is_blocked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, pauses: list[float]
) -> None:
    # It is asked before the first start, after the process ended, and after each pause.
    reasons = iter([None, "the disk is full", "the disk is full", "the disk is full", "no journal", None])

    async def run() -> None:
        starts = Starts(3)
        monkeypatch.setattr(subprocesses, "run_module", starts)
        await supervise(starts, Supervisor("helper", "a.module", blocked=lambda: next(reasons)))
        assert len(starts.arguments) == 2

    asyncio.run(run())
    assert pauses == [subprocesses.BLOCKED_LOOK_SECONDS] * 3
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "the disk is full"),
        (logging.ERROR, "no journal"),
    ]


def test_a_supervisor_that_did_not_start_can_stop() -> None:
    asyncio.run(Supervisor("helper", "a.module").stop())


def test_a_process_whose_parent_is_another_one_is_orphaned() -> None:
    assert not is_orphaned(os.getppid()) and is_orphaned(os.getpid())


def test_an_error_of_the_check_counts_as_blocked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, pauses: list[float]
) -> None:
    errors = iter([None, OSError("too many open files"), OSError("too many open files"), None, None])

    def blocked() -> None:
        if error := next(errors):
            raise error

    async def run() -> None:
        starts = Starts(3)
        monkeypatch.setattr(subprocesses, "run_module", starts)
        await supervise(starts, Supervisor("helper", "a.module", blocked=blocked))
        assert len(starts.arguments) == 2

    asyncio.run(run())
    assert caplog.messages == ["the helper waits, because its permission to start cannot be read: too many open files"]


PRINT_PRIORITY = ("-n", "1", "-r", "1", "import os; print(os.getpriority(os.PRIO_PROCESS, 0))")


@pytest.mark.skipif(not hasattr(os, "setpriority"), reason="this system has no priorities of processes")
def test_a_subprocess_has_a_lower_priority_from_its_start_on() -> None:
    async def conversation() -> bytes:
        async with subprocesses.run_module("timeit", *PRINT_PRIORITY, stdout=PIPE) as process:
            assert process.stdout is not None
            return await process.stdout.readline()

    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert int(asyncio.run(conversation())) == min(own + subprocesses.NICENESS, 19)


def test_a_subprocess_whose_start_is_cancelled_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Popen[bytes]] = []
    started = child_process._started

    def start(arguments: Sequence[str], stdin: int | None, stdout: int | None, niceness: int) -> Popen[bytes]:
        begun.append(started(arguments, stdin, stdout, niceness))
        return begun[0]

    async def connect(**_streams: Any) -> None:
        await asyncio.Event().wait()

    async def conversation() -> None:
        arguments = [sys.executable, "-c", "input()"]
        starting = asyncio.create_task(child_process.start_process(arguments, PIPE, PIPE, 100))
        while not begun:  # noqa: ASYNC110 - the fake has no event
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])

    monkeypatch.setattr(child_process, "_started", start)
    monkeypatch.setattr(asyncio, "open_connection", connect)
    asyncio.run(conversation())
    assert begun[0].returncode == -signal.SIGKILL


async def descriptors_left_by_a_subprocess() -> int:
    """How many descriptors stay open after a subprocess has answered, and is gone."""
    before = len(os.listdir("/proc/self/fd"))
    program = "import sys; print(sys.stdin.readline())"
    process = await child_process.start_process([sys.executable, "-S", "-c", program], PIPE, PIPE, 100)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"a question\n")
    assert await process.stdout.readline() == b"a question\n"
    await process.drain()
    await asyncio.sleep(0)
    return len(os.listdir("/proc/self/fd")) - before


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="only Linux lists the open descriptors")
@pytest.mark.parametrize("module", ["asyncio", "uvloop"])
def test_a_subprocess_that_is_gone_leaves_no_descriptor_open(module: str) -> None:
    # One that a collection closes later has two owners, and the second closes another file with the same number.
    loops = pytest.importorskip(module)
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
            runner.run(descriptors_left_by_a_subprocess())
            assert runner.run(descriptors_left_by_a_subprocess()) == 0
    finally:
        gc.enable()


def test_a_subprocess_that_reads_no_input_can_be_drained() -> None:
    async def conversation() -> int | None:
        arguments = [sys.executable, "-S", "-c", "pass"]
        process = await child_process.start_process(arguments, PIPE, PIPE, 100)
        assert process.stdin is not None
        process.stdin.write(b"a question\n" * 10_000)
        await process.drain()
        return process.returncode

    assert asyncio.run(conversation()) == 0
