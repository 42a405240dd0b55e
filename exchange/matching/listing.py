"""Listing: instruments by command and by rule, and what they are worth from the beginning."""

from exchange.domain.enums import OptionType
from exchange.domain.events import InstrumentCreated, MarksSet
from exchange.domain.expirations import expirations_s
from exchange.domain.instruments import InstrumentTerms, instrument_id_of, parse_instrument_id
from exchange.domain.rules import Rules, Series
from exchange.domain.units import MICROS_PER_USDC, PRICE_MAX_MICROS, next_day_end_us
from exchange.matching.book import OrderBook
from exchange.matching.margin_profiles import MarginRates, cash_secured_rates, mark_micros, standard_rates
from exchange.matching.state import Changes, State, chunks


def list_instrument(
    state: State, outcome: Changes, terms: InstrumentTerms, tick_micros: int, min_size_milli: int
) -> OrderBook:
    """List one instrument."""
    book = OrderBook(terms, tick_micros, min_size_milli, "open", len(state.books))
    state.add(book)
    set_margin_rates(book, cash_secured_rates(book.strike_micros))
    outcome.events.append(
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


def list_series(state: State, outcome: Changes, ts_us: int, series: Series) -> list[OrderBook]:
    """List whatever the rule asks for and is not listed, around the index; nothing where there is none."""
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
        for strike_usdc in strikes_usdc:
            if not 0 < strike_usdc * MICROS_PER_USDC <= PRICE_MAX_MICROS:
                continue
            for option_type in option_types:
                instrument_id = instrument_id_of(series.asset, expiration_s, strike_usdc, option_type)
                if instrument_id not in state.books:
                    terms = parse_instrument_id(instrument_id)
                    listed.append(list_instrument(state, outcome, terms, series.tick_micros, series.min_size_milli))
    return listed


def list_all_series(state: State, outcome: Changes, ts_us: int) -> None:
    """List what every rule asks for, with the marks of what is new."""
    if state.market is not None:
        for series in state.market.series:
            set_marks(state, outcome, series.asset, list_series(state, outcome, ts_us, series))


def set_marks(state: State, outcome: Changes, asset: str, books: list[OrderBook]) -> None:
    """Mark these instruments of one asset by its index, and set what shorts of them must lock; nothing without one."""
    index = state.indexes.get(asset)
    if index is None or not books:
        return
    assert state.market is not None, "an index without a market"
    marks = {}
    for book in books:
        book.index_micros = index.price_micros
        book.mark_micros = mark_micros(book, index.price_micros, state.market.mark_spread_max_ppm)
        marks[book.instrument_id] = book.mark_micros
        set_margin_rates(book, margin_rates_of(state.rules, book, book.index_micros, book.mark_micros))
    outcome.events += [MarksSet(asset, part) for part in chunks(marks)]


def margin_rates_of(rules: Rules, book: OrderBook, index_micros: int, mark: int) -> MarginRates:
    """What a short contract must lock by the rules, at this index and mark."""
    if rules.collateral == "cash_secured":
        return cash_secured_rates(book.strike_micros)
    return standard_rates(book.is_call, book.strike_micros, index_micros, mark)


def set_margin_rates(book: OrderBook, rates: MarginRates) -> None:
    book.initial_nanos, book.maintenance_nanos = rates
