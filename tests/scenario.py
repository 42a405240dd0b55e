"""Scenario tables: actions of traders and their effects, line by line. The files are `tests/scenarios/*.txt`.

    === Of two bids, the higher one trades first.
    alice buys  1.000 @ 1.50    -> order 1 open
    bob   buys  1.000 @ 1.51    -> order 2 open
    carol sells 1.000 @ 1.50    -> trade 2 1.000 @ 1.51
    alice has 9998.50 available, 1.50 locked

A line with `===` begins a scenario, with a new exchange and a name. `#` begins a comment. Spaces do not matter.
Sizes are in contracts with three decimals, money in USDC with two to six. A user who acts without an account gets
one with 10000.00 USDC (but `nobody` never gets any). The clock starts at 2026-02-27 10:00:00 UTC and advances by one
microsecond per command. Unless a scenario lists its own instruments, there is `C`: SOL_USDC-28FEB26-150-C, with a tick
of 0.01 and a smallest size of 0.001. A line that names no instrument means the one listed first.

Actions (parts in brackets are optional):

    rules: NAME VALUE, ...                 first; names as in domain/rules.py; those of a market add one
    rules: market yes, index_fees deribit  a market with its defaults; a profile of its fees
    rules: version 2, market yes           the version of the rules; 1 if it is not named
    rules: version 2, market yes, band none    without a band around the mark
    series SOL every 10 USDC, 1 each side, 1 dailies, 0 weeklies, 0 monthlies [, min 0.001]
                                           before the rules to which it belongs
    the rules change: NAME VALUE, ...      all of them, as above
    list C = INSTRUMENT_ID tick 0.01 min 0.001
    name D = INSTRUMENT_ID                 the name of an automatically listed instrument
    clock 2026-02-28 07:59:59.999999       only forward; the next command has that time
    USER opens with 500.00
    USER deposits 5.00   USER withdraws 5.00
    USER buys|sells 1.000 @ 1.50 [gtc|day|ioc|fok] [post-only [or near]] [reduce-only] [showing 0.500] [as KEY]
        [labelled L] [in C]                KEY: the client_order_id
    USER buys|sells 1.000 at best [...]    a market_limit order
    USER buys|sells 1.000 at market [ioc|fok] [reduce-only] [as KEY] [labelled L] [in C]
    USER edits 7|KEY [to 2.000] [@ 1.60]   7: the order_id; to: the new total size
    USER cancels 7|KEY [in C]              USER cancels all [in C]
    USER stop-buys|stop-sells|take-buys|take-sells 1.000 [@ 1.50] when last|mark|index is 1.60 [gtc ...] [in C]
                                           a trigger order: at market, or with a limit; what follows is as above
    USER trail-buys|trail-sells 1.000 by 0.20 from last|mark|index [ioc|fok] [in C]
    USER moves 7 to 1.70                   USER moves 7 by 0.30     another trigger price, or offset
    USER links oco|oto|otoco [complete_fill|incremental]: buys 1.000 @ 1.50; stop-sells 1.000 when last is 1.40
                                           linked orders in one command; the first is the primary
    the triggers continue
    USER sets group G on SOL: 10 s, frozen 5 s [, quantity 3.000] [, delta 0.500] [, vega 2.50]
    USER removes group G on SOL            USER resets group G
    USER quotes in G: C 1.000 @ 1.50 / 1.000 @ 1.60 [set S]; D - / 0.500 @ 2.00 post-only
                                           bid / ask; -: not named, 0: cancelled, same @ 1.50: its size stays
    USER cancels quotes [in C] [of group G] [of set S] [with deltas 0.20 to 0.40]
    99 times LINE                          the effects are those of the last time
    USER edits the order labelled L [in C] [to 2.000] [@ 1.60]
    USER cancels the order labelled L [in C]
    USER cancels all [calls|puts] [on SOL] [labelled L]
    USER turns cancel-on-disconnect on|off
    USER disconnects [, another connection stays]
    over connection 7: LINE                of a connection that has cancel-on-disconnect for its own orders: it places
                                           orders, quotes, turns it on or off, or disconnects
    pause C   resume C
    pause|resume all [of SOL] [expiring 28FEB26]
    halt   end the halt
    suspend USER   reinstate USER
    reset USER
    limit USER [to 2 orders] [to 3.000 contracts]
    the administrator cancels all of USER [in C]
    index SOL 150.00 [forced]
    the day ends [before the server starts]    the clock advances to the next 08:00 UTC, and EndDay follows
    settle SOL 28FEB26 at 151.00
    the server starts   the server ends

The effects follow `->`, separated by commas: all of them, in order, except balances and positions. Without
`->` a line may have any effect but a refusal.

    order 1 open                           accepted, no trade, the whole order rests
    order 1 open 0.400 left                a part traded, the remainder rests
    trade 2 1.000 @ 1.51 [fees 0.01/0.02]  with resting order 2, at its price; maker's/taker's fee if there is any
                                           A completely filled order is not mentioned again.
    order 1 edited to 2.000 @ 1.50, kept place    (or: lost place; then trades, then the remainder)
    order 1 cancelled 0.400 user_request   the cancelled remainder, and the reason
    order 1 waits                          a trigger order was placed
    orders 1 2 linked                      then the effects of each
    order 2 waits for order 1              it is placed, or waits for its price, after fills of order 1
    order 2 waits for its price            from now on: a fill of its primary was enough
    order 3 split from 2                   the part of a waiting order that a fill released
    order 2 shrinks to 0.500               because of its link, or because it only reduces a position
    order 1 waits for 1.70                 it was edited; of a trailing stop: waits 0.30 behind
    order 1 triggered at 1.60              the price that met it; what follows is the order that it placed
    order 2 placed by 1                    then effects as with any other
    order 1 rejected at 1.60 insufficient_balance    the order that it placed was refused
    order 1 untriggered user_request       it was cancelled before a price met it
    bid of C refused 1036 mmp_frozen       one side of a quote
    2 set, 1 unchanged                     sides, at the end of a mass quote
    G reaches quantity 3.000, frozen until 10:00:05 | until it is reset
    2 due                                  trigger orders that waited before the command continued
    order 1 repeated                       the same order was sent again under its client_order_id
    2 of alice cancelled                   the end of a mass cancellation
    C expired                              an instrument's new state
    refused 1002 insufficient_balance
    C marked 5.50                          only instruments that have a name
    6 listed                               automatically
    liquidation of bob, 12.00 of 16.75     cash, and the maintenance margin
    order 7 buys back 1.000 of C @ 5.80    an order of the exchange; then effects as with any other
    SOL 28FEB26 delivered at 151.00
    SOL 28FEB26 waits                      the settlement is delayed
    bob settles -2.000 of C for -4.00 [fee 0.01]   the position, and its payout
    insurance pays 3.00 for bob
    order 7 sells off 1.000 of C @ 5.80    an order of the exchange, too
    bob pays insurance 0.24                a liquidation fee
    insurance takes over -1.000 of C @ 5.80 from bob
    cancel only                            the market begins to reopen
    SOL post-only until 10:00:30           the next phase, and its end
    bob is reset with 3.00                 the cash that was paid in
    bob repays 3.00                        of his debt to the insurance
    bob bears 3.00 of 5.00                 his share of the losses of a settlement, and what he won
    2 paused   2 resumed   halted   not halted   bob suspended   bob reinstated
    done                                   no other effect

Questions:

    alice has 9998.50 available, 1.50 locked [, 1.00 maintenance]
    alice's shortfall is 3.00
    mark [C]: 5.50 | none
    options on SOL: 28FEB26 140 150 160, 6MAR26 150        strikes with a live call and put, by expiration
    alice holds -1.000 [of C], 150.00 locked          contracts, and the collateral of position and open asks
    book [C]: 3.000 @ 1.50 (1 2), 1.000 @ 1.40 (4) | none         bids | asks, best first, order_ids in queue order
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
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
    Genesis,
    InstrumentQuote,
    MassQuote,
    OpenAccount,
    PauseInstrument,
    PauseSeries,
    PlaceLinkedOrders,
    PlaceOrder,
    PlaceTriggerOrder,
    QuoteSide,
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
from exchange.domain.enums import OptionType, OrderType
from exchange.domain.events import (
    AccountReset,
    AllCancelled,
    BalanceChanged,
    DebtRepaid,
    DeliveryPriceSet,
    Event,
    HaltSet,
    InstrumentCreated,
    InstrumentStateChanged,
    LinkedOrdersPlaced,
    LiquidationFeeCharged,
    LiquidationStarted,
    LossShared,
    MarginsChanged,
    MarketReopening,
    MarksSet,
    MassQuoted,
    MmpTriggered,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    PositionChanged,
    PositionSettled,
    PositionTakenOver,
    PostOnlyBegan,
    QuoteRefused,
    Refused,
    SeriesDelisted,
    SeriesPaused,
    SeriesResumed,
    SettlementDelayed,
    ShortfallCovered,
    SuspensionSet,
    Traded,
    TriggerOrderActivated,
    TriggerOrderEdited,
    TriggerOrderEnded,
    TriggerOrderPlaced,
    TriggersContinued,
)
from exchange.domain.instruments import instrument_id_of, parse_instrument_id
from exchange.domain.reasons import REFUSALS
from exchange.domain.rules import (
    FEE_PROFILES,
    Fees,
    IndexFees,
    LiquidationRules,
    Market,
    Rules,
    Series,
    SettlementRules,
)
from exchange.domain.units import next_day_end_us
from exchange.matching.apply import apply
from exchange.matching.book import BookSide
from exchange.matching.state import State

OCO, OTO, OTOCO = "one_cancels_other", "one_triggers_other", "one_triggers_one_cancels_other"
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
    """A line does not hold, or cannot be parsed. The message is file, number, line, expected and got."""


def read_scenarios(path: Path) -> list[Scenario]:
    """Return the scenarios of a file, in order."""
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
    """Run a scenario. Raises ScenarioError at the first line that does not hold."""
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
    """Format money with two decimals, or as many as needed."""
    sign, amount = ("-" if amount_micros < 0 else ""), abs(amount_micros)
    whole, decimals = divmod(amount, 1_000_000)
    return f"{sign}{whole}.{f'{decimals:06d}'.rstrip('0').ljust(2, '0')}"


def contracts(size_milli: int) -> str:
    whole, decimals = divmod(abs(size_milli), 1_000)
    return f"{'-' if size_milli < 0 else ''}{whole}.{decimals:03d}"


class Table:
    """The exchange of one scenario, with the names in its lines, and the balances and positions by its events."""

    def __init__(self) -> None:
        self.state = State()
        self.founded = False
        self.ts_us = clock_us(DEFAULT_CLOCK)
        self.connection = 0
        self.ids: dict[str, str] = {}  # instrument ids, by the name a line uses
        self.names: dict[str, str] = {}  # and back
        self.series: list[Series] = []  # of the rules that come next
        self.told_balances: dict[str, tuple[int, int, int]] = {}
        self.told_positions: dict[tuple[str, str], tuple[int, int]] = {}

    def read(self, text: str) -> tuple[str | None, str]:
        """Carry out a line. Return the expected and the actual text of a question or of effects."""
        if match := re.fullmatch(r"(\d+) times (.*)", text):
            return [self.read(match[2]) for _ in range(int(match[1]))][-1]
        if match := re.fullmatch(r"over connection (\d+): (.*)", text):
            self.connection = int(match[1])
            try:
                return self.read(match[2])
            finally:
                self.connection = 0
        if match := re.fullmatch(r"([a-z]+) links (oco|oto|otoco)(?: (complete_fill|incremental))?: (.*)", text):
            return None, self.outcome(self.send(self.linked(*match.groups())))
        for pattern, handler in LOOKS:
            if match := pattern.fullmatch(text):
                self.settle_in(match.groupdict())
                looks_after_colon = text.startswith(("book", "mark", "options", "prices"))
                return text.partition(": ")[2] if looks_after_colon else text, handler(self, match.groupdict())
        for pattern, action in ACTIONS:
            if match := pattern.fullmatch(text):
                groups = match.groupdict()
                if not text.startswith(("rules:", "series ", "list ", "name ", "clock ")):
                    self.settle_in(groups, opening="opens" in text)
                command = action(self, groups)
                return None, "done" if command is None else self.outcome(self.send(command))
        raise ValueError("the line is not understood; the grammar stands at the top of tests/scenario.py")

    def check(self) -> None:
        """Check every invariant of the state, and that the events alone lead to every balance and position."""
        self.state.check()
        for user_id, account in self.state.accounts.items():
            balance = account.cash_micros, account.locked_micros, account.maintenance_micros
            told = self.told_balances.get(user_id, (0, 0, 0))
            assert told == balance, f"events told {user_id} another balance: {told} is {balance}"
            for instrument_id in self.state.books:
                account_position = account.positions.get(instrument_id)
                has = (
                    (account_position.position_milli, account_position.collateral_micros)
                    if account_position
                    else (0, 0)
                )
                told_here = self.told_positions.get((user_id, instrument_id), (0, 0))
                assert told_here == has, f"events told {user_id} another position: {told_here} is {has}"

    def send(self, command: Command) -> list[Event]:
        if not self.founded:
            self.founded = True
            if not isinstance(command, Genesis):
                self.send(Genesis())
        self.ts_us += 1
        if self.connection:
            command = of_connection(command, self.connection)
        events = apply(self.state, self.ts_us, command)
        for event in events:
            match event:
                case BalanceChanged():
                    maintenance = event.maintenance_micros if isinstance(event.maintenance_micros, int) else 0
                    self.told_balances[event.user_id] = (event.cash_micros, event.locked_micros, maintenance)
                case MarginsChanged():
                    for instrument_id, locked_micros in event.locked_micros.items():
                        quantity_milli, _ = self.told_positions[event.user_id, instrument_id]
                        self.told_positions[event.user_id, instrument_id] = (quantity_milli, locked_micros)
                case PositionChanged():
                    key = event.user_id, event.instrument_id
                    self.told_positions[key] = (event.quantity_milli, event.locked_micros)
        return events

    def settle_in(self, groups: dict[str, Any], opening: bool = False) -> None:
        """Before the first action, list an instrument if there is none. Before a user's first, open an account."""
        if not self.ids and not self.state.books and "SOL" not in self.asset_rules():
            self.read(DEFAULT_INSTRUMENT)
        user = groups.get("user")
        if user is not None and user != "nobody" and not opening and user not in self.state.accounts:
            self.send(OpenAccount(user, micros(DEFAULT_CASH)))

    def asset_rules(self) -> list[str]:
        """Return the assets whose options are listed automatically."""
        return [series.asset for series in (self.state.market.series if self.state.market else self.series)]

    def instrument_id(self, name: str | None) -> str:
        if name is None:
            return next(iter(self.ids.values()))
        return self.ids.get(name, name)

    # Questions

    def balance(self, groups: dict[str, Any]) -> str:
        account = self.state.accounts[groups["user"]]
        available, locked = money(account.available_micros), money(account.locked_micros)
        maintenance = f", {money(account.maintenance_micros)} maintenance" if account.maintenance_micros else ""
        return f"{groups['user']} has {available} available, {locked} locked{maintenance}"

    def shortfall(self, groups: dict[str, Any]) -> str:
        return f"{groups['user']}'s shortfall is {money(self.state.accounts[groups['user']].shortfall_micros)}"

    def mark(self, groups: dict[str, Any]) -> str:
        mark = self.state.books[self.instrument_id(groups["name"])].mark_micros
        return "none" if mark is None else money(mark)

    def options(self, groups: dict[str, Any]) -> str:
        live = self.state.live.get(groups["asset"], {})
        strikes: dict[str, list[int]] = {}
        for book in sorted(live.values(), key=lambda book: (book.expiration_us, book.strike_micros)):
            strike = book.strike_micros // 1_000_000
            if book.is_call and instrument_id_of(book.asset, book.expiration_us // 1_000_000, strike, "put") in live:
                strikes.setdefault(day_of(book.expiration_us), []).append(strike)
        return ", ".join(f"{day} {' '.join(map(str, each))}" for day, each in strikes.items()) or "none"

    def band(self, groups: dict[str, Any]) -> str:
        band = self.state.books[self.instrument_id(groups["name"])].band
        return "any" if band is None else f"{money(band[0])} to {money(band[1])}"

    def holds(self, groups: dict[str, Any]) -> str:
        account_position = self.state.accounts[groups["user"]].positions.get(self.instrument_id(groups["name"]))
        position, locked = (
            (account_position.position_milli, account_position.collateral_micros) if account_position else (0, 0)
        )
        of = f" of {groups['name']}" if groups["name"] else ""
        return f"{groups['user']} holds {contracts(position)}{of}, {money(locked)} locked"

    def book(self, groups: dict[str, Any]) -> str:
        def levels(side: BookSide) -> str:
            return ", ".join(
                f"{contracts(sum(order.visible_milli for order in level))} @ {money(level.price_micros)}"
                f" ({' '.join(str(order.order_id) for order in level)})"
                for level in side
            )

        book = self.state.books[self.instrument_id(groups["name"])]
        return f"{levels(book.bids) or 'none'} | {levels(book.asks) or 'none'}"

    # Actions

    def rules(self, groups: dict[str, Any]) -> Command:
        assert not self.founded, "rules come before anything else"
        pairs = dict(pair.strip().split(" ", 1) for pair in groups["pairs"].split(","))
        version = int(pairs.pop("version", "1"))
        return Genesis(self.rules_of(", ".join(f"{name} {value}" for name, value in pairs.items())), version)

    def rules_of(self, pairs: str) -> Rules:
        """Return the rules of a line, with the series of the lines before it."""
        values = dict(pair.strip().split(" ", 1) for pair in pairs.split(",")) if pairs else {}
        profile, has_market = values.pop("index_fees", "none"), values.pop("market", None) == "yes"
        typed: dict[str, Any] = {
            name: int(value) if value.lstrip("-").isdigit() else value for name, value in values.items()
        }
        parts: dict[type, dict[str, Any]] = {
            part: {name: typed.pop(name) for name in list(typed) if name in part.__struct_fields__}
            for part in (Fees, IndexFees, LiquidationRules, SettlementRules, Market)
        }
        market = {**parts[Market], "fees": {**msgspec.to_builtins(FEE_PROFILES[profile]), **parts[IndexFees]}}
        for name, part in (("liquidation", LiquidationRules), ("settlement", SettlementRules)):
            if parts[part]:
                market[name] = parts[part]
        if market.get("band") == "none":
            market["band"] = None
        series, self.series = self.series, []
        if series or has_market or any(parts[part] for part in parts if part is not Fees) or profile != "none":
            typed["market"] = {**market, "series": msgspec.to_builtins(series)}
        return msgspec.convert({**typed, "fees": parts[Fees]}, Rules)

    def add_series(self, groups: dict[str, Any]) -> None:
        counts = {name: int(groups[name]) for name in ("spacing", "each_side", "dailies", "weeklies", "monthlies")}
        series = Series(
            groups["asset"],
            counts["spacing"],
            counts["each_side"],
            min_size_milli=milli(groups["size"]) if groups["size"] else 100,
            dailies=counts["dailies"],
            weeklies=counts["weeklies"],
            monthlies=counts["monthlies"],
        )
        self.series.append(series)

    def set_name(self, groups: dict[str, Any]) -> None:
        self.ids[groups["name"]] = groups["id"]
        self.names[groups["id"]] = groups["name"]

    def list_instrument(self, groups: dict[str, Any]) -> Command:
        self.set_name({**groups, "id": parse_instrument_id(groups["id"]).instrument_id})
        decimal = True if "d" in groups["id"] else UNSET
        return CreateInstrument(groups["id"], micros(groups["tick"]), milli(groups["size"]), decimal)

    def set_clock(self, groups: dict[str, Any]) -> None:
        ts_us = clock_us(groups["clock"])
        assert ts_us > self.ts_us, "time goes forward only"
        self.ts_us = ts_us - 1  # the next command comes at that very microsecond

    def until(self, groups: dict[str, Any]) -> int | UnsetType:
        """The time until which a command is valid, on the day of the clock."""
        if groups["until"] is None:
            return UNSET
        day = datetime.fromtimestamp(self.ts_us // 1_000_000, UTC).date()
        return clock_us(f"{day} {groups['until']}")

    def place(self, groups: dict[str, Any]) -> Command:
        price = groups["price"]
        at_market: OrderType = "market_limit" if groups["best"] is not None else "market"
        kind: OrderType = at_market if price is None else "limit"
        return PlaceOrder(
            user_id=groups["user"],
            instrument_id=self.instrument_id(groups["name"]),
            side="bid" if groups["deal"] == "buys" else "ask",
            type=kind,
            time_in_force=groups["in_force"] or ("ioc" if kind == "market" else "gtc"),
            price_micros=None if price is None else micros(price),
            size_milli=milli(groups["size"]),
            post_only=groups["post_only"] is not None,
            client_order_id=groups["key"],
            reduce_only=True if groups["reduce_only"] is not None else UNSET,
            label=groups["label"] or UNSET,
            reprices=True if groups["reprices"] is not None else UNSET,
            display_milli=UNSET if groups["display"] is None else milli(groups["display"]),
            valid_until_us=self.until(groups),
        )

    def place_trigger(self, groups: dict[str, Any]) -> Command:
        verb, _, deal = groups["trigger_deal"].partition("-")
        price, level, offset = (groups.get(name) for name in ("price", "level", "offset"))
        kind = "trailing_stop" if verb == "trail" else f"{verb}_{'market' if price is None else 'limit'}"
        return msgspec.convert(
            {
                "kind": "place_trigger_order",
                "user_id": groups["user"],
                "instrument_id": self.instrument_id(groups["name"]),
                "side": "bid" if deal == "buys" else "ask",
                "type": kind,
                "trigger": f"{groups['source']}_price",
                "trigger_price_micros": None if level is None else micros(level),
                "trigger_offset_micros": None if offset is None else micros(offset),
                "time_in_force": groups["in_force"] or ("ioc" if price is None else "gtc"),
                "price_micros": None if price is None else micros(price),
                "size_milli": milli(groups["size"]),
                "post_only": groups["post_only"] is not None,
                "client_order_id": groups["key"],
                **({"reduce_only": True} if groups["reduce_only"] is not None else {}),
                **({"label": groups["label"]} if groups["label"] is not None else {}),
                **({"reprices": True} if groups["reprices"] is not None else {}),
                **({"valid_until_us": self.until(groups)} if groups["until"] is not None else {}),
                **({"display_milli": milli(groups["display"])} if groups["display"] is not None else {}),
            },
            PlaceTriggerOrder,
        )

    def linked(self, user: str, link: str, condition: str | None, orders: str) -> Command:
        self.settle_in({"user": user})
        commands = []
        for text in orders.split(";"):
            line = f"{user} {text.strip()}"
            found = [(action, match.groupdict()) for pattern, action in ACTIONS if (match := pattern.fullmatch(line))]
            action, groups = found[0]
            command = action(self, groups)
            assert isinstance(command, PlaceOrder | PlaceTriggerOrder), f"{line}: not an order"
            commands.append(of_connection(command, self.connection) if self.connection else command)
        return msgspec.convert(
            {
                "kind": "place_linked_orders",
                "user_id": user,
                "link": {"oco": OCO, "oto": OTO, "otoco": OTOCO}[link],
                "fill_condition": condition or "first_hit",
                "orders": [msgspec.to_builtins(it) for it in commands],
            },
            PlaceLinkedOrders,
        )

    def move_trigger(self, groups: dict[str, Any]) -> Command:
        level, offset = groups.get("level"), groups.get("offset")
        return EditOrder(
            groups["user"],
            **order_name(groups["order"]),
            trigger_price_micros=UNSET if level is None else micros(level),
            trigger_offset_micros=UNSET if offset is None else micros(offset),
        )

    def set_group(self, groups: dict[str, Any]) -> Command:
        return SetMmpConfig(
            groups["user"],
            groups["group"],
            groups["asset"],
            int(groups["seconds"]),
            int(groups["frozen"]),
            UNSET if groups["quantity"] is None else milli(groups["quantity"]),
            UNSET if groups["delta"] is None else milli(groups["delta"]),
            UNSET if groups["vega"] is None else micros(groups["vega"]),
        )

    def quote(self, groups: dict[str, Any]) -> Command:
        quotes = []
        for text in groups["rest"].split(";"):
            name, terms = text.strip().split(" ", 1)
            terms, _, set_id = terms.partition(" set ")
            bid, ask = (side_of(side.strip()) for side in terms.split("/"))
            quotes.append(InstrumentQuote(self.instrument_id(name), bid, ask, set_id or UNSET))
        return MassQuote(groups["user"], groups["group"], "q", quotes)

    def cancel_quotes(self, groups: dict[str, Any]) -> Command:
        deltas = [UNSET if groups[name] is None else micros(groups[name]) for name in ("lowest", "highest")]
        instrument_id = UNSET if groups["name"] is None else self.instrument_id(groups["name"])
        return CancelQuotes(
            groups["user"], instrument_id, UNSET, groups["group"] or UNSET, groups["set"] or UNSET, *deltas
        )

    def edit(self, groups: dict[str, Any]) -> Command:
        price, size = groups["price"], groups["size"]
        return EditOrder(
            groups["user"],
            **order_name(groups["order"]),
            price_micros=None if price is None else micros(price),
            size_milli=None if size is None else milli(size),
            valid_until_us=self.until(groups),
        )

    def edit_labelled(self, groups: dict[str, Any]) -> Command:
        price, size, name = groups["price"], groups["size"], groups["name"]
        return EditOrder(
            groups["user"],
            price_micros=None if price is None else micros(price),
            size_milli=None if size is None else milli(size),
            label=groups["label"],
            instrument_id=UNSET if name is None else self.instrument_id(name),
        )

    def cancel_labelled(self, groups: dict[str, Any]) -> Command:
        instrument_id = None if groups["name"] is None else self.instrument_id(groups["name"])
        return CancelOrder(groups["user"], instrument_id=instrument_id, label=groups["label"])

    def cancel_group(self, groups: dict[str, Any]) -> Command:
        option_type: OptionType | UnsetType = UNSET
        if groups["types"] is not None:
            option_type = "call" if groups["types"] == "calls" else "put"
        label, asset = groups["label"] or UNSET, groups["asset"] or UNSET
        return CancelAll(groups["user"], asset=asset, option_type=option_type, label=label)

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
        return EndDay(day_end_us, True if groups["before"] else UNSET)

    def pause_or_resume_all(self, groups: dict[str, Any]) -> Command:
        expiration_s = expiration_of(groups["date"]) if groups["date"] else None
        return (PauseSeries if groups["switch"] == "pause" else ResumeSeries)(groups["asset"], expiration_s)

    def limit(self, groups: dict[str, Any]) -> Command:
        orders, size = groups["orders"], groups["size"]
        return SetLimits(groups["user"], int(orders) if orders else None, milli(size) if size else None)

    def cancel_of_user(self, groups: dict[str, Any]) -> Command:
        return CancelUserOrders(groups["user"], self.instrument_id(groups["name"]) if groups["name"] else None)

    # Effects

    def outcome(self, events: list[Event]) -> str:
        """Return the events in the words of the grammar."""
        words: list[str] = []
        subject, size, left, is_new = 0, 0, 0, False  # the order that entered the book last
        for event in events:
            match event:
                case OrderAccepted() if event.liquidation is True:
                    assert event.price_micros is not None
                    what = f"{contracts(event.size_milli)} of {self.name_of(event.instrument_id)}"
                    verb = "buys back" if event.side == "bid" else "sells off"
                    words.append(f"order {event.order_id} {verb} {what} @ {money(event.price_micros)}")
                case OrderAccepted():
                    words += self.remainder(subject, size, left, is_new)
                    if event.trigger_order_id:
                        words.append(f"order {event.order_id} placed by {event.trigger_order_id}")
                    subject, size, left, is_new = event.order_id, event.size_milli, event.size_milli, True
                case TriggerOrderEnded() if event.status == "cancelled":
                    words.append(f"order {event.order_id} untriggered {event.cancel_reason}")
                case TriggerOrderEnded():
                    shown = event.shown_micros if isinstance(event.shown_micros, int) else 0
                    why = f" {event.refusal}" if event.refusal else ""
                    words.append(f"order {event.order_id} {event.status} at {money(shown)}{why}")
                case TriggerOrderPlaced(primary_order_id=int(primary)):
                    words.append(f"order {event.order_id} waits for order {primary}")
                case TriggerOrderPlaced(part_of=int(whole)):
                    words.append(f"order {event.order_id} split from {whole}")
                case TriggerOrderPlaced():
                    words.append(f"order {event.order_id} waits")
                case TriggerOrderActivated():
                    words.append(f"order {event.order_id} waits for its price")
                case LinkedOrdersPlaced():
                    words.append(f"orders {' '.join(map(str, event.order_ids))} linked")
                case TriggerOrderEdited(cause="linked_order"):
                    words.append(f"order {event.order_id} shrinks to {contracts(event.size_milli)}")
                case TriggerOrderEdited(trigger_price_micros=None, trigger_offset_micros=None):
                    words.append(f"order {event.order_id} edited to {contracts(event.size_milli)}")
                case TriggerOrderEdited(trigger_price_micros=int(level)):
                    words.append(f"order {event.order_id} waits for {money(level)}")
                case TriggerOrderEdited():
                    words.append(f"order {event.order_id} waits {money(event.trigger_offset_micros or 0)} behind")
                case TriggersContinued():
                    words.append(f"{event.count} due")
                case OrderEdited() if event.cause is not UNSET:
                    left = event.remaining_milli if event.order_id == subject else left
                    words.append(f"order {event.order_id} shrinks to {contracts(event.remaining_milli)}")
                case OrderEdited():
                    words += self.remainder(subject, size, left, is_new)
                    subject, size, left, is_new = event.order_id, event.remaining_milli, event.remaining_milli, False
                    terms = f"{contracts(event.size_milli)} @ {money(event.price_micros)}"
                    words.append(f"order {subject} edited to {terms}, {'kept' if event.kept_place else 'lost'} place")
                case Traded():
                    remaining = {
                        event.maker_order_id: event.maker_remaining_milli,
                        event.taker_order_id: event.taker_remaining_milli,
                    }
                    left = remaining.get(subject, left)
                    fees = f"{money(event.maker_fee_micros)}/{money(event.taker_fee_micros)}"
                    trade = f"trade {event.maker_order_id} {contracts(event.size_milli)} @ {money(event.price_micros)}"
                    words.append(trade if fees == "0.00/0.00" else f"{trade} fees {fees}")
                    if event.maker_refilled_milli is not UNSET:
                        words.append(f"order {event.maker_order_id} shows {contracts(event.maker_refilled_milli)}")
                case OrderCancelled():
                    left = 0 if event.order_id == subject else left
                    words.append(f"order {event.order_id} cancelled {contracts(event.remaining_milli)} {event.reason}")
                case OrderRepeated():
                    words.append(f"order {event.order_id} repeated")
                case AllCancelled():
                    words.append(f"{event.count} of {event.user_id} cancelled")
                case InstrumentStateChanged():
                    words.append(f"{self.name_of(event.instrument_id)} {event.state}")
                case Refused():
                    words.append(f"refused {REFUSALS[event.reason].code} {event.reason}")
                case QuoteRefused():
                    words += [*self.remainder(subject, size, left, is_new), *self.of_the_market(event)]
                    left = 0
                case MassQuoted():
                    words += self.remainder(subject, size, left, is_new)
                    left = 0
                    words.append(f"{len(event.orders)} set, {len(event.unchanged)} unchanged")
                case _:
                    words += self.of_the_market(event)
        listed = sum(isinstance(event, InstrumentCreated) and event.instrument_id not in self.names for event in events)
        if listed:
            words.append(f"{listed} listed")
        words += self.remainder(subject, size, left, is_new)
        return ", ".join(words) or "done"

    @staticmethod
    def remainder(order_id: int, size: int, left: int, is_new: bool) -> list[str]:
        """Return what is left of an order that entered the book."""
        if left and left < size:
            return [f"order {order_id} open {contracts(left)} left"]
        return [f"order {order_id} open"] if left and is_new else []

    def of_the_market(self, event: Event) -> list[str]:
        match event:
            case MarksSet():
                named = {self.names[key]: mark for key, mark in event.marks.items() if key in self.names}
                return [f"{name} marked {money(mark)}" for name, mark in named.items()]
            case LiquidationStarted():
                cash, needed = money(event.cash_micros), money(event.maintenance_micros)
                return [f"liquidation of {event.user_id}, {cash} of {needed}"]
            case DeliveryPriceSet():
                day = day_of(event.expiration_s * 1_000_000)
                return [f"{event.asset} {day} delivered at {money(event.price_micros)}"]
            case SettlementDelayed():
                return [f"{event.asset} {day_of(event.expiration_s * 1_000_000)} waits"]
            case SeriesDelisted():
                return [f"{event.asset} {day_of(event.expiration_s * 1_000_000)} delisted"]
            case PositionSettled():
                what = f"{contracts(event.quantity_milli)} of {self.name_of(event.instrument_id)}"
                fee = f" fee {money(event.fee_micros)}" if event.fee_micros else ""
                return [f"{event.user_id} settles {what} for {money(event.payout_micros)}{fee}"]
            case ShortfallCovered():
                return [f"insurance pays {money(event.amount_micros)} for {event.user_id}"]
            case LiquidationFeeCharged():
                return [f"{event.user_id} pays insurance {money(event.amount_micros)}"]
            case PositionTakenOver():
                what = f"{contracts(event.quantity_milli)} of {self.name_of(event.instrument_id)}"
                return [f"insurance takes over {what} @ {money(event.price_micros)} from {event.user_id}"]
            case QuoteRefused():
                code = REFUSALS[event.reason].code
                return [f"{event.side} of {self.name_of(event.instrument_id)} refused {code} {event.reason}"]
            case MmpTriggered():
                sums = {
                    "quantity": contracts(event.quantity_milli),
                    "delta": contracts(event.delta_milli or 0),
                    "vega": money(event.vega_micros or 0),
                }
                until = iso(event.frozen_until_us) if event.frozen_until_us else "it is reset"
                return [f"{event.mmp_group} reaches {event.limit} {sums[event.limit]}, frozen until {until}"]
            case MarketReopening():
                return ["cancel only"]
            case PostOnlyBegan():
                return [f"{event.asset} post-only until {iso(event.until_us)}"]
            case AccountReset():
                return [f"{event.user_id} is reset with {money(event.amount_micros)}"]
            case DebtRepaid():
                return [f"{event.user_id} repays {money(event.amount_micros)}"]
            case LossShared():
                return [f"{event.user_id} bears {money(event.amount_micros)} of {money(event.won_micros)}"]
            case SeriesPaused():
                return [f"{event.count} paused"]
            case SeriesResumed():
                return [f"{event.count} resumed"]
            case HaltSet():
                return ["halted" if event.halted else "not halted"]
            case SuspensionSet():
                return [f"{event.user_id} {'suspended' if event.suspended else 'reinstated'}"]
        return []

    def name_of(self, instrument_id: str) -> str:
        return self.names.get(instrument_id, instrument_id)


def expiration_of(day: str) -> int:
    """Parse an expiration such as 28FEB26 into Unix seconds of 08:00 UTC."""
    return parse_instrument_id(f"SOL_USDC-{day}-1-C").expiration_s


def day_of(ts_us: int) -> str:
    """Format Unix seconds as 28FEB26."""
    return instrument_id_of("SOL", ts_us // 1_000_000, 1, "call").split("-")[1]


def clock_us(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


def iso(ts_us: int) -> str:
    """Format a time as 10:00:30, cut to the second."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts_us)).strftime("%H:%M:%S")


def order_name(text: str) -> dict[str, Any]:
    return {"order_id": int(text)} if text.isdigit() else {"client_order_id": text}


def of_connection(command: Command, connection: int) -> Command:
    """The command as a connection sends it that has cancel-on-disconnect for its own orders."""
    match command:
        case SetCancelOnDisconnect(enabled=True):
            return replace(command, enabled=False, connection=connection)
        case SetCancelOnDisconnect():
            return replace(command, released=connection)
        case PlaceOrder() | PlaceTriggerOrder() | MassQuote() | Disconnect():
            return replace(command, connection=connection)
    return command


def side_of(text: str) -> QuoteSide | UnsetType:
    """Parse one side of a quote, such as `1.000 @ 1.50 post-only`."""
    if text == "-":
        return UNSET
    if text == "0":
        return QuoteSide(0, 0)
    size, _, price, *more = text.split()
    return QuoteSide(micros(price), None if size == "same" else milli(size), more == ["post-only"])


def _pattern(text: str) -> re.Pattern[str]:
    """Compile a line of the grammar to a pattern; `<user>` and other names stand for values."""
    parts = {
        "user": r"[a-z]+",
        "before": r"before the server starts",
        "deal": r"buys|sells",
        "name": r"[\w-]+",
        "key": r"[\w-]+",
        "label": r"[\w-]+",
        "types": r"calls|puts",
        "trigger_deal": r"(?:stop|take|trail)-(?:buys|sells)",
        "source": r"last|mark|index",
        "level": r"-?\d+\.\d{2,6}",
        "offset": r"-?\d+\.\d{2,6}",
        "order": r"[\w-]+",
        "size": r"-?\d+\.\d{3}",
        "price": r"-?\d+\.\d{2,6}",
        "cash": r"-?\d+\.\d{2,6}",
        "tick": r"\d+\.\d{2,6}",
        "clock": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{6})?",
        "id": r"[A-Z0-9d_-]+",
        "in_force": r"gtc|day|ioc|fok",
        "post_only": r"post-only",
        "reprices": r"or near",
        "best": r"best",
        "until": r"\d\d:\d\d:\d\d(?:\.\d{6})?",
        "display": r"-?\d+\.\d{3}",
        "reduce_only": r"reduce-only",
        "asset": r"[A-Z]+",
        "date": r"\d{1,2}[A-Z]{3}\d\d",
        "forced": r"forced",
        "orders": r"\d+",
        "spacing": r"\d+",
        "each_side": r"\d+",
        "dailies": r"\d+",
        "weeklies": r"\d+",
        "monthlies": r"\d+",
        "enabled": r"on|off",
        "switch": r"pause|resume",
        "pairs": r".*",
        "stays": r", another connection stays",
        "rest": r".*",
        "group": r"\w+",
        "set": r"\w+",
        "seconds": r"\d+",
        "frozen": r"\d+",
        "quantity": r"-?\d+\.\d{3}",
        "delta": r"-?\d+\.\d{3}",
        "vega": r"-?\d+\.\d{2,6}",
        "lowest": r"-?\d+\.\d{2}",
        "highest": r"-?\d+\.\d{2}",
    }
    return re.compile(re.sub(r"<(\w+)>", lambda match: f"(?P<{match[1]}>{parts[match[1]]})", text))


LOOKS: list[tuple[re.Pattern[str], Callable[[Table, dict[str, Any]], str]]] = [
    (_pattern(r"<user> has <rest>"), Table.balance),
    (_pattern(r"<user> holds -?[\d.]+(?: of <name>)?, <rest>"), Table.holds),
    (_pattern(r"book(?: <name>)?: <rest>"), Table.book),
    (_pattern(r"<user>'s shortfall is <rest>"), Table.shortfall),
    (_pattern(r"mark(?: <name>)?: <rest>"), Table.mark),
    (_pattern(r"options on <asset>: ?<rest>"), Table.options),
    (_pattern(r"prices of <name>: ?<rest>"), Table.band),
]

_TAIL = (
    r"(?: <post_only>(?: <reprices>)?)?(?: <reduce_only>)?(?: showing <display>)?"
    r"(?: as <key>)?(?: labelled <label>)?(?: in <name>)?(?: until <until>)?"
)
ACTIONS: list[tuple[re.Pattern[str], Callable[[Table, dict[str, Any]], Command | None]]] = [
    (_pattern(r"rules: <pairs>"), Table.rules),
    (
        _pattern(
            r"series <asset> every <spacing> USDC, <each_side> each side, "
            r"<dailies> dailies, <weeklies> weeklies, <monthlies> monthlies(?:, min <size>)?"
        ),
        Table.add_series,
    ),
    (_pattern(r"the rules change: ?<pairs>"), lambda table, g: ChangeRules(table.rules_of(g["pairs"]))),
    (_pattern(r"name <name> = <id>"), Table.set_name),
    (_pattern(r"list <name> = <id> tick <tick> min <size>"), Table.list_instrument),
    (_pattern(r"clock <clock>"), Table.set_clock),
    (_pattern(r"<user> opens with <cash>"), lambda _, g: OpenAccount(g["user"], micros(g["cash"]))),
    (_pattern(r"<user> deposits <cash>"), lambda _, g: Deposit(g["user"], micros(g["cash"]))),
    (_pattern(r"<user> withdraws <cash>"), lambda _, g: Withdraw(g["user"], micros(g["cash"]))),
    (_pattern(rf"<user> <deal> <size> (?:@ <price>|at market|at <best>)(?: <in_force>)?{_TAIL}"), Table.place),
    (
        _pattern(r"<user> edits the order labelled <label>(?: in <name>)?(?: to <size>)?(?: @ <price>)?"),
        Table.edit_labelled,
    ),
    (_pattern(r"<user> cancels the order labelled <label>(?: in <name>)?"), Table.cancel_labelled),
    (_pattern(r"<user> cancels all(?: <types>)?(?: on <asset>)?(?: labelled <label>)?"), Table.cancel_group),
    (
        _pattern(rf"<user> <trigger_deal> <size>(?: @ <price>)? when <source> is <level>(?: <in_force>)?{_TAIL}"),
        Table.place_trigger,
    ),
    (_pattern(rf"<user> <trigger_deal> <size> by <offset> from <source>(?: <in_force>)?{_TAIL}"), Table.place_trigger),
    (_pattern(r"<user> moves <order> to <level>"), Table.move_trigger),
    (_pattern(r"<user> moves <order> by <offset>"), Table.move_trigger),
    (
        _pattern(
            r"<user> sets group <group> on <asset>: <seconds> s, frozen <frozen> s"
            r"(?:, quantity <quantity>)?(?:, delta <delta>)?(?:, vega <vega>)?"
        ),
        Table.set_group,
    ),
    (
        _pattern(r"<user> removes group <group> on <asset>"),
        lambda _, g: SetMmpConfig(g["user"], g["group"], g["asset"], 0, 0),
    ),
    (_pattern(r"<user> resets group <group>"), lambda _, g: ResetMmp(g["user"], g["group"])),
    (_pattern(r"<user> quotes in <group>: <rest>"), Table.quote),
    (
        _pattern(
            r"<user> cancels quotes(?: in <name>)?(?: of group <group>)?(?: of set <set>)?"
            r"(?: with deltas <lowest> to <highest>)?"
        ),
        Table.cancel_quotes,
    ),
    (_pattern(r"the triggers continue"), lambda _, g: ContinueTriggers()),
    (_pattern(r"<user> edits <order>(?: to <size>)?(?: @ <price>)?(?: until <until>)?"), Table.edit),
    (_pattern(r"<user> cancels <order>(?: in <name>)?"), Table.cancel),
    (
        _pattern(r"<user> turns cancel-on-disconnect <enabled>"),
        lambda _, g: SetCancelOnDisconnect(g["user"], enabled=g["enabled"] == "on"),
    ),
    (
        _pattern(r"<user> disconnects(?: ?<stays>)?"),
        lambda _, g: Disconnect(g["user"], still_enabled=g["stays"] is not None),
    ),
    (_pattern(r"<switch> all(?: of <asset>)?(?: expiring <date>)?"), Table.pause_or_resume_all),
    (_pattern(r"<switch> <name>"), Table.pause_or_resume),
    (_pattern(r"halt"), lambda _, g: SetHalt(True)),
    (_pattern(r"end the halt"), lambda _, g: SetHalt(False)),
    (_pattern(r"suspend <user>"), lambda _, g: SetSuspended(g["user"], True)),
    (_pattern(r"reinstate <user>"), lambda _, g: SetSuspended(g["user"], False)),
    (_pattern(r"reset <user>"), lambda _, g: ResetAccount(g["user"])),
    (_pattern(r"limit <user>(?: to <orders> orders)?(?: to <size> contracts)?"), Table.limit),
    (_pattern(r"the administrator cancels all of <user>(?: in <name>)?"), Table.cancel_of_user),
    (
        _pattern(r"index <asset> <price>(?: <forced>)?"),
        lambda _, g: SetIndexPrice(g["asset"], micros(g["price"]), g["forced"] is not None),
    ),
    (
        _pattern(r"settle <asset> <date> at <price>"),
        lambda _, g: SettleSeries(g["asset"], expiration_of(g["date"]), micros(g["price"])),
    ),
    (_pattern(r"the day ends(?: <before>)?"), Table.end_day),
    (_pattern(r"the server ends"), lambda _, g: EndSession()),
    (_pattern(r"the server starts"), lambda _, g: StartSession("test")),
]
