"""Draws charts: axes, lines that differ, and the file of a picture or a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from exchange.domain.units import US_PER_SECOND

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
# The label of a time in milliseconds: a date at midnight, otherwise as much of the time as is not zero.
_TIME_LABEL = (
    "utcFormat(datum.value, datum.value % 86400000 == 0 ? '%Y-%m-%d' : datum.value % 60000 == 0 ? '%H:%M' "
    ": datum.value % 1000 == 0 ? '%H:%M:%S' : '%H:%M:%S.%L')"
)
_PIXELS_PER_LETTER = 6
# Labels of times are about this far apart, so that all fit.
_PIXELS_PER_TIME = 90
# Letters of names that the command prints.
_LETTERS_TOLD = 500

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


def time_axis(alt: Any, first_us: int, last_us: int, width: int) -> Any:
    """An axis of UTC from the first to the last time. Its title has the dates, and so has each midnight."""
    dates = [datetime.fromtimestamp(ts_us / US_PER_SECOND, UTC).date() for ts_us in (first_us, last_us)]
    title = f"UTC, {dates[0]}" + (f" to {dates[1]}" if dates[1] > dates[0] else "")
    if first_us == last_us:
        first_us, last_us = first_us - 5 * US_PER_SECOND, last_us + 5 * US_PER_SECOND
    scale = alt.Scale(type="utc", domain=[first_us / 1_000, last_us / 1_000], nice=False)
    return alt.X(
        "time:T",
        title=title,
        scale=scale,
        axis=alt.Axis(labelExpr=_TIME_LABEL, tickCount=-(-width // _PIXELS_PER_TIME)),
    )


def names_that_fit(names: Sequence[str], letters_max: int) -> str:
    """The first names, at least one, and how many more there are."""
    shown = 1
    while shown < len(names) and len(", ".join(names[: shown + 1])) <= letters_max:
        shown += 1
    more = f" and {len(names) - shown:,} more" if shown < len(names) else ""
    return ", ".join(names[:shown]) + more


class Drawing(NamedTuple):
    """A chart of altair and the rows of its data by name. altair would copy and validate each row several times."""

    chart: altair.LayerChart | altair.Chart
    data: dict[str, list[dict[str, Any]]]


def save(drawing: Drawing, title: str, out: Path, size: Size, omitted: Sequence[str] = ()) -> None:
    """Write the drawing to a file of the kind that its name says. `omitted` are the users that are not drawn."""
    note = "Moved less, not drawn: "
    letters_max = size.width // _PIXELS_PER_LETTER - len(note)
    heading: Any = {"text": title, "anchor": "start"}
    if omitted:
        heading |= {"subtitle": note + names_that_fit(omitted, letters_max), "subtitleColor": "#555555"}
    is_page = out.suffix.lower() == ".html"
    chart = drawing.chart.interactive() if is_page else drawing.chart
    finished = chart.properties(width=size.width, height=size.height, title=heading)
    out.write_bytes(_rendered(finished.to_dict() | {"datasets": drawing.data}, out.suffix.lower()))
    click.echo(f"{out}: {title}")
    if omitted:
        click.echo(note + names_that_fit(omitted, _LETTERS_TOLD))


def _rendered(specification: dict[str, Any], suffix: str) -> bytes:
    import vl_convert

    match suffix:
        case ".png":
            return vl_convert.vegalite_to_png(specification, scale=2)
        case ".svg":
            return vl_convert.vegalite_to_svg(specification).encode()
        case _:
            # `bundle` puts all scripts into the file, so that it works offline.
            return vl_convert.vegalite_to_html(specification, bundle=True).encode()
