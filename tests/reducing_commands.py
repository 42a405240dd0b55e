"""Random command streams in which orders that shrink and orders that show a part meet those that need all of a size.

One instrument, three prices, many reduce-only and iceberg orders, and fill-or-kill orders against them.
"""

from collections.abc import Iterator
from random import Random

from msgspec import UNSET
from msgspec.structs import replace

from exchange.domain.commands import Command, Deposit, EditOrder, PlaceLinkedOrders, PlaceOrder
from exchange.domain.enums import FillCondition, Side
from tests.link_commands import LinkCommands
from tests.naive import NaiveExchange
from tests.order_commands import OrderCommands
from tests.random_commands import USERS, Step

PRICES = (100_000, 200_000, 300_000)


def reducing_steps(seed: int, count: int) -> Iterator[Step]:
    """Yield the first `count` commands of the stream of `seed`, with the naive exchange's events."""
    naive = NaiveExchange()
    return _steps(ReducingCommands(seed, naive), naive, count)


def reducing_link_steps(seed: int, count: int) -> Iterator[Step]:
    """Yield the first `count` commands of the stream of `seed` with linked orders, with the naive exchange's events."""
    naive = NaiveExchange()
    return _steps(ReducingLinkCommands(seed, naive), naive, count)


def _steps(source: OrderCommands, naive: NaiveExchange, count: int) -> Iterator[Step]:
    for _ in range(count):
        command = source.next_command()
        events = naive.apply(source.ts_us, command)
        source.observe(events)
        yield Step(source.ts_us, command, events)


class ReducingCommands(OrderCommands):
    """A stream in which most orders are placed in the instrument listed first."""

    def __init__(self, seed: int, naive: NaiveExchange) -> None:
        super().__init__(seed, naive)
        self.reducing = Random(f"reducing {seed}")
        # Some users can hardly pay for what they want.
        self.queue += [Deposit(user_id, self.reducing.choice((10**7, 10**10, 10**10))) for user_id in USERS]

    def next_command(self) -> Command:
        """Return the next command, and advance `ts_us`."""
        command, one_in = super().next_command(), self.reducing.randrange
        if isinstance(command, PlaceOrder) and self.live and one_in(4):
            command = self._meeting(self.live[0])
        elif isinstance(command, EditOrder) and self.open_ids:
            # It loses its place, so that orders at one price do not trade in the order of their ids.
            order_id = self.reducing.choice(self.open_ids)
            user_id, choose = self.placed[order_id].user_id, self.reducing.choice
            command = EditOrder(user_id, order_id, None, choose(PRICES), choose((None, 500, 1_500)))
        self.last = command
        return command

    def _meeting(self, instrument_id: str) -> PlaceOrder:
        choose, user_id = self.reducing.choice, self.reducing.choice(USERS)
        position = self.naive.position(user_id, instrument_id)
        side: Side = choose(("bid", "ask"))
        closing: Side = "ask" if position > 0 else "bid"
        price, size, kind = choose(PRICES), choose((300, 500, 1_000, 2_000)), self.reducing.randrange(5)
        if kind == 0:
            return PlaceOrder(user_id, instrument_id, side, "market", "fok", None, size * choose((1, 2, 3)))
        if kind == 1:
            return PlaceOrder(user_id, instrument_id, side, "limit", "fok", price, size * choose((1, 2, 3)))
        is_reducing = kind < 4 and position != 0
        return PlaceOrder(
            user_id,
            instrument_id,
            closing if is_reducing else choose((side, closing)),
            "limit",
            "gtc",
            price,
            size,
            reduce_only=is_reducing or UNSET,
            display_milli=choose((UNSET, 100, 200)),
        )


class ReducingLinkCommands(ReducingCommands, LinkCommands):
    """The same with pairs and primaries among these orders."""

    def next_command(self) -> Command:
        """Return the next command, and advance `ts_us`."""
        command, one_in = super().next_command(), self.reducing.randrange
        if isinstance(command, PlaceOrder) and self.live and command.time_in_force == "gtc" and not one_in(3):
            command = self._pair(command) if one_in(3) else self._primary(command)
            self.last = command
        return command

    def _pair(self, first: PlaceOrder) -> PlaceLinkedOrders:
        choose = self.reducing.choice
        terms = {"price_micros": choose(PRICES), "size_milli": choose((300, 500, 1_000)), "display_milli": UNSET}
        orders = [first, replace(first, **terms, reduce_only=choose((first.reduce_only, UNSET)))]
        if not self.reducing.randrange(2):
            orders.reverse()
        return PlaceLinkedOrders(first.user_id, "one_cancels_other", self._condition(), [*orders])

    def _primary(self, first: PlaceOrder) -> PlaceLinkedOrders:
        first = replace(first, reduce_only=UNSET)
        back: Side = "ask" if first.side == "bid" else "bid"
        second = replace(first, side=back, price_micros=self.reducing.choice(PRICES), display_milli=UNSET)
        return PlaceLinkedOrders(first.user_id, "one_triggers_other", self._condition(), [first, second])

    def _condition(self) -> FillCondition:
        conditions: tuple[FillCondition, ...] = ("first_hit", "complete_fill", "incremental")
        return self.reducing.choice(conditions)
