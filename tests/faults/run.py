"""One run: the exchange lives, crashes and starts again until the clients have done everything, audited each time."""

import asyncio
import gc
import logging
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import msgspec

from exchange.domain.rules import Rules
from exchange.engine.engine import Engine
from exchange.gateway.limits import NO_RATES
from exchange.journal.errors import JournalBrokenError, JournalError, JournalFullError, JournalLockedError
from exchange.runtime.node import Node, serve
from exchange.runtime.server_settings import ServerSettings, admin_secret_file
from tests.faults.auditor import Auditor, FoundError
from tests.faults.clients import Client, users_of
from tests.faults.disk import FileFault, SimulatedDisk
from tests.faults.history import SimulatedHistory
from tests.faults.journal import JOURNALS, CommitFault, SimulatedPart, SimulatedWriter
from tests.faults.loop import SimulatedLoop
from tests.faults.machine import Crash, CrashPlan, Machine
from tests.faults.network import PORT, Network
from tests.faults.plan import Fault, Plan
from tests.faults.processes import starter

# A life that reaches none of its faults ends when the clients are done, or after this time.
_LIFE_US = 60_000_000
_LIVES_MAX = 40
# The exchange stops within this time after a signal.
_STOP_US = 20_000_000


class Outcome(NamedTuple):
    """`problem` is None if the exchange kept all promises."""

    problem: str | None
    trace: str
    lives: int
    seq: int
    answers: int
    notifications: int
    crashes: Counter[str]
    log: list[str]


