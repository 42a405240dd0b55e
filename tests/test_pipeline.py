"""The pipeline: the order of writing, answers and notifications, and failures of the journal."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec import UNSET, UnsetType

from exchange.domain.commands import (
    CreateInstrument,
    EndDay,
    EndSession,
    Genesis,
    OpenAccount,
    PlaceOrder,
    StartSession,
    decode_command,
    encode_command,
)
from exchange.domain.rules import Market, Rules
from exchange.domain.units import DAY_END_US, US_PER_DAY
from exchange.engine.engine import Engine
from exchange.journal.errors import JournalBrokenError, JournalFullError
from exchange.journal.memory import MemoryJournal
from exchange.journal.records import Record, chain
from exchange.projections.fold import Change
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
    """A journal whose appends finish only when `gate` is released. `log` holds the steps in their order."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log
        self.gate = asyncio.Semaphore(0)
        self.begun = asyncio.Semaphore(0)

    async def append(self, records: list[Record]) -> None:
        self.log.append(f"writing {[record.seq for record in records]}")
        self.begun.release()
        await self.gate.acquire()
        await super().append(records)
        self.log.append(f"durable {[record.seq for record in records]}")


class Silent:
    """A publisher for nobody."""

    def publish(self, change: Change) -> None:
        pass

    def flush(self) -> None:
        pass


class Setup:
    """A pipeline on a memory journal; it is its own publisher, which writes to `log`."""

    def __init__(self, now_us: int = MIDNIGHT_US + DAY_END_US + 1) -> None:
        self.log: list[str] = []
        self.journal = GatedJournal(self.log)
        self.clock = ManualClock(now_us)
        self.engine = Engine()
        for command in (Genesis(Rules()), CreateInstrument(INSTRUMENT, 10_000, 1), OpenAccount("alice", 10**10)):
            (record,) = chain(self.engine.head, [(now_us + self.engine.head.seq, encode_command(command).decode())])
            self.engine.step(record, command)
            self.journal.records.append(record)
        self.pipeline = Pipeline(self.engine, self.journal, self.clock, self)

    def publish(self, change: Change) -> None:
        self.log.append(f"published {change.seq}")

    def flush(self) -> None:
        pass

    def place(self, name: str, time_in_force: str = "gtc") -> None:
        order = PlaceOrder(
            "alice", INSTRUMENT, "bid", "limit", "day" if time_in_force == "day" else "gtc", 10_000, 1_000
        )
        self.pipeline.submit(order, lambda change: self.answer(name, change))

    def answer(self, name: str, change: Change | None) -> None:
        self.log.append(f"{name} answered " + (str(change.seq) if change else "not recorded"))

    async def write_batches(self, count: int) -> None:
        """Wait until the pipeline starts to write each of `count` batches, and let it finish."""
        for _ in range(count):
            await self.journal.begun.acquire()
            self.journal.gate.release()


def play(script: Callable[[Setup], Awaitable[None]], now_us: int = MIDNIGHT_US + DAY_END_US + 1) -> Setup:
    """Run a script while the pipeline runs, then stop the pipeline."""

    async def run() -> Setup:
        setup = Setup(now_us)
        running = asyncio.create_task(setup.pipeline.run())
        await script(setup)
        setup.pipeline.stop()
        await running
        return setup

    return asyncio.run(run())


def test_answers_come_after_the_write_and_before_notifications() -> None:
    async def script(setup: Setup) -> None:
        setup.place("a")
        setup.place("b")
        await setup.journal.begun.acquire()
        assert setup.log == ["writing [4, 5]"]
        setup.journal.gate.release()

    assert play(script).log == [
        "writing [4, 5]",
        "durable [4, 5]",
        "a answered 4",
        "published 4",
        "b answered 5",
        "published 5",
    ]


def test_a_batch_is_written_while_the_previous_one_is_applied() -> None:
    async def script(setup: Setup) -> None:
        setup.place("a")
        await setup.journal.begun.acquire()
        # It arrives while the journal still writes a.
        setup.place("b")
        setup.journal.gate.release()
        await setup.write_batches(1)

    assert play(script).log == [
        "writing [4]",
        "durable [4]",
        "writing [5]",
        "a answered 4",
        "published 4",
        "durable [5]",
        "b answered 5",
        "published 5",
    ]


def test_commands_on_a_full_disk_are_answered_as_unrecorded_and_use_no_seq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "UNAVAILABLE_PAUSE_SECONDS", 0)

    async def script(setup: Setup) -> None:
        setup.journal.failures = [JournalFullError("full"), None]
        setup.place("a")
        setup.place("b")
        await setup.write_batches(1)
        setup.place("c")
        await setup.write_batches(1)

    setup = play(script)
    assert [line for line in setup.log if "answered" in line] == [
        "a answered not recorded",
        "b answered not recorded",
        "c answered 4",
    ]
    assert len(setup.engine.state.accounts["alice"].open_orders) == 1
    assert [record.seq for record in setup.journal.records] == [1, 2, 3, 4]


def test_the_end_of_a_day_that_was_not_recorded_is_recorded_without_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "UNAVAILABLE_PAUSE_SECONDS", 0)

    async def script(setup: Setup) -> None:
        setup.journal.failures = [JournalFullError("full"), None]
        setup.clock.set_us += US_PER_DAY
        setup.pipeline.check_clock()
        async with asyncio.timeout(60):
            await setup.write_batches(2)

    assert [record.seq for record in play(script).journal.records] == [1, 2, 3, 4]


