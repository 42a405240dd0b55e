"""Explanations: every step of an order in a sentence, and the check that refused a command."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from exchange.domain.commands import (
    CancelAll,
    CancelOrder,
    Command,
    Disconnect,
    EditOrder,
    EndDay,
    SetCancelOnDisconnect,
    StartSession,
    Withdraw,
)
from exchange.domain.events import OrderAccepted, OrderCancelled, OrderEdited, OrderRepeated, Refused, Traded
from exchange.domain.rules import Fees, Rules
from exchange.domain.units import next_day_end_us
from exchange.history.compact import compact
from exchange.history.explain import QueuePosition, explain_order
from exchange.history_db import update
from exchange.history_db.file import history_path
from exchange.history_db.order_text import step_sentence
from exchange.history_db.update import update_history
from exchange.journal.archives import archive_folder
from exchange.matching.state import State
from exchange.projections.order_timeline import PlacedStep
from exchange.runtime.server_settings import admin_secret_file
from tests.cli_support import complained, exchange, said, said_json
from tests.journals import play, write_journal
from tests.random_commands import random_steps
from tests.small_market import CALL, START_US, USDC, buy, history, sell
from tests.wire import Server, Wire, request
from tests.wire import exchange as running_exchange


def told(path: Path, order_id: int) -> list[str]:
    """Return the sentences about an order, each with its seq."""
    lines = said(exchange("explain", order_id, "--db", path)).splitlines()
    return [f"{line.split()[0]} {line[39:]}" if line[:8].strip().isdigit() else line for line in lines[2:] if line]


def test_the_timeline_of_an_order(tmp_path: Path) -> None:
    """An order is placed, has an edit refused, is edited, partly filled, repeated and cancelled."""
    path = tmp_path / "exchange.db"
    one = buy("alice", 2_000, 1_500_000, client_order_id="one")
    steps = history(
        one,
        EditOrder("alice", order_id=1, price_micros=1_505_000),
        CancelOrder("bob", order_id=1),
        EditOrder("alice", client_order_id="one", size_milli=1_900),
        EditOrder("alice", order_id=1, price_micros=1_510_000),
        sell("bob", 400, None),
        sell("carol", 500, 1_600_000),
        EditOrder("carol", order_id=3, price_micros=1_510_000),
        one,
        CancelOrder("alice", client_order_id="one"),
        CancelOrder("alice", order_id=1),
        rules=Rules(fees=Fees(1_000, 2_000)),
    )
    write_journal(path, steps)
    assert said(exchange("explain", 1, "--db", path)) == (
        "order 1 of alice in SOL_USDC-28FEB26-150-C\n\n"
        "       6  2026-02-20T00:00:06.000000Z  placed by alice: buy 2.0 at 1.50, gtc, client_order_id one\n"
        "       7  2026-02-20T00:00:07.000000Z  an edit by alice was refused: Invalid price (price_off_tick); "
        "see --seq 7\n"
        "       9  2026-02-20T00:00:09.000000Z  edited by alice to 1.9 at 1.50, before 2.0 at 1.50: "
        "kept its place in the queue\n"
        "      10  2026-02-20T00:00:10.000000Z  edited by alice to 1.9 at 1.51, before 1.9 at 1.50: "
        "moved to the back of the queue\n"
        "      11  2026-02-20T00:00:11.000000Z  filled by bob's market order 2: 0.4 at 1.51, fee 0.000604; 1.5 remain\n"
        "      13  2026-02-20T00:00:13.000000Z  filled by carol's order 3, which was edited: 0.5 at 1.51, "
        "fee 0.000755; 1.0 remain\n"
        "      14  2026-02-20T00:00:14.000000Z  sent again by alice under its client_order_id: nothing changed\n"
        "      15  2026-02-20T00:00:15.000000Z  cancelled by alice; 1.0 remained\n"
        "      16  2026-02-20T00:00:16.000000Z  a cancellation by alice was refused: "
        "Order already cancelled or filled (order_already_cancelled); see --seq 16\n"
    )
    assert told(path, 2) == [
        "11 placed by bob: sell 0.4 at market, ioc",
        "11 filled completely against alice's order 1: 0.4 at 1.51, fee 0.001208",
    ]


def test_where_an_open_order_stands(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    orders = [buy("bob", 1_400, 1_500_000), buy("carol", 1_000, 1_500_000), buy("alice", 1_000, 1_500_000)]
    write_journal(path, history(*orders, buy("bob", 1_000, 1_510_000), sell("carol", 1_400, 1_500_000)))
    assert told(path, 3) == [
        "8 placed by alice: buy 1.0 at 1.50, gtc",
        "still open: 1.0 of 1.0 remain, 3rd in the queue at 1.50 behind 2.0 contracts (at seq 10)",
    ]
    assert told(path, 1)[-1] == "still open: 1.0 of 1.4 remain, 1st in the queue at 1.50 (at seq 10)"
    # An edit to a smaller size keeps the place, one to another price loses it.
    edits = [
        EditOrder("bob", 1, size_milli=500),
        EditOrder("bob", 1, price_micros=1_400_000),
        EditOrder("bob", 1, price_micros=1_500_000),
    ]
    for last, place in ((1, "1st"), (3, "2nd")):
        other = tmp_path / f"edited-{last}.db"
        write_journal(other, history(*orders[:2], *edits[:last]))
        assert f"{place} in the queue at 1.50" in told(other, 1)[-1]
    story = said_json(exchange("explain", 3, "--db", path, "--json"))
    assert story["queue"] == {
        "place": 3,
        "ahead": 2_000,
        "price": 1_500_000,
        "remaining": 1_000,
        "size": 1_000,
    }


def test_refusals_of_an_order_that_was_named_by_its_label(tmp_path: Path) -> None:
    path = tmp_path / "labels.db"
    hedge = replace(buy("alice", 1_000, 1_500_000), label="hedge")
    edit = EditOrder("alice", price_micros=1_400_000, label="hedge")
    write_journal(
        path,
        history(
            replace(edit, price_micros=1),
            hedge,
            replace(edit, price_micros=1),
            replace(edit, price_micros=1, label="other"),
            hedge,
            edit,
            CancelOrder("alice", order_id=1),
            replace(edit, size_milli=0),
            CancelOrder("alice", order_id=2),
            replace(edit, price_micros=1),
        ),
    )
    assert [line.partition(" ")[2] for line in told(path, 1)] == [
        "placed by alice: buy 1.0 at 1.50, gtc, label hedge",
        "an edit by alice was refused: Invalid price (price_off_tick); see --seq 8",
        "cancelled by alice; 1.0 remained",
    ]
    assert [line.partition(" ")[0] for line in told(path, 2)] == ["10", "13", "14"]


ENDINGS = {
    "self-trade prevention": (
        [buy("alice", 1_000, 1_500_000), sell("alice", 500, 1_500_000)],
        "7 cancelled by self-trade prevention when alice's order 2 would have traded with it; 1.0 remained",
    ),
    "self-trade prevention, by an edit": (
        [buy("alice", 1_000, 1_500_000), sell("alice", 500, 1_600_000), EditOrder("alice", 2, None, 1_500_000)],
        "8 cancelled by self-trade prevention when alice's order 2 would have traded with it; 1.0 remained",
    ),
    "all": (
        [buy("alice", 1_000, 1_500_000), CancelAll("alice")],
        "7 cancelled by alice, with all other orders; 1.0 remained",
    ),
    "ioc": (
        [buy("alice", 1_000, 1_500_000, time_in_force="ioc")],
        "6 cancelled because an ioc order cancels the rest that cannot trade at once; 1.0 remained",
    ),
    "fok": (
        [buy("alice", 1_000, 1_500_000, time_in_force="fok")],
        "6 cancelled because a fok order must fill completely at once; 1.0 remained",
    ),
    "market": (
        [buy("alice", 1_000, None)],
        "6 cancelled because the book had no more orders for a market order; 1.0 remained",
    ),
    "day": (
        [buy("alice", 1_000, 1_500_000, time_in_force="day"), EndDay(next_day_end_us(START_US))],
        "7 cancelled because the day ended: it was a day order; 1.0 remained",
    ),
    "expiry": (
        [buy("alice", 1_000, 1_500_000), EndDay(1_772_265_600_000_000)],
        "7 cancelled because SOL_USDC-28FEB26-150-C expired; 1.0 remained",
    ),
    "disconnect": (
        [buy("alice", 1_000, 1_500_000), Disconnect("alice", False)],
        "7 cancelled because alice disconnected (cancel-on-disconnect); 1.0 remained",
    ),
    "crash": (
        [buy("alice", 1_000, 1_500_000), SetCancelOnDisconnect("alice", True), StartSession("test")],
        "8 cancelled because the exchange had crashed and alice has cancel-on-disconnect; 1.0 remained",
    ),
}


@pytest.mark.parametrize(("commands", "sentence"), ENDINGS.values(), ids=ENDINGS)
def test_why_it_ended(tmp_path: Path, commands: list[Command], sentence: str) -> None:
    path = tmp_path / "exchange.db"
    write_journal(path, history(*commands))
    assert told(path, 1)[-1] == sentence


REFUSALS = {
    "needs more than there is": (
        [buy("alice", 1_000_000, 1_500_000)],
        [
            "refused, no effect: Insufficient balance (1002, insufficient_balance)",
            "needed=1500.00",
            "available=1000.00",
        ],
    ),
    "a sale needs collateral": (
        [sell("alice", 7_000, 1_500_000)],
        ["needed=1050.00", "available=1000.00"],
    ),
    "an edit needs more": (
        [buy("alice", 600_000, 1_500_000), EditOrder("alice", 1, None, 1_600_000, 700_000)],
        ["needed=220.00", "available=100.00"],
    ),
    "a market order that can buy nothing": (
        [sell("bob", 1_000, 1_500_000), Withdraw("alice", 1_000 * USDC), buy("alice", 1_000, None)],
        ["available=0.00", "best_price=1.50"],
    ),
    "a withdrawal": ([Withdraw("alice", 1_001 * USDC)], ["needed=1001.00", "available=1000.00"]),
    "too small": ([buy("alice", 99, 1_500_000)], ["size=0.099", "min_size=0.1"]),
    "off the tick": ([buy("alice", 1_000, 1_505_000)], ["price=1.505", "tick=0.01"]),
    "post-only": (
        [sell("bob", 1_000, 1_400_000), buy("alice", 1_000, 1_500_000, post_only=True)],
        ["price=1.50", "best_price=1.40"],
    ),
    "the name of another": (
        [buy("alice", 1_000, 1_500_000, client_order_id="a"), buy("alice", 1_000, 1_400_000, client_order_id="a")],
        ["used_by_order_id=1"],
    ),
    "the order of another": (
        [buy("bob", 1_000, 1_500_000), CancelOrder("alice", 1)],
        ["orders_so_far=1", "owner=bob"],
    ),
    "no more than is filled": (
        [buy("alice", 1_000, 1_500_000), sell("bob", 600, 1_500_000), EditOrder("alice", 1, size_milli=600)],
        ["size=0.6", "filled=0.6"],
    ),
}


@pytest.mark.parametrize(("commands", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_why_it_was_refused(tmp_path: Path, commands: list[Command], expected: list[str]) -> None:
    path = tmp_path / "exchange.db"
    engine = write_journal(path, history(*commands))
    text = said(exchange("explain", "--seq", engine.head.seq, "--db", path))
    assert "refused, no effect: " in text
    assert [line for line in expected if f"\n  {line}\n" not in text and f"\n{line}\n" not in text] == [], text


def test_what_a_command_did(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    write_journal(path, history(buy("alice", 1_000, 1_500_000), sell("bob", 400, None)))
    lines = said(exchange("explain", "--seq", 7, "--db", path)).splitlines()
    assert lines[0].split() == [
        "7",
        "2026-02-20T00:00:07.000000Z",
        "place_order",
        "bob",
        CALL,
        "ask",
        "0.4",
        "market",
        "ioc",
    ]
    assert [line.split()[0] for line in lines[3:]] == [
        "order_accepted",
        "traded",
        "position_changed",
        "position_changed",
        "balance_changed",
        "balance_changed",
    ]
    assert said_json(exchange("explain", "--seq", 7, "--db", path, "--json"))["events"][1]["size_milli"] == 400


def test_an_unknown_order(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    write_journal(path, history())
    text = complained(exchange("explain", 1, "--db", path))
    assert text == "Error: there is no order 1: the exchange has no orders yet\n"
    path = tmp_path / "other.db"
    write_journal(path, history(buy("alice", 1_000, 1_500_000), buy("bob", 1_000, 1_500_000)))
    text = complained(exchange("explain", 3, "--db", path))
    assert text == "Error: there is no order 3: the exchange has orders 1 to 2\n"
    assert "there is no seq 9 in " in complained(exchange("explain", "--seq", 9, "--db", path))


@pytest.mark.parametrize("arguments", [(), (1, "--seq", 2), (0,), ("--seq", 0)])
def test_an_explanation_needs_an_order_or_a_seq(tmp_path: Path, arguments: tuple[object, ...]) -> None:
    complained(exchange("explain", *arguments, "--db", tmp_path / "exchange.db"), exit_code=2)


def expected_timelines(seed: int, count: int) -> dict[int, list[tuple[int, str]]]:
    """Return seq and step of everything that happened to every order, computed forwards, by order_id."""
    lives: dict[int, list[tuple[int, str]]] = {}
    owners: dict[int, str] = {}
    bearers: dict[tuple[str, str | None], int] = {}
    for seq, (_, command, events) in enumerate(random_steps(seed, count), 1):
        for event in events:
            match event:
                case OrderAccepted():
                    lives[event.order_id] = [(seq, "placed")]
                    owners[event.order_id] = event.user_id
                    if event.client_order_id is not None:
                        bearers[event.user_id, event.client_order_id] = event.order_id
                case OrderEdited():
                    lives[event.order_id].append((seq, "edited"))
                case OrderRepeated():
                    lives[event.order_id].append((seq, "repeated"))
                case OrderCancelled():
                    lives[event.order_id].append((seq, "cancelled"))
                case Traded():
                    lives[event.maker_order_id].append((seq, "filled"))
                    lives[event.taker_order_id].append((seq, "filled"))
                case Refused() if isinstance(command, EditOrder | CancelOrder):
                    named = command.order_id
                    if named is None:
                        named = bearers.get((command.user_id, command.client_order_id))
                    if named is not None and owners.get(named) == command.user_id:
                        lives[named].append((seq, "refused"))
    return lives


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_every_order_of_a_random_market(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "exchange.db"
    engine = play(path, seed)
    lives = expected_timelines(seed, engine.head.seq)
    assert len(lives) > 50
    for order_id, life in lives.items():
        story = explain_order(path, order_id, ignore, ignore_progress)
        assert [(step.seq, step.__struct_config__.tag) for step in story.steps] == life
        assert story.queue == place_of(engine.state, order_id)


def place_of(state: State, order_id: int) -> QueuePosition | None:
    """The position of an open order in the matcher's own queue."""
    orders = {key: order for account in state.accounts.values() for key, order in account.open_orders.items()}
    if (order := orders.get(order_id)) is None:
        return None
    assert order.level is not None and order.price_micros is not None
    ahead = list(takewhile(lambda other: other is not order, order.level))
    ahead_milli = sum(other.remaining_milli for other in ahead)
    return QueuePosition(len(ahead) + 1, ahead_milli, order.price_micros, order.remaining_milli, order.size_milli)


