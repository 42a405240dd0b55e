"""The options of `serve` and `demo` that say how the exchange can be watched: metrics and log."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from exchange.logs import FORMATS, LEVELS, LogChoice


class Watching(NamedTuple):
    """Where the metrics are served: a port, 0 for any free one or None for nowhere, and an address. And the log."""

    metrics_port: int | None
    metrics_host: str
    log: LogChoice


def watch_options(default_port: int | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of the metrics and the log. The command gets them as `watching`."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def watched(
            *args: Any,
            metrics_port: int | None,
            metrics_host: str,
            log_format: str,
            log_level: str,
            no_metrics: bool = False,
            **options: Any,
        ) -> Any:
            log = LogChoice(log_format, log_level)
            watching = Watching(None if no_metrics else metrics_port, metrics_host, log)
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
        with_format = click.option(
            "--log-format",
            type=click.Choice(FORMATS),
            default=FORMATS[0],
            show_default=True,
            help="Write each event on standard error as a line for people, or as a JSON object.",
        )
        with_level = click.option(
            "--log-level",
            type=click.Choice(LEVELS),
            default="info",
            show_default=True,
            help="Leave out events below this level.",
        )
        logged = with_format(with_level(watched))
        return with_port(with_host(logged if default_port is None else without(logged)))

    return add
