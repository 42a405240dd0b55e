"""All read models together, as clients ask for them. `Views.project` applies the events of one command."""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from exchange.domain.events import Event
from exchange.domain.forwards import ForwardCurve, basis_of, basis_of_option, forward_micros
from exchange.domain.index_window import WINDOW_US
from exchange.domain.instruments import asset_of_expired
from exchange.domain.margin_rates import margin_rates, nanos_to_micros
from exchange.domain.reasons import Reason
from exchange.domain.rules import Band, Rules, band_of, market_of, settlement_rules_of
from exchange.domain.units import US_PER_SECOND
from exchange.projections.balances import AccountBalances, PositionRecord, null_if_unsafe
from exchange.projections.black_scholes import Greeks, Volatility, greeks_of_portfolio
from exchange.projections.candles import RunningCandle
from exchange.projections.fold import Change, Fold
from exchange.projections.implied_volatility import ImpliedVolatilities, Pricing, volatility_of_price
from exchange.projections.wire_types import (
    AccountSummary,
    AccountView,
    Balance,
    DayStatistics,
    IndexPrice,
    Instrument,
    MarkSurface,
    MmpGroupView,
    OrderView,
    PositionDetails,
    PositionsResult,
    PositionView,
    SmileView,
    Ticker,
    TopOfBook,
    Trade,
    UserTrade,
)


class SeriesPricing(NamedTuple):
    """What the options of an expiration share: the index, the smile, the forward, and the band of prices.

    The forward is the index price if the rules set none (`has_forward`), and None without an index price.
    """

    index_price: IndexPrice | None
    smile: SmileView | None
    forward_micros: int | None
    has_forward: bool
    band: Band | None


class _KnownSeries(NamedTuple):
    """The shared values of the expirations of an asset, by expiration, with all that they follow from."""

    surface: MarkSurface | None
    index_price: IndexPrice | None
    rules: Rules
    by_expiration_s: dict[int, SeriesPricing]


