"""`exchange ticker`: quotes and Greeks of one option, or of all options on an asset."""

from pathlib import Path

import click
from msgspec import UNSET

from exchange.amounts import expiration, usdc
from exchange.cli.figures import Figures, figures_of
from exchange.cli.options import ASSET, EXPIRATION, INSTRUMENT, command_line, db_option, json_option
from exchange.cli.output import TextTable, add_rows, print_json, print_tables, table
from exchange.cli.present import at_option, offline_option, present
from exchange.cli.questions import Present
from exchange.domain.units import PPM
from exchange.projections.wire_types import Instrument, Ticker
from exchange.times import Moment

_SIDE = (">bid", ">ask", ">mark", ">iv", ">delta", ">OI")
# The columns that a very narrow terminal leaves out.
_OPTIONAL = ("OI", "delta", "iv")


@click.command()
@click.argument("instrument_id", metavar="[INSTRUMENT]", type=INSTRUMENT, required=False)
@click.option("--asset", type=ASSET, help="Show all options on this asset: calls left, puts right.")
@click.option(
    "--expiration",
    "expiration_s",
    type=EXPIRATION,
    help="With --asset: only options that expire on this date, such as 28FEB26.",
)
@at_option
@offline_option
@db_option
@json_option
def ticker(
    instrument_id: str | None,
    asset: str | None,
    expiration_s: int | None,
    moment: Moment,
    offline: bool,
    path: Path,
    as_json: bool,
) -> None:
    """Show quotes, mark prices and Greeks of options.

    iv: implied volatility. OI: open interest. Asks the running exchange; reads the recorded data if none runs.

    \b
    Examples:
      exchange ticker SOL_USDC-28FEB26-150-C
      exchange ticker --asset SOL --expiration 28FEB26
      exchange ticker --asset SOL --json | jq '.[].mark'
    """
    if (instrument_id is None) == (asset is None):
        raise click.UsageError("expected either INSTRUMENT or --asset")
    if expiration_s is not None and asset is None:
        raise click.UsageError("--expiration needs --asset: add it, or remove --expiration")
    with present(path, offline, moment=moment) as source:
        if instrument_id is not None:
            shown = source.ticker(instrument_id)
            if as_json:
                print_json(shown)
            else:
                _print_one(shown, source.instruments().get(instrument_id), source.as_of())
            return
        assert asset is not None
        _show_chains(source, asset, expiration_s, path, as_json)


def _show_chains(source: Present, asset: str, expiration_s: int | None, path: Path, as_json: bool) -> None:
    listed = source.instruments()
    shown = {
        one.instrument_id: one
        for one in source.tickers(asset)
        if one.instrument_id in listed and expiration_s in (None, listed[one.instrument_id].expiration_s)
    }
    if as_json:
        print_json(list(shown.values()))
    elif shown:
        _print_chains([listed[name] for name in shown], shown, source.as_of())
    else:
        when = "" if expiration_s is None else f" for {expiration(expiration_s)}"
        click.echo(
            f"no options are listed on {asset}{when}: {command_line('instrument list', path)} shows the listed ones"
        )


def _print_one(shown: Ticker, instrument: Instrument | None, moment: str) -> None:
    amounts = (shown.best_bid_size_milli, shown.best_ask_size_milli, shown.volume_24h_milli, shown.open_interest_milli)
    stats = shown.stats
    prices = (shown.best_bid_micros, shown.best_ask_micros, shown.last_micros, stats.high_micros, stats.low_micros)
    figures = figures_of([instrument], prices, amounts)
    about = table(shown.instrument_id, ">")
    greeks = shown.greeks
    rows = [
        ("state", shown.state),
        ("bid", _quote(shown.best_bid_micros, shown.best_bid_size_milli, figures)),
        ("ask", _quote(shown.best_ask_micros, shown.best_ask_size_milli, figures)),
        ("mid", figures.price(shown.mid_micros)),
        ("mark", figures.price(shown.mark_micros)),
        ("last", figures.price(shown.last_micros)),
        ("index", usdc(shown.index_micros)),
        *([("forward", usdc(shown.forward_micros))] if shown.forward_micros is not UNSET else []),
        ("estimated delivery", usdc(shown.estimated_delivery_price_micros)),
        ("price band", _band(shown.min_price_micros, shown.max_price_micros, figures)),
        ("volume in 24 hours", figures.size(shown.volume_24h_milli)),
        ("premium in 24 hours", usdc(stats.notional_micros)),
        ("high, low", f"{figures.price(stats.high_micros)}, {figures.price(stats.low_micros)}"),
        ("change in 24 hours", _change(stats.price_change_ppm)),
        ("open interest", figures.size(shown.open_interest_milli)),
        ("implied volatility", _percent(shown.mark_iv)),
        ("iv of bid, ask", f"{_percent(shown.bid_iv)}, {_percent(shown.ask_iv)}"),
    ]
    if greeks is not None:
        rows += [
            ("delta", f"{greeks.delta:.4f}"),
            ("gamma", f"{greeks.gamma:.6f}"),
            ("vega", f"{greeks.vega:.4f}"),
            ("theta", f"{greeks.theta:.4f}"),
            ("rho", f"{greeks.rho:.4f}"),
        ]
    add_rows(about, rows)
    print_tables(about)
    click.echo(moment)


