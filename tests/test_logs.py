"""The log: its forms, and that texts from outside cannot forge a line or control a terminal."""

import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exchange.logs import JsonFormatter, TextFormatter
from exchange.one_line import one_line
from tests.cli_support import Server, command, environment

HOSTILE = "a\x1b[31m\x9b2J\n2026-02-20T00:00:00Z error    forged\r\u202e\u2028\udc80é"
ESCAPED = r"a\x1b[31m\x9b2J\n2026-02-20T00:00:00Z error    forged\r\u202e\u2028\udc80é"


def record(*arguments: object, error: Exception | None = None) -> logging.LogRecord:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    made = logging.LogRecord("exchange.test", logging.WARNING, "file.py", 1, "user %s", arguments, exc_info)
    made.created = 1_771_545_600.25
    return made


def test_a_hostile_text_becomes_one_line_of_printable_characters() -> None:
    assert one_line(HOSTILE) == ESCAPED
    assert ESCAPED.isprintable() and one_line("plain é 漢") == "plain é 漢"


def test_the_text_form_escapes_the_message_and_indents_the_traceback() -> None:
    assert TextFormatter().format(record(HOSTILE)) == f"2026-02-20T00:00:00Z warning  user {ESCAPED}"
    lines = TextFormatter().format(record("x", error=ValueError(HOSTILE))).split("\n")
    assert len(lines) > 1 and all(line.startswith("    ") and line.isprintable() for line in lines[1:])


def test_the_json_form_is_one_line_with_the_time_in_utc() -> None:
    line = JsonFormatter().format(record(HOSTILE, error=ValueError(HOSTILE)))
    assert line.isprintable() and line.isascii()
    found = json.loads(line)
    assert found.pop("pid") > 0
    assert HOSTILE in found.pop("traceback")
    assert found == {
        "time": "2026-02-20T00:00:00.250Z",
        "level": "warning",
        "logger": "exchange.test",
        "message": f"user {HOSTILE}",
    }


@pytest.mark.parametrize(
    ("variables", "written"),
    [
        ({}, r"\S+Z error    (failed\\x1b)\n"),
        ({"EXCHANGE_LOG_FORMAT": "json"}, r'\{"time": "\S+Z", "level": "error", .*, "message": "(failed\\u001b)"\}\n'),
        ({"EXCHANGE_LOG_LEVEL": "debug"}, r"\S+Z debug    usual\n\S+Z error    (failed\\x1b)\n"),
    ],
)
def test_a_subprocess_writes_as_its_parent_does(variables: dict[str, str], written: str) -> None:
    program = (
        "import logging; from exchange.inside_subprocess import end_with, set_up_subprocess; set_up_subprocess();"
        "logging.getLogger('exchange').debug('usual'); end_with('failed\\x1b')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment() | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(written, done.stderr), done.stderr


def entries(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_a_server_writes_all_events_as_json_also_its_failure(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    with Server(path, "--log-format", "json") as server:
        second = subprocess.run(
            command("serve", "--db", path, "--port", 0, "--log-format", "json", "--log-level", "warning"),
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        *_, failure = entries(second.stderr)
        assert (second.returncode, failure["exit_code"]) == (1, 1)
        assert "is in use by process" in failure["message"]
        assert server.stop()[0] == 0
        found = entries(server.errors)
    assert found[-1]["message"].startswith("stopped at seq ")
    assert {entry["level"] for entry in found} == {"info"}
