"""The whole state of the exchange, and the changes that one command makes in it."""

from collections.abc import Iterator

from msgspec import UNSET

from exchange.domain.events import (
    INSTRUMENTS_MAX,
    BalanceChanged,
    Event,
    MarginsChanged,
    OrderCancelled,
    PositionChanged,
    TriggerOrderEnded,
)
from exchange.domain.instruments import asset_of_expired
from exchange.domain.reasons import Reason
from exchange.domain.rules import (
    FAIR_MARKET_VERSION,
    FIRST_RULES_VERSION,
    Rules,
    liquidation_rules_of,
    market_of,
    settlement_rules_of,
)
from exchange.domain.units import NUMBER_MAX
from exchange.matching.accounts import INSURANCE, Account, Position
from exchange.matching.book import Order, OrderBook
from exchange.matching.fees import fee_schedule_of
from exchange.matching.index import IndexState
from exchange.matching.links import Links
from exchange.matching.trigger_orders import TriggerLists, TriggerOrder


class State:
    """Everything that decides the outcome of a command. A new state is empty; its first command is the genesis.

    `books` are those of all listed instruments, in order of listing. `live` holds the books that have not expired, by
    asset; it has every asset on which an instrument is listed, even if all have expired.
    `market` and `fee_schedule` are derived from the rules, and `has_fair_market` is true if they have a market and
    version 2 or later.
    """

    __slots__ = (
        "accounts",
        "books",
        "fee_schedule",
        "has_fair_market",
        "indexes",
        "is_halted",
        "links",
        "liquidation_rules",
        "live",
        "market",
        "next_number",
        "next_order_id",
        "next_trade_id",
        "now_us",
        "overdrawn",
        "rules",
        "rules_version",
        "settlement_rules",
        "total_cash_micros",
        "triggers",
    )

    def __init__(self, rules: Rules = Rules(), rules_version: int = FIRST_RULES_VERSION) -> None:
        self.set_rules(rules, rules_version)
        self.next_number = 0
        self.next_order_id = 1
        self.next_trade_id = 1
        # The time of the command that is carried out. It is no part of what the commands before left.
        self.now_us = 0
        self.total_cash_micros = 0
        self.overdrawn: dict[str, Account] = {}
        self.is_halted = False
        # None while no order waits for a price, so that a command pays for one test then.
        self.triggers: TriggerLists | None = None
        # None while no order is linked to another one, so that a match pays for one test then.
        self.links: Links | None = None
        self.accounts: dict[str, Account] = {}
        self.books: dict[str, OrderBook] = {}
        self.live: dict[str, dict[str, OrderBook]] = {}
        self.indexes: dict[str, IndexState] = {}

    def set_rules(self, rules: Rules, rules_version: int) -> None:
        """Replace the rules, and what is derived from them. Margins and locks do not change here."""
        self.rules = rules
        self.rules_version = rules_version
        self.market = market_of(rules)
        self.has_fair_market = self.market is not None and rules_version >= FAIR_MARKET_VERSION
        self.liquidation_rules = liquidation_rules_of(rules)
        self.settlement_rules = settlement_rules_of(rules)
        self.fee_schedule = fee_schedule_of(rules)

    def add(self, book: OrderBook) -> None:
        """Add an instrument."""
        self.books[book.instrument_id] = book
        self.next_number = book.number + 1
        live = self.live.setdefault(book.asset, {})
        if book.state != "expired":
            live[book.instrument_id] = book

    def expire(self, book: OrderBook) -> None:
        """Mark an instrument as expired."""
        book.state = "expired"
        del self.live[book.asset][book.instrument_id]

    def delist(self, books: list[OrderBook]) -> None:
        """Remove settled instruments."""
        for book in books:
            del self.books[book.instrument_id]
        assets = dict.fromkeys(book.asset for book in self.books.values())
        self.live = {asset: self.live[asset] for asset in assets}

    def is_delisted(self, instrument_id: str) -> bool:
        """True if the id names an option that is no longer listed, as far as the state can tell.

        Where series are delisted, the names of the past are not remembered: each option on a known asset whose
        expiration is over has expired, whether it was ever listed or not.
        """
        if self.settlement_rules.settled_kept_days is UNSET or instrument_id in self.books:
            return False
        asset = asset_of_expired(instrument_id, self.now_us)
        return asset is not None and (asset in self.live or asset in self.indexes)

    def knows(self, instrument_id: str) -> bool:
        """True if the instrument is listed, or was."""
        return instrument_id in self.books or self.is_delisted(instrument_id)

    def why_not_listed(self, instrument_id: str) -> Reason:
        """Return why no book has this id."""
        return Reason.INSTRUMENT_EXPIRED if self.is_delisted(instrument_id) else Reason.INSTRUMENT_NOT_FOUND

    @property
    def cash_room_micros(self) -> int:
        """How much more can be deposited until the accounts that owe no cash own NUMBER_MAX together."""
        insurance = self.accounts.get(INSURANCE)
        overdrawn = max(0, -insurance.cash_micros) if insurance is not None else 0
        overdrawn += sum(max(0, -account.cash_micros) for account in self.overdrawn.values())
        return NUMBER_MAX - self.total_cash_micros - overdrawn

    def note_overdrawn(self, account: Account) -> None:
        """Remember an account if it owes cash, and forget it if it no longer does."""
        if account.cash_micros < 0:
            self.overdrawn[account.user_id] = account
        else:
            self.overdrawn.pop(account.user_id, None)

    def dismantle(self) -> None:
        """Take the state apart when it is needed no more.

        Orders and books refer to each other. Without these circles, no garbage collection is needed to free the state.
        """
        for book in self.books.values():
            book.bids.clear()
            book.asks.clear()

    def check(self) -> None:
        """Check every invariant of the exchange; AssertionError names the broken one."""
        positions = dict.fromkeys(self.books, 0)
        open_orders = 0
        for user_id, account in self.accounts.items():
            assert account.user_id == user_id, "an account is filed under another name"
            account.check(self.rules, self.has_fair_market)
            account.check_triggers(self.rules.finished_orders_kept)
            account.check_quotes()
            open_orders += len(account.open_orders)
            for instrument_id, position in account.positions.items():
                positions[instrument_id] += position.position_milli
        assert all(quantity == 0 for quantity in positions.values()), "positions do not sum to zero"
        cash = sum(account.cash_micros for account in self.accounts.values())
        assert cash == self.total_cash_micros, "cash was created or lost"
        owing = [key for key, one in self.accounts.items() if one.cash_micros < 0 and key != INSURANCE]
        assert all(user_id in self.overdrawn for user_id in owing), "an account that owes cash is not noted"
        assert self.cash_room_micros >= 0, "there is more cash than the largest number"
        resting = 0
        for instrument_id, book in self.books.items():
            assert book.instrument_id == instrument_id, "a book is filed under another instrument"
            book.check()
            is_live = instrument_id in self.live.get(book.asset, {})
            assert is_live == (book.state != "expired"), "the live instruments are not those that have not expired"
            resting += len(book.resting())
        assert resting == open_orders, "books and accounts disagree on what is open"
        waiting = {id_: it for account in self.accounts.values() for id_, it in account.triggers.items()}
        assert (self.triggers is None) == (not waiting), "lists without trigger orders, or trigger orders without lists"
        if self.triggers is not None:
            assert self.triggers.orders == waiting, "lists and accounts disagree on trigger orders"
            due = sorted(order.rank for order in waiting.values() if order.shown_micros is not None)
            assert self.triggers.due == due, "the due orders are out of order"
            assert all(order.book.state != "expired" for order in waiting.values()), "an order waits in an expired book"
        self._check_links(waiting)
        for asset, index in self.indexes.items():
            expirations = [book.expiration_us for book in self.live.get(asset, {}).values()]
            wanted = sorted(dict.fromkeys(expirations)) if self.has_fair_market else []
            assert sorted(index.smiles) == wanted, "the smiles are not those of the live expirations"
        numbers = [book.number for book in self.books.values()]
        assert numbers == sorted(dict.fromkeys(numbers)), "listings are misnumbered"
        assert not numbers or numbers[-1] < self.next_number, "the number of the next listing is taken"
        assert list(self.live) == list(dict.fromkeys(book.asset for book in self.books.values())), (
            "the assets are not those of the listed instruments"
        )

    def _check_links(self, waiting: dict[int, TriggerOrder]) -> None:
        """Check every invariant of the links; `waiting` are the untriggered orders of all accounts, by id."""
        links = self.links
        secondaries = {order_id: it.primary_order_id for order_id, it in waiting.items() if it.primary_order_id}
        if links is None:
            assert not secondaries, "an order waits for no primary"
            return
        assert not links.are_none and not links.filled, "links are empty, or a fill has placed no secondary"
        for order_id, pair in links.pairs.items():
            assert order_id in (pair.first_id, pair.second_id) and pair.first_id != pair.second_id, "a pair is misfiled"
            assert links.pairs.get(pair.other(order_id)) is pair, "an order has lost the other one of its pair"
            account = self.accounts[pair.user_id]
            assert order_id in account.open_orders or order_id in account.triggers, "an order that ended is in a pair"
        placed: dict[int, int] = {}
        for order_id, primary in links.primaries.items():
            assert primary.order_id == order_id and primary.secondaries, "a primary is misfiled, or has no secondary"
            account = self.accounts[primary.user_id]
            assert order_id in account.open_orders or order_id in account.triggers, "a primary ended"
            for secondary_id, held_milli in primary.secondaries.items():
                placed[secondary_id] = order_id
                assert secondary_id in account.triggers, "a secondary does not wait"
                assert 0 <= held_milli < waiting[secondary_id].size_milli, "a fill has released all, and placed nothing"
        assert placed == secondaries, "secondaries and primaries disagree"


