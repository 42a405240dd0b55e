"""The result of a what-if: the figures of the real history next to those of the edited one."""

import msgspec

from exchange.domain.commands import Command
from exchange.domain.events import Event


class Pair(msgspec.Struct, frozen=True):
    """A figure in the real history and in the edited one."""

    real: int
    edited: int

    @property
    def difference(self) -> int:
        """The edited figure less the real one."""
        return self.edited - self.real


class OutcomeChange(msgspec.Struct, frozen=True):
    """A command with another outcome: its events in both histories, each with the order ids of its own history."""

    seq: int
    ts_us: int
    command: Command
    real: list[Event]
    edited: list[Event]


class Inserted(msgspec.Struct, frozen=True):
    """An inserted command and its events. `where` names its file and line."""

    where: str
    after_seq: int
    command: Command
    edited: list[Event]


class UserChange(msgspec.Struct, frozen=True):
    """A user with other figures at the end. Each history values profit with its own last marks.

    `fills` counts the fills after `fork_seq`. `settled_micros` is the sum of settlement payouts after it, less their
    fees. `shortfall_micros` is the sum of all that the insurance has paid for the user.
    """

    user_id: str
    cash_micros: Pair
    total_pnl_micros: Pair
    fills: Pair
    positions_milli: dict[str, Pair]
    settled_micros: Pair
    shortfall_micros: Pair


class Comparison(msgspec.Struct, frozen=True):
    """The comparison of both histories up to `last_seq`. They are the same up to `fork_seq`.

    `changed` counts the commands with another outcome. Of these, `impossible` lists the commands that were accepted
    and are refused now, `possible` those that were refused and are accepted now. Dropped and inserted commands are not
    among them.
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
        """True if every command has the same outcome and every user the same figures."""
        return not self.changed and not self.users