@pytest.mark.long
def test_archived_orders(tmp_path: Path) -> None:
    """The history holds the orders of archives; without an archive the error names it."""
    path = tmp_path / "exchange.db"
    engine = play(path, seed=4)
    lives = expected_timelines(4, engine.head.seq)
    stories = [explain_order(path, order_id, ignore, ignore_progress) for order_id in lives]
    compact(path, 201, ignore, ignore_progress)
    update_history(path, ignore, ignore_progress, anew=True)
    assert [explain_order(path, order_id, ignore, ignore_progress) for order_id in lives] == stories
    archive_folder(path).rename(tmp_path / "elsewhere")
    assert explain_order(path, 1, ignore, ignore_progress) == stories[0]
    update_history(path, ignore, ignore_progress, anew=True)
    newest = max(lives)
    assert explain_order(path, newest, ignore, ignore_progress) == stories[-1]
    assert "order 1 was placed before seq 201, " in complained(exchange("explain", 1, "--db", path))
    assert "there is no seq 200 in the history: it begins with seq 201" in complained(
        exchange("explain", "--seq", 200, "--db", path)
    )

    async def conversation() -> None:
        async with running_exchange(path) as server:
            alice = await server.client("alice")
            error = (await alice.ask("private/explain_order", order_id=1))["error"]
            assert (error["code"], error["data"]["reason"]) == (-32602, "order_archived")
            assert error["data"]["first_seq"] == 201

    asyncio.run(conversation())