class _Log(logging.Handler):
    """Collects the errors that the exchange logs."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(logging.ERROR)
        self._machine = machine
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        self._machine.note("log", record.getMessage().encode())
        if self._machine.is_up:
            self.errors.append(text)


class Run:
    """One run of a plan, with its files in `root`."""

    def __init__(self, plan: Plan, root: Path, log: bool = False) -> None:
        self.plan = plan
        self.machine = Machine(plan.seed)
        self.machine.log = [] if log else None
        self.network = Network(self.machine)
        self.disk = SimulatedDisk(self.machine, root)
        self.history = SimulatedHistory(self.machine)
        self.auditor = Auditor()
        self.clients = [
            Client(self.machine, self.network, self.auditor, user_id, actions, self._secret)
            for user_id, actions in users_of(plan.actions).items()
        ]
        self._log = _Log(self.machine)

    def go(self) -> Outcome:
        """Run the plan."""
        machine, problem = self.machine, None
        with machine.installed(), self.disk.installed(), self._patched():
            for client in self.clients:
                client.connect()
            try:
                while not all(client.is_done for client in self.clients) and machine.life < _LIVES_MAX:
                    self._live()
            # Whatever the exchange raises is a finding, reported with the seed.
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
        seq = self.auditor.seq
        told = self.auditor.answers, self.auditor.notifications
        return Outcome(problem, machine.trace, machine.life, seq, *told, machine.crashes, machine.log or [])

    @contextmanager
    def _patched(self) -> Iterator[None]:
        """Put the models in place of SQLite, and steps at which it can crash into the road of a command."""
        machine, network, step, publish = self.machine, self.network, Engine.step, Node.publish

        def step_engine(engine: Engine, *arguments: Any) -> Any:
            kind = "apply" if network.is_serving else "start"
            machine.step(kind)
            outcome = step(engine, *arguments)
            machine.step(kind)
            return outcome

        def publish_change(node: Node, *arguments: Any) -> None:
            machine.step("publish")
            publish(node, *arguments)
            machine.step("publish")

        logger = logging.getLogger("exchange")
        with ExitStack() as stack:
            stack.enter_context(patch.object(logger, "handlers", [self._log]))
            stack.enter_context(patch.object(logger, "propagate", False))
            for name, value in (
                ("exchange.journal.sqlite_reader.SqlitePart", SimulatedPart),
                ("exchange.journal.sqlite_writer.SqliteJournalWriter", SimulatedWriter),
                ("exchange.engine.engine.Engine.step", step_engine),
                ("exchange.runtime.node.Node.publish", publish_change),
                ("exchange.runtime.follower.open_fitting_writer", self.history.open),
                ("exchange.runtime.node._make_garbage_collections_short", lambda: None),
                ("exchange.subprocesses.start_process", starter(machine)),
            ):
                stack.enter_context(patch(name, value))
            yield

    def _secret(self) -> str | None:
        file = admin_secret_file(self.disk.path)
        return file.read_text().strip() if file.exists() else None

    def _live(self) -> None:
        """One life of the exchange, and the audit of what it leaves."""
        machine, life = self.machine, self.machine.life + 1
        faults = [fault for fault in self.plan.faults if fault.life == life]
        crash = next((f for f in faults if f.kind in ("kill", "power cut")), None)
        machine.begin_life(crash and CrashPlan(crash.what, crash.nth, crash.kind == "power cut"))
        self.disk.begin_life()
        self.disk.faults = [FileFault(f.what, f.nth, f.errno) for f in faults if f.kind == "file"]
        self.disk.journal.faults = [CommitFault(f.what, f.nth) for f in faults if f.kind == "journal"]
        connected = self.network.connected
        self.network.cuts = {connected + f.nth: 5 + f.nth for f in faults if f.kind == "cut"}
        JOURNALS.clear()
        JOURNALS[self.disk.path] = self.disk.journal
        machine.on_crash = self._lose
        loop = SimulatedLoop(machine, self.network.listen)
        machine.note("life", str(life).encode())
        machine.is_up = True
        try:
            with suppress(Crash):
                self._serve(loop, faults)
        finally:
            failures = loop.failures + ([] if any(f.kind == "file" for f in faults) else self._log.errors)
            self._log.errors.clear()
            if machine.is_up:
                # It ended by itself: as after a kill, everything that was written survives.
                self._lose(is_power_cut=False)
                machine.is_up = False
            self.network.end_life()
            loop.kill()
            self.disk.remove()
        machine.pass_time(machine.now_us + 3_000)
        self._audit(failures)

    def _lose(self, is_power_cut: bool) -> None:
        """Decide at the moment of a crash what survives."""
        self.disk.end_life(is_power_cut)
        self.history.end_life(is_power_cut)

    def _audit(self, failures: list[str]) -> None:
        """Start from what survived, in a folder of its own, and audit it."""
        if failures:
            raise FoundError(f"the exchange failed: {failures[0]}")
        if self.disk.journal.writers_max > 1:
            raise FoundError("two exchanges wrote to the journal at the same time")
        self.disk.begin_audit()
        JOURNALS[self.disk.path] = self.disk.journal
        if self.disk.journal.exists:
            self.auditor.audit(self.disk.path, self.history.rows, self.disk.snapshot_seq)
        self.disk.remove()

    def _serve(self, loop: SimulatedLoop, faults: list[Fault]) -> None:
        """Run the exchange on `loop` until it ends. Raises Crash if it crashes."""
        machine = self.machine
        stop = asyncio.Event()
        settings = ServerSettings(
            self.disk.path,
            port=PORT,
            rules=Rules(),
            snapshot_every=20,
            limits=NO_RATES,
            archive_after_us=self.plan.archive_after_us,
        )
        elsewhere = msgspec.structs.replace(settings, port=PORT + 1)

        async def second() -> None:
            with suppress(JournalLockedError):
                await serve(elsewhere, _ignore, _ignore, _ignore, asyncio.Event())

        for fault in faults:
            if fault.kind == "stop":
                self._in_this_life(fault.nth * 1_000, partial(self._signal, loop, stop))
            elif fault.kind == "second start":
                self._in_this_life(fault.nth * 1_000, partial(self._start_second, loop, second))
            elif fault.kind == "clock":
                self._in_this_life(500_000, partial(self._set_clock, fault.nth * 1_000))
        self._stop_when_done(loop, stop, machine.now_us + _LIFE_US)
        try:
            loop.run_until_complete(serve(settings, _ignore, _ignore, _ignore, stop))
        except (JournalError, OSError) as error:
            machine.note("ended", str(error).encode())
            expected = "journal" if isinstance(error, JournalBrokenError | JournalFullError) else "file"
            if not any(fault.kind == expected for fault in faults):
                raise FoundError(f"the exchange ended although nothing failed: {error!r}") from error

    def _in_this_life(self, delay_us: int, call: Callable[[], None]) -> None:
        """Let something happen, unless the exchange has crashed or ended by then."""
        machine, life = self.machine, self.machine.life
        machine.call_later(delay_us, lambda: call() if machine.is_up and machine.life == life else None)

    def _signal(self, loop: SimulatedLoop, stop: asyncio.Event) -> None:
        self.machine.note("signal", b"SIGTERM")
        loop.call_soon(stop.set)
        self._in_this_life(_STOP_US, _fail_to_stop)

    def _start_second(self, loop: SimulatedLoop, start: Callable[[], Any]) -> None:
        self.machine.note("start", b"second")
        loop.call_soon(lambda: loop.create_task(start()))

    def _set_clock(self, shift_us: int) -> None:
        self.machine.note("clock", str(shift_us).encode())
        self.machine.wall_shift_us += shift_us

    def _stop_when_done(self, loop: SimulatedLoop, stop: asyncio.Event, until_us: int) -> None:
        """Stop the exchange when the clients are done; look every 50 ms."""
        if all(client.is_done for client in self.clients) or self.machine.now_us > until_us:
            self._signal(loop, stop)
        else:
            self._in_this_life(50_000, partial(self._stop_when_done, loop, stop, until_us))


def run_plan(plan: Plan, log: bool = False) -> Outcome:
    """Run a plan in a temporary folder, in memory if the system has one there."""
    base = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    root = Path(tempfile.mkdtemp(prefix="exchange-faults-", dir=base))
    try:
        with _crashes_leave_garbage():
            return Run(plan, root, log).go()
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _crashes_leave_garbage() -> Iterator[None]:
    """Collect the garbage of the run at its end only, and ignore what coroutines that a crash ended say about it."""
    gc.freeze()
    gc.disable()
    with warnings.catch_warnings(), patch("sys.unraisablehook", _ignore):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            JOURNALS.clear()
            gc.enable()
            gc.collect()
            gc.unfreeze()


def _fail_to_stop() -> None:
    raise FoundError("the exchange does not stop")


def _ignore(*_: Any) -> None:
    pass
