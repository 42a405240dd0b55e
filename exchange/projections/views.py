"""All read models together: `Views.project` applies the events of one command and returns the changes."""

import msgspec

from exchange.domain.events import (
    AccountOpened,
    BalanceChanged,
    Configured,
    DeliveryPriceSet,
    Event,
    HaltSet,
    IndexPriceSet,
    InstrumentCreated,
    InstrumentStateChanged,
    LimitsSet,
    MarginsChanged,
    MarksSet,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    PositionChanged,
    PositionSettled,
    Refused,
    RulesChanged,
    SeriesPaused,
    SeriesResumed,
    SettlementDelayed,
    ShortfallCovered,
    SuspensionSet,
    Traded,
)
from exchange.domain.reasons import Reason
from exchange.domain.rules import FIRST_RULES_VERSION, Rules, market_of
from exchange.projections.balances import Balances, PositionRecord
from exchange.projections.depth import Depth
from exchange.projections.implied_volatility import ImpliedVolatilities
from exchange.projections.orders import Orders
from exchange.projections.settlements import SettlementHistory
from exchange.projections.tape import Tape
from exchange.projections.wire_types import (
    AccountSummary,
    AccountView,
    Balance,
    IndexPrice,
    Instrument,
    OrderView,
    PositionView,
    Settlement,
    Ticker,
    Trade,
    UserSettlement,
    UserTrade,
)


class Change(msgspec.Struct, eq=False):
    """The changes of one command, from which its answer and the notifications are made.

    `order` is the order that the command placed, edited or cancelled. `user_id` is the account that was opened, that
    the administrator changed, or whose command was refused. `positions` are by user and instrument. `repriced` has the
    assets with a new index price or new marks. `halted` is None if it did not change. `count` is the number of
    instruments that were paused or resumed together.
    """

    seq: int
    ts_us: int
    refused: Reason | None = None
    user_id: str = ""
    order: OrderView | None = None
    duplicate: bool = False
    orders: dict[int, OrderView] = {}
    trades: list[Trade] = []
    user_trades: list[tuple[str, UserTrade]] = []
    positions: dict[tuple[str, str], PositionRecord] = {}
    balances: dict[str, None] = {}
    books: dict[str, Depth] = {}
    instruments: dict[str, Instrument] = {}
    index: IndexPrice | None = None
    repriced: dict[str, None] = {}
    settlements: list[Settlement] = []
    halted: bool | None = None
    count: int | None = None


