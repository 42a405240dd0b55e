"""The options of `serve` and `demo` that say how the exchange can be watched."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import click


class Watching(NamedTuple):
    """Where the metrics are served: a port, 0 for any free one or None for nowhere, and an address."""

    metrics_port: int | None
    metrics_host: str


def watch_options(default_port: int | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --metrics-port, --metrics-host and, if there is a default port, --no-metrics.

    The command gets them as `watching`.
    """

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def watched(
            *args: Any, metrics_port: int | None, metrics_host: str, no_metrics: bool = False, **options: Any
        ) -> Any:
            watching = Watching(None if no_metrics else metrics_port, metrics_host)
            return command(*args, watching=watching, **options)

        default = "none is served" if default_port is None else "any free port"
        with_port = click.option(
            "--metrics-port",
            type=click.IntRange(0, 65535),
            default=default_port,
            metavar="PORT",
            help=f"Serve /metrics for Prometheus, /health and /ready; 0: at any free port.  [default: {default}]",
        )
        with_host = click.option(
            "--metrics-host",
            default="127.0.0.1",
            show_default=True,
            metavar="ADDRESS",
            help="Address of the metrics. They need no login, so that any machine that can connect can read them.",
        )
        without = click.option("--no-metrics", is_flag=True, help="Serve no metrics.")
        return with_port(with_host(watched if default_port is None else without(watched)))

    return add
