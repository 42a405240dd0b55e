"""Price and time priority against a third party's order flow: every report line, in 34 cases and five long streams.

The data (MIT licence) are in ../shared/data/matching-cases. Without them, those tests are skipped, and the hand-made
cases in this file, in the same format, remain.

One account places all orders, with self-trade prevention off, and the external ids are its client_order_ids. Closed
orders are dropped at once, so that ids are free again, and a modification is a cancellation and a new order.
"""

import gzip
import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from exchange.domain.commands import CancelOrder, Command, CreateInstrument, Genesis, OpenAccount, PlaceOrder
from exchange.domain.events import Event, OrderAccepted, OrderCancelled, Refused, Traded
from exchange.domain.rules import Rules
from exchange.domain.units import NUMBER_MAX, PRICE_STEP_MICROS
from exchange.matching.apply import apply
from exchange.matching.state import State

DATA = Path(__file__).parents[2] / "shared" / "data" / "matching-cases"
STREAMS = ("normal", "static", "swing-25", "swing-40", "flash-crash")
INSTRUMENT = "TEST_USDC-31DEC99-1-C"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the third party's order flow is not at {DATA}")


class Message(NamedTuple):
    """`type`: 0 new, 1 cancel, 2 modify. `side`: 0 buy, 1 sell. `qty` becomes millicontracts."""

    type: int
    side: int
    ioc: int
    qty: int
    order_id: int
    price_ticks: int


class Reporter:
    """The exchange, reporting as the data do: `kind,seq,...`."""

    def __init__(self) -> None:
        self.state = State()
        self.ts_us = 1_700_000_000_000_000
        self.external_ids: dict[int, int] = {}  # by order_id
        rules = Rules(self_trade_prevention="off", open_orders_max=1_000_000, finished_orders_kept=0)
        self.apply(Genesis(rules))
        self.apply(CreateInstrument(INSTRUMENT, PRICE_STEP_MICROS, 1))
        self.apply(OpenAccount("trader", NUMBER_MAX))

    def apply(self, command: Command) -> list[Event]:
        self.ts_us += 1
        return apply(self.state, self.ts_us, command)

    def play(self, seq: int, message: Message) -> list[str]:
        """Return the report lines of one message, in order of their kinds."""
        if message.type == 0:
            lines = self.new(seq, message, "0")
        else:
            cancelled = self.apply(CancelOrder("trader", client_order_id=str(message.order_id)))
            if isinstance(cancelled[0], Refused):
                lines = [f"{message.type + 3},{seq},{message.order_id}"]
            elif message.type == 1:
                lines = list(self.lines(seq, cancelled))
            else:
                lines = self.new(seq, message, "3")
        return sorted(lines, key=lambda line: int(line[0]))

    def new(self, seq: int, message: Message, kind: str) -> list[str]:
        events = self.apply(
            PlaceOrder(
                user_id="trader",
                instrument_id=INSTRUMENT,
                side="ask" if message.side else "bid",
                type="limit",
                time_in_force="ioc" if message.ioc else "gtc",
                price_micros=message.price_ticks * PRICE_STEP_MICROS,
                size_milli=message.qty,
                client_order_id=str(message.order_id),
            )
        )
        assert isinstance(events[0], OrderAccepted), f"message {seq}: {events[0]}"
        self.external_ids[events[0].order_id] = message.order_id
        acknowledged = f"{kind},{seq},{message.side},{message.order_id},{message.price_ticks},{message.qty}"
        return [acknowledged, *self.lines(seq, events)]

    def lines(self, seq: int, events: Iterable[Event]) -> Iterator[str]:
        for event in events:
            match event:
                case Traded():
                    maker, taker = self.external_ids[event.maker_order_id], self.external_ids[event.taker_order_id]
                    yield f"1,{seq},{event.price_micros // PRICE_STEP_MICROS},{event.size_milli},{maker},{taker}"
                case OrderCancelled():
                    assert event.price_micros is not None
                    side, external_id = int(event.side == "ask"), self.external_ids[event.order_id]
                    yield f"2,{seq},{side},{external_id},{event.price_micros // PRICE_STEP_MICROS}"


def reports(messages: Iterable[Message], check_every: int) -> list[str]:
    reporter, lines = Reporter(), []
    for seq, message in enumerate(messages):
        lines += reporter.play(seq, message)
        if seq % check_every == 0:
            reporter.state.check()
    reporter.state.check()
    return lines


def assert_same(got: list[str], expected: list[str]) -> None:
    """Assert that all lines are equal, and name the first that differs: pytest's own comparison would take minutes."""
    for number, (line, line_expected) in enumerate(zip(got, expected, strict=False)):
        assert line == line_expected, f"report {number} is another one; before it: {got[max(0, number - 3) : number]}"
    assert len(got) == len(expected), "there are reports missing or left over at the end"


