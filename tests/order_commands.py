"""Random command streams with all types and features of orders: those of `random_commands`, with more drawn on top.

Each stream draws its additions from a generator of its own, so that the streams below it stay as they are.
"""

from collections.abc import Iterator
from random import Random

from msgspec import UNSET
from msgspec.structs import replace

from exchange.domain.commands import (
    CancelAll,
    CancelOrder,
    Command,
    ContinueTriggers,
    Deposit,
    EditOrder,
    OpenAccount,
    PlaceOrder,
    PlaceTriggerOrder,
    StartSession,
    Withdraw,
)
from exchange.domain.enums import OptionType, OrderType, Side, TimeInForce, Trigger, TriggerType
from exchange.domain.events import Event, OrderAccepted, TriggerOrderEnded, TriggerOrderPlaced
from exchange.domain.units import PRICE_MAX_MICROS, SIZE_MAX_MILLI
from tests.market_commands import FairMarketCommands
from tests.naive import NaiveExchange
from tests.naive_triggers import reference
from tests.random_commands import USERS, RandomCommands, Step

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
        # Every trigger order of the stream so far, and the ids of those that are untriggered.
        self.triggers: dict[int, PlaceTriggerOrder] = {}
        self.waiting: list[int] = []

    def next_command(self) -> Command:
        """Return the next command, and advance `ts_us`."""
        command = super().next_command()
        if isinstance(command, PlaceOrder) and self._one_in(5):
            command = self._trigger_order(command)
        elif isinstance(command, PlaceOrder) and self._one_in(5):
            command = self._reduce_only(command)
        elif isinstance(command, PlaceOrder) and (command not in self.placed.values() or self._one_in(4)):
            command = self._labelled(command)
        elif isinstance(command, EditOrder) and self.waiting and self._one_in(3):
            command = self._edit_of_trigger(command)
        elif isinstance(command, CancelOrder) and self.waiting and self._one_in(6):
            order_id = self.more.choice(list(self.triggers)[-12:] if self._one_in(3) else self.waiting)
            command = CancelOrder(self.triggers[order_id].user_id, order_id)
        elif isinstance(command, EditOrder) and self._one_in(3):
            command = self._by_label(command)
        elif isinstance(command, CancelOrder) and self._one_in(3):
            command = replace(command, order_id=None, client_order_id=None, label=self._label_of(command.user_id))
        elif isinstance(command, CancelAll) and not self._one_in(3):
            command = self._group(command)
        elif isinstance(command, Deposit | Withdraw) and self.placed and self._one_in(3):
            command = self._group(CancelAll(command.user_id))
        if isinstance(command, PlaceOrder | PlaceTriggerOrder):
            command = self._market_limit(self._iceberg(self._post_only(command)))
        if isinstance(command, PlaceOrder | PlaceTriggerOrder | EditOrder) and self._one_in(12):
            command = replace(command, valid_until_us=self.ts_us + self.more.choice((-1_000_000, -1, 0, 1, 1_000_000)))
        if isinstance(command, StartSession | OpenAccount) and self._one_in(2) and self.placed:
            command = ContinueTriggers()
        self.last = command
        return command

    def observe(self, events: list[Event]) -> None:
        """Note which orders exist, so that later commands can name them."""
        for event in events:
            match event:
                case OrderAccepted(trigger_order_id=int(trigger_order_id)):
                    of = self.triggers[trigger_order_id]
                    kind: OrderType = "market" if event.price_micros is None else "limit"
                    terms = (event.side, kind, event.time_in_force, event.price_micros, event.size_milli)
                    placed = PlaceOrder(
                        of.user_id,
                        of.instrument_id,
                        *terms,
                        of.post_only,
                        label=of.label,
                        reprices=of.reprices,
                        display_milli=of.display_milli,
                    )
                    self.last, last = placed, self.last
                    super().observe([event])
                    self.last = last
                case TriggerOrderPlaced(order_id=order_id):
                    assert isinstance(self.last, PlaceTriggerOrder)
                    self.triggers[order_id] = self.last
                    self.waiting.append(order_id)
                case TriggerOrderEnded(order_id=order_id):
                    self.waiting.remove(order_id)
                case _:
                    super().observe([event])

    def _one_in(self, count: int) -> bool:
        return self.more.randrange(count) == 0

    def _labelled(self, order: PlaceOrder) -> PlaceOrder:
        return replace(order, label=self.more.choice(LABELS)) if self._one_in(2) else order

    def _reduce_only(self, order: PlaceOrder) -> PlaceOrder:
        """Let the order reduce one of the positions, and rest until it does."""
        positions = [key for key, position in self.naive.positions.items() if position and key[0] in USERS]
        if order.type != "limit" or order in self.placed.values() or not positions:
            return order
        user_id, instrument_id = self.more.choice(positions)
        side: Side = "ask" if self.naive.positions[user_id, instrument_id] > 0 else "bid"
        in_force: TimeInForce = self.more.choice(("gtc", "gtc", "day", order.time_in_force))
        post_only = order.post_only and in_force in ("gtc", "day")
        order = replace(order, time_in_force=in_force, reduce_only=True, post_only=post_only)
        return replace(order, user_id=user_id, instrument_id=instrument_id, side=side)

    def _post_only(self, order: PlaceOrder | PlaceTriggerOrder) -> PlaceOrder | PlaceTriggerOrder:
        """Let most post-only orders, and some others that can rest, get a price at which they do not trade."""
        if order in self.placed.values() or order.price_micros is None or order.time_in_force not in ("gtc", "day"):
            return order
        if order.post_only or self._one_in(8):
            return order if self._one_in(4) else replace(order, post_only=True, reprices=True)
        return order

    def _market_limit(self, order: PlaceOrder | PlaceTriggerOrder) -> Command:
        """Let the order trade at the best price alone, and rest there."""
        rests = order.time_in_force in ("gtc", "day") and not order.post_only and order not in self.placed.values()
        if not isinstance(order, PlaceOrder) or order.price_micros is None or not rests or not self._one_in(8):
            return order
        return replace(order, type="market_limit", price_micros=None)

    def _iceberg(self, order: PlaceOrder | PlaceTriggerOrder) -> PlaceOrder | PlaceTriggerOrder:
        """Let the order show a part of it at once."""
        if order in self.placed.values() or order.price_micros is None or order.time_in_force not in ("gtc", "day"):
            return order
        if not self._one_in(5):
            return order
        size = order.size_milli * self.more.choice((1, 2, 3, 10)) if order.size_milli < SIZE_MAX_MILLI // 10 else 1_000
        display = self.more.choice((size // 2, size // 3, size // 5, size, size + 1, 100, 99, size // 101, 0))
        return replace(order, size_milli=size, display_milli=display)

    def _trigger_order(self, order: PlaceOrder) -> Command:
        """Let the order wait for a price, mostly one near the price now."""
        choose = self.more.choice
        trigger: Trigger = choose(("index_price", "mark_price", "mark_price", "last_price", "last_price"))
        if order.type == "market_limit" or (order.type == "limit" and self._one_in(3)):
            order = replace(order, type="market", time_in_force="ioc", price_micros=None, post_only=False)
        kinds: tuple[TriggerType, ...] = ("stop_market", "take_market", "trailing_stop")
        if order.type == "limit":
            kinds = ("stop_limit", "take_limit")
        kind = choose(kinds)
        now = self._price_now(order.instrument_id, trigger) or 500_000
        distance = choose((0, 1, now // 50, now // 20, now // 20, now // 5))
        waits_for_rise = (order.side == "bid") == (kind not in ("take_market", "take_limit"))
        if waits_for_rise == self._one_in(4):
            distance = -distance
        level: int | None = max(0, now + distance)
        offset = None
        if kind == "trailing_stop":
            level, offset = None, choose((0, 1, now // 50, now // 20, now // 10, PRICE_MAX_MICROS + 1))
        return PlaceTriggerOrder(
            order.user_id,
            order.instrument_id,
            order.side,
            kind,
            trigger,
            level,
            offset,
            order.time_in_force,
            order.price_micros,
            order.size_milli,
            order.post_only,
            order.client_order_id,
            order.reduce_only,
            choose((UNSET, *LABELS)),
        )

    def _price_now(self, instrument_id: str, trigger: Trigger) -> int | None:
        instrument = self.naive.instruments.get(instrument_id)
        return None if instrument is None else reference(self.naive, instrument, trigger)

    def _edit_of_trigger(self, edit: EditOrder) -> EditOrder:
        """Name a trigger order, mostly one that waits, and change its trigger price or offset, or its other terms."""
        order_id = self.more.choice(list(self.triggers)[-12:] if self._one_in(4) else self.waiting)
        order = self.triggers[order_id]
        edit = replace(edit, user_id=order.user_id, order_id=order_id, client_order_id=None)
        if order.price_micros is None and not self._one_in(6):
            edit = replace(edit, price_micros=None)
        now = self._price_now(order.instrument_id, order.trigger) or 500_000
        wanted = max(0, now + self.more.choice((-now // 20, -1, 1, now // 20, now // 5)))
        what = self.more.randrange(4)
        if what == 0:
            return replace(edit, trigger_price_micros=wanted)
        if what == 1:
            return replace(edit, trigger_offset_micros=self.more.choice((0, 0, 1, now // 20)))
        if what == 2:
            offset = order.trigger_offset_micros
            return replace(edit, trigger_price_micros=wanted) if offset is None else edit
        return edit

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
