"""The naive exchange: the rules once more, in the slowest and most obvious way, as an oracle for the real one.

It has no books, no levels, no queues and no balances that are kept up to date. There is one list of open orders;
whoever trades next is found by sorting it, and what an account has locked is added up from its orders and positions
whenever somebody asks. It was written from the rules (protocol, reasons, events), not from `exchange.matching`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from exchange.domain.commands import (
    CancelAll,
    CancelOrder,
    Command,
    CreateInstrument,
    Deposit,
    Disconnect,
    EditOrder,
    EndDay,
    EndSession,
    Fork,
    Genesis,
    OpenAccount,
    PauseInstrument,
    PlaceOrder,
    ResumeInstrument,
    SetCancelOnDisconnect,
    StartSession,
    Withdraw,
)
from exchange.domain.events import (
    AccountOpened,
    AllCancelled,
    BalanceChanged,
    CancelOnDisconnectSet,
    Configured,
    DayEnded,
    Deposited,
    Event,
    Forked,
    InstrumentCreated,
    InstrumentStateChanged,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    PositionChanged,
    Refused,
    SessionEnded,
    SessionStarted,
    Traded,
    Withdrawn,
)
from exchange.domain.instruments import parse_instrument_id
from exchange.domain.reasons import Reason
from exchange.domain.rules import Rules
from exchange.domain.units import NUMBER_MAX, PRICE_MAX_MICROS, SIZE_MAX_MILLI
from exchange.domain.words import CancelReason, InstrumentState, Side


@dataclass
class NaiveUser:
    cash: int = 0
    cancel_on_disconnect: bool = False
    finished: list["NaiveOrder"] = field(default_factory=list)  # first finished first


@dataclass
class NaiveInstrument:
    instrument_id: str
    strike: int
    expiration_us: int
    tick: int
    min_size: int
    state: InstrumentState = "open"


@dataclass
class NaiveOrder:
    order_id: int
    placed: PlaceOrder  # as it came; `price` and `size` are its terms today
    price: int | None
    size: int
    remaining: int
    place: int  # whoever has the smaller one stands before the others at a price

    @property
    def user_id(self) -> str:
        return self.placed.user_id

    @property
    def instrument_id(self) -> str:
        return self.placed.instrument_id

    @property
    def side(self) -> Side:
        return self.placed.side

    def would_trade_at(self, price: int | None) -> bool:
        """Whether somebody on the other side, limited to `price`, may trade with this resting order."""
        assert self.price is not None, "a market order never rests"
        return price is None or (self.price <= price if self.side == "ask" else self.price >= price)


class NaiveExchange:
    def __init__(self) -> None:
        self.rules = Rules()
        self.users: dict[str, NaiveUser] = {}
        self.instruments: dict[str, NaiveInstrument] = {}
        self.orders: list[NaiveOrder] = []  # open ones, in order of order_id
        self.positions: dict[tuple[str, str], int] = {}
        self.last_order_id = 0
        self.last_trade_id = 0
        self.last_place = 0
        self.touched_users: list[str] = []
        self.touched_positions: list[tuple[str, str]] = []

    def apply(self, ts_us: int, command: Command) -> list[Event]:
        """The events of `command`: those of the business, then positions and balances that came out different."""
        self.touched_users, self.touched_positions = [], []
        positions_before = {
            (user_id, instrument_id): (self.position(user_id, instrument_id), self.collateral(user_id, instrument_id))
            for user_id in self.users
            for instrument_id in self.instruments
        }
        balances_before = {user_id: (user.cash, self.locked(user_id)) for user_id, user in self.users.items()}
        events = self.decide(ts_us, command)
        for user_id, instrument_id in dict.fromkeys(self.touched_positions):
            quantity_and_locked = self.position(user_id, instrument_id), self.collateral(user_id, instrument_id)
            if quantity_and_locked != positions_before[user_id, instrument_id]:
                events.append(PositionChanged(user_id, instrument_id, *quantity_and_locked))
        for user_id in dict.fromkeys(self.touched_users):
            cash_and_locked = self.users[user_id].cash, self.locked(user_id)
            if cash_and_locked != balances_before.get(user_id, (0, 0)):
                events.append(BalanceChanged(user_id, *cash_and_locked))
        return events

    def decide(self, ts_us: int, command: Command) -> list[Event]:
        match command:
            case PlaceOrder():
                return self.place(ts_us, command)
            case CancelOrder():
                return self.cancel(command)
            case EditOrder():
                return self.edit(ts_us, command)
            case CancelAll():
                return self.cancel_all(command)
            case CreateInstrument():
                return self.create_instrument(ts_us, command)
            case PauseInstrument():
                return self.set_state(ts_us, command.instrument_id, "paused")
            case ResumeInstrument():
                return self.set_state(ts_us, command.instrument_id, "open")
            case EndDay():
                return self.end_day(command)
            case Genesis():
                self.rules = command.rules
                configured: list[Event] = [Configured(command.rules, command.rules_version)]
                if self.rules.fees.maker_premium_ppm > 0 or self.rules.fees.taker_premium_ppm > 0:
                    self.users["fees"] = NaiveUser()
                    configured.append(AccountOpened("fees"))
                return configured
            case StartSession():
                started: list[Event] = [SessionStarted(command.program_version)]
                for user_id in [user_id for user_id, user in self.users.items() if user.cancel_on_disconnect]:
                    started += self.disconnect(user_id, still_enabled=False)
                return started
            case Fork(parent, parent_seq, parent_hash):
                return [Forked(parent, parent_seq, parent_hash)]
            case EndSession():
                return [SessionEnded()]
            case OpenAccount():
                return self.open_account(command)
            case Deposit() | Withdraw() | SetCancelOnDisconnect() | Disconnect() if command.user_id not in self.users:
                return [Refused(command.user_id, Reason.UNKNOWN_USER)]
            case Deposit():
                return self.deposit(command)
            case Withdraw():
                return self.withdraw(command)
            case SetCancelOnDisconnect():
                self.users[command.user_id].cancel_on_disconnect = command.enabled
                return [CancelOnDisconnectSet(command.user_id, command.enabled)]
            case Disconnect():
                return self.disconnect(command.user_id, command.still_enabled)

    # What everybody has, added up anew each time

    def position(self, user_id: str, instrument_id: str) -> int:
        return self.positions.get((user_id, instrument_id), 0)

    def open_asks(self, user_id: str, instrument_id: str) -> int:
        return sum(
            order.remaining
            for order in self.orders
            if order.user_id == user_id and order.instrument_id == instrument_id and order.side == "ask"
        )

    def collateral(self, user_id: str, instrument_id: str) -> int:
        uncovered = self.open_asks(user_id, instrument_id) - self.position(user_id, instrument_id)
        return self.instruments[instrument_id].strike * max(0, uncovered) // 1000

    def bid_lock(self, price: int, size: int) -> int:
        cost = price * size // 1000
        return cost + cost * max(self.rules.fees.maker_premium_ppm, self.rules.fees.taker_premium_ppm) // 1_000_000

    def locked(self, user_id: str) -> int:
        bids = (order for order in self.orders if order.user_id == user_id and order.side == "bid")
        return sum(self.bid_lock(order.price or 0, order.remaining) for order in bids) + sum(
            self.collateral(user_id, instrument_id) for instrument_id in self.instruments
        )

    def available(self, user_id: str) -> int:
        return self.users[user_id].cash - self.locked(user_id)

    def touch_for(self, order: NaiveOrder) -> None:
        """The order's coming or going changes its owner's balance, and if it is an ask, what the position locks."""
        self.touched_users.append(order.user_id)
        if order.side == "ask":
            self.touched_positions.append((order.user_id, order.instrument_id))

    # Accounts, cash and connections

    def room_for_cash(self) -> int:
        return NUMBER_MAX - sum(user.cash for user in self.users.values())

    def open_account(self, command: OpenAccount) -> list[Event]:
        if command.user_id in self.users:
            return [Refused(command.user_id, Reason.ACCOUNT_EXISTS)]
        if command.cash_micros < 0 or command.cash_micros > self.room_for_cash():
            return [Refused(command.user_id, Reason.INVALID_AMOUNT)]
        self.users[command.user_id] = NaiveUser(command.cash_micros)
        self.touched_users.append(command.user_id)
        return [AccountOpened(command.user_id)]

    def deposit(self, command: Deposit) -> list[Event]:
        if command.amount_micros <= 0 or command.amount_micros > self.room_for_cash():
            return [Refused(command.user_id, Reason.INVALID_AMOUNT)]
        self.users[command.user_id].cash += command.amount_micros
        self.touched_users.append(command.user_id)
        return [Deposited(command.user_id, command.amount_micros)]

    def withdraw(self, command: Withdraw) -> list[Event]:
        if command.amount_micros <= 0:
            return [Refused(command.user_id, Reason.INVALID_AMOUNT)]
        if command.amount_micros > self.available(command.user_id):
            return [Refused(command.user_id, Reason.INSUFFICIENT_BALANCE)]
        self.users[command.user_id].cash -= command.amount_micros
        self.touched_users.append(command.user_id)
        return [Withdrawn(command.user_id, command.amount_micros)]

    def disconnect(self, user_id: str, still_enabled: bool) -> list[Event]:
        mine = [order for order in self.orders if order.user_id == user_id]
        self.users[user_id].cancel_on_disconnect = still_enabled
        return [*self.cancel_each(mine, "cancel_on_disconnect"), AllCancelled(user_id, len(mine))]

    # Instruments and the end of the day

    def create_instrument(self, ts_us: int, command: CreateInstrument) -> list[Event]:
        try:
            terms = parse_instrument_id(command.instrument_id)
        except ValueError:
            return [Refused(None, Reason.INVALID_TERMS)]
        good_tick = command.tick_micros > 0 and command.tick_micros % 1000 == 0
        good_size = 0 < command.min_size_milli <= SIZE_MAX_MILLI
        if not good_tick or not good_size or terms.expiration_s * 1_000_000 <= ts_us:
            return [Refused(None, Reason.INVALID_TERMS)]
        if terms.instrument_id in self.instruments:
            return [Refused(None, Reason.INSTRUMENT_EXISTS)]
        self.instruments[terms.instrument_id] = NaiveInstrument(
            terms.instrument_id,
            terms.strike_micros,
            terms.expiration_s * 1_000_000,
            command.tick_micros,
            command.min_size_milli,
        )
        return [InstrumentCreated(*terms, command.tick_micros, command.min_size_milli)]

    def set_state(self, ts_us: int, instrument_id: str, state: InstrumentState) -> list[Event]:
        instrument = self.instruments.get(instrument_id)
        if instrument is None:
            return [Refused(None, Reason.INSTRUMENT_NOT_FOUND)]
        if instrument.state == "expired" or instrument.expiration_us <= ts_us:
            return [Refused(None, Reason.INSTRUMENT_EXPIRED)]
        instrument.state = state
        return [InstrumentStateChanged(instrument_id, state)]

    def end_day(self, command: EndDay) -> list[Event]:
        events: list[Event] = [DayEnded(command.day_end_us)]
        for instrument in self.instruments.values():
            if instrument.state == "expired":
                continue
            orders = [order for order in self.orders if order.instrument_id == instrument.instrument_id]
            if instrument.expiration_us <= command.day_end_us:
                events += self.cancel_each(orders, "instrument_expired")
                instrument.state = "expired"
                events.append(InstrumentStateChanged(instrument.instrument_id, "expired"))
            else:
                events += self.cancel_each([o for o in orders if o.placed.time_in_force == "day"], "day_end")
        return events

    # Orders end

    def end_order(self, order: NaiveOrder, reason: CancelReason | None = None) -> OrderCancelled:
        """Take the order off the list of open ones, and forget the user's eldest finished orders beyond the limit.

        With remaining size 0 it was filled, and the event is of no use.
        """
        self.touch_for(order)
        self.orders.remove(order)
        finished = self.users[order.user_id].finished
        finished.append(order)
        while len(finished) > self.rules.finished_orders_kept:
            finished.pop(0)
        return OrderCancelled(
            order.order_id,
            order.user_id,
            order.instrument_id,
            order.side,
            order.price,
            order.remaining,
            reason or "user_request",
        )

    def cancel_each(self, orders: Iterable[NaiveOrder], reason: CancelReason) -> list[Event]:
        return [self.end_order(order, reason) for order in orders]

    def known_orders(self, user_id: str) -> list[NaiveOrder]:
        """Open orders and finished ones not yet forgotten."""
        return [order for order in self.orders if order.user_id == user_id] + self.users[user_id].finished

    def find(self, command: CancelOrder | EditOrder) -> NaiveOrder | Reason:
        """The open order that the command names, or why there is none."""
        if isinstance(command, CancelOrder) and command.instrument_id not in (None, *self.instruments):
            return Reason.INSTRUMENT_NOT_FOUND
        if command.user_id not in self.users:
            return Reason.ORDER_NOT_FOUND
        for order in self.known_orders(command.user_id):
            if command.order_id is not None:
                named = order.order_id == command.order_id
            else:
                named = order.placed.client_order_id == command.client_order_id
            if not named:
                continue
            if isinstance(command, CancelOrder) and command.instrument_id not in (None, order.instrument_id):
                return Reason.ORDER_NOT_FOUND
            if order in self.orders:
                return order
            return Reason.ORDER_ALREADY_CANCELLED if order.remaining else Reason.ORDER_ALREADY_FILLED
        return Reason.ORDER_NOT_FOUND

    def cancel(self, command: CancelOrder) -> list[Event]:
        order = self.find(command)
        if isinstance(order, Reason):
            return [Refused(command.user_id, order)]
        return [self.end_order(order, "user_request")]

    def cancel_all(self, command: CancelAll) -> list[Event]:
        if command.user_id not in self.users:
            return [Refused(command.user_id, Reason.UNKNOWN_USER)]
        if command.instrument_id is not None and command.instrument_id not in self.instruments:
            return [Refused(command.user_id, Reason.INSTRUMENT_NOT_FOUND)]
        chosen = [
            order
            for order in self.orders
            if order.user_id == command.user_id and command.instrument_id in (None, order.instrument_id)
        ]
        return [*self.cancel_each(chosen, "user_request"), AllCancelled(command.user_id, len(chosen))]

    # Orders come and change

    def place(self, ts_us: int, command: PlaceOrder) -> list[Event]:
        if command.user_id not in self.users:
            return [Refused(command.user_id, Reason.UNKNOWN_USER)]
        namesake = None
        if command.client_order_id is not None:
            for order in self.known_orders(command.user_id):
                if order.placed.client_order_id == command.client_order_id:
                    namesake = order
        if namesake is not None and namesake.placed == command:
            return [OrderRepeated(namesake.order_id, command.user_id)]
        if reason := self.why_not_place(ts_us, command, namesake):
            return [Refused(command.user_id, reason)]

        self.last_order_id += 1
        self.last_place += 1
        size = command.size_milli
        order = NaiveOrder(self.last_order_id, command, command.price_micros, size, size, self.last_place)
        events: list[Event] = [
            OrderAccepted(
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
            )
        ]
        if command.time_in_force == "fok" and self.tradable(command) < size:
            self.orders.append(order)
            return [*events, self.end_order(order, "fok_unfilled")]
        if command.type == "market":
            return events + self.trade_at_market(order)
        self.orders.append(order)
        self.touch_for(order)
        events += self.trade(order)
        if order.remaining and command.time_in_force == "ioc":
            events.append(self.end_order(order, "ioc_remainder"))
        return events

    def why_not_place(self, ts_us: int, command: PlaceOrder, namesake: NaiveOrder | None) -> Reason | None:
        instrument = self.instruments.get(command.instrument_id)
        if instrument is None:
            return Reason.INSTRUMENT_NOT_FOUND
        price, size = command.price_micros, command.size_milli
        if reason := self.why_not_these_terms(ts_us, instrument, price, size, filled=0):
            return reason
        if namesake is not None:
            return Reason.CLIENT_ORDER_ID_USED
        if sum(order.user_id == command.user_id for order in self.orders) >= self.rules.open_orders_max:
            return Reason.TOO_MANY_OPEN_ORDERS
        if command.post_only and self.tradable(command) > 0:
            return Reason.POST_ONLY_WOULD_TRADE
        if command.type == "limit":
            enough = self.needed(command) <= self.available(command.user_id)
        else:
            enough = self.enough_at_market(command)
        return None if enough else Reason.INSUFFICIENT_BALANCE

    def why_not_these_terms(
        self, ts_us: int, instrument: NaiveInstrument, price: int | None, size: int, filled: int
    ) -> Reason | None:
        if instrument.state == "expired" or instrument.expiration_us <= ts_us:
            return Reason.INSTRUMENT_EXPIRED
        if instrument.state == "paused":
            return Reason.INSTRUMENT_PAUSED
        if size < instrument.min_size:
            return Reason.SIZE_BELOW_MINIMUM
        if size > SIZE_MAX_MILLI:
            return Reason.SIZE_ABOVE_MAXIMUM
        if filled and size <= filled:
            return Reason.SIZE_NOT_ABOVE_FILLED
        if price is not None and price * size > NUMBER_MAX * 1000:
            return Reason.COST_ABOVE_MAXIMUM
        if price is not None and price <= 0:
            return Reason.PRICE_NOT_POSITIVE
        if price is not None and price % instrument.tick != 0:
            return Reason.PRICE_OFF_TICK
        if price is not None and price > PRICE_MAX_MICROS:
            return Reason.PRICE_ABOVE_MAXIMUM
        return None

    def needed(self, command: PlaceOrder) -> int:
        """What must be available for all of an order: what it would lock, or spend at once in the book as it stands."""
        instrument = self.instruments[command.instrument_id]
        if command.side == "ask":
            return self.more_collateral(command.user_id, instrument, command.size_milli)
        if command.price_micros is not None:
            return self.bid_lock(command.price_micros, command.size_milli)
        total, wanted = 0, command.size_milli
        for maker in self.makers(command):
            size = min(wanted, maker.remaining)
            total += self.market_cost(maker.price or 0, size)
            wanted -= size
        return total

    def more_collateral(self, user_id: str, instrument: NaiveInstrument, more_asks: int) -> int:
        """What `more_asks` would lock beyond what the instrument locks now."""
        uncovered = self.open_asks(user_id, instrument.instrument_id) - self.position(user_id, instrument.instrument_id)
        before = instrument.strike * max(0, uncovered) // 1000
        return instrument.strike * max(0, uncovered + more_asks) // 1000 - before

    def edit(self, ts_us: int, command: EditOrder) -> list[Event]:
        order = self.find(command)
        if isinstance(order, Reason):
            return [Refused(command.user_id, order)]
        assert order.price is not None
        price = order.price if command.price_micros is None else command.price_micros
        size = order.size if command.size_milli is None else command.size_milli
        filled = order.size - order.remaining
        if reason := self.why_not_edit(ts_us, order, price, size, filled):
            return [Refused(command.user_id, reason)]

        edited = OrderEdited(
            order.order_id,
            order.user_id,
            order.instrument_id,
            order.side,
            price,
            size,
            remaining_milli=size - filled,
            kept_place=price == order.price and size < order.size,
            previous_price_micros=order.price,
            previous_remaining_milli=order.remaining,
        )
        self.touch_for(order)
        order.price, order.size, order.remaining = price, size, size - filled
        if edited.kept_place:
            return [edited]
        self.last_place += 1
        order.place = self.last_place
        return [edited, *self.trade(order)]

    def why_not_edit(self, ts_us: int, order: NaiveOrder, price: int, size: int, filled: int) -> Reason | None:
        assert order.price is not None
        instrument = self.instruments[order.instrument_id]
        if reason := self.why_not_these_terms(ts_us, instrument, price, size, filled):
            return reason
        if order.placed.post_only and any(
            self.may_trade(order.placed, maker) and maker.would_trade_at(price)
            for maker in self.others_side(order.placed)
        ):
            return Reason.POST_ONLY_WOULD_TRADE
        if order.side == "bid":
            needed = self.bid_lock(price, size - filled) - self.bid_lock(order.price, order.remaining)
        else:
            needed = self.more_collateral(order.user_id, instrument, size - order.size)
        return Reason.INSUFFICIENT_BALANCE if needed > self.available(order.user_id) else None

    # Who trades with whom

    def others_side(self, taker: PlaceOrder) -> list[NaiveOrder]:
        """The orders on the side opposite to the taker's, best price first, then first come."""
        opposite = [
            order
            for order in self.orders
            if order.instrument_id == taker.instrument_id and order.side != taker.side and order.price is not None
        ]
        sign = 1 if taker.side == "bid" else -1
        return sorted(opposite, key=lambda order: (sign * (order.price or 0), order.place))

    def may_trade(self, taker: PlaceOrder, maker: NaiveOrder) -> bool:
        return self.rules.self_trade_prevention == "off" or maker.user_id != taker.user_id

    def makers(self, taker: PlaceOrder) -> list[NaiveOrder]:
        """The orders that the taker, as it was sent, may really trade with, in the order of trading."""
        return [
            maker
            for maker in self.others_side(taker)
            if self.may_trade(taker, maker) and maker.would_trade_at(taker.price_micros)
        ]

    def tradable(self, taker: PlaceOrder) -> int:
        return sum(maker.remaining for maker in self.makers(taker))

    def trade(self, taker: NaiveOrder) -> list[Event]:
        """Trade a limit order as far as it goes. It is among the open orders while it does, for its money is locked."""
        events: list[Event] = []
        while taker.remaining:
            makers = [maker for maker in self.others_side(taker.placed) if maker.would_trade_at(taker.price)]
            if not makers:
                return events
            if self.may_trade(taker.placed, makers[0]):
                events.append(self.fill(makers[0], taker, min(makers[0].remaining, taker.remaining)))
            else:
                events.append(self.end_order(makers[0], "self_trade_prevention"))
        return events

    def fill(self, maker: NaiveOrder, taker: NaiveOrder, size: int) -> Traded:
        assert maker.price is not None
        cost = maker.price * size // 1000
        maker_fee = cost * self.rules.fees.maker_premium_ppm // 1_000_000
        taker_fee = cost * self.rules.fees.taker_premium_ppm // 1_000_000
        for order, fee in ((maker, maker_fee), (taker, taker_fee)):
            sign = 1 if order.side == "bid" else -1
            key = order.user_id, order.instrument_id
            self.users[order.user_id].cash -= sign * cost + fee
            self.positions[key] = self.positions.get(key, 0) + sign * size
            order.remaining -= size
            self.touched_users.append(order.user_id)
            self.touched_positions.append(key)
        if maker_fee + taker_fee:
            self.users["fees"].cash += maker_fee + taker_fee
            self.touched_users.append("fees")
        for order in (maker, taker):
            if order.remaining == 0:
                self.end_order(order)
        self.last_trade_id += 1
        return Traded(
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
        )

    # Market orders

    def market_cost(self, price: int, size: int) -> int:
        cost = price * size // 1000
        return cost + cost * self.rules.fees.taker_premium_ppm // 1_000_000

    def market_budget(self, command: PlaceOrder) -> int:
        """Micros that a bid may spend, or millicontracts that an ask may sell."""
        available = self.available(command.user_id)
        if command.side == "bid":
            return available
        held = self.position(command.user_id, command.instrument_id)
        offered = self.open_asks(command.user_id, command.instrument_id)
        return max(0, held - offered) + available * 1000 // self.instruments[command.instrument_id].strike

    def enough_at_market(self, command: PlaceOrder) -> bool:
        """A fok needs money for all of it, an ioc for a first millicontract; a bid needs none where nobody offers."""
        budget, makers = self.market_budget(command), self.makers(command)
        all_or_nothing = command.time_in_force == "fok"
        if command.side == "ask":
            return budget >= (command.size_milli if all_or_nothing else 1)
        if not all_or_nothing:
            return not makers or self.market_cost(makers[0].price or 0, 1) <= budget
        unfilled = self.tradable(command) < command.size_milli  # then it is accepted, and cancelled at once
        return unfilled or self.needed(command) <= budget

    def trade_at_market(self, taker: NaiveOrder) -> list[Event]:
        events: list[Event] = []
        budget = self.market_budget(taker.placed)
        self.orders.append(taker)
        taker_is_bid = taker.side == "bid"
        while taker.remaining:
            makers = self.others_side(taker.placed)
            if not makers:
                return [*events, self.end_order(taker, "market_remainder")]
            maker = makers[0]
            assert maker.price is not None
            if not self.may_trade(taker.placed, maker):
                events.append(self.end_order(maker, "self_trade_prevention"))
                continue
            wanted = min(maker.remaining, taker.remaining)
            size = self.largest_that_fits(maker.price, wanted, budget) if taker_is_bid else min(wanted, budget)
            if size:
                budget -= self.market_cost(maker.price, size) if taker_is_bid else size
                events.append(self.fill(maker, taker, size))
            if size < wanted:  # once the budget has cut a fill short, nothing more is bought
                return [*events, self.end_order(taker, "insufficient_balance")]
        return events

    def largest_that_fits(self, price: int, size: int, budget: int) -> int:
        """The largest size up to `size` that `budget` pays for at `price`, fee included; found by halving."""
        fits, too_large = 0, size + 1
        while too_large - fits > 1:
            middle = (fits + too_large) // 2
            if self.market_cost(price, middle) <= budget:
                fits = middle
            else:
                too_large = middle
        return fits