HAND_MADE: dict[str, tuple[list[Message], list[str]]] = {
    # Two sellers at one price: a buyer takes the first, and half of the second.
    "time_priority": (
        [Message(0, 1, 0, 4, 7, 50), Message(0, 1, 0, 4, 8, 50), Message(0, 0, 0, 6, 9, 51)],
        ["0,0,1,7,50,4", "0,1,1,8,50,4", "0,2,0,9,51,6", "1,2,50,4,7,9", "1,2,50,2,8,9"],
    ),
    # The better price trades first; the rest of an ioc is cancelled, and cannot be cancelled again.
    "price_priority_and_ioc": (
        [
            *[Message(0, 0, 0, 3, 1, 40), Message(0, 0, 0, 3, 2, 41)],
            *[Message(0, 1, 1, 7, 3, 40), Message(1, 0, 0, 0, 3, 0)],
        ],
        ["0,0,0,1,40,3", "0,1,0,2,41,3", "0,2,1,3,40,7", "1,2,41,3,2,3", "1,2,40,3,1,3", "2,2,1,3,40", "4,3,3"],
    ),
    # A modification loses the place even if only the size falls; it may trade at once, and its report comes after.
    "modify": (
        [
            *[Message(0, 0, 0, 5, 1, 40), Message(0, 0, 0, 5, 2, 40), Message(2, 0, 0, 4, 1, 40)],
            *[Message(0, 1, 0, 6, 3, 40), Message(0, 1, 0, 2, 4, 45), Message(2, 0, 0, 9, 1, 45)],
        ],
        [
            *["0,0,0,1,40,5", "0,1,0,2,40,5", "3,2,0,1,40,4"],
            *["0,3,1,3,40,6", "1,3,40,5,2,3", "1,3,40,1,1,3"],
            *["0,4,1,4,45,2", "1,5,45,2,4,1", "3,5,0,1,45,9"],
        ],
    ),
    # A cancel frees the id. An unknown or filled order can be neither cancelled nor modified.
    "ids": (
        [
            *[Message(0, 0, 0, 5, 1, 40), Message(1, 0, 0, 0, 1, 0), Message(1, 0, 0, 0, 1, 0)],
            *[Message(0, 1, 0, 5, 1, 42), Message(0, 0, 0, 5, 2, 42), Message(2, 1, 0, 5, 1, 43)],
            *[Message(2, 0, 0, 1, 99, 40)],
        ],
        [
            *["0,0,0,1,40,5", "2,1,0,1,40", "4,2,1", "0,3,1,1,42,5"],
            *["0,4,0,2,42,5", "1,4,42,5,1,2", "5,5,1", "5,6,99"],
        ],
    ),
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_hand_made_case(name: str) -> None:
    messages, expected = HAND_MADE[name]
    assert_same(reports(messages, check_every=1), expected)


def read_cases() -> dict[str, Any]:
    if not DATA.is_dir():
        return {}
    cases: dict[str, Any] = json.loads((DATA / "edge_cases.json").read_text())
    return cases


def read_stream(name: str) -> tuple[list[Message], list[str]]:
    """Read messages and reports of a stream: a header of magic, version and count, then records of 40 bytes."""
    packed = gzip.decompress((DATA / f"orders_{name}.bin.gz").read_bytes())
    _, _, count = struct.unpack_from("<QII", packed)
    messages = []
    for seq, record in enumerate(struct.iter_unpack("<BBBBIQQqq", packed[16:])):
        kind, side, ioc, _, qty, record_seq, order_id, price_ticks, _ = record
        assert record_seq == seq, "the stream has a gap"
        messages.append(Message(kind, side, ioc, qty, order_id, price_ticks))
    assert len(messages) == count
    return messages, gzip.decompress((DATA / f"expected_{name}.txt.gz").read_bytes()).decode().split("\n")


# The data have only the name of this case and the hash of its reports. These messages lead to that hash.
DEEP_SWEEP = [*[Message(0, 1, 0, 1, n, 100) for n in range(1, 5_001)], Message(0, 0, 0, 5_000, 5_001, 100)]


@needs_data
def test_all_named_cases_are_there() -> None:
    assert len(read_cases()) == 34


@needs_data
@pytest.mark.parametrize("name", read_cases())
def test_named_case(name: str) -> None:
    case = read_cases()[name]
    if name == "deep_recursive_sweep_5000":
        messages = DEEP_SWEEP
    else:
        messages = [Message(**message) for message in case["messages"]]
    got = reports(messages, check_every=100)
    if case["reports_liquibook"] is not None:
        assert_same(got, case["reports_liquibook"])
    assert hashlib.sha256("\n".join(got).encode()).hexdigest() == case["sha256_liquibook"]


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("name", STREAMS)
def test_stream(name: str) -> None:
    messages, expected = read_stream(name)
    assert len(messages) == 19_997
    assert_same(reports(messages, check_every=500), expected)
