"""Scenario tables: what a trader does, and what comes of it, line by line. The files are `tests/scenarios/*.txt`.

    === Of two bids, the higher one trades first.
    alice buys  1.000 @ 1.50    -> order 1 open
    bob   buys  1.000 @ 1.51    -> order 2 open
    carol sells 1.000 @ 1.50    -> trade 2 1.000 @ 1.51
    alice has 9998.50 available, 1.50 locked

A line with `===` begins a scenario, with a new exchange and a name. `#` begins a comment. Spaces do not matter.
Sizes are in contracts with three decimals, money in USDC with two to six. Whoever acts without having an account gets
one with 10000.00 USDC (but `nobody` never gets any). The clock stands at 2026-02-27 10:00:00 UTC and goes on by one
microsecond a command. Unless a scenario lists its own instruments, there is `C`: SOL_USDC-28FEB26-150-C, with a tick
of 0.01 and a smallest size of 0.001. A line that names no instrument means the one listed first.

What can be done (parts in brackets may be left out):

    rules: NAME VALUE, ...                 before anything else; names as in domain/rules.py
    list C = INSTRUMENT_ID tick 0.01 min 0.001
    clock 2026-02-28 07:59:59.999999       only forward; the next command comes at that time
    USER opens with 500.00
    USER deposits 5.00   USER withdraws 5.00
    USER buys|sells 1.000 @ 1.50 [gtc|day|ioc|fok] [post-only] [as KEY] [in C]     KEY: the client_order_id
    USER buys|sells 1.000 at market [ioc|fok] [as KEY] [in C]
    USER edits 7|KEY [to 2.000] [@ 1.60]   7: the order_id; to: the new total size
    USER cancels 7|KEY [in C]              USER cancels all [in C]
    USER turns cancel-on-disconnect on|off
    USER disconnects [, another connection stays]
    pause C   resume C
    the day ends                           the clock goes to the next 08:00 UTC, and EndDay is sent
    the server starts

What comes of it stands after `->`, separated by commas: all of it, in order, except balances and positions. Without
`->` the line may do anything but be refused.

    order 1 open                           accepted, nothing traded, all of it rests
    order 1 open 0.400 left                some of it traded, the rest rests
    trade 2 1.000 @ 1.51 [fees 0.01/0.02]  with resting order 2, at its price; maker's/taker's fee if there is any
                                           An order wholly filled is not mentioned again.
    order 1 edited to 2.000 @ 1.50, kept place    (or: lost place; then trades, then what is left if there were any)
    order 1 cancelled 0.400 user_request   what was taken back, and why
    order 1 repeated                       the same order came again under its client_order_id
    2 of alice cancelled                   the end of a mass cancellation
    C expired                              an instrument's new state
    refused 1002 insufficient_balance
    done                                   nothing of all that

What can be looked at:

    alice has 9998.50 available, 1.50 locked
    alice holds -1.000 [of C], 150.00 locked          contracts, and the collateral behind them and behind open asks
    book [C]: 3.000 @ 1.50 (1 2), 1.000 @ 1.40 (4) | none         bids | asks, best first, order_ids in turn
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from exchange.domain.commands import (
    CancelAll,
    CancelOrder,
    Command,
    CreateInstrument,
    Deposit,
    Disconnect,
    EditOrder,
    EndDay,
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
    AllCancelled,
    BalanceChanged,
    Event,
    InstrumentStateChanged,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    PositionChanged,
    Refused,
    Traded,
)
from exchange.domain.instruments import parse_instrument_id
from exchange.domain.reasons import REFUSALS
from exchange.domain.rules import Fees, Rules
from exchange.domain.units import next_day_end_us
from exchange.matching.apply import apply
from exchange.matching.book import BookSide
from exchange.matching.state import State

DEFAULT_CASH = "10000.00"
DEFAULT_INSTRUMENT = "list C = SOL_USDC-28FEB26-150-C tick 0.01 min 0.001"
DEFAULT_CLOCK = "2026-02-27 10:00:00"


class Line(NamedTuple):
    file: str
    number: int
    text: str


class Scenario(NamedTuple):
    name: str
    lines: list[Line]


class ScenarioError(AssertionError):
    """A line did not come true, or is not understood. The message is file, number, line, expected and got."""


def read_scenarios(path: Path) -> list[Scenario]:
    """The scenarios of a file, in order."""
    scenarios: list[Scenario] = []
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = " ".join(raw.split("#")[0].split())
        if text.startswith("==="):
            scenarios.append(Scenario(text.strip("= "), []))
        elif text:
            assert scenarios, f"{path.name}:{number}: a line before the first scenario"
            scenarios[-1].lines.append(Line(f"{path.parent.name}/{path.name}", number, text))
    return scenarios


def play(scenario: Scenario) -> None:
    """Play a scenario; raises ScenarioError at the first line that does not come true."""
    table = Table()
    for line in scenario.lines:
        where = f"\n{line.file}:{line.number}: {line.text}"
        left, arrow, expected = (part.strip() for part in line.text.partition("->"))
        try:
            expected_look, got = table.read(left)
            table.check()
        except Exception as error:
            raise ScenarioError(f"{where}\n  {type(error).__name__}: {error}") from error
        expected = expected_look if expected_look is not None else expected
        if (arrow or expected_look is not None) and got != expected:
            raise ScenarioError(f"{where}\n  expected: {expected}\n  got:      {got}")
        if not arrow and got.startswith("refused"):
            raise ScenarioError(f"{where}\n  expected: anything but a refusal\n  got:      {got}")


def micros(text: str) -> int:
    whole, _, decimals = text.lstrip("-").partition(".")
    return int(whole + decimals.ljust(6, "0")) * (-1 if text.startswith("-") else 1)


def milli(text: str) -> int:
    return micros(text) // 1_000


def money(amount_micros: int) -> str:
    """Two decimals, or as many as needed."""
    sign, amount = ("-" if amount_micros < 0 else ""), abs(amount_micros)
    whole, decimals = divmod(amount, 1_000_000)
    return f"{sign}{whole}.{f'{decimals:06d}'.rstrip('0').ljust(2, '0')}"


def contracts(size_milli: int) -> str:
    whole, decimals = divmod(abs(size_milli), 1_000)
    return f"{'-' if size_milli < 0 else ''}{whole}.{decimals:03d}"


class Table:
    """The exchange of one scenario, with the names its lines use, and the balances that the events told."""

    def __init__(self) -> None:
        self.state = State()
        self.founded = False
        self.ts_us = clock_us(DEFAULT_CLOCK)
        self.ids: dict[str, str] = {}  # instrument ids, by the name a line uses
        self.names: dict[str, str] = {}  # and back
        self.told_balances: dict[str, tuple[int, int]] = {}
        self.told_positions: dict[tuple[str, str], tuple[int, int]] = {}

    def read(self, text: str) -> tuple[str | None, str]:
        """Do what a line says: what it expects, if it is one that looks at something, and what there is."""
        for pattern, handler in LOOKS:
            if match := pattern.fullmatch(text):
                self.settle_in(match.groupdict())
                return text.partition(": ")[2] if text.startswith("book") else text, handler(self, match.groupdict())
        for pattern, action in ACTIONS:
            if match := pattern.fullmatch(text):
                groups = match.groupdict()
                if not text.startswith(("rules:", "list ", "clock ")):
                    self.settle_in(groups, opening="opens" in text)
                command = action(self, groups)
                return None, "done" if command is None else self.outcome(self.send(command))
        raise ValueError("the line is not understood; the grammar stands at the top of tests/scenario.py")

    def check(self) -> None:
        """Every invariant of the state, and that events alone tell every balance and position."""
        self.state.check()
        for user_id, account in self.state.accounts.items():
            told = self.told_balances.get(user_id, (0, 0))
            assert told == (account.cash_micros, account.locked_micros), (
                f"events told {user_id} another balance: {told}"
            )
            for instrument_id, holding in account.holdings.items():
                told = self.told_positions.get((user_id, instrument_id), (0, 0))
                has = holding.position_milli, holding.collateral_micros
                assert told == has, f"events told {user_id} another position: {told} is {has}"

    def send(self, command: Command) -> list[Event]:
        if not self.founded:
            self.founded = True
            if not isinstance(command, Genesis):
                self.send(Genesis())
        self.ts_us += 1
        events = apply(self.state, self.ts_us, command)
        for event in events:
            match event:
                case BalanceChanged():
                    self.told_balances[event.user_id] = (event.cash_micros, event.locked_micros)
                case PositionChanged():
                    key = event.user_id, event.instrument_id
                    self.told_positions[key] = (event.quantity_milli, event.locked_micros)
        return events

    def settle_in(self, groups: dict[str, Any], opening: bool = False) -> None:
        """Before the first deed: an instrument, if none is listed. Before a user's first: an account."""
        if not self.ids:
            self.read(DEFAULT_INSTRUMENT)
        user = groups.get("user")
        if user is not None and user != "nobody" and not opening and user not in self.state.accounts:
            self.send(OpenAccount(user, micros(DEFAULT_CASH)))

    def instrument_id(self, name: str | None) -> str:
        if name is None:
            return next(iter(self.ids.values()))
        return self.ids.get(name, name)

    # Looking

    def balance(self, groups: dict[str, Any]) -> str:
        account = self.state.accounts[groups["user"]]
        available, locked = money(account.available_micros), money(account.locked_micros)
        return f"{groups['user']} has {available} available, {locked} locked"

    def holds(self, groups: dict[str, Any]) -> str:
        holding = self.state.accounts[groups["user"]].holdings.get(self.instrument_id(groups["name"]))
        position, locked = (holding.position_milli, holding.collateral_micros) if holding else (0, 0)
        of = f" of {groups['name']}" if groups["name"] else ""
        return f"{groups['user']} holds {contracts(position)}{of}, {money(locked)} locked"

    def book(self, groups: dict[str, Any]) -> str:
        def levels(side: BookSide) -> str:
            return ", ".join(
                f"{contracts(sum(order.remaining_milli for order in level))} @ {money(level.price_micros)}"
                f" ({' '.join(str(order.order_id) for order in level)})"
                for level in side
            )

        book = self.state.books[self.instrument_id(groups["name"])]
        return f"{levels(book.bids) or 'none'} | {levels(book.asks) or 'none'}"

    # Doing

    def rules(self, groups: dict[str, Any]) -> Command:
        assert not self.founded, "rules come before anything else"
        values = dict(pair.strip().split(" ", 1) for pair in groups["pairs"].split(","))
        fees = {name: int(values.pop(name)) for name in list(values) if name in Fees.__struct_fields__}
        typed = {name: int(value) if value.isdigit() else value for name, value in values.items()}
        return Genesis(msgspec.convert({**typed, "fees": fees}, Rules))

    def list_instrument(self, groups: dict[str, Any]) -> Command:
        self.ids[groups["name"]] = parse_instrument_id(groups["id"]).instrument_id
        self.names[self.ids[groups["name"]]] = groups["name"]
        return CreateInstrument(groups["id"], micros(groups["tick"]), milli(groups["size"]))

    def set_clock(self, groups: dict[str, Any]) -> None:
        ts_us = clock_us(groups["clock"])
        assert ts_us > self.ts_us, "time goes forward only"
        self.ts_us = ts_us - 1  # the next command comes at that very microsecond

    def place(self, groups: dict[str, Any]) -> Command:
        price = groups["price"]
        return PlaceOrder(
            user_id=groups["user"],
            instrument_id=self.instrument_id(groups["name"]),
            side="bid" if groups["deal"] == "buys" else "ask",
            type="market" if price is None else "limit",
            time_in_force=groups["in_force"] or ("ioc" if price is None else "gtc"),
            price_micros=None if price is None else micros(price),
            size_milli=milli(groups["size"]),
            post_only=groups["post_only"] is not None,
            client_order_id=groups["key"],
        )

    def edit(self, groups: dict[str, Any]) -> Command:
        price, size = groups["price"], groups["size"]
        return EditOrder(
            groups["user"],
            **order_name(groups["order"]),
            price_micros=None if price is None else micros(price),
            size_milli=None if size is None else milli(size),
        )

    def cancel(self, groups: dict[str, Any]) -> Command:
        instrument_id = None if groups["name"] is None else self.instrument_id(groups["name"])
        if groups["order"] == "all":
            return CancelAll(groups["user"], instrument_id)
        return CancelOrder(groups["user"], **order_name(groups["order"]), instrument_id=instrument_id)

    def pause_or_resume(self, groups: dict[str, Any]) -> Command:
        instrument_id = self.instrument_id(groups["name"])
        return PauseInstrument(instrument_id) if groups["switch"] == "pause" else ResumeInstrument(instrument_id)

    def end_day(self, groups: dict[str, Any]) -> Command:
        day_end_us = next_day_end_us(self.ts_us)
        self.ts_us = day_end_us - 1
        return EndDay(day_end_us)

    # What came of it

    def outcome(self, events: list[Event]) -> str:
        """The events in the words of the grammar."""
        words: list[str] = []
        subject, size, left = 0, 0, 0  # the order that the command is about
        for event in events:
            match event:
                case OrderAccepted():
                    subject, size, left = event.order_id, event.size_milli, event.size_milli
                case OrderEdited():
                    subject, size, left = event.order_id, event.remaining_milli, event.remaining_milli
                    terms = f"{contracts(event.size_milli)} @ {money(event.price_micros)}"
                    words.append(f"order {subject} edited to {terms}, {'kept' if event.kept_place else 'lost'} place")
                case Traded():
                    left = event.taker_remaining_milli
                    fees = f"{money(event.maker_fee_micros)}/{money(event.taker_fee_micros)}"
                    trade = f"trade {event.maker_order_id} {contracts(event.size_milli)} @ {money(event.price_micros)}"
                    words.append(trade if fees == "0.00/0.00" else f"{trade} fees {fees}")
                case OrderCancelled():
                    left = 0 if event.order_id == subject else left
                    words.append(f"order {event.order_id} cancelled {contracts(event.remaining_milli)} {event.reason}")
                case OrderRepeated():
                    words.append(f"order {event.order_id} repeated")
                case AllCancelled():
                    words.append(f"{event.count} of {event.user_id} cancelled")
                case InstrumentStateChanged():
                    words.append(f"{self.names[event.instrument_id]} {event.state}")
                case Refused():
                    words.append(f"refused {REFUSALS[event.reason].code} {event.reason}")
        if left and left < size:
            words.append(f"order {subject} open {contracts(left)} left")
        elif left and isinstance(events[0], OrderAccepted):
            words.append(f"order {subject} open")
        return ", ".join(words) or "done"


