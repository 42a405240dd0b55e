"""Running a server in the foreground for `serve`, `demo` and `replay --serve`: options, signals, start messages."""

import asyncio
import errno
import ipaddress
import logging
import signal
import webbrowser
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

import click

from exchange.amounts import short_time
from exchange.cli.options import DURATION_US, command_line
from exchange.cli.progress import ReplayBar
from exchange.domain.rules import market_of
from exchange.file_modes import more_open_files
from exchange.gateway.deribit import API_PATH, WEBSOCKET_PATH
from exchange.journal.opening import open_journal_reader
from exchange.logs import LogChoice, set_up_log
from exchange.projections.views import Views
from exchange.projections.wire_types import Instrument
from exchange.runtime import node
from exchange.runtime.server_settings import ServerSettings

_log = logging.getLogger("exchange")
_T = TypeVar("_T")
_Command = TypeVar("_Command", bound=Callable[..., Any])

host_option = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
port_option = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="Port to listen on; 0: any free port.",
)
accept_loss_option = click.option(
    "--accept-loss",
    is_flag=True,
    help="Continue a journal that lost commands, without them (docs/operations.md, Lost commands).",
)

open_option = click.option("--open", "opens_screen", is_flag=True, help="Open the screen in the browser.")


def archive_options(archive_after: str | None, delete_after: str | None) -> Callable[[_Command], _Command]:
    """The options of an exchange that seals older commands; the defaults are durations, None: never."""

    def add(command: _Command) -> _Command:
        for name, parameter, default, text in (
            (
                "--delete-archives-after",
                "delete_after_us",
                delete_after,
                "Delete archives of this age, such as 90d.",
            ),
            ("--archive-after", "archive_after_us", archive_after, "Move older commands into archives, such as 30d."),
        ):
            command = click.option(
                name,
                parameter,
                type=DURATION_US,
                default=default,
                metavar="AGE",
                help=f"{text}  [default: {default or 'never'}]",
            )(command)
        return command

    return add


def run_server(settings: ServerSettings, log: LogChoice, opens_screen: bool = False) -> None:
    """Run an exchange in the foreground until Ctrl-C. Raises ClickException if it cannot listen."""
    set_up_log(log)
    settings.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Stopping() as stopping:
            last_seq = run_loop(_serve(settings, stopping, opens_screen))
    except StoppedEarlyError:
        _log.info("stopped before it was ready: nothing was changed")
        return
    except OSError as error:
        raise listen_error(error, settings.host, settings.port) from error
    _log.info("stopped at seq %d, %s is closed", last_seq, settings.path)


async def _serve(settings: ServerSettings, stopping: "Stopping", opens_screen: bool) -> int:
    is_new = not settings.path.exists() or settings.path.stat().st_size == 0
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    stopping.tell(lambda: loop.call_soon_threadsafe(stop.set))
    with ReplayBar() as bar:

        def progress(done: int, total: int) -> None:
            stopping.check()
            bar(done, total)

        def listening(url: str, views: Views) -> None:
            bar.stop()
            _say_who_may_enter(settings)
            click.echo(f"listening on {url}\nscreen on {_http(url)}\n\n{_what_next(settings, url, views)}")
            if opens_screen:
                # A browser may take seconds to answer.
                loop.run_in_executor(None, _open_screen, _http(url))

        if not is_new:
            _warn_of_clock(settings)
            _warn_of_modes(settings.path)
        return await node.serve(settings, _log.info, progress, listening, stop)


class StoppedEarlyError(Exception):
    """A signal arrived during the replay of the journal."""


class Stopping:
    """Handles signals to stop: the first one asks the server to stop, the second one kills it at once.

    SIGHUP is one of them, because a terminal sends it when it is closed. `nohup` ignores it, which stays so. A server
    with TLS takes it as a request to read the certificate again.
    """

    def __init__(self) -> None:
        self._asked = False
        self._numbers = [signal.SIGINT, signal.SIGTERM]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            self._numbers.append(signal.SIGHUP)
        self._tell: Callable[[], object] = lambda: None

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._ask) for number in self._numbers}
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def tell(self, tell: Callable[[], object]) -> None:
        """Set the function that is called when a signal arrives."""
        self._tell = tell

    def check(self) -> None:
        """Raise StoppedEarlyError if a signal has arrived."""
        if self._asked:
            raise StoppedEarlyError

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        for number in self._numbers:
            signal.signal(number, signal.SIG_DFL)
        self._tell()


