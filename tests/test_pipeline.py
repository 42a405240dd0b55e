"""The road: what is durable before what is visible, and what happens when the journal fails."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from exchange.domain.commands import CreateInstrument, Genesis, OpenAccount, PlaceOrder, encode_command
from exchange.domain.rules import Rules
from exchange.domain.units import DAY_END_US, US_PER_DAY
from exchange.engine.engine import Engine
from exchange.engine.recovery import event_rows
from exchange.journal.errors import JournalBrokenError, JournalFullError
from exchange.journal.memory import MemoryJournal
from exchange.journal.records import Record, chain
from exchange.projections.views import Change
from exchange.runtime import pipeline as pipeline_module
from exchange.runtime.clock import Clock
from exchange.runtime.pipeline import Pipeline

MIDNIGHT_US = 20_000 * US_PER_DAY
INSTRUMENT = "SOL_USDC-31DEC99-150-C"


class ManualClock(Clock):
    """A clock that stands still until it is set."""

    def __init__(self, now_us: int) -> None:
        super().__init__()
        self.set_us = now_us

    def now_us(self) -> int:
        return self.set_us


class GatedJournal(MemoryJournal):
    """A journal whose appends end only when they are let: `story` tells what happened in which order."""

    def __init__(self, story: list[str]) -> None:
        super().__init__()
        self.story = story
        self.gate = asyncio.Semaphore(0)
        self.begun = asyncio.Semaphore(0)

    async def append(self, records: list[Record]) -> None:
        self.story.append(f"writing {[record.seq for record in records]}")
        self.begun.release()
        await self.gate.acquire()
        await super().append(records)
        self.story.append(f"durable {[record.seq for record in records]}")


class Stage:
    """A pipeline on a memory journal, with a publisher that only takes notes."""

    def __init__(self, now_us: int = MIDNIGHT_US + DAY_END_US + 1) -> None:
        self.story: list[str] = []
        self.journal = GatedJournal(self.story)
        self.clock = ManualClock(now_us)
        self.engine = Engine()
        for command in (Genesis(Rules()), CreateInstrument(INSTRUMENT, 10_000, 1), OpenAccount("alice", 10**10)):
            (record,) = chain(self.engine.head, [(now_us + self.engine.head.seq, encode_command(command).decode())])
            events, _ = self.engine.step(record, command)
            self.journal.records.append(record)
            self.journal.events += event_rows([(record.seq, events)])
        self.pipeline = Pipeline(self.engine, self.journal, self.clock, self)

    def publish(self, change: Change) -> None:
        self.story.append(f"published {change.seq}")

    def flush(self) -> None:
        pass

    def place(self, name: str, time_in_force: str = "gtc") -> None:
        order = PlaceOrder(
            "alice", INSTRUMENT, "bid", "limit", "day" if time_in_force == "day" else "gtc", 10_000, 1_000
        )
        self.pipeline.submit(order, lambda change: self.hear(name, change))

    def hear(self, name: str, change: Change | None) -> None:
        self.story.append(f"{name} answered " + (str(change.seq) if change else "not recorded"))

    async def let(self, count: int) -> None:
        """Let so many batches be written, and wait until they have begun."""
        for _ in range(count):
            await self.journal.begun.acquire()
            self.journal.gate.release()


def play(script: Callable[[Stage], Awaitable[None]], now_us: int = MIDNIGHT_US + DAY_END_US + 1) -> Stage:
    """Run a script beside the pipeline, then stop in good order."""

    async def go() -> Stage:
        stage = Stage(now_us)
        road = asyncio.create_task(stage.pipeline.run())
        await script(stage)
        stage.pipeline.stop()
        await road
        return stage

    return asyncio.run(go())


def test_nothing_is_answered_before_it_is_durable_and_answers_go_before_notifications() -> None:
    async def script(stage: Stage) -> None:
        stage.place("a")
        stage.place("b")
        await stage.journal.begun.acquire()
        assert stage.story == ["writing [4, 5]"]
        stage.journal.gate.release()

    assert play(script).story == [
        "writing [4, 5]",
        "durable [4, 5]",
        "a answered 4",
        "published 4",
        "b answered 5",
        "published 5",
    ]


def test_a_batch_is_being_written_while_the_one_before_is_applied() -> None:
    async def script(stage: Stage) -> None:
        stage.place("a")
        await stage.journal.begun.acquire()
        stage.place("b")  # arrives while a is on its way to the disk
        stage.journal.gate.release()
        await stage.let(1)

    assert play(script).story == [
        "writing [4]",
        "durable [4]",
        "writing [5]",
        "a answered 4",
        "published 4",
        "durable [5]",
        "b answered 5",
        "published 5",
    ]


def test_a_full_disk_answers_that_nothing_was_recorded_and_uses_no_seq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "UNAVAILABLE_PAUSE_SECONDS", 0)

    async def script(stage: Stage) -> None:
        stage.journal.failures = [JournalFullError("full"), None]
        stage.place("a")
        stage.place("b")
        await stage.let(1)
        stage.place("c")
        await stage.let(1)

    stage = play(script)
    assert [line for line in stage.story if "answered" in line] == [
        "a answered not recorded",
        "b answered not recorded",
        "c answered 4",
    ]
    assert len(stage.engine.state.accounts["alice"].open_orders) == 1
    assert [record.seq for record in stage.journal.records] == [1, 2, 3, 4]


def test_a_pipeline_stops_on_a_full_disk_after_the_end_of_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "UNAVAILABLE_PAUSE_SECONDS", 0)

    async def script(stage: Stage) -> None:
        stage.journal.failures = [JournalFullError("full")] * 10
        stage.clock.set_us += US_PER_DAY
        stage.pipeline.check_clock()
        await stage.let(1)
        stage.pipeline.stop()
        for _ in range(10):
            stage.journal.gate.release()

    assert len(play(script).journal.records) == 3


def test_a_broken_journal_stops_the_road_and_answers_nothing_of_the_batch() -> None:
    async def go() -> Stage:
        stage = Stage()
        stage.journal.failures = [None, JournalBrokenError("I/O error")]
        road = asyncio.create_task(stage.pipeline.run())
        stage.place("a")
        await stage.journal.begun.acquire()
        stage.place("b")
        stage.journal.gate.release()
        await stage.let(1)
        with pytest.raises(JournalBrokenError):
            await road
        return stage

    stage = asyncio.run(go())
    assert [line for line in stage.story if "answered" in line] == ["a answered 4"]


def test_times_rise_strictly_if_the_clock_stands_still_or_goes_back() -> None:
    async def script(stage: Stage) -> None:
        stage.place("a")
        stage.place("b")
        await stage.let(1)
        stage.clock.set_us -= US_PER_DAY // 10
        stage.place("c")
        await stage.let(1)

    times = [record.ts_us for record in play(script).journal.records]
    assert times == sorted(set(times))


def test_the_end_of_a_day_goes_before_the_first_command_of_the_next() -> None:
    async def script(stage: Stage) -> None:
        stage.place("a", "day")
        await stage.let(1)
        stage.clock.set_us = MIDNIGHT_US + US_PER_DAY + DAY_END_US
        stage.place("b", "day")
        await stage.let(1)

    stage = play(script)
    kinds = [record.payload.split('"')[3] for record in stage.journal.records[3:]]
    assert kinds == ["place_order", "end_day", "place_order"]
    assert stage.journal.records[4].ts_us == MIDNIGHT_US + US_PER_DAY + DAY_END_US
    assert list(stage.engine.state.accounts["alice"].open_orders) == [2]


def test_a_day_ends_without_any_command() -> None:
    async def script(stage: Stage) -> None:
        stage.clock.set_us = MIDNIGHT_US + 3 * US_PER_DAY + DAY_END_US + 5
        stage.pipeline.check_clock()
        await stage.let(1)

    (end_day,) = play(script).journal.records[3:]
    assert end_day.payload == f'{{"kind":"end_day","day_end_us":{MIDNIGHT_US + 3 * US_PER_DAY + DAY_END_US}}}'


def test_events_are_written_later_and_complete_when_the_road_ends() -> None:
    async def script(stage: Stage) -> None:
        stage.place("a")
        await stage.let(1)

    stage = play(script)
    assert stage.journal.events_seq == 4
    assert [payload.split('"')[3] for seq, _, payload in stage.journal.events if seq == 4] == [
        "order_accepted",
        "balance_changed",
    ]
