"""`exchange replay`: what happened, once more."""

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
from exchange.cli.options import INSTRUMENT, MOMENT, USER, db_option, refuse_given
from exchange.cli.output import add_rows, columns, console, is_terminal, print_json, table
from exchange.cli.progress import ReplayBar
from exchange.cli.server_process import StoppedEarlyError, Stopping, explained, is_loopback, run_loop
from exchange.domain.events import OrderAccepted, Refused, Traded
from exchange.domain.units import MILLI_PER_CONTRACT, US_PER_SECOND
from exchange.history.event_text import affects, describe
from exchange.history.moment import Moment, span
from exchange.history.replay import ReplayStep, replay_range
from exchange.history.replay_server import ReplayOptions, serve_replay
from exchange.history.runs import Run, run_of

_MAX = float("inf")
_SLEEP_SECONDS_MAX = 3_600.0  # at once: a clock cannot sleep for ever


class _SpeedType(click.ParamType[float]):
    """Times faster than it was, like 1, 10 or 2.5x; infinity for max: as fast as it goes."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if value == "max":
            return _MAX
        try:
            speed = float(str(value).removesuffix("x"))
        except ValueError:
            speed = 0
        if not 0 < speed < _MAX:
            self.fail(f"{value!r} is no speed: write 1, 10, 0.5 or max", param, ctx)
        return speed


@click.command()
@click.option("--session", "number", type=click.IntRange(1), help="This run of the server; see `exchange sessions`.")
@click.option("--from", "start", type=MOMENT, metavar="SEQ|TIME", help="Begin here.  [default: the first command]")
@click.option("--to", "end", type=MOMENT, metavar="SEQ|TIME", help="End here.  [default: the last command]")
@click.option("--user", "user_id", type=USER, help="Only what concerns this user.")
@click.option("--instrument", "instrument_id", type=INSTRUMENT, help="Only what concerns this instrument.")
@click.option(
    "--speed", type=_SpeedType(), help="In the recorded rhythm: 1, 10 ..., or max.  [default: max; with --serve: 1]"
)
@click.option("--summary", is_flag=True, help="Print only the final digest and figures.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an event, in the protocol's integers.")
@click.option("--serve", is_flag=True, help="Let clients connect and watch, as if it were happening.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where --serve listens.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8765, show_default=True, help="Where --serve listens; 0: any."
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
    """Carry out recorded commands once more, and print what they cause as a tape to read.

    A whole session must end in the state that was recorded at its end; where it does not, that is said, with exit
    code 1.

    \b
    Examples:
      exchange replay --session 2
      exchange replay --from 2026-02-20T09:00:00Z --to 2026-02-20T09:05:00Z --speed 10
      exchange replay --user alice --json
      exchange replay --summary
      exchange replay --session 2 --serve --speed 10
    """
    if number is not None and (start or end):
        raise click.UsageError("--session names what to replay by itself: leave --from and --to out")
    session = None if number is None else run_of(path, number)
    if session is not None:
        start, end = Moment(session.first_seq), Moment(session.last_seq)
    first_seq, last_seq = span(path, start, end)
    if not serve:
        refuse_given(("--paused", "--host", "--port"), "--serve, to which clients connect")
    if summary and (user_id or instrument_id):
        raise click.UsageError("--summary is of everything: it does not go with --user and --instrument")
    if serve:
        if summary or as_json or user_id or instrument_id:
            raise click.UsageError(
                "--serve shows everything to whoever connects: it goes with --speed and --paused only"
            )
        _run_replay_server(path, ReplayOptions(first_seq, last_seq, _times(speed or 1.0), paused), host, port)
        return
    figures = _Figures()
    with contextlib.suppress(KeyboardInterrupt), ReplayBar() as bar:
        pace = _Pace(_times(speed or _MAX))
        has_tape = not summary and is_terminal()  # which itself shows how far it is

        def progress(done: int, total: int) -> None:
            if not has_tape or figures.last is None:
                bar(done, total)

        for step in replay_range(path, first_seq, last_seq, progress):
            if has_tape:
                bar.stop()
            pace.wait(step.record.ts_us)
            figures.add(step)
            if not summary:
                _print(step, user_id, instrument_id, as_json)
    if summary:
        figures.print(as_json)
    if figures.last is not None and user_id is not None:
        require_user(figures.last.engine.views, user_id, path)
    if figures.last is not None and instrument_id is not None:
        require_instrument(figures.last.engine.views, instrument_id, path)
    if session is not None and figures.last is not None:
        _compare(session, figures.last)


def _times(speed: float) -> float | None:
    """None: as fast as it goes."""
    return None if speed == _MAX else speed


class _Pace:
    """Waits until it is time for a command, in the recorded rhythm times `speed`; None never waits."""

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


class _Figures:
    """What a replay amounted to."""

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
        console().print(shown)


def _print(step: ReplayStep, user_id: str | None, instrument_id: str | None, as_json: bool) -> None:
    record = step.record
    for n, event in enumerate(step.events):
        if not affects(event, user_id, instrument_id):
            continue
        if as_json:
            print_json({"seq": record.seq, "n": n, "ts_us": record.ts_us, "event": msgspec.to_builtins(event)})
        else:
            words = describe(event, instrument_id)
            click.echo(columns((str(record.seq), -8), (iso_time(record.ts_us), 27), (words, 0)))


def _compare(session: Run, last: ReplayStep) -> None:
    """Say whether the session came out as it was recorded; ClickException where it did not."""
    if last.record.seq != session.last_seq:
        return  # interrupted
    if session.digest is None:
        click.echo(f"no digest was recorded at the end of session {session.number}: nothing to compare with", err=True)
        return
    if (now := last.engine.digest()) != session.digest:
        raise click.ClickException(
            f"session {session.number} ended in another state than this replay: {session.digest} was recorded at seq "
            f"{session.last_seq}, and {now} came out now. `exchange journal verify` finds where they part"
        )
    click.echo(f"session {session.number} ends in the state that was recorded, digest {now}", err=True)


def _run_replay_server(path: Path, scope: ReplayOptions, host: str, port: int) -> None:
    """Serve a replay until Ctrl-C."""
    if not is_loopback(host):
        raise click.UsageError(f"{host!r} can be reached from other machines, where everyone could see every account")
    try:
        with Stopping() as stopping:
            run_loop(_serve(path, scope, host, port, stopping))
    except StoppedEarlyError:
        return
    except OSError as error:
        raise explained(error, host, port) from error


async def _serve(path: Path, scope: ReplayOptions, host: str, port: int, stopping: Stopping) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    stopping.tell(lambda: loop.call_soon_threadsafe(stop.set))

    def listening(url: str) -> None:
        begins = "waits for replay/resume" if scope.is_paused else "begins with the first subscription"
        click.echo(f"listening on {url}\n\nseq {scope.first_seq} to {scope.last_seq} of {path}: it {begins}.")
        click.echo("It stands before its first order; whoever has an account by the end can enter and watch it.")
        click.echo("To steer it: replay/pause, replay/resume, replay/speed, replay/seek, replay/status.")
        click.echo("Ctrl-C ends it.")

    await serve_replay(path, scope, host, port, listening, stop)