def clock_us(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


def order_name(text: str) -> dict[str, Any]:
    return {"order_id": int(text)} if text.isdigit() else {"client_order_id": text}


def _pattern(text: str) -> re.Pattern[str]:
    """A line of the grammar: `<user>` and the like stand for what may be there."""
    parts = {
        "user": r"[a-z]+",
        "deal": r"buys|sells",
        "name": r"[\w-]+",
        "key": r"[\w-]+",
        "order": r"[\w-]+",
        "size": r"-?\d+\.\d{3}",
        "price": r"-?\d+\.\d{2,6}",
        "cash": r"-?\d+\.\d{2,6}",
        "tick": r"\d+\.\d{2,6}",
        "clock": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{6})?",
        "id": r"[A-Z0-9_-]+",
        "in_force": r"gtc|day|ioc|fok",
        "post_only": r"post-only",
        "enabled": r"on|off",
        "switch": r"pause|resume",
        "pairs": r".*",
        "stays": r", another connection stays",
        "rest": r".*",
    }
    return re.compile(re.sub(r"<(\w+)>", lambda match: f"(?P<{match[1]}>{parts[match[1]]})", text))


LOOKS: list[tuple[re.Pattern[str], Callable[[Table, dict[str, Any]], str]]] = [
    (_pattern(r"<user> has <rest>"), Table.balance),
    (_pattern(r"<user> holds -?[\d.]+(?: of <name>)?, <rest>"), Table.holds),
    (_pattern(r"book(?: <name>)?: <rest>"), Table.book),
]

