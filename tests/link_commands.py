"""Random command streams with linked orders, on top of those with mass quotes and all types of orders."""

from collections.abc import Iterator
from random import Random

from msgspec import UNSET
from msgspec.structs import replace

from exchange.domain.commands import (
    CancelOrder,
    Command,
    EditOrder,
    PlaceLinkedOrders,
    PlaceOrder,
    PlaceTriggerOrder,
)
from exchange.domain.enums import FillCondition, LinkType, Side, TriggerType
from exchange.domain.events import Event, LinkedOrdersPlaced, OrderAccepted, TriggerOrderPlaced
from tests.market_commands import FairMarketCommands
from tests.naive import NaiveExchange
from tests.quote_commands import QuoteCommands
from tests.random_commands import USERS, Step

AnyOrder = PlaceOrder | PlaceTriggerOrder


def link_steps(seed: int, count: int) -> Iterator[Step]:
    """Yield the first `count` commands of the stream of `seed`, with the naive exchange's events."""
    naive = NaiveExchange()
    source = LinkMarketCommands(seed, naive) if seed % 2 else LinkCommands(seed, naive)
    for _ in range(count):
        command = source.next_command()
        events = naive.apply(source.ts_us, command)
        source.observe(events)
        yield Step(source.ts_us, command, events)


