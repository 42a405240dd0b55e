"""`exchange index feed`: send index prices from a random walk, a CSV file or standard input."""

import asyncio
import contextlib
import csv
import itertools
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import click

from exchange.amounts import parse_time_us, parse_usdc, usdc
from exchange.bots.opinion import level_of
from exchange.bots.walk import IndexWalk
from exchange.cli.client import admin_secret_of, given_key, tls_of, url_of
from exchange.cli.options import ASSET, USDC, Parsed, db_option, key_file_option, refuse_given
from exchange.client import Client, ExchangeError, connect
from exchange.client.errors import CONNECTION
from exchange.domain.units import PPM, US_PER_SECOND
from exchange.outside_text import STANDARD_INPUT, opened_lines

# The times that a file may have, in microseconds since 1970: the years 2000 to 2099.
_TIMES_US = range(parse_time_us("2000-01-01"), parse_time_us("2099-12-31T23:59:59.999999") + 1)
_EXPECTED = "expected a time, an asset and a price, such as 2026-02-20T09:00:00Z,SOL,150.25"


class Price(NamedTuple):
    """One price to send, `after_us` microseconds after the previous one."""

    asset: str
    price_micros: int
    after_us: int = 0


def _volatility(text: str) -> int:
    ppm = int(Decimal(text) * PPM) if text.replace(".", "", 1).isdigit() else 0
    if not 0 < ppm <= 100 * PPM:
        raise ValueError(f"{text!r} is not a volatility; expected a number up to 100, such as 0.8 for 80 % a year")
    return ppm


@click.command()
@click.argument("asset", type=ASSET, required=False)
@click.option(
    "--csv",
    "csv_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read lines `time,asset,price` from this file, sorted by time (ISO 8601 or microseconds), price in USDC.",
)
@click.option(
    "--stdin", "from_stdin", is_flag=True, help="Read lines `ASSET PRICE` from standard input and send each at once."
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="With --csv: multiple of the recorded speed; 0: without pauses.",
)
@click.option(
    "--volatility",
    "volatility_ppm",
    type=Parsed("volatility", _volatility),
    help="Annual volatility of the walk.  [default: BTC 0.5, ETH 0.65, others 0.8]",
)
@click.option(
    "--every",
    "tick_ms",
    type=click.IntRange(1),
    default=1_000,
    show_default=True,
    metavar="MS",
    help="Time between two steps of the walk, in milliseconds.",
)
@click.option(
    "--start", "start_micros", type=USDC, help="First price of the walk, in USDC.  [default: the last index price]"
)
@click.option("--seed", type=int, default=1, show_default=True, help="Random seed of the walk.")
@click.option("--count", type=click.IntRange(1), help="Stop after this many prices.  [default: no limit]")
@key_file_option
@db_option
def feed(
    asset: str | None,
    csv_path: Path | None,
    from_stdin: bool,
    speed: float,
    volatility_ppm: int | None,
    tick_ms: int,
    start_micros: int | None,
    seed: int,
    count: int | None,
    path: Path,
) -> None:
    """Send index prices to the running exchange until Ctrl-C.

    They come from a random walk of ASSET, a CSV file, or standard input. If the exchange refuses a price, the feed
    reports it on standard error and continues.

    \b
    Examples:
      exchange index feed SOL --start 150 --volatility 0.8 --every 500 --seed 7
      exchange index feed --csv prices.csv --speed 60
      some_program | exchange index feed --stdin
    """
    if [asset is not None, csv_path is not None, from_stdin].count(True) != 1:
        raise click.UsageError("expected one source: ASSET for a random walk, --csv FILE, or --stdin")
    if csv_path is None:
        refuse_given(("--speed",), "--csv FILE")
    if asset is None:
        refuse_given(("--volatility", "--every", "--start", "--seed"), "an ASSET for a random walk")
    recorded = [] if csv_path is None else list(_recorded(csv_path, speed))

    async def run() -> None:
        url, key = url_of(path), given_key()
        secret = None if key else admin_secret_of(path)
        async with connect(url, "admin", secret, key=key, tls=tls_of(url, path)) as admin:
            if csv_path is not None:
                await _send_all(admin, itertools.islice(recorded, count))
            elif from_stdin:
                await _send_lines(admin, count)
            else:
                assert asset is not None
                begin = start_micros or (await admin.get_index_price(asset)).price_micros
                ppm = volatility_ppm or int(level_of(asset) * PPM)
                walk = IndexWalk(begin, ppm, tick_ms, seed)
                await _send_all(admin, itertools.islice(_walked(asset, walk, tick_ms), count))

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


