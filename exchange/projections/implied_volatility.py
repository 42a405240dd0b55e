"""Cache of the implied volatilities and Greeks of mark prices: computed on request, kept until an input changes."""

from exchange.domain.bands import band_width_micros, price_band
from exchange.domain.enums import Side
from exchange.domain.rules import Band
from exchange.domain.smile import Slice, Smile
from exchange.domain.units import MICROS_PER_USDC, PPM, US_PER_DAY, US_PER_SECOND
from exchange.projections.black_scholes import DAYS_A_YEAR, Greeks, Volatility, greeks_at, implied_volatility
from exchange.projections.rolling_statistics import US_PER_MINUTE
from exchange.projections.wire_types import IndexPrice, Instrument, SmileView

_MINUTES_A_YEAR = DAYS_A_YEAR * US_PER_DAY // US_PER_MINUTE

Pricing = tuple[Volatility | None, Greeks | None]
_BandKey = tuple[SmileView, IndexPrice, int, int, Band]
_Key = tuple[int, int, int] | tuple[SmileView, IndexPrice, int, int]
_QuoteKey = tuple[int, int, int]
_UNKNOWN: Pricing = (None, None)


class ImpliedVolatilities:
    """For each instrument the last result, with the mark, the index and the minute that it was computed for."""

    def __init__(self) -> None:
        self._bands: dict[str, tuple[_BandKey, tuple[int, int]]] = {}
        self._known: dict[str, tuple[_Key, Pricing]] = {}
        self._quotes: dict[tuple[str, Side], tuple[_QuoteKey, Volatility | None]] = {}

    def of(self, instrument: Instrument, mark_micros: int | None, index_micros: int | None, ts_us: int) -> Pricing:
        """Return implied volatility and Greeks at `ts_us`, to the minute; None for both if there is no volatility."""
        minutes_left = _minutes_left(instrument, ts_us)
        if mark_micros is None or index_micros is None or minutes_left <= 0:
            self._known.pop(instrument.instrument_id, None)
            return _UNKNOWN
        key = (mark_micros, index_micros, minutes_left)
        known = self._known.get(instrument.instrument_id)
        if known is None or known[0] != key:
            known = self._known[instrument.instrument_id] = (key, _price(instrument, *key))
        return known[1]

    def of_quote(
        self, instrument: Instrument, side: Side, price_micros: int | None, forward_micros: int | None, ts_us: int
    ) -> Volatility | None:
        """Return the implied volatility of the best price of a side at `ts_us`, to the minute; None if it has none."""
        minutes_left = _minutes_left(instrument, ts_us)
        if price_micros is None or forward_micros is None or minutes_left <= 0:
            self._quotes.pop((instrument.instrument_id, side), None)
            return None
        key = (price_micros, forward_micros, minutes_left)
        known = self._quotes.get((instrument.instrument_id, side))
        if known is None or known[0] != key:
            known = self._quotes[instrument.instrument_id, side] = (key, _volatility(instrument, *key))
        return known[1]

    def band(
        self,
        instrument: Instrument,
        smile: SmileView,
        index: IndexPrice,
        forward_micros: int,
        mark_micros: int,
        band: Band,
    ) -> tuple[int, int]:
        """Return the lowest and the highest price of an order, as the matcher computes them."""
        key = (smile, index, forward_micros, mark_micros, band)
        known = self._bands.get(instrument.instrument_id)
        if known is None or known[0] != key:
            width = band_width_micros(band, _slice(instrument, smile, index, forward_micros), instrument.strike_micros)
            terms = (instrument.option_type == "call", instrument.strike_micros, instrument.tick_micros)
            prices = price_band(width, forward_micros, *terms, mark_micros)
            known = self._bands[instrument.instrument_id] = (key, prices)
        return known[1]

    def of_smile(
        self, instrument: Instrument, smile: SmileView, index: IndexPrice, forward_micros: int, ts_us: int
    ) -> Pricing:
        """Return the volatility of the smile when the index had its price, and the Greeks at `ts_us`, to the minute."""
        minutes_left = _minutes_left(instrument, ts_us)
        if minutes_left <= 0:
            self._known.pop(instrument.instrument_id, None)
            return _UNKNOWN
        key = (smile, index, forward_micros, minutes_left)
        known = self._known.get(instrument.instrument_id)
        if known is None or known[0] != key:
            pricing = _price_by_smile(instrument, smile, index, forward_micros, minutes_left)
            known = self._known[instrument.instrument_id] = (key, pricing)
        return known[1]


def volatility_of_price(
    instrument: Instrument, price_micros: int, forward_micros: int | None, ts_us: int
) -> Volatility | None:
    """Return the implied volatility of a price at `ts_us`, to the minute; None if it has none."""
    minutes_left = _minutes_left(instrument, ts_us)
    if forward_micros is None or minutes_left <= 0:
        return None
    return _volatility(instrument, price_micros, forward_micros, minutes_left)


def _minutes_left(instrument: Instrument, ts_us: int) -> int:
    return (instrument.expiration_s * US_PER_SECOND - ts_us) // US_PER_MINUTE


def _slice(instrument: Instrument, smile: SmileView, index: IndexPrice, forward_micros: int) -> Slice:
    parameters = Smile(smile.level_ppm, smile.skew_ppm, smile.curvature_ppm, 0)
    return Slice(parameters, forward_micros, instrument.expiration_s * US_PER_SECOND - index.ts_us)


def _price_by_smile(
    instrument: Instrument, smile: SmileView, index: IndexPrice, forward_micros: int, minutes_left: int
) -> Pricing:
    volatility_ppm = _slice(instrument, smile, index, forward_micros).volatility_ppm(instrument.strike_micros)
    if not volatility_ppm:
        return _UNKNOWN
    volatility = volatility_ppm / PPM
    forward, strike = forward_micros / MICROS_PER_USDC, instrument.strike_micros / MICROS_PER_USDC
    return volatility, greeks_at(instrument.option_type, volatility, forward, strike, minutes_left / _MINUTES_A_YEAR)


def _price(instrument: Instrument, mark_micros: int, index_micros: int, minutes_left: int) -> Pricing:
    volatility = _volatility(instrument, mark_micros, index_micros, minutes_left)
    if volatility is None:
        return _UNKNOWN
    spot, strike = index_micros / MICROS_PER_USDC, instrument.strike_micros / MICROS_PER_USDC
    return volatility, greeks_at(instrument.option_type, volatility, spot, strike, minutes_left / _MINUTES_A_YEAR)


def _volatility(instrument: Instrument, price_micros: int, index_micros: int, minutes_left: int) -> Volatility | None:
    spot, strike = index_micros / MICROS_PER_USDC, instrument.strike_micros / MICROS_PER_USDC
    years = minutes_left / _MINUTES_A_YEAR
    return implied_volatility(instrument.option_type, price_micros / MICROS_PER_USDC, spot, strike, years)
