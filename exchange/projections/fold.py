"""The fold: `project` applies the events of one command to all read models, and returns the changes."""

from msgspec import UNSET
from msgspec.structs import replace

from exchange.domain.events import (
    AccountOpened,
    AccountReset,
    AllCancelled,
    BalanceChanged,
    Configured,
    DebtRepaid,
    DeliveryPriceSet,
    Event,
    HaltSet,
    IndexPriceSet,
    InstrumentCreated,
    InstrumentStateChanged,
    LimitsSet,
    LinkedOrdersPlaced,
    LiquidationFeeCharged,
    LossShared,
    MarginsChanged,
    MarksSet,
    MassQuoted,
    MmpConfigSet,
    MmpResetDone,
    MmpTriggered,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    PositionChanged,
    PositionSettled,
    PositionTakenOver,
    QuoteRefused,
    Refused,
    RulesChanged,
    SeriesDelisted,
    SeriesPaused,
    SeriesResumed,
    SettlementDelayed,
    ShortfallCovered,
    SurfaceSet,
    SuspensionSet,
    Traded,
    TriggerOrderActivated,
    TriggerOrderEdited,
    TriggerOrderEnded,
    TriggerOrderPlaced,
)
from exchange.domain.index_window import IndexWindow
from exchange.domain.reasons import Reason
from exchange.domain.rules import FIRST_RULES_VERSION, Rules
from exchange.projections.balances import Balances, PositionRecord
from exchange.projections.candles import IndexCandles
from exchange.projections.depth import Depth
from exchange.projections.mmp import mmp_group_view, mmp_trigger_view
from exchange.projections.new_orders import link_as
from exchange.projections.orders import Orders
from exchange.projections.settlements import SettlementHistory
from exchange.projections.tape import Tape
from exchange.projections.wire_types import (
    IndexPrice,
    Instrument,
    MarkSurface,
    MmpGroupView,
    MmpTriggerView,
    OrderView,
    Settlement,
    SharedLoss,
    SmileView,
    Trade,
    UserSettlement,
    UserTrade,
)


class Change:
    """The changes of one command, from which its answer and the notifications are made.

    `order` is the order that the command placed, edited or cancelled. `user_id` is the account that was opened, that
    the administrator changed, or whose command was refused. `positions` are by user and instrument. `repriced` has the
    assets with a new index price or new marks. `cancelled` are the ids of the orders that a mass cancellation
    cancelled, oldest first: not those that changed after it in the same command. `losses` are the shares of a loss, by
    user. `halted` is None if it did not change. `count` is the number of instruments that were paused or resumed
    together. `band` is that of a refused price. `quotes` are the orders that a mass quote placed, changed or left as
    they were, `quote_id` is its name, and `refused_quotes` are the sides that it refused. `mmp_triggers` are the MMP
    groups that froze, by user, and `mmp_group` is the one that the command set or reset. `linked` are the ids of the
    orders that it linked.
    """

    __slots__ = (
        "balances",
        "band",
        "books",
        "cancelled",
        "count",
        "duplicate",
        "halted",
        "index",
        "instruments",
        "linked",
        "losses",
        "mmp_group",
        "mmp_triggers",
        "order",
        "orders",
        "positions",
        "quote_id",
        "quotes",
        "refused",
        "refused_quotes",
        "repriced",
        "seq",
        "settlements",
        "surfaces",
        "trades",
        "ts_us",
        "user_id",
        "user_trades",
    )

    def __init__(self, seq: int, ts_us: int) -> None:
        self.seq = seq
        self.ts_us = ts_us
        self.refused: Reason | None = None
        self.band: tuple[int, int] | None = None
        self.user_id = ""
        self.order: OrderView | None = None
        self.duplicate = False
        self.orders: dict[int, OrderView] = {}
        self.cancelled: list[int] = []
        self.linked: list[int] = []
        self.trades: list[Trade] = []
        self.user_trades: list[tuple[str, UserTrade]] = []
        self.positions: dict[tuple[str, str], PositionRecord] = {}
        self.balances: dict[str, None] = {}
        self.books: dict[str, Depth] = {}
        self.instruments: dict[str, Instrument] = {}
        self.index: IndexPrice | None = None
        self.repriced: dict[str, None] = {}
        self.settlements: list[Settlement] = []
        self.losses: dict[str, SharedLoss] = {}
        self.surfaces: dict[str, MarkSurface] = {}
        self.halted: bool | None = None
        self.count: int | None = None
        self.quote_id = ""
        self.quotes: list[OrderView] = []
        self.mmp_group: MmpGroupView | None = None
        self.refused_quotes: list[QuoteRefused] = []
        self.mmp_triggers: list[tuple[str, MmpTriggerView]] = []


