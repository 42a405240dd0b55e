"""The figures of a running exchange: the table of all metrics, and where each figure is read.

The figures of the event loop are copied in its thread, all at the same moment. Those of files are read in the thread of
the reader, so that the exchange never waits for a disk.
"""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from exchange import __version__
from exchange.engine.alarm import standing_alarm
from exchange.engine.engine import Engine
from exchange.free_space import free_bytes
from exchange.gateway.meter import Distribution, RequestMeter
from exchange.gateway.server import Gateway
from exchange.journal.errors import JournalError
from exchange.runtime.follower import read_status
from exchange.runtime.journal_meter import JournalMeter
from exchange.runtime.log_readers import LogWatch, size_of_log
from exchange.runtime.storage import Storage, storage_of
from exchange.snapshots.store import SnapshotStore, rung_of

# The sizes of files are measured again after this time.
STORAGE_SECONDS = 5.0


class Metric(NamedTuple):
    """One metric: its kind, one sentence about it, and the name of its label if it has one."""

    kind: Literal["counter", "gauge", "histogram"]
    text: str
    label: str | None = None


METRICS: dict[str, Metric] = {
    "exchange_info": Metric("gauge", "Always 1; the label is the version of the program.", "version"),
    "exchange_commands_total": Metric("counter", "Commands recorded since the start."),
    "exchange_batches_total": Metric("counter", "Batches they were recorded in."),
    "exchange_batch_commands": Metric("histogram", "Commands in a batch."),
    "exchange_append_seconds": Metric("histogram", "Time until a batch was on disk."),
    "exchange_request_seconds": Metric(
        "histogram", "Time from the moment when a request is read until its answer is handed to the socket.", "method"
    ),
    "exchange_refusals_total": Metric("counter", "Requests that were answered with an error.", "reason"),
    "exchange_ready": Metric("gauge", "1 while the exchange accepts commands, as /ready says."),
    "exchange_journal_unavailable": Metric("gauge", "1 while the journal cannot record commands."),
    "exchange_clock_jump_seconds": Metric("gauge", "Distance of a system clock that jumped; 0 while it is believed."),
    "exchange_journal_seq": Metric("gauge", "The last command that is on disk."),
    "exchange_queue_commands": Metric("gauge", "Commands that wait for the journal."),
    "exchange_unanswered_requests": Metric("gauge", "Requests of all connections that are not answered yet."),
    "exchange_connected_clients": Metric("gauge", "Connections."),
    "exchange_outbox_bytes": Metric("gauge", "Bytes that clients have not received yet, of all connections."),
    "exchange_outbox_largest_bytes": Metric("gauge", "Bytes that the slowest client has not received yet."),
    "exchange_open_orders": Metric("gauge", "Orders in the books."),
    "exchange_follower_seq": Metric("gauge", "The last command that the follower told of."),
    "exchange_follower_alarm": Metric("gauge", "1 while an alarm stands."),
    "exchange_history_seq": Metric("gauge", "The last command in the history."),
    "exchange_history_lag_commands": Metric("gauge", "Commands that the history does not have yet."),
    "exchange_snapshot_seq": Metric("gauge", "The command of the newest snapshot; 0 without one."),
    "exchange_snapshot_age_seconds": Metric("gauge", "Age of the newest snapshot; no sample without one."),
    "exchange_disk_free_bytes": Metric("gauge", "Free space of the journal's disk."),
    "exchange_disk_full_seconds": Metric("gauge", "Time until the journal's disk is full at the present rate."),
    "exchange_file_bytes": Metric("gauge", "Size of the files of one kind, with their write-ahead logs.", "files"),
    "exchange_wal_bytes": Metric("gauge", "Size of the journal's write-ahead log."),
    "exchange_oldest_reader_seconds": Metric("gauge", "Time for which a program has held that log open; 0: none does."),
}

# One value, one for each value of the label, or None if there is none now.
Value = float | Distribution | Mapping[str, float] | Mapping[str, Distribution] | None


class Watched(Protocol):
    """The parts of a running exchange whose figures are shown."""

    path: Path
    engine: Engine
    gateway: Gateway
    meter: RequestMeter | None
    journal_meter: JournalMeter
    log_watch: LogWatch

    @property
    def queue_depth(self) -> int:
        """The number of commands that wait for the journal."""
        ...

    @property
    def clock_jump_us(self) -> int:
        """The jump of the system clock; 0 while it is believed."""
        ...

    @property
    def journal_seq(self) -> int:
        """The last command that is on disk."""
        ...

    def why_not_ready(self) -> list[str]:
        """Why commands are not accepted now, as sentences; empty if they are."""
        ...


