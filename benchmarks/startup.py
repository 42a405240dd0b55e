"""Processor time of `exchange --version`, compared with an interpreter that imports click."""

import resource
import subprocess
import sys

from benchmarks.table import Row, median

RUNS = 31
WANTED = 1.5


def run() -> list[Row]:
    """Return one row: the ratio of the medians, which should be at most 1.5. The runs alternate."""
    version_ms, click_ms = [], []
    for _ in range(RUNS):
        click_ms.append(_cpu_ms("-c", "import click"))
        version_ms.append(_cpu_ms("-m", "exchange.cli.main", "--version"))
    figure, reference = median(version_ms), median(click_ms)
    return [
        Row(
            "exchange --version",
            f"{figure:.0f} ms CPU",
            f"import click {reference:.0f} ms",
            figure / reference,
            WANTED,
            f"user and system time, median of {RUNS} runs",
            at_most=True,
        )
    ]


def _cpu_ms(*arguments: str) -> float:
    """The user and system time of one interpreter, in milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1_000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