def test_a_history_that_another_process_does_not_continue_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is then one of the moment at which the history ends."""
    monkeypatch.setattr(update, "WAIT_SECONDS", 0.02)
    path = tmp_path / "exchange.db"
    orders = [buy("alice", 1_000, 1_500_000), buy("bob", 1_000, 1_500_000)]
    shorter = tmp_path / "shorter.db"
    write_journal(shorter, history(orders[0]))
    update_history(shorter, ignore, ignore_progress)
    write_journal(path, history(*orders))
    history_path(shorter).rename(history_path(path))
    with update.history_lock(path):
        result = exchange("explain", 1, "--db", path)
        assert "1st in the queue at 1.50 (at seq 6)" in result.stdout
        assert result.stderr == (
            "the history ends with seq 6 and the journal with seq 7: the process that writes the history runs, but has "
            "written nothing: look into the server's log\n"
        )
        assert "there is no order 2: " in exchange("explain", 2, "--db", path).stderr


def ignore(_sentence: str) -> None:
    pass


def ignore_progress(_done: int, _total: int) -> None:
    pass


def steps_of(answer: Any) -> list[str]:
    return [step["step"] for step in answer["result"]["steps"]]


@pytest.mark.slow
def test_an_order_is_explained_right_after_its_answer(tmp_path: Path) -> None:
    """The answer waits until the follower has written the history up to the order."""

    async def conversation() -> None:
        async with running_exchange(tmp_path / "exchange.db") as server:
            alice, bob = await server.client("alice"), await server.client("bob")
            await alice.buy()
            assert steps_of(await alice.ask("private/explain_order", order_id=1)) == ["placed"]
            await alice.ask("private/edit", order_id=1, amount=500)
            await alice.ask("private/cancel", order_id=1)
            assert steps_of(await alice.ask("private/explain_order", order_id=1)) == ["placed", "edited", "cancelled"]
            assert (await bob.ask("private/explain_order", order_id=1))["error"]["code"] == 1003
            assert (await bob.ask("private/explain_order", order_id=2))["error"]["code"] == 1003
            assert (await bob.ask("private/explain_order", order_id=1, user_id="alice"))["error"]["code"] == 1025
            own = await alice.ask("private/explain_order", order_id=1)
            # The texts are those of `exchange explain`, where no counterparty is named.
            story = explain_order(server.path, 1, ignore, ignore_progress)
            placed = story.steps[0]
            assert isinstance(placed, PlacedStep)
            assert [step["text"] for step in own["result"]["steps"]] == [
                step_sentence(step, placed) for step in story.steps
            ]
            admin = await server.connect()
            await admin.log_in("admin", client_secret=admin_secret_file(server.path).read_text().strip())
            found = await admin.ask("private/explain_order", order_id=1, user_id="alice")
            assert found["result"] == own["result"]

    asyncio.run(conversation())


@pytest.mark.slow
def test_others_trade_during_an_explanation(tmp_path: Path) -> None:
    """Only later requests of the same connection wait."""

    async def conversation() -> None:
        async with running_exchange(tmp_path / "exchange.db") as server:
            alice, bob = await server.client("alice"), await server.client("bob")
            await alice.buy()
            with stopped_reader(await reader_of(server, alice)):
                alice.send(request("private/explain_order", "why", order_id=1))
                alice.send(request("private/cancel", "cancel", order_id=1))
                await alice.writer.drain()
                assert (await bob.buy())["result"]["order"]["order_id"] == 2
                gone = await server.client("alice")
                gone.send(request("private/explain_order", order_id=1))
                await gone.writer.drain()
                await gone.hang_up()
            answer = await alice.text()
            assert answer["id"] == "why" and steps_of(answer) == ["placed"]
            assert (await alice.text())["result"]["order"]["status"] == "cancelled"

    asyncio.run(conversation())


@pytest.mark.slow
def test_a_disconnect_during_an_explanation_cancels_orders(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with running_exchange(tmp_path / "exchange.db") as server:
            alice, other = await server.client("alice"), await server.client("alice")
            await alice.ask("private/enable_cancel_on_disconnect")
            await alice.buy()
            with stopped_reader(await reader_of(server, alice)):
                for _ in range(3):
                    alice.send(request("private/explain_order", order_id=1))
                await alice.writer.drain()
                await alice.hang_up()
                while (await other.ask("private/get_open_orders"))["result"]:
                    pass
            assert steps_of(await other.ask("private/explain_order", order_id=1)) == ["placed", "cancelled"]

    asyncio.run(conversation())


async def reader_of(server: Server, client: Wire) -> int:
    """The process that answers questions about the past; it runs from the first question on."""
    await client.ask("public/get_status", at_seq=1)
    pid = server.node.past_service.pid
    assert pid is not None
    return pid


@contextmanager
def stopped_reader(pid: int) -> Iterator[None]:
    """Questions about the past are not answered meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
def test_stopping_does_not_wait_for_an_explanation(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with running_exchange(tmp_path / "exchange.db") as server:
            alice = await server.client("alice")
            await alice.buy()
            alice.send(request("private/explain_order", order_id=1))
            await alice.writer.drain()
            server.stop()
            assert await alice.closing() == 1001

    asyncio.run(conversation())
