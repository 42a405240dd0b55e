"""Two days of a small options market as explicit commands, with each kind of event at least once.

alice owns calls until they expire; bob and erin are short of them. dave is short with little cash and is liquidated.
carol is the market maker, and the insurance has ten dollars. BTC has no index price, so its series has to wait.
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from exchange.domain.commands import (
    CancelAll,
    CancelOrder,
    CancelUserOrders,
    ChangeRules,
    Command,
    CreateInstrument,
    Deposit,
    EditOrder,
    EndDay,
    EndSession,
    Genesis,
    OpenAccount,
    PauseSeries,
    PlaceOrder,
    ResumeSeries,
    SetHalt,
    SetIndexPrice,
    SetLimits,
    SetSuspended,
    SettleSeries,
    StartSession,
    Withdraw,
    encode_command,
)
from exchange.domain.rules import FEE_PROFILES, Market, Rules, Series
from exchange.domain.units import US_PER_SECOND
from exchange.engine.recovery import event_rows
from exchange.journal.opening import open_journal_writer
from exchange.journal.records import Head, chain
from exchange.matching.apply import apply
from exchange.matching.state import State
from tests.old_events import append_old_events

# 2026-02-20 00:00:00 UTC.
MIDNIGHT_US = 1_771_545_600_000_000
USDC = 1_000_000
DAY_END_S = MIDNIGHT_US // US_PER_SECOND + 8 * 3_600
CALL = "SOL_USDC-20FEB26-150-C"
PUT = "SOL_USDC-20FEB26-150-P"
LATER = "SOL_USDC-21FEB26-190-C"
COIN = "BTC_USDC-20FEB26-50000-C"
MARKET = Market(series=(Series("SOL", 10, 1, dailies=2, weeklies=0, monthlies=0),), fees=FEE_PROFILES["deribit"])
RULES = Rules(market=MARKET)


def bid(user_id: str, instrument_id: str, size_milli: int, usdc: float | None, **more: Any) -> PlaceOrder:
    return _order(user_id, instrument_id, "bid", size_milli, usdc, **more)


def ask(user_id: str, instrument_id: str, size_milli: int, usdc: float | None, **more: Any) -> PlaceOrder:
    return _order(user_id, instrument_id, "ask", size_milli, usdc, **more)


def index(usdc: int, asset: str = "SOL", **more: Any) -> SetIndexPrice:
    return SetIndexPrice(asset, usdc * USDC, **more)


def story() -> Iterator[tuple[int, Command]]:
    """Yield each command with its time."""
    ts_us = MIDNIGHT_US
    for at_s, commands in _chapters():
        ts_us = max(ts_us, MIDNIGHT_US + at_s * US_PER_SECOND)
        for command in commands:
            yield ts_us, command
            ts_us += 1_000


def write_story(path: Path, last_seq: int | None = None) -> State:
    """Write the story up to a command as a journal with events. Return the state after it."""
    return write_steps(path, islice(story(), last_seq))


def write_steps(path: Path, steps: Iterable[tuple[int, Command]]) -> State:
    """Write a journal of these commands, each with its time; the first must be a genesis."""
    state, head = State(), Head()
    records, caused = [], []
    for ts_us, command in steps:
        records += chain(head, [(ts_us, encode_command(command).decode())])
        head = Head(records[-1].seq, ts_us, records[-1].hash)
        caused.append((head.seq, apply(state, ts_us, command)))
        state.check()

    async def write() -> None:
        journal = await open_journal_writer(path)
        try:
            await journal.append(records)
            await append_old_events(journal, event_rows(caused))
        finally:
            await journal.close()

    asyncio.run(write())
    return state


def _chapters() -> list[tuple[int, list[Command]]]:
    """Return groups of commands, each with the seconds after midnight at which it begins."""
    cash = {"alice": 1_000, "bob": 1_000, "carol": 100_000, "dave": 50, "erin": 60}
    return [
        (0, [Genesis(RULES), StartSession("test")]),
        (1, [OpenAccount(user_id, usdc * USDC) for user_id, usdc in cash.items()]),
        (2, [Deposit("insurance", 10 * USDC), CreateInstrument(COIN, 1_000_000, 1), index(150), index(100, "DOGE")]),
        (3, [bid("carol", CALL, 10_000, 5), ask("carol", CALL, 10_000, 5.5), bid("carol", PUT, 5_000, 4)]),
        (4, [bid("alice", CALL, 1_000, 5.5), ask("bob", CALL, 2_000, None), ask("dave", CALL, 1_000, 5)]),
        (5, [ask("erin", CALL, 2_000, 5), bid("dave", PUT, 100, 0.1), ask("bob", PUT, 1_500, 4)]),
        (6, [ask("alice", COIN, 10, 900), bid("bob", COIN, 10, 900)]),
        (7, [CancelOrder("carol", 2), CancelOrder("carol", 1), ask("carol", CALL, 400, 42)]),
        (8, [index(155), Withdraw("dave", 40 * USDC), index(400), index(190)]),
        (9, [ask("carol", CALL, 5_000, 43.5), index(191), bid("erin", CALL, 1_000, 44, reduce_only=True)]),
        (100, [ask("bob", CALL, 1_000, 44), bid("alice", CALL, 100, 1), bid("alice", LATER, 100, 2)]),
        (7 * 3_600 + 45 * 60, [index(193)]),
        (7 * 3_600 + 55 * 60, [index(189)]),
        (8 * 3_600, [EndDay(DAY_END_S * US_PER_SECOND)]),
        (
            8 * 3_600 + 10,
            [
                SettleSeries("BTC", DAY_END_S, 50_010 * USDC),
                SettleSeries("BTC", DAY_END_S, 50_020 * USDC),
                SettleSeries("SOL", DAY_END_S + 86_400, 190 * USDC),
                SettleSeries("ETH", DAY_END_S, 1 * USDC),
                index(0),
                index(80),
                index(80, forced=True),
                index(190, forced=True),
            ],
        ),
        (
            8 * 3_600 + 20,
            [
                PauseSeries("SOL", DAY_END_S + 86_400),
                bid("alice", LATER, 1_000, 4),
                ResumeSeries(),
                SetHalt(True),
                bid("alice", LATER, 1_000, 4),
                SetHalt(False),
                SetSuspended("alice", True),
                bid("alice", LATER, 1_000, 4),
                CancelAll("alice"),
                SetSuspended("alice", False),
                SetLimits("alice", 2, 1_000),
                SetLimits("alice", -1),
                bid("alice", LATER, 1_500, 4),
                bid("alice", LATER, 900, 4),
                EditOrder("alice", 0, None, 3 * USDC),
                ask("alice", LATER, 100, None, reduce_only=True),
                CancelUserOrders("alice"),
                ask("bob", LATER, 1_000, 5),
                bid("carol", LATER, 3_000, 4.5),
                ask("bob", LATER, 2_000, 4.5, time_in_force="ioc"),
                bid("bob", LATER, 500, 5, time_in_force="ioc", reduce_only=True),
            ],
        ),
        (
            8 * 3_600 + 30,
            [
                ChangeRules(Rules()),
                ChangeRules(replace(RULES, market=replace(MARKET, fees=FEE_PROFILES["none"], index_age_max_s=0))),
                ask("bob", LATER, 1_000, 4.5),
                index(191),
            ],
        ),
        (32 * 3_600, [EndDay((DAY_END_S + 86_400) * US_PER_SECOND), EndSession()]),
    ]


def _order(user_id: str, instrument_id: str, side: Any, size_milli: int, usdc: float | None, **more: Any) -> PlaceOrder:
    more = {"time_in_force": "ioc" if usdc is None or "reduce_only" in more else "gtc"} | more
    return PlaceOrder(
        user_id,
        instrument_id,
        side,
        "market" if usdc is None else "limit",
        price_micros=None if usdc is None else round(usdc * USDC),
        size_milli=size_milli,
        **more,
    )
