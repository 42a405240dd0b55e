"""Random command streams with all types and features of orders: those of `random_commands`, with more drawn on top.

Each stream draws its additions from a generator of its own, so that the streams below it stay as they are.
"""

from collections.abc import Iterator
from random import Random

from msgspec import UNSET
from msgspec.structs import replace

from exchange.domain.commands import CancelAll, CancelOrder, Command, Deposit, EditOrder, PlaceOrder, Withdraw
from exchange.domain.enums import OptionType
from tests.market_commands import FairMarketCommands
from tests.naive import NaiveExchange
from tests.random_commands import RandomCommands, Step

LABELS = ("hedge", "scalp", "a b", 'Ünit "7"')


def order_steps(seed: int, count: int) -> Iterator[Step]:
    """Yield the first `count` commands of the stream of `seed`, with the naive exchange's events."""
    naive = NaiveExchange()
    source = OrderMarketCommands(seed, naive) if seed % 2 else OrderCommands(seed, naive)
    for _ in range(count):
        command = source.next_command()
        events = naive.apply(source.ts_us, command)
        source.observe(events)
        yield Step(source.ts_us, command, events)


class OrderCommands(RandomCommands):
    """A stream of commands in which orders have labels, and commands name orders by their labels."""

    def __init__(self, seed: int, naive: NaiveExchange) -> None:
        super().__init__(seed, naive)
        self.more = Random(f"orders {seed}")

    def next_command(self) -> Command:
        """Return the next command, and advance `ts_us`."""
        command = super().next_command()
        if isinstance(command, PlaceOrder) and (command not in self.placed.values() or self._one_in(4)):
            command = self._labelled(command)
        elif isinstance(command, EditOrder) and self._one_in(3):
            command = self._by_label(command)
        elif isinstance(command, CancelOrder) and self._one_in(3):
            command = replace(command, order_id=None, client_order_id=None, label=self._label_of(command.user_id))
        elif isinstance(command, CancelAll) and not self._one_in(3):
            command = self._group(command)
        elif isinstance(command, Deposit | Withdraw) and self.placed and self._one_in(3):
            command = self._group(CancelAll(command.user_id))
        self.last = command
        return command

    def _one_in(self, count: int) -> bool:
        return self.more.randrange(count) == 0

    def _labelled(self, order: PlaceOrder) -> PlaceOrder:
        return replace(order, label=self.more.choice(LABELS)) if self._one_in(2) else order

    def _label_of(self, user_id: str) -> str:
        """Return the label of one of the user's open orders; sometimes any other."""
        mine = (self.placed[order_id] for order_id in self.open_ids)
        labels = [order.label for order in mine if order.user_id == user_id and order.label is not UNSET]
        return self.more.choice(LABELS) if not labels or self._one_in(6) else self.more.choice(labels)

    def _by_label(self, edit: EditOrder) -> EditOrder:
        instrument_id = self._instrument_id() if self._one_in(2) else UNSET
        label = self._label_of(edit.user_id)
        return replace(edit, order_id=None, client_order_id=None, label=label, instrument_id=instrument_id)

    def _instrument_id(self) -> str:
        return "SOL_USDC-28FEB26-777-C" if not self.live or self._one_in(20) else self.more.choice(self.live)

    def _group(self, cancel: CancelAll) -> CancelAll:
        option_type: OptionType = self.more.choice(("call", "put"))
        return replace(
            cancel,
            asset=self.more.choice(("SOL", "BTC", "ETH")) if self._one_in(2) else UNSET,
            option_type=option_type if self._one_in(2) else UNSET,
            label=self._label_of(cancel.user_id) if self._one_in(2) else UNSET,
        )


class OrderMarketCommands(OrderCommands, FairMarketCommands):
    """The same in a market by rules version 2."""
