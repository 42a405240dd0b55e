"""The metrics server of a running exchange: `/metrics` for Prometheus, `/health` and `/ready`."""

import asyncio
from http import HTTPStatus
from types import TracebackType
from typing import Self

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from exchange.engine.alarm import standing_alarm
from exchange.gateway.handshake import AllowedPeers
from exchange.runtime.figures import FileFigures, Value, Watched, loop_figures
from exchange.runtime.health import Health, health_of
from exchange.runtime.metrics_server import MetricsServer, WebPage
from exchange.runtime.samples import FigureCollector

# The exchange counts as hung if its event loop does not answer for this time.
LOOP_SECONDS = 5.0


class Metrics:
    """Serves the figures of `exchange` and of its `files`, by an HTTP server.

    A context manager; entering it raises OSError. Must be made in the thread of the exchange's event loop.
    """

    def __init__(
        self, exchange: Watched, files: FileFigures, host: str, port: int, allowed_peers: AllowedPeers
    ) -> None:
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()
        self._files = files
        pages = {"/metrics": self._metrics_page, "/health": self._health_page, "/ready": self._ready_page}
        self._server = MetricsServer(host, port, pages, allowed_peers)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self._server.__exit__(_type, _value, _trace)

    @property
    def url(self) -> str:
        """The address of the metrics."""
        return f"{self._server.url}/metrics"

    def _read(self) -> tuple[dict[str, Value], list[str]]:
        """All figures, and why commands are not accepted now. Raises TimeoutError if the exchange does not answer."""
        asked = asyncio.run_coroutine_threadsafe(_in_loop(self._exchange), self._loop)
        try:
            figures, why_not_ready = asked.result(LOOP_SECONDS)
        finally:
            asked.cancel()
        return figures | self._files.read(self._exchange.journal_seq), why_not_ready

    def _metrics_page(self, accept: str) -> WebPage:
        try:
            figures, _ = self._read()
        except TimeoutError:
            return WebPage(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", f"{_HUNG}\n".encode())
        registry = CollectorRegistry()
        registry.register(FigureCollector(figures))
        ProcessCollector(registry=registry)
        encode, content_type = choose_encoder(accept)
        return WebPage(HTTPStatus.OK, content_type, encode(registry))

    def _health_page(self, _accept: str) -> WebPage:
        health = self._health()
        return _health_answer(health, health.healthy)

    def _ready_page(self, _accept: str) -> WebPage:
        health = self._health()
        return _health_answer(health, health.ready)

    def _health(self) -> Health:
        try:
            figures, why_not_ready = self._read()
        except TimeoutError:
            return Health(healthy=False, ready=False, problems=[_HUNG])
        alarm = standing_alarm(self._exchange.path)
        return health_of(figures, why_not_ready, None if alarm is None else alarm.text)


_HUNG = f"the exchange does not answer: its event loop was busy for {LOOP_SECONDS:.0f} seconds"


async def _in_loop(exchange: Watched) -> tuple[dict[str, Value], list[str]]:
    return loop_figures(exchange), exchange.why_not_ready()


def _health_answer(health: Health, is_good: bool) -> WebPage:
    status = HTTPStatus.OK if is_good else HTTPStatus.SERVICE_UNAVAILABLE
    return WebPage(status, "application/json", msgspec.json.encode(health) + b"\n")