# A disk that is full later than in ten years counts as one that never is.
FULL_SECONDS_MAX = 10 * 365 * 86_400.0


def loop_figures(exchange: Watched) -> dict[str, Value]:
    """The figures of the event loop. Must be called in its thread."""
    journal, meter, gateway = exchange.journal_meter, exchange.meter, exchange.gateway
    return {
        "exchange_commands_total": journal.batch_sizes.total,
        "exchange_batches_total": sum(journal.batch_sizes.counts),
        "exchange_batch_commands": journal.batch_sizes.copy(),
        "exchange_append_seconds": journal.append_seconds.copy(),
        "exchange_request_seconds": {name: one.copy() for name, one in meter.latencies.items()} if meter else {},
        "exchange_refusals_total": dict(meter.refusals) if meter else {},
        "exchange_ready": not exchange.why_not_ready(),
        "exchange_journal_unavailable": journal.is_unavailable,
        "exchange_clock_jump_seconds": exchange.clock_jump_us / 1e6,
        "exchange_journal_seq": exchange.journal_seq,
        "exchange_queue_commands": exchange.queue_depth,
        "exchange_unanswered_requests": gateway.unanswered,
        "exchange_connected_clients": gateway.connected,
        "exchange_outbox_bytes": gateway.backlog_of_all,
        "exchange_outbox_largest_bytes": gateway.backlog,
        "exchange_oldest_reader_seconds": exchange.log_watch.oldest_seconds,
        "exchange_open_orders": exchange.engine.views.orders.open_count(),
    }


class FileFigures:
    """The figures of the files next to the journal at `path`. Any thread may read them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._storage: Storage | None = None
        self._measured_seconds = -math.inf

    def read(self, journal_seq: int) -> dict[str, Value]:
        """Read the figures; `journal_seq` is the last command."""
        status = read_status(self._path)
        history_seq = 0 if status is None else status.history_seq
        snapshot_seq, snapshot_age = _newest_snapshot(self._path)
        return {
            "exchange_info": {__version__: 1},
            "exchange_follower_seq": 0 if status is None else status.seq,
            "exchange_follower_alarm": standing_alarm(self._path) is not None,
            "exchange_history_seq": history_seq,
            "exchange_history_lag_commands": max(journal_seq - history_seq, 0),
            "exchange_snapshot_seq": snapshot_seq,
            "exchange_snapshot_age_seconds": snapshot_age,
            "exchange_disk_free_bytes": free_bytes(self._path.parent),
            "exchange_wal_bytes": size_of_log(self._path),
            **self._storage_figures(),
        }

    def _storage_figures(self) -> dict[str, Value]:
        storage = self._storage_now()
        if storage is None:
            return {"exchange_disk_full_seconds": None, "exchange_file_bytes": {}}
        seconds = storage.seconds_until_full
        if seconds is not None and seconds > FULL_SECONDS_MAX:
            seconds = None
        kinds = ("journal", "history", "snapshots", "archives")
        return {
            "exchange_disk_full_seconds": math.inf if seconds is None else seconds,
            "exchange_file_bytes": {kind: getattr(storage, kind).size_bytes for kind in kinds},
        }

    def _storage_now(self) -> Storage | None:
        """The sizes of all files, as they were a moment ago; None if the journal cannot be read."""
        if time.monotonic() - self._measured_seconds > STORAGE_SECONDS:
            try:
                self._storage = storage_of(self._path)
            except (JournalError, OSError):
                self._storage = None
            self._measured_seconds = time.monotonic()
        return self._storage


def _newest_snapshot(path: Path) -> tuple[int, float | None]:
    """The seq of the newest snapshot, 0 without one, and its age in seconds."""
    store = SnapshotStore(path)
    for file, rung in reversed([(file, rung_of(file)) for file in store.files()]):
        if rung is not None:
            try:
                return rung.seq, max(time.time() - file.stat().st_mtime, 0.0)
            except FileNotFoundError:
                # The follower deleted it in the meantime.
                continue
    return 0, None