class Changes:
    """The changes of one command: its events so far, and the accounts and positions it changed, with their old values.

    Call a `track` method before the first change of an account or position. `take_events` compares old and new values.
    """

    __slots__ = ("_balances", "_margins", "_positions", "events")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._balances: dict[str, tuple[Account, int, int, int]] = {}
        self._positions: dict[tuple[str, str], tuple[Position, int, int]] = {}
        self._margins: dict[str, list[tuple[Position, int]]] = {}

    def count_ended(self) -> int:
        """Return the number of orders that were cancelled so far, those that ended with linked ones included."""
        return sum(1 for event in self.events if type(event) is OrderCancelled or type(event) is TriggerOrderEnded)

    def track(self, account: Account) -> None:
        """Note cash, lock and maintenance margin of the account."""
        if account.user_id not in self._balances:
            self._balances[account.user_id] = (
                account,
                account.cash_micros,
                account.locked_micros,
                account.maintenance_micros,
            )

    def track_position(self, account: Account, position: Position) -> None:
        """Note the account, and size and collateral of one of its positions."""
        user_id = account.user_id
        if user_id not in self._balances:
            self.track(account)
        key = (user_id, position.book.instrument_id)
        if key not in self._positions:
            collateral_micros = position.collateral_micros
            if user_id in self._margins:
                tracked = (old_micros for known, old_micros in self._margins[user_id] if known is position)
                collateral_micros = next(tracked, collateral_micros)
            self._positions[key] = (position, position.position_milli, collateral_micros)

    def track_margins(self, user_id: str, positions: list[Position]) -> None:
        """Note the collateral of the account's positions whose margins change without a trade. Once per account."""
        assert user_id not in self._margins, "the margins of an account are tracked twice"
        self._margins[user_id] = [(position, position.collateral_micros) for position in positions]

    def track_order(self, account: Account, order: Order) -> None:
        """Note the account of an order, and for an ask also its position."""
        if order.side == "bid":
            self.track(account)
        else:
            self.track_position(account, account.position(order.book))

    def take_events(self) -> list[Event]:
        """Return the events, completed by changed margins, positions and balances in order of tracking."""
        events = self.events
        positions = self._positions
        for user_id, tracked in self._margins.items():
            locked_micros = {
                position.book.instrument_id: position.collateral_micros
                for position, old_micros in tracked
                if position.collateral_micros != old_micros
                # A position that also traded has an event of its own.
                and not (positions and (user_id, position.book.instrument_id) in positions)
            }
            if locked_micros:
                events += [MarginsChanged(user_id, part) for part in chunks(locked_micros)]
        for (user_id, instrument_id), (position, position_milli, collateral_micros) in positions.items():
            if position.position_milli != position_milli or position.collateral_micros != collateral_micros:
                events.append(
                    PositionChanged(user_id, instrument_id, position.position_milli, position.collateral_micros)
                )
        for user_id, (account, cash, locked, maintenance) in self._balances.items():
            new = account.maintenance_micros
            if account.cash_micros != cash or account.locked_micros != locked or new != maintenance:
                events.append(BalanceChanged(user_id, account.cash_micros, account.locked_micros, new or UNSET))
        return events


def chunks(by_instrument: dict[str, int]) -> Iterator[dict[str, int]]:
    """Split into parts of at most INSTRUMENTS_MAX items, which one event can hold, in the given order."""
    items = list(by_instrument.items())
    for start in range(0, len(items), INSTRUMENTS_MAX):
        yield dict(items[start : start + INSTRUMENTS_MAX])