def _walked(asset: str, walk: IndexWalk, tick_ms: int) -> Iterator[Price]:
    """The first price of the walk, then one per tick."""
    yield Price(asset, walk.price_micros)
    while True:
        yield Price(asset, walk.step(), tick_ms * 1_000)


def _recorded(path: Path, speed: float) -> Iterator[Price]:
    """The prices in a CSV file, with the pauses between them. Raises a UsageError that names a malformed line."""
    before_us: int | None = None
    with opened_lines(path) as lines:
        for number, row in _rows(path, lines):
            try:
                ts_us, asset, price_micros = _parse_row(row)
                if before_us is not None and ts_us < before_us:
                    raise ValueError(f"{row[0]} is earlier than the time before it; sort the lines by time")
            except ValueError as error:
                raise click.UsageError(f"{path}, line {number}: {error}; {_EXPECTED}") from error
            after_us = 0 if before_us is None or not speed else int((ts_us - before_us) / speed)
            before_us = ts_us
            yield Price(asset, price_micros, after_us)
    if before_us is None:
        raise click.UsageError(f"{path} contains no price; {_EXPECTED}")


def _rows(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each line, without blank lines and the header."""
    reader = csv.reader(lines, skipinitialspace=True)
    is_first = True
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not (is_first and "price" in map(str.lower, cells)):
                yield reader.line_num, cells
            is_first = False
    except csv.Error as error:
        raise click.UsageError(f"{path}, line {reader.line_num}: {error}; {_EXPECTED}") from error


def _parse_row(cells: list[str]) -> tuple[int, str, int]:
    """The time in microseconds, the asset and the price in micros. Raises ValueError."""
    if len(cells) != 3:
        separated = " separated by semicolons" if len(cells) == 1 and ";" in cells[0] else ""
        raise ValueError(f"the line has {len(cells)} {'column' if len(cells) == 1 else 'columns'}{separated}, not 3")
    time_text, asset, price_text = cells
    return _parse_time_us(time_text), asset, parse_usdc(price_text)


def _parse_time_us(text: str) -> int:
    """Microseconds of a time in ISO 8601 or microseconds. Raises ValueError, also for times in other units."""
    if not (text.isascii() and text.isdigit()):
        return parse_time_us(text)
    # Longer numbers are of no unit, and Python converts no number of more than 4,300 digits.
    number = int(text[:25])
    if number in _TIMES_US:
        return number
    for unit, us in (
        ("seconds", number * US_PER_SECOND),
        ("milliseconds", number * 1_000),
        ("nanoseconds", number // 1_000),
    ):
        if us in _TIMES_US:
            raise ValueError(f"{text} is a time in {unit}; a number must be in microseconds, here {us}")
    raise ValueError(f"{text:.30} is not a time: microseconds from 2000 to 2099 have 15 or 16 digits")


async def _send_all(admin: Client, prices: Iterator[Price]) -> None:
    """Send each price when it is due. A slow answer does not shift the later ones."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for price in prices:
        due += price.after_us / US_PER_SECOND
        await asyncio.sleep(max(due - loop.time(), 0))
        await _send(admin, price)


async def _send_lines(admin: Client, count: int | None) -> None:
    """Send the prices on standard input until it ends, or `count` were sent."""
    sent = 0
    with opened_lines(STANDARD_INPUT) as lines:
        while sent != count and (line := await asyncio.to_thread(next, lines, "")):
            words = line.split()
            if not words:
                continue
            try:
                asset, price_text = words
                price = Price(asset, parse_usdc(price_text))
            except ValueError:
                click.echo(f"ignored {line.strip()!r}: expected an asset and a price, such as SOL 150.25", err=True)
                continue
            await _send(admin, price)
            sent += 1


async def _send(admin: Client, price: Price) -> None:
    """Send one price; report it if it is refused, or if the connection broke before the answer."""
    try:
        await admin.call("admin/set_index_price", asset=price.asset.upper(), price=price.price_micros)
    except ExchangeError as error:
        if error.code == CONNECTION and not error.outcome_unknown:
            raise
        click.echo(f"{price.asset} {usdc(price.price_micros)}: {error}", err=True)
