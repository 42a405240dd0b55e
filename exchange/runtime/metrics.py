"""Metrics for Prometheus at http://127.0.0.1:PORT/metrics: counted in the pipeline, or read at each request."""

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from exchange.engine.alarm import standing_alarm
from exchange.engine.engine import Engine
from exchange.free_space import free_bytes
from exchange.gateway.handshake import AllowedPeers, host_refusal_of
from exchange.journal.protocols import JournalWriter
from exchange.journal.records import Head, Record
from exchange.runtime.follower import read_status
from exchange.runtime.storage import storage_of

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# The loopback address only, because the metrics need no authentication.
HOST = "127.0.0.1"
_BUCKETS_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Metrics:
    """All metrics of a running exchange. The context manager runs the HTTP server."""

    def __init__(
        self,
        port: int,
        path: Path,
        engine: Engine,
        journal: JournalWriter,
        clients: Callable[[], int],
        allowed_peers: AllowedPeers = AllowedPeers(),
    ) -> None:
        self._port = port
        self._allowed_peers = allowed_peers
        self._registry = CollectorRegistry()
        commands = Counter("exchange_commands", "Commands recorded since the start.", registry=self._registry)
        batches = Counter("exchange_batches", "Batches they were recorded in.", registry=self._registry)
        seconds = Histogram(
            "exchange_append_seconds",
            "Time until a batch was on disk.",
            buckets=_BUCKETS_SECONDS,
            registry=self._registry,
        )

        def appended(count: int, taken_seconds: float) -> None:
            commands.inc(count)
            batches.inc()
            seconds.observe(taken_seconds)

        self.journal = MeasuredJournal(journal, appended)
        self._read("exchange_journal_seq", "The last command that is on disk.", lambda: journal.head.seq)
        self._read("exchange_follower_seq", "The last command that the follower told of.", lambda: _follower_seq(path))
        self._read("exchange_follower_alarm", "1 while an alarm stands.", lambda: standing_alarm(path) is not None)
        self._read("exchange_connected_clients", "Connections.", clients)
        self._read("exchange_disk_free_bytes", "Free space of the journal's disk.", lambda: free_bytes(path.parent))
        self._read(
            "exchange_disk_full_seconds",
            "Time until the journal's disk is full at the present rate.",
            lambda: _seconds_until_full(path),
        )
        self._read("exchange_open_orders", "Orders in the books.", lambda: engine.views.orders.open_count())

    def __enter__(self) -> Self:
        """Start the HTTP server. Raises OSError if the port cannot be used."""
        try:
            self._server, self._thread = start_http_server(self._port, HOST, self._registry)
        except OSError as error:
            detail = f"{error.strerror}: choose another with --metrics-port, or 0 for any free one"
            raise OSError(error.errno, detail, f"metrics port {self._port}") from error
        local = HOST, self._server.server_port
        application = self._server.get_app()
        assert application is not None, "the metrics' server was started without its application"
        self._server.set_app(_for_own_hosts(application, local, self._allowed_peers))
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The address of the metrics."""
        return f"http://{HOST}:{self._server.server_port}/metrics"

    def _read(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Add a gauge. `read` is called on a thread of the HTTP server at each request."""
        Gauge(name, documentation, registry=self._registry).set_function(read)


def _for_own_hosts(application: "WSGIApplication", local: tuple[str, int], allowed: AllowedPeers) -> "WSGIApplication":
    """The application, for requests alone whose `Host` is a name of this exchange. Others get 403."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        refusal = host_refusal_of(environ.get("HTTP_HOST", ""), local, allowed)
        if refusal is None:
            return application(environ, start_response)
        start_response(f"{refusal.status} {refusal.status.phrase}", [("Content-Type", "text/plain; charset=utf-8")])
        return [refusal.text.encode()]

    return answer


class MeasuredJournal:
    """A journal writer that calls `appended` after each append, with the number of commands and the seconds taken."""

    def __init__(self, journal: JournalWriter, appended: Callable[[int, float], None]) -> None:
        self._journal = journal
        self._appended = appended
        self.append_digests = journal.append_digests
        self.append_answers = journal.append_answers
        self.seal = journal.seal
        self.delete_sealed = journal.delete_sealed
        self.close = journal.close

    @property
    def head(self) -> Head:
        return self._journal.head

    async def append(self, records: list[Record]) -> None:
        began_seconds = time.perf_counter()
        await self._journal.append(records)
        self._appended(len(records), time.perf_counter() - began_seconds)


def _seconds_until_full(path: Path) -> float:
    seconds = storage_of(path).seconds_until_full
    return math.inf if seconds is None else seconds


def _follower_seq(path: Path) -> int:
    status = read_status(path)
    return 0 if status is None else status.seq
