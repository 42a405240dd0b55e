"""A running exchange: locks the journal, recovers, opens the gateway, and stops in good order."""

import asyncio
import contextlib
import gc
import glob
import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from exchange import __version__
from exchange.catch_up.streams import RecentUpdates
from exchange.domain.commands import Command, EndSession, Genesis, PlaceOrder, StartSession, encode_command
from exchange.domain.events import Event
from exchange.domain.rules import RULES_VERSION
from exchange.domain.units import US_PER_SECOND, next_day_end_us
from exchange.engine.alarm import standing_alarm
from exchange.engine.chain import check_unreplayed
from exchange.engine.engine import STATE_SUBJECT, Engine
from exchange.engine.recovery import Progress, Report, no_garbage_collection, recover
from exchange.free_space import SpaceGuard, why_no_space
from exchange.gateway.chaos import Chaos
from exchange.gateway.limits import CROWDED_QUEUE, GatewayLimits
from exchange.gateway.meter import RequestMeter
from exchange.gateway.session import Session
from exchange.journal.errors import DAMAGED_STEP, JournalDamagedError, JournalFullError
from exchange.journal.file_watch import FileWatch
from exchange.journal.lock import JournalLock
from exchange.journal.opening import open_journal_reader, open_journal_writer
from exchange.journal.protocols import JournalWriter
from exchange.journal.records import chain
from exchange.journal.schema import ensure_journal
from exchange.journal.write_ahead_log import is_log_of_crash
from exchange.keys.credentials import Credentials
from exchange.keys.key_file import KeyFileError, read_keys
from exchange.keys.tls import ServerTls
from exchange.projections.fold import Change
from exchange.projections.views import Views
from exchange.runtime.accepted_loss import accept_loss
from exchange.runtime.archiver import Archiver
from exchange.runtime.clock import Clock, jump_text, thread_cpu_us
from exchange.runtime.demo import start_prices
from exchange.runtime.demo_process import DemoProcess
from exchange.runtime.engine_port import ServedExchange
from exchange.runtime.figures import FileFigures, Value, loop_figures
from exchange.runtime.follower import FollowerProcess, save_and_prune
from exchange.runtime.journal_meter import JournalMeter, MeasuredJournal
from exchange.runtime.log_readers import LOOK_SECONDS, LogWatch
from exchange.runtime.lost_commands import refuse_lost_commands
from exchange.runtime.pipeline import Pipeline
from exchange.runtime.server_settings import ServerSettings, admin_secret
from exchange.runtime.storage import storage_of
from exchange.snapshots.store import Snapshot, delete_dead_drafts

if TYPE_CHECKING:
    from exchange.runtime.metrics import Metrics

_log = logging.getLogger(__name__)

# A dry run that takes longer (in a very deep book) is followed by a rest in which dry runs are refused.
DRY_RUN_US = 10_000
# The rest, as a multiple of the time that the dry run took, counted from its start.
DRY_RUN_RESTS = 4
# The longest wait before the clock is compared with the end of the day again. The system clock may have been set.
CLOCK_LOOK_SECONDS = 60.0
# Between two looks at the files of the journal. Each write looks, too.
FILES_LOOK_SECONDS = 1.0


async def serve(
    settings: ServerSettings,
    report: Report,
    progress: Progress,
    listening: Callable[[str, Views], None],
    stop: asyncio.Event,
) -> int:
    """Run the exchange until `stop` is set. Returns the last seq. `listening` gets the URL when clients can connect.

    Raises OSError if the address is taken, before it accepts anything. Raises a JournalError at the start too, or, if
    the journal fails later, after everything has stopped.
    """
    ensure_journal(settings.path)
    await _refuse_taken_address(settings)
    # Wrong files end the start before a long recovery.
    read_keys(settings.path)
    if settings.tls is not None:
        ServerTls(settings.tls, settings.path)
    with JournalLock(settings.path) as lock:
        delete_dead_drafts(settings.path.parent, f"{glob.escape(settings.path.name)}.*.draft-*")
        if settings.accept_loss:
            accept_loss(settings.path, lock)
        # After a crash, opening the journal checks the whole chain.
        is_checked = is_log_of_crash(settings.path)
        journal = await open_journal(settings, lock=lock)
        try:
            recent = RecentUpdates(0)
            with naming(settings.path):
                engine, origin_seq = recover(settings.path, report, progress, watch=recent.add_replayed)
                checked_seq = _check_unreplayed(settings.path, origin_seq, is_checked, report)
            await _record_first_digests(settings.path, engine, journal)
            if warning := storage_of(settings.path).warning:
                _log.warning("%s", warning)
            if (version := engine.state.rules_version) < RULES_VERSION:
                _log.warning("%s", old_rules_warning(version))
            node = Node(settings, engine, journal, recent, lock=lock, checked_seq=checked_seq)

            def announce(url: str) -> None:
                lock.announce(url)
                listening(url, engine.views)

            await node.run(announce, stop)
            snapshot = engine.snapshot()
            await journal.append_digests([*engine.events_digest.rows(), (snapshot.seq, STATE_SUBJECT, snapshot.digest)])
            _save(settings.path, snapshot, report)
            return engine.head.seq
        finally:
            await journal.close()


