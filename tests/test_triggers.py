"""Cascades of trigger orders: they end, in bounded commands, the same in a replay, and the server continues them."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.domain.commands import (
    CancelOrder,
    Command,
    ContinueTriggers,
    CreateInstrument,
    EditOrder,
    EndSession,
    Genesis,
    OpenAccount,
    PlaceOrder,
    PlaceTriggerOrder,
    SetIndexPrice,
    StartSession,
    decode_command,
)
from exchange.domain.events import Event, LiquidationStarted, Refused, Traded, TriggerOrderEnded
from exchange.domain.rules import Market, Rules, SettlementRules
from exchange.domain.units import TRIGGERED_MAX, US_PER_DAY
from exchange.engine.engine import Engine
from exchange.journal.errors import JournalFullError
from exchange.journal.memory import MemoryJournal
from exchange.matching.apply import apply
from exchange.matching.state import State
from exchange.matching.state_codec import decode_state, digest, encode_state
from exchange.projections.fold import Change
from exchange.runtime import pipeline as pipeline_module
from exchange.runtime.pipeline import Pipeline
from tests.cli_support import exchange, said, said_json
from tests.journals import write_journal
from tests.naive import NaiveExchange
from tests.small_market import CALL, START_US, USDC, buy, history, sell
from tests.test_pipeline import ManualClock

CENT = 10_000


def stop(user_id: str, level_micros: int) -> PlaceTriggerOrder:
    return PlaceTriggerOrder(user_id, CALL, "bid", "stop_market", "last_price", level_micros, None, "ioc", None, 1)


def cascade(count: int, users: int) -> list[Command]:
    """A ladder of asks, and for each a stop that its price meets and that then trades with the next one."""
    names = [f"user-{n}" for n in range(users)]
    opening: list[Command] = [Genesis(Rules(open_orders_max=20_000)), CreateInstrument(CALL, CENT, 1)]
    opening += [OpenAccount(name, 1_000_000 * USDC) for name in ("maker", "taker", *names)]
    ladder = [sell("maker", 1, USDC + n * CENT) for n in range(count + 1)]
    stops = [stop(names[n % users], USDC + n * CENT) for n in range(count)]
    return [*opening, *ladder, *stops, buy("taker", 1, USDC)]


def ended(events: list[Event]) -> list[int]:
    return [event.order_id for event in events if isinstance(event, TriggerOrderEnded)]


@pytest.mark.long
def test_a_cascade_of_10000_stops_ends_in_bounded_commands_and_again_in_a_replay() -> None:
    state, commands = State(), cascade(10_000, 100)
    for n, command in enumerate(commands[:-1]):
        (first, *_) = apply(state, START_US + n, command)
        assert not isinstance(first, Refused), first
    before = encode_state(state)
    triggered: list[int] = []
    command, per_command = commands[-1], Counter[int]()
    for n in range(101):
        now = ended(apply(state, START_US + len(commands) + n, command))
        triggered += now
        per_command[len(now)] += 1
        if state.triggers is None or not state.triggers.due:
            break
        command = ContinueTriggers()
    assert per_command == {TRIGGERED_MAX: 100}
    assert len(triggered) == 10_000 and state.triggers is None
    state.check()
    again = decode_state(before)
    for n in range(100):
        apply(again, START_US + len(commands) + n, ContinueTriggers() if n else commands[-1])
    assert digest(again) == digest(state)


def test_a_cascade_is_the_same_as_in_the_naive_exchange() -> None:
    state, naive, commands = State(), NaiveExchange(), cascade(130, 2)
    # Other commands continue the cascade as well.
    commands += [sell("maker", 5, 9 * USDC), ContinueTriggers()]
    for n, command in enumerate(commands):
        assert apply(state, START_US + n, command) == naive.apply(START_US + n, command), command
        if n % 20 == 0 or n > 130 * 2:
            state = decode_state(encode_state(state))
            state.check()
    assert state.triggers is None


@pytest.mark.parametrize(("version", "index"), [(1, 160), (2, 150)])
def test_an_account_is_liquidated_once_in_a_command(version: int, index: int) -> None:
    """The index price liquidates carol as far as it can. Her stop then buys at a loss, in the same command."""
    rules = Genesis(Rules(market=Market()), version) if version > 1 else Genesis(Rules(market=Market()))
    commands: list[Command] = [rules, *[OpenAccount(name, 10_000 * USDC) for name in ("bob", "maker")]]
    commands += [OpenAccount("carol", 400 * USDC), CreateInstrument(CALL, 1_000, 1), SetIndexPrice("SOL", index * USDC)]
    state, naive, ts_us = State(), NaiveExchange(), START_US

    def do(command: Command) -> list[Event]:
        nonlocal ts_us
        ts_us += 1_000
        events = apply(state, ts_us, command)
        assert events == naive.apply(ts_us, command), command
        assert not isinstance(events[0], Refused), events
        return events

    def mark_micros() -> int:
        mark_micros = state.books[CALL].mark_micros
        assert mark_micros is not None
        return mark_micros // 1_000 * 1_000

    for command in commands:
        do(command)
    for command in (sell("carol", 10_000, mark_micros()), buy("bob", 10_000, mark_micros())):
        do(command)
    do(buy("carol", 9_000, mark_micros() - 3 * USDC))
    level_micros = 190_050_000
    do(PlaceTriggerOrder("carol", CALL, "bid", "stop_market", "index_price", level_micros, None, "ioc", None, 1_000))
    do(SetIndexPrice("SOL", 190 * USDC))
    do(sell("maker", 1_000, mark_micros() + USDC // 10))
    do(sell("maker", 6_000, mark_micros() + 10 * USDC))
    events = do(SetIndexPrice("SOL", 190_100_000))
    assert ended(events) and [event.user_id for event in events if isinstance(event, LiquidationStarted)] == ["carol"]
    bought = [event for event in events if isinstance(event, Traded)]
    assert len(bought) == 2, "the stop bought nothing"
    account = state.accounts["carol"]
    assert account.cash_micros < account.maintenance_micros, "carol needs no other liquidation"
    state.check()


class _Publisher:
    """Sets `reached` once the command `seq` is applied."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.reached = asyncio.Event()

    def publish(self, change: Change) -> None:
        if change.seq >= self.seq:
            self.reached.set()

    def flush(self) -> None:
        pass


