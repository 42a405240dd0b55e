"""`exchange chart`: charts of a journal, as a PNG picture or an HTML page with zoom."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exchange.amounts import short_time
from exchange.cli.current_views import read_views, require_instrument, require_user
from exchange.cli.options import INSTRUMENT, MOMENT, USER, db_option, from_option, to_option
from exchange.cli.progress import ReplayBar
from exchange.domain.units import MICROS_PER_USDC, MILLI_PER_CONTRACT
from exchange.history.chart_data import DepthStep, depths, latencies, prices, profits
from exchange.history.moment import Moment, span

if TYPE_CHECKING:
    import altair

_WIDTH, _HEIGHT = 900, 420
# More trades than this would overlap in the picture.
_TRADES_MAX = 20_000
# Areas of the dots in square pixels: visible, but not hiding the lines.
_DOT_SIZES = [6, 90]
# Fewer points than this are also drawn as dots, because a single point makes no line.
_FEW = 30
# The fraction of the width by which the outermost step of each side is extended.
_OUTER = 0.03
_COLOURS = {"bid": "#2a9d5c", "ask": "#d1495b"}
_INDEX_COLOUR = "#777777"


def _out_file(ctx: click.Context, param: click.Parameter, path: Path) -> Path:
    if path.suffix.lower() not in (".png", ".html"):
        raise click.BadParameter(
            f"{path} is neither a picture nor a page; expected a name that ends with .png or .html.", ctx, param
        )
    return path


_out_option = click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_out_file,
    required=True,
    metavar="FILE.png|.html",
    help="Write the chart to this file. An existing file is replaced.",
)


@click.group()
def chart() -> None:
    """Draw charts of recorded data. Needs the extra `charts`: pip install 'event-sourced-exchange[charts]'."""


@chart.command()
@click.argument("instrument_id", metavar="INSTRUMENT", type=INSTRUMENT)
@from_option
@to_option
@db_option
@_out_option
def price(instrument_id: str, start: Moment | None, end: Moment | None, path: Path, out: Path) -> None:
    """Draw trades, best bid and ask, and index price over time.

    \b
    Example:
      exchange chart price SOL_USDC-28FEB26-150-C --out price.png
    """
    alt = _altair()
    require_instrument(read_views(path), instrument_id, path)
    with ReplayBar() as bar:
        found = prices(path, instrument_id, *span(path, start, end), bar)
    stride = -(-len(found.trades) // _TRADES_MAX) or 1
    drawn = found.trades[::stride]
    lines = [
        {"time": quote.ts_us / 1_000, "side": side, "price": price_micros and price_micros / MICROS_PER_USDC}
        for quote in found.quotes
        for side, price_micros in (("bid", quote.bid_micros), ("ask", quote.ask_micros))
    ]
    dots = [
        {
            "time": trade.ts_us / 1_000,
            "side": trade.taker_side,
            "price": trade.price_micros / MICROS_PER_USDC,
            "contracts": trade.size_milli / MILLI_PER_CONTRACT,
            "trade": trade.trade_id,
        }
        for trade in drawn
    ]
    colour = alt.Color("side:N", title=None, scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())))
    axes = {"x": _time(alt, lines), "y": alt.Y("price:Q", **_usdc(alt, lines + dots, "price")), "color": colour}
    quotes = (
        alt.Chart(alt.InlineData(lines))
        .mark_line(interpolate="step-after", strokeWidth=1, point=len(found.quotes) < _FEW)
        .encode(**axes)
    )
    trades = (
        alt.Chart(alt.InlineData(dots))
        .mark_circle(opacity=0.6)
        .encode(
            **axes,
            size=alt.Size("contracts:Q", title="contracts", scale=alt.Scale(range=_DOT_SIZES)),
            tooltip=["trade:Q", "price:Q", "contracts:Q", "side:N"],
        )
    )
    count = f"{len(found.trades):,} {'trade' if len(found.trades) == 1 else 'trades'}" + (
        f", one in {stride} drawn" if stride > 1 else ""
    )
    drawing = alt.layer(quotes, trades)
    if found.index_prices:
        rows = [{"time": at.ts_us / 1_000, "index": at.price_micros / MICROS_PER_USDC} for at in found.index_prices]
        index = (
            alt.Chart(alt.InlineData(rows))
            .mark_line(interpolate="step-after", strokeWidth=1, strokeDash=[4, 3], color=_INDEX_COLOUR)
            .encode(x=axes["x"], y=alt.Y("index:Q", title="index, USDC", scale=alt.Scale(zero=False)))
        )
        drawing = alt.layer(drawing, index).resolve_scale(y="independent")
        count += ", index dashed"
    _save(drawing, f"{instrument_id}: best bid and ask, {count} (colour: the taker's side)", out)


@chart.command()
@click.argument("instrument_id", metavar="INSTRUMENT", type=INSTRUMENT)
@click.option(
    "--at",
    "moment",
    type=MOMENT,
    default=Moment(),
    metavar="SEQ|TIME",
    help="Sequence number or time (docs/operations.md, Times).  [default: now]",
)
@db_option
@_out_option
def depth(instrument_id: str, moment: Moment, path: Path, out: Path) -> None:
    """Draw an order book: the cumulative size up to each price.

    \b
    Example:
      exchange chart depth SOL_USDC-28FEB26-150-C --at 5000 --out depth.html
    """
    alt = _altair()
    require_instrument(read_views(path), instrument_id, path)
    with ReplayBar() as bar:
        found = depths(path, instrument_id, moment, bar)
    rows = [
        {"side": step.side, "price": price_micros / MICROS_PER_USDC, "contracts": step.total_milli / MILLI_PER_CONTRACT}
        for step, price_micros in _with_outer_ends(found.steps)
    ]
    area = alt.Chart(alt.InlineData(rows)).encode(
        x=alt.X("price:Q", **_usdc(alt, rows, "price")),
        y=alt.Y("contracts:Q", title="contracts at this price or better"),
        color=alt.Color("side:N", title=None, scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values()))),
        tooltip=["side:N", "price:Q", "contracts:Q"],
    )
    # The cumulative size is constant up to the next worse price: to the right for asks, to the left for bids.
    bids = area.mark_area(interpolate="step-before", opacity=0.5, line=True).transform_filter("datum.side == 'bid'")
    asks = area.mark_area(interpolate="step-after", opacity=0.5, line=True).transform_filter("datum.side == 'ask'")
    _save(
        alt.layer(bids, asks),
        f"{instrument_id} at seq {found.seq}, {short_time(found.ts_us)}" + ("" if rows else ": empty"),
        out,
    )


def _with_outer_ends(steps: list[DepthStep]) -> list[tuple[DepthStep, float]]:
    """Each step with its price. The outermost step of each side is repeated further out, to give it an area."""
    prices_micros = [step.price_micros for step in steps]
    reach_micros = _OUTER * ((max(prices_micros) - min(prices_micros)) or max(prices_micros)) if steps else 0
    drawn = [(step, float(step.price_micros)) for step in steps]
    for side, outwards in (("bid", -1), ("ask", 1)):
        if side_steps := [step for step in steps if step.side == side]:
            drawn.append((side_steps[-1], side_steps[-1].price_micros + outwards * reach_micros))
    return drawn


@chart.command()
@click.option(
    "--user", "users", type=USER, multiple=True, help="Draw only this user. Repeatable.  [default: all users]"
)
@from_option
@to_option
@db_option
@_out_option
def pnl(users: tuple[str, ...], start: Moment | None, end: Moment | None, path: Path, out: Path) -> None:
    """Draw profit and loss of users over time, after fees.

    Profit is realised (also by settlements) plus unrealised.

    \b
    Example:
      exchange chart pnl --user alice --user bob --out pnl.png
    """
    alt = _altair()
    views = read_views(path)
    for user_id in users:
        require_user(views, user_id, path)
    with ReplayBar() as bar:
        found = profits(path, list(users), *span(path, start, end), bar)
    rows = [
        {"time": point.ts_us / 1_000, "user": point.user_id, "profit": point.profit_micros / MICROS_PER_USDC}
        for point in found
    ]
    lines = (
        alt.Chart(alt.InlineData(rows))
        .mark_line(interpolate="step-after")
        .encode(
            x=_time(alt, rows),
            y=alt.Y("profit:Q", **_usdc(alt, rows, "profit")),
            color=alt.Color("user:N", title=None),
        )
    )
    _save(lines, "Profit and loss", out)


@chart.command()
@from_option
@to_option
@db_option
@_out_option
def latency(start: Moment | None, end: Moment | None, path: Path, out: Path) -> None:
    """Draw answer times over time.

    The time runs from the moment a command gets its seq until its answer leaves, as the running exchange recorded it.

    \b
    Example:
      exchange chart latency --out latency.png
    """
    alt = _altair()
    found = latencies(path, *span(path, start, end))
    if not found:
        raise click.ClickException(
            f"{path} has no answer times for these commands: only a running exchange records them"
        )
    rows = [
        {"time": point.ts_us / 1_000, "answers": name, "ms": max(taken_us, 1) / 1_000}
        for point in found
        for name, taken_us in (("longest", point.longest_us), ("99 of 100", point.p99_us), ("median", point.median_us))
    ]
    # The longest line is drawn thickest and first, so that equal values stay visible.
    names = ["longest", "99 of 100", "median"]
    lines = (
        alt.Chart(alt.InlineData(rows))
        .mark_line(point=len(found) < _FEW)
        .encode(
            x=_time(alt, rows),
            y=alt.Y("ms:Q", title="ms", scale=alt.Scale(type="log")),
            color=alt.Color("answers:N", title=None, sort=names),
            strokeWidth=alt.StrokeWidth("answers:N", legend=None, scale=alt.Scale(domain=names, range=[5, 2, 2])),
        )
    )
    _save(lines, "From accepted to answered", out)


def _altair() -> Any:
    try:
        import altair
        import vl_convert  # noqa: F401 - altair needs it to draw
    except ImportError as error:
        raise click.ClickException(
            f"charts need the extra `charts` ({error}): pip install 'event-sourced-exchange[charts]'"
        ) from error
    return altair


def _usdc(alt: Any, rows: list[dict[str, Any]], field: str) -> dict[str, Any]:
    """An axis of amounts. A single amount is placed in the middle, and labels are not rounded."""
    known = [row[field] for row in rows if row[field] is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    margin = 0 if low < high else abs(low) / 10 or 1
    scale = alt.Scale(domain=[low - margin, high + margin], nice=True, zero=False)
    return {"title": "USDC", "scale": scale, "axis": alt.Axis(format=",.6~f")}


def _time(alt: Any, rows: list[dict[str, Any]]) -> Any:
    span_seconds = (max(times) - min(times)) / 1_000 if (times := [row["time"] for row in rows]) else 0
    shown = "%H:%M:%S" if span_seconds < 600 else "%H:%M" if span_seconds < 86_400 else "%b %d %H:%M"
    return alt.X("time:T", title="UTC", scale=alt.Scale(type="utc"), axis=alt.Axis(format=shown))


def _save(drawing: altair.LayerChart | altair.Chart, title: str, out: Path) -> None:
    finished = drawing.properties(width=_WIDTH, height=_HEIGHT, title=title)
    if out.suffix.lower() == ".png":
        finished.save(out, format="png", scale_factor=2)
    else:
        # `inline` puts all scripts into the file, so that it works offline.
        finished.interactive().save(out, format="html", inline=True)
    click.echo(f"{out}: {title}")
