"""Processor time of commands that answer at once, compared with an interpreter that imports click.

A command that asks the running exchange is compared with its own `--help`: the answer should cost little more than the
start of the command.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.scale import Scale
from benchmarks.servers import running
from benchmarks.table import Goal, Row, median

RUNS = 15
GOAL = Goal(ratio=1.5, at_most=True)
_EXCHANGE = ("-m", "exchange.cli.main")
# Questions to the running exchange.
QUESTIONS = (
    ("order", "list", "--user", "alice"),
    ("account", "show", "alice"),
    ("ticker", "--asset", "SOL"),
    ("instrument", "list", "--asset", "SOL"),
    ("index", "show"),
    ("settlements",),
    ("state",),
)


def run(scale: Scale) -> list[Row]:
    """Return a row for each command: the ratio of two medians, which should be at most 1.5."""
    runs = scale.sized(RUNS)
    rows = [
        _row(f"exchange {option}", (*_EXCHANGE, option), "import click", ("-c", "import click"), runs)
        for option in ("--version", "--help")
    ]
    with tempfile.TemporaryDirectory() as folder:
        db = ("--db", str(Path(folder) / "exchange.db"))
        with running(*_EXCHANGE, "serve", "--demo", "--port", "0", *db):
            # The first login opens the account.
            _cpu_ms(*_EXCHANGE, "order", "cancel", "--all", "--user", "alice", *db)
            for question in QUESTIONS:
                words = tuple(word for word in question[:2] if word in ("list", "show") or word == question[0])
                name, helped = f"exchange {' '.join(words)}", (*_EXCHANGE, *words, "--help")
                rows.append(_row(name, (*_EXCHANGE, *question, *db), "its --help", helped, runs))
    return rows


def _row(name: str, measured: tuple[str, ...], reference_name: str, reference: tuple[str, ...], runs: int) -> Row:
    """Compare two commands, whose runs alternate."""
    measured_ms, reference_ms = [], []
    for _ in range(runs):
        reference_ms.append(_cpu_ms(*reference))
        measured_ms.append(_cpu_ms(*measured))
    note = f"user and system time, median of {runs} runs"
    return Row(name, median(measured_ms), "ms CPU", median(reference_ms), reference_name, GOAL, note)


def _cpu_ms(*arguments: str) -> float:
    """The user and system time of one interpreter, in milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1_000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