def kinds_of(journal: MemoryJournal) -> list[str]:
    return [type(decode_command(record.payload)).__name__ for record in journal.records]


def run_server(commands: list[Command], journal: MemoryJournal, engine: Engine, seq: int = 0) -> None:
    """Let a pipeline carry out these commands, and stop it once `seq` is applied; 0 stops it at once."""

    async def run() -> None:
        publisher = _Publisher(seq)
        pipeline = Pipeline(engine, journal, ManualClock(START_US), publisher)
        for command in commands:
            pipeline.submit(command, lambda change: None)
        running = asyncio.create_task(pipeline.run())
        if seq:
            await publisher.reached.wait()
        pipeline.stop()
        await running

    asyncio.run(run())


def crashed(journal: MemoryJournal, count: int) -> tuple[MemoryJournal, Engine]:
    """The journal as a crash leaves it after `count` commands, and its state."""
    cut, engine = MemoryJournal(), Engine()
    cut.records = journal.records[:count]
    for record in cut.records:
        engine.replay(record)
    return cut, engine


def test_the_server_continues_a_cascade_also_after_a_restart() -> None:
    """The server crashes while orders are due. The next one goes on with them after the first command of its run."""
    journal, commands = MemoryJournal(), cascade(350, 4)
    run_server(commands, journal, Engine(), seq=len(commands) + 3)
    assert kinds_of(journal)[-4:] == ["PlaceOrder", *["ContinueTriggers"] * 3]
    cut, engine = crashed(journal, len(commands))
    assert engine.state.triggers is not None and len(engine.state.triggers.due) == 1
    run_server([StartSession("test")], cut, engine, seq=len(commands) + 3)
    assert kinds_of(cut)[-4:] == ["PlaceOrder", "StartSession", *["ContinueTriggers"] * 2]
    assert engine.state.triggers is None


def test_the_end_of_a_day_at_a_restart_continues_nothing_before_the_run_begins() -> None:
    journal, commands = MemoryJournal(), cascade(350, 4)
    run_server(commands, journal, Engine(), seq=len(commands) + 3)
    cut, engine = crashed(journal, len(commands))

    async def run() -> None:
        publisher = _Publisher(len(commands) + 3)
        pipeline = Pipeline(engine, cut, ManualClock(START_US + US_PER_DAY), publisher)
        running = asyncio.create_task(pipeline.run())
        pipeline.check_clock()
        for _ in range(100):
            await asyncio.sleep(0)
        assert kinds_of(cut)[-2:] == ["PlaceOrder", "EndDay"]
        pipeline.submit(StartSession("test"), lambda change: None)
        await publisher.reached.wait()
        pipeline.stop()
        await running

    asyncio.run(run())
    assert kinds_of(cut)[-3:] == ["EndDay", "StartSession", "ContinueTriggers"]


def test_nothing_continues_a_cascade_after_the_last_command_of_a_run() -> None:
    journal, engine = MemoryJournal(), Engine()
    run_server([*cascade(350, 4), EndSession()], journal, engine)
    assert kinds_of(journal)[-2:] == ["PlaceOrder", "EndSession"]
    assert engine.state.triggers is not None and engine.state.triggers.due


def test_a_cascade_goes_on_by_itself_once_the_disk_is_full_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "UNAVAILABLE_PAUSE_SECONDS", 0)
    journal, commands = MemoryJournal(), cascade(350, 4)
    journal.failures = [None, JournalFullError("full"), JournalFullError("full")]
    run_server(commands, journal, Engine(), seq=len(commands) + 3)
    assert kinds_of(journal)[-4:] == ["PlaceOrder", *["ContinueTriggers"] * 3]


