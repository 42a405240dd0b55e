"""Draws charts: axes, lines that differ, and the file of a picture or a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    import altair

SUFFIXES = (".png", ".svg", ".html")
# Fewer points than this are also drawn as dots, because a single point makes no line.
FEW = 30
# The colours differ on a white ground, and in print; lines of the same colour differ by their dashes.
_LINE_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#e377c2")
_LINE_DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (6, 3), (2, 2), (10, 3, 2, 3))
# With more lines, two would look the same.
LINES_MAX = len(_LINE_COLOURS) * len(_LINE_DASHES)
_LEGEND_ROWS = 20
_PIXELS_PER_LETTER = 6

Row = Mapping[str, Any]


class Size(NamedTuple):
    """The size of the drawing without titles and legend, in pixels of a screen. A PNG has twice as many."""

    width: int = 900
    height: int = 420


def load_altair() -> Any:
    """The library that draws. Raises a ClickException if the extra is missing."""
    try:
        import altair
        import vl_convert  # noqa: F401 - altair needs it to draw
    except ImportError as error:
        raise click.ClickException(
            f"charts need the extra `charts` ({error}): pip install 'event-sourced-exchange[charts]'"
        ) from error
    return altair


def line_styles(count: int) -> list[tuple[str, tuple[int, ...]]]:
    """A colour and a dash for each line, all different. `count` is at most LINES_MAX."""
    colours = len(_LINE_COLOURS)
    return [(_LINE_COLOURS[n % colours], _LINE_DASHES[n // colours]) for n in range(count)]


def line_encodings(alt: Any, names: Sequence[str], field: str) -> dict[str, Any]:
    """Colour and dash of each line by its name, with one legend for both."""
    styles = line_styles(len(names))
    legend = alt.Legend(
        title=None,
        symbolType="stroke",
        symbolSize=400,
        symbolStrokeWidth=2,
        labelLimit=300,
        symbolLimit=0,
        columns=-(-len(names) // _LEGEND_ROWS) or 1,
    )
    return {
        "stroke": alt.Stroke(
            f"{field}:N", legend=legend, scale=alt.Scale(domain=list(names), range=[colour for colour, _ in styles])
        ),
        "strokeDash": alt.StrokeDash(
            f"{field}:N", legend=legend, scale=alt.Scale(domain=list(names), range=[list(dash) for _, dash in styles])
        ),
    }


def usdc_axis(alt: Any, rows: Sequence[Row], field: str) -> dict[str, Any]:
    """An axis of amounts. A single amount is placed in the middle, and labels are not rounded."""
    known = [row[field] for row in rows if row[field] is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    margin = 0 if low < high else abs(low) / 10 or 1
    scale = alt.Scale(domain=[low - margin, high + margin], nice=True, zero=False)
    return {"title": "USDC", "scale": scale, "axis": alt.Axis(format=",.6~f")}


def time_axis(alt: Any, first_us: int, last_us: int) -> Any:
    """An axis of UTC from the first to the last time. The date is below the first label and at each midnight."""
    if first_us == last_us:
        first_us, last_us = first_us - 500_000, last_us + 500_000
    scale = alt.Scale(type="utc", domain=[first_us / 1_000, last_us / 1_000], nice=False)
    axis = alt.Axis(labelExpr=_time_label(last_us - first_us), labelOverlap=True, labelFlush=False)
    return alt.X("time:T", title="UTC", scale=scale, axis=axis)


def _time_label(span_us: int) -> str:
    span_s = span_us / 1_000_000
    clock = "%H:%M:%S.%L" if span_s < 10 else "%H:%M:%S" if span_s < 600 else "%H:%M"
    time, date = f"utcFormat(datum.value, '{clock}')", "utcFormat(datum.value, '%Y-%m-%d')"
    is_midnight = "datum.value % 86400000 == 0"
    return f"datum.index == 0 || {is_midnight} ? [{time}, {date}] : {time}"


def save(drawing: altair.LayerChart | altair.Chart, title: str, out: Path, size: Size, below: str = "") -> None:
    """Write the drawing to a file of the kind that its name says. `below` is a line in small letters."""
    letters_max = size.width // _PIXELS_PER_LETTER
    shown = below if len(below) <= letters_max else f"{below[: letters_max - 1].rstrip(', ')}…"
    heading: Any = {"text": title, "anchor": "start"} | (
        {"subtitle": shown, "subtitleColor": "#555555"} if below else {}
    )
    finished = drawing.properties(width=size.width, height=size.height, title=heading)
    match out.suffix.lower():
        case ".png":
            finished.save(out, format="png", scale_factor=2)
        case ".svg":
            finished.save(out, format="svg")
        case _:
            # `inline` puts all scripts into the file, so that it works offline.
            finished.interactive().save(out, format="html", inline=True)
    click.echo(f"{out}: {title}")
    if below:
        click.echo(below)
