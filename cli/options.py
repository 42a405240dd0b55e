"""Options and argument types that several commands share."""

import contextlib
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from exchange.amounts import iso_time, parse_contracts, parse_expiration, parse_usdc, short_time
from exchange.cli.completion import DEFAULT_JOURNAL, Kind, complete_names
from exchange.domain.instruments import ASSET_PATTERN, parse_instrument_id
from exchange.domain.units import NAME_PATTERN
from exchange.times import FORMS, Moment, is_epoch, parse_given_time_us

# Of a strike in capital letters. A day is followed by the letters of a month.
_DECIMAL_POINT = re.compile(r"(?<=\d)[D.](?=\d)")
NEGATIVE_NUMBER = re.compile(r"-\.?[0-9][0-9.]*")
DEFAULT_PATH = Path(DEFAULT_JOURNAL)

# A larger number is an epoch in seconds, or nothing.
_SEQ_MAX = 946_684_799


class Parsed(click.ParamType[Any]):
    """Converts an argument with `parse`. A ValueError from `parse` becomes a usage error."""

    def __init__(self, name: str, parse: Callable[[str], Any], hint: str = "", completes: Kind | None = None) -> None:
        self.name = name
        self._parse = parse
        self._hint = hint
        self._completes = completes

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [] if self._completes is None else complete_names(self._completes, ctx, incomplete)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(f"{error}{self._hint}", param, ctx)


class _MomentType(Parsed):
    """A seq or a time of the journal at --db. Says on standard error if the journal ends before the time."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        moment = super().convert(value, param, ctx)
        # A beginning after the end is refused by the commands.
        if ctx is not None and not ctx.resilient_parsing and (param is None or param.name != "start"):
            _say_if_later(ctx.params.get("path"), moment)
        return moment


def _say_if_later(path: Path | None, moment: Moment) -> None:
    if path is None or moment.ts_us is None:
        return
    # Only a given time imports the code that reads the journal.
    from exchange.journal.errors import JournalError
    from exchange.journal.opening import open_journal_reader

    # The command reports a journal that cannot be read.
    with contextlib.suppress(JournalError), open_journal_reader(path) as reader:
        last = reader.head()
        if last.seq and last.ts_us < moment.ts_us:
            ends = f"{path} ends before {short_time(moment.ts_us)}"
            click.echo(f"{ends}: its last command is seq {last.seq}, at {iso_time(last.ts_us)}", err=True)


_SECONDS_OF = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _duration_us(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,5})([smhd])", text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration; expected a number and s, m, h or d, such as 12h or 30d")
    return int(found[1]) * _SECONDS_OF[found[2]] * 1_000_000


DURATION_US = Parsed("duration", _duration_us)


def _instrument_id(text: str) -> str:
    """An id in small or capital letters; a decimal strike may have a full stop (0.625 for 0d625)."""
    return parse_instrument_id(_DECIMAL_POINT.sub("d", text.upper())).instrument_id


def _user_id(text: str) -> str:
    if re.match(NAME_PATTERN, text) is None:
        raise ValueError(f"{text!r} is not a user name; expected 1 to 64 letters, digits or _ . @ -")
    return text


def _asset(text: str) -> str:
    if re.fullmatch(ASSET_PATTERN, text.upper()) is None:
        raise ValueError(f"{text!r} is not an asset; expected 1 to 10 letters and digits, such as SOL")
    return text.upper()


def _moment(text: str) -> Moment:
    """A seq, or a time. A number is a time if it is one in the years 2000 to 2099, and a seq if it is smaller.

    `now` is the moment after the last command, whatever the exchange time.
    """
    if text.strip().lower() == "now":
        return Moment()
    if text.isascii() and text.isdigit() and not is_epoch(text):
        if int(text) > _SEQ_MAX:
            raise ValueError(f"{text} is too large for a sequence number, and no time in the years 2000 to 2099")
        return Moment(seq=int(text))
    return Moment(ts_us=parse_given_time_us(text))


def _series(text: str) -> Any:
    from exchange.runtime.rule_settings import parse_series

    return parse_series(text)


def _positive(noun: str, parse: Callable[[str], int]) -> Callable[[str], int]:
    """The parser `parse`, which names a negative number as such."""

    def checked(text: str) -> int:
        if NEGATIVE_NUMBER.fullmatch(text):
            raise ValueError(f"the {noun} must be positive, and {text} is not")
        return parse(text)

    return checked


class AmountCommand(click.Command):
    """A command with amounts as arguments. click would take a negative amount for an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.ignore_unknown_options = any(NEGATIVE_NUMBER.fullmatch(one) for one in args)
        return super().parse_args(ctx, args)


