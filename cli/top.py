"""`exchange top`: the figures of the running exchange, live."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from exchange.amounts import iso_time
from exchange.cli.client import RunningExchange, ServerError, admin_client_of
from exchange.cli.options import db_option, json_option
from exchange.cli.output import (
    Styled,
    TextTable,
    add_rows,
    is_terminal,
    print_json,
    print_tables,
    screen,
    table,
    table_lines,
)
from exchange.cli.top_figures import Reading, TopFigures, figures_between

# Refusals and methods in the tables; the JSON has all of them.
_SHOWN_MAX = 5
_UNITS = ("bytes", "KB", "MB", "GB", "TB")


@click.command()
@click.option("--once", is_flag=True, help="Print the figures of one interval and exit.")
@click.option(
    "--interval",
    "interval_seconds",
    type=click.FloatRange(0.1, 3_600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two readings.",
)
@db_option
@json_option
def top(once: bool, interval_seconds: float, path: Path, as_json: bool) -> None:
    """Watch rates, latencies and queues of the running exchange.

    Latencies begin when the exchange reads a request from the socket and end when it writes the answer there. It runs
    until Ctrl-C, and prints one line for each interval if output is not a terminal.

    \b
    Examples:
      exchange top
      exchange top --once
      exchange top --json | jq .commands_per_second
    """
    with admin_client_of(path) as client, contextlib.suppress(KeyboardInterrupt):
        readings = _figures(client, interval_seconds)
        if as_json:
            _each(readings, once, print_json)
        elif once:
            print_tables(*tables(next(readings)))
        elif is_terminal():
            _watch(client.url, readings)
        else:
            _each(readings, once, lambda figures: click.echo(line(figures)))


def _figures(client: RunningExchange, interval_seconds: float) -> Iterator[TopFigures]:
    """The figures of one interval after the other."""
    before = _read(client)
    while True:
        time.sleep(interval_seconds)
        try:
            after = _read(client)
        except ServerError as error:
            if error.reason != "rate_limit_exceeded":
                raise
            # Too many commands wait: the interval becomes longer.
            continue
        yield figures_between(before, after)
        before = after


def _read(client: RunningExchange) -> Reading:
    answer = client.call("admin/get_metrics")
    return Reading(time.monotonic(), answer["ts_us"], answer["metrics"])


def _each(readings: Iterator[TopFigures], once: bool, show: Callable[[TopFigures], None]) -> None:
    for figures in readings:
        show(figures)
        if once:
            return


def _watch(url: str, readings: Iterator[TopFigures]) -> None:
    from rich.live import Live
    from rich.text import Text

    terminal = screen()
    with Live(Text(f"reading {url}"), console=terminal, auto_refresh=False) as live:
        for figures in readings:
            lines = table_lines(*tables(figures), width=terminal.width)[: terminal.height]
            live.update(Text.from_ansi("\n".join(lines), no_wrap=True), refresh=True)


def tables(figures: TopFigures) -> list[TextTable]:
    """The tables of one interval: the exchange, then its busiest methods."""
    overview = table("", ">now", "details", title=f"seq {figures.seq:,} at {iso_time(figures.ts_us)}")
    batch = "" if figures.batch_commands is None else f"{figures.batch_commands:.1f} in a batch"
    refusals = [f"{reason} {_rate(rate)}" for reason, rate in figures.refusals.items()]
    requests = f"p50 {_ms(figures.p50_ms)}, p99 {_ms(figures.p99_ms)}"
    rows: list[tuple[str, str | Styled, str]] = [
        ("state", Styled("ready", "green") if figures.ready else Styled("not ready", "red"), _state(figures)),
        ("commands", _rate(figures.commands_per_second), batch),
        ("requests", _rate(figures.requests_per_second), requests),
        ("refusals", _rate(figures.refusals_per_second), _some(refusals)),
        ("commit p99", _ms(figures.commit_p99_ms), f"p50 {_ms(figures.commit_p50_ms)}"),
        ("connections", f"{figures.connections:,}", f"{_size(figures.outbox_bytes)} not received yet"),
        ("queue", f"{figures.queue:,}", f"{figures.unanswered:,} requests unanswered"),
        ("history lag", f"{figures.history_lag:,}", _snapshot(figures)),
        ("disk free", _size(figures.disk_free_bytes), _full(figures)),
        ("-wal", _size(figures.wal_bytes), _reader(figures)),
        ("memory", _size(figures.memory_bytes), "" if figures.cpu is None else f"CPU {figures.cpu:.0%} of a core"),
    ]
    add_rows(overview, rows)
    left_out = len(figures.methods) - _SHOWN_MAX
    methods = table("method", ">requests", ">p50", ">p99", caption=f"and {left_out} more" if left_out > 0 else "")
    add_rows(
        methods,
        [(one.method, _rate(one.per_second), _ms(one.p50_ms), _ms(one.p99_ms)) for one in figures.methods[:_SHOWN_MAX]],
    )
    return [overview, methods] if figures.methods else [overview]


def line(figures: TopFigures) -> str:
    """The figures of one interval in one line."""
    cells = (
        iso_time(figures.ts_us),
        "ready" if figures.ready else f"not ready ({_state(figures)})",
        f"commands {_rate(figures.commands_per_second)}",
        f"refusals {_rate(figures.refusals_per_second)}",
        f"p50 {_ms(figures.p50_ms)}",
        f"p99 {_ms(figures.p99_ms)}",
        f"connections {figures.connections:,}",
        f"queue {figures.queue:,}",
        f"lag {figures.history_lag:,}",
        f"disk {_size(figures.disk_free_bytes)}",
        f"memory {_size(figures.memory_bytes)}",
    )
    return "  ".join(cells)


def _state(figures: TopFigures) -> str:
    problems = (
        ("ALARM: see `exchange journal info`", figures.alarm),
        ("the journal cannot be written", figures.journal_unavailable),
        (f"the clock jumped by {figures.clock_jump_seconds:+,.0f} s", figures.clock_jump_seconds),
    )
    return ", ".join(problem for problem, is_so in problems if is_so)


def _reader(figures: TopFigures) -> str:
    seconds = figures.oldest_reader_seconds
    return f"held open for {_age(seconds)}" if seconds >= 1 else ""


def _snapshot(figures: TopFigures) -> str:
    seconds = figures.snapshot_age_seconds
    return "no snapshot yet" if seconds is None else f"newest snapshot {_age(seconds)} old"


def _full(figures: TopFigures) -> str:
    seconds = figures.disk_full_seconds
    return "" if seconds is None else f"full in {_age(seconds)} at this rate"


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:_SHOWN_MAX]) + (f" and {len(texts) - _SHOWN_MAX} more" if len(texts) > _SHOWN_MAX else "")


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}/s" if per_second >= 10 or not per_second else f"{per_second:.1f}/s"


def _ms(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:,.1f} ms"


def _size(size_bytes: float | None) -> str:
    if size_bytes is None:
        return "-"
    for unit in _UNITS[:-1]:
        if size_bytes < 1_000:
            return f"{size_bytes:.0f} {unit}" if unit == _UNITS[0] else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1_000
    return f"{size_bytes:,.1f} {_UNITS[-1]}"


def _age(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.0f} seconds"
