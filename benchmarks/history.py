"""Questions about the past: CPU seconds, rows and memory of each, on 10,000 and on 1,000,000 commands.

    python -m benchmarks.history [--markdown] [--only TEXT] [--limit SECONDS]

The journals of a live market are built once and kept in the folder that the environment variable HISTORY_FOLDER names
(default: a folder in the user's cache). HISTORY_COMMANDS is the size of the larger one.
"""

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from benchmarks.history_questions import Question, commands, cookbook, moments, names_of, present, views
from benchmarks.live_journal import build
from benchmarks.scale import Scale
from benchmarks.table import Goal, Row, show
from exchange.history.sql import SqlError, SqlSession
from exchange.journal.errors import JournalError

SMALL = 10_000
LARGE = int(os.environ.get("HISTORY_COMMANDS", "1000000"))
LIMIT_SECONDS = 60.0
# Moments at these shares of the commands.
MOMENTS_PERCENT = (10, 50, 99.5)


class Measured(NamedTuple):
    """One question on one journal. `sql_seconds` is the CPU of SQLite alone; None: not measured, or not possible.

    `failure` is empty, or says why there is no answer.
    """

    cpu_seconds: float
    wall_seconds: float
    rows: int
    memory_mib: float
    sql_seconds: float | None
    failure: str


class Result(NamedTuple):
    """A question with its measurement on the small and on the large journal."""

    question: Question
    small: Measured
    large: Measured

    @property
    def is_met(self) -> bool | None:
        """Whether the large journal meets the goals; None if the question has none."""
        cpu_goal, sql_goal = self.question.cpu_goal, self.question.sql_goal
        if cpu_goal is None and sql_goal is None:
            return None
        is_quick = cpu_goal is None or self.large.cpu_seconds <= cpu_goal
        sql_seconds = self.large.sql_seconds
        return (
            not self.large.failure and is_quick and (sql_goal is None or sql_seconds is None or sql_seconds <= sql_goal)
        )


def run(_scale: Scale) -> list[Row]:
    """Return a row for each question: its CPU time on the large journal and on the small one."""
    return [_row(result) for result in measure(LIMIT_SECONDS, "")]


def _row(result: Result) -> Row:
    question, small, large = result
    note = large.failure or f"{large.rows:,} rows, {large.memory_mib:.0f} MiB"
    if large.sql_seconds is not None:
        note += f", SQL {large.sql_seconds * 1000:.1f} ms"
    goal = Goal(figure=question.cpu_goal, at_most=True)
    return Row(question.name, large.cpu_seconds, "s", small.cpu_seconds, f"on {SMALL:,} commands", goal, note)


def measure(limit_seconds: float, only: str) -> Iterator[Result]:
    """Yield the result of each question whose name contains `only`; a question is stopped at the limit of its CPU."""
    folder = history_folder()
    try:
        small, large = journal_of(folder, SMALL), journal_of(folder, LARGE)
    except JournalError as error:
        # The other benchmarks go on.
        sys.stderr.write(f"warning: no questions about the past are measured: {error}; delete it to build it anew\n")
        return
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        for of_small, of_large in zip(_questions(small, temporary), _questions(large, temporary), strict=True):
            if only in of_large.name:
                yield Result(
                    of_large,
                    _ask(small, of_small, limit_seconds, temporary),
                    _ask(large, of_large, limit_seconds, temporary),
                )


