"""Report of a benchmark: a figure, the reference measured in the same run, their ratio, and the goal."""

import json
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Goal(NamedTuple):
    """Bounds of the ratio and of the figure; None: no such bound."""

    ratio: float | None = None
    figure: float | None = None
    at_most: bool = False


NO_GOAL = Goal()


class Row(NamedTuple):
    """One figure. It is None if it was not measured; `note` then says why."""

    name: str
    figure: float | None
    unit: str
    reference: float | None = None
    reference_name: str = ""
    goal: Goal = NO_GOAL
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """figure / reference."""
        return self.figure / self.reference if self.figure is not None and self.reference else None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met; None without a goal or a figure."""
        bounds = [(self.ratio, self.goal.ratio), (self.figure, self.goal.figure)]
        wanted = [(value, bound) for value, bound in bounds if bound is not None]
        if not wanted or self.figure is None:
            return None
        if self.goal.at_most:
            return all(value is not None and value <= bound for value, bound in wanted)
        return all(value is not None and value >= bound for value, bound in wanted)

    @property
    def goal_text(self) -> str:
        """Such as `ratio ≥ 0.6, ≥ 100,000 commands/s`."""
        sign = "≤" if self.goal.at_most else "≥"
        bounds = [] if self.goal.ratio is None else [f"ratio {sign} {self.goal.ratio:g}"]
        bounds += [] if self.goal.figure is None else [f"{sign} {number(self.goal.figure)} {self.unit}"]
        return ", ".join(bounds) or "-"

    def cells(self) -> tuple[str, ...]:
        """The row as texts, in the order of `COLUMNS`."""
        figure = "-" if self.figure is None else f"{number(self.figure)} {self.unit}"
        reference = self.reference_name
        if self.reference is not None:
            reference = f"{number(self.reference)}, {reference}"
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}"
        met = {None: "-", True: "yes", False: "no"}[self.is_met]
        return self.name, figure, reference or "-", ratio, self.goal_text, met, self.note


COLUMNS = ("benchmark", "figure", "reference", "ratio", "goal", "met", "note")


def skipped(name: str, why: str) -> Row:
    """The row of a benchmark that cannot be measured here."""
    return Row(name, None, "", note=f"skipped: {why}")


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def number(value: float) -> str:
    """A figure with about three digits."""
    size = abs(value)
    return f"{value:,.{0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2}f}"


def show(rows: Sequence[Row]) -> None:
    """Print the table, and the notes below it."""
    table = Table(*COLUMNS[:-1])
    notes = []
    for row in rows:
        *cells, note = row.cells()
        table.add_row(*cells)
        notes += [f"{row.name}: {note}"] if note else []
    console = Console()
    console.print(table)
    for text in notes:
        console.print(text, highlight=False, markup=False)


def as_json(rows: Iterable[Row]) -> str:
    """The rows as a JSON array."""
    return json.dumps(
        [row._asdict() | {"goal": row.goal_text, "ratio": row.ratio, "met": row.is_met} for row in rows],
        ensure_ascii=False,
        indent=2,
    )