def _print_chains(listed: list[Instrument], shown: dict[str, Ticker], moment: str) -> None:
    """Print one table per expiration, the earliest first."""
    chains: list[TextTable] = []
    for expiration_s in sorted({instrument.expiration_s for instrument in listed}):
        chains += _chain([instrument for instrument in listed if instrument.expiration_s == expiration_s], shown)
    print_tables(*chains)
    click.echo(moment)


def _chain(series: list[Instrument], shown: dict[str, Ticker]) -> list[TextTable]:
    """One expiration: a row per strike, calls left, puts right. On a narrow terminal the calls are above the puts.

    A dash stands for an option that is not listed.
    """
    tickers = {(one.strike_micros, one.option_type): shown[one.instrument_id] for one in series}
    figures = figures_of(series, sizes_milli=(ticker.open_interest_milli for ticker in tickers.values()))
    # A mark may lie between two ticks.
    marks = figures_of(series, (ticker.mark_micros for ticker in tickers.values()))
    one = next(iter(tickers.values()))
    forward = "" if one.forward_micros is UNSET else f", forward {usdc(one.forward_micros)}"
    title = f"{series[0].asset} {expiration(series[0].expiration_s)}, index {usdc(one.index_micros)}{forward}"
    wide = table(*_SIDE, ">strike", *_SIDE, title=f"{title}: calls, strike, puts")
    calls, puts = (table(">strike", *_SIDE, title=f"{title}: {of}", optional=_OPTIONAL) for of in ("calls", "puts"))
    for strike_micros in sorted({one.strike_micros for one in series}):
        strike = usdc(strike_micros, 0)
        call, put = (_half(tickers.get((strike_micros, side)), figures, marks) for side in ("call", "put"))
        add_rows(wide, [(*call, strike, *put)])
        add_rows(calls, [(strike, *call)])
        add_rows(puts, [(strike, *put)])
    return [wide] if wide.fits() else [calls, puts]


def _half(ticker: Ticker | None, figures: Figures, marks: Figures) -> tuple[str, ...]:
    if ticker is None:
        return ("-",) * len(_SIDE)
    return (
        figures.price(ticker.best_bid_micros),
        figures.price(ticker.best_ask_micros),
        marks.price(ticker.mark_micros),
        _percent(ticker.mark_iv),
        "-" if ticker.greeks is None else f"{ticker.greeks.delta:.2f}",
        figures.size(ticker.open_interest_milli),
    )


def _quote(price_micros: int | None, size_milli: int, figures: Figures) -> str:
    price = figures.price(price_micros)
    return f"{figures.size(size_milli)} @ {price}" if size_milli else price


def _band(lowest_micros: int | None, highest_micros: int | None, figures: Figures) -> str:
    if lowest_micros is None:
        return "-"
    return f"{figures.price(lowest_micros)} to {figures.price(highest_micros)}"


def _change(change_ppm: int | None) -> str:
    return "-" if change_ppm is None else f"{change_ppm / PPM:+.2%}"


def _percent(volatility: float | None) -> str:
    return "-" if volatility is None else f"{volatility:.1%}"
