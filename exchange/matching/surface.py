"""Marks of a fair market: the smiles of an asset, their fit to the book, and the value of every option by them.

Each index price fits the smiles of its asset alone. An option's mark is the value by its smile, never its own quotes.
docs/market.md has the formulas and their sources.
"""

from collections.abc import Iterable

from exchange.domain.bands import band_width_micros, price_band
from exchange.domain.events import SurfaceSet
from exchange.domain.forwards import ForwardCurve
from exchange.domain.rules import Market, Surface, band_of, surface_of
from exchange.domain.smile import Point, Slice, Smile, SmileLimits, moved_smile
from exchange.domain.units import PPM, US_PER_SECOND
from exchange.matching.book import OrderBook
from exchange.matching.index import IndexState
from exchange.matching.margin_profiles import bounded_micros
from exchange.matching.state import Changes, State

# A volatility point is one part in a hundred.
_POINTS = 100
Smiles = dict[int, Smile]


def configured_smile(surface: Surface, ts_us: int) -> Smile:
    """Return the smile of an expiration without quotes."""
    return Smile(surface.level_ppm, surface.skew_ppm, surface.curvature_ppm, ts_us)


def fitted_smiles(
    market: Market, asset: str, smiles: Smiles, books: Iterable[OrderBook], price_micros: int, ts_us: int
) -> Smiles:
    """Return the smiles of the asset at this index price, nearer to the quotes of its books. Change nothing."""
    surface, forwards = surface_of(market, asset), ForwardCurve(market, asset, price_micros, ts_us)
    limits = SmileLimits(surface.level_min_ppm, surface.level_max_ppm, surface.move_ppm)
    configured = configured_smile(surface, ts_us)
    quoted: dict[int, list[tuple[OrderBook, int]]] = {}
    spread_max_micros = price_micros * market.mark_spread_max_ppm // PPM
    for book in books:
        is_out_of_money = book.is_call == (book.strike_micros >= forwards.at(book.expiration_us))
        if is_out_of_money and (mid_micros := _mid_micros(book, surface, spread_max_micros)):
            quoted.setdefault(book.expiration_us, []).append((book, mid_micros))
    fitted: Smiles = {}
    for expiration_us, smile in smiles.items():
        points: list[Point] = []
        if quotes := quoted.get(expiration_us):
            points = _points(smile, quotes, forwards.at(expiration_us), expiration_us - ts_us)
        fitted[expiration_us] = moved_smile(
            smile, points if len(points) >= surface.quotes_min else [], configured, limits, ts_us
        )
    return fitted


