"""`exchange chart`: charts of a journal, as a picture or an HTML page with zoom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from exchange.amounts import short_time
from exchange.cli import chart_drawing as draw
from exchange.cli.current_views import require_instrument, require_user
from exchange.cli.history_connection import open_current_history
from exchange.cli.options import INSTRUMENT, MOMENT, USER, db_option, from_option, to_option
from exchange.domain.units import MICROS_PER_USDC, MILLI_PER_CONTRACT
from exchange.history.chart_data import DepthStep, History, Prices, Span, depths, latencies, prices, span_of
from exchange.history.chart_profits import most_moving, profits
from exchange.history.moment import Moment, span
from exchange.history_db.file import head_of
from exchange.history_db.past_views import PastViews
from exchange.projections.views import Views

# Areas of the marks of trades in square pixels: visible, but not hiding the lines.
_TRADE_SIZES = [25, 250]
# With more trades than this, smaller marks keep the lines visible.
_TRADES_MANY = 500
_TRADE_SIZES_OF_MANY = [5, 50]
# The fraction of the width by which the outermost step of each side is extended.
_OUTER = 0.03
_COLOURS = {"bid": "#2a9d5c", "ask": "#d1495b"}
_TRADES = {"bought": ("#1d4ed8", "triangle-up"), "sold": ("#b45309", "triangle-down")}
_INDEX_COLOUR = "#777777"
_SIDES_TRADED = {"bid": "bought", "ask": "sold"}
_USERS = 10


class _SizeType(click.ParamType[Any]):
    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> draw.Size:
        found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", str(value))
        if found is None:
            self.fail(
                f"{value!r} is not a size; expected WIDTHxHEIGHT in pixels, 10 to 9999, such as 900x420", param, ctx
            )
        return draw.Size(int(found[1]), int(found[2]))


def _out_file(ctx: click.Context, param: click.Parameter, path: Path) -> Path:
    if path.suffix.lower() not in draw.SUFFIXES:
        raise click.BadParameter(
            f"{path} is neither a picture nor a page; expected a name that ends with .png, .svg or .html.", ctx, param
        )
    return path


_out_option = click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_out_file,
    required=True,
    metavar="FILE.png|.svg|.html",
    help="Write the chart to this file. An existing file is replaced.",
)
_size_option = click.option(
    "--size",
    type=_SizeType(),
    default="900x420",
    show_default=True,
    metavar="WIDTHxHEIGHT",
    help="Size of the drawing in pixels, without titles and legend. A PNG has twice as many, for sharp screens.",
)


class _History(NamedTuple):
    """The history, and the views after its last command."""

    connection: History
    views: Views


@contextmanager
def _history(path: Path) -> Iterator[_History]:
    with open_current_history(path) as connection:
        yield _History(connection, PastViews(connection, head_of(connection).seq))


@click.group()
def chart() -> None:
    """Draw charts of recorded data. Needs the extra `charts`: pip install 'event-sourced-exchange[charts]'."""


@chart.command()
@click.argument("instrument_id", metavar="INSTRUMENT", type=INSTRUMENT)
@from_option
@to_option
@db_option
@_size_option
@_out_option
def price(instrument_id: str, start: Moment | None, end: Moment | None, path: Path, size: draw.Size, out: Path) -> None:
    """Draw trades, best bid and ask, and index price over time.

    Lines are quotes. Triangles are trades: they point up if the taker bought, and down if the taker sold.

    \b
    Example:
      exchange chart price SOL_USDC-28FEB26-150-C --out price.png
    """
    alt = draw.load_altair()
    first_seq, last_seq = span(path, start, end)
    with _history(path) as history:
        require_instrument(history.views, instrument_id, path)
        shown = span_of(history.connection, first_seq, last_seq)
        found = prices(history.connection, instrument_id, shown)
    title = f"{instrument_id}: best bid and ask, {_count_of_trades(found)}"
    if found.index_prices:
        title += ", index dashed"
    draw.save(_price_drawing(alt, found, shown, size), title, out, size)


def _count_of_trades(found: Prices) -> str:
    count = f"{found.trades_count:,} {'trade' if found.trades_count == 1 else 'trades'}"
    return count + (f", one in {found.stride} drawn" if found.stride > 1 else "")


def _price_drawing(alt: Any, found: Prices, shown: Span, size: draw.Size) -> draw.Drawing:
    lines: list[dict[str, Any]] = [
        {"time": quote.ts_us / 1_000, "quote": side, "price": price_micros and price_micros / MICROS_PER_USDC}
        for quote in found.quotes
        for side, price_micros in (("bid", quote.bid_micros), ("ask", quote.ask_micros))
    ]
    marks: list[dict[str, Any]] = [
        {
            "time": trade.ts_us / 1_000,
            "taker": _SIDES_TRADED[trade.taker_side],
            "price": trade.price_micros / MICROS_PER_USDC,
            "contracts": trade.size_milli / MILLI_PER_CONTRACT,
            "trade": trade.trade_id,
        }
        for trade in found.trades
    ]
    axes = {
        "x": draw.time_axis(alt, shown.first_us, shown.last_us, size.width),
        "y": alt.Y("price:Q", **draw.usdc_axis(alt, lines + marks, "price")),
    }
    layers = [_quote_lines(alt, axes, len(found.quotes) < draw.FEW), _trade_marks(alt, axes, len(marks))]
    data = {"quotes": lines, "trades": marks}
    if not found.index_prices:
        return draw.Drawing(alt.layer(*layers), data)
    data["index"] = [
        {"time": at.ts_us / 1_000, "index": at.price_micros / MICROS_PER_USDC} for at in found.index_prices
    ]
    index = (
        alt.Chart(alt.NamedData("index"))
        .mark_line(interpolate="step-after", strokeWidth=1, strokeDash=[4, 3], stroke=_INDEX_COLOUR)
        .encode(x=axes["x"], y=alt.Y("index:Q", title="index, USDC", scale=alt.Scale(zero=False)))
    )
    return draw.Drawing(alt.layer(alt.layer(*layers), index).resolve_scale(y="independent"), data)


def _quote_lines(alt: Any, axes: dict[str, Any], are_few: bool) -> Any:
    stroke = alt.Stroke(
        "quote:N",
        scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())),
        legend=alt.Legend(title="quotes", symbolType="stroke", symbolStrokeWidth=2),
    )
    lines = alt.Chart(alt.NamedData("quotes")).mark_line(interpolate="step-after", strokeWidth=1.5, point=are_few)
    return lines.encode(**axes, stroke=stroke)


def _trade_marks(alt: Any, axes: dict[str, Any], count: int) -> Any:
    legend = alt.Legend(title="trades: taker", symbolOpacity=1)
    sizes = _TRADE_SIZES if count <= _TRADES_MANY else _TRADE_SIZES_OF_MANY
    colours, shapes = zip(*_TRADES.values(), strict=True)
    marks = alt.Chart(alt.NamedData("trades")).mark_point(filled=True, opacity=0.75, stroke="white", strokeWidth=0.5)
    return marks.encode(
        **axes,
        fill=alt.Fill("taker:N", legend=legend, scale=alt.Scale(domain=list(_TRADES), range=list(colours))),
        shape=alt.Shape("taker:N", legend=legend, scale=alt.Scale(domain=list(_TRADES), range=list(shapes))),
        size=alt.Size("contracts:Q", legend=alt.Legend(format=",.3~f", tickCount=4), scale=alt.Scale(range=sizes)),
        tooltip=["trade:Q", "price:Q", "contracts:Q", "taker:N"],
    )


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
@_size_option
@_out_option
def depth(instrument_id: str, moment: Moment, path: Path, size: draw.Size, out: Path) -> None:
    """Draw an order book: the cumulative size up to each price.

    \b
    Example:
      exchange chart depth SOL_USDC-28FEB26-150-C --at 5000 --out depth.html
    """
    alt = draw.load_altair()
    _, last_seq = span(path, None, moment)
    with _history(path) as history:
        require_instrument(history.views, instrument_id, path)
        found = depths(history.connection, instrument_id, min(last_seq, history.views.seq))
    rows = [
        {"side": step.side, "price": price_micros / MICROS_PER_USDC, "contracts": step.total_milli / MILLI_PER_CONTRACT}
        for step, price_micros in _with_outer_ends(found.steps)
    ]
    area = alt.Chart(alt.NamedData("rows")).encode(
        x=alt.X("price:Q", **draw.usdc_axis(alt, rows, "price")),
        y=alt.Y("contracts:Q", title="contracts at this price or better"),
        color=alt.Color("side:N", title=None, scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values()))),
        tooltip=["side:N", "price:Q", "contracts:Q"],
    )
    # The cumulative size is constant up to the next worse price: to the right for asks, to the left for bids.
    bids = area.mark_area(interpolate="step-before", opacity=0.5, line=True).transform_filter("datum.side == 'bid'")
    asks = area.mark_area(interpolate="step-after", opacity=0.5, line=True).transform_filter("datum.side == 'ask'")
    title = f"{instrument_id} at seq {found.seq}, {short_time(found.ts_us)}" + ("" if rows else ": empty")
    draw.save(draw.Drawing(alt.layer(bids, asks), {"rows": rows}), title, out, size)


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
    "--user", "users", type=USER, multiple=True, help="Draw only this user. Repeatable.  [default: see --top]"
)
@click.option(
    "--top",
    type=click.IntRange(1, draw.LINES_MAX),
    default=_USERS,
    show_default=True,
    metavar="N",
    help="Draw the N users whose profit moved most, and name the others.",
)
@from_option
@to_option
@db_option
@_size_option
@_out_option
def pnl(
    users: tuple[str, ...],
    top: int,
    start: Moment | None,
    end: Moment | None,
    path: Path,
    size: draw.Size,
    out: Path,
) -> None:
    """Draw profit and loss of users over time, after fees.

    Profit is realised (also by settlements) plus unrealised. The legend shows the profit at the end.

    \b
    Examples:
      exchange chart pnl --out pnl.png
      exchange chart pnl --user alice --user bob --from "2h ago" --out pnl.png
    """
    alt = draw.load_altair()
    if len(users := tuple(dict.fromkeys(users))) > draw.LINES_MAX:
        raise click.UsageError(f"{len(users)} users are too many for one chart: give at most {draw.LINES_MAX}")
    first_seq, last_seq = span(path, start, end)
    with _history(path) as history:
        for user_id in users:
            require_user(history.views, user_id, path)
        shown = span_of(history.connection, first_seq, last_seq)
        drawn, others = (list(users), []) if users else most_moving(history.connection, shown, top)
        found = profits(history.connection, drawn, shown)
    last_micros = {point.user_id: point.profit_micros for point in found}
    drawn.sort(key=lambda user_id: -last_micros[user_id])
    label = {user_id: f"{user_id}  {micros / MICROS_PER_USDC:+,.2f}" for user_id, micros in last_micros.items()}
    rows = [
        {"time": at.ts_us / 1_000, "user": label[at.user_id], "profit": at.profit_micros / MICROS_PER_USDC}
        for at in found
    ]
    lines = (
        alt.Chart(alt.NamedData("rows"))
        .mark_line(interpolate="step-after")
        .encode(
            x=draw.time_axis(alt, shown.first_us, shown.last_us, size.width),
            y=alt.Y("profit:Q", **draw.usdc_axis(alt, rows, "profit")),
            tooltip=["user:N", "profit:Q"],
            **draw.line_encodings(alt, [label[user_id] for user_id in drawn], "user"),
        )
    )
    draw.save(draw.Drawing(lines, {"rows": rows}), "Profit and loss", out, size, others)


@chart.command()
@from_option
@to_option
@db_option
@_size_option
@_out_option
def latency(start: Moment | None, end: Moment | None, path: Path, size: draw.Size, out: Path) -> None:
    """Draw answer times over time.

    The time runs from the moment a command gets its seq until its answer leaves, as the running exchange recorded it.

    \b
    Example:
      exchange chart latency --out latency.png
    """
    alt = draw.load_altair()
    first_seq, last_seq = span(path, start, end)
    with _history(path) as history:
        shown = span_of(history.connection, first_seq, last_seq)
        found = latencies(history.connection, shown)
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
        alt.Chart(alt.NamedData("rows"))
        .mark_line(point=len(found) < draw.FEW)
        .encode(
            x=draw.time_axis(alt, shown.first_us, shown.last_us, size.width),
            y=alt.Y("ms:Q", title="ms", scale=alt.Scale(type="log")),
            color=alt.Color("answers:N", title=None, sort=names),
            strokeWidth=alt.StrokeWidth("answers:N", legend=None, scale=alt.Scale(domain=names, range=[5, 2, 2])),
        )
    )
    draw.save(draw.Drawing(lines, {"rows": rows}), "From accepted to answered", out, size)
