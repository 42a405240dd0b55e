"""The metrics server of a running exchange: `/metrics` for Prometheus, `/health` and `/ready`."""

import asyncio
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from itertools import accumulate
from types import TracebackType
from typing import Self

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from exchange.engine.alarm import standing_alarm
from exchange.gateway.handshake import AllowedPeers
from exchange.gateway.meter import Distribution
from exchange.runtime.figures import METRICS, FileFigures, Value, Watched, loop_figures
from exchange.runtime.health import Health, health_of
from exchange.runtime.metrics_server import MetricsServer, WebPage

# The exchange counts as hung if its event loop does not answer for this time.
LOOP_SECONDS = 5.0


class Metrics:
    """Serves the figures of `exchange`. The context manager runs the HTTP server; entering it raises OSError.

    Must be made in the thread of the exchange's event loop.
    """

    def __init__(self, exchange: Watched, host: str, port: int, allowed_peers: AllowedPeers) -> None:
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()
        self._files = FileFigures(exchange.path)
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
        registry.register(_FigureCollector(figures))
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


class _FigureCollector(Collector):
    """Gives figures to prometheus_client, which writes them in its formats."""

    def __init__(self, figures: Mapping[str, Value]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """The families of all metrics."""
        assert self._figures.keys() == METRICS.keys(), "the figures are not those of the table"
        for name, about in METRICS.items():
            labels = [] if about.label is None else [about.label]
            if about.kind == "histogram":
                family: Metric = HistogramMetricFamily(name, about.text, labels=labels)
            elif about.kind == "counter":
                family = CounterMetricFamily(name, about.text, labels=labels)
            else:
                family = GaugeMetricFamily(name, about.text, labels=labels)
            value = self._figures[name]
            if isinstance(value, Mapping):
                for label, one in value.items():
                    _add(family, [label], one)
            elif value is not None:
                _add(family, [], value)
            yield family


def _add(family: Metric, labels: list[str], value: float | Distribution) -> None:
    if isinstance(family, HistogramMetricFamily):
        assert isinstance(value, Distribution), f"{family.name} needs a distribution"
        family.add_metric(labels, _buckets(value), value.total)
    else:
        assert isinstance(family, CounterMetricFamily | GaugeMetricFamily) and not isinstance(value, Distribution)
        family.add_metric(labels, value)


def _buckets(distribution: Distribution) -> list[tuple[str, float]]:
    """The numbers of values up to each bound, as Prometheus counts them: each includes those before it."""
    bounds = [*(str(float(bound)) for bound in distribution.bounds), "+Inf"]
    return list(zip(bounds, map(float, accumulate(distribution.counts)), strict=True))