def test_orders_that_are_due_after_a_crash_wait_until_the_market_has_reopened() -> None:
    """The first command of the run takes them back, so that nothing continues again and again."""
    rules = Rules(market=Market(settlement=SettlementRules(post_only_s=60)))
    story: list[Command] = [
        Genesis(rules, 2),
        CreateInstrument(CALL, 1_000, 1),
        *(OpenAccount(user_id, 10**10) for user_id in ("alice", "bob", "maker")),
        SetIndexPrice("SOL", 150 * USDC),
    ]
    stop = PlaceTriggerOrder("alice", CALL, "bid", "stop_market", "index_price", 151 * USDC, None, "ioc", None, 10)
    story += [replace(stop, user_id=user_id) for user_id in ("alice", "bob") for _ in range(75)]
    journal, engine = MemoryJournal(), Engine()
    run_server(story, journal, engine)
    mark_micros = engine.state.books[CALL].mark_micros
    assert mark_micros is not None
    quote = PlaceOrder("maker", CALL, "ask", "limit", "gtc", mark_micros // 1_000 * 1_000, 5_000)
    run_server([quote, SetIndexPrice("SOL", 152 * USDC)], journal, engine, seq=len(story) + 3)
    # The server crashes after the index price that makes 150 orders due.
    journal, engine = crashed(journal, len(story) + 2)
    assert engine.state.triggers is not None and engine.state.triggers.due
    run_server([StartSession("test")], journal, engine)
    assert kinds_of(journal)[-1] == "StartSession"
    assert engine.state.triggers is not None and not engine.state.triggers.due
    assert len(engine.state.triggers.orders) == 50


def stories() -> list[Command]:
    """Stops of bob: one places an order that trades, one an order that is refused, one is edited and cancelled."""
    order = PlaceTriggerOrder("bob", CALL, "bid", "stop_limit", "last_price", USDC, None, "gtc", 2 * USDC, 1_000)
    return [
        sell("alice", 500, 9 * USDC),
        replace(order, client_order_id="one", label="hedge"),
        replace(order, trigger_price_micros=USDC * 3 // 2, size_milli=10**9),
        replace(order, type="stop_market", price_micros=None, time_in_force="ioc", trigger_price_micros=5 * USDC),
        EditOrder("bob", 4, trigger_price_micros=6 * USDC),
        sell("alice", 2_000, USDC * 3 // 2),
        buy("carol", 500, USDC * 3 // 2),
        EditOrder("bob", 4, trigger_price_micros=1),
        CancelOrder("bob", 4),
        CancelOrder("bob", 8),
    ]


def told(path: Path, order_id: int) -> list[str]:
    lines = said(exchange("explain", order_id, "--db", path)).splitlines()
    return [f"{line.split()[0]} {line[39:]}" if line[:8].strip().isdigit() else line for line in lines[2:] if line]


@pytest.mark.slow
def test_the_life_of_trigger_orders_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    write_journal(path, history(*stories()))
    assert told(path, 2) == [
        "7 placed by bob: buy 1.0 at 2.00, stop_limit on the last price at 1.00 (no price yet), gtc, 'one', "
        "label 'hedge'",
        "12 triggered at 1.50, and placed order 7",
    ]
    assert told(path, 3)[-1] == "12 triggered at 1.50, and the order was refused: insufficient_balance"
    assert told(path, 4)[1:] == [
        "10 edited by bob to 1.0 at market at 6.00",
        "13 an edit by bob was refused: Invalid price (trigger_price_too_low); see --seq 13",
        "14 cancelled (user_request)",
    ]
    assert told(path, 7)[0] == "12 placed by trigger order 2 of bob: buy 1.0 at 2.00, gtc, label hedge"
    waiting = tmp_path / "waiting.db"
    write_journal(waiting, history(*stories()[:3]))
    assert told(waiting, 3)[-1] == "still untriggered (at seq 8)"
    shown = said_json(exchange("order", "list", "--user", "bob", "--json", "--db", waiting))
    assert [(order["order_id"], order["status"]) for order in shown] == [(2, "untriggered"), (3, "untriggered")]
    shown = said(exchange("order", "show", "--user", "bob", "3", "--db", path))
    assert shown.startswith(
        f"order 3 rejected (insufficient_balance): buy 1000000.0 {CALL} @ 2.00, stop_limit on last_price at 1.50"
    )


def test_a_what_if_pairs_the_orders_of_trigger_orders(tmp_path: Path) -> None:
    """Without alice's first order, all ids are smaller by one, and nothing else changes."""
    path, commands = tmp_path / "exchange.db", stories()
    commands[-1] = CancelOrder("bob", 7)
    commands[5] = sell("alice", 900, USDC * 3 // 2)
    write_journal(path, history(*commands))
    comparison = said_json(exchange("what-if", "--drop", 6, "--json", "--db", path))
    assert comparison["changed"] == 0, comparison
