"""Rows about accounts: balances and their reasons, payments, positions and profits."""

from exchange.domain import commands as c
from exchange.domain import events as e
from exchange.history_db.event_kinds import REASON_NUMBERS
from exchange.history_db.new_rows import NULL, Keys, NewRows
from exchange.projections.balances import PositionRecord

# The first of these that a command did to a user explains the change of the user's cash.
_RANKS: dict[type[e.Event], int] = {
    e.ShortfallCovered: 1,
    e.LiquidationStarted: 2,
    e.PositionSettled: 3,
    e.Traded: 4,
    e.OrderCancelled: 5,
}
_REASONS = {1: "shortfall", 2: "liquidation", 3: "settlement", 4: "trade"}
_REASONS_OF_COMMANDS: dict[type[c.Command], str] = {
    c.OpenAccount: "opening",
    c.Deposit: "deposit",
    c.Withdraw: "withdrawal",
    c.ResetAccount: "reset",
}
_MARGIN_COMMANDS = (c.SetIndexPrice, c.EndDay, c.SettleSeries, c.ChangeRules)


class AccountRows:
    """Adds the rows of events about accounts to `new`. Methods for an event return its keys."""

    def __init__(self, new: NewRows) -> None:
        self._new = new
        self._balances = new.tables["balance_version"]
        self._positions = new.tables["position_version"]

    def begin(self) -> None:
        """Prepare the reasons of the command's changes."""
        self._ranks = _ranks(self._new.events)
        self._by_user = getattr(self._new.command, "user_id", None)

    def opened(self, n: int, event: e.AccountOpened) -> Keys:
        """A new account, with its starting cash."""
        new = self._new
        user = new.user(event.user_id)
        new.opened_users.append((new.seq, user))
        self._balances.append((user, new.seq, n, 0, 0, 0, None))
        if isinstance(new.command, c.OpenAccount) and new.command.cash_micros:
            new.tables["payment"].append((new.seq, n, user, "opening", new.command.cash_micros))
        return user, NULL, NULL

    def balance(self, n: int, event: e.BalanceChanged) -> Keys:
        """Cash, locks and maintenance margin of an account."""
        user = self._new.user(event.user_id)
        maintenance, reason = event.maintenance_micros or 0, REASON_NUMBERS[self._reason(event.user_id)]
        row = (user, self._new.seq, n, event.cash_micros, event.locked_micros, maintenance, reason)
        self._balances.append(row)
        return user, NULL, NULL

    def _reason(self, user_id: str) -> str:
        """The reason of a change in the ledger; docs/sql.md lists them."""
        if user_id == "fees" != self._by_user:
            return "fee"
        if user_id == "insurance" != self._by_user:
            return self._reason_of_insurance()
        rank = self._ranks.get(user_id)
        if rank in _REASONS:
            return _REASONS[rank]
        command = self._new.command
        if reason := _REASONS_OF_COMMANDS.get(type(command)):
            return reason
        return "margin" if rank is None and isinstance(command, _MARGIN_COMMANDS) else "order"

    def _reason_of_insurance(self) -> str:
        """The reason of a change of the insurance that another command than its own caused."""
        kinds = {type(event) for event in self._new.events}
        if kinds & {e.ShortfallCovered, e.DebtRepaid, e.LossShared}:
            return "shortfall"
        if kinds & {e.LiquidationFeeCharged, e.PositionTakenOver}:
            return "liquidation"
        return "settlement" if self._ranks.get("insurance") == _RANKS[e.PositionSettled] else "margin"

    def deposited(self, n: int, event: e.Deposited) -> Keys:
        """Cash that was paid in."""
        return self._pay(n, event.user_id, "deposit", event.amount_micros)

    def withdrawn(self, n: int, event: e.Withdrawn) -> Keys:
        """Cash that was paid out."""
        return self._pay(n, event.user_id, "withdrawal", -event.amount_micros)

    def reset(self, n: int, event: e.AccountReset) -> Keys:
        """Cash that was paid in or out to give an account its starting cash."""
        return self._pay(n, event.user_id, "reset", event.amount_micros)

    def _pay(self, n: int, user_id: str, reason: str, amount_micros: int) -> Keys:
        user = self._new.user(user_id)
        self._new.tables["payment"].append((self._new.seq, n, user, reason, amount_micros))
        return user, NULL, NULL

    def shortfall(self, n: int, event: e.ShortfallCovered) -> Keys:
        """A payment of the insurance."""
        user = self._new.user(event.user_id)
        row = (self._new.seq, n, user, event.amount_micros, event.shortfall_micros)
        self._new.tables["shortfall"].append(row)
        return user, NULL, NULL

    def repaid(self, n: int, event: e.DebtRepaid) -> Keys:
        """A payment to the insurance that reduces a debt."""
        user, _, _ = keys = self._pay_insurance(n, event.user_id, NULL, "debt", event.amount_micros)
        row = (self._new.seq, n, user, -event.amount_micros, event.shortfall_micros)
        self._new.tables["shortfall"].append(row)
        return keys

    def charged(self, n: int, event: e.LiquidationFeeCharged) -> Keys:
        """A liquidation fee."""
        instrument = self._new.instrument(event.instrument_id)
        return self._pay_insurance(n, event.user_id, instrument, "liquidation_fee", event.amount_micros)

    def shared(self, n: int, event: e.LossShared) -> Keys:
        """A share of a loss."""
        return self._pay_insurance(n, event.user_id, NULL, "shared_loss", event.amount_micros, event.won_micros)

    def _pay_insurance(self, n: int, user_id: str, instrument: int, reason: str, amount: int, won: int = NULL) -> Keys:
        user = self._new.user(user_id)
        self._new.tables["insurance_payment"].append((self._new.seq, n, user, instrument, reason, amount, won))
        return user, instrument, NULL

    def taken_over(self, n: int, event: e.PositionTakenOver) -> Keys:
        """A position that the insurance takes over."""
        new, instrument_id = self._new, event.instrument_id
        user, instrument = new.user(event.user_id), new.instrument(instrument_id)
        for user_id in (event.user_id, "insurance"):
            new.touched[user_id, instrument_id] = new.profited[user_id, instrument_id] = None
        row = (new.seq, n, user, instrument, event.quantity_milli, event.price_micros)
        new.tables["takeover"].append(row)
        return user, instrument, NULL

    def position(self, n: int, event: e.PositionChanged) -> Keys:
        """Size and collateral of a position."""
        if not event.quantity_milli and not event.locked_micros:
            self._new.profited[event.user_id, event.instrument_id] = None
        return self._position(n, event.user_id, event.instrument_id, event.quantity_milli)

    def settled(self, n: int, event: e.PositionSettled) -> Keys:
        """The end of a position at delivery."""
        new = self._new
        new.profited[event.user_id, event.instrument_id] = None
        user, instrument, _ = keys = self._position(n, event.user_id, event.instrument_id, 0)
        row = (new.seq, n, user, instrument, event.quantity_milli, event.payout_micros, event.fee_micros)
        new.tables["position_settlement"].append(row)
        return keys

    def _position(self, n: int, user_id: str, instrument_id: str, quantity_milli: int) -> Keys:
        """Add a version of a position. The account holds its open asks, and its collateral follows from both."""
        new = self._new
        user, instrument = key = new.user(user_id), new.instrument(instrument_id)
        position = new.state.accounts[user_id].positions.get(instrument_id)
        uncovered_milli = 0 if position is None else max(0, -position.free_milli)
        if key not in new.memory.positions:
            new.tables["position_key"].append(key)
        new.memory.positions[key] = (quantity_milli, uncovered_milli)
        self._positions.append((user, instrument, new.seq, n, quantity_milli, uncovered_milli))
        return user, instrument, NULL

    def add_silent_positions(self) -> None:
        """Add the changes of uncovered contracts that no event shows, because the collateral is the same micros."""
        new = self._new
        for user_id, instrument_id in new.touched:
            position = new.state.accounts[user_id].positions.get(instrument_id)
            if position is not None:
                key, quantity_milli = (new.user(user_id), new.instrument(instrument_id)), position.position_milli
                state = (quantity_milli, max(0, position.open_asks_milli - quantity_milli))
                if new.memory.positions.get(key, (0, 0)) != state:
                    self._position(len(new.events), user_id, instrument_id, quantity_milli)

    def add_profits(self, ended: dict[tuple[str, str], PositionRecord]) -> None:
        """Add cost and profit of the positions that were traded or settled; `ended` has those that hold nothing now."""
        for key in self._new.profited:
            account = self._new.views.balances.users[key[0]]
            position = account.positions.get(key[1])
            self.add_profit(key, position or ended.get(key), account.realised_micros, position is None)

    def add_profit(
        self, key: tuple[str, str], position: PositionRecord | None, account_realised_micros: int, ended: bool
    ) -> None:
        """Add cost and profit of one position."""
        new = self._new
        profit = (0, 0) if position is None else (position.basis_micros, position.realised_micros)
        row = (new.user(key[0]), new.instrument(key[1]), new.seq, *profit, account_realised_micros, int(ended))
        new.tables["profit_version"].append(row)


def _ranks(events: list[e.Event]) -> dict[str, int]:
    """The most important event of a command for each user, as its rank."""
    ranks: dict[str, int] = {}
    for event in events:
        rank = _RANKS.get(type(event))
        if rank is not None:
            for user_id in _users_of(event):
                ranks[user_id] = min(rank, ranks.get(user_id, rank))
    return ranks


def _users_of(event: e.Event) -> tuple[str, ...]:
    match event:
        case e.Traded():
            return event.maker_user_id, event.taker_user_id
        case e.ShortfallCovered() | e.LiquidationStarted() | e.PositionSettled() | e.OrderCancelled():
            return (event.user_id,)
        case _:
            return ()
