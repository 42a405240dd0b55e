"""What if: an edited history is played in memory beside the real one, and what comes out is compared.

Every command keeps its time, unless an inserted one would then not come before it. Leaving out or adding an order
shifts the order ids after it, so commands that name an order by its id are translated: the command that placed an order
has an order id in both histories, and that pair is remembered. A name that leads to no order in the edited history
becomes 0, which no order ever has, and the command is refused there as one for an order that does not exist. Inserted
commands name orders as the real history does; an inserted order can be named by its client_order_id. Orders that the
exchange itself placed in the course of a command, to liquidate, are paired by user and instrument.

Rules that are set hold from the beginning, and through every change of the rules.
"""

from collections import Counter
from pathlib import Path

import msgspec
from msgspec.structs import replace

from exchange.domain.commands import CancelOrder, ChangeRules, Command, EditOrder, Genesis, decode_command
from exchange.domain.events import (
    BalanceChanged,
    Event,
    LiquidationStarted,
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
    ShortfallCovered,
    Traded,
)
from exchange.domain.rules import Rules, market_of, validation_error
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, recover, replay
from exchange.history.edits import EditError, Edits, Insertion
from exchange.history.moment import Moment, seq_at
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Record
from exchange.runtime.rule_settings import edited_rules

_NO_ORDER = 0


class Pair(msgspec.Struct, frozen=True):
    """A figure in the real history, and in the edited one."""

    real: int
    edited: int

    @property
    def difference(self) -> int:
        return self.edited - self.real


class OutcomeChange(msgspec.Struct, frozen=True):
    """A command of which something else came: its events in both histories, each with the order ids of its own."""

    seq: int
    ts_us: int
    command: Command
    real: list[Event]
    edited: list[Event]


class Inserted(msgspec.Struct, frozen=True):
    """What came of an inserted command."""

    where: str
    after_seq: int
    command: Command
    edited: list[Event]


class UserChange(msgspec.Struct, frozen=True):
    """A user for whom something is different; profit is at each history's own closing values.

    `fills` counts those after `fork_seq`, `settled_micros` is what settlements paid since then, less their fees, and
    `shortfall_micros` what the insurance has ever paid.
    """

    user_id: str
    cash_micros: Pair
    total_pnl_micros: Pair
    fills: Pair
    positions_milli: dict[str, Pair]
    settled_micros: Pair
    shortfall_micros: Pair


class Comparison(msgspec.Struct, frozen=True):
    """Both histories up to `fork_seq` are the same; they are compared up to `last_seq`.

    `impossible` commands were accepted and are refused now, `possible` ones the other way round; both are among the
    `changed`, the commands of which something else comes. Dropped and inserted commands are neither.
    """

    fork_seq: int
    last_seq: int
    dropped: int
    inserted: list[Inserted]
    changed: int
    first_change: OutcomeChange | None
    impossible: list[OutcomeChange]
    possible: list[OutcomeChange]
    users: list[UserChange]
    total_cash_micros: Pair
    fees_micros: Pair
    insurance_micros: Pair

    @property
    def is_same(self) -> bool:
        return not self.changed and not self.users


def what_if(path: Path, edits: Edits, moment: Moment, progress: Progress) -> Comparison:
    """Compare the history up to `moment` with the edited one. Raises EditError, or a JournalError."""
    with open_journal_reader(path) as reader:
        last_seq = seq_at(reader, moment)
        fork_seq = edits.fork(reader.bases[0].head.seq, last_seq)
        to_compare, replayed = last_seq - fork_seq, 0

        def replaying(done: int, total: int) -> None:
            nonlocal replayed
            replayed = total
            progress(done, total + to_compare)

        histories = _Histories(edits, *_fork(path, fork_seq, replaying))
        for done, record in enumerate(reader.records(histories.real.head, last_seq), replayed + 1):
            histories.take(record)
            progress(done, replayed + to_compare)
    return histories.compare()


def _fork(path: Path, seq: int, progress: Progress) -> tuple[Engine, Engine]:
    """The exchange after command `seq`, twice."""
    if not seq:
        return Engine(), Engine()
    engine = recover(path, lambda sentence: None, progress, seq).engine
    return engine, Engine.restore(engine.snapshot())


