"""`exchange ticker`: quotes and Greeks of one option, or of all options on an asset."""

from pathlib import Path

import click
from rich.table import Table

from exchange.amounts import contracts, expiration, price_decimals, usdc
from exchange.cli.current_views import as_of, read_views, require_instrument
from exchange.cli.options import ASSET, EXPIRATION, INSTRUMENT, command_line, db_option, json_option
from exchange.cli.output import add_rows, console, print_json, table
from exchange.domain.units import MICROS_PER_USDC
from exchange.projections.views import Views
from exchange.projections.wire_types import Instrument, Ticker

_SIDE = (">bid", ">ask", ">mark", ">iv", ">delta", ">OI")


@click.command()
@click.argument("instrument_id", metavar="[INSTRUMENT]", type=INSTRUMENT, required=False)
@click.option("--asset", type=ASSET, help="Show all options on this asset: calls left, puts right.")
@click.option(
    "--expiration",
    "expiration_s",
    type=EXPIRATION,
    help="With --asset: only options that expire on this date, such as 28FEB26.",
)
@db_option
@json_option
def ticker(instrument_id: str | None, asset: str | None, expiration_s: int | None, path: Path, as_json: bool) -> None:
    """Show quotes, mark prices and Greeks of options.

    iv: implied volatility. OI: open interest. The values are those after the last recorded command.

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
    views = read_views(path)
    if instrument_id is not None:
        require_instrument(views, instrument_id, path)
        shown = views.ticker(instrument_id)
        if as_json:
            print_json(shown)
        else:
            _print_one(shown, as_of(views))
        return
    listed = [
        instrument for instrument in views.live_instruments(asset) if expiration_s in (None, instrument.expiration_s)
    ]
    if as_json:
        print_json([views.ticker(instrument.instrument_id) for instrument in listed])
    elif listed:
        _print_chains(listed, views)
    else:
        when = "" if expiration_s is None else f" for {expiration(expiration_s)}"
        click.echo(
            f"no options are listed on {asset}{when}: {command_line('instrument list', path)} shows the listed ones"
        )


def _print_one(shown: Ticker, moment: str) -> None:
    prices = (shown.best_bid_micros, shown.best_ask_micros, shown.mid_micros, shown.mark_micros, shown.last_micros)
    decimals = price_decimals(price for price in prices if price is not None)
    bid, ask, mid, mark, last = (usdc(price, decimals) for price in prices)
    about = table(shown.instrument_id, ">")
    greeks = shown.greeks
    rows = [
        ("state", shown.state),
        ("bid", _quote(bid, shown.best_bid_size_milli)),
        ("ask", _quote(ask, shown.best_ask_size_milli)),
        ("mid", mid),
        ("mark", mark),
        ("last", last),
        ("index", usdc(shown.index_micros)),
        ("volume in 24 hours", contracts(shown.volume_24h_milli)),
        ("open interest", contracts(shown.open_interest_milli)),
        ("implied volatility", _percent(shown.mark_iv)),
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
    console().print(about)
    click.echo(moment)


def _print_chains(listed: list[Instrument], views: Views) -> None:
    """Print one table per expiration, the earliest first."""
    screen = console()
    for number, expiration_s in enumerate(sorted({instrument.expiration_s for instrument in listed})):
        series = [instrument for instrument in listed if instrument.expiration_s == expiration_s]
        if number:
            click.echo()
        screen.print(_chain(series, views))
    click.echo(as_of(views))


def _chain(series: list[Instrument], views: Views) -> Table:
    """The table of one expiration: one row per strike, call left, put right, a dash if one is not listed."""
    tickers = {(one.strike_micros, one.option_type): views.ticker(one.instrument_id) for one in series}
    decimals = price_decimals(one.tick_micros for one in series)
    index = next(iter(tickers.values())).index_micros
    shown = table(
        *_SIDE,
        ">strike",
        *_SIDE,
        title=f"{series[0].asset} {expiration(series[0].expiration_s)}, index {usdc(index)}: calls, strike, puts",
    )
    for strike_micros in sorted({one.strike_micros for one in series}):
        call, put = (tickers.get((strike_micros, side)) for side in ("call", "put"))
        add_rows(shown, [(*_half(call, decimals), str(strike_micros // MICROS_PER_USDC), *_half(put, decimals))])
    return shown


def _half(ticker: Ticker | None, decimals: int) -> tuple[str, ...]:
    if ticker is None:
        return ("-",) * len(_SIDE)
    return (
        usdc(ticker.best_bid_micros, decimals),
        usdc(ticker.best_ask_micros, decimals),
        usdc(ticker.mark_micros, decimals),
        _percent(ticker.mark_iv),
        "-" if ticker.greeks is None else f"{ticker.greeks.delta:.2f}",
        contracts(ticker.open_interest_milli),
    )


def _quote(price: str, size_milli: int) -> str:
    return f"{contracts(size_milli)} @ {price}" if size_milli else price


def _percent(volatility: float | None) -> str:
    return "-" if volatility is None else f"{volatility:.1%}"
