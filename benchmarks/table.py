"""Report of a benchmark: a figure, the reference measured in the same run, and their ratio."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Row(NamedTuple):
    """One figure. `ratio` is figure / reference (None: not measured); `wanted` is its goal, see `at_most`."""

    name: str
    figure: str
    reference: str
    ratio: float | None
    wanted: float
    note: str = ""
    at_most: bool = False


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table("benchmark", "figure", "reference", "ratio", "wanted", "note")
    for row in rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        wanted = f"{'at most' if row.at_most else 'at least'} {row.wanted:g}"
        table.add_row(row.name, row.figure, row.reference, ratio, wanted, row.note)
    Console().print(table)
