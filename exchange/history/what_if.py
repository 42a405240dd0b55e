"""The what-if: replay an edited history in memory next to the real one, and compare the results.

Every command keeps its time. If inserted commands before it have reached that time already, it gets the next
microsecond.

A dropped or inserted order shifts the ids of all later orders, so order ids in commands are translated. When a command
places an order in both histories, the pair of ids is remembered. An id without a counterpart becomes 0, which no order
has, so the command is refused because the order does not exist. Inserted commands use the order ids of the real
history; an inserted order is named by its client_order_id. Orders that the exchange places to liquidate a user are
paired by user and instrument, and those of trigger orders by the trigger order.

Rules that are set hold from the first command on, and through every later change of the rules.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from exchange.domain.commands import CancelOrder, ChangeRules, Command, EditOrder, Genesis, decode_command
from exchange.domain.events import (
    BalanceChanged,
    DebtRepaid,
    Event,
    LinkedOrdersPlaced,
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
    TriggerOrderActivated,
    TriggerOrderEdited,
    TriggerOrderEnded,
    TriggerOrderPlaced,
)
from exchange.domain.rules import Rules, market_of, validation_error
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, recover, replay
from exchange.history.comparison import Comparison, Inserted, OutcomeChange, Pair, UserChange
from exchange.history.edits import EditError, Edits, Insertion
from exchange.history.moment import Moment, seq_at
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Record
from exchange.runtime.rule_settings import edited_rules

_NO_ORDER = 0


def what_if(path: Path, edits: Edits, moment: Moment, progress: Progress) -> Comparison:
    """Compare the history up to `moment` with the edited one. Raises EditError and JournalError."""
    return _replayed(path, edits, moment, progress, None).compare()


class TooLongError(EditError):
    """The histories differ for more `commands` than may be compared."""

    def __init__(self, commands: int) -> None:
        super().__init__(f"{commands} commands would be replayed")
        self.commands = commands


class Effect(NamedTuple):
    """The effect of the edits on one user.

    `replaced` counts index prices with another price. `first_seq` is the first command that is left out, replaced, or
    has another outcome; None if there is none.
    """

    comparison: Comparison
    user: UserChange
    replaced: int
    first_seq: int | None


def effect_on(path: Path, edits: Edits, moment: Moment, user_id: str, commands_max: int) -> Effect:
    """Compare both histories for one user. Raises TooLongError, EditError and JournalError."""
    histories = _replayed(path, edits, moment, lambda done, total: None, commands_max)
    if user_id not in histories.real.state.accounts:
        raise EditError(f"{user_id} had no account at seq {histories.real.head.seq}")
    return Effect(histories.compare(), histories.user_change(user_id), histories.replaced, histories.first_seq)


def _replayed(path: Path, edits: Edits, moment: Moment, progress: Progress, commands_max: int | None) -> "_Histories":
    with open_journal_reader(path) as reader:
        last_seq = seq_at(reader, moment)
        fork_seq = edits.fork(reader.bases[0].head.seq, last_seq)
        to_compare, replayed = last_seq - fork_seq, 0
        if commands_max is not None and to_compare > commands_max:
            raise TooLongError(to_compare)

        def report_replay(done: int, total: int) -> None:
            nonlocal replayed
            replayed = total
            progress(done, total + to_compare)

        histories = _Histories(edits, *_two_engines(path, fork_seq, report_replay))
        for done, record in enumerate(reader.records(histories.real.head, last_seq), replayed + 1):
            histories.apply(record)
            progress(done, replayed + to_compare)
    return histories


def _two_engines(path: Path, seq: int, progress: Progress) -> tuple[Engine, Engine]:
    """Two separate engines in the state after command `seq`."""
    if not seq:
        return Engine(), Engine()
    engine = recover(path, lambda sentence: None, progress, seq).engine
    return engine, Engine.restore(engine.snapshot())


class _OrderIds:
    """Translates order ids of the real history to those of the edited one.

    Ids below `first_new` are the same in both.
    """

    def __init__(self, first_new: int) -> None:
        self._first_new = first_new
        self._edited: dict[int, int] = {}

    def edited(self, order_id: int) -> int:
        """Return the id in the edited history; _NO_ORDER if the order does not exist there."""
        known = self._edited.get(order_id)
        if known is not None:
            return known
        return order_id if order_id < self._first_new else _NO_ORDER

    def learn(self, real: list[Event], edited: list[Event]) -> None:
        """Remember the orders that one command placed in both histories."""
        match real[0], edited[0]:
            case OrderAccepted(order_id=real_id), (OrderAccepted() | OrderRepeated()) as event:
                self._edited[real_id] = event.order_id
            case TriggerOrderPlaced(order_id=real_id), (TriggerOrderPlaced() | OrderRepeated()) as event:
                self._edited[real_id] = event.order_id
            case OrderRepeated(order_id=real_id), TriggerOrderPlaced() as event if self.edited(real_id) == _NO_ORDER:
                self._edited[real_id] = event.order_id
            case OrderRepeated(order_id=real_id), OrderAccepted() as event if self.edited(real_id) == _NO_ORDER:
                # The edited history dropped the first placing, so the repetition places the order.
                self._edited[real_id] = event.order_id
            case LinkedOrdersPlaced(order_ids=real_ids), LinkedOrdersPlaced(order_ids=edited_ids):
                self._edited.update(zip(real_ids, edited_ids, strict=False))
            case LinkedOrdersPlaced(order_ids=real_ids), OrderRepeated() as event:
                self._edited[real_ids[0]] = event.order_id
            case OrderRepeated(order_id=real_id), LinkedOrdersPlaced() as event if self.edited(real_id) == _NO_ORDER:
                self._edited[real_id] = event.order_ids[0]
        # A fill releases at most one part of an order in a command.
        parts = {event.part_of: event.order_id for event in _parts(edited)}
        for part in _parts(real):
            made = parts.get(self.edited(part.part_of or _NO_ORDER))
            if made is not None:
                self._edited[part.order_id] = made
        triggered = {event.trigger_order_id: event.order_id for event in _triggered(edited)}
        for accepted in _triggered(real):
            placed = triggered.get(self.edited(accepted.trigger_order_id or _NO_ORDER))
            if placed is not None:
                self._edited[accepted.order_id] = placed
        liquidation_ids = _liquidation_ids(edited)
        for key, order_ids in _liquidation_ids(real).items():
            self._edited.update(zip(order_ids, liquidation_ids.get(key, ()), strict=False))

    def translate(self, command: Command) -> Command:
        """Return the command with the order id of the edited history."""
        if isinstance(command, EditOrder | CancelOrder) and command.order_id is not None:
            return replace(command, order_id=self.edited(command.order_id))
        return command


class _Histories:
    """The real history and the edited one, replayed next to each other."""

    def __init__(self, edits: Edits, real: Engine, edited: Engine) -> None:
        self.real = real
        self.edited = edited
        self._edits = edits
        self._fork_seq = real.head.seq
        self._order_ids = _OrderIds(real.state.next_order_id)
        self._dropped = self._changed = 0
        self.replaced = 0
        self.first_seq: int | None = None
        self._inserted: list[Inserted] = []
        self._first_change: OutcomeChange | None = None
        self._impossible: list[OutcomeChange] = []
        self._possible: list[OutcomeChange] = []
        self._real_fills: Counter[str] = Counter()
        self._edited_fills: Counter[str] = Counter()
        self._real_settled: Counter[str] = Counter()
        self._edited_settled: Counter[str] = Counter()
        self._insert()

    def apply(self, record: Record) -> None:
        """Apply a command to the real history and, unless it is dropped, to the edited one. Then apply insertions."""
        command = decode_command(record.payload)
        real = replay(self.real, record)
        self._real_fills.update(_traders(real))
        _add_settled(self._real_settled, real)
        indexed = self._edits.with_index_path(record.ts_us, command)
        if self._edits.drop(record.seq, command):
            self._dropped += 1
            self._touch(record.seq)
        elif indexed != command:
            self.replaced += 1
            self._touch(record.seq)
            edited = self._step(record.ts_us, indexed)
            # An index price can trigger orders, and liquidate accounts.
            self._order_ids.learn(real, edited)
        elif isinstance(command, Genesis):
            self._step(record.ts_us, replace(command, rules=edited_rules(command.rules, self._edits.rules)))
        else:
            edited = self._step(record.ts_us, self._order_ids.translate(self._with_set_rules(command)))
            self._order_ids.learn(real, edited)
            if _comparable(real, self._order_ids) != _comparable(edited):
                self._note(OutcomeChange(record.seq, record.ts_us, command, real, edited))
        self._insert()

    def compare(self) -> Comparison:
        """Check the invariants of both histories and compare them. Raises EditError if a `without` user is unknown."""
        for user_id in self._edits.without:
            if user_id not in self.real.state.accounts:
                known = ", ".join(list(self.real.state.accounts)[:10]) or "none"
                raise EditError(
                    f"--without {user_id}: there is no such account up to seq {self.real.head.seq}, only {known}"
                )
        self.real.state.check()
        self.edited.state.check()
        users = [self.user_change(user_id) for user_id in self.real.state.accounts | self.edited.state.accounts]
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
        # The record is in no journal, so it needs no payload and no hash of its own.
        record = Record(head.seq + 1, max(ts_us, head.ts_us + 1), "", head.hash)
        events, _ = self.edited.step(record, command)
        self._edited_fills.update(_traders(events))
        _add_settled(self._edited_settled, events)
        return events

    def _with_set_rules(self, command: Command) -> Command:
        """Return a change of rules with the set rules applied, other commands as they are.

        A change that is refused for its content stays as it is, so that it is refused for the same reason.
        """
        if not isinstance(command, ChangeRules) or validation_error(command.rules) is not None:
            return command
        if self.edited.state.market is not None and market_of(command.rules) is None:
            return command
        settings = [setting for setting in self._edits.rules if _setting_exists(setting, command.rules)]
        return replace(command, rules=edited_rules(command.rules, settings))

    def _insert(self) -> None:
        after_seq = self.real.head.seq
        for insertion in self._edits.inserts.get(after_seq, ()):
            self._inserted.append(
                Inserted(insertion.where, after_seq, insertion.command, self._apply_insertion(insertion))
            )

    def _apply_insertion(self, insertion: Insertion) -> list[Event]:
        try:
            return self._step(self.real.head.ts_us, self._order_ids.translate(insertion.command))
        except Exception as error:
            raise EditError(
                f"{insertion.where}: no exchange would record this command here: {error or type(error).__name__}"
            ) from error

    def _touch(self, seq: int) -> None:
        if self.first_seq is None:
            self.first_seq = seq

    def _note(self, change: OutcomeChange) -> None:
        self._changed += 1
        self._touch(change.seq)
        self._first_change = self._first_change or change
        was_refused, is_refused = (isinstance(events[0], Refused) for events in (change.real, change.edited))
        if is_refused and not was_refused:
            self._impossible.append(change)
        elif was_refused and not is_refused:
            self._possible.append(change)

    def user_change(self, user_id: str) -> UserChange:
        """Return the figures of a user in both histories."""
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
            {instrument_id: pair for instrument_id, pair in positions.items() if pair.difference},
            Pair(self._real_settled[user_id], self._edited_settled[user_id]),
            Pair(_shortfall_micros(self.real, user_id), _shortfall_micros(self.edited, user_id)),
        )


def _comparable(events: list[Event], order_ids: _OrderIds | None = None) -> list[Event]:
    """Return the parts of an outcome that are compared, with `order_ids` translated.

    Balances, margins, positions and marks are left out, because one difference shifts them for the rest of the
    history. Trade ids are left out because they are only numbers.
    """
    compared: list[Event] = []
    for event in events:
        match event:
            case BalanceChanged() | MarginsChanged() | PositionChanged() | MarksSet() | RulesChanged():
                pass
            case LiquidationStarted():
                compared.append(replace(event, cash_micros=0, maintenance_micros=0))
            case ShortfallCovered() | DebtRepaid():
                compared.append(replace(event, shortfall_micros=0))
            case Traded():
                ids = event.maker_order_id, event.taker_order_id
                maker, taker = ids if order_ids is None else map(order_ids.edited, ids)
                compared.append(replace(event, trade_id=0, maker_order_id=maker, taker_order_id=taker))
            case TriggerOrderPlaced() | TriggerOrderEdited() | TriggerOrderEnded() if order_ids is not None:
                compared.append(_translated(order_ids, event))
            case TriggerOrderActivated() if order_ids is not None:
                compared.append(_translated(order_ids, event))
            case LinkedOrdersPlaced() if order_ids is not None:
                compared.append(replace(event, order_ids=[order_ids.edited(it) for it in event.order_ids]))
            case OrderAccepted(trigger_order_id=int(trigger_order_id)) if order_ids is not None:
                names = {"order_id": event.order_id, "trigger_order_id": trigger_order_id}
                compared.append(replace(event, **{name: order_ids.edited(old) for name, old in names.items()}))
            case OrderAccepted() | OrderEdited() | OrderCancelled() | OrderRepeated() if order_ids is not None:
                compared.append(_translated(order_ids, event))
            case _:
                compared.append(event)
    return compared


def _translated(order_ids: _OrderIds, event: Event) -> Event:
    """Return the event with the order ids of the edited history, those of linked orders included."""
    names = ("order_id", "linked_order_id", "primary_order_id", "part_of")
    given = {name: getattr(event, name, UNSET) for name in names}
    return replace(event, **{name: order_ids.edited(old) for name, old in given.items() if isinstance(old, int)})


def _parts(events: list[Event]) -> list[TriggerOrderPlaced]:
    """Return the parts of waiting orders that fills released."""
    return [event for event in events if isinstance(event, TriggerOrderPlaced) and event.part_of]


def _triggered(events: list[Event]) -> list[OrderAccepted]:
    """Return the orders that trigger orders placed."""
    return [event for event in events if isinstance(event, OrderAccepted) and event.trigger_order_id]


def _traders(events: list[Event]) -> list[str]:
    """Return the user of every fill; a user with two fills is listed twice."""
    trades = [event for event in events if isinstance(event, Traded)]
    return [user_id for trade in trades for user_id in (trade.maker_user_id, trade.taker_user_id)]


def _liquidation_ids(events: list[Event]) -> dict[tuple[str, str], list[int]]:
    """Return the ids of liquidation orders, by user and instrument."""
    ids: dict[tuple[str, str], list[int]] = {}
    for event in events:
        if isinstance(event, OrderAccepted) and event.liquidation is True:
            ids.setdefault((event.user_id, event.instrument_id), []).append(event.order_id)
    return ids


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
    positions = account.positions if account is not None else {}
    return {instrument_id: position.position_milli for instrument_id, position in positions.items()}


def _is_different(user: UserChange) -> bool:
    return bool(user.positions_milli) or any(
        pair.difference
        for pair in (user.cash_micros, user.total_pnl_micros, user.fills, user.settled_micros, user.shortfall_micros)
    )


def _setting_exists(setting: str, rules: Rules) -> bool:
    """True if the setting still exists in these rules. The rules may no longer have a series rule of its asset."""
    market, name = market_of(rules), setting.partition("=")[0]
    if not name.startswith("market.series."):
        return True
    return market is not None and name.split(".")[2] in [series.asset for series in market.series]