USDC = Parsed("usdc", parse_usdc)
PRICE = Parsed("usdc", _positive("price", parse_usdc))
CASH = Parsed("usdc", _positive("amount", parse_usdc))
SIZE = Parsed("contracts", _positive("size", parse_contracts))
CONTRACTS = Parsed("contracts", parse_contracts)
INSTRUMENT = Parsed("instrument", _instrument_id, completes="instrument")
ASSET = Parsed("asset", _asset, completes="asset")
EXPIRATION = Parsed("day", parse_expiration)
USER = Parsed("user", _user_id, completes="user")
TIME = Parsed("time", parse_given_time_us, f"; expected a time such as {FORMS}")
SERIES = Parsed("series", _series)
MOMENT = _MomentType("seq or time", _moment, f"; expected a sequence number such as 1234, or a time such as {FORMS}")


def regular_file(ctx: click.Context, param: click.Parameter, path: Path) -> Path:
    """Refuse a path that is not a regular file, and resolve a symbolic link to its target.

    Opening a device or a pipe as a journal could block for ever or leave files next to it. The lock, the archives and
    the snapshots of a journal are next to the link's target.
    """
    if os.path.exists(path) and not path.is_file():
        raise click.BadParameter(f"{path} is not a regular file; expected the path of a journal.", ctx, param)
    return path.resolve() if os.path.islink(path) else path


db_option = click.option(
    "--db",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=regular_file,
    default=DEFAULT_PATH,
    show_default=True,
    envvar="EXCHANGE_DB",
    show_envvar=True,
    # A moment is compared with the end of this journal.
    is_eager=True,
    help="Path of the journal file.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON with the protocol's integer units instead of text."
)
# Where the context of click keeps the key of --key-file.
KEY_OF_CONTEXT = "exchange.key"


def _read_key_file(ctx: click.Context, param: click.Parameter, file: Path | None) -> None:
    if file is None or ctx.resilient_parsing:
        return
    from exchange.keys.client_key import read_client_key
    from exchange.keys.key_file import KeyFileError

    try:
        ctx.meta[KEY_OF_CONTEXT] = read_client_key(file)
    except KeyFileError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}", ctx, param) from error


key_file_option = click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_read_key_file,
    expose_value=False,
    is_eager=True,
    envvar="EXCHANGE_KEY_FILE",
    show_envvar=True,
    help="File with the key to log in with, as `exchange account secret --out` writes it.  "
    "[default: the administrator's secret next to the journal]",
)


def _user_or_that_of_key(ctx: click.Context, param: click.Parameter, user_id: str | None) -> str | None:
    key = ctx.meta.get(KEY_OF_CONTEXT)
    if user_id is None and not ctx.resilient_parsing:
        if key is None:
            raise click.MissingParameter(ctx=ctx, param=param)
        return str(key.user_id)
    return user_id


_user_of_command = click.option(
    "--user",
    "user_id",
    type=USER,
    callback=_user_or_that_of_key,
    envvar="EXCHANGE_USER",
    show_envvar=True,
    help="User whose account the command uses.  [required, or that of --key-file]",
)


def user_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --user and --key-file."""
    return _user_of_command(key_file_option(command))


valid_until_option = click.option(
    "--valid-until",
    "valid_until_us",
    type=TIME,
    metavar="TIME",
    help="Refuse the request if it comes to the exchange after this time (docs/operations.md, Times).",
)
clock_start_option = click.option(
    "--clock-start",
    "clock_start_us",
    type=TIME,
    metavar="TIME",
    help="Start exchange time here (UTC), such as 2026-02-20T00:00:00Z. It then runs at normal speed. If the last "
    "recorded command is later, exchange time continues from that command.  [default: now]",
)
from_option = click.option(
    "--from",
    "start",
    type=MOMENT,
    metavar="SEQ|TIME",
    help="Begin here: sequence number or time (docs/operations.md, Times).  [default: the first command]",
)
to_option = click.option(
    "--to",
    "end",
    type=MOMENT,
    metavar="SEQ|TIME",
    help="End here: sequence number or time (docs/operations.md, Times).  [default: the last command]",
)

set_option = click.option(
    "--set",
    "settings",
    metavar="NAME=VALUE",
    multiple=True,
    help="Set one rule, such as market.index_age_max_s=30 or fees=deribit. Repeatable.",
)
series_option = click.option(
    "--series",
    type=SERIES,
    metavar="ASSET:SPACING[:STRIKES_EACH_SIDE[:TICK]]",
    multiple=True,
    help="List options on ASSET automatically, with this SPACING of strikes and this TICK in USDC, such as SOL:10. "
    "Replaces the series rule that ASSET had before. Repeatable.",
)


def refuse_given(options: Iterable[str], needed: str) -> None:
    """Raise a UsageError if one of `options` is on the command line: they have no effect without `needed`."""
    context = click.get_current_context()
    for param in context.command.params:
        given = context.get_parameter_source(param.name or "") is click.core.ParameterSource.COMMANDLINE
        if given and (option := next((one for one in param.opts if one in options), None)):
            raise click.UsageError(f"{option} needs {needed}: add it, or leave {option} out")


def command_line(arguments: str, path: Path) -> str:
    """The command line that runs `exchange ARGUMENTS` on the journal at `path`."""
    return f"exchange {arguments}" + ("" if path == DEFAULT_PATH else f" --db {path}")
