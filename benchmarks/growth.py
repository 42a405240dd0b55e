"""Orders per second and their 99th percentile in a large exchange, compared with a small one.

Each row makes one thing large: resting orders in the traded book, instruments, accounts, settled series or subscribers.
Both exchanges run and get the load of `orders` in turn, so that other programs disturb both. Neither has a follower.
"""

import asyncio
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks.journals import START_US, a_microsecond_apart, write_journal
from benchmarks.meter import Report
from benchmarks.order_flow import MID_PRICE_MICROS, TICK_MICROS
from benchmarks.orders import load, plain_market
from benchmarks.scale import Scale
from benchmarks.servers import Server, exchange_arguments, running
from benchmarks.subscribers import subscribed
from benchmarks.table import Goal, Row, median
from exchange.domain.commands import Command, CreateInstrument, EndDay, Genesis, OpenAccount, PlaceOrder, SetIndexPrice
from exchange.domain.enums import Side
from exchange.domain.rules import RULES_VERSION, Rules
from exchange.domain.units import MICROS_PER_USDC, US_PER_DAY, next_day_end_us
from exchange.engine.alarm import Alarm, raise_alarm
from exchange.runtime.demo import START_USDC

INSTRUMENT = "BENCH_USDC-31DEC98-1-C"
RATE_GOAL = Goal(ratio=0.9)
P99_GOAL = Goal(ratio=1.1, at_most=True)
CASH_MICROS = 1_000_000 * MICROS_PER_USDC
# Of each of very many users: all cash together has a limit.
USER_CASH_MICROS = 1_000 * MICROS_PER_USDC
RESTING_USERS = 100
# Resting orders are further from the middle than those of the load.
AWAY_TICKS, LEVELS = 20, 100


class Size(NamedTuple):
    """The size of an exchange. `settled_days`: days of the demo's series that are settled."""

    resting: int = 100
    instruments: int = 1
    users: int = 1
    settled_days: int = 0
    # Subscribers of the traded book, and of other ones.
    busy_subscribers: int = 0
    quiet_subscribers: int = 0


def run(scale: Scale) -> list[Row]:
    """Two rows for each thing that grows."""
    count = scale.sized
    grown = (
        ("resting orders", count(200_000, 200), Size(resting=count(200_000, 200))),
        ("instruments", count(1_000, 5), Size(instruments=count(1_000, 5))),
        ("users", count(10_000, 20), Size(users=count(10_000, 20))),
        ("settled days", count(365, 3), Size(settled_days=count(365, 3))),
        ("subscribers of quiet books", count(500, 5), Size(instruments=10, quiet_subscribers=count(500, 5))),
        ("subscribers of the book", count(500, 5), Size(busy_subscribers=count(500, 5))),
    )
    # The small one is measured anew with each.
    scale = scale._replace(seconds=max(0.1, scale.seconds / 2), rounds=scale.rounds if scale.is_full else 1)
    return [row for name, number, size in grown for row in _rows(f"{number:,} {name}", size, scale)]


def _rows(name: str, size: Size, scale: Scale) -> list[Row]:
    large, small = [], []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        exchanges = []
        for label, one in (("large", size), ("small", Size())):
            db = Path(folder) / f"{label}.db"
            asyncio.run(write_journal(db, commands(one)))
            # While an alarm stands, no follower starts.
            raise_alarm(db, Alarm(1, "no follower runs in this benchmark"))
            exchanges.append(stack.enter_context(running(*exchange_arguments(db))))
        _subscribe(stack, exchanges[0], size)
        for _ in range(scale.rounds):
            large.append(load(exchanges[0], scale, instrument_id=INSTRUMENT))
            small.append(load(exchanges[1], scale, instrument_id=INSTRUMENT))
    rates = [median([report.answers_per_second for report in some]) for some in (large, small)]
    p99s = [median([report.p99_us for report in some]) / 1000 for some in (large, small)]
    note = f"CPU of the main thread {_main_us(large):.1f} µs an order, small {_main_us(small):.1f}"
    return [
        Row(f"growth, {name}", rates[0], "orders/s", rates[1], "small", RATE_GOAL, note),
        Row(f"growth, {name}, p99", p99s[0], "ms", p99s[1], "small", P99_GOAL),
    ]


def _main_us(reports: list[Report]) -> float:
    return median([report.server_cpu_us["main thread"] for report in reports])


def _subscribe(stack: ExitStack, exchange: Server, size: Size) -> None:
    if size.busy_subscribers:
        stack.enter_context(subscribed(exchange.url, size.busy_subscribers, [f"book.{INSTRUMENT}.10"]))
    if size.quiet_subscribers:
        channels = [f"book.{name}.10" for name in instrument_ids(size.instruments)[1:]]
        stack.enter_context(subscribed(exchange.url, size.quiet_subscribers, channels, spread=True))


def instrument_ids(count: int) -> list[str]:
    """The instruments, the traded one first."""
    return [f"BENCH_USDC-31DEC98-{strike}-C" for strike in range(1, count + 1)]


def commands(size: Size) -> Iterator[tuple[int, Command]]:
    """The commands that make an exchange of this size, with their times."""
    begin_us = START_US - (size.settled_days + 1) * US_PER_DAY
    rules = Rules(starting_cash_micros=10 * CASH_MICROS, open_orders_max=100_000, market=plain_market())
    yield begin_us, Genesis(rules, RULES_VERSION)
    yield from _days(size.settled_days, begin_us + 1)
    yield from a_microsecond_apart(_market(size), START_US)


def _days(count: int, begin_us: int) -> Iterator[tuple[int, Command]]:
    """Index prices of each day, then its end, which settles and lists series."""
    random, prices_usdc = Random(1), dict(START_USDC)
    for _ in range(count):
        for number, asset in enumerate(prices_usdc):
            yield begin_us + number, SetIndexPrice(asset, prices_usdc[asset] * MICROS_PER_USDC)
            prices_usdc[asset] += round(prices_usdc[asset] * random.uniform(-0.03, 0.03))
        end_us = next_day_end_us(begin_us)
        begin_us = end_us + 1_000
        yield end_us, EndDay(end_us)


def _market(size: Size) -> Iterable[Command]:
    for instrument_id in instrument_ids(size.instruments):
        yield CreateInstrument(instrument_id, TICK_MICROS, 1)
    yield OpenAccount("seller", 100 * CASH_MICROS)
    for number in range(size.users):
        # A user with a position.
        yield OpenAccount(f"user-{number}", USER_CASH_MICROS)
        yield _order("seller", "ask", MID_PRICE_MICROS, 10)
        yield _order(f"user-{number}", "bid", MID_PRICE_MICROS, 10)
    for number in range(RESTING_USERS):
        yield OpenAccount(f"resting-{number}", 10 * CASH_MICROS)
    for number in range(size.resting):
        away_micros = (AWAY_TICKS + number // 2 % LEVELS) * TICK_MICROS
        user_id = f"resting-{number % RESTING_USERS}"
        if number % 2:
            yield _order(user_id, "ask", MID_PRICE_MICROS + away_micros, 1_000)
        else:
            yield _order(user_id, "bid", MID_PRICE_MICROS - away_micros, 1_000)


def _order(user_id: str, side: Side, price_micros: int, size_milli: int) -> PlaceOrder:
    return PlaceOrder(user_id, INSTRUMENT, side, "limit", "gtc", price_micros, size_milli)
