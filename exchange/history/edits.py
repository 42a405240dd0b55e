"""Edits of a history for a what-if: dropped and inserted commands, and other rules."""

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from exchange.domain.commands import (
    Command,
    Genesis,
    PlaceLinkedOrders,
    PlaceOrder,
    PlaceTriggerOrder,
    SetIndexPrice,
    decode_command,
)
from exchange.outside_text import opened_lines


class EditError(Exception):
    """An edit is not possible; the message gives the reason and the possible values."""


class Insertion(NamedTuple):
    """A command to insert, and the file and line it comes from, for messages."""

    where: str
    command: Command


class IndexPath(NamedTuple):
    """Other prices of an index: points of time and price, with rising times, and straight lines between them.

    The prices hold from the first point on; after the last one its price stays. `after_seq` is the last command before
    the first point.
    """

    points: Sequence[tuple[int, int]]
    after_seq: int

    def price_micros(self, ts_us: int) -> int | None:
        """The price at a time, rounded down; None before the first point."""
        at = bisect_right(self.points, ts_us, key=lambda point: point[0])
        if not at:
            return None
        begin_us, begin_micros = self.points[at - 1]
        if at == len(self.points):
            return begin_micros
        end_us, end_micros = self.points[at]
        return begin_micros + (end_micros - begin_micros) * (ts_us - begin_us) // (end_us - begin_us)


class Edits(msgspec.Struct, frozen=True):
    """The edits of a history.

    `drops` are ranges of seqs to leave out, both ends included. `without` are users: every command they sent is left
    out, also the one that opens their account. `inserts` are commands to apply right after a seq. `rules` are settings
    such as `fees.maker_premium_ppm=100`; they hold from the genesis on, or from right after `rules_from`, if `inserts`
    has a change of the rules there. `index_paths` replaces the prices of recorded index commands, by asset.
    """

    drops: Sequence[tuple[int, int]] = ()
    without: Sequence[str] = ()
    inserts: dict[int, list[Insertion]] = {}
    rules: Sequence[str] = ()
    rules_from: int = 0
    index_paths: dict[str, IndexPath] = {}

    def with_index_path(self, ts_us: int, command: Command) -> Command:
        """Return the command with the price of an index path; other commands as they are.

        Every price of a path is accepted, however far it is from the one before.
        """
        if not isinstance(command, SetIndexPrice) or command.asset not in self.index_paths:
            return command
        price_micros = self.index_paths[command.asset].price_micros(ts_us)
        if price_micros is None or price_micros == command.price_micros:
            return command
        return replace(command, price_micros=price_micros, forced=True)

    def drop(self, seq: int, command: Command) -> bool:
        """Return True if this command is left out."""
        return getattr(command, "user_id", None) in self.without or any(
            first <= seq <= last for first, last in self.drops
        )

    def fork(self, begin: int, last: int) -> int:
        """Return the last seq that both histories have in common.

        The journal holds the commands after `begin`, up to `last`. Raises EditError if an edit is outside of these.
        """
        for first_dropped, last_dropped in self.drops:
            if first_dropped == 1:
                raise EditError(
                    "--drop 1: seq 1 is the genesis, which every history needs. Change its rules with --set"
                )
            if not begin < first_dropped <= last_dropped <= last:
                raise EditError(
                    f"--drop {first_dropped}-{last_dropped}: the compared history holds only seq {begin + 1} to {last}"
                )
        for seq in self.inserts:
            if not max(begin, 1) <= seq <= last:
                raise EditError(f"--insert {seq}: commands can be inserted after seq {max(begin, 1)} to {last}")
        is_from_genesis = bool(self.without) or (bool(self.rules) and not self.rules_from)
        if begin and is_from_genesis:
            raise EditError(
                f"the journal here begins after seq {begin}, but --set and --without need it from its genesis on: "
                "put its archives back into their original folder"
            )
        if is_from_genesis:
            return 0
        paths = [max(path.after_seq, begin) for path in self.index_paths.values()]
        return min([first - 1 for first, _ in self.drops] + list(self.inserts) + paths, default=last)


def read_insertions(file: Path) -> list[Insertion]:
    """Read the commands in a file, one JSON command on each line.

    Raises EditError and InputError, which name the line.
    """
    insertions = []
    with opened_lines(file) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                insertions.append(_insertion(f"{file}:{number}", line))
    if not insertions:
        raise EditError(f"{file} contains no command: write one JSON command on each line")
    return insertions


def _insertion(where: str, line: str) -> Insertion:
    try:
        command = decode_command(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise EditError(
            f"{where}: {error}. Each line must be a command, as `exchange journal tail --json` shows it under .command"
        ) from error
    return Insertion(where, _checked(where, command))


def _checked(where: str, command: Command) -> Command:
    """Repeat the checks that the gateway makes before a command is recorded. Raises EditError."""
    if isinstance(command, Genesis):
        raise EditError(f"{where}: a genesis can only be the first command. Change the rules with --set")
    if isinstance(command, PlaceOrder):
        is_market = command.type == "market"
        if (command.type != "limit") != (command.price_micros is None):
            raise EditError(f"{where}: a limit order needs price_micros, a market order must not have it (null)")
        if command.type == "market_limit" and (command.post_only or command.time_in_force in ("ioc", "fok")):
            raise EditError(f"{where}: a market_limit order must be gtc or day, and not post_only")
        if is_market and command.time_in_force not in ("ioc", "fok"):
            raise EditError(f"{where}: a market order must be ioc or fok, because it never rests")
        if command.post_only and command.time_in_force in ("ioc", "fok"):
            raise EditError(f"{where}: a post_only order must be gtc or day, because it must be able to rest")
    if isinstance(command, PlaceOrder | PlaceTriggerOrder) and command.display_milli is not UNSET:
        _check_iceberg(where, command)
    if isinstance(command, PlaceOrder | PlaceTriggerOrder) and command.reprices is True and not command.post_only:
        raise EditError(f"{where}: reprices says what becomes of a post_only order that would trade: set post_only too")
    if isinstance(command, PlaceTriggerOrder):
        is_trailing = command.type == "trailing_stop"
        if is_trailing == (command.trigger_offset_micros is None) or is_trailing == (
            command.trigger_price_micros is not None
        ):
            raise EditError(
                f"{where}: a trailing_stop needs trigger_offset_micros, any other trigger order trigger_price_micros, "
                "and none may have both"
            )
        if (command.type in ("stop_limit", "take_limit")) != (command.price_micros is not None):
            raise EditError(f"{where}: a stop_limit or take_limit needs price_micros, others must not have it (null)")
        if command.price_micros is None and command.time_in_force not in ("ioc", "fok"):
            raise EditError(f"{where}: a trigger order that trades at market must be ioc or fok")
        may_rest = command.time_in_force not in ("ioc", "fok")
        if command.post_only and not may_rest:
            raise EditError(f"{where}: a post_only trigger order must be gtc or day, because it must be able to rest")
    if isinstance(command, PlaceLinkedOrders):
        for number, order in enumerate(command.orders):
            _checked(f"{where}, orders[{number}]", order)
    return command


def _check_iceberg(where: str, command: PlaceOrder | PlaceTriggerOrder) -> None:
    is_at_market = command.price_micros is None and command.type != "market_limit"
    if is_at_market or command.time_in_force in ("ioc", "fok"):
        raise EditError(f"{where}: an order with display_milli must be able to rest: gtc or day, with a price")
