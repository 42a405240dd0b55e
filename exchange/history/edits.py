"""What is to be different in a history: commands left out or added, another set of rules."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from exchange.domain.commands import Command, Genesis, PlaceOrder, decode_command


class EditError(Exception):
    """The history cannot be edited so; the message says what was wrong and what is possible."""


class Insertion(NamedTuple):
    """A command that was never sent, and where it is written, for messages."""

    where: str
    command: Command


class Edits(msgspec.Struct, frozen=True):
    """`drops` holds inclusive ranges of seqs, `inserts` what comes right after a seq, `rules` lines like
    `fees.maker_premium_ppm=100`. Everything that a user in `without` ever sent is left out, the account included."""

    drops: Sequence[tuple[int, int]] = ()
    without: Sequence[str] = ()
    inserts: dict[int, list[Insertion]] = {}
    rules: Sequence[str] = ()

    def drop(self, seq: int, command: Command) -> bool:
        """Whether this command is left out."""
        return getattr(command, "user_id", None) in self.without or any(
            first <= seq <= last for first, last in self.drops
        )

    def fork(self, begin: int, last: int) -> int:
        """The seq up to which both histories are the same. The journal holds what came after `begin`, up to `last`.

        Raises EditError where what is to be edited is not among that.
        """
        for first_dropped, last_dropped in self.drops:
            if first_dropped == 1:
                raise EditError("seq 1 is the genesis, without which there is nothing: change its rules with --set")
            if not begin < first_dropped <= last_dropped <= last:
                raise EditError(
                    f"--drop {first_dropped}-{last_dropped}: the history compared holds seq {begin + 1} to {last}"
                )
        for seq in self.inserts:
            if not max(begin, 1) <= seq <= last:
                raise EditError(f"--insert {seq}: commands can come after seq {max(begin, 1)} to {last}")
        if begin and (self.rules or self.without):
            raise EditError(
                f"the history here begins after seq {begin}, and --set and --without need it from its genesis on: "
                "put the archives back into the folder they were made in"
            )
        if self.rules or self.without:
            return 0
        return min([first - 1 for first, _ in self.drops] + list(self.inserts), default=last)


def read_insertions(file: Path) -> list[Insertion]:
    """The commands in a file, one a line, as the journal has them; EditError names the line that is none."""
    insertions = []
    for number, line in enumerate(_lines(file), 1):
        where = f"{file}:{number}"
        if line.strip():
            try:
                command = decode_command(line)
            except msgspec.MsgspecError as error:
                raise EditError(
                    f"{where}: {error}; a line is a command as `exchange journal tail --json` shows it under .command"
                ) from error
            insertions.append(Insertion(where, _checked(where, command)))
    if not insertions:
        raise EditError(f"{file} holds no command")
    return insertions


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise EditError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EditError(f"{file} is no text in UTF-8: {error}") from error


def _checked(where: str, command: Command) -> Command:
    """What the gateway would have seen to before it was recorded."""
    if isinstance(command, Genesis):
        raise EditError(f"{where}: a genesis comes first or not at all; change the rules with --set")
    if isinstance(command, PlaceOrder):
        is_market = command.type == "market"
        if is_market != (command.price_micros is None):
            raise EditError(f"{where}: a limit order has price_micros, a market order has none (null)")
        if is_market and command.time_in_force not in ("ioc", "fok"):
            raise EditError(f"{where}: a market order is ioc or fok: it never rests")
    return command
