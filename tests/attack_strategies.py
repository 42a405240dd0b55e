"""Strategies of a coalition: lists of actions, drawn by a seed, at random or as a variation of a known attack."""

from random import Random
from typing import Literal, NamedTuple

from exchange.domain.enums import Side
from tests.attack_market import FAR_CALL, INSTRUMENTS, NEAR_CALL, NEAR_WING, SAFE, WINGS

ACTIONS_MAX = 40
Kind = Literal[
    "quote",
    "take",
    "clear",
    "wash",
    "dump",
    "cancel",
    "edit",
    "close",
    "withdraw",
    "requote",
    "index",
    "move",
    "expire",
]
KINDS: tuple[Kind, ...] = (
    *("quote", "quote", "quote", "take", "take", "clear", "wash", "dump", "cancel", "edit", "close", "withdraw"),
    *("requote", "index", "index", "move"),
)
# Of an order: a name, or the distance from the mark in millionths of the index.
Price = int | Literal["lowest", "near highest", "highest", "better"]
PRICES: tuple[Price, ...] = (
    *("lowest", -50_000, -20_000, -2_000, 0, 2_000, 10_000, 20_000, 35_000, 50_000),
    *("near highest", "highest", "better"),
)
CHEAP: tuple[Price, ...] = ("lowest", 0)
DEAR: tuple[Price, ...] = (10_000, 35_000, 50_000, 50_000, "highest")
# Of quotes and trades; MOST is as much as the exchange accepts.
MOST = 0
SIZES_MILLI = (100, 1_000, 20_000, 66_000, 300_000, MOST)
# More index prices than the insurance waits for before it takes over positions.
MANY = 12


class Action(NamedTuple):
    """One thing that an account of the coalition does, or that happens to all.

    `other` is the account on the other side of a wash trade or a dump. `times` is a number of index prices.
    """

    kind: Kind
    who: int = 0
    other: int = 1
    instrument_id: str = FAR_CALL
    side: Side = "ask"
    price: Price = "highest"
    size_milli: int = MOST
    times: int = 1


def two_quotes(numbers: Random) -> list[Action]:
    """Move the mark by the mid of two quotes, and offer to those whom it liquidates."""
    name = numbers.choice((FAR_CALL, FAR_CALL, *WINGS))
    return [
        Action("clear", 0, instrument_id=name, side="bid"),
        Action("quote", 1, instrument_id=name, side="bid", price="near highest", size_milli=100),
        Action("quote", 2, instrument_id=name, side="ask", price="highest", size_milli=66_000),
        Action("index", times=MANY),
    ]


def wash_trade(numbers: Random) -> list[Action]:
    """Move the mark by a trade of the coalition with itself, and offer to those whom it liquidates."""
    name = numbers.choice((FAR_CALL, FAR_CALL, *WINGS))
    return [
        Action("clear", 0, instrument_id=name, side="bid"),
        Action("wash", 1, 2, name, "bid", numbers.choice(("near highest", "highest")), 100),
        Action("quote", 2, instrument_id=name, side="ask", price="near highest", size_milli=66_000),
        Action("index", times=MANY),
    ]


def wings(numbers: Random) -> list[Action]:
    """Sell as many wings as the cash allows to an accomplice for next to nothing, and default if the index rises."""
    name = numbers.choice((NEAR_WING, *WINGS))
    return [
        Action("clear", 2, instrument_id=name, side="bid"),
        Action("dump", 0, 1, name, "ask", "lowest"),
        Action("withdraw", 0),
        *[Action("move"), Action("clear", 2, instrument_id=name, side="bid")] * numbers.choice((2, 6, 12)),
        Action("index", times=numbers.choice((1, MANY))),
        Action("expire"),
    ]


def milking(numbers: Random) -> list[Action]:
    """Buy options that keep their value, sell others to an accomplice, and let the insurance pay for the losses."""
    return [
        Action("take", 0, instrument_id=SAFE, side="bid", size_milli=numbers.choice((66_000, 100_000, MOST))),
        Action("dump", 0, 1, numbers.choice((NEAR_CALL, FAR_CALL)), "ask", numbers.choice(CHEAP)),
        *[Action("move")] * numbers.choice((2, 6, 10)),
        Action("index", times=numbers.choice((1, MANY))),
        Action("expire"),
        Action("close", 0, instrument_id=SAFE),
    ]