def model_marks(
    market: Market, asset: str, smiles: Smiles, books: Iterable[OrderBook], price_micros: int, ts_us: int
) -> dict[OrderBook, int]:
    """Return the mark of each book of the asset by its smile, rounded half up to the tick, within the bounds.

    A put follows from its call: P = C - F + K.
    """
    curve = ForwardCurve(market, asset, price_micros, ts_us)
    forwards: dict[int, int] = {}
    slices: dict[int, Slice] = {}
    calls: dict[tuple[int, int], int] = {}
    marks: dict[OrderBook, int] = {}
    for book in books:
        expiration_us, strike_micros = book.expiration_us, book.strike_micros
        key = expiration_us, strike_micros
        value = calls.get(key)
        if value is None:
            of_expiration = slices.get(expiration_us)
            if of_expiration is None:
                forwards[expiration_us] = curve.at(expiration_us)
                of_expiration = Slice(smiles[expiration_us], forwards[expiration_us], expiration_us - ts_us)
                slices[expiration_us] = of_expiration
            value = calls[key] = of_expiration.call_micros(strike_micros)
        forward_micros = forwards[expiration_us]
        if not book.is_call:
            value += strike_micros - forward_micros
        tick_micros = book.tick_micros
        marks[book] = bounded_micros(book, forward_micros, (2 * value + tick_micros) // (2 * tick_micros) * tick_micros)
    return marks


def set_bands(market: Market, asset: str, index: IndexState, books: Iterable[OrderBook]) -> None:
    """Set the bands of live instruments of the asset, which have their marks, by the index and its smiles."""
    band = band_of(market, asset)
    forwards = ForwardCurve(market, asset, index.price_micros, index.ts_us)
    slices: dict[int, Slice] = {}
    # A call and the put with its strike have the same width, which takes most of the time.
    widths: dict[tuple[int, int], int] = {}
    for book in books:
        mark_micros, expiration_us, strike_micros = book.mark_micros, book.expiration_us, book.strike_micros
        if band is None or mark_micros is None:
            book.band = None
            continue
        at = slices.get(expiration_us)
        if at is None:
            at = Slice(index.smiles[expiration_us], forwards.at(expiration_us), expiration_us - index.ts_us)
            slices[expiration_us] = at
        width_micros = widths.get((expiration_us, strike_micros))
        if width_micros is None:
            width_micros = band_width_micros(band, at, strike_micros)
            widths[expiration_us, strike_micros] = width_micros
        book.band = price_band(
            width_micros, at.forward_micros, book.is_call, strike_micros, book.tick_micros, mark_micros
        )


def set_all_bands(state: State) -> None:
    """Set the bands of all live instruments, after a change of rules or from an image."""
    for asset, index in state.indexes.items():
        live = state.live.get(asset, {}).values()
        if state.has_fair_market and state.market is not None:
            set_bands(state.market, asset, index, live)


def add_smiles(market: Market, asset: str, smiles: Smiles, books: Iterable[OrderBook], ts_us: int) -> Smiles:
    """Return these smiles, and the configured one for each expiration of the books that has none."""
    missing = [book.expiration_us for book in books if book.expiration_us not in smiles]
    if not missing:
        return smiles
    configured = configured_smile(surface_of(market, asset), ts_us)
    return smiles | dict.fromkeys(missing, configured)


def tell_smiles(changes: Changes, asset: str, before: Smiles, after: Smiles) -> None:
    """Add an event with the smiles whose parameters changed, if there are some."""
    changed = [
        (expiration_us // US_PER_SECOND, smile.level_ppm, smile.skew_ppm, smile.curvature_ppm)
        for expiration_us, smile in after.items()
        if expiration_us not in before or before[expiration_us][:3] != smile[:3]
    ]
    if changed:
        changes.events.append(SurfaceSet(asset, changed))


def _points(smile: Smile, quotes: list[tuple[OrderBook, int]], forward_micros: int, us_left: int) -> list[Point]:
    """Compare the smile with quotes. An option counts if a volatility point is worth at least its tick."""
    of_expiration = Slice(smile, forward_micros, us_left)
    points = []
    for book, mid_micros in quotes:
        strike_micros = book.strike_micros
        vega_micros = of_expiration.vega_micros(strike_micros)
        if vega_micros < _POINTS * book.tick_micros:
            continue
        value = of_expiration.call_micros(strike_micros)
        if not book.is_call:
            value += strike_micros - forward_micros
        points.append(Point(of_expiration.z_nano(strike_micros), (mid_micros - value) * PPM // vega_micros))
    return points


def _mid_micros(book: OrderBook, surface: Surface, spread_max_micros: int) -> int | None:
    """Return the mid of a tight quote by two or more accounts, with enough size on both sides; else None."""
    bid, ask = book.bids.best, book.asks.best
    if bid is None or ask is None or ask.price_micros - bid.price_micros > spread_max_micros:
        return None
    owner: str | None = None
    has_two_owners = False
    for level in (bid, ask):
        size_milli = 0
        for order in level:
            size_milli += order.visible_milli
            has_two_owners = has_two_owners or (owner is not None and order.user_id != owner)
            owner = order.user_id
            if size_milli >= surface.quote_size_min_milli and has_two_owners:
                break
        if size_milli < surface.quote_size_min_milli:
            return None
    return (bid.price_micros + ask.price_micros) // 2 if has_two_owners else None
