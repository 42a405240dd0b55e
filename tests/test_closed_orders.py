"""Closed orders of an image stay encoded, and yet behave as a dictionary of all closed orders."""

import random
from collections import OrderedDict

import pytest

from exchange.domain.instruments import parse_instrument_id
from exchange.matching import closed_orders
from exchange.matching.book import Order, OrderBook
from exchange.matching.closed_orders import NO_ORDERS, SEARCHES_MAX, ClosedOrders

INSTRUMENT = "SOL_USDC-20FEB26-160-C"
BOOKS = {INSTRUMENT: OrderBook(parse_instrument_id(INSTRUMENT), 10_000, 1, "open", 0)}


def an_order(order_id: int) -> Order:
    """An order; every third one has a client_order_id."""
    client_order_id = f"c{order_id}" if order_id % 3 == 0 else None
    terms = 10_000, order_id, 0, 10_000, order_id
    return Order(order_id, "alice", BOOKS[INSTRUMENT], "bid", "limit", "gtc", False, client_order_id, *terms)


def restored(orders: ClosedOrders) -> ClosedOrders:
    return ClosedOrders("alice", BOOKS, orders.encoded())


@pytest.mark.parametrize("seed", range(20))
def test_it_behaves_as_a_dictionary(seed: int) -> None:
    random_numbers = random.Random(seed)
    orders, expected, ids = ClosedOrders("alice", BOOKS), OrderedDict[int, Order](), [1]
    kept = random_numbers.randrange(1, 30)
    for _ in range(200):
        match random_numbers.randrange(8):
            case 0 | 1 | 2:
                order = expected[ids[-1]] = an_order(ids[-1])
                orders.add(order, kept)
                ids.append(ids[-1] + random_numbers.choice((1, 1, 2, 70_000)))
            case 3:
                kept = random_numbers.randrange(1, 30)
                orders.evict(kept)
            case 4:
                order_id = random_numbers.choice(ids)
                found = orders.find(order_id)
                assert (found and found.order_id) == (order_id if order_id in expected else None)
            case 5:
                order_id = random_numbers.choice(ids)
                found = orders.find_client_order(f"c{order_id}")
                is_known = order_id in expected and order_id % 3 == 0
                assert (found and found.order_id) == (order_id if is_known else None)
            case 6:
                orders = restored(orders)
            case _:
                orders.encoded()
        while len(expected) > kept:
            expected.popitem(last=False)
    plain = ClosedOrders("alice", BOOKS)
    for order in expected.values():
        plain.add(order, kept)
    assert orders.encoded() == plain.encoded()
    assert list(orders) == list(expected) and len(orders) == len(expected)
    assert orders.encoded() == plain.encoded()


def test_what_commands_do_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = ClosedOrders("alice", BOOKS)
    for order_id in range(1_000, 1_100):
        orders.add(an_order(order_id), 100)
    orders = restored(orders)

    def decode(image: bytes) -> list[list[object]]:
        raise AssertionError("closed orders were decoded")

    monkeypatch.setattr(closed_orders, "_decode_rows", decode)
    orders.add(an_order(2_000), 100)
    assert orders.find(3_000) is None and orders.find_client_order("c3000") is None
    assert orders.find_client_order("c2001") is None
    orders = restored(orders)
    orders.add(an_order(2_002), 100)
    with pytest.raises(AssertionError, match="were decoded"):
        orders.find(1_099)


def test_many_searches_end_with_decoded_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = ClosedOrders("alice", BOOKS)
    orders.add(an_order(1_000), 100)
    orders, decode, decoded = restored(orders), closed_orders._decode_rows, list[bytes]()

    def noted(image: bytes) -> list[list[object]]:
        decoded.append(image)
        return decode(image)

    monkeypatch.setattr(closed_orders, "_decode_rows", noted)
    for _ in range(2 * SEARCHES_MAX):
        assert orders.find(5) is None
    assert len(decoded) == 1


def test_instruments_may_be_listed_after_the_state_was_restored() -> None:
    """The closed orders share the books of their state, also if there were none yet."""
    books: dict[str, OrderBook] = {}
    orders = ClosedOrders("alice", books, NO_ORDERS)
    books |= BOOKS
    orders.add(an_order(1), 100)
    assert orders.encoded() != NO_ORDERS
    assert list(orders) == [1]
