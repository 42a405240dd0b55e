"""Links between orders of one user: which order ends another one, and which order's fills place others.

The rules are Deribit's for `linked_order_type` and `trigger_fill_condition`
(https://docs.deribit.com/api-reference/trading/private-buy). The other modules look orders up here by their ids, so
that an order without links needs no memory for them, and a match one test.
"""

from __future__ import annotations

from exchange.domain.enums import FillCondition


class OrderPair:
    """Two orders of which one cancels the other (OCO)."""

    __slots__ = ("condition", "first_id", "second_id", "user_id")

    def __init__(self, user_id: str, condition: FillCondition, first_id: int, second_id: int) -> None:
        self.user_id = user_id
        self.condition: FillCondition = condition
        self.first_id = first_id
        self.second_id = second_id

    def other(self, order_id: int) -> int:
        """Return the id of the other order."""
        return self.second_id if order_id == self.first_id else self.first_id


class Primary:
    """An order whose fills place its secondary orders (OTO, and the first order of OTOCO).

    `secondaries` are the untriggered orders that wait for it, by id, with the part of each that fills have released and
    that is not placed yet. `price_micros` is that of the last fill.
    """

    __slots__ = ("condition", "order_id", "price_micros", "secondaries", "user_id")

    def __init__(
        self,
        user_id: str,
        condition: FillCondition,
        order_id: int,
        secondaries: dict[int, int],
        price_micros: int = 0,
    ) -> None:
        self.user_id = user_id
        self.condition: FillCondition = condition
        self.order_id = order_id
        self.secondaries = secondaries
        self.price_micros = price_micros


class Links:
    """All links, by the ids of their orders.

    `filled` are the primaries with a fill in the command now carried out, whose secondaries are looked at next.
    """

    __slots__ = ("filled", "pairs", "primaries")

    def __init__(self) -> None:
        self.pairs: dict[int, OrderPair] = {}
        self.primaries: dict[int, Primary] = {}
        self.filled: dict[int, None] = {}

    @property
    def are_none(self) -> bool:
        """True if no order is linked."""
        return not (self.pairs or self.primaries)

    def add_pair(self, pair: OrderPair) -> None:
        """Let one order cancel the other."""
        self.pairs[pair.first_id] = self.pairs[pair.second_id] = pair

    def drop_pair(self, pair: OrderPair) -> None:
        """Let both orders stand alone."""
        del self.pairs[pair.first_id], self.pairs[pair.second_id]

    def drop_primary(self, primary: Primary) -> None:
        """Forget a primary, which has no secondary left."""
        del self.primaries[primary.order_id]
        self.filled.pop(primary.order_id, None)

    def move(self, order_id: int, new_id: int) -> Primary | None:
        """Let the order that a trigger order places take its place; return it as a primary, if it is one."""
        pair = self.pairs.pop(order_id, None)
        if pair is not None:
            if pair.first_id == order_id:
                pair.first_id = new_id
            else:
                pair.second_id = new_id
            self.pairs[new_id] = pair
        primary = self.primaries.pop(order_id, None)
        if primary is not None:
            primary.order_id = new_id
            self.primaries[new_id] = primary
        return primary
