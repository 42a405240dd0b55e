"""Helpers that run the command line in this process, and servers and terminals as processes of their own."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from click.testing import CliRunner, Result

from exchange.cli.main import main

ROOT = Path(__file__).parent.parent
# Time limit for output that normally comes at once.
PATIENCE_SECONDS = 30.0
# An option in the demo market at CLOCK_START.
CALL = "SOL_USDC-28FEB26-150-C"
CLOCK_START = "2026-02-27T09:00:00Z"


def exchange(*arguments: object) -> Result:
    """Run `exchange ARGUMENTS` in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="exchange")


def said(result: Result) -> str:
    """Standard output of a successful command."""
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def said_json(result: Result) -> Any:
    """The JSON that a successful command printed in one line."""
    text = said(result)
    assert text.count("\n") == 1 and text.endswith("\n")
    return json.loads(text)


def complained(result: Result, exit_code: int = 1) -> str:
    """Standard error of a failed command. Checks the exit code, the empty output, and that there is no traceback."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "exchange.cli.main", *map(str, arguments)]


def environment() -> dict[str, str]:
    """The environment of this process, without variables that change the output of commands."""
    ignored = ("EXCHANGE_DB", "EXCHANGE_USER", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    return {name: value for name, value in os.environ.items() if name not in ignored} | {
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm",
    }


class Server:
    """`exchange serve` as a process, on a free port. A context manager; the server listens after entering it."""

    def __init__(self, path: Path, *options: object) -> None:
        self.path = path
        self._options = options
        self._errors = path.with_suffix(".stderr")

    def __enter__(self) -> Self:
        with self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                command("serve", "--db", self.path, "--port", 0, *self._options),
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.first_line = self._read_line()
        assert self.first_line.startswith("listening on "), self.errors
        self.url = self.first_line.removeprefix("listening on ").rstrip("\n")
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def errors(self) -> str:
        """Standard error of the process so far."""
        return self._errors.read_text()

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Stop the process with a signal; returns its exit code and the rest of its standard output."""
        assert self.process.stdout is not None
        self.process.send_signal(number)
        exit_code = self.process.wait(PATIENCE_SECONDS)
        return exit_code, self.process.stdout.read().decode()

    def _read_line(self) -> str:
        """Read the first line. Later output stays in the buffer of the pipe, for `stop`."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_SECONDS)
        assert ready, "the server says nothing"
        return self.process.stdout.readline().decode()


class Terminal:
    """A command in its own terminal. A context manager; `wait_for` reads until a text was shown."""

    def __init__(self, *arguments: object) -> None:
        self._arguments = arguments
        self.shown = ""

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command(*self._arguments), env=environment(), stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        os.close(self._ours)

    def wait_for(self, text: str) -> None:
        """Read until `text` was shown, and discard everything up to it."""
        while text not in self.shown:
            ready, _, _ = select.select([self._ours], [], [], PATIENCE_SECONDS)
            assert ready, f"{text!r} was not shown, but {self.shown!r}"
            try:
                self.shown += os.read(self._ours, 65536).decode(errors="replace")
            except OSError as error:  # the other side is closed
                raise AssertionError(f"{text!r} was not shown, but {self.shown!r}") from error
        self.shown = self.shown.partition(text)[2]

    def type(self, text: str) -> None:
        """Send text as if it was typed."""
        os.write(self._ours, text.encode())

    def interrupt(self) -> int:
        """Press Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_SECONDS)
