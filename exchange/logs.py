"""The log of the exchange and its subprocesses: one line on standard error for each unusual event, with times in UTC.

Texts from outside cannot forge a line: control characters and line breaks in a message are written as escapes.
"""

import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import NamedTuple

from exchange.one_line import one_line

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")

# They pass the choice on to subprocesses.
_FORMAT_VARIABLE = "EXCHANGE_LOG_FORMAT"
_LEVEL_VARIABLE = "EXCHANGE_LOG_LEVEL"

_log = logging.getLogger(__name__)


class LogChoice(NamedTuple):
    """The form of the log, one of FORMATS, and its lowest level, one of LEVELS."""

    format: str = "text"
    level: str = "info"


def set_up_log(choice: LogChoice = LogChoice()) -> None:
    """Let this process and its subprocesses write their logs in this form."""
    os.environ[_FORMAT_VARIABLE], os.environ[_LEVEL_VARIABLE] = choice
    _install(choice)


def set_up_log_of_subprocess(variables: Mapping[str, str] = os.environ) -> None:
    """Let this subprocess write its log as its parent does. Only at level debug does it tell of usual events."""
    chosen, level = variables.get(_FORMAT_VARIABLE, "text"), variables.get(_LEVEL_VARIABLE, "info")
    _install(LogChoice(chosen, "warning" if level == "info" else level))
    sys.excepthook = _log_exception


def _install(choice: LogChoice) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if choice.format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=choice.level.upper())


def _log_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _log.critical("unexpected error", exc_info=(kind, error, trace))


class TextFormatter(logging.Formatter):
    """A line for people: time, level and message. The lines of a traceback follow, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one event."""
        line = f"{_time_of(record, 'seconds')} {record.levelname.lower():<8} {one_line(record.getMessage())}"
        return "\n    ".join([line, *map(one_line, self._traceback(record).splitlines())])

    def _traceback(self, record: logging.LogRecord) -> str:
        return self.formatException(record.exc_info) if record.exc_info else ""


class JsonFormatter(TextFormatter):
    """A line for programs: a JSON object with `time`, `level`, `logger`, `pid`, `message` and perhaps `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one event."""
        # Imported only here: each subprocess would start later.
        import json

        fields = {
            "time": _time_of(record, "milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if traceback := self._traceback(record):
            fields["traceback"] = traceback
        return json.dumps(fields)


def _time_of(record: logging.LogRecord, precision: str) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