def run_loop(main: Coroutine[Any, Any, _T]) -> _T:
    """Run `main` in an event loop: uvloop's if it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _say_who_may_enter(settings: ServerSettings) -> None:
    if settings.needs_keys:
        _log.info("every account needs a key: `%s` makes one", command_line("account secret USER", settings.path))
    elif is_loopback(settings.host):
        _log.info("local mode: any program on this machine can enter accounts that have no key (docs/security.md)")
    else:
        _log.warning("--insecure: any machine that reaches %s can enter accounts that have no key", settings.host)


def _what_next(settings: ServerSettings, url: str, views: Views) -> str:
    path = settings.path
    auth = (
        '{"jsonrpc":"2.0","id":1,"method":"public/auth",'
        '"params":{"grant_type":"client_credentials","client_id":"alice"}}'
    )
    return "\n".join(
        (
            *_demo_notes(settings, views),
            "In another terminal:",
            *(f"  {command_line(arguments, path)}" for arguments in _first_steps(views)),
            f"Or with any WebSocket client: connect to {url} and send",
            f"  {auth}",
            f"Clients of Deribit connect to {url.rstrip('/')}{WEBSOCKET_PATH} and {_http(url).rstrip('/')}{API_PATH}",
            "Ctrl-C stops the exchange.",
        )
    )


def _http(url: str) -> str:
    """The address of the screen: http for ws, https for wss."""
    return f"http{url.removeprefix('ws')}"


def _open_screen(url: str) -> None:
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        _log.warning("there is no browser here: open %s in one", url)
        return
    # A browser in the terminal would take it from the exchange.
    if type(browser) is webbrowser.GenericBrowser or not browser.open(url):
        _log.warning("no browser could be opened: open %s in one", url)


def _demo_notes(settings: ServerSettings, views: Views) -> list[str]:
    if settings.demo and not views.live_instruments():
        return [
            f"No options are listed: the rules in {settings.path} are not those of the demo market.",
            f"To start the demo market in a new journal: {command_line('demo', Path('data/demo.db'))}\n",
        ]
    if settings.demo_seed is not None:
        lines = []
        if settings.delete_archives_after_us:
            hours = settings.delete_archives_after_us / 3.6e9
            lines = [
                f"Commands older than {hours:.3g} hours are deleted.",
                "To keep them longer: --delete-archives-after 90d",
            ]
        return [
            *lines,
            "The index moves once a second, three market makers quote every option,",
            "and eight traders trade.\n",
        ]
    return []


def _first_steps(views: Views) -> list[str]:
    """The first commands to try; if no option is listed, those that list one."""
    live = views.live_instruments()
    if live:
        example = _example(live)
        return ["instrument list", f"order buy {example} 1 1.50 --user alice", f"book {example}"]
    market = market_of(views.rules)
    if market is None:
        return ["admin create-instrument --help"]
    if market.series:
        return [f"admin set-index {market.series[0].asset} PRICE", "instrument list"]
    return ["admin rules --series SOL:10", "admin set-index SOL PRICE"]


def _example(live: list[Instrument]) -> str:
    """An option to try: in the middle of the longest-lived series on the first asset."""
    last_s = max(instrument.expiration_s for instrument in live)
    series = [one for one in live if (one.asset, one.expiration_s) == (live[0].asset, last_s)] or live
    calls = [one for one in series if one.option_type == "call"] or series
    return calls[len(calls) // 2].instrument_id


def _warn_of_clock(settings: ServerSettings) -> None:
    if settings.clock_start_us is None:
        return
    with open_journal_reader(settings.path) as reader:
        last_us = reader.head().ts_us
    if last_us > settings.clock_start_us:
        _log.warning(
            "--clock-start is before the last recorded command: exchange time continues from that command, at %s",
            short_time(last_us),
        )


def _warn_of_modes(path: Path) -> None:
    """Name files that more users can read than new ones: files keep their mode."""
    files = more_open_files(path)
    if files:
        others = f", and {len(files) - 1} more files are as open" if len(files) > 1 else ""
        _log.warning(
            "other users can read or write %s (mode %04o)%s: `chmod go= FILE` closes a file. New files are closed",
            files[0],
            files[0].stat().st_mode & 0o777,
            others,
        )


def is_loopback(host: str) -> bool:
    """True if only this machine can connect to `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen_error(error: OSError, host: str, port: int) -> click.ClickException:
    """The error to show if the server could not listen or open a file."""
    where = f"port {port} on {host}"
    if error.filename is not None:
        return click.ClickException(f"{error.filename}: {error.strerror}")
    if error.errno == errno.EADDRINUSE:
        return click.ClickException(f"{where} is in use: choose another port with --port, or 0 for any free port")
    if error.errno == errno.EACCES:
        return click.ClickException(f"no permission to listen on {where}: choose a port above 1023 with --port")
    return click.ClickException(f"cannot listen on {where}: {error.strerror or error}")
