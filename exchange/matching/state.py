"""The whole state of the exchange, and the record of what one command changes in it."""

from collections.abc import Iterator

from msgspec import UNSET

from exchange.domain.events import INSTRUMENTS_MAX, BalanceChanged, Event, MarginsChanged, PositionChanged
from exchange.domain.rules import RULES_VERSION, Rules, market_of
from exchange.domain.units import NUMBER_MAX
from exchange.matching.accounts import INSURANCE, Account, Position
from exchange.matching.book import Order, OrderBook
from exchange.matching.fees import fee_schedule_of
from exchange.matching.index import IndexState


class State:
    """Everything that decides the outcome of a command. Starts empty; the first command is the genesis.

    `live` are the books that have not expired, by asset; `market` and `charges` follow from the rules.
    """

    __slots__ = (
        "accounts",
        "books",
        "charges",
        "indexes",
        "is_halted",
        "live",
        "market",
        "next_order_id",
        "next_trade_id",
        "rules",
        "rules_version",
        "total_cash_micros",
    )

    def __init__(self, rules: Rules = Rules(), rules_version: int = RULES_VERSION) -> None:
        self.set_rules(rules)
        self.rules_version = rules_version
        self.next_order_id = 1
        self.next_trade_id = 1
        self.total_cash_micros = 0
        self.is_halted = False
        self.accounts: dict[str, Account] = {}
        self.books: dict[str, OrderBook] = {}
        self.live: dict[str, dict[str, OrderBook]] = {}
        self.indexes: dict[str, IndexState] = {}

    def set_rules(self, rules: Rules) -> None:
        """From here on these rules hold."""
        self.rules = rules
        self.market = market_of(rules)
        self.charges = fee_schedule_of(rules)

    def add(self, book: OrderBook) -> None:
        """List an instrument."""
        self.books[book.instrument_id] = book
        if book.state != "expired":
            self.live.setdefault(book.asset, {})[book.instrument_id] = book

    def evict_closed(self, book: OrderBook) -> None:
        """Nothing trades in this instrument any more."""
        book.state = "expired"
        del self.live[book.asset][book.instrument_id]

    @property
    def cash_room_micros(self) -> int:
        """How much more cash there can be: what all accounts but the insurance own stays a number of the wire."""
        insurance = self.accounts.get(INSURANCE)
        overdrawn = max(0, -insurance.cash_micros) if insurance is not None else 0
        return NUMBER_MAX - self.total_cash_micros - overdrawn

    def check(self) -> None:
        """Every invariant of the exchange; AssertionError names the one that is broken."""
        positions = dict.fromkeys(self.books, 0)
        open_orders = 0
        for user_id, account in self.accounts.items():
            assert account.user_id == user_id, "an account is filed under another's name"
            account.check(self.rules)
            open_orders += len(account.open_orders)
            for instrument_id, holding in account.positions.items():
                positions[instrument_id] += holding.position_milli
        assert all(quantity == 0 for quantity in positions.values()), "positions do not sum to zero"
        cash = sum(account.cash_micros for account in self.accounts.values())
        assert cash == self.total_cash_micros, "cash was created or lost"
        assert self.cash_room_micros >= 0, "there is more cash than there can be"
        resting = 0
        for instrument_id, book in self.books.items():
            assert book.instrument_id == instrument_id, "a book is filed under another instrument"
            book.check()
            is_live = instrument_id in self.live.get(book.asset, {})
            assert is_live == (book.state != "expired"), "the live instruments are not those that have not expired"
            resting += len(book.resting())
        assert resting == open_orders, "books and accounts disagree on what is open"
        numbers = [book.number for book in self.books.values()]
        assert numbers == list(range(len(numbers))), "listings are misnumbered"


class Changes:
    """What one command does: its events so far, and which accounts and holdings it touched, as they were before."""

    __slots__ = ("_balances", "_margins", "_positions", "events")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._balances: dict[str, tuple[Account, int, int, int]] = {}
        self._positions: dict[tuple[str, str], tuple[Position, int, int]] = {}
        self._margins: dict[tuple[str, str], tuple[Position, int]] = {}

    def track(self, account: Account) -> None:
        """Remember the account's cash and locks, before their first change."""
        if account.user_id not in self._balances:
            self._balances[account.user_id] = (
                account,
                account.cash_micros,
                account.locked_micros,
                account.maintenance_micros,
            )

    def track_position(self, account: Account, holding: Position) -> None:
        """Remember the account and one of its holdings, before their first change."""
        user_id = account.user_id
        if user_id not in self._balances:
            self.track(account)
        key = (user_id, holding.book.instrument_id)
        if key not in self._positions:
            _, collateral_micros = self._margins.pop(key, (holding, holding.collateral_micros))
            self._positions[key] = (holding, holding.position_milli, collateral_micros)

    def track_margin(self, account: Account, holding: Position) -> None:
        """Remember the account and the collateral of one of its holdings, which alone is to change."""
        self.track(account)
        key = (account.user_id, holding.book.instrument_id)
        if key not in self._positions:
            self._margins.setdefault(key, (holding, holding.collateral_micros))

    def track_for(self, account: Account, order: Order) -> None:
        """Remember what an order's coming, going or changing may change: cash and locks, and for an ask the holding."""
        if order.side == "bid":
            self.track(account)
        else:
            self.track_position(account, account.position(order.book))

    def take_events(self) -> list[Event]:
        """The events, completed by what came out different, in order of first touch: margins, positions, balances."""
        events = self.events
        margins: dict[str, dict[str, int]] = {}
        for (user_id, instrument_id), (holding, collateral_micros) in self._margins.items():
            if holding.collateral_micros != collateral_micros:
                margins.setdefault(user_id, {})[instrument_id] = holding.collateral_micros
        for user_id, locked_micros in margins.items():
            events += [MarginsChanged(user_id, part) for part in chunks(locked_micros)]
        for (user_id, instrument_id), (holding, position_milli, collateral_micros) in self._positions.items():
            if holding.position_milli != position_milli or holding.collateral_micros != collateral_micros:
                events.append(
                    PositionChanged(user_id, instrument_id, holding.position_milli, holding.collateral_micros)
                )
        for user_id, (account, cash, locked, maintenance) in self._balances.items():
            kept = account.maintenance_micros
            if account.cash_micros != cash or account.locked_micros != locked or kept != maintenance:
                events.append(BalanceChanged(user_id, account.cash_micros, account.locked_micros, kept or UNSET))
        return events


def chunks(by_instrument: dict[str, int]) -> Iterator[dict[str, int]]:
    """What one event may tell at a time, in the order given."""
    items = list(by_instrument.items())
    for start in range(0, len(items), INSTRUMENTS_MAX):
        yield dict(items[start : start + INSTRUMENTS_MAX])
