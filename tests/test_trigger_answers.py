"""What the server answers about trigger orders, and about commands that trigger orders of others."""

from typing import cast

from msgspec.structs import replace

from exchange.domain.commands import (
    CancelAll,
    CancelOrder,
    CancelUserOrders,
    Command,
    CreateInstrument,
    Genesis,
    OpenAccount,
    PlaceOrder,
    PlaceTriggerOrder,
)
from exchange.domain.events import Event, OrderRepeated, Refused, TriggerOrderEnded, TriggerOrderPlaced
from exchange.domain.reasons import Reason
from exchange.domain.rules import Rules
from exchange.domain.units import TRIGGERED_MAX
from exchange.engine.engine import Engine
from exchange.gateway.caller import Caller
from exchange.gateway.trading import cancel_all_answer, order_answer
from exchange.journal.records import Record
from exchange.projections.fold import Change
from exchange.projections.views import Views
from tests.small_market import CALL, START_US, USDC, buy, sell
from tests.test_triggers import CENT, stop


class _Caller:
    """What the answers need of a client."""

    def __init__(self, views: Views, user_id: str) -> None:
        self.views, self.user_id = views, user_id


class _Exchange:
    """An engine with three accounts, and one instrument."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.engine = Engine()
        self.do(Genesis(rules or Rules()), CreateInstrument(CALL, CENT, 1))
        for user_id in ("alice", "bob", "carol"):
            self.do(OpenAccount(user_id, 10_000 * USDC))

    def do(self, *commands: Command) -> tuple[list[Event], Change]:
        """Carry out the commands; return the events and the changes of the last one."""
        for command in commands:
            seq = self.engine.head.seq + 1
            events, change = self.engine.step(Record(seq, START_US + seq, "", bytes(32)), command)
        return events, change

    def client(self, user_id: str) -> Caller:
        return cast(Caller, _Caller(self.engine.views, user_id))


def due_orders() -> _Exchange:
    """An exchange in which the only order of carol rests, and in which three stops of bob are due."""
    exchange = _Exchange()
    exchange.do(*[stop("alice", 2 * USDC)] * TRIGGERED_MAX, *[stop("bob", 3 * USDC)] * 3, buy("carol", 1, USDC))
    exchange.do(sell("bob", 1, 5 * USDC), buy("alice", 1, 5 * USDC))
    assert exchange.engine.state.triggers is not None and len(exchange.engine.state.triggers.due) == 3
    return exchange


def test_a_mass_cancellation_answers_with_the_orders_that_it_cancelled_only() -> None:
    """The same command triggers the orders that are due; those of others are no part of the answer."""
    for command in (CancelAll("carol"), CancelUserOrders("carol")):
        exchange = due_orders()
        _, change = exchange.do(command)
        assert len(change.orders) == 7, "no order triggered"
        answer = cancel_all_answer(exchange.client("carol"), change)
        assert (answer.cancelled, answer.order_ids) == (1, [TRIGGERED_MAX + 4])


def test_a_mass_cancellation_answers_with_the_oldest_order_first() -> None:
    exchange = _Exchange()
    exchange.do(stop("alice", 3 * USDC), buy("alice", 1, USDC), stop("alice", 3 * USDC))
    _, change = exchange.do(CancelAll("alice"))
    assert cancel_all_answer(exchange.client("alice"), change).order_ids == [1, 2, 3]


def test_an_order_that_is_due_is_cancelled_like_any_other() -> None:
    exchange = due_orders()
    first_of_bob = TRIGGERED_MAX + 1
    events, _ = exchange.do(CancelOrder("bob", first_of_bob))
    assert isinstance(events[0], TriggerOrderEnded) and events[0].status == "cancelled", events[0]
    exchange.engine.state.check()


def keyed(client_order_id: str) -> PlaceTriggerOrder:
    return replace(stop("alice", 9 * USDC), client_order_id=client_order_id)


def test_a_repeated_order_is_answered_as_long_as_the_matcher_knows_it() -> None:
    """Orders and trigger orders that ended do not crowd each other out, also not in a snapshot."""
    first: list[PlaceOrder | PlaceTriggerOrder] = [keyed("x"), buy("alice", 1, USDC, client_order_id="x")]
    for one in first:
        exchange = _Exchange(Rules(finished_orders_kept=3))
        exchange.do(one, CancelOrder("alice", None, "x"))
        for n in range(3):
            other = keyed(f"o{n}") if one is first[1] else buy("alice", 1, USDC, client_order_id=f"o{n}")
            exchange.do(other, CancelOrder("alice", None, f"o{n}"))
        for engine in (exchange.engine, Engine.restore(exchange.engine.snapshot())):
            exchange.engine = engine
            events, change = exchange.do(one)
            assert isinstance(events[0], OrderRepeated)
            assert order_answer(exchange.client("alice"), change).order.order_id == 1
            assert len(engine.views.finished_orders("alice", 10)) == 4


def test_an_account_has_1000_untriggered_orders_at_most() -> None:
    exchange = _Exchange()
    calls = [CALL.replace("150", str(strike)) for strike in range(200, 211)]
    exchange.do(*[CreateInstrument(call, CENT, 1) for call in calls])
    for call in calls[:10]:
        for _ in range(100):
            exchange.do(replace(stop("alice", USDC), instrument_id=call))
    for_last = replace(stop("alice", USDC), instrument_id=calls[10])
    events, _ = exchange.do(for_last)
    assert events == [Refused("alice", Reason.TOO_MANY_TRIGGER_ORDERS)]
    events, _ = exchange.do(CancelOrder("alice", 1), for_last)
    assert isinstance(events[0], TriggerOrderPlaced)
    exchange.engine.state.check()