def squeeze(numbers: Random) -> list[Action]:
    """Take all offers, and offer to those whom a move of the index liquidates."""
    name = numbers.choice((FAR_CALL, NEAR_CALL, *WINGS[:2]))
    price = numbers.choice(DEAR)
    before = [Action("move")] * numbers.choice((0, 1, 2))
    corner = [
        Action("clear", 0, instrument_id=name, side="bid"),
        Action("quote", 1, instrument_id=name, side="ask", price=price),
        Action("quote", 0, instrument_id=name, side="ask", price=price, size_milli=66_000),
        Action("move"),
    ]
    return [*before, *corner * numbers.choice((1, 2, 3)), Action("index", times=MANY)]


def own_liquidation(numbers: Random) -> list[Action]:
    """Sell to an accomplice, who offers dear to the liquidation of the seller, so that the insurance pays the rest."""
    name = numbers.choice((FAR_CALL, SAFE, SAFE, *WINGS))
    offer = [
        Action("cancel", 1),
        Action("move"),
        Action("clear", 2, instrument_id=name, side="bid"),
        Action("quote", 1, instrument_id=name, side="ask", price=numbers.choice(DEAR)),
        Action("index"),
    ]
    return [
        Action("clear", 2, instrument_id=name, side="bid"),
        Action("dump", 0, 1, name, "ask", numbers.choice(CHEAP)),
        Action("withdraw", 0),
        *offer * numbers.choice((2, 4, 6)),
        Action("expire"),
    ]


def takeover(numbers: Random) -> list[Action]:
    """Get liquidated where nothing is offered, so that the insurance takes over positions at the mark."""
    name = numbers.choice(INSTRUMENTS)
    side: Side = numbers.choice(("bid", "ask"))
    return [
        Action("take", 0, instrument_id=numbers.choice(INSTRUMENTS), side="bid", size_milli=66_000),
        Action("take", 0, instrument_id=name, side="ask"),
        Action("withdraw", 0),
        *[Action("move"), Action("clear", 1, instrument_id=name, side=side)] * numbers.choice((1, 3, 6)),
        Action("index", times=MANY),
    ]


TEMPLATES = (two_quotes, wash_trade, wings, milking, squeeze, own_liquidation, takeover)


def strategy_of(seed: int) -> list[Action]:
    """The strategy of a seed: random actions, or a template with some of them.

    In half of all strategies the index stays where it is.
    """
    numbers = Random(f"strategy {seed}")
    if numbers.random() < 0.4:
        actions = [_random_action(numbers) for _ in range(numbers.randint(2, ACTIONS_MAX))]
    else:
        actions = _varied(numbers, numbers.choice(TEMPLATES)(numbers))
    if numbers.random() < 0.5:
        actions = [action for action in actions if action.kind not in ("move", "expire")]
    return actions[:ACTIONS_MAX]


def _varied(numbers: Random, actions: list[Action]) -> list[Action]:
    """Leave out, change and add some actions."""
    varied: list[Action] = []
    for action in actions:
        if numbers.random() < 0.1:
            varied.append(_random_action(numbers))
        if numbers.random() < 0.1:
            action = action._replace(price=numbers.choice(PRICES))
        if numbers.random() < 0.1:
            action = action._replace(size_milli=numbers.choice(SIZES_MILLI))
        if numbers.random() < 0.95:
            varied.append(action)
    return varied


def _random_action(numbers: Random) -> Action:
    who, other = numbers.sample(range(3), 2)
    side: Side = numbers.choice(("bid", "ask"))
    return Action(
        numbers.choice(KINDS),
        who,
        other,
        numbers.choice(INSTRUMENTS),
        side,
        numbers.choice(PRICES),
        numbers.choice(SIZES_MILLI),
        numbers.choice((1, 1, 3, MANY)),
    )
