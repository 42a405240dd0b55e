"""`exchange replay`: carry out recorded commands again, and print or serve their events."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from exchange.amounts import cash, contracts, iso_time
from exchange.cli.current_views import require_instrument, require_user
from exchange.cli.options import INSTRUMENT, USER, db_option, from_option, refuse_given, to_option
from exchange.cli.output import add_rows, is_terminal, print_json, print_tables, sentence_line, table
from exchange.cli.progress import ReplayBar
from exchange.cli.server_process import StoppedEarlyError, Stopping, is_loopback, listen_error, run_loop
from exchange.domain.events import OrderAccepted, Refused, Traded
from exchange.domain.units import MILLI_PER_CONTRACT, US_PER_SECOND
from exchange.history.event_text import affects, describe
from exchange.history.moment import Moment, span
from exchange.history.replay import ReplayStep, replay_range
from exchange.history.replay_server import ReplayOptions, serve_replay
from exchange.history.runs import Run, run_of

_MAX = float("inf")
# A single sleep has an upper limit in the operating system, and recorded pauses can be longer.
_SLEEP_SECONDS_MAX = 3_600.0


class _SpeedType(click.ParamType[float]):
    """A multiple of the recorded speed, such as 1, 10 or 2.5x; infinity for `max`."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if value == "max":
            return _MAX
        try:
            speed = float(str(value).removesuffix("x"))
        except ValueError:
            speed = 0
        if not 0 < speed < _MAX:
            self.fail(f"{value!r} is not a speed; expected a positive number such as 1, 10 or 0.5, or max", param, ctx)
        return speed


@click.command()
@click.option(
    "--session", "number", type=click.IntRange(1), help="Replay this run of the server; `exchange sessions` lists them."
)
@from_option
@to_option
@click.option("--user", "user_id", type=USER, help="Print only events that affect this user.")
@click.option("--instrument", "instrument_id", type=INSTRUMENT, help="Print only events that affect this instrument.")
@click.option(
    "--speed",
    type=_SpeedType(),
    help="Multiple of the recorded speed, such as 1 or 10, or max.  [default: max; with --serve: 1]",
)
@click.option("--summary", is_flag=True, help="Print only the final digest and totals.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per event, with the protocol's integer units."
)
@click.option("--serve", is_flag=True, help="Run a server on which clients watch the replay like a live exchange.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that --serve listens on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8765,
    show_default=True,
    help="Port that --serve listens on; 0: any free port.",
)
@click.option("--paused", is_flag=True, help="With --serve: wait for replay/resume.")
@db_option
def replay(
    number: int | None,
    start: Moment | None,
    end: Moment | None,
    user_id: str | None,
    instrument_id: str | None,
    speed: float | None,
    summary: bool,
    as_json: bool,
    serve: bool,
    host: str,
    port: int,
    paused: bool,
    path: Path,
) -> None:
    """Carry out recorded commands again and print the events.

    --session compares the final state with the state that was recorded at the end of that run. If they differ, the
    command reports it and exits with code 1.

    Clients of --serve steer the replay: replay/pause, replay/resume, replay/speed, replay/seek to a moment, and
    replay/step by commands, trades or seconds, also back. The snapshots of the journal make seeks short.

    \b
    Examples:
      exchange replay --session 2
      exchange replay --from 2026-02-20T09:00:00Z --to 2026-02-20T09:05:00Z --speed 10
      exchange replay --user alice --json
      exchange replay --summary
      exchange replay --session 2 --serve --speed 10
    """
    if number is not None and (start or end):
        raise click.UsageError("--session selects all commands of one run: remove --from and --to")
    run = None if number is None else run_of(path, number)
    if run is not None:
        start, end = Moment(run.first_seq), Moment(run.last_seq)
    first_seq, last_seq = span(path, start, end)
    if not serve:
        refuse_given(("--paused", "--host", "--port"), "--serve")
    if summary and (user_id or instrument_id):
        raise click.UsageError(
            "--summary covers all users and instruments: remove --user and --instrument, or --summary"
        )
    if serve:
        if summary or as_json or user_id or instrument_id:
            raise click.UsageError(
                "--serve shows all events to every client: remove --summary, --json, --user and --instrument"
            )
        _run_replay_server(path, ReplayOptions(first_seq, last_seq, _times(speed or 1.0), paused), host, port)
        return
    totals = _Totals()
    with contextlib.suppress(KeyboardInterrupt), ReplayBar() as bar:
        pace = _Pace(_times(speed or _MAX))
        # Events on a terminal show the progress themselves: no bar is needed once they begin.
        prints_events = not summary and is_terminal()

        def progress(done: int, total: int) -> None:
            if not prints_events or totals.last is None:
                bar(done, total)

        for step in replay_range(path, first_seq, last_seq, progress):
            if prints_events:
                bar.stop()
            pace.wait(step.record.ts_us)
            totals.add(step)
            if not summary:
                _print(step, user_id, instrument_id, as_json)
    if summary:
        totals.print(as_json)
    if totals.last is not None and user_id is not None:
        require_user(totals.last.engine.views, user_id, path)
    if totals.last is not None and instrument_id is not None:
        require_instrument(totals.last.engine.views, instrument_id, path)
    if run is not None and totals.last is not None:
        _compare(run, totals.last)


def _times(speed: float) -> float | None:
    """The speed, or None for the highest possible speed."""
    return None if speed == _MAX else speed


