"""The prices at the times of trades, mark prices and settlements of single options, from the history."""

from typing import Any

from exchange.domain.events import RulesChanged, decode_event
from exchange.domain.forwards import basis_of_option, forward_micros
from exchange.domain.rules import Rules, market_of
from exchange.domain.units import US_PER_SECOND
from exchange.history_db.past_views import PastViews
from exchange.projections.implied_volatility import volatility_of_price
from exchange.projections.market_moment import MarkPrice, OptionSettlement, TradeMoment
from exchange.projections.record_page import RecordPage
from exchange.projections.wire_types import Instrument, Trade, UserTrade

# Trades before one that are looked at to find its tick direction.
LOOKED_BACK_MAX = 20
# Ids of settlements are seq * 2^20 + the number of the event within its command.
_EVENT_BITS = 20
# What a contract is worth at delivery.
_VALUE = (
    "max(0, iif(i.option_type = 'call', i.delivery_price_micros - i.strike_micros, "
    "i.strike_micros - i.delivery_price_micros))"
)


class Moments:
    """The moments of trades. It remembers the rules and the instruments that it read."""

    def __init__(self, views: PastViews) -> None:
        self._views = views
        self._rules: dict[int, Rules] = {}
        self._instruments: dict[str, Instrument] = {}

    def of(self, trade: Trade | UserTrade) -> TradeMoment:
        """Return the moment of a trade: its prices are those before the event of the trade."""
        instrument = self._instrument(trade.instrument_id)
        (n,) = self._first("SELECT n FROM trade WHERE trade_id = :trade_id", trade_id=trade.trade_id)
        at = {"at_seq": trade.seq, "n": n}
        index = self._first(
            "SELECT price_micros, ts_us FROM index_price WHERE asset = :asset AND (seq, n) <= (:at_seq, :n) "
            "ORDER BY seq DESC LIMIT 1",
            asset=instrument.asset,
            **at,
        )
        mark = self._first(
            "SELECT mark_micros FROM mark_version WHERE instrument = (SELECT instrument FROM instrument "
            "WHERE instrument_id = :name) AND (seq, n) <= (:at_seq, :n) ORDER BY seq DESC, n DESC LIMIT 1",
            name=trade.instrument_id,
            **at,
        )
        volatility = forward = None
        if index is not None:
            forward = self._forward(instrument, trade.seq, *index)
            volatility = volatility_of_price(instrument, trade.price_micros, forward, trade.ts_us)
        moment = TradeMoment(
            None if index is None else index[0],
            None if mark is None else mark[0],
            volatility,
            self._before(trade),
            forward_micros=forward,
        )
        return self._with_order(moment, trade) if isinstance(trade, UserTrade) else moment

    def _with_order(self, moment: TradeMoment, trade: UserTrade) -> TradeMoment:
        kind, is_reduce_only, is_post_only = self._first(
            "SELECT type, reduce_only, post_only FROM book_order WHERE order_id = :order_id", order_id=trade.order_id
        )
        return moment._replace(
            completes_order=self._completes(trade),
            order_type=kind,
            is_reduce_only=bool(is_reduce_only),
            is_post_only=bool(is_post_only),
        )

    def _completes(self, trade: UserTrade) -> bool:
        left = self._first(
            "SELECT remaining_milli FROM order_version WHERE order_id = :order_id AND seq = :at_seq "
            "AND trade_id = :trade_id",
            order_id=trade.order_id,
            at_seq=trade.seq,
            trade_id=trade.trade_id,
        )
        return left is not None and left[0] == 0

    def _before(self, trade: Trade | UserTrade) -> list[int]:
        rows = self._views.query(
            "SELECT price_micros FROM trade WHERE instrument = (SELECT instrument FROM instrument "
            "WHERE instrument_id = :name) AND ts_us <= :ts_us AND trade_id < :trade_id "
            "ORDER BY ts_us DESC, trade_id DESC LIMIT :count",
            name=trade.instrument_id,
            ts_us=trade.ts_us,
            trade_id=trade.trade_id,
            count=LOOKED_BACK_MAX,
        )
        return [price for (price,) in rows]

    def _forward(self, instrument: Instrument, seq: int, index_micros: int, index_us: int) -> int:
        """Return the price that volatilities are about: the forward of the rules, if a smile gives the marks."""
        market = market_of(self._rules_at(seq))
        basis_ppm = None if market is None else basis_of_option(market, instrument.instrument_id)
        has_smile = basis_ppm and self._first(
            "SELECT 1 FROM smile_version WHERE asset = :asset AND expiration_s = :expiration_s "
            "AND seq <= :at_seq LIMIT 1",
            asset=instrument.asset,
            expiration_s=instrument.expiration_s,
            at_seq=seq,
        )
        if not basis_ppm or not has_smile:
            return index_micros
        return forward_micros(index_micros, basis_ppm, instrument.expiration_s * US_PER_SECOND - index_us)

    def _rules_at(self, seq: int) -> Rules:
        found = self._first(
            "SELECT seq, value FROM setting_version WHERE subject = 'rules' AND seq <= :at_seq "
            "ORDER BY seq DESC LIMIT 1",
            at_seq=seq,
        )
        if found is None:
            return Rules()
        if found[0] not in self._rules:
            event = decode_event(found[1])
            self._rules[found[0]] = event.rules if isinstance(event, RulesChanged) else Rules()
        return self._rules[found[0]]

    def _instrument(self, instrument_id: str) -> Instrument:
        """Return an instrument, also one that is no longer listed."""
        if instrument_id not in self._instruments:
            terms = self._first(
                "SELECT instrument_id, asset, option_type, strike_micros, expiration_s, tick_micros, min_size_milli "
                "FROM instrument WHERE instrument_id = :name",
                name=instrument_id,
            )
            self._instruments[instrument_id] = Instrument(*terms)
        return self._instruments[instrument_id]

    def _first(self, sql: str, **values: Any) -> Any:
        return self._views.query(sql, **values).fetchone()