_TAIL = r"(?: <post_only>)?(?: as <key>)?(?: in <name>)?"
ACTIONS: list[tuple[re.Pattern[str], Callable[[Table, dict[str, Any]], Command | None]]] = [
    (_pattern(r"rules: <pairs>"), Table.rules),
    (_pattern(r"list <name> = <id> tick <tick> min <size>"), Table.list_instrument),
    (_pattern(r"clock <clock>"), Table.set_clock),
    (_pattern(r"<user> opens with <cash>"), lambda _, g: OpenAccount(g["user"], micros(g["cash"]))),
    (_pattern(r"<user> deposits <cash>"), lambda _, g: Deposit(g["user"], micros(g["cash"]))),
    (_pattern(r"<user> withdraws <cash>"), lambda _, g: Withdraw(g["user"], micros(g["cash"]))),
    (_pattern(rf"<user> <deal> <size> (?:@ <price>|at market)(?: <in_force>)?{_TAIL}"), Table.place),
    (_pattern(r"<user> edits <order>(?: to <size>)?(?: @ <price>)?"), Table.edit),
    (_pattern(r"<user> cancels <order>(?: in <name>)?"), Table.cancel),
    (
        _pattern(r"<user> turns cancel-on-disconnect <enabled>"),
        lambda _, g: SetCancelOnDisconnect(g["user"], enabled=g["enabled"] == "on"),
    ),
    (
        _pattern(r"<user> disconnects(?: ?<stays>)?"),
        lambda _, g: Disconnect(g["user"], still_enabled=g["stays"] is not None),
    ),
    (_pattern(r"<switch> <name>"), Table.pause_or_resume),
    (_pattern(r"the day ends"), Table.end_day),
    (_pattern(r"the server starts"), lambda _, g: StartSession("test")),
]