def history_folder() -> Path:
    """The folder of the journals."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = Path(os.environ.get("HISTORY_FOLDER", cache / "event-sourced-exchange" / "benchmarks"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def journal_of(folder: Path, size: int) -> Path:
    """The journal with this many commands in `folder`. Builds it if it is missing.

    Raises JournalError if it cannot be read, for example because another version of the program wrote it.
    """
    path = folder / f"commands-{size}" / "exchange.db"
    if not path.exists():
        building = folder / f"building-{size}"
        shutil.rmtree(building, ignore_errors=True)
        # It gets its name when it is complete.
        building.mkdir()
        sys.stderr.write(f"building a journal of {size:,} commands in {path.parent}\n")
        build(building / path.name, size)
        building.rename(path.parent)
    # The first question must not pay for the history of all others.
    with SqlSession(path):
        return path


def _questions(path: Path, temporary: str) -> Iterator[Question]:
    names = names_of(path)
    past = chain.from_iterable(moments(names_of(path, percent)) for percent in MOMENTS_PERCENT)
    return chain(commands(names, Path(temporary)), past, present(names), views(names), cookbook())


def _ask(path: Path, question: Question, limit_seconds: float, temporary: str) -> Measured:
    arguments = list(question.arguments) or ["sql", "--csv", question.sql]
    if question.arguments != ("--version",):
        arguments += ["--db", str(path)]
    for left in Path(temporary).iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()
    sql_seconds = _sql_seconds(path, question.sql, limit_seconds) if question.sql else None
    output = Path(temporary) / "output"
    with output.open("wb") as file:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "exchange.cli.main", *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=_limit_cpu(limit_seconds),
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_seconds = time.perf_counter() - began
    process.returncode = code = os.waitstatus_to_exitcode(status)
    cpu_seconds = usage.ru_utime + usage.ru_stime
    lines = output.read_bytes().splitlines()
    failure = ""
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        failure = f"stopped after {limit_seconds:g} s"
    elif code:
        failure = lines[-1].decode(errors="replace")[:80] if lines else f"exit code {code}"
    rows = max(len(lines) - 1, 0) if question.sql else len(lines)
    return Measured(cpu_seconds, wall_seconds, rows, usage.ru_maxrss / 1024, sql_seconds, failure)


def _limit_cpu(seconds: float) -> Callable[[], None]:
    whole = int(seconds) + 1

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))

    return limit


def _sql_seconds(path: Path, sql: str, limit_seconds: float) -> float | None:
    """CPU seconds of the query in this process; None if it fails or takes longer than the limit."""
    with SqlSession(path) as session:
        began = time.process_time()
        session.run("SELECT 1").connection.set_progress_handler(
            lambda: int(time.process_time() - began > limit_seconds), 100_000
        )
        try:
            for _ in session.rows(session.run(sql)):
                pass
        except (SqlError, KeyboardInterrupt):
            return None
        return time.process_time() - began


def markdown(results: Iterable[Result]) -> Iterator[str]:
    """Yield the lines of the table of docs/performance.md."""
    yield f"| question | CPU, {SMALL:,} | {LARGE:,} | SQL, {SMALL:,} | {LARGE:,} | rows | memory | goal | met |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---|"
    yield from map(_markdown_row, results)


def _markdown_row(result: Result) -> str:
    question, small, large = result
    goal = "-" if question.cpu_goal is None else f"{question.cpu_goal:g} s"
    if question.sql_goal is not None:
        goal += f", SQL {question.sql_goal * 1000:g} ms"
    met = {None: "-", True: "yes", False: "**no**"}[result.is_met]
    cells = (
        question.name,
        f"{small.cpu_seconds:.2f} s",
        large.failure if large.failure.startswith("stopped") else f"{large.cpu_seconds:.2f} s",
        _milliseconds(small.sql_seconds),
        _milliseconds(large.sql_seconds),
        f"{large.rows:,}",
        f"{large.memory_mib:.0f} MiB",
        goal,
        met if not large.failure or large.failure.startswith("stopped") else f"{met} ({large.failure})",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/performance.md")
    parser.add_argument("--only", default="", help="ask only questions whose name contains this text")
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, help="stop a question after this CPU time")
    parsed = parser.parse_args()
    if parsed.markdown:
        for line in markdown(measure(parsed.limit, parsed.only)):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    else:
        show([_row(result) for result in measure(parsed.limit, parsed.only)])


if __name__ == "__main__":
    main()