class Views:
    """Every read model, as of command `seq` at `ts_us`.

    `indexes` are by asset. `marks` are the mark prices in micros, by instrument.
    """

    def __init__(self, fold: Fold | None = None, seq: int = 0, ts_us: int = 0) -> None:
        self.seq = seq
        self.ts_us = ts_us
        self.fold = fold = fold or Fold()
        self.orders = fold.orders
        self.balances = fold.balances
        self.tape = fold.tape
        self.settlements = fold.settlements
        self.instruments = fold.instruments
        self.depths = fold.depths
        self.indexes = fold.indexes
        self.marks = fold.marks
        self.surfaces = fold.surfaces
        self._volatilities = ImpliedVolatilities()
        self._known_series: dict[str, _KnownSeries] = {}  # by asset

    @property
    def rules(self) -> Rules:
        """The rules in force."""
        return self.fold.rules

    @property
    def rules_version(self) -> int:
        """The version of the rules in force."""
        return self.fold.rules_version

    def project(self, seq: int, ts_us: int, events: list[Event]) -> Change:
        """Apply the events of command `seq` to the views, and return the changes."""
        self.seq, self.ts_us = seq, ts_us
        return self.fold.project(seq, ts_us, events)

    def balance(self, user_id: str) -> Balance:
        """Return the user's balance."""
        return self._funds(user_id).balance(user_id, self.seq)

    def account(self, user_id: str) -> AccountView:
        """Return the user's account, at current marks."""
        funds = self._funds(user_id)
        return funds.view(user_id, self.seq, self.rules, self.valuation, self._greeks_by_asset(funds))

    def position_views(self, user_id: str) -> list[PositionView]:
        """Return the user's positions at current marks, by instrument id."""
        return [self.position(name, position) for name, position in self._funds(user_id).open_positions()]

    def positions(self, user_id: str, asset: str | None = None) -> PositionsResult:
        """Return the user's positions with margins, profits and Greeks, at current marks; on all assets or on one."""
        funds = self._funds(user_id)
        details = [
            self._position_details(self.instruments[name], position)
            for name, position in funds.open_positions()
            if asset in (None, self.instruments[name].asset)
        ]
        return PositionsResult(details, self._greeks_by_asset(funds, asset), self.seq)

    def _position_details(self, instrument: Instrument, position: PositionRecord) -> PositionDetails:
        mark, value = self.valuation(instrument.instrument_id)
        index_micros = self._index_of_margins(instrument)
        rates = margin_rates(self.rules, instrument.option_type == "call", instrument.strike_micros, index_micros, mark)
        short_milli = max(0, -position.quantity_milli)
        unrealised = position.unrealised_micros(value)
        greeks = self._greeks(instrument)
        return PositionDetails(
            instrument.instrument_id,
            position.quantity_milli,
            position.average_price_micros,
            position.locked_micros,
            mark,
            index_micros,
            nanos_to_micros(rates.initial_nanos, short_milli),
            nanos_to_micros(rates.maintenance_nanos, short_milli),
            null_if_unsafe(unrealised),
            null_if_unsafe(position.realised_micros),
            null_if_unsafe(position.realised_micros + unrealised),
            None if greeks is None else greeks_of_portfolio([(position.quantity_milli, greeks)]),
        )

    def _index_of_margins(self, instrument: Instrument) -> int | None:
        """Return the index price that the margins of an instrument follow: the last one, or that of its close."""
        if instrument.state == "expired":
            return self.fold.closing_indexes.get(instrument.instrument_id)
        index = self.indexes.get(instrument.asset)
        return None if index is None else index.price_micros

    def _greeks(self, instrument: Instrument) -> Greeks | None:
        """Return the Greeks of one contract, as in the ticker."""
        return self._pricing(instrument, self._shared(instrument), self.marks.get(instrument.instrument_id))[1]

    def greeks_of(self, instrument_id: str, quantity_milli: int) -> Greeks | None:
        """Return the Greeks of a position; None if the mark price of its instrument has no volatility."""
        greeks = self._greeks(self.instruments[instrument_id])
        return None if greeks is None else greeks_of_portfolio([(quantity_milli, greeks)])

    def greeks_by_asset(self, quantities_milli: Mapping[str, int]) -> dict[str, Greeks]:
        """Return the Greeks of positions by asset; those without Greeks do not count."""
        parts: dict[str, list[tuple[int, Greeks]]] = {}
        for name, quantity_milli in quantities_milli.items():
            instrument = self.instruments[name]
            greeks = self._greeks(instrument)
            if quantity_milli and greeks is not None:
                parts.setdefault(instrument.asset, []).append((quantity_milli, greeks))
        return {name: greeks_of_portfolio(parts[name]) for name in sorted(parts)}

    def _greeks_by_asset(self, funds: AccountBalances, asset: str | None = None) -> dict[str, Greeks]:
        """Return the Greeks of the open positions by asset, of all assets or of one."""
        held = {name: position.quantity_milli for name, position in funds.open_positions()}
        return self.greeks_by_asset(
            {name: held[name] for name in held if asset in (None, self.instruments[name].asset)}
        )

    def profit_micros(self, user_id: str) -> int:
        """Return realised and unrealised profit after fees, at current marks."""
        funds = self._funds(user_id)
        return funds.realised_micros + funds.unrealised_micros(self.valuation)

    def position(self, instrument_id: str, position: PositionRecord) -> PositionView:
        """Return a position in this instrument as its owner sees it, at current marks."""
        return position.view(instrument_id, *self.valuation(instrument_id))

    def valuation(self, instrument_id: str) -> tuple[int | None, int | None]:
        """Return the mark price of an instrument, and the value of one contract.

        The value is the mark price, else the mid of a two-sided book, else the last trade's price, else None.
        """
        mark = self.marks.get(instrument_id)
        if mark is not None:
            return mark, mark
        depth = self.depths.get(instrument_id)
        if depth is None:
            # The command that settled it delisted it.
            return None, None
        mid = depth.mid_micros()
        return None, self.last_price_micros(instrument_id) if mid is None else mid

    def ticker(self, instrument_id: str) -> Ticker:
        """Return the ticker of a listed instrument."""
        instrument = self.instruments[instrument_id]
        quote = self.quote(instrument_id)
        mark = self.marks.get(instrument_id)
        series = self._shared(instrument)
        bid_micros, ask_micros = quote.best_bid_micros, quote.best_ask_micros
        mark_iv, greeks = self._pricing(instrument, series, mark)
        lowest, highest = self._price_band(instrument, series, mark) or (None, None)
        bid_iv, ask_iv = self._quote_volatilities(instrument, series, bid_micros, ask_micros)
        stats = self.day_statistics(instrument_id)
        return Ticker(
            instrument_id,
            self.seq,
            self.ts_us,
            instrument.state,
            bid_micros,
            quote.best_bid_size_milli,
            ask_micros,
            quote.best_ask_size_milli,
            self.depths[instrument_id].mid_micros(),
            mark,
            self.last_price_micros(instrument_id),
            None if series.index_price is None else series.index_price.price_micros,
            stats.volume_milli,
            self.balances.open_interest_milli.get(instrument_id, 0),
            mark_iv,
            greeks,
            lowest,
            highest,
            bid_iv,
            ask_iv,
            self.estimated_delivery_price_micros(instrument_id),
            stats,
            UNSET if series.forward_micros is None or not series.has_forward else series.forward_micros,
        )

    def _quote_volatilities(
        self, instrument: Instrument, series: SeriesPricing, bid_micros: int | None, ask_micros: int | None
    ) -> tuple[Volatility | None, Volatility | None]:
        """Return the implied volatilities of best bid and best ask, None for a side without a price."""
        if series.index_price is None or (bid_micros is None and ask_micros is None):
            return None, None
        forward_micros = series.index_price.price_micros if series.smile is None else series.forward_micros
        return (
            self._volatilities.of_quote(instrument, "bid", bid_micros, forward_micros, self.ts_us),
            self._volatilities.of_quote(instrument, "ask", ask_micros, forward_micros, self.ts_us),
        )

    def forward_of(self, instrument_id: str) -> int | None:
        """Return the price of the asset that implied volatilities of an instrument are about, in micros."""
        series = self._shared(self.instruments[instrument_id])
        if series.index_price is None:
            return None
        return series.index_price.price_micros if series.smile is None else series.forward_micros

    def volatility_of(self, instrument_id: str, price_micros: int) -> Volatility | None:
        """Return the implied volatility of a price, as of best bid and best ask; None if it has none."""
        forward_micros = self.forward_of(instrument_id)
        return volatility_of_price(self.instruments[instrument_id], price_micros, forward_micros, self.ts_us)

    def mark_volatility(self, instrument_id: str) -> Volatility | None:
        """Return the volatility of the mark price, as in the ticker."""
        instrument = self.instruments[instrument_id]
        return self._pricing(instrument, self._shared(instrument), self.marks.get(instrument_id))[0]

    def quote(self, instrument_id: str) -> TopOfBook:
        """Return best bid and best ask of a listed instrument."""
        bid, ask = self.depths[instrument_id].tops()
        return TopOfBook(
            instrument_id,
            self.seq,
            self.ts_us,
            None if bid is None else bid.price_micros,
            0 if bid is None else bid.size_milli,
            None if ask is None else ask.price_micros,
            0 if ask is None else ask.size_milli,
        )

    def mark_surface(self, asset: str) -> MarkSurface | None:
        """Return the surface of an asset, with the forwards that the rules set; None if its marks follow none."""
        surface, index, market = self.surfaces.get(asset), self.indexes.get(asset), market_of(self.rules)
        if surface is None or index is None or market is None:
            return surface
        basis, curve = basis_of(market, asset), ForwardCurve(market, asset, index.price_micros, index.ts_us)
        smiles = [
            replace(smile, forward_micros=curve.at(smile.expiration_s * US_PER_SECOND))
            if smile.expiration_s * US_PER_SECOND in basis
            else smile
            for smile in surface.smiles
        ]
        return MarkSurface(asset, smiles, surface.seq, surface.ts_us)

    def _shared(self, instrument: Instrument) -> SeriesPricing:
        """Return what the options of the expiration share, kept until the surface, the index or the rules change."""
        asset, rules = instrument.asset, self.fold.rules
        surface, index = self.surfaces.get(asset), self.indexes.get(asset)
        known = self._known_series.get(asset)
        if known is None or known.surface is not surface or known.index_price is not index or known.rules is not rules:
            known = self._known_series[asset] = _KnownSeries(surface, index, rules, {})
        series = known.by_expiration_s.get(instrument.expiration_s)
        if series is None:
            series = known.by_expiration_s[instrument.expiration_s] = _series_pricing(instrument, surface, index, rules)
        return series

    def estimated_delivery_price_micros(self, instrument_id: str) -> int | None:
        """Return the price at which the series would be delivered now, in micros; None without an index price.

        It is the index price, and in the last half hour before the expiration its average over that time until now. An
        expired instrument has its delivery price, None while its settlement is delayed.
        """
        instrument = self.instruments[instrument_id]
        index = self.indexes.get(instrument.asset)
        if instrument.state == "expired" or index is None:
            return instrument.delivery_price_micros
        expiration_us = instrument.expiration_s * US_PER_SECOND
        if self.ts_us <= expiration_us - WINDOW_US:
            return index.price_micros
        return self.fold.windows[instrument.asset].estimated_delivery_micros(expiration_us, self.ts_us)

    def price_band(self, instrument_id: str) -> tuple[int, int] | None:
        """Return the lowest and the highest price of an order in micros; None if any price is possible."""
        instrument = self.instruments[instrument_id]
        return self._price_band(instrument, self._shared(instrument), self.marks.get(instrument_id))

    def _price_band(self, instrument: Instrument, series: SeriesPricing, mark: int | None) -> tuple[int, int] | None:
        index, smile, forward_micros, _, band = series
        if band is None or smile is None or mark is None or index is None or forward_micros is None:
            return None
        return self._volatilities.band(instrument, smile, index, forward_micros, mark, band)

    def _pricing(self, instrument: Instrument, series: SeriesPricing, mark: int | None) -> Pricing:
        """Return volatility and Greeks: those of the smile, or else those that the mark implies."""
        index, smile, forward_micros = series.index_price, series.smile, series.forward_micros
        if smile is not None and mark is not None and index is not None and forward_micros is not None:
            return self._volatilities.of_smile(instrument, smile, index, forward_micros, self.ts_us)
        return self._volatilities.of(instrument, mark, None if index is None else index.price_micros, self.ts_us)

    def find_order(
        self, user_id: str, order_id: int | None, client_order_id: str | None = None, label: str | None = None
    ) -> OrderView | None:
        """Return the user's order with this id, or the newest one with this client_order_id or label.

        Open orders come before finished ones. None if there is none, or if it finished and is no longer kept.
        """
        return self.orders.find_named(user_id, order_id, client_order_id, label)

    def mmp_groups(self, user_id: str) -> list[MmpGroupView]:
        """Return the MMP groups of the user, oldest first."""
        return list(self.fold.mmp_groups.get(user_id, {}).values())

    def open_orders(self, user_id: str, instrument_id: str | None = None, label: str | None = None) -> list[OrderView]:
        """Return the user's open orders, oldest first; all of them, or those in one instrument or with one label."""
        return self.orders.open_orders(user_id, instrument_id, label)

    def finished_orders(
        self,
        user_id: str,
        count: int,
        before: int | None = None,
        instrument_id: str | None = None,
        label: str | None = None,
    ) -> list[OrderView]:
        """Return finished orders of the user with an `order_id` below `before`, the highest first."""
        return self.orders.history(user_id, count, before, instrument_id, label)

    def trades(self, instrument_id: str, count: int, before: int | None = None) -> list[Trade]:
        """Return trades of the instrument with a `trade_id` below `before`, newest first."""
        return self.tape.trades(instrument_id, count, before)

    def user_trades(
        self, user_id: str, count: int, before: int | None = None, instrument_id: str | None = None
    ) -> list[UserTrade]:
        """Return trades of the user with a `trade_id` below `before`, newest first."""
        return self.tape.user_trades(user_id, count, before, instrument_id)

    def last_price_micros(self, instrument_id: str) -> int | None:
        """Return the price of the last trade; None if there was none."""
        return self.tape.last_price_micros(instrument_id)

    def day_statistics(self, instrument_id: str) -> DayStatistics:
        """Return the figures of the trades of the last 24 hours; those of no trades after the expiration."""
        return self.tape.day_statistics(instrument_id, self.ts_us)

    def trade_candle(self, instrument_id: str, length_us: int) -> RunningCandle | None:
        """Return the candle of the trades in the present interval, a flat one if there were none.

        None without any trade, after the expiration, and if the tape does not reach back to the begin of the interval.
        """
        if self.instruments[instrument_id].state == "expired":
            return None
        return self.tape.running_candle(instrument_id, self.ts_us - self.ts_us % length_us)

    def index_candle(self, asset: str, length_us: int) -> RunningCandle | None:
        """Return the candle of the index in the present interval; None without a price, or if they are not known."""
        index = self.indexes.get(asset)
        return None if index is None else self.fold.index_candles[asset].at(length_us, index.price_micros, self.ts_us)

    def open_count(self, user_id: str) -> int:
        """Return the number of open orders of a user."""
        orders = self.orders.users.get(user_id)
        return 0 if orders is None else len(orders.open)

    def account_summary(self, user_id: str) -> AccountSummary:
        """Return the cash of a user, whether the user is suspended, and the number of open orders."""
        account = self.balances.users[user_id]
        return AccountSummary(
            user_id,
            account.cash_micros - account.locked_micros,
            account.locked_micros,
            account.maintenance_micros,
            account.shortfall_micros,
            account.suspended,
            self.open_count(user_id),
        )

    def knows_asset(self, asset: str) -> bool:
        """True if an instrument on the asset was ever listed, or the rules list some."""
        market = market_of(self.rules)
        return (
            asset in self.indexes
            or (market is not None and any(series.asset == asset for series in market.series))
            or any(instrument.asset == asset for instrument in self.instruments.values())
        )

    def why_not_listed(self, instrument_id: str) -> Reason:
        """Return why no instrument has this id, as the matcher does: it has expired, or never was one."""
        if settlement_rules_of(self.rules).settled_kept_days is UNSET:
            return Reason.INSTRUMENT_NOT_FOUND
        asset = asset_of_expired(instrument_id, self.ts_us)
        is_known = asset is not None and self.knows_asset(asset)
        return Reason.INSTRUMENT_EXPIRED if is_known else Reason.INSTRUMENT_NOT_FOUND

    def live_instruments(self, asset: str | None = None) -> list[Instrument]:
        """Return the instruments that have not expired, in order of listing."""
        return [
            instrument
            for instrument in self.instruments.values()
            if instrument.state != "expired" and asset in (None, instrument.asset)
        ]

    def _funds(self, user_id: str) -> AccountBalances:
        return self.balances.users.get(user_id) or AccountBalances()


def _series_pricing(
    instrument: Instrument, surface: MarkSurface | None, index: IndexPrice | None, rules: Rules
) -> SeriesPricing:
    market, expiration_s = market_of(rules), instrument.expiration_s
    smiles = surface.smiles if surface is not None else []
    smile = next((one for one in smiles if one.expiration_s == expiration_s), None)
    basis_ppm = None if market is None else basis_of_option(market, instrument.instrument_id)
    forward = None if index is None else index.price_micros
    if index is not None and basis_ppm:
        forward = forward_micros(index.price_micros, basis_ppm, expiration_s * US_PER_SECOND - index.ts_us)
    has_forward = index is not None and smile is not None and basis_ppm is not None
    return SeriesPricing(
        index, smile, forward, has_forward, None if market is None else band_of(market, instrument.asset)
    )