class LinkCommands(QuoteCommands):
    """A stream in which a part of the orders come as linked ones."""

    def __init__(self, seed: int, naive: NaiveExchange) -> None:
        super().__init__(seed, naive)
        self.linking = Random(f"links {seed}")
        self.linked: list[PlaceLinkedOrders] = []

    def next_command(self) -> Command:
        """Return the next command, and advance `ts_us`."""
        command = super().next_command()
        one_in, choose = self.linking.randrange, self.linking.choice
        if isinstance(command, PlaceOrder | PlaceTriggerOrder) and not one_in(3):
            if self.linked and not one_in(12):
                command = choose(self.linked[-6:])
            else:
                command = self._linked(command)
                self.linked.append(command)
        elif isinstance(command, CancelOrder | EditOrder) and not one_in(3):
            command = self._of_linked(command)
        self.last = command
        return command

    def observe(self, events: list[Event]) -> None:
        """Note linked orders, and the parts of them, as if they were placed one by one."""
        command, orders = self.last, {}
        if isinstance(command, PlaceLinkedOrders) and isinstance(events[0], LinkedOrdersPlaced):
            orders = dict(zip(events[0].order_ids, command.orders, strict=True))
        for event in events:
            self.last = command
            if isinstance(event, TriggerOrderPlaced):
                of = self.triggers[event.part_of] if event.part_of is not UNSET else orders.get(event.order_id, command)
                assert isinstance(of, PlaceOrder | PlaceTriggerOrder)
                self.last = _as_trigger(of)
            elif isinstance(event, OrderAccepted) and event.order_id in orders:
                self.last = orders[event.order_id]
            super().observe([event])
        self.last = command

    def _of_linked(self, command: CancelOrder | EditOrder) -> CancelOrder | EditOrder:
        """Name an order that is linked now, if there is one."""
        ids = [order_id for pair in self.naive.pairs for order_id in pair.ids]
        ids += [order_id for it in self.naive.primaries for order_id in (it.order_id, *it.released)]
        users = {it.order_id: it.user_id for it in self.naive.orders}
        users |= {it.order_id: it.placed.user_id for it in self.naive.triggers}
        known = [order_id for order_id in ids if order_id in users]
        if not known:
            return command
        order_id = self.linking.choice(known)
        if isinstance(command, CancelOrder):
            return CancelOrder(users[order_id], order_id)
        return replace(command, user_id=users[order_id], order_id=order_id, client_order_id=None, label=UNSET)

    def _linked(self, first: AnyOrder) -> PlaceLinkedOrders:
        one_in, choose = self.linking.randrange, self.linking.choice
        links: tuple[LinkType, ...] = ("one_cancels_other", "one_triggers_other", "one_triggers_one_cancels_other")
        conditions: tuple[FillCondition, ...] = ("first_hit", "complete_fill", "incremental")
        link, condition = choose(links), choose(conditions)
        first = replace(first, user_id=choose(USERS) if one_in(20) else first.user_id)
        if one_in(8):
            first = self._plainer(first)
        count = 3 if link == "one_triggers_one_cancels_other" else 2
        orders: list[AnyOrder] = [first, *[self._other(first, link) for _ in range(count - 1)]]
        if link == "one_cancels_other" and one_in(15):
            orders[0] = self._resting(orders[0])
        if link != "one_triggers_other" and one_in(15):
            orders[1:] = [self._resting(it) for it in orders[1:]]
        if not one_in(40):
            orders = choose((orders[:1], [*orders, first], []))
        if orders and not one_in(40):
            orders[-1] = replace(orders[-1], user_id=choose(USERS))
        if not orders:
            orders = [first]
        return PlaceLinkedOrders(first.user_id, link, condition, orders)

    def _other(self, first: AnyOrder, link: LinkType) -> AnyOrder:
        """Return an order of the same user, mostly in the same instrument and of the same size."""
        one_in, choose = self.linking.randrange, self.linking.choice
        side: Side = "ask" if first.side == "bid" else "bid"
        price = first.price_micros or choose((100_000, 200_000, 400_000))
        price += choose((-2, -1, -1, 0, 1, 1, 2)) * 100_000
        size = first.size_milli if one_in(3) else choose((100, 500, 1_000, 2_000, 3_000))
        instrument_id = choose(self.live) if self.live and not one_in(4) else first.instrument_id
        name = choose((None, first.client_order_id, *[f"key-{n}" for n in range(12)])) if not one_in(5) else None
        other = PlaceOrder(
            first.user_id,
            instrument_id,
            choose((first.side, first.side, side)) if link == "one_cancels_other" else choose((side, side, first.side)),
            "limit",
            choose(("gtc", "gtc", "day")),
            max(100_000, price),
            size,
            not one_in(5),
            name,
            reduce_only=True if not one_in(8) else UNSET,
            connection=first.connection,
        )
        if link == "one_triggers_other" and not one_in(3):
            in_force = choose(("ioc", "fok"))
            other = replace(other, time_in_force=in_force, post_only=False)
            if not one_in(2):
                other = replace(other, type="market", price_micros=None)
        if one_in(2):
            return other
        trigger = self._trigger_order(other)
        assert isinstance(trigger, PlaceTriggerOrder)
        now = self._price_now(trigger.instrument_id, trigger.trigger)
        if now is None and one_in(8):
            kind: TriggerType = "stop_market" if trigger.price_micros is None else "stop_limit"
            trigger = replace(trigger, type=kind, trigger="last_price", trigger_offset_micros=None)
        if trigger.trigger_offset_micros is None and not trigger.trigger_price_micros:
            trigger = replace(trigger, trigger_price_micros=choose((100_000, 300_000)))
        return replace(trigger, connection=first.connection)

    def _plainer(self, order: AnyOrder) -> AnyOrder:
        """Drop what makes most of these orders fail a check, so that many are placed."""
        order = replace(order, valid_until_us=UNSET, display_milli=UNSET, reduce_only=UNSET, reprices=UNSET)
        if self.linking.randrange(4):
            order = replace(order, client_order_id=None)
        if isinstance(order, PlaceOrder):
            order = replace(order, size_milli=max(100, min(order.size_milli, 3_000)), post_only=False)
        return order

    def _resting(self, order: AnyOrder) -> AnyOrder:
        if isinstance(order, PlaceTriggerOrder) or order.price_micros is None:
            return order
        return replace(order, type="limit", time_in_force="gtc" if order.time_in_force != "day" else "day")


def _as_trigger(order: AnyOrder) -> PlaceTriggerOrder:
    """Return a trigger order with the terms of a plain order, which waits for fills of another one."""
    if isinstance(order, PlaceTriggerOrder):
        return order
    kind: TriggerType = "stop_market" if order.price_micros is None else "stop_limit"
    return PlaceTriggerOrder(
        order.user_id,
        order.instrument_id,
        order.side,
        kind,
        "last_price",
        1,
        None,
        order.time_in_force,
        order.price_micros,
        order.size_milli,
        order.post_only,
        order.client_order_id,
        order.reduce_only,
        order.label,
        order.reprices,
        order.display_milli,
    )


class LinkMarketCommands(LinkCommands, FairMarketCommands):
    """The same in a market by rules version 2."""
