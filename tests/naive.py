"""The naive exchange: the rules once more, in the slowest and most obvious way, as an oracle for the real one.

It has no books, levels, queues or stored balances. There is one list of open orders. To find the next trade it
sorts that list, and to find the locked cash of an account it adds up its orders and positions. It was written from
the rules (docs/protocol.md, reasons, events, docs/market.md), not from `exchange.matching`.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from fractions import Fraction

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from exchange.domain.commands import (
    CancelAll,
    CancelOrder,
    CancelQuotes,
    CancelUserOrders,
    ChangeRules,
    Command,
    ContinueTriggers,
    CreateInstrument,
    Deposit,
    Disconnect,
    EditOrder,
    EndDay,
    EndSession,
    Fork,
    Genesis,
    MassQuote,
    OpenAccount,
    PauseInstrument,
    PauseSeries,
    PlaceLinkedOrders,
    PlaceOrder,
    PlaceTriggerOrder,
    RecordLoss,
    ResetAccount,
    ResetMmp,
    ResumeInstrument,
    ResumeSeries,
    SetCancelOnDisconnect,
    SetHalt,
    SetIndexPrice,
    SetLimits,
    SetMmpConfig,
    SetSuspended,
    SettleSeries,
    StartSession,
    Withdraw,
)
from exchange.domain.enums import CancelReason, InstrumentState, Liquidity, Side
from exchange.domain.events import (
    INSTRUMENTS_MAX,
    AccountOpened,
    AccountReset,
    AllCancelled,
    BalanceChanged,
    CancelOnDisconnectSet,
    CommandLost,
    Configured,
    DayEnded,
    DeliveryPriceSet,
    Deposited,
    Event,
    Forked,
    HaltSet,
    IndexPriceSet,
    InstrumentCreated,
    InstrumentStateChanged,
    LimitsSet,
    LiquidationStarted,
    MarginsChanged,
    MarketReopening,
    MarksSet,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    PositionChanged,
    PositionSettled,
    PostOnlyBegan,
    Refused,
    RulesChanged,
    SeriesDelisted,
    SeriesPaused,
    SeriesResumed,
    SessionEnded,
    SessionStarted,
    SettlementDelayed,
    ShortfallCovered,
    SurfaceSet,
    SuspensionSet,
    Traded,
    TriggerOrderEnded,
    TriggersContinued,
    Withdrawn,
)
from exchange.domain.instruments import InstrumentTerms, parse_instrument_id
from exchange.domain.reasons import Reason
from exchange.domain.rules import Rules, band_of, market_of, surface_of, validation_error
from exchange.domain.smile import Smile
from exchange.domain.units import NUMBER_MAX, PRICE_MAX_MICROS, SIZE_MAX_MILLI
from tests.naive_links import (
    NaivePair,
    NaivePrimary,
    after_fill,
    end_links,
    pair_of,
    place_linked,
)
from tests.naive_market import (
    IndexHistory,
    cash_secured_margins,
    configured_smile,
    delivery_price,
    expires_on_friday,
    fitted_smile,
    for_size,
    forward_price,
    forwards_of,
    has_far_forward,
    initial_margin,
    intrinsic_value,
    is_too_late,
    lists_too_late,
    maintenance_margin,
    mark_price,
    model_price,
    price_band,
    series_of_rule,
)
from tests.naive_quotes import (
    NaiveGroup,
    cancel_quotes,
    is_frozen,
    mass_quote,
    protect,
    reset_mmp,
    set_mmp_config,
)
from tests.naive_slices import conclude_settlement, divide, liquidate_in_slices, repay
from tests.naive_triggers import (
    NaiveTrigger,
    cancel_triggers,
    edit_trigger,
    find_trigger,
    group,
    place_trigger,
    trigger_all,
)

# True if an order may have paid so much for so many contracts, all its fills together.
Budget = Callable[[int, int], bool]


@dataclass
class NaiveUser:
    cash: int = 0
    cancel_on_disconnect: bool = False
    # In order of their end.
    finished: list["NaiveOrder"] = field(default_factory=list)
    suspended: bool = False
    open_orders_max: int | None = None
    position_max: int | None = None
    shortfall: int = 0
    prices_below: int = 0
    # Trigger orders in order of their end.
    ended_triggers: list[NaiveTrigger] = field(default_factory=list)


@dataclass
class NaiveInstrument:
    terms: InstrumentTerms
    tick: int
    min_size: int
    state: InstrumentState = "open"
    last_price: int | None = None
    # A closed instrument keeps its last mark and index.
    mark: int | None = None
    index: int = 0

    @property
    def instrument_id(self) -> str:
        return self.terms.instrument_id

    @property
    def series(self) -> tuple[str, int]:
        return self.terms.asset, self.terms.expiration_s

    def is_over(self, ts_us: int) -> bool:
        return self.state == "expired" or self.terms.expiration_s * 1_000_000 <= ts_us


@dataclass
class NaiveOrder:
    order_id: int
    """`placed` is the first request; `price` and `size` are the current terms. A smaller `place` trades first."""

    placed: PlaceOrder
    price: int | None
    size: int
    remaining: int
    place: int
    # What an iceberg order shows; None: another order, or one that does not rest yet.
    shown: int | None = None

    @property
    def user_id(self) -> str:
        return self.placed.user_id

    @property
    def instrument_id(self) -> str:
        return self.placed.instrument_id

    @property
    def side(self) -> Side:
        return self.placed.side

    @property
    def visible(self) -> int:
        return self.remaining if self.shown is None else self.shown

    def show_anew(self) -> int:
        assert self.placed.display_milli is not UNSET
        self.shown = min(self.placed.display_milli, self.remaining)
        return self.shown

    def would_trade_at(self, price: int | None) -> bool:
        """True if an order on the other side with this limit may trade with this resting order."""
        assert self.price is not None, "a market order never rests"
        return price is None or (self.price <= price if self.side == "ask" else self.price >= price)


@dataclass
class Locks:
    """The locks of an account: the sum of its bids, and by instrument its collateral and maintenance margin."""

    bids: int = 0
    margins: dict[str, tuple[int, int]] = field(default_factory=dict)

    def collateral_of(self, instrument_id: str) -> int:
        return self.margins.get(instrument_id, (0, 0))[0]

    def sums(self) -> tuple[int, int]:
        """Return the sum of all locks, and the sum of all maintenance margins."""
        return (
            self.bids + sum(collateral for collateral, _ in self.margins.values()),
            sum(maintenance for _, maintenance in self.margins.values()),
        )


class NaiveExchange:
    def __init__(self) -> None:
        self.rules = Rules()
        self.version = 1
        self.users: dict[str, NaiveUser] = {}
        self.instruments: dict[str, NaiveInstrument] = {}
        # Open orders, in order of order_id.
        self.orders: list[NaiveOrder] = []
        self.positions: dict[tuple[str, str], int] = {}
        # Of every index, by asset.
        self.history: dict[str, IndexHistory] = {}
        # Of assets that reopen: "cancel only", or the time until which only post-only orders are accepted. Assets are
        # "ended" if the run of the server ended normally.
        self.phases: dict[str, str | int] = {}
        # Settled series.
        self.settled: list[tuple[str, int]] = []
        # Of each live expiration of a fair market.
        self.smiles: dict[tuple[str, int], Smile] = {}
        self.halted = False
        # Untriggered orders, in order of order_id; and the one that places an order now.
        self.triggers: list[NaiveTrigger] = []
        self.trigger_order_id: int | None = None
        # The accounts that were liquidated in this command, before the trigger order that places an order now.
        self.liquidated: list[str] = []
        # By user and name; and of each quote its group and its set, by order_id.
        self.mmp_groups: dict[tuple[str, str], NaiveGroup] = {}
        self.quoted: dict[int, tuple[str, str]] = {}
        # Linked orders, and the primaries that were just filled; an order that is checked as if it rested already; and
        # the order that trades now, which no link cancels.
        self.pairs: list[NaivePair] = []
        self.primaries: list[NaivePrimary] = []
        self.just_filled: list[NaivePrimary] = []
        self.promised: NaiveOrder | None = None
        self.taker: NaiveOrder | None = None
        self.now_us = 0
        # The connections on which orders and trigger orders depend, by order_id.
        self.connections: dict[int, int] = {}
        self.last_order_id = 0
        self.last_trade_id = 0
        self.last_place = 0
        self.changed_users: list[str] = []
        self.changed_positions: list[tuple[str, str]] = []
        self.changed_margins: list[tuple[str, str]] = []

    def apply(self, ts_us: int, command: Command) -> list[Event]:
        """Carry out `command`, and then place the trigger orders that its prices meet."""
        self.now_us = ts_us
        events = self.apply_one(ts_us, command)
        return events if isinstance(events[0], Refused) else trigger_all(self, ts_us, events)

    def apply_one(self, ts_us: int, command: Command) -> list[Event]:
        """Carry out `command`; return its events, and after them changed margins, positions and balances."""
        return self.told(lambda: self.decide(ts_us, command))

    def told(self, do: Callable[[], list[Event]]) -> list[Event]:
        """Return the events of `do`, and after them changed margins, positions and balances."""
        self.changed_users, self.changed_positions, self.changed_margins = [], [], []
        before = {user_id: self.locks_of(user_id) for user_id in self.users}
        cash_before = {user_id: user.cash for user_id, user in self.users.items()}
        positions_before = dict(self.positions)
        events = do()
        margins: dict[str, dict[str, int]] = {}
        for user_id, instrument_id in dict.fromkeys(self.changed_margins):
            locked = self.collateral(user_id, instrument_id)
            is_moved = (user_id, instrument_id) in self.changed_positions
            if not is_moved and locked != before[user_id].collateral_of(instrument_id):
                margins.setdefault(user_id, {})[instrument_id] = locked
        for user_id, locked_by_instrument in margins.items():
            while locked_by_instrument:
                part = dict(list(locked_by_instrument.items())[:INSTRUMENTS_MAX])
                events.append(MarginsChanged(user_id, part))
                for instrument_id in part:
                    del locked_by_instrument[instrument_id]
        for user_id, instrument_id in dict.fromkeys(self.changed_positions):
            quantity, locked = self.position(user_id, instrument_id), self.collateral(user_id, instrument_id)
            quantity_before = positions_before.get((user_id, instrument_id), 0)
            if (quantity, locked) != (quantity_before, before[user_id].collateral_of(instrument_id)):
                events.append(PositionChanged(user_id, instrument_id, quantity, locked))
        for user_id in dict.fromkeys(self.changed_users):
            now, earlier = self.locks_of(user_id), before.get(user_id, Locks())
            cash = self.users[user_id].cash
            if (cash, *now.sums()) != (cash_before.get(user_id, 0), *earlier.sums()):
                events.append(BalanceChanged(user_id, cash, now.sums()[0], now.sums()[1] or UNSET))
        return events

    def decide(self, ts_us: int, command: Command) -> list[Event]:
        match command:
            case PlaceOrder():
                return self.place(ts_us, command)
            case PlaceTriggerOrder():
                return place_trigger(self, ts_us, command)
            case PlaceLinkedOrders():
                return place_linked(self, ts_us, command)
            case ContinueTriggers():
                return [TriggersContinued(sum(order.shown is not None for order in self.triggers))]
            case CancelOrder():
                return self.cancel(command)
            case EditOrder():
                return self.edit(ts_us, command)
            case CancelAll():
                return self.cancel_all(command, "user_request")
            case CancelUserOrders(user_id, instrument_id):
                return self.cancel_all(CancelAll(user_id, instrument_id), "admin")
            case MassQuote():
                return mass_quote(self, ts_us, command)
            case CancelQuotes():
                return cancel_quotes(self, command)
            case SetMmpConfig():
                return set_mmp_config(self, command)
            case ResetMmp():
                return reset_mmp(self, command)
            case CreateInstrument():
                return self.create_instrument(ts_us, command)
            case PauseInstrument():
                return self.set_state(ts_us, command.instrument_id, "paused")
            case ResumeInstrument():
                return self.set_state(ts_us, command.instrument_id, "open")
            case PauseSeries(asset, expiration_s):
                paused = self.set_states(ts_us, asset, expiration_s, "paused")
                return paused or [Refused(None, Reason.UNKNOWN_SERIES)]
            case ResumeSeries(asset, expiration_s):
                resumed = self.set_states(ts_us, asset, expiration_s, "open")
                return resumed or [Refused(None, Reason.UNKNOWN_SERIES)]
            case SetHalt(halted):
                ends, self.halted = self.halted and not halted, halted
                return [HaltSet(halted), *(self.reopen(list(self.history)) if ends else [])]
            case SetIndexPrice():
                return self.set_index_price(ts_us, command)
            case EndDay():
                return self.end_day(ts_us, command)
            case SettleSeries():
                return self.settle_series(ts_us, command)
            case ChangeRules():
                return self.change_rules(ts_us, command)
            case Genesis():
                self.rules, self.version = command.rules, command.rules_version
                return [Configured(command.rules, command.rules_version), *self.open_own_accounts()]
            case StartSession():
                started: list[Event] = [SessionStarted(command.program_version)]
                for user_id, user in self.users.items():
                    known = [order.order_id for order in self.orders if order.user_id == user_id]
                    known += [it.order_id for it in self.triggers if it.placed.user_id == user_id]
                    if user.cancel_on_disconnect:
                        started += self.disconnect(user_id, still_enabled=False)
                    elif any(order_id in self.connections for order_id in known):
                        started += self.cut_off(user_id, lambda order_id: order_id in self.connections)
                ended = [asset for asset, phase in self.phases.items() if phase == "ended"]
                self.phases = {asset: phase for asset, phase in self.phases.items() if phase != "ended"}
                return started + self.reopen([asset for asset in self.history if asset not in ended])
            case Fork(parent, parent_seq, parent_hash):
                return [Forked(parent, parent_seq, parent_hash)]
            case RecordLoss(next_order_id, next_trade_id):
                self.last_order_id = max(self.last_order_id + 1, next_order_id or 1) - 1
                self.last_trade_id = max(self.last_trade_id + 1, next_trade_id or 1) - 1
                return [CommandLost(self.last_order_id + 1, self.last_trade_id + 1)]
            case EndSession():
                if self.post_only_s():
                    self.phases = dict.fromkeys(self.history, "ended")
                return [SessionEnded()]
            case ResetAccount():
                return self.reset_account(command)
            case OpenAccount():
                return self.open_account(command)
            case Deposit() | Withdraw() | SetCancelOnDisconnect() | Disconnect() | SetSuspended() | SetLimits() if (
                command.user_id not in self.users
            ):
                return [Refused(command.user_id, Reason.UNKNOWN_USER)]
            case SetSuspended(user_id, suspended):
                self.users[user_id].suspended = suspended
                return [SuspensionSet(user_id, suspended)]
            case SetLimits():
                return self.set_limits(command)
            case Deposit():
                return self.deposit(command)
            case Withdraw():
                return self.withdraw_cash(command)
            case SetCancelOnDisconnect():
                self.users[command.user_id].cancel_on_disconnect = command.enabled
                mine = [it.order_id for it in self.orders if it.user_id == command.user_id]
                mine += [it.order_id for it in self.triggers if it.placed.user_id == command.user_id]
                for order_id in mine:
                    if command.released is not UNSET and self.connections.get(order_id) == command.released:
                        del self.connections[order_id]
                return [CancelOnDisconnectSet(*[getattr(command, name) for name in command.__struct_fields__])]
            case Disconnect(connection=int(connection)):
                self.users[command.user_id].cancel_on_disconnect = command.still_enabled
                return self.cut_off(command.user_id, lambda order_id: self.connections.get(order_id) == connection)
            case Disconnect():
                return self.disconnect(command.user_id, command.still_enabled)

    # Reopening

    def post_only_s(self) -> int:
        market = market_of(self.rules)
        if self.version == 1 or market is None or market.settlement is UNSET:
            return 0
        return market.settlement.post_only_s

    def reopen(self, assets: list[str]) -> list[Event]:
        if not self.post_only_s() or not assets:
            return []
        self.phases.update(dict.fromkeys(assets, "cancel only"))
        return [MarketReopening(self.post_only_s())]

    def is_reopening(self, ts_us: int, asset: str) -> bool:
        return self.why_not_reopened(ts_us, asset, post_only=False) is not None

    def why_not_reopened(self, ts_us: int, asset: str, post_only: bool) -> Reason | None:
        phase = self.phases.get(asset) if self.post_only_s() else None
        if phase == "cancel only":
            return Reason.CANCEL_ONLY
        return Reason.POST_ONLY_PHASE if isinstance(phase, int) and ts_us < phase and not post_only else None

    # Sums over orders and positions

    def position(self, user_id: str, instrument_id: str) -> int:
        return self.positions.get((user_id, instrument_id), 0)

    def open_asks(self, user_id: str, instrument_id: str) -> int:
        return sum(
            order.remaining
            for order in self.orders
            if order.user_id == user_id and order.instrument_id == instrument_id and order.side == "ask"
        )

    def uncovered(self, user_id: str, instrument_id: str) -> int:
        """Return the contracts sold or offered beyond those owned; negative if owned ones are not offered."""
        return self.open_asks(user_id, instrument_id) - self.position(user_id, instrument_id)

    def margins_of(self, instrument: NaiveInstrument) -> tuple[Fraction, Fraction]:
        """Return initial and maintenance margin of a short contract."""
        _, _, option_type, strike, _ = instrument.terms
        index, mark = instrument.index, instrument.mark
        if self.rules.collateral == "cash_secured" or mark is None:
            return cash_secured_margins(strike)
        return initial_margin(option_type, strike, index, mark), maintenance_margin(option_type, index, mark)

    def collateral(self, user_id: str, instrument_id: str, more_asks: int = 0) -> int:
        margin, _ = self.margins_of(self.instruments[instrument_id])
        return for_size(margin, max(0, self.uncovered(user_id, instrument_id) + more_asks))

    def released(self, user_id: str, instrument_id: str, bought: int) -> int:
        """Return the collateral that a purchase releases, for an order that never rests; 0 without a market."""
        if market_of(self.rules) is None:
            return 0
        bought = min(bought, max(0, self.uncovered(user_id, instrument_id)))
        return self.collateral(user_id, instrument_id) - self.collateral(user_id, instrument_id, -bought)

    def bid_lock(self, price: int, size: int) -> int:
        cost, fees, market = price * size // 1000, self.rules.fees, market_of(self.rules)
        lock = cost + cost * max(fees.maker_premium_ppm, fees.taker_premium_ppm) // 1_000_000
        if market is not None and (market.fees.maker_ppm or market.fees.taker_ppm):
            lock += cost * market.fees.cap_ppm // 1_000_000
        return lock

    def locks_of(self, user_id: str) -> Locks:
        mine = [order for order in self.orders if order.user_id == user_id]
        offered = {order.instrument_id for order in mine if order.side == "ask"}
        locks = Locks(sum(self.bid_lock(o.price or 0, o.remaining) for o in mine if o.side == "bid"))
        for instrument_id, instrument in self.instruments.items():
            position = self.positions.get((user_id, instrument_id), 0)
            if position or instrument_id in offered:
                maintenance = for_size(self.margins_of(instrument)[1], max(0, -position))
                locks.margins[instrument_id] = self.collateral(user_id, instrument_id), maintenance
        return locks

    def locked(self, user_id: str) -> int:
        return self.locks_of(user_id).sums()[0]

    def maintenance(self, user_id: str) -> int:
        return self.locks_of(user_id).sums()[1]

    def cash_beyond_bids(self, user_id: str) -> int:
        """Return the cash that no resting bid locks."""
        return self.users[user_id].cash - self.locks_of(user_id).bids

    def available(self, user_id: str) -> int:
        return self.users[user_id].cash - self.locked(user_id)

    def note_order(self, order: NaiveOrder) -> None:
        """Note that the order changes its owner's balance, and, if it is an ask, the owner's position."""
        self.changed_users.append(order.user_id)
        if order.side == "ask":
            self.changed_positions.append((order.user_id, order.instrument_id))

    def note_margins(self, user_id: str, asset: str | None = None) -> None:
        """Note that the account's margins change, for instruments on `asset` or on all, in order of listing."""
        for instrument_id in self.locks_of(user_id).margins:
            if asset in (None, self.instruments[instrument_id].terms.asset):
                self.changed_margins.append((user_id, instrument_id))
                self.changed_users.append(user_id)

    def within_limits(self) -> bool:
        """True if locks and margins of every account are at most NUMBER_MAX."""
        return all(max(self.locks_of(user_id).sums()) <= NUMBER_MAX for user_id in self.users)

    # Accounts, cash and connections

    def cash_room(self) -> int:
        """Return how much cash can be paid in, so that all accounts but the insurance own at most NUMBER_MAX."""
        return NUMBER_MAX - sum(max(0, user.cash) for user in self.users.values())

    def open_account(self, command: OpenAccount) -> list[Event]:
        if command.user_id in self.users:
            return [Refused(command.user_id, Reason.ACCOUNT_EXISTS)]
        if command.cash_micros < 0 or command.cash_micros > self.cash_room():
            return [Refused(command.user_id, Reason.INVALID_AMOUNT)]
        self.users[command.user_id] = NaiveUser(command.cash_micros)
        self.changed_users.append(command.user_id)
        return [AccountOpened(command.user_id)]

    def deposit(self, command: Deposit) -> list[Event]:
        if command.amount_micros <= 0 or command.amount_micros > self.cash_room():
            return [Refused(command.user_id, Reason.INVALID_AMOUNT)]
        self.users[command.user_id].cash += command.amount_micros
        self.changed_users.append(command.user_id)
        repaid = repay(self, command.user_id) if self.version > 1 and market_of(self.rules) else []
        return [Deposited(command.user_id, command.amount_micros), *repaid]

    def withdraw_cash(self, command: Withdraw) -> list[Event]:
        if command.amount_micros <= 0:
            return [Refused(command.user_id, Reason.INVALID_AMOUNT)]
        if command.amount_micros > self.available(command.user_id):
            return [Refused(command.user_id, Reason.INSUFFICIENT_BALANCE)]
        self.users[command.user_id].cash -= command.amount_micros
        self.changed_users.append(command.user_id)
        return [Withdrawn(command.user_id, command.amount_micros)]

    def reset_account(self, command: ResetAccount) -> list[Event]:
        user_id, is_fair = command.user_id, self.version > 1 and market_of(self.rules) is not None
        if user_id not in self.users:
            return [Refused(user_id, Reason.UNKNOWN_USER)]
        owns = any(owner == user_id and position for (owner, _), position in self.positions.items())
        if owns or user_id in ("fees", "insurance"):
            return [Refused(user_id, Reason.POSITIONS_OPEN)]
        user = self.users[user_id]
        amount = self.rules.starting_cash_micros - user.cash + (user.shortfall if is_fair else 0)
        if amount > self.cash_room():
            return [Refused(user_id, Reason.INVALID_AMOUNT)]
        events = self.cancel_each([order for order in self.orders if order.user_id == user_id], "admin")
        user.cash += amount
        user.prices_below = 0
        self.changed_users.append(user_id)
        events += cancel_triggers(self, [it for it in self.triggers if it.placed.user_id == user_id], "admin")
        return [AccountReset(user_id, amount), *events, *(repay(self, user_id) if is_fair else [])]

    def disconnect(self, user_id: str, still_enabled: bool) -> list[Event]:
        self.users[user_id].cancel_on_disconnect = still_enabled
        return self.cut_off(user_id, lambda order_id: True)

    def cut_off(self, user_id: str, depends: Callable[[int], bool]) -> list[Event]:
        """Cancel those orders and trigger orders of the user that depend on what was lost."""
        mine = [order for order in self.orders if order.user_id == user_id and depends(order.order_id)]
        triggers = [it for it in self.triggers if it.placed.user_id == user_id and depends(it.order_id)]
        events = [*self.cancel_each(mine, "cancel_on_disconnect")]
        events += cancel_triggers(self, triggers, "cancel_on_disconnect")
        return [*events, AllCancelled(user_id, count_ended(events))]

    def open_own_accounts(self) -> list[Event]:
        """Open the missing accounts of the exchange."""
        fees, has_market = self.rules.fees, market_of(self.rules) is not None
        wanted = ["fees"] if has_market or fees.maker_premium_ppm or fees.taker_premium_ppm else []
        opened = [user_id for user_id in [*wanted, *["insurance"] * has_market] if user_id not in self.users]
        self.users.update({user_id: NaiveUser() for user_id in opened})
        return [AccountOpened(user_id) for user_id in opened]

    def set_limits(self, command: SetLimits) -> list[Event]:
        for limit in (command.open_orders_max, command.position_max_milli):
            if limit is not None and not 0 <= limit <= NUMBER_MAX:
                return [Refused(command.user_id, Reason.INVALID_LIMITS)]
        user = self.users[command.user_id]
        user.open_orders_max, user.position_max = command.open_orders_max, command.position_max_milli
        return [LimitsSet(command.user_id, command.open_orders_max, command.position_max_milli)]

    def raises_floor(self, rules: Rules) -> bool:
        """True if the floor of the insurance would rise above its cash."""
        markets = (market_of(self.rules), market_of(rules))
        floors = [it.liquidation.insurance_floor_micros if it and it.liquidation else 0 for it in markets]
        cash = self.users["insurance"].cash if "insurance" in self.users else 0
        return floors[1] > floors[0] and floors[1] > cash

    def change_rules(self, ts_us: int, command: ChangeRules) -> list[Event]:
        takes_market_away = market_of(self.rules) is not None and market_of(command.rules) is None
        version = command.rules_version or self.version
        if (
            takes_market_away
            or not self.version <= version <= 2
            or validation_error(command.rules, version) is not None
            or self.raises_floor(command.rules)
            or (version > 1 and lists_too_late(command.rules, ts_us))
            or (version > 1 and has_far_forward(command.rules, ts_us))
        ):
            return [Refused(None, Reason.INVALID_RULES)]
        rules_before, version_before, self.rules, self.version = self.rules, self.version, command.rules, version
        marks_before = [(instrument.index, instrument.mark) for instrument in self.instruments.values()]
        smiles_before = dict(self.smiles)
        remarked: list[Event] = []
        for asset in self.history if version > 1 else ():
            if version_before == 1 or forwards_of(rules_before, asset) != forwards_of(self.rules, asset):
                remarked += [*self.first_marks(asset, self.live_on(asset))]
        if not self.within_limits():
            self.rules, self.version, self.smiles = rules_before, version_before, smiles_before
            for instrument, (index, mark) in zip(self.instruments.values(), marks_before, strict=True):
                instrument.index, instrument.mark = index, mark
            return [Refused(None, Reason.EXPOSURE_ABOVE_MAXIMUM)]
        events: list[Event] = [
            RulesChanged(command.rules, version if version > 1 else UNSET),
            *self.open_own_accounts(),
            *remarked,
        ]
        for user_id, user in self.users.items():
            self.changed_users.append(user_id)
            self.note_margins(user_id)
            del user.finished[: max(0, len(user.finished) - self.rules.finished_orders_kept)]
            del user.ended_triggers[: max(0, len(user.ended_triggers) - self.rules.finished_orders_kept)]
        events += self.cancel_unaffordable_bids()
        events += self.list_missing_series(ts_us)
        return events + self.liquidate(ts_us, self.users)

    def cancel_unaffordable_bids(self) -> list[Event]:
        """Cancel the newest bids of accounts whose bids lock more than their cash."""
        events: list[Event] = []
        for user_id in self.users:
            bids = [order for order in self.orders if order.user_id == user_id and order.side == "bid"]
            while bids and max(0, self.users[user_id].cash) < self.locks_of(user_id).bids:
                events += self.close_order(bids.pop(), "insufficient_balance")
        return events

    # Instruments, the index and marks

    def create_instrument(self, ts_us: int, command: CreateInstrument) -> list[Event]:
        try:
            terms = parse_instrument_id(command.instrument_id)
        except ValueError:
            return [Refused(None, Reason.INVALID_TERMS)]
        if "d" in command.instrument_id and command.decimal_strike is UNSET:
            return [Refused(None, Reason.INVALID_TERMS)]
        good_tick = command.tick_micros > 0 and command.tick_micros % 1000 == 0
        good_size = 0 < command.min_size_milli <= SIZE_MAX_MILLI
        if not good_tick or not good_size or terms.expiration_s * 1_000_000 <= ts_us:
            return [Refused(None, Reason.INVALID_TERMS)]
        if self.version > 1 and is_too_late(terms):
            return [Refused(None, Reason.INVALID_TERMS)]
        if terms.instrument_id in self.instruments:
            return [Refused(None, Reason.INSTRUMENT_EXISTS)]
        created = self.create(terms.instrument_id, command.tick_micros, command.min_size_milli)
        return [created, *self.first_marks(terms.asset, [self.instruments[terms.instrument_id]])]

    def first_marks(self, asset: str, instruments: list[NaiveInstrument]) -> list[Event]:
        """Mark instruments that were just listed, at the last index price."""
        if asset not in self.history:
            return []
        before = dict(self.smiles)
        self.add_smiles(asset, self.history[asset][-1][0])
        return [*self.told_smiles(asset, before), *self.mark(instruments)]

    def create(self, instrument_id: str, tick: int, min_size: int) -> Event:
        terms = parse_instrument_id(instrument_id)
        self.instruments[instrument_id] = NaiveInstrument(terms, tick, min_size)
        return InstrumentCreated(*terms, tick, min_size)

    def list_missing_series(self, ts_us: int, only: str | None = None) -> list[Event]:
        """List the missing instruments of the rules, of one asset (`only`) without their marks or of all with marks."""
        events: list[Event] = []
        market = market_of(self.rules)
        for rule in market.series if market else ():
            if rule.asset not in self.history or only not in (None, rule.asset):
                continue
            wanted = series_of_rule(rule, ts_us, self.index_of(rule.asset))
            if self.version > 1:
                wanted = (it for it in wanted if not is_too_late(parse_instrument_id(it)))
            missing = [instrument_id for instrument_id in wanted if instrument_id not in self.instruments]
            events += [self.create(instrument_id, rule.tick_micros, rule.min_size_milli) for instrument_id in missing]
            if only is None and missing:
                events += self.first_marks(rule.asset, [self.instruments[instrument_id] for instrument_id in missing])
        return events

    @property
    def has_fair_market(self) -> bool:
        return self.version > 1 and market_of(self.rules) is not None

    def forward_of(self, terms: InstrumentTerms) -> tuple[int, int] | None:
        """Return the forward at the last index price, and the time of that; None without an index."""
        market = market_of(self.rules)
        if market is None or terms.asset not in self.history:
            return None
        ts_us = self.history[terms.asset][-1][0]
        return forward_price(market, terms, self.index_of(terms.asset), ts_us), ts_us

    def index_of(self, asset: str) -> int:
        """Return the current index price, 0 if there is none."""
        return self.history[asset][-1][1] if asset in self.history else 0

    def mark(self, instruments: list[NaiveInstrument]) -> list[Event]:
        """Set the marks of these instruments, all of one asset."""
        market = market_of(self.rules)
        if not instruments or market is None or instruments[0].terms.asset not in self.history:
            return []
        asset = instruments[0].terms.asset
        for instrument in instruments:
            prices: dict[Side, list[int]] = {"bid": [], "ask": []}
            for order in self.orders:
                if order.instrument_id == instrument.instrument_id:
                    prices[order.side].append(order.price or 0)
            instrument.index = self.index_of(asset)
            if self.version > 1:
                ts_us = self.history[asset][-1][0]
                forward = forward_price(market, instrument.terms, instrument.index, ts_us)
                smile = self.smiles[instrument.series]
                instrument.mark = model_price(instrument.terms, instrument.tick, forward, ts_us, smile)
                continue
            instrument.mark = mark_price(
                instrument.terms,
                instrument.index,
                max(prices["bid"], default=None),
                min(prices["ask"], default=None),
                instrument.last_price,
                market.mark_spread_max_ppm,
            )
        marks = [(it.instrument_id, it.mark) for it in instruments if it.mark is not None]
        return [MarksSet(asset, dict(marks[n : n + INSTRUMENTS_MAX])) for n in range(0, len(marks), INSTRUMENTS_MAX)]

    def set_index_price(self, ts_us: int, command: SetIndexPrice) -> list[Event]:
        asset, price = command.asset, command.price_micros
        if reason := self.why_not_set(command):
            return [Refused(None, reason)]
        marks_before = [(instrument.index, instrument.mark) for instrument in self.instruments.values()]
        smiles_before = dict(self.smiles)
        self.fit_smiles(asset, price, ts_us)
        self.history.setdefault(asset, []).append((ts_us, price))
        self.mark(self.live_on(asset))
        if not self.within_limits():
            self.smiles = smiles_before
            self.history[asset].pop()
            if not self.history[asset]:
                del self.history[asset]
            for instrument, (index, mark) in zip(self.instruments.values(), marks_before, strict=True):
                instrument.index, instrument.mark = index, mark
            return [Refused(None, Reason.EXPOSURE_ABOVE_MAXIMUM)]
        for user_id in self.users:
            self.note_margins(user_id, asset)
        began: list[Event] = []
        if self.phases.get(asset) == "cancel only" and self.post_only_s():
            until = self.phases[asset] = ts_us + self.post_only_s() * 1_000_000
            began.append(PostOnlyBegan(asset, until))
        events = [IndexPriceSet(asset, price), *began, *self.list_missing_series(ts_us, only=asset)]
        self.add_smiles(asset, ts_us)
        events += self.told_smiles(asset, smiles_before)
        events += self.mark(self.live_on(asset))
        # An index price counts towards a takeover once orders can trade.
        return events + self.liquidate(ts_us, self.users, by_index_price=not self.is_reopening(ts_us, asset))

    # The smiles of a fair market

    def add_smiles(self, asset: str, ts_us: int) -> None:
        """Give each live expiration of the asset that has no smile the configured one."""
        market = market_of(self.rules)
        if market is not None and self.version > 1:
            for instrument in self.live_on(asset):
                self.smiles.setdefault(instrument.series, configured_smile(surface_of(market, asset), ts_us))

    def fit_smiles(self, asset: str, price: int, ts_us: int) -> None:
        """Move the smiles of the asset towards the quotes in the book, before the index has this price."""
        market = market_of(self.rules)
        self.add_smiles(asset, ts_us)
        if market is None or self.version == 1 or asset not in self.history:
            return
        for series, smile in self.smiles.items():
            if series[0] == asset:
                quotes = [
                    (it.terms, it.tick, mid)
                    for it in self.instruments_of(series)
                    if (mid := self.fair_mid(it, price)) is not None
                ]
                forward = forward_price(market, self.instruments_of(series)[0].terms, price, ts_us)
                self.smiles[series] = fitted_smile(smile, surface_of(market, asset), quotes, forward, ts_us)

    def fair_mid(self, instrument: NaiveInstrument, price: int) -> int | None:
        """Return the mid of a quote that counts for the smile."""
        market = market_of(self.rules)
        assert market is not None
        needed = surface_of(market, instrument.terms.asset).quote_size_min_milli
        orders = [order for order in self.orders if order.instrument_id == instrument.instrument_id]
        bids = [order.price or 0 for order in orders if order.side == "bid"]
        asks = [order.price or 0 for order in orders if order.side == "ask"]
        if not bids or not asks or min(asks) - max(bids) > price * market.mark_spread_max_ppm // 1_000_000:
            return None
        best = [order for order in orders if order.price == (max(bids) if order.side == "bid" else min(asks))]
        sizes = [sum(order.visible for order in best if order.side == side) for side in ("bid", "ask")]
        if min(sizes) < needed or len({order.user_id for order in best}) < 2:
            return None
        return (max(bids) + min(asks)) // 2

    def told_smiles(self, asset: str, before: dict[tuple[str, int], Smile]) -> list[Event]:
        changed = [
            (series[1], *smile[:3])
            for series, smile in self.smiles.items()
            if series[0] == asset and (series not in before or before[series][:3] != smile[:3])
        ]
        return [SurfaceSet(asset, changed)] if changed else []

    def live_on(self, asset: str) -> list[NaiveInstrument]:
        return [it for it in self.instruments.values() if it.terms.asset == asset and it.state != "expired"]

    def why_not_set(self, command: SetIndexPrice) -> Reason | None:
        market, asset, price = market_of(self.rules), command.asset, command.price_micros
        if market is None:
            return Reason.NO_MARKET
        listed = [instrument.terms.asset for instrument in self.instruments.values()]
        if asset not in [*self.history, *listed, *[rule.asset for rule in market.series]]:
            return Reason.UNKNOWN_ASSET
        if not 0 < price <= PRICE_MAX_MICROS:
            return Reason.INVALID_INDEX_PRICE
        if asset in self.history and market.index_jump_max and not command.forced:
            low, high = sorted((price, self.index_of(asset)))
            if high > low * market.index_jump_max:
                return Reason.INDEX_JUMP
        return None

    # Pauses, the end of the day and settlement

    def set_state(self, ts_us: int, instrument_id: str, state: InstrumentState) -> list[Event]:
        instrument = self.instruments.get(instrument_id)
        if instrument is None:
            return [Refused(None, self.unknown(instrument_id))]
        if instrument.is_over(ts_us):
            return [Refused(None, Reason.INSTRUMENT_EXPIRED)]
        instrument.state = state
        return [InstrumentStateChanged(instrument_id, state)]

    def set_states(
        self, ts_us: int, asset: str | None, expiration_s: int | None, state: InstrumentState
    ) -> list[Event]:
        """Return no event if the named asset or expiration has no live instrument."""
        named = [
            instrument
            for instrument in self.instruments.values()
            if asset in (None, instrument.terms.asset)
            and expiration_s in (None, instrument.terms.expiration_s)
            and not instrument.is_over(ts_us)
        ]
        if not named and (asset, expiration_s) != (None, None):
            return []
        changed = [instrument for instrument in named if instrument.state != state]
        for instrument in changed:
            instrument.state = state
        events: list[Event] = [InstrumentStateChanged(instrument.instrument_id, state) for instrument in changed]
        done = SeriesPaused if state == "paused" else SeriesResumed
        return [*events, done(asset, expiration_s, len(changed))]

    def end_day(self, ts_us: int, command: EndDay) -> list[Event]:
        events: list[Event] = [DayEnded(command.day_end_us)]
        if command.is_before_start is True:
            events += self.reopen([asset for asset in self.history if self.phases.get(asset) != "ended"])
        due: list[tuple[str, int]] = []
        for instrument in self.instruments.values():
            if instrument.state == "expired":
                continue
            orders = [order for order in self.orders if order.instrument_id == instrument.instrument_id]
            if instrument.is_over(command.day_end_us):
                events += self.cancel_each(orders, "instrument_expired")
                instrument.state = "expired"
                self.smiles.pop(instrument.series, None)
                events.append(InstrumentStateChanged(instrument.instrument_id, "expired"))
                due.append(instrument.series)
            else:
                events += self.cancel_each([o for o in orders if o.placed.time_in_force == "day"], "day_end")
        for order in list(self.triggers):
            if self.instruments[order.placed.instrument_id].state == "expired":
                events += cancel_triggers(self, [order], "instrument_expired")
            elif order.placed.time_in_force == "day":
                events += cancel_triggers(self, [order], "day_end")
        if market_of(self.rules) is None:
            return events
        by_expiration = sorted(dict.fromkeys(due), key=lambda series: series[1])
        events += self.settle([(series, self.delivery_price_of(series)) for series in by_expiration])
        events += self.delist(command.day_end_us)
        return events + self.list_missing_series(ts_us) + self.liquidate(ts_us, self.users)

    def delist(self, day_end_us: int) -> list[Event]:
        """Forget the series that were settled and whose expiration is as many days ago as the rules say."""
        market = market_of(self.rules)
        days = UNSET if market is None or market.settlement is UNSET else market.settlement.settled_kept_days
        if days is UNSET:
            return []
        events: list[Event] = []
        for asset, expiration_s in sorted(dict.fromkeys(self.settled), key=lambda series: (series[1], series[0])):
            is_old = expiration_s + days * 86_400 <= day_end_us // 1_000_000
            if is_old and (names := [it.instrument_id for it in self.instruments_of((asset, expiration_s))]):
                for name in names:
                    del self.instruments[name]
                events.append(SeriesDelisted(asset, expiration_s))
        return events

    def unknown(self, instrument_id: str) -> Reason:
        """Return why there is no such instrument: where series are forgotten, one of the past has expired."""
        market = market_of(self.rules)
        if market is None or market.settlement is UNSET or market.settlement.settled_kept_days is UNSET:
            return Reason.INSTRUMENT_NOT_FOUND
        try:
            terms = parse_instrument_id(instrument_id)
        except ValueError:
            return Reason.INSTRUMENT_NOT_FOUND
        is_known = terms.asset in [*self.history, *[it.terms.asset for it in self.instruments.values()]]
        is_over = terms.expiration_s * 1_000_000 <= self.now_us
        return Reason.INSTRUMENT_EXPIRED if is_known and is_over else Reason.INSTRUMENT_NOT_FOUND

    def is_unknown(self, instrument_id: str | UnsetType | None) -> bool:
        """True for an id that a cancellation may not name."""
        if not isinstance(instrument_id, str) or instrument_id in self.instruments:
            return False
        return self.unknown(instrument_id) is Reason.INSTRUMENT_NOT_FOUND

    def instruments_of(self, series: tuple[str, int]) -> list[NaiveInstrument]:
        return [instrument for instrument in self.instruments.values() if instrument.series == series]

    def delivery_price_of(self, series: tuple[str, int]) -> int | None:
        asset, expiration_s = series
        history, expiration_us = self.history.get(asset, []), expiration_s * 1_000_000
        if self.version == 1:
            tick = min(instrument.tick for instrument in self.instruments_of(series))
            return delivery_price(history, expiration_us, tick)
        market = market_of(self.rules)
        rules = market.settlement if market else UNSET
        age_max_us = 0 if rules is UNSET else rules.price_age_max_s * 1_000_000
        if age_max_us and history and history[-1][0] < expiration_us - age_max_us:
            return None
        return delivery_price(history, expiration_us, 1)

    def settle(self, due: list[tuple[tuple[str, int], int | None]]) -> list[Event]:
        """Pay the positions of these series, net; then cancel bids that exceed the remaining cash."""
        events: list[Event] = []
        net: dict[str, int] = {}
        within_limits = self.payouts_within_limits([(series, price) for series, price in due if price is not None])
        for series, price in due:
            if price is None or not within_limits:
                events.append(SettlementDelayed(*series))
                continue
            events.append(DeliveryPriceSet(*series, price))
            self.settled.append(series)
            for (user_id, instrument_id), (payout, fee) in self.payouts(series, price).items():
                quantity = self.positions.pop((user_id, instrument_id))
                events.append(PositionSettled(user_id, instrument_id, quantity, payout, fee))
                self.changed_positions.append((user_id, instrument_id))
                self.changed_users.append(user_id)
                net[user_id] = net.get(user_id, 0) + payout - fee
                net["fees"] = net.get("fees", 0) + fee
        for user_id, user in self.users.items():
            if net.get(user_id, 0) == 0:
                continue
            user.cash += net[user_id]
            self.changed_users.append(user_id)
            if user.cash < 0 and self.version == 1:
                shortfall, user.cash = -user.cash, 0
                user.shortfall += shortfall
                self.users["insurance"].cash -= shortfall
                self.changed_users.append("insurance")
                events.append(ShortfallCovered(user_id, shortfall, user.shortfall))
        if self.version > 1:
            events += conclude_settlement(self, net)
        return events + self.cancel_unaffordable_bids()

    def payouts_within_limits(self, due: list[tuple[tuple[str, int], int]]) -> bool:
        """True if every number that results from these settlements is at most NUMBER_MAX."""
        cash = {user_id: user.cash for user_id, user in self.users.items()}
        for series, price in due:
            for (user_id, _), (payout, fee) in self.payouts(series, price).items():
                if abs(payout) > NUMBER_MAX:
                    return False
                cash[user_id] += payout - fee
                cash["fees"] += fee
        return sum(max(0, amount) for amount in cash.values()) <= NUMBER_MAX

    def payouts(self, series: tuple[str, int], price: int) -> dict[tuple[str, str], tuple[int, int]]:
        """Return payout and fee of every position, by account and instrument, each in order of opening or listing."""
        amounts: dict[tuple[str, str], int] = {}
        for instrument in self.instruments_of(series):
            value = intrinsic_value(instrument.terms.option_type, instrument.terms.strike_micros, price)
            for sign in (1, -1):
                sizes = {user_id: sign * self.position(user_id, instrument.instrument_id) for user_id in self.users}
                sizes = {user_id: size for user_id, size in sizes.items() if size > 0}
                for user_id, share in divide(value * sum(sizes.values()) // 1000, sizes).items():
                    amounts[user_id, instrument.instrument_id] = sign * share
        return {
            (user_id, instrument.instrument_id): (
                amounts[user_id, instrument.instrument_id],
                self.delivery_fee(
                    instrument,
                    price,
                    self.position(user_id, instrument.instrument_id),
                    amounts[user_id, instrument.instrument_id],
                ),
            )
            for user_id in self.users
            for instrument in self.instruments_of(series)
            if (user_id, instrument.instrument_id) in amounts
        }

    def delivery_fee(self, instrument: NaiveInstrument, price: int, quantity: int, payout: int) -> int:
        market = market_of(self.rules)
        assert market is not None
        if payout <= 0:
            return 0
        ppm = market.fees.delivery_ppm
        if market.fees.daily_delivery_ppm is not UNSET and not expires_on_friday(instrument.terms):
            ppm = market.fees.daily_delivery_ppm
        of_price = price * quantity * ppm // 1_000_000_000
        return min(of_price, payout * market.fees.delivery_cap_ppm // 1_000_000)

    def settle_series(self, ts_us: int, command: SettleSeries) -> list[Event]:
        series, price = (command.asset, command.expiration_s), command.price_micros
        if reason := self.why_not_settle(series, price):
            return [Refused(None, reason)]
        return self.settle([(series, price)]) + self.liquidate(ts_us, self.users)

    def why_not_settle(self, series: tuple[str, int], price: int) -> Reason | None:
        instruments = self.instruments_of(series)
        if market_of(self.rules) is None:
            return Reason.NO_MARKET
        if not instruments:
            return Reason.UNKNOWN_SERIES
        if any(instrument.state != "expired" for instrument in instruments):
            return Reason.SERIES_NOT_EXPIRED
        if series in self.settled:
            return Reason.SERIES_SETTLED
        if not 0 < price <= PRICE_MAX_MICROS or (price % 1000 and self.version == 1):
            return Reason.INVALID_DELIVERY_PRICE
        return None if self.payouts_within_limits([(series, price)]) else Reason.EXPOSURE_ABOVE_MAXIMUM

    # Liquidation

    def liquidate(self, ts_us: int, candidates: Iterable[str], by_index_price: bool = False) -> list[Event]:
        """Liquidate these accounts in turn, if they must be, then the accounts that traded with them."""
        if self.version > 1 and market_of(self.rules) is not None:
            return liquidate_in_slices(self, ts_us, candidates, by_index_price)
        events: list[Event] = []
        queue, liquidated = list(candidates), list(self.liquidated)
        # The loop appends to the queue that it reads.
        for user_id in queue:
            too_little = self.users[user_id].cash < self.maintenance(user_id)
            if too_little and user_id not in liquidated and user_id != "insurance":
                liquidated.append(user_id)
                caused = self.liquidate_one(ts_us, user_id)
                queue += [event.maker_user_id for event in caused if isinstance(event, Traded)]
                events += caused
        return events

    def liquidate_one(self, ts_us: int, user_id: str) -> list[Event]:
        user = self.users[user_id]
        started = LiquidationStarted(user_id, user.cash, self.maintenance(user_id))
        events = self.cancel_each([order for order in self.orders if order.user_id == user_id], "liquidation")
        margins = self.locks_of(user_id).margins
        for instrument_id in sorted(margins, key=lambda instrument_id: -margins[instrument_id][1]):
            if self.position(user_id, instrument_id) < 0 and user.cash < self.maintenance(user_id):
                events += self.buy_back(ts_us, user_id, self.instruments[instrument_id])
        return [started, *events] if events else []

    def buy_back(self, ts_us: int, user_id: str, instrument: NaiveInstrument) -> list[Event]:
        market = market_of(self.rules)
        if market is None or instrument.mark is None or self.halted:
            return []
        if instrument.is_over(ts_us) or instrument.state == "paused":
            return []
        above = self.index_of(instrument.terms.asset) * market.liquidation_limit_ppm // 1_000_000
        limit = -(-min(instrument.mark + above, PRICE_MAX_MICROS) // instrument.tick) * instrument.tick
        size = min(-self.position(user_id, instrument.instrument_id), SIZE_MAX_MILLI)
        command = PlaceOrder(user_id, instrument.instrument_id, "bid", "limit", "ioc", limit, size)
        makers, cash = self.makers(command), self.users[user_id].cash
        if not makers or self.taker_cost(makers[0], 1) > cash:
            return []
        order, accepted = self.accept(command, size)
        self.note_order(order)
        events = self.trade_within_budget(order, lambda paid, _: paid <= cash)
        return [replace(accepted, liquidation=True), *events]

    # Closing of orders

    def close_order(
        self, order: NaiveOrder, reason: CancelReason | None = None, cause: int | UnsetType = UNSET
    ) -> list[Event]:
        """Take the order off the list of open ones, and drop the user's oldest finished orders beyond the limit.

        Without a reason it was filled. An order that is closed already, because it was linked to another, stays closed.
        """
        if order not in self.orders:
            return []
        self.note_order(order)
        self.orders.remove(order)
        finished = self.users[order.user_id].finished
        finished.append(order)
        while len(finished) > self.rules.finished_orders_kept:
            finished.pop(0)
        if reason is None:
            return []
        cancelled = OrderCancelled(
            order.order_id,
            order.user_id,
            order.instrument_id,
            order.side,
            order.price,
            order.remaining,
            reason,
            UNSET if order.placed.display_milli is UNSET else order.shown or 0,
            cause,
        )
        return [cancelled, *end_links(self, order.order_id)]

    def cancel_each(self, orders: Iterable[NaiveOrder], reason: CancelReason) -> list[Event]:
        return [event for order in orders for event in self.close_order(order, reason)]

    def known_orders(self, user_id: str) -> list[NaiveOrder]:
        """Return open orders, and finished ones that are still kept."""
        return [order for order in self.orders if order.user_id == user_id] + self.users[user_id].finished

    def known_triggers(self, user_id: str) -> list[NaiveTrigger]:
        """Return untriggered orders, and ended ones that are still kept."""
        return [order for order in self.triggers if order.placed.user_id == user_id] + self.users[
            user_id
        ].ended_triggers

    def find(self, command: CancelOrder | EditOrder) -> NaiveOrder | Reason:
        """Return the open order that the command names, or the reason why there is none."""
        if self.is_unknown(command.instrument_id):
            return Reason.INSTRUMENT_NOT_FOUND
        if command.user_id not in self.users:
            return Reason.ORDER_NOT_FOUND
        if command.label is not UNSET:
            return self.find_labelled(command)
        for order in self.known_orders(command.user_id):
            if command.order_id is not None:
                named = order.order_id == command.order_id
            else:
                named = order.placed.client_order_id == command.client_order_id
            if not named:
                continue
            if command.instrument_id not in (None, UNSET, order.instrument_id):
                return Reason.ORDER_NOT_FOUND
            if order in self.orders:
                return order
            return Reason.ORDER_ALREADY_CANCELLED if order.remaining else Reason.ORDER_ALREADY_FILLED
        return Reason.ORDER_NOT_FOUND

    def find_labelled(self, command: CancelOrder | EditOrder) -> NaiveOrder | Reason:
        """Return the only open order of the user with the label, in the instrument if that is named."""
        fitting = [
            order
            for order in self.orders
            if (order.user_id, order.placed.label) == (command.user_id, command.label)
            and command.instrument_id in (None, UNSET, order.instrument_id)
        ]
        triggers = [
            it
            for it in self.triggers
            if (it.placed.user_id, it.placed.label) == (command.user_id, command.label)
            and command.instrument_id in (None, UNSET, it.placed.instrument_id)
        ]
        if len(fitting) + len(triggers) > 1:
            return Reason.LABEL_NOT_UNIQUE
        return fitting[0] if fitting else Reason.ORDER_NOT_FOUND

    def cancel(self, command: CancelOrder) -> list[Event]:
        order = self.find(command)
        if order is Reason.ORDER_NOT_FOUND:
            trigger = find_trigger(self, command)
            if isinstance(trigger, NaiveTrigger):
                return cancel_triggers(self, [trigger], "user_request")
            order = trigger
        if isinstance(order, Reason):
            return [Refused(command.user_id, order)]
        return self.close_order(order, "user_request")

    def cancel_all(self, command: CancelAll, reason: CancelReason) -> list[Event]:
        user_id, instrument_id = command.user_id, command.instrument_id
        if user_id not in self.users:
            return [Refused(user_id, Reason.UNKNOWN_USER)]
        if self.is_unknown(instrument_id):
            return [Refused(user_id, Reason.INSTRUMENT_NOT_FOUND)]
        if command.asset is not UNSET and command.asset not in [it.terms.asset for it in self.instruments.values()]:
            return [Refused(user_id, Reason.UNKNOWN_ASSET)]
        chosen = [order for order in self.orders if self.is_in_group(command, order.placed)]
        triggers = group(self, command)
        events = [*self.cancel_each(chosen, reason), *cancel_triggers(self, triggers, reason)]
        return [*events, AllCancelled(user_id, count_ended(events))]

    def is_in_group(self, command: CancelAll, order: PlaceOrder | PlaceTriggerOrder) -> bool:
        """True if the mass cancellation names the order."""
        terms = self.instruments[order.instrument_id].terms
        return (
            order.user_id == command.user_id
            and command.instrument_id in (None, order.instrument_id)
            and command.asset in (UNSET, terms.asset)
            and command.option_type in (UNSET, terms.option_type)
            and command.label in (UNSET, order.label)
        )

    # Placing and editing of orders

    def place(self, ts_us: int, command: PlaceOrder) -> list[Event]:
        if command.user_id not in self.users:
            return [Refused(command.user_id, Reason.UNKNOWN_USER)]
        if command.valid_until_us is not UNSET and ts_us > command.valid_until_us:
            return [Refused(command.user_id, Reason.VALID_UNTIL_PASSED)]
        namesake: NaiveOrder | NaiveTrigger | None = None
        if command.client_order_id is not None:
            for trigger in self.known_triggers(command.user_id):
                if trigger.placed.client_order_id == command.client_order_id:
                    namesake = trigger
            for order in self.known_orders(command.user_id):
                if order.placed.client_order_id == command.client_order_id:
                    namesake = order
        if namesake is not None and same_request(namesake.placed, command):
            return [OrderRepeated(namesake.order_id, command.user_id)]
        size, placed = self.size_to_place(command), command
        command = replace(command, price_micros=self.price_to_place(command, command.price_micros))
        if reason := self.why_not_place(ts_us, command, size, namesake):
            return [self.refused(command.user_id, reason, command.instrument_id)]

        _, events = self.enter(command, size, placed)
        return events + self.liquidate_traders(ts_us, events)

    def enter(self, command: PlaceOrder, size: int, placed: PlaceOrder) -> tuple[NaiveOrder, list[Event]]:
        """Accept an order that passed every check, and let it trade and rest. `placed` is the request."""
        order, accepted = self.accept(command, size)
        order.placed = placed
        events: list[Event] = [accepted]
        if command.time_in_force == "fok" and self.tradable(command, order.order_id) < size:
            self.orders.append(order)
            return order, [*events, *self.close_order(order, "fok_unfilled")]
        if command.type == "market":
            events += self.trade_at_market(order)
        else:
            self.orders.append(order)
            self.note_order(order)
            events += self.trade(order)
            if order.remaining and command.time_in_force == "ioc":
                events += self.close_order(order, "ioc_remainder")
            if order.remaining and command.display_milli is not UNSET:
                order.show_anew()
            if order.remaining and command.time_in_force in ("gtc", "day"):
                events += self.shrink_reduce_only(command.user_id, command.instrument_id)
        return order, events

    def reducible(self, command: PlaceOrder) -> int:
        """Return the position that the order would reduce."""
        position = self.position(command.user_id, command.instrument_id)
        return max(0, -position if command.side == "bid" else position)

    def size_to_place(self, command: PlaceOrder) -> int:
        """Return the size in the request; for a reduce-only order at most the position on the other side."""
        return min(command.size_milli, self.reducible(command)) if command.reduce_only else command.size_milli

    def price_to_place(self, order: PlaceOrder, price: int | None) -> int | None:
        """Return the price of the request; for a post-only order that reprices, one at which it does not trade."""
        if order.type == "market_limit" and price is None and order.instrument_id in self.instruments:
            best = self.makers(order)
            return best[0].price if best else None
        if order.reprices is not True or price is None or order.instrument_id not in self.instruments:
            return price
        instrument = self.instruments[order.instrument_id]
        if price % instrument.tick or not 0 < price <= PRICE_MAX_MICROS or self.is_beyond_band(instrument, price):
            return price
        crossed = self.makers(replace(order, price_micros=price))
        if not crossed or crossed[0].price is None:
            return price
        better = crossed[0].price + (-instrument.tick if order.side == "bid" else instrument.tick)
        return better if 0 < better <= PRICE_MAX_MICROS else price

    def accept(self, command: PlaceOrder, size: int) -> tuple[NaiveOrder, OrderAccepted]:
        trigger_order_id, self.trigger_order_id = self.trigger_order_id, None
        self.last_order_id += 1
        self.last_place += 1
        order = NaiveOrder(self.last_order_id, command, command.price_micros, size, size, self.last_place)
        if command.connection:
            self.connections[order.order_id] = command.connection
        return order, OrderAccepted(
            order.order_id,
            command.user_id,
            command.instrument_id,
            command.side,
            command.type,
            command.time_in_force,
            command.price_micros,
            size,
            command.post_only,
            command.client_order_id,
            command.reduce_only,
            label=command.label,
            trigger_order_id=UNSET if trigger_order_id is None else trigger_order_id,
            display_milli=command.display_milli,
        )

    def liquidate_traders(self, ts_us: int, events: list[Event]) -> list[Event]:
        """Liquidate the accounts of the trades in these events, if they must be."""
        trades = [event for event in events if isinstance(event, Traded)]
        return self.liquidate(ts_us, [user for it in trades for user in (it.maker_user_id, it.taker_user_id)])

    def why_not_place(self, ts_us: int, command: PlaceOrder, size: int, namesake: object) -> Reason | None:
        """Return the first reason to refuse the order. `size` is the size to place."""
        user = self.users[command.user_id]
        if user.suspended:
            return Reason.USER_SUSPENDED
        instrument = self.instruments.get(command.instrument_id)
        if instrument is None:
            return self.unknown(command.instrument_id)
        if reason := self.why_closed(ts_us, instrument):
            return reason
        if reason := self.why_not_reopened(ts_us, instrument.terms.asset, command.post_only):
            return reason
        if command.reduce_only is True and self.reducible(command) == 0:
            return Reason.NOTHING_TO_REDUCE
        smallest = instrument.min_size
        if command.reduce_only is True and self.version > 1 and self.reducible(command) < smallest:
            # Enough to close the position.
            smallest = self.reducible(command)
        if reason := self.why_not_these_terms(command.price_micros, command.size_milli, 0, instrument.tick, smallest):
            return reason
        if command.type == "market_limit" and command.price_micros is None:
            return Reason.NO_OPPOSITE_PRICE
        if reason := self.why_not_display(command.display_milli, command.size_milli, instrument):
            return reason
        if self.is_beyond_band(instrument, command.price_micros):
            return Reason.PRICE_BEYOND_BAND
        if namesake is not None:
            return Reason.CLIENT_ORDER_ID_USED
        open_orders_max = self.rules.open_orders_max if user.open_orders_max is None else user.open_orders_max
        if sum(order.user_id == command.user_id for order in self.orders) >= open_orders_max:
            return Reason.TOO_MANY_OPEN_ORDERS
        if command.reduce_only is not True and self.beyond_position_limit(command, size):
            return Reason.POSITION_ABOVE_MAXIMUM
        if command.post_only and self.tradable(command) > 0:
            return Reason.POST_ONLY_WOULD_TRADE
        command = replace(command, size_milli=size)
        if command.side == "ask" and self.needed(command) > 0 and self.index_is_stale(ts_us, instrument):
            return Reason.INDEX_STALE
        return None if self.enough(command) else Reason.INSUFFICIENT_BALANCE

    def enough(self, command: PlaceOrder) -> bool:
        if command.type == "market":
            return self.enough_at_market(command)
        needed, left = self.needed(command), self.cash_beyond_bids(command.user_id)
        if command.side == "bid" and self.bid_lock(command.price_micros or 0, command.size_milli) > left:
            return False
        return needed <= 0 or needed <= self.available(command.user_id)

    def index_is_stale(self, ts_us: int, instrument: NaiveInstrument) -> bool:
        market, asset = market_of(self.rules), instrument.terms.asset
        if market is None or not market.index_age_max_s or asset not in self.history:
            return False
        return ts_us - self.history[asset][-1][0] > market.index_age_max_s * 1_000_000

    def beyond_position_limit(self, order: PlaceOrder, size: int, without: NaiveOrder | None = None) -> bool:
        """True if the position could exceed the limit with `size` more and without the order `without`."""
        market, limit = market_of(self.rules), self.users[order.user_id].position_max
        if limit is None:
            limit = market.position_max_milli if market else 0
        if limit == 0:
            return False
        same_side = [
            it.remaining
            for it in self.orders
            if (it.user_id, it.instrument_id, it.side) == (order.user_id, order.instrument_id, order.side)
            and it is not without
        ]
        position = self.position(order.user_id, order.instrument_id)
        return (position if order.side == "bid" else -position) + sum(same_side) + size > limit

    def why_closed(self, ts_us: int, instrument: NaiveInstrument) -> Reason | None:
        if self.halted:
            return Reason.EXCHANGE_HALTED
        if instrument.is_over(ts_us):
            return Reason.INSTRUMENT_EXPIRED
        return Reason.INSTRUMENT_PAUSED if instrument.state == "paused" else None

    def band(self, instrument: NaiveInstrument) -> tuple[int, int] | None:
        """Return the lowest and the highest price of an order, None if any is possible."""
        market, terms = market_of(self.rules), instrument.terms
        rule = band_of(market, terms.asset) if market is not None and self.version > 1 else None
        if market is None or rule is None or instrument.mark is None or instrument.state == "expired":
            return None
        ts_us = self.history[terms.asset][-1][0]
        smile = self.smiles[instrument.series]
        forward = forward_price(market, terms, instrument.index, ts_us)
        return price_band(terms, instrument.tick, forward, ts_us, smile, instrument.mark, rule)

    def is_beyond_band(self, instrument: NaiveInstrument, price: int | None) -> bool:
        band = self.band(instrument)
        return band is not None and price is not None and not band[0] <= price <= band[1]

    def limit(self, order: PlaceOrder) -> int | None:
        """Return the price of an order; that of a market order is the end of the band."""
        band = self.band(self.instruments[order.instrument_id])
        if order.price_micros is not None or band is None:
            return order.price_micros
        return band[1] if order.side == "bid" else band[0]

    def refused(self, user_id: str, reason: Reason, instrument_id: str) -> Refused:
        band = self.band(self.instruments[instrument_id]) if reason is Reason.PRICE_BEYOND_BAND else None
        return Refused(user_id, reason, band or UNSET)

    def why_not_these_terms(self, price: int | None, size: int, filled: int, tick: int, smallest: int) -> Reason | None:
        if size < smallest:
            return Reason.SIZE_BELOW_MINIMUM
        if size > SIZE_MAX_MILLI:
            return Reason.SIZE_ABOVE_MAXIMUM
        if filled and size <= filled:
            return Reason.SIZE_NOT_ABOVE_FILLED
        if price is not None and price * size > NUMBER_MAX * 1000:
            return Reason.COST_ABOVE_MAXIMUM
        if price is not None and price <= 0:
            return Reason.PRICE_NOT_POSITIVE
        if price is not None and price % tick != 0:
            return Reason.PRICE_OFF_TICK
        if price is not None and price > PRICE_MAX_MICROS:
            return Reason.PRICE_ABOVE_MAXIMUM
        return None

    def why_not_display(self, display: int | UnsetType, size: int, instrument: NaiveInstrument) -> Reason | None:
        if display is UNSET:
            return None
        if display > size:
            return Reason.DISPLAY_ABOVE_SIZE
        is_enough = display >= 100 * instrument.min_size and size - display < 100 * display
        return None if is_enough else Reason.DISPLAY_BELOW_MINIMUM

    def needed(self, command: PlaceOrder) -> int:
        """Return the cash that the whole order needs: its lock, or its cost in the current book."""
        instrument_id, size = command.instrument_id, command.size_milli
        if command.side == "ask":
            return self.more_collateral(command.user_id, instrument_id, size)
        rests = command.time_in_force in ("gtc", "day")
        free = 0 if rests else self.released(command.user_id, instrument_id, size)
        if command.price_micros is not None:
            return self.bid_lock(command.price_micros, size) - free
        return self.market_total(command) - free

    def market_total(self, command: PlaceOrder) -> int:
        """Return the sum that a market bid would pay for all its fills."""
        total, wanted = 0, command.size_milli
        for maker, offered in self.offers(command):
            size = min(wanted, offered)
            total += self.taker_cost(maker, size)
            wanted -= size
        return total

    def more_collateral(self, user_id: str, instrument_id: str, more_asks: int) -> int:
        """Return how much more collateral `more_asks` would lock."""
        return self.collateral(user_id, instrument_id, more_asks) - self.collateral(user_id, instrument_id)

    def edit(self, ts_us: int, command: EditOrder) -> list[Event]:
        if command.valid_until_us is not UNSET and ts_us > command.valid_until_us:
            return [Refused(command.user_id, Reason.VALID_UNTIL_PASSED)]
        order = self.find(command)
        if order is Reason.ORDER_NOT_FOUND:
            trigger = find_trigger(self, command)
            if isinstance(trigger, NaiveTrigger):
                return edit_trigger(self, ts_us, trigger, command)
            order = trigger
        if isinstance(order, Reason):
            return [Refused(command.user_id, order)]
        if command.trigger_price_micros is not UNSET or command.trigger_offset_micros is not UNSET:
            return [Refused(command.user_id, Reason.TERMS_DO_NOT_FIT)]
        assert order.price is not None
        wanted = order.price if command.price_micros is None else command.price_micros
        price = self.price_to_place(order.placed, wanted) or 0
        size = order.size if command.size_milli is None else command.size_milli
        filled = order.size - order.remaining
        if order.placed.reduce_only is True:
            size = min(size, filled + self.reducible(order.placed))
        if reason := self.why_not_edit(ts_us, order, price, size, filled):
            return [self.refused(command.user_id, reason, order.instrument_id)]

        edited = OrderEdited(
            order.order_id,
            order.user_id,
            order.instrument_id,
            order.side,
            price,
            size,
            remaining_milli=size - filled,
            kept_place=price == order.price and (size < order.size or (size == order.size and self.version > 1)),
            previous_price_micros=order.price,
            previous_remaining_milli=order.remaining,
        )
        self.note_order(order)
        order.price, order.size, order.remaining = price, size, size - filled
        if order.shown is not None:
            before = order.shown
            if not edited.kept_place or before > order.remaining:
                order.show_anew()
            edited = replace(edited, displayed_milli=order.shown, previous_displayed_milli=before)
        if edited.kept_place:
            return [edited]
        self.last_place += 1
        order.place = self.last_place
        events: list[Event] = [edited, *self.trade(order)]
        if order.remaining:
            if order.shown is not None:
                order.show_anew()
            events += self.shrink_reduce_only(order.user_id, order.instrument_id)
        return events + self.liquidate_traders(ts_us, events)

    def why_not_edit(self, ts_us: int, order: NaiveOrder, price: int, size: int, filled: int) -> Reason | None:
        assert order.price is not None
        instrument = self.instruments[order.instrument_id]
        if self.users[order.user_id].suspended:
            return Reason.USER_SUSPENDED
        if reason := self.why_closed(ts_us, instrument):
            return reason
        if reason := self.why_not_reopened(ts_us, instrument.terms.asset, order.placed.post_only):
            return reason
        smallest = 1 if order.placed.reduce_only is True else instrument.min_size
        if reason := self.why_not_these_terms(price, size, filled, instrument.tick, smallest):
            return reason
        shows = order.placed.display_milli
        if shows is not UNSET and (reason := self.why_not_display(shows, max(size, shows), instrument)):
            return reason
        if price != order.price and self.is_beyond_band(instrument, price):
            return Reason.PRICE_BEYOND_BAND
        if order.placed.reduce_only is not True and self.beyond_position_limit(
            order.placed, size - filled, without=order
        ):
            return Reason.POSITION_ABOVE_MAXIMUM
        if order.placed.post_only and any(
            self.may_trade(order.placed, maker) and maker.would_trade_at(price)
            for maker in self.opposite_orders(order.placed)
        ):
            return Reason.POST_ONLY_WOULD_TRADE
        if order.side == "bid":
            needed = self.bid_lock(price, size - filled) - self.bid_lock(order.price, order.remaining)
        else:
            needed = self.more_collateral(order.user_id, order.instrument_id, size - order.size)
            if needed > 0 and self.index_is_stale(ts_us, instrument):
                return Reason.INDEX_STALE
        too_little = needed > 0 and needed > self.available(order.user_id)
        return Reason.INSUFFICIENT_BALANCE if too_little else None

    # Matching

    def opposite_orders(self, taker: PlaceOrder) -> list[NaiveOrder]:
        """Return the orders on the opposite side, best price first, then by place."""
        opposite = [
            order
            for order in self.orders
            if order.instrument_id == taker.instrument_id
            and order.side != taker.side
            and order.price is not None
            and order is not self.promised
        ]
        sign = 1 if taker.side == "bid" else -1
        return sorted(opposite, key=lambda order: (sign * (order.price or 0), order.place))

    def may_trade(self, taker: PlaceOrder, maker: NaiveOrder) -> bool:
        return self.rules.self_trade_prevention == "off" or maker.user_id != taker.user_id

    def makers(self, taker: PlaceOrder) -> list[NaiveOrder]:
        """Return the orders that the taker may trade with, in the order of trading."""
        return [
            maker
            for maker in self.opposite_orders(taker)
            if self.may_trade(taker, maker) and maker.would_trade_at(self.limit(taker))
        ]

    def offers(self, taker: PlaceOrder, order_id: int | None = None) -> list[tuple[NaiveOrder, int]]:
        """Return the orders that the taker would trade with, and how much it would get of each."""
        makers = self.makers(taker)
        changing = [it for it in makers if it.placed.reduce_only is True or pair_of(self, it.order_id)]
        if not changing:
            return [(maker, maker.remaining) for maker in makers]
        # Reduce-only orders shrink meanwhile, and linked orders end: a copy of the exchange shows what is left of them.
        copied = deepcopy(self)
        size = max(0, taker.size_milli)
        new_id = self.last_order_id + 1 if order_id is None else order_id
        order = NaiveOrder(new_id, taker, taker.price_micros, size, size, 0)
        events = copied.trade_within_budget(order, lambda *_: True)
        found: dict[int, int] = {}
        for trade in events:
            if isinstance(trade, Traded):
                found[trade.maker_order_id] = found.get(trade.maker_order_id, 0) + trade.size_milli
        by_id = {maker.order_id: maker for maker in makers}
        return [(by_id[order_id], size) for order_id, size in found.items()]

    def tradable(self, taker: PlaceOrder, order_id: int | None = None) -> int:
        return sum(size for _, size in self.offers(taker, order_id))

    def shrink_reduce_only(self, user_id: str, instrument_id: str, taker: NaiveOrder | None = None) -> list[Event]:
        """Make the user's reduce-only orders together as small as the position: the first to trade stays largest.

        The taker does not rest yet.
        """
        events: list[Event] = []
        position = self.position(user_id, instrument_id)
        mine = [
            (abs(order.price or 0) * (1 if order.side == "ask" else -1), order.order_id, order)
            for order in self.orders
            if (order.user_id, order.instrument_id) == (user_id, instrument_id)
            and order.placed.reduce_only is True
            and order is not taker
        ]
        left = abs(position)
        for _, _, order in sorted(mine, key=lambda it: it[:2]):
            if order not in self.orders:
                continue
            can = left if (order.side == "ask") == (position > 0) else 0
            if can == 0:
                events += self.close_order(order, "nothing_to_reduce")
                continue
            if can < order.remaining:
                self.note_order(order)
                before, order.remaining, order.size = order.remaining, can, order.size - (order.remaining - can)
                names = (order.order_id, user_id, instrument_id, order.side)
                price = order.price or 0
                event = OrderEdited(*names, price, order.size, can, True, price, before, "reduce_only")
                if order.shown is not None:
                    shown, order.shown = order.shown, min(order.shown, can)
                    event = replace(event, displayed_milli=order.shown, previous_displayed_milli=shown)
                events.append(event)
            left -= order.remaining
        return events

    def trade(self, taker: NaiveOrder) -> list[Event]:
        """Trade a limit order as far as it goes. It is among the open orders meanwhile, because its cash is locked."""
        self.taker = taker
        events = self.trade_until(taker)
        self.taker = None
        if taker.remaining and is_frozen(self, taker):
            events += self.close_order(taker, "mmp_trigger")
        return events

    def trade_until(self, taker: NaiveOrder) -> list[Event]:
        """Trade a limit order until it is filled, nothing crosses it, or its MMP group is frozen."""
        events: list[Event] = []
        while taker.remaining:
            makers = [maker for maker in self.opposite_orders(taker.placed) if maker.would_trade_at(taker.price)]
            if not makers:
                return events
            if self.may_trade(taker.placed, makers[0]):
                events += self.fill(makers[0], taker, min(makers[0].visible, taker.remaining))
                if taker.remaining and is_frozen(self, taker):
                    return events
            else:
                events += self.close_order(makers[0], "self_trade_prevention")
        return events

    def fill(self, maker: NaiveOrder, taker: NaiveOrder, size: int) -> list[Event]:
        assert maker.price is not None
        cost = maker.price * size // 1000
        instrument = self.instruments[maker.instrument_id]
        maker_fee = self.fee(instrument, "maker", maker.price, size)
        taker_fee = self.fee(instrument, "taker", maker.price, size)
        instrument.last_price = maker.price
        for order, fee in ((maker, maker_fee), (taker, taker_fee)):
            sign = 1 if order.side == "bid" else -1
            key = order.user_id, order.instrument_id
            self.users[order.user_id].cash -= sign * cost + fee
            self.positions[key] = self.positions.get(key, 0) + sign * size
            order.remaining -= size
            self.changed_users.append(order.user_id)
            self.changed_positions.append(key)
        if maker_fee + taker_fee:
            self.users["fees"].cash += maker_fee + taker_fee
            self.changed_users.append("fees")
        refilled: int | UnsetType = UNSET
        if maker.shown is not None:
            maker.shown -= size
            if maker.shown == 0 and maker.remaining:
                refilled = maker.show_anew()
                self.last_place += 1
                maker.place = self.last_place
        if maker.remaining == 0:
            self.close_order(maker)
        self.last_trade_id += 1
        trade = Traded(
            self.last_trade_id,
            maker.instrument_id,
            maker.price,
            size,
            taker.side,
            maker.order_id,
            maker.user_id,
            maker.remaining,
            maker_fee,
            taker.order_id,
            taker.user_id,
            taker.remaining,
            taker_fee,
            refilled,
        )
        shrunk = [self.shrink_reduce_only(it, maker.instrument_id, taker) for it in (maker.user_id, taker.user_id)]
        linked = [*after_fill(self, maker, maker.price, size), *after_fill(self, taker, maker.price, size)]
        protected = protect(self, maker, taker, size)
        if taker.remaining == 0:
            self.close_order(taker)
        return [trade, *shrunk[0], *shrunk[1], *linked, *protected]

    def fee(self, instrument: NaiveInstrument, liquidity: Liquidity, price: int, size: int) -> int:
        cost, of_premium, market = price * size // 1000, self.rules.fees, market_of(self.rules)
        is_maker = liquidity == "maker"
        fee = cost * (of_premium.maker_premium_ppm if is_maker else of_premium.taker_premium_ppm) // 1_000_000
        if market is not None:
            ppm = market.fees.maker_ppm if is_maker else market.fees.taker_ppm
            of_index = self.index_of(instrument.terms.asset) * size * ppm // 1_000_000_000
            fee += min(of_index, cost * market.fees.cap_ppm // 1_000_000)
        return fee

    def taker_cost(self, maker: NaiveOrder, size: int) -> int:
        """Return the sum that a bid pays for `size` of a resting order, fee included."""
        assert maker.price is not None
        instrument = self.instruments[maker.instrument_id]
        return maker.price * size // 1000 + self.fee(instrument, "taker", maker.price, size)

    # Market orders

    def budget_of_bid(self, command: PlaceOrder) -> Budget:
        """Return the budget of a market bid, as fixed when it arrives."""
        user_id, instrument_id = command.user_id, command.instrument_id
        available, left = max(0, self.available(user_id)), self.cash_beyond_bids(user_id)
        margin, _ = self.margins_of(self.instruments[instrument_id])
        uncovered = max(0, self.uncovered(user_id, instrument_id)) if market_of(self.rules) else 0

        def may(paid: int, bought: int) -> bool:
            released = for_size(margin, uncovered) - for_size(margin, max(0, uncovered - bought))
            return paid <= available + released and paid <= left

        return may

    def may_sell(self, command: PlaceOrder) -> int:
        """Return how many millicontracts a market ask may sell, as fixed when it arrives."""
        user_id, instrument_id = command.user_id, command.instrument_id
        free = max(0, -self.uncovered(user_id, instrument_id))

        def may(size: int) -> bool:
            return size <= free or self.more_collateral(user_id, instrument_id, size) <= self.available(user_id)

        return largest(command.size_milli, may)

    def enough_at_market(self, command: PlaceOrder) -> bool:
        """True if a fok can be paid completely, or a millicontract of an ioc. A bid without offers needs no cash."""
        makers, size = self.makers(command), command.size_milli
        all_or_nothing = command.time_in_force == "fok"
        if command.side == "ask":
            return self.may_sell(command) >= (size if all_or_nothing else 1)
        if not all_or_nothing:
            if not makers:
                return True
            return self.largest_within(self.budget_of_bid(command), makers[0], min(size, makers[0].remaining), 0, 0) > 0
        # An unfilled fok is accepted, and cancelled at once.
        unfilled = self.tradable(command) < size
        return unfilled or self.budget_of_bid(command)(self.market_total(command), size)

    def trade_at_market(self, taker: NaiveOrder) -> list[Event]:
        """Trade a market order within its budget, which a fok has been checked for already."""
        arrived = replace(taker.placed, size_milli=taker.size)
        if arrived.time_in_force == "fok":
            return self.trade_within_budget(taker, lambda *_: True)
        if taker.side == "bid":
            return self.trade_within_budget(taker, self.budget_of_bid(arrived))
        sellable = self.may_sell(arrived)
        return self.trade_within_budget(taker, lambda _, sold: sold <= sellable)

    def trade_within_budget(self, taker: NaiveOrder, budget: Budget) -> list[Event]:
        """Trade an order that never rests within its budget; then close it."""
        self.orders.append(taker)
        self.taker = taker
        events, reason = self.trade_until_spent(taker, budget)
        self.taker = None
        return [*events, *self.close_order(taker, reason)] if taker.remaining else events

    def trade_until_spent(self, taker: NaiveOrder, budget: Budget) -> tuple[list[Event], CancelReason]:
        """Trade within the budget; return also why the rest, if there is one, is not traded."""
        events: list[Event] = []
        paid = traded = 0
        limit = taker.price if taker.price is not None else self.limit(taker.placed)
        while taker.remaining:
            makers = [maker for maker in self.opposite_orders(taker.placed) if maker.would_trade_at(limit)]
            if not makers:
                reason: CancelReason = "market_remainder" if taker.price is None else "ioc_remainder"
                return events, reason
            maker = makers[0]
            assert maker.price is not None
            if not self.may_trade(taker.placed, maker):
                events += self.close_order(maker, "self_trade_prevention")
                continue
            wanted = min(maker.visible, taker.remaining)
            size = self.largest_within(budget, maker, wanted, paid, traded)
            if size:
                paid += self.taker_cost(maker, size)
                traded += size
                events += self.fill(maker, taker, size)
            if size < wanted:  # once the budget has cut a fill short, nothing more is bought
                return events, "insufficient_balance"
        return events, "insufficient_balance"

    def largest_within(self, budget: Budget, maker: NaiveOrder, wanted: int, paid: int, traded: int) -> int:
        return largest(wanted, lambda size: budget(paid + self.taker_cost(maker, size), traded + size))


def count_ended(events: list[Event]) -> int:
    """Return the number of orders that were cancelled, those that were linked to others included."""
    return sum(isinstance(event, OrderCancelled | TriggerOrderEnded) for event in events)


def same_request(placed: PlaceOrder | PlaceTriggerOrder, command: PlaceOrder | PlaceTriggerOrder) -> bool:
    """True if the command repeats the order; it may be valid until another time, or come over another connection."""
    other = {"valid_until_us": UNSET, "connection": UNSET}
    return replace(placed, **other) == replace(command, **other)


def largest(size: int, may: Callable[[int], bool]) -> int:
    """Return `size` if it is allowed; else the largest allowed size, found by bisection; 0 if there is none."""
    if may(size):
        return size
    fits, too_large = 0, size
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        if may(middle):
            fits = middle
        else:
            too_large = middle
    return fits