def trades_on(views: PastViews, asset: str | None, page: RecordPage) -> list[Trade]:
    """Return trades of the options on an asset, or of all options, the newest first."""
    first_id, last_id = views.trade_ids(*views.seqs_of(page))
    rows = views.query(
        "SELECT t.trade_id, i.instrument_id, t.price_micros, t.size_milli, t.taker_side, t.seq, t.ts_us, o.liquidation "
        "FROM trade t CROSS JOIN instrument i ON i.instrument = t.instrument "
        "CROSS JOIN book_order o ON o.order_id = t.taker_order_id "
        "WHERE t.trade_id BETWEEN :first_id AND :last_id AND (:asset IS NULL OR i.asset = :asset) "
        "ORDER BY t.trade_id DESC LIMIT :count",
        first_id=first_id,
        last_id=last_id if page.before is None else min(last_id, page.before - 1),
        asset=asset,
        count=page.count_max,
    )
    return [Trade(*[*row[:-1], bool(row[-1])]) for row in rows]


def mark_prices_in(views: PastViews, instrument_id: str, page: RecordPage) -> list[MarkPrice]:
    """Return the newest mark prices of an instrument at the times of the page, the oldest of them first."""
    first_seq, last_seq = views.seqs_of(page)
    rows = views.query(
        "SELECT c.ts_us, m.mark_micros FROM mark_version m JOIN command c ON c.seq = m.seq "
        "WHERE m.instrument = :instrument AND m.seq BETWEEN :first_seq AND :last_seq AND m.mark_micros IS NOT NULL "
        "AND m.n >= 0 ORDER BY m.seq DESC, m.n DESC LIMIT :count",
        instrument=views.key_of_instrument(instrument_id),
        first_seq=first_seq,
        last_seq=last_seq,
        count=page.count_max,
    ).fetchall()
    return [MarkPrice(*row) for row in reversed(rows)]


def settlements_in(
    views: PastViews, user_id: str | None, asset: str | None, instrument_id: str | None, page: RecordPage
) -> list[OptionSettlement]:
    """Return settlements of a user's positions, or without a user of all long positions together, the newest first."""
    first_seq, last_seq = views.seqs_of(page)
    of_user = "s.user = :user" if user_id is not None else "s.quantity_milli > 0"
    rows = views.query(
        f"SELECT (s.seq << {_EVENT_BITS}) + min(s.n) AS id, c.ts_us, i.instrument_id, sum(s.quantity_milli), "
        f"i.delivery_price_micros, {_VALUE}, sum(s.payout_micros) FROM position_settlement s "
        "JOIN instrument i USING (instrument) JOIN command c ON c.seq = s.seq "
        f"WHERE {of_user} AND s.seq BETWEEN :first_seq AND :last_seq AND (:asset IS NULL OR i.asset = :asset) "
        "AND (:name IS NULL OR i.instrument_id = :name) GROUP BY s.seq, i.instrument "
        "HAVING :before IS NULL OR id < :before ORDER BY id DESC LIMIT :count",
        user=None if user_id is None else views.user_key(user_id),
        first_seq=first_seq,
        last_seq=last_seq,
        asset=asset,
        name=instrument_id,
        before=page.before,
        count=page.count_max,
    )
    return [OptionSettlement(*row) for row in rows]


def created_us(views: PastViews, instrument_ids: list[str]) -> dict[str, int]:
    """Return when these instruments were listed; one that never was is left out."""
    found = {}
    for name in instrument_ids:
        row = views.query(
            "SELECT c.ts_us FROM instrument i JOIN command c ON c.seq = i.created_seq "
            "WHERE i.instrument_id = :name AND i.created_seq <= :seq",
            name=name,
        ).fetchone()
        if row is not None:
            found[name] = int(row[0])
    return found
