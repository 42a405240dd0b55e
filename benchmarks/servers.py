"""Servers to measure, each in its own process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Server(NamedTuple):
    """A server that runs."""

    url: str
    pid: int


@contextmanager
def running(*arguments: str) -> Iterator[Server]:
    """Run a Python program that first prints `listening on URL`, and end the program afterwards."""
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening on ").strip()
        assert url, f"the server did not start: {' '.join(arguments)}"
        yield Server(url, process.pid)
    finally:
        process.terminate()
        process.communicate()


def exchange_arguments(db: Path, *options: str) -> tuple[str, ...]:
    """The arguments of `running` for an exchange on this journal, without limits of the rate."""
    serve = ("-m", "exchange.cli.main", "serve", "--db", str(db), "--port", "0", "--demo", "--rate-limit", "0")
    return *serve, *options


def resident_bytes(pid: int) -> int:
    """The resident memory of one process, without its children."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
