"""Listing of instruments, by command and by rule, with their first marks and margin rates."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from exchange.domain.enums import OptionType
from exchange.domain.events import InstrumentCreated, MarksSet
from exchange.domain.expirations import expirations_s
from exchange.domain.instruments import LAST_EXPIRATION_S, InstrumentTerms, instrument_id_of, parse_instrument_id
from exchange.domain.margin_rates import MarginRates, cash_secured_rates, margin_rates
from exchange.domain.rules import Rules, Series
from exchange.domain.units import MICROS_PER_USDC, PRICE_MAX_MICROS, next_day_end_us
from exchange.matching.book import OrderBook
from exchange.matching.margin_profiles import mark_micros
from exchange.matching.state import Changes, State, chunks
from exchange.matching.surface import Smiles, add_smiles, model_marks, set_bands, tell_smiles


class Mark(NamedTuple):
    """The mark price of an instrument, and the margin rates that follow from it."""

    price_micros: int
    rates: MarginRates


def list_instrument(
    state: State, changes: Changes, terms: InstrumentTerms, tick_micros: int, min_size_milli: int
) -> OrderBook:
    """List one instrument. Its shorts lock the strike until `set_marks` sets other rates."""
    book = OrderBook(terms, tick_micros, min_size_milli, "open", state.next_number)
    state.add(book)
    set_margin_rates(book, cash_secured_rates(book.strike_micros))
    changes.events.append(
        InstrumentCreated(
            terms.instrument_id,
            terms.asset,
            terms.option_type,
            terms.strike_micros,
            terms.expiration_s,
            tick_micros,
            min_size_milli,
        )
    )
    return book


def list_series(state: State, changes: Changes, ts_us: int, series: Series) -> list[OrderBook]:
    """List the missing instruments of one series rule around the index price; none if the asset has no index."""
    index = state.indexes.get(series.asset)
    if index is None:
        return []
    spacing_micros = series.strike_spacing_usdc * MICROS_PER_USDC
    nearest = (2 * index.price_micros + spacing_micros) // (2 * spacing_micros)
    wanted = nearest, next_day_end_us(ts_us)
    if index.listed == wanted:
        return []
    index.listed = wanted
    steps = range(nearest - series.strikes_each_side, nearest + series.strikes_each_side + 1)
    strikes_usdc = [step * series.strike_spacing_usdc for step in steps]
    option_types: tuple[OptionType, OptionType] = ("call", "put")
    listed = []
    for expiration_s in expirations_s(series, ts_us):
        if expiration_s > LAST_EXPIRATION_S and state.has_fair_market:
            continue
        for strike_usdc in strikes_usdc:
            if not 0 < strike_usdc * MICROS_PER_USDC <= PRICE_MAX_MICROS:
                continue
            for option_type in option_types:
                instrument_id = instrument_id_of(series.asset, expiration_s, strike_usdc, option_type)
                if instrument_id not in state.books:
                    terms = parse_instrument_id(instrument_id)
                    listed.append(list_instrument(state, changes, terms, series.tick_micros, series.min_size_milli))
    return listed


def list_all_series(state: State, changes: Changes, ts_us: int) -> None:
    """List the missing instruments of every rule, and mark them."""
    if state.market is not None:
        for series in state.market.series:
            set_marks(state, changes, series.asset, list_series(state, changes, ts_us, series))


def set_marks(state: State, changes: Changes, asset: str, books: list[OrderBook]) -> None:
    """Set marks and margin rates of these instruments of one asset by its index; do nothing if it has no index."""
    index = state.indexes.get(asset)
    if index is None or not books:
        return
    if state.has_fair_market:
        assert state.market is not None
        smiles = add_smiles(state.market, asset, index.smiles, books, index.ts_us)
        tell_smiles(changes, asset, index.smiles, smiles)
        index.smiles = smiles
    apply_marks(
        changes, asset, index.price_micros, marks_at(state, asset, books, index.price_micros, index.ts_us, index.smiles)
    )
    if state.has_fair_market:
        assert state.market is not None
        set_bands(state.market, asset, index, books)


def marks_at(
    state: State, asset: str, books: Iterable[OrderBook], index_micros: int, ts_us: int, smiles: Smiles
) -> dict[OrderBook, Mark]:
    """Return the mark prices and the margin rates of instruments on one asset at this index price.

    Those of a fair market follow the smiles, others their own quotes and trades.
    """
    assert state.market is not None, "an index without a market"
    if state.has_fair_market:
        prices = model_marks(state.market, asset, smiles, books, index_micros, ts_us)
    else:
        spread_max_ppm = state.market.mark_spread_max_ppm
        prices = {book: mark_micros(book, index_micros, spread_max_ppm) for book in books}
    return {
        book: Mark(price_micros, margin_rates_of(state.rules, book, index_micros, price_micros))
        for book, price_micros in prices.items()
    }


def apply_marks(changes: Changes, asset: str, index_micros: int, marks: Mapping[OrderBook, Mark]) -> None:
    """Set the marks, margin rates and index price of these instruments of one asset."""
    for book, mark in marks.items():
        book.index_micros = index_micros
        book.mark_micros = mark.price_micros
        set_margin_rates(book, mark.rates)
    prices_micros = {book.instrument_id: mark.price_micros for book, mark in marks.items()}
    changes.events += [MarksSet(asset, part) for part in chunks(prices_micros)]


def margin_rates_of(rules: Rules, book: OrderBook, index_micros: int, mark: int) -> MarginRates:
    """Return the margin rates of a short contract by the rules, at this index and mark."""
    return margin_rates(rules, book.is_call, book.strike_micros, index_micros, mark)


def set_margin_rates(book: OrderBook, rates: MarginRates) -> None:
    """Set the margin rates of an instrument; the margins of accounts do not change until `Account.update_margin`."""
    book.initial_nanos, book.maintenance_nanos = rates
