"""Writes the figures of the benchmarks into docs/performance.md, and the picture of an order's path next to it.

Both tables of the page are between two markers. A row with the same name is replaced, and other rows stay, so that the
figures of one benchmark can be measured anew.
"""

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.stages import STAGES
from benchmarks.table import COLUMNS, Row, number
from exchange.cli.chart_drawing import Drawing, Size, load_altair, save
from exchange.compiled import WHY_PURE

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
PICTURE = "order-path.svg"
FIGURES = ("<!-- figures: python -m benchmarks --markdown -->", "<!-- end of figures -->")
PATH = ("<!-- order path: python -m benchmarks where --markdown -->", "<!-- end of order path -->")
# Rows of stages: `where: apply`.
STAGE_PREFIX = "where: "
WHOLE = f"{STAGE_PREFIX}main thread"
_RIGHT = ("figure", "reference", "ratio")
_PICTURE_SIZE = Size(900, 70)


def write(rows: Sequence[Row], page: Path = PAGE) -> None:
    """Update the page, and the picture if the stages were measured."""
    text = page.read_text(encoding="utf-8")
    figures = [row for row in rows if not row.name.startswith(STAGE_PREFIX)]
    stages = {row.name.removeprefix(STAGE_PREFIX): row for row in rows if row.name.startswith(STAGE_PREFIX)}
    if figures:
        text = _replaced(text, FIGURES, _figure_table(figures, _between(text, FIGURES)))
    if stages:
        text = _replaced(text, PATH, stage_table(stages))
        draw(stages, page.with_name(PICTURE))
    page.write_text(text, encoding="utf-8")


def _between(text: str, markers: tuple[str, str]) -> list[str]:
    _, begin, rest = text.partition(markers[0])
    assert begin and markers[1] in rest, f"the page has no {markers[0]}"
    return rest.partition(markers[1])[0].strip().splitlines()


def _replaced(text: str, markers: tuple[str, str], lines: Iterable[str]) -> str:
    before, _, rest = text.partition(markers[0])
    return "\n".join([before + markers[0], "", *lines, "", markers[1]]) + rest.partition(markers[1])[2]


def _figure_table(rows: Iterable[Row], old: list[str]) -> list[str]:
    """The table with the new rows in place of those with the same names. A new name comes last."""
    lines = {line.split("|")[1].strip(): line for line in old if line.startswith("| ") and "---" not in line}
    lines.pop(COLUMNS[0], None)
    for row in rows:
        line = "| " + " | ".join(cell.replace("|", "\\|") for cell in row.cells()) + " |"
        lines[row.name] = line
    head = ["| " + " | ".join(COLUMNS) + " |"]
    head += ["|" + "|".join("---:" if name in _RIGHT else "---" for name in COLUMNS) + "|"]
    return [_machine(), "", *head, *lines.values()]


def _machine() -> str:
    now = datetime.now(UTC)
    busy = os.getloadavg()[0]
    kind = "plain Python" if WHY_PURE else "compiled"
    return (
        f"The last rows were written on {now:%Y-%m-%d} with Python {platform.python_version()} ({kind}) on "
        f"{os.cpu_count()} cores, at a load of {busy:.1f}."
    )


def stage_table(stages: dict[str, Row]) -> list[str]:
    """The stages of an order, in their order, and the whole main thread."""
    whole = stages["main thread"]
    assert whole.figure
    lines = ["| stage | µs of the main thread | share |", "|---|---:|---:|"]
    for name in STAGES:
        figure = stages[name].figure or 0
        lines.append(f"| {name} | {figure:.1f} | {100 * figure / whole.figure:.0f} % |")
    lines.append(f"| the whole main thread | {number(whole.figure)} | 100 % |")
    return [*lines, "", f"{whole.note}."]


def draw(stages: dict[str, Row], out: Path) -> None:
    """Draw the stages as one bar, in their order. Raises a ClickException if the extra for charts is missing."""
    alt = load_altair()
    names = [f"{name} {stages[name].figure or 0:.1f}" for name in STAGES]
    rows = [
        {"stage": label, "us": stages[name].figure or 0, "place": place}
        for place, (name, label) in enumerate(zip(STAGES, names, strict=True))
    ]
    legend = alt.Legend(title=None, orient="bottom", columns=4, labelLimit=300, symbolType="square")
    chart = (
        alt.Chart(alt.NamedData("stages"))
        .mark_bar(stroke="white", strokeWidth=1)
        .encode(
            x=alt.X("us:Q", title="µs of the main thread for one durable order", scale=alt.Scale(nice=False)),
            color=alt.Color("stage:N", legend=legend, scale=alt.Scale(domain=names, scheme="tableau20"), sort=names),
            order=alt.Order("place:Q"),
        )
    )
    save(Drawing(chart, {"stages": rows}), "The path of an order", out, _PICTURE_SIZE)