def old_rules_warning(version: int) -> str:
    """The warning at each start of a journal whose rules have an older version."""
    return (
        f"the rules of this journal have version {version}, in which any user can move mark prices: "
        f"`exchange admin rules --version {RULES_VERSION}` lists the accounts that version {RULES_VERSION} would "
        "liquidate, and changes to it"
    )


def _check_unreplayed(path: Path, origin_seq: int, is_checked: bool, report: Report) -> int:
    """Check the chain of the commands that were not replayed, in limited time. Returns the last one that is checked."""
    if not origin_seq or is_checked:
        return origin_seq
    with no_garbage_collection():
        check = check_unreplayed(path, origin_seq)
    rest = "" if check.is_done else f"; the follower checks those up to seq {origin_seq}"
    report(f"{path}: the chain of the commands up to seq {check.checked_seq} is whole{rest}")
    return check.checked_seq


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the name of the journal, and what can be done, to the message of a damaged command."""
    try:
        yield
    except JournalDamagedError as error:
        if str(path) in str(error):
            raise
        raise JournalDamagedError(f"{path}: {error}. {DAMAGED_STEP}") from error


async def _refuse_taken_address(settings: ServerSettings) -> None:
    """Raise OSError if the address is taken, before a journal is created or a long one is recovered."""
    if settings.port:
        loop = asyncio.get_running_loop()
        (await loop.create_server(asyncio.Protocol, settings.host, settings.port, start_serving=False)).close()


def _save(path: Path, snapshot: Snapshot, report: Report) -> None:
    """Save a snapshot for a faster start, unless an alarm says that the state may be wrong."""
    if standing_alarm(path):
        report("no snapshot was made: the alarm stands")
        return
    try:
        if SpaceGuard(path, "snapshots", report).allows():
            save_and_prune(path, snapshot)
    except OSError as error:
        report(f"no snapshot was made: {error}")


async def _record_first_digests(path: Path, engine: Engine, journal: JournalWriter) -> None:
    """Record the digests of the state and the events at the start, and those that a crash left unrecorded.

    Raises JournalDamagedError if the journal has another digest of the state after the same command: then no account
    can be trusted.
    """
    with open_journal_reader(path) as reader:
        recorded = {seq: digest for seq, subject, digest in reader.digests() if subject == STATE_SUBJECT}
    computed = engine.digest()
    if (before := recorded.get(engine.head.seq, computed)) != computed:
        raise JournalDamagedError(
            f"seq {engine.head.seq}: the journal records the state digest {before}, but this program computes "
            f"{computed}. `exchange journal verify` finds the first difference; the version that recorded the journal "
            "can continue with it"
        )
    events_digest = engine.events_digest
    await journal.append_digests(
        [*events_digest.take_complete(), *events_digest.rows(), (engine.head.seq, STATE_SUBJECT, computed)]
    )


async def open_journal(
    settings: ServerSettings, now_us: int | None = None, lock: JournalLock | None = None
) -> JournalWriter:
    """Open the journal, and begin a new one with its genesis at `now_us`. The caller must hold the lock.

    Raises CommandsLostError if a file next to the journal knows later commands, before anything is written.
    """
    refuse_lost_commands(settings.path)
    journal = await open_journal_writer(settings.path, lock)
    try:
        admin_secret(settings.path)
        if not journal.head.seq:
            genesis = encode_command(Genesis(settings.rules, RULES_VERSION)).decode()
            begin_us = Clock(settings.clock_start_us).now_us() if now_us is None else now_us
            await journal.append(chain(journal.head, [(begin_us, genesis)]))
    except BaseException:
        # The journal's thread would keep the process alive.
        await journal.close()
        raise
    return journal


class Node(ServedExchange):
    """One running exchange on one journal."""

    def __init__(
        self,
        settings: ServerSettings,
        engine: Engine,
        journal: JournalWriter,
        recent: RecentUpdates | None = None,
        clock: Clock | None = None,
        lock: JournalLock | None = None,
        checked_seq: int = 0,
    ) -> None:
        # The gateway asks for the limits at once.
        self._settings = settings
        super().__init__(settings.path, engine)
        self._lock = lock
        self._checked_seq = checked_seq
        if recent is not None:
            self.gateway.recent.take_over(recent)
        self.gateway.allowed_peers = settings.allowed_peers
        if settings.chaos is not None:
            self.gateway.chaos = Chaos(settings.chaos)
        self._clock = clock or Clock(settings.clock_start_us, engine.head.ts_us)
        self._journal = journal
        self.journal_meter = JournalMeter()
        self.log_watch = LogWatch(settings.path, _log.warning)
        self._files = FileFigures(settings.path)
        self._metrics = None if settings.metrics_port is None else self._serve_metrics(settings.metrics_port)
        measured = MeasuredJournal(journal, self.journal_meter)
        self._pipeline = Pipeline(engine, measured, self._clock, self)
        self._follower = FollowerProcess(settings.path, settings.snapshot_every)
        self._demo = DemoProcess(settings.path)
        self._archiver = Archiver(
            settings.path, journal, self.now_us, settings.archive_after_us, settings.delete_archives_after_us
        )
        self._credentials = Credentials(settings.path, admin_secret(settings.path), settings.needs_keys)
        # Why clients are not accepted; None while they are.
        self._closed_because: str | None = "the exchange is starting"
        self._is_stopping = False
        # Dry runs are refused before this exchange time.
        self._dry_run_from_us = 0

    async def run(self, listening: Callable[[str], None], stop: asyncio.Event) -> None:
        """Accept clients until `stop` is set; then finish the accepted commands and record the end of the run."""
        with self._metrics or contextlib.nullcontext():
            if self._metrics:
                _log.info("metrics at %s", self._metrics.url)
            await self._run(listening, stop)

    async def _run(self, listening: Callable[[str], None], stop: asyncio.Event) -> None:
        _make_garbage_collections_short()
        pipeline = asyncio.create_task(self._pipeline.run())
        clock = asyncio.create_task(self._watch_clock())
        files = asyncio.create_task(self._watch_files())
        stopping = asyncio.create_task(self._open_and_wait(listening, stop))
        try:
            await asyncio.wait({pipeline, stopping, clock, files}, return_when=asyncio.FIRST_COMPLETED)
            for watch in (clock, files):
                if watch.done():
                    # It ends only by an exception.
                    await watch
            if not pipeline.done():
                await stopping
                self._closed_because = "the exchange is stopping"
                await self._demo.stop()
                await self.gateway.close()
                self._is_stopping = True
                self._pipeline.submit(EndSession(), _ignore)
                self._pipeline.stop()
            await pipeline
        finally:
            self._is_stopping = True
            tasks = (pipeline, clock, files, stopping)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._archiver.stop()
            await self.cancel_tasks()
            self.gateway.abort()
            await self.catch_up_service.stop()
            await self.past_service.stop()
            await self._demo.stop()
            await self._follower.stop()
            self._credentials.save()

    @property
    def queue_depth(self) -> int:
        """The number of commands that wait for the journal."""
        return self._pipeline.queue_depth

    @property
    def journal_seq(self) -> int:
        """The last command that is on disk."""
        return self._journal.head.seq

    def why_not_ready(self) -> list[str]:
        """Why commands are not accepted now, as sentences; empty if they are."""
        reasons = [self._closed_because] if self._closed_because else []
        if self.is_busy:
            reasons.append("too many commands wait for the journal")
        if self.journal_meter.is_unavailable:
            reasons.append("the journal cannot be written: the disk is full, or another program has locked it")
        if self.clock_jump_us:
            reasons.append(f"the system clock jumped: it is {jump_text(self.clock_jump_us)}")
        return reasons

    @property
    def is_busy(self) -> bool:
        return self._pipeline.queue_depth >= self._settings.limits.queue_max

    @property
    def is_crowded(self) -> bool:
        return self._pipeline.queue_depth >= CROWDED_QUEUE

    @property
    def limits(self) -> GatewayLimits:
        return self._settings.limits

    @property
    def clock_jump_us(self) -> int:
        return self._clock.jump_us

    def confirm_time(self) -> int:
        jump_us = self._clock.confirm()
        if jump_us:
            _log.warning("the administrator accepted the system clock's time, which was %s", jump_text(jump_us))
            self._pipeline.check_clock()
        return jump_us

    def now_us(self) -> int:
        return self._clock.now_us()

    def submit(self, command: Command, done: Callable[[Change | None], None]) -> None:
        # Later commands come only from closed sessions. The start of the next run cancels their users' orders.
        if not self._is_stopping:
            self._pipeline.submit(command, done)

    def dry_run(self, command: PlaceOrder) -> list[Event] | None:
        """As in the port. After a dry run that took long, the next ones are refused for a while: trading goes first."""
        now_us, begun_us = self.now_us(), thread_cpu_us()
        if now_us < self._dry_run_from_us:
            return None
        events = super().dry_run(command)
        took_us = thread_cpu_us() - begun_us
        if took_us > DRY_RUN_US:
            self._dry_run_from_us = now_us + DRY_RUN_RESTS * took_us
        return events

    @property
    def credentials(self) -> Credentials:
        return self._credentials

    def ask_metrics(self, done: Callable[[dict[str, float]], None]) -> None:
        """As in the port. From the first question on, requests and batches are counted."""
        self._count()
        self.start_task(self._read_metrics(done))

    async def _read_metrics(self, done: Callable[[dict[str, float]], None]) -> None:
        figures = loop_figures(self)
        done(await asyncio.to_thread(_samples, figures, self._files, self.journal_seq))
        self.gateway.send_all()

    def _count(self) -> None:
        self.journal_meter.is_counting = True
        if self.meter is None:
            self.meter = RequestMeter()

    def _serve_metrics(self, port: int) -> "Metrics":
        # Imported only when it is needed, because it makes the start longer.
        from exchange.runtime.metrics import Metrics

        self._count()
        return Metrics(self, self._files, self._settings.metrics_host, port, self._settings.allowed_peers)

    def open_session(self, send: Callable[[bytes], None]) -> Session:
        """Open a session for a client in this process; `send` receives its messages."""
        return self.gateway.open_local_session(send, _ignore_reason)

    async def _open_and_wait(self, listening: Callable[[str], None], stop: asyncio.Event) -> None:
        context = None
        if self._settings.tls is not None:
            tls = ServerTls(self._settings.tls, self.path)
            tls.publish()
            _reload_on_hangup(tls)
            context = tls.context
        url = await self.gateway.bind(self._settings.host, self._settings.port, context)
        await self._execute(StartSession(__version__))
        if self._settings.demo:
            await asyncio.gather(*map(self._execute, start_prices(self.views)))
        await self.gateway.open()
        self._closed_because = None
        listening(url)
        self._follower.start(self._checked_seq)
        self._archiver.start()
        self.start_task(self._watch_log())
        if self._settings.demo_seed is not None:
            self._demo.start(url, self._settings.demo_seed)
        await stop.wait()

    async def _execute(self, command: Command) -> None:
        """Submit a command of the exchange itself and wait until it is recorded."""
        recorded: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._pipeline.submit(command, lambda change: recorded.set_result(change is not None))
        if not await recorded:
            raise JournalFullError("the disk is full: free some space, then start again")

    def why_history_ends(self) -> str:
        if alarm := standing_alarm(self.path):
            return alarm.end_of_history
        if not_enough := why_no_space(self.path.absolute().parent, "rows of the history"):
            return not_enough
        if self._follower.is_running:
            return "the follower, which writes it, is running but behind: try again later"
        return "the follower, which writes it, has ended: it starts again soon, and the server's log says why it ended"

    async def _watch_log(self) -> None:
        while True:
            await asyncio.to_thread(self.log_watch.look)
            await asyncio.sleep(LOOK_SECONDS)

    async def _watch_files(self) -> None:
        """Stop without waiting for a command if the journal is gone, and make a deleted lock file again."""
        files = None if self._lock is None else FileWatch(self.path)
        while True:
            await asyncio.sleep(FILES_LOOK_SECONDS)
            if files is not None and self._lock is not None:
                files.check(has_written=True)
                self._lock.renew()

    async def _watch_clock(self) -> None:
        while True:
            until_day_end_us = next_day_end_us(self.engine.head.ts_us) - self.now_us()
            await asyncio.sleep(min(max(until_day_end_us / US_PER_SECOND, 0.001), CLOCK_LOOK_SECONDS))
            self._pipeline.check_clock()


def _samples(figures: dict[str, Value], files: FileFigures, seq: int) -> dict[str, float]:
    # Imported only when it is needed, because it makes the start longer.
    from exchange.runtime.samples import flat_samples

    return flat_samples(figures | files.read(seq))


def _reload_on_hangup(tls: ServerTls) -> None:
    """Take a renewed certificate on SIGHUP."""

    def reload() -> None:
        try:
            tls.reload()
            _log.info("took the certificate again: new connections use it")
        except (KeyFileError, OSError) as error:
            _log.warning("the certificate was not taken again, the one from before stays: %s", error)

    # Windows has no such signal, and an event loop in another thread takes none.
    with contextlib.suppress(NotImplementedError, AttributeError, RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def _make_garbage_collections_short() -> None:
    """Let no garbage collection take longer than about 5 ms.

    Only new objects are searched for reference cycles, a few thousand at a time. A whole collection would look at each
    order and take half a second. Only old connections leave cycles; the gateway has those collected.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 1_000_000)


def _ignore(_change: Change | None) -> None:
    pass


def _ignore_reason(_reason: str) -> None:
    pass
