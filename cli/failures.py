"""Failures as a message for people, or with --json as one line of JSON on standard error."""

import logging
import sqlite3
from typing import IO, Any, NoReturn

import click
import msgspec

from exchange.cli.client import NoServerError, ServerError
from exchange.cli.names import UnknownNameError
from exchange.cli.output import UnreadableError, json_line, printable
from exchange.client.errors import CONNECTION
from exchange.domain.reasons import REFUSALS
from exchange.journal.errors import JournalError
from exchange.keys.key_file import KeyFileError
from exchange.logs import set_up_log
from exchange.outside_text import InputError

_log = logging.getLogger("exchange.cli")


class Failure(msgspec.Struct):
    """A failed command, as --json prints it.

    `code` is the error code of the exchange, None if another part of the program failed. `reason` is a stable word.
    `param` is the wrong argument or option, if there is one.
    """

    code: int | None
    reason: str
    param: str | None
    exit_code: int
    message: str


class _RefusedError(click.ClickException):
    """An error answer of the exchange, such as `error 1002: Insufficient balance: ...`."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.format_message(), file=file, err=True)


def report(error: Exception, wants_json: bool) -> NoReturn:
    """Raise the exception that tells a user of `error`, or print it as JSON and raise Exit."""
    shown, reason = _shown(error)
    # Files and clients chose parts of some messages. For type checkers, click's attribute is final.
    vars(shown)["message"] = printable(shown.message)
    if not wants_json:
        if shown is error:
            raise error
        raise shown from error
    failure = _failure(error, shown, reason)
    click.echo(json_line(failure), err=True)
    raise click.exceptions.Exit(failure.exit_code) from error


def _failure(error: Exception, shown: click.ClickException, reason: str) -> Failure:
    code, param = None, None
    if isinstance(error, ServerError):
        code, param = error.code, error.data.get("param")
    elif isinstance(error, UnknownNameError):
        code, param = REFUSALS[error.reason].code, error.param
    elif isinstance(error, click.BadParameter) and error.param is not None:
        is_option = error.param.param_type_name == "option"
        param = error.param.opts[0] if is_option else error.param.make_metavar(_context()).strip("[]")
    elif isinstance(error, click.BadParameter) and isinstance(error.param_hint, str):
        param = error.param_hint
    elif isinstance(error, click.NoSuchOption):
        param = error.option_name
    return Failure(code, reason, param, shown.exit_code, shown.format_message())


def _context() -> click.Context:
    return click.get_current_context()


def _shown(error: Exception) -> tuple[click.ClickException, str]:
    """The exception that tells a user of the failure, and its reason in a word."""
    match error:
        case ServerError():
            is_refusal = error.code != CONNECTION
            return (_RefusedError if is_refusal else click.ClickException)(str(error)), error.reason
        case click.UsageError():
            return error, "wrong_usage"
        case UnknownNameError():
            return error, error.reason.value
        case UnreadableError():
            return error, "unreadable"
        case click.ClickException():
            return error, "failed"
        case KeyFileError():
            return UnreadableError(printable(str(error))), "bad_key_file"
        case InputError():
            return UnreadableError(str(error)), "bad_input"
        case NoServerError():
            return click.ClickException(str(error)), "no_exchange"
        case JournalError():
            return click.ClickException(str(error)), error.reason
        case sqlite3.Error():
            text = f"the journal cannot be read ({error}): check the file and the disk"
            return click.ClickException(text), "bad_journal"
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return click.ClickException(f"{where}{error.strerror or error}"), "system_error"
        case _:
            set_up_log()
            _log.error("unexpected error", exc_info=error)
            text = f"unexpected error ({type(error).__name__}: {error}): please report it with the lines above"
            return click.ClickException(text), "unexpected_error"
