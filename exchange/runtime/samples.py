"""The figures of a running exchange as samples of Prometheus: for `/metrics` and for `admin/get_metrics`."""

from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from exchange.gateway.meter import Distribution
from exchange.runtime.figures import METRICS, Value


class FigureCollector(Collector):
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


def flat_samples(figures: Mapping[str, Value]) -> dict[str, float]:
    """All samples of these figures and of this process, by name with labels: `exchange_refusals_total{reason="x"}`."""
    families = [*FigureCollector(figures).collect(), *ProcessCollector(registry=None).collect()]
    return {sample.name + _labels(sample.labels): sample.value for family in families for sample in family.samples}


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


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