class _OrderNames:
    """Which order of the edited history an order of the real one is."""

    def __init__(self, first_new: int) -> None:
        self._first_new = first_new  # below it both histories are the same
        self._edited: dict[int, int] = {}

    def edited(self, order_id: int) -> int:
        known = self._edited.get(order_id)
        if known is not None:
            return known
        return order_id if order_id < self._first_new else _NO_ORDER

    def learn(self, real: list[Event], edited: list[Event]) -> None:
        """Take note of what one placing command was answered with in both histories."""
        match real[0], edited[0]:
            case OrderAccepted(order_id=ours), (OrderAccepted() | OrderRepeated()) as answer:
                self._edited[ours] = answer.order_id
            case OrderRepeated(order_id=ours), OrderAccepted() as answer if self.edited(ours) == _NO_ORDER:
                self._edited[ours] = answer.order_id  # the first one is gone, and so this is the order now
        liquidating = _liquidating(edited)
        for key, order_ids in _liquidating(real).items():
            self._edited.update(zip(order_ids, liquidating.get(key, ()), strict=False))

    def translate(self, command: Command) -> Command:
        """The same command, naming its order as the edited history does."""
        if isinstance(command, EditOrder | CancelOrder) and command.order_id is not None:
            return replace(command, order_id=self.edited(command.order_id))
        return command


class _Histories:
    """The real history and the edited one, side by side."""

    def __init__(self, edits: Edits, real: Engine, edited: Engine) -> None:
        self.real = real
        self.edited = edited
        self._edits = edits
        self._fork_seq = real.head.seq
        self._names = _OrderNames(real.state.next_order_id)
        self._dropped = self._changed = 0
        self._inserted: list[Inserted] = []
        self._first_change: OutcomeChange | None = None
        self._impossible: list[OutcomeChange] = []
        self._possible: list[OutcomeChange] = []
        self._real_fills: Counter[str] = Counter()
        self._edited_fills: Counter[str] = Counter()
        self._real_settled: Counter[str] = Counter()
        self._edited_settled: Counter[str] = Counter()
        self._insert()

    def take(self, record: Record) -> None:
        """Carry out one command of the real history in both, or in the real one only; then what is inserted there."""
        command = decode_command(record.payload)
        real = replay(self.real, record)
        self._real_fills.update(_traders(real))
        _add_settled(self._real_settled, real)
        if self._edits.drop(record.seq, command):
            self._dropped += 1
        elif isinstance(command, Genesis):
            self._step(record.ts_us, replace(command, rules=edited_rules(command.rules, self._edits.rules)))
        else:
            edited = self._step(record.ts_us, self._names.translate(self._ruled(command)))
            self._names.learn(real, edited)
            if _outcome_of(real, self._names) != _outcome_of(edited):
                self._note(OutcomeChange(record.seq, record.ts_us, command, real, edited))
        self._insert()

    def compare(self) -> Comparison:
        """What came out. Both histories are proven to keep every invariant; EditError where nobody is left out."""
        for user_id in self._edits.without:
            if user_id not in self.real.state.accounts:
                known = ", ".join(list(self.real.state.accounts)[:10]) or "none"
                raise EditError(f"--without {user_id}: there is no such account up to here, only {known}")
        self.real.state.check()
        self.edited.state.check()
        users = [self._user_change(user_id) for user_id in self.real.state.accounts | self.edited.state.accounts]
        return Comparison(
            self._fork_seq,
            self.real.head.seq,
            self._dropped,
            self._inserted,
            self._changed,
            self._first_change,
            self._impossible,
            self._possible,
            [user for user in users if _is_different(user)],
            Pair(self.real.state.total_cash_micros, self.edited.state.total_cash_micros),
            Pair(_cash_micros(self.real, "fees"), _cash_micros(self.edited, "fees")),
            Pair(_cash_micros(self.real, "insurance"), _cash_micros(self.edited, "insurance")),
        )

    def _step(self, ts_us: int, command: Command) -> list[Event]:
        head = self.edited.head
        record = Record(head.seq + 1, max(ts_us, head.ts_us + 1), "", head.hash)  # in no journal: it has no payload
        events, _ = self.edited.step(record, command)
        self._edited_fills.update(_traders(events))
        _add_settled(self._edited_settled, events)
        return events

    def _ruled(self, command: Command) -> Command:
        """A change of rules, with those that are set; one that is refused for what it says is refused as it is."""
        if not isinstance(command, ChangeRules) or validation_error(command.rules) is not None:
            return command
        if self.edited.state.market is not None and market_of(command.rules) is None:
            return command
        settings = [one for one in self._edits.rules if _setting_exists(one, command.rules)]
        return replace(command, rules=edited_rules(command.rules, settings))

    def _insert(self) -> None:
        after_seq = self.real.head.seq
        for insertion in self._edits.inserts.get(after_seq, ()):
            self._inserted.append(Inserted(insertion.where, after_seq, insertion.command, self._carry_out(insertion)))

    def _carry_out(self, insertion: Insertion) -> list[Event]:
        try:
            return self._step(self.real.head.ts_us, self._names.translate(insertion.command))
        except Exception as error:
            raise EditError(
                f"{insertion.where}: no exchange would have recorded this command: {error or type(error).__name__}"
            ) from error

    def _note(self, change: OutcomeChange) -> None:
        self._changed += 1
        self._first_change = self._first_change or change
        was_refused, is_refused = (isinstance(events[0], Refused) for events in (change.real, change.edited))
        if is_refused and not was_refused:
            self._impossible.append(change)
        elif was_refused and not is_refused:
            self._possible.append(change)

    def _user_change(self, user_id: str) -> UserChange:
        real, edited = _positions(self.real, user_id), _positions(self.edited, user_id)
        positions = {
            instrument_id: Pair(real.get(instrument_id, 0), edited.get(instrument_id, 0))
            for instrument_id in real | edited
        }
        return UserChange(
            user_id,
            Pair(_cash_micros(self.real, user_id), _cash_micros(self.edited, user_id)),
            Pair(*(engine.views.profit_micros(user_id) for engine in (self.real, self.edited))),
            Pair(self._real_fills[user_id], self._edited_fills[user_id]),
            {instrument_id: held for instrument_id, held in positions.items() if held.difference},
            Pair(self._real_settled[user_id], self._edited_settled[user_id]),
            Pair(_shortfall_micros(self.real, user_id), _shortfall_micros(self.edited, user_id)),
        )