class Fold:
    """Everything that the events decide.

    `indexes`, `windows`, `index_candles` and `surfaces` are by asset; `marks` are in micros, by instrument.
    `closing_indexes` are the index prices in micros at the close of the instruments that wait for their settlement.
    `mmp_groups` are by user and name.
    """

    __slots__ = (
        "balances",
        "closing_indexes",
        "depths",
        "index_candles",
        "indexes",
        "instruments",
        "marks",
        "mmp_groups",
        "orders",
        "rules",
        "rules_version",
        "settlements",
        "surfaces",
        "tape",
        "windows",
    )

    def __init__(self) -> None:
        self.rules = Rules()
        self.rules_version = FIRST_RULES_VERSION
        self.orders = Orders()
        self.balances = Balances()
        self.tape = Tape()
        self.settlements = SettlementHistory()
        self.instruments: dict[str, Instrument] = {}
        self.depths: dict[str, Depth] = {}
        self.indexes: dict[str, IndexPrice] = {}
        self.windows: dict[str, IndexWindow] = {}
        self.index_candles: dict[str, IndexCandles] = {}
        self.closing_indexes: dict[str, int] = {}
        self.surfaces: dict[str, MarkSurface] = {}
        self.marks: dict[str, int] = {}
        self.mmp_groups: dict[str, dict[str, MmpGroupView]] = {}

    def project(self, seq: int, ts_us: int, events: list[Event]) -> Change:
        """Apply the events of command `seq`, and return the changes."""
        change = Change(seq, ts_us)
        entering: OrderView | None = None
        linked: LinkedOrdersPlaced | None = None
        triggered: OrderView | None = None
        for event in events:
            match event:
                case OrderAccepted():
                    # A command can place several orders: its own first, then those of liquidations.
                    self._come_to_rest(change, entering)
                    entering = self.orders.on_accepted(event, ts_us)
                    change.orders[event.order_id] = entering
                    if linked is not None and event.order_id in linked.order_ids:
                        _link(entering, linked)
                    elif triggered is not None and event.trigger_order_id == triggered.order_id:
                        link_as(entering, triggered)
                    if not entering.liquidation and entering.trigger_order_id is None:
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
                case OrderEdited() if event.cause is not UNSET:
                    order = change.orders[event.order_id] = self.orders.on_edited(event, ts_us)
                    if order is not entering:
                        self._changed_depth(change, event.instrument_id).on_edited(event)
                case OrderEdited():
                    # In a mass quote, other orders came before it.
                    self._come_to_rest(change, entering)
                    order = change.order = self.orders.on_edited(event, ts_us)
                    change.orders[event.order_id] = order
                    self._changed_depth(change, event.instrument_id).on_edited(event)
                    entering = None if event.kept_place else order
                case AllCancelled():
                    # A link may also have made an order smaller.
                    ended = [order_id for order_id, it in change.orders.items() if it.status == "cancelled"]
                    change.cancelled = sorted(ended)
                case OrderRepeated():
                    change.order = self.orders.find(event.user_id, event.order_id)
                    change.duplicate = True
                case Refused():
                    change.refused = event.reason
                    change.band = event.band or None
                    change.user_id = event.user_id or ""
                case AccountReset():
                    change.user_id = event.user_id
                case AccountOpened():
                    self.balances.open(event.user_id)
                    change.user_id = event.user_id
                case InstrumentCreated():
                    self._list(change, event)
                case InstrumentStateChanged():
                    self._on_state(change, event)
                case IndexPriceSet():
                    self._on_index(change, event)
                case MarksSet():
                    self.marks.update(event.marks)
                    change.repriced[event.asset] = None
                case SurfaceSet():
                    self._on_surface(change, event)
                case DeliveryPriceSet():
                    self._deliver(change, event)
                case SettlementDelayed():
                    self._conclude(change, Settlement(seq, ts_us, event.asset, event.expiration_s, None, "delayed"))
                case SeriesDelisted():
                    self._delist(event)
                case PositionSettled():
                    self._on_settled(change, event)
                case ShortfallCovered() | DebtRepaid():
                    self.balances.on_shortfall(event)
                    change.balances[event.user_id] = None
                case PositionTakenOver():
                    own, taken = self.balances.on_taken_over(event)
                    change.positions[event.user_id, event.instrument_id] = own
                    change.positions["insurance", event.instrument_id] = taken
                case LiquidationFeeCharged():
                    self.balances.on_liquidation_fee(event)
                case LossShared():
                    self.balances.on_loss_shared(event)
                    change.losses[event.user_id] = SharedLoss(seq, ts_us, event.amount_micros, event.won_micros)
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
                case TriggerOrderPlaced():
                    order = change.orders[event.order_id] = self.orders.on_trigger_placed(event, ts_us)
                    if event.part_of is not UNSET:
                        # A fill of its primary placed it.
                        link_as(order, self.orders.users[event.user_id].triggers[event.part_of])
                    else:
                        change.order = order
                        if linked is not None:
                            _link(order, linked)
                case TriggerOrderEdited():
                    order = change.orders[event.order_id] = self.orders.on_trigger_edited(event, ts_us)
                    if event.cause is UNSET:
                        change.order = order
                case TriggerOrderActivated():
                    change.orders[event.order_id] = self.orders.on_trigger_activated(event, ts_us)
                case TriggerOrderEnded():
                    triggered = change.orders[event.order_id] = self.orders.on_trigger_ended(event, ts_us)
                    if change.order is None:
                        change.order = triggered
                case LinkedOrdersPlaced():
                    linked = event
                    change.linked = event.order_ids
                case MassQuoted():
                    self._on_mass_quoted(change, event)
                case QuoteRefused():
                    change.refused_quotes.append(event)
                case MmpConfigSet() | MmpTriggered() | MmpResetDone():
                    self._on_mmp(change, event)
                case Configured() | RulesChanged():
                    self.rules = event.rules
                    self.rules_version = event.rules_version or FIRST_RULES_VERSION
                    self.orders.keep(event.rules.finished_orders_kept)
                case _:
                    pass
        self._come_to_rest(change, entering)
        return change

    def _come_to_rest(self, change: Change, order: OrderView | None) -> None:
        """Add the remainder of an order that entered to the depth, if it rests."""
        if order is not None and order.remaining_milli and order.status != "cancelled":
            self._changed_depth(change, order.instrument_id).enter(order)

    def _on_mass_quoted(self, change: Change, event: MassQuoted) -> None:
        change.quote_id = event.quote_id
        for order_id, quote_set_id in event.orders:
            order = change.orders[order_id]
            order.mmp_group, order.quote_id = event.mmp_group, event.quote_id
            order.quote_set_id = quote_set_id or None
            change.quotes.append(order)
        for order_id in event.unchanged:
            # A later quote of the same command may have frozen the group, and so cancelled this one.
            ended = change.orders.get(order_id)
            change.quotes.append(self.orders.users[event.user_id].open[order_id] if ended is None else ended)

    def _on_mmp(self, change: Change, event: MmpConfigSet | MmpTriggered | MmpResetDone) -> None:
        groups = self.mmp_groups.setdefault(event.user_id, {})
        known = groups.get(event.mmp_group)
        match event:
            case MmpConfigSet():
                view = mmp_group_view(event, None if known is None else known.frozen_until_us)
                if event.interval_s:
                    groups[event.mmp_group] = change.mmp_group = view
                else:
                    del groups[event.mmp_group]
            case MmpTriggered():
                assert known is not None, "an unknown MMP group was triggered"
                groups[event.mmp_group] = replace(known, frozen_until_us=event.frozen_until_us)
                change.mmp_triggers.append((event.user_id, mmp_trigger_view(event, change.ts_us)))
            case MmpResetDone():
                assert known is not None, "an unknown MMP group was reset"
                groups[event.mmp_group] = change.mmp_group = replace(known, frozen_until_us=None)

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
            self.tape.days.pop(event.instrument_id, None)
            if event.instrument_id in self.marks:
                self.closing_indexes[event.instrument_id] = self.indexes[instrument.asset].price_micros
            self._drop_smile(instrument)

    def _on_index(self, change: Change, event: IndexPriceSet) -> None:
        asset = event.asset
        change.index = self.indexes[asset] = IndexPrice(asset, event.price_micros, change.seq, change.ts_us)
        change.repriced[asset] = None
        candles = self.index_candles.get(asset)
        if candles is None:
            candles = self.index_candles[asset] = IndexCandles()
        candles.add(event.price_micros, change.ts_us)
        window = self.windows.get(asset)
        if window is None:
            self.windows[asset] = IndexWindow(event.price_micros, change.ts_us)
        else:
            window.move(event.price_micros, change.ts_us)

    def _on_surface(self, change: Change, event: SurfaceSet) -> None:
        known = self.surfaces.get(event.asset)
        smiles = {smile.expiration_s: smile for smile in known.smiles} if known is not None else {}
        for parameters in event.smiles:
            smiles[parameters[0]] = SmileView(*parameters)
        ordered = [smiles[expiration_s] for expiration_s in sorted(smiles)]
        surface = MarkSurface(event.asset, ordered, change.seq, change.ts_us)
        self.surfaces[event.asset] = change.surfaces[event.asset] = surface

    def _drop_smile(self, instrument: Instrument) -> None:
        """Remove the smile of an expiration that is over. The next message of the surface no longer has it."""
        surface = self.surfaces.get(instrument.asset)
        if surface is not None:
            left = [smile for smile in surface.smiles if smile.expiration_s != instrument.expiration_s]
            self.surfaces[instrument.asset] = MarkSurface(surface.asset, left, surface.seq, surface.ts_us)

    def _deliver(self, change: Change, event: DeliveryPriceSet) -> None:
        """Set the delivery price of the instruments of a series, and remove their marks."""
        asset, expiration_s, price_micros = event.asset, event.expiration_s, event.price_micros
        for instrument_id, instrument in self.instruments.items():
            if instrument.expiration_s == expiration_s and instrument.asset == asset:
                instrument.delivery_price_micros = price_micros
                change.instruments[instrument_id] = instrument
                self.marks.pop(instrument_id, None)
                self.closing_indexes.pop(instrument_id, None)
        self._conclude(change, Settlement(change.seq, change.ts_us, asset, expiration_s, price_micros, "settled"))

    def _delist(self, event: SeriesDelisted) -> None:
        """Forget the instruments of a series, with their books and trades. Its settlement stays."""
        series = event.asset, event.expiration_s
        delisted = [name for name, one in self.instruments.items() if (one.asset, one.expiration_s) == series]
        for instrument_id in delisted:
            del self.instruments[instrument_id], self.depths[instrument_id]
            self.tape.instruments.pop(instrument_id, None)
            self.balances.open_interest_milli.pop(instrument_id, None)

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


def _link(order: OrderView, linked: LinkedOrdersPlaced) -> None:
    order.link, order.fill_condition, order.linked_order_ids = linked.link, linked.fill_condition, linked.order_ids