def test_a_pipeline_stops_on_a_full_disk_after_the_end_of_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "UNAVAILABLE_PAUSE_SECONDS", 0)

    async def script(setup: Setup) -> None:
        setup.journal.failures = [JournalFullError("full")] * 10
        setup.clock.set_us += US_PER_DAY
        setup.pipeline.check_clock()
        await setup.write_batches(1)
        setup.pipeline.stop()
        for _ in range(10):
            setup.journal.gate.release()

    assert len(play(script).journal.records) == 3


def test_a_broken_journal_stops_the_pipeline_without_answering_the_batch() -> None:
    async def run() -> Setup:
        setup = Setup()
        setup.journal.failures = [None, JournalBrokenError("I/O error")]
        running = asyncio.create_task(setup.pipeline.run())
        setup.place("a")
        await setup.journal.begun.acquire()
        setup.place("b")
        setup.journal.gate.release()
        await setup.write_batches(1)
        with pytest.raises(JournalBrokenError):
            await running
        return setup

    setup = asyncio.run(run())
    assert [line for line in setup.log if "answered" in line] == ["a answered 4"]


def test_times_rise_if_the_clock_stands_still_or_goes_back() -> None:
    async def script(setup: Setup) -> None:
        setup.place("a")
        setup.place("b")
        await setup.write_batches(1)
        setup.clock.set_us -= US_PER_DAY // 10
        setup.place("c")
        await setup.write_batches(1)

    times = [record.ts_us for record in play(script).journal.records]
    assert times == sorted(set(times))


def test_the_end_of_a_day_is_recorded_before_the_first_command_of_the_next() -> None:
    async def script(setup: Setup) -> None:
        setup.place("a", "day")
        await setup.write_batches(1)
        setup.clock.set_us = MIDNIGHT_US + US_PER_DAY + DAY_END_US
        setup.place("b", "day")
        await setup.write_batches(1)

    setup = play(script)
    kinds = [record.payload.split('"')[3] for record in setup.journal.records[3:]]
    assert kinds == ["place_order", "end_day", "place_order"]
    assert setup.journal.records[4].ts_us == MIDNIGHT_US + US_PER_DAY + DAY_END_US
    assert list(setup.engine.state.accounts["alice"].open_orders) == [2]


def test_a_day_ends_without_any_command() -> None:
    async def script(setup: Setup) -> None:
        setup.clock.set_us = MIDNIGHT_US + 3 * US_PER_DAY + DAY_END_US + 5
        setup.pipeline.check_clock()
        await setup.write_batches(1)

    (end_day,) = play(script).journal.records[3:]
    assert end_day.payload == f'{{"kind":"end_day","day_end_us":{MIDNIGHT_US + 3 * US_PER_DAY + DAY_END_US}}}'


def test_all_times_of_answers_are_written_when_the_pipeline_stops() -> None:
    async def script(setup: Setup) -> None:
        setup.place("a")
        await setup.write_batches(1)

    setup = play(script)
    assert [seq for seq, _ in setup.journal.answers] == [4]


def test_recorded_answer_times_never_fall_although_the_clock_is_set_back() -> None:
    async def script(setup: Setup) -> None:
        for name, step_us, write_us in (("a", -500, 0), ("b", 1_000, 500), ("c", -1_000, 0)):
            setup.clock.set_us += step_us
            setup.place(name)
            await setup.journal.begun.acquire()
            # The clock moves while the journal writes.
            setup.clock.set_us += write_us
            setup.journal.gate.release()
            # The pipeline answers before the next command comes.
            for _ in range(10):
                await asyncio.sleep(0)

    setup = play(script)
    times = {record.seq: record.ts_us for record in setup.journal.records}
    answers = setup.journal.answers
    assert [seq for seq, _ in answers] == [4, 5, 6]
    assert all(answered_us >= times[seq] for seq, answered_us in answers)
    assert [us for _, us in answers] == sorted(us for _, us in answers)


def test_the_end_of_a_day_before_a_run_begins_says_so_in_a_fair_market() -> None:
    """After a crash it must not liquidate against quotes for an old price."""

    async def days(version: int) -> list[bool | UnsetType]:
        journal, engine, clock = MemoryJournal(), Engine(), ManualClock(MIDNIGHT_US)
        genesis = Genesis(Rules(market=Market()), version)
        (record,) = chain(engine.head, [(MIDNIGHT_US, encode_command(genesis).decode())])
        engine.step(record, genesis)
        journal.records.append(record)
        clock.set_us = MIDNIGHT_US + US_PER_DAY
        pipeline = Pipeline(engine, journal, clock, Silent())

        def on_started(_change: Change | None) -> None:
            clock.set_us += US_PER_DAY
            pipeline.submit(EndSession(), lambda change: None)
            pipeline.stop()

        pipeline.submit(StartSession("test"), on_started)
        await pipeline.run()
        commands = [decode_command(record.payload) for record in journal.records]
        return [command.is_before_start for command in commands if isinstance(command, EndDay)]

    assert asyncio.run(days(2)) == [True, UNSET]
    assert asyncio.run(days(1)) == [UNSET, UNSET]