def _outcome_of(events: list[Event], names: _OrderNames | None = None) -> list[Event]:
    """What of an outcome is compared: no balances or marks, which differ ever after, nor the numbers of trades."""
    told: list[Event] = []
    for event in events:
        match event:
            case BalanceChanged() | MarginsChanged() | PositionChanged() | MarksSet() | RulesChanged():
                pass
            case LiquidationStarted():
                told.append(replace(event, cash_micros=0, maintenance_micros=0))
            case ShortfallCovered():
                told.append(replace(event, shortfall_micros=0))
            case Traded():
                ids = event.maker_order_id, event.taker_order_id
                maker, taker = ids if names is None else map(names.edited, ids)
                told.append(replace(event, trade_id=0, maker_order_id=maker, taker_order_id=taker))
            case OrderAccepted() | OrderEdited() | OrderCancelled() | OrderRepeated() if names is not None:
                told.append(replace(event, order_id=names.edited(event.order_id)))
            case _:
                told.append(event)
    return told


def _traders(events: list[Event]) -> list[str]:
    """Whoever was filled, once for every fill."""
    trades = [event for event in events if isinstance(event, Traded)]
    return [user_id for trade in trades for user_id in (trade.maker_user_id, trade.taker_user_id)]


def _liquidating(events: list[Event]) -> dict[tuple[str, str], list[int]]:
    """The orders that the exchange placed, by whom and what they are for."""
    found: dict[tuple[str, str], list[int]] = {}
    for event in events:
        if isinstance(event, OrderAccepted) and event.liquidation is True:
            found.setdefault((event.user_id, event.instrument_id), []).append(event.order_id)
    return found


def _add_settled(settled: Counter[str], events: list[Event]) -> None:
    for event in events:
        if isinstance(event, PositionSettled):
            settled[event.user_id] += event.payout_micros - event.fee_micros


def _shortfall_micros(engine: Engine, user_id: str) -> int:
    account = engine.state.accounts.get(user_id)
    return account.shortfall_micros if account is not None else 0


def _cash_micros(engine: Engine, user_id: str) -> int:
    account = engine.state.accounts.get(user_id)
    return account.cash_micros if account is not None else 0


def _positions(engine: Engine, user_id: str) -> dict[str, int]:
    account = engine.state.accounts.get(user_id)
    holdings = account.positions if account is not None else {}
    return {instrument_id: holding.position_milli for instrument_id, holding in holdings.items()}


def _is_different(user: UserChange) -> bool:
    return bool(user.positions_milli) or any(
        pair.difference
        for pair in (user.cash_micros, user.total_pnl_micros, user.fills, user.settled_micros, user.shortfall_micros)
    )


def _setting_exists(setting: str, rules: Rules) -> bool:
    """Whether there is what it sets: the series of an asset may be gone from these rules."""
    market, name = market_of(rules), setting.partition("=")[0]
    if not name.startswith("market.series."):
        return True
    return market is not None and name.split(".")[2] in [series.asset for series in market.series]
