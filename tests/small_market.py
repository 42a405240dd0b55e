"""One option and three traders, for tests with a short, explicit history."""

from collections.abc import Iterator
from typing import Any

from exchange.domain.commands import Command, CreateInstrument, EndDay, Genesis, OpenAccount, PlaceOrder
from exchange.domain.rules import Rules

CALL = "SOL_USDC-28FEB26-150-C"
# 2026-02-20 00:00:00 UTC.
START_US = 1_771_545_600_000_000
USDC = 1_000_000


def buy(user_id: str, size_milli: int, price_micros: int | None, **more: Any) -> PlaceOrder:
    return _order(user_id, "bid", size_milli, price_micros, **more)


def sell(user_id: str, size_milli: int, price_micros: int | None, **more: Any) -> PlaceOrder:
    return _order(user_id, "ask", size_milli, price_micros, **more)


def _order(user_id: str, side: Any, size_milli: int, price_micros: int | None, **more: Any) -> PlaceOrder:
    is_market = price_micros is None
    more = {"time_in_force": "ioc" if is_market else "gtc"} | more
    return PlaceOrder(
        user_id,
        CALL,
        side,
        "market" if is_market else "limit",
        price_micros=price_micros,
        size_milli=size_milli,
        **more,
    )


def history(*commands: Command, rules: Rules = Rules()) -> Iterator[tuple[int, Command]]:
    """Yield commands with times: alice, bob and carol get 1,000 USDC each; `commands` begin at seq 6, one a second."""
    opening: list[Command] = [Genesis(rules), CreateInstrument(CALL, 10_000, 100)]
    opening += [OpenAccount(user_id, 1_000 * USDC) for user_id in ("alice", "bob", "carol")]
    ts_us = START_US
    for command in (*opening, *commands):
        ts_us = max(ts_us + USDC, command.day_end_us if isinstance(command, EndDay) else 0)
        yield ts_us, command