class _Pace:
    """Waits before each command, so that the replay has `speed` times the recorded speed. None never waits."""

    def __init__(
        self,
        speed: float | None,
        sleep: Callable[[float], None] = time.sleep,
        now_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._speed = speed
        self._sleep = sleep
        self._now_seconds = now_seconds
        self._first: tuple[float, int] | None = None

    def wait(self, ts_us: int) -> None:
        if self._speed is None:
            return
        if self._first is None:
            self._first = (self._now_seconds(), ts_us)
        began_seconds, first_us = self._first
        due_seconds = began_seconds + (ts_us - first_us) / US_PER_SECOND / self._speed
        while (left_seconds := due_seconds - self._now_seconds()) > 0:
            self._sleep(min(left_seconds, _SLEEP_SECONDS_MAX))


class _Totals:
    """The totals of a replay."""

    def __init__(self) -> None:
        self._began_seconds = time.monotonic()
        self.last: ReplayStep | None = None
        self._commands = self._events = self._orders = self._trades = self._refused = 0
        self._contracts_milli = self._premium_micros = 0

    def add(self, step: ReplayStep) -> None:
        self.last = step
        self._commands += 1
        self._events += len(step.events)
        for event in step.events:
            match event:
                case Traded():
                    self._trades += 1
                    self._contracts_milli += event.size_milli
                    self._premium_micros += event.price_micros * event.size_milli // MILLI_PER_CONTRACT
                case OrderAccepted():
                    self._orders += 1
                case Refused():
                    self._refused += 1

    def print(self, as_json: bool) -> None:
        if self.last is None:
            raise click.ClickException("interrupted before the first command")
        seconds = time.monotonic() - self._began_seconds
        final = self.last.engine.digest()
        if as_json:
            print_json(
                {
                    "seq": self.last.record.seq,
                    "ts_us": self.last.record.ts_us,
                    "digest": final,
                    "commands": self._commands,
                    "events": self._events,
                    "orders": self._orders,
                    "trades": self._trades,
                    "contracts_milli": self._contracts_milli,
                    "premium_micros": self._premium_micros,
                    "refused": self._refused,
                }
            )
            return
        shown = table("replay", "")
        add_rows(
            shown,
            (
                ("last command", f"seq {self.last.record.seq}, {iso_time(self.last.record.ts_us)}"),
                ("digest", final),
                ("commands", f"{self._commands:,}, {self._refused:,} of them refused"),
                ("events", f"{self._events:,}"),
                ("orders", f"{self._orders:,}"),
                ("trades", f"{self._trades:,}: {contracts(self._contracts_milli)} contracts"),
                ("premium", f"{cash(self._premium_micros)} USDC"),
                ("took", f"{seconds:.1f} s, {self._commands / max(seconds, 0.001):,.0f} commands a second"),
            ),
        )
        print_tables(shown)


def _print(step: ReplayStep, user_id: str | None, instrument_id: str | None, as_json: bool) -> None:
    record = step.record
    for n, event in enumerate(step.events):
        if not affects(event, user_id, instrument_id):
            continue
        if as_json:
            print_json({"seq": record.seq, "n": n, "ts_us": record.ts_us, "event": msgspec.to_builtins(event)})
        else:
            words = describe(event, instrument_id)
            click.echo(sentence_line((str(record.seq), -8), (iso_time(record.ts_us), 27), sentence=words))


def _compare(run: Run, last: ReplayStep) -> None:
    """Compare the final state with the recorded digest. Raises ClickException if they differ."""
    if last.record.seq != run.last_seq:
        # The replay was interrupted.
        return
    if run.digest is None:
        click.echo(f"session {run.number} recorded no digest at its end: the final state was not compared", err=True)
        return
    if (now := last.engine.digest()) != run.digest:
        raise click.ClickException(
            f"session {run.number} recorded the digest {run.digest} at seq {run.last_seq}, but this replay "
            f"computed {now}: `exchange journal verify` finds the first difference"
        )
    click.echo(f"session {run.number} ends in the recorded state, digest {now}", err=True)


def _run_replay_server(path: Path, options: ReplayOptions, host: str, port: int) -> None:
    """Serve a replay until Ctrl-C. Raises UsageError if other machines can connect to `host`."""
    if not is_loopback(host):
        raise click.UsageError(
            f"other machines can connect to {host!r} and could see every account; expected an address such as 127.0.0.1"
        )
    try:
        with Stopping() as stopping:
            run_loop(_serve(path, options, host, port, stopping))
    except StoppedEarlyError:
        return
    except OSError as error:
        raise listen_error(error, host, port) from error


async def _serve(path: Path, options: ReplayOptions, host: str, port: int, stopping: Stopping) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    stopping.tell(lambda: loop.call_soon_threadsafe(stop.set))

    def listening(url: str) -> None:
        begins = "starts with replay/resume" if options.is_paused else "starts with the first subscription"
        click.echo(
            f"listening on {url}\n\nreplay of seq {options.first_seq} to {options.last_seq} of {path}; it {begins}."
        )
        click.echo("All users with an account at the end of the replay can log in.")
        click.echo(
            "Control it with replay/pause, replay/resume, replay/speed, replay/seek, replay/step and replay/status."
        )
        click.echo("Ctrl-C stops it.")

    await serve_replay(path, options, host, port, listening, stop)