class Views:
    """Every read model, as of command `seq` at `ts_us`.

    `indexes` are by asset. `marks` are the mark prices in micros, by instrument.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.ts_us = 0
        self.rules = Rules()
        self.rules_version = FIRST_RULES_VERSION
        self.orders = Orders()
        self.balances = Balances()
        self.tape = Tape()
        self.settlements = SettlementHistory()
        self.instruments: dict[str, Instrument] = {}
        self.depths: dict[str, Depth] = {}
        self.indexes: dict[str, IndexPrice] = {}
        self.marks: dict[str, int] = {}
        self._volatilities = ImpliedVolatilities()

    def project(self, seq: int, ts_us: int, events: list[Event]) -> Change:
        """Apply the events of command `seq` to the views, and return the changes."""
        self.seq, self.ts_us = seq, ts_us
        change = Change(seq, ts_us)
        entering: OrderView | None = None
        for event in events:
            match event:
                case OrderAccepted():
                    # A command can place several orders: its own first, then those of liquidations.
                    self._come_to_rest(change, entering)
                    entering = self.orders.on_accepted(event, ts_us)
                    change.orders[event.order_id] = entering
                    if not entering.liquidation:
                        change.order = entering
                case BalanceChanged():
                    self.balances.on_balance(event)
                    change.balances[event.user_id] = None
                case Traded():
                    self._on_traded(change, event)
                case PositionChanged():
                    position = self.balances.on_position(event)
                    key = (event.user_id, event.instrument_id)
                    if event.quantity_milli or event.locked_micros or key not in change.positions:
                        change.positions[key] = position
                case MarginsChanged():
                    for instrument_id, position in self.balances.on_margins(event):
                        change.positions[event.user_id, instrument_id] = position
                case OrderCancelled():
                    order = self.orders.on_cancelled(event, ts_us)
                    change.orders[event.order_id] = order
                    if order is not entering:
                        self._changed_depth(change, event.instrument_id).on_cancelled(event)
                    if change.order is None:
                        change.order = order
                case OrderEdited():
                    order = change.order = self.orders.on_edited(event, ts_us)
                    change.orders[event.order_id] = order
                    self._changed_depth(change, event.instrument_id).on_edited(event)
                    entering = None if event.kept_place else order
                case OrderRepeated():
                    change.order = self.orders.find(event.user_id, event.order_id)
                    change.duplicate = True
                case Refused():
                    change.refused = event.reason
                    change.user_id = event.user_id or ""
                case AccountOpened():
                    self.balances.open(event.user_id)
                    change.user_id = event.user_id
                case InstrumentCreated():
                    self._list(change, event)
                case InstrumentStateChanged():
                    self._on_state(change, event)
                case IndexPriceSet():
                    change.index = IndexPrice(event.asset, event.price_micros, seq, ts_us)
                    self.indexes[event.asset] = change.index
                    change.repriced[event.asset] = None
                case MarksSet():
                    self.marks.update(event.marks)
                    change.repriced[event.asset] = None
                case DeliveryPriceSet():
                    self._deliver(change, event)
                case SettlementDelayed():
                    self._conclude(change, Settlement(seq, ts_us, event.asset, event.expiration_s, None, "delayed"))
                case PositionSettled():
                    self._on_settled(change, event)
                case ShortfallCovered():
                    self.balances.on_shortfall(event)
                    change.balances[event.user_id] = None
                case HaltSet():
                    change.halted = event.halted
                case SeriesPaused() | SeriesResumed():
                    change.count = event.count
                case SuspensionSet():
                    self.balances.on_suspension(event)
                    change.user_id = event.user_id
                case LimitsSet():
                    self.balances.on_limits(event)
                    change.user_id = event.user_id
                case Configured() | RulesChanged():
                    self.rules = event.rules
                    self.rules_version = event.rules_version or FIRST_RULES_VERSION
                    self.orders.keep(event.rules.finished_orders_kept)
                case _:
                    pass
        self._come_to_rest(change, entering)
        return change

    def balance(self, user_id: str) -> Balance:
        """Return the user's balance."""
        return self.balances.balance(user_id, self.seq)

    def account(self, user_id: str) -> AccountView:
        """Return the user's account, at current marks."""
        return self.balances.account(user_id, self.seq, self.rules, self.valuation)

    def profit_micros(self, user_id: str) -> int:
        """Return realised and unrealised profit after fees, at current marks."""
        return self.balances.profit_micros(user_id, self.valuation)

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
        mid = self.depths[instrument_id].mid_micros()
        return None, self.tape.last_price_micros(instrument_id) if mid is None else mid

    def ticker(self, instrument_id: str) -> Ticker:
        """Return the ticker of a listed instrument."""
        instrument = self.instruments[instrument_id]
        depth = self.depths[instrument_id]
        bid, ask = depth.tops()
        mark = self.marks.get(instrument_id)
        index = self.indexes.get(instrument.asset)
        index_micros = None if index is None else index.price_micros
        return Ticker(
            instrument_id,
            self.seq,
            self.ts_us,
            instrument.state,
            None if bid is None else bid.price_micros,
            0 if bid is None else bid.size_milli,
            None if ask is None else ask.price_micros,
            0 if ask is None else ask.size_milli,
            depth.mid_micros(),
            mark,
            self.tape.last_price_micros(instrument_id),
            index_micros,
            self.tape.volume_24h_milli(instrument_id, self.ts_us),
            self.balances.open_interest_milli.get(instrument_id, 0),
            *self._volatilities.of(instrument, mark, index_micros, self.ts_us),
        )

    def open_orders(self, user_id: str, instrument_id: str | None = None) -> list[OrderView]:
        """Return the user's open orders, oldest first; all of them, or those in one instrument."""
        return self.orders.open_orders(user_id, instrument_id)

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

    def live_instruments(self, asset: str | None = None) -> list[Instrument]:
        """Return the instruments that have not expired, in order of listing."""
        return [
            instrument
            for instrument in self.instruments.values()
            if instrument.state != "expired" and asset in (None, instrument.asset)
        ]

    def _come_to_rest(self, change: Change, order: OrderView | None) -> None:
        """Add the remainder of an order that entered to the depth, if it rests."""
        if order is not None and order.remaining_milli and order.status != "cancelled":
            self._changed_depth(change, order.instrument_id).enter(order)

    def _on_traded(self, change: Change, event: Traded) -> None:
        maker, taker = self.orders.on_traded(event, change.ts_us)
        change.orders[maker.order_id] = maker
        change.orders[taker.order_id] = taker
        instrument_id = event.instrument_id
        maker_position, taker_position = self.balances.on_traded(event)
        change.positions[event.maker_user_id, instrument_id] = maker_position
        change.positions[event.taker_user_id, instrument_id] = taker_position
        self._changed_depth(change, instrument_id).on_traded(event)
        trade, maker_trade, taker_trade = self.tape.on_traded(event, change.seq, change.ts_us, maker, taker)
        change.trades.append(trade)
        change.user_trades.append((event.maker_user_id, maker_trade))
        change.user_trades.append((event.taker_user_id, taker_trade))

    def _changed_depth(self, change: Change, instrument_id: str) -> Depth:
        depth = self.depths[instrument_id]
        change.books[instrument_id] = depth
        return depth

    def _list(self, change: Change, event: InstrumentCreated) -> None:
        instrument = Instrument(
            event.instrument_id,
            event.asset,
            event.option_type,
            event.strike_micros,
            event.expiration_s,
            event.tick_micros,
            event.min_size_milli,
        )
        self.instruments[instrument.instrument_id] = change.instruments[instrument.instrument_id] = instrument
        self.depths[instrument.instrument_id] = Depth()

    def _on_state(self, change: Change, event: InstrumentStateChanged) -> None:
        instrument = change.instruments[event.instrument_id] = self.instruments[event.instrument_id]
        instrument.state = event.state
        if event.state == "expired":
            self.tape.volumes.pop(event.instrument_id, None)

    def _deliver(self, change: Change, event: DeliveryPriceSet) -> None:
        """Set the delivery price of the instruments of a series, and remove their marks."""
        asset, expiration_s, price_micros = event.asset, event.expiration_s, event.price_micros
        for instrument_id, instrument in self.instruments.items():
            if instrument.expiration_s == expiration_s and instrument.asset == asset:
                instrument.delivery_price_micros = price_micros
                change.instruments[instrument_id] = instrument
                self.marks.pop(instrument_id, None)
        self._conclude(change, Settlement(change.seq, change.ts_us, asset, expiration_s, price_micros, "settled"))

    def _conclude(self, change: Change, settlement: Settlement) -> None:
        self.settlements.on_series(settlement)
        change.settlements.append(settlement)

    def _on_settled(self, change: Change, event: PositionSettled) -> None:
        user_id, instrument_id = event.user_id, event.instrument_id
        delivery_price = self.instruments[instrument_id].delivery_price_micros
        assert delivery_price is not None, "a position was settled at no price"
        change.positions[user_id, instrument_id] = self.balances.on_settled(event)
        self.settlements.on_position(
            user_id,
            UserSettlement(
                change.seq,
                change.ts_us,
                instrument_id,
                event.quantity_milli,
                delivery_price,
                event.payout_micros,
                event.fee_micros,
            ),
        )
