"""The timeline and its moments: equal to what the events of every command say, at any range and any moment."""

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from exchange.client import connect
from exchange.domain import events as e
from exchange.domain.commands import RecordLoss, decode_command
from exchange.engine.recovery import replay, restore_base
from exchange.gateway.exchange_port import PastQuestion
from exchange.history_db import timeline_marks
from exchange.history_db.file import history_path, open_history
from exchange.history_db.past_views import PastViews
from exchange.history_db.timeline import timeline
from exchange.history_db.timeline_marks import marks_between
from exchange.history_db.update import update_history
from exchange.history_db.writer import HistoryWriter
from exchange.journal.opening import open_journal_reader
from exchange.past.answers import PastAnswers
from exchange.projections.timeline import SeqRange
from exchange.projections.wire_types import MomentResult, Timeline
from tests.market_commands import market_steps
from tests.market_story import write_steps
from tests.wire import INSTRUMENT
from tests.wire import exchange as running_exchange

SEED, COUNT = 2, 700


class Step(NamedTuple):
    """A command of the journal, with its events."""

    seq: int
    ts_us: int
    kind: str
    events: list[e.Event]


class Recorded(NamedTuple):
    path: Path
    steps: list[Step]
    assets: dict[str, str]


def ignore(*_: object) -> None:
    pass


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A random market, its history, and the events of each command by a replay."""
    path = tmp_path_factory.mktemp("timeline") / "exchange.db"
    write_steps(path, ((step.ts_us, step.command) for step in market_steps(SEED, COUNT)))
    update_history(path, ignore, ignore)
    steps, assets = [], dict[str, str]()
    with open_journal_reader(path) as reader:
        engine = restore_base(reader, 0)
        for record in reader.records(engine.head):
            kind = str(type(decode_command(record.payload)).__struct_config__.tag)
            steps.append(Step(record.seq, record.ts_us, kind, replay(engine, record)))
            assets |= {name: one.asset for name, one in engine.views.instruments.items()}
    return Recorded(path, steps, assets)


def ask(path: Path, method: str, at_seq: int, **params: Any) -> Any:
    raw = msgspec.Raw(msgspec.json.encode(params))
    with closing(PastAnswers(path, lambda end: True)) as answers:
        answer = answers.answer(PastQuestion(method, raw, "", at_seq))
    assert answer.behind is None, answer
    return answer.error or msgspec.json.decode(answer.result)


def timeline_of(path: Path, at_seq: int, **params: Any) -> Timeline:
    return msgspec.convert(ask(path, "public/get_timeline", at_seq, **params), Timeline)


def moment_of(path: Path, at_seq: int, **params: Any) -> MomentResult:
    return msgspec.convert(ask(path, "public/get_moment", at_seq, **params), MomentResult)


def trades_of(market: Recorded, step: Step, asset: str | None) -> list[e.Traded]:
    trades = [event for event in step.events if isinstance(event, e.Traded)]
    return [one for one in trades if asset in (None, market.assets[one.instrument_id])]


def check_buckets(market: Recorded, found: Timeline, first_seq: int, last_seq: int, asset: str | None) -> None:
    """Each bucket equals a count over its commands, and together they are the range."""
    assert [one.seq for one in market.steps] == list(range(1, COUNT + 1))
    assert found.buckets[0].first_seq == first_seq and found.buckets[-1].last_seq == last_seq
    prices = dict[str, int]()
    following = iter(market.steps)
    for bucket in found.buckets:
        trades = list[e.Traded]()
        while (step := next(following, None)) is not None:
            for event in step.events:
                if isinstance(event, e.IndexPriceSet) and asset in (None, event.asset):
                    prices[event.asset] = event.price_micros
            if step.seq >= bucket.first_seq:
                trades += trades_of(market, step, asset)
            if step.seq == bucket.last_seq:
                break
        first, last = market.steps[bucket.first_seq - 1], market.steps[bucket.last_seq - 1]
        assert (bucket.first_ts_us, bucket.last_ts_us) == (first.ts_us, last.ts_us)
        assert bucket.commands == bucket.last_seq - bucket.first_seq + 1
        assert bucket.trades == len(trades)
        assert bucket.volume_milli == sum(one.size_milli for one in trades)
        assert bucket.index_prices == prices
    ends = [one.last_seq for one in found.buckets]
    assert [one.first_seq for one in found.buckets] == [first_seq, *(seq + 1 for seq in ends[:-1])]
    sizes = {one.commands for one in found.buckets}
    assert max(sizes) - min(sizes) <= 1


def priced_until(market: Recorded, seq: int) -> set[str]:
    """The assets with an index price up to a command. Others may be unknown."""
    events = [event for step in market.steps[:seq] for event in step.events]
    return {event.asset for event in events if isinstance(event, e.IndexPriceSet)}


def test_buckets_equal_a_count_over_all_events(market: Recorded) -> None:
    chance = random.Random(SEED)
    seen_trades = 0
    for _ in range(60):
        at_seq = chance.randint(2, COUNT)
        first_seq, last_seq = sorted((chance.randint(1, at_seq), chance.randint(1, at_seq)))
        buckets = chance.choice((1, 2, 7, 100, 2_000))
        asset = chance.choice((None, *(name for name in ("SOL", "BTC") if name in priced_until(market, at_seq))))
        of: dict[str, Any] = {"from_seq": first_seq, "to_seq": last_seq, "buckets": buckets, "asset": asset}
        found = timeline_of(market.path, at_seq, **of)
        assert len(found.buckets) == min(buckets, last_seq - first_seq + 1)
        check_buckets(market, found, first_seq, last_seq, asset)
        assert (found.first_seq, found.last_seq, found.seq) == (1, at_seq, at_seq)
        seen_trades += sum(one.trades for one in found.buckets)
    assert seen_trades > 100


def test_the_sums_are_the_same_however_often_the_history_was_updated(tmp_path: Path, market: Recorded) -> None:
    """The follower flushes after any command: the sums of a block go on."""
    path = tmp_path / "exchange.db"
    steps = list(market_steps(SEED, COUNT))
    write_steps(path, ((step.ts_us, step.command) for step in steps))
    with open_journal_reader(path) as reader, closing(HistoryWriter(history_path(path))) as writer:
        engine = restore_base(reader, 0)
        chance = random.Random(1)
        for record in reader.records(engine.head):
            command = decode_command(record.payload)
            events, change = engine.step(record, command)
            writer.add(record, command, events, change, engine)
            if chance.random() < 0.3:
                writer.flush([])
        writer.flush([])
    query = "SELECT * FROM trade_total ORDER BY asset, block"
    with closing(open_history(path)) as often, closing(open_history(market.path)) as once:
        rows = often.execute(query).fetchall()
        assert rows == once.execute(query).fetchall() and len(rows) > 5


def test_marks_are_what_the_commands_did(market: Recorded) -> None:
    found = timeline_of(market.path, COUNT)
    expected = list[tuple[int, str]]()
    for step in market.steps:
        kinds = list[str]()
        for event in step.events:
            match event:
                case e.HaltSet():
                    kinds.append("halt" if event.halted else "resume")
                case e.RulesChanged():
                    kinds.append("rules")
                case e.DeliveryPriceSet():
                    kinds.append("expiry")
                case e.SettlementDelayed():
                    kinds.append("delayed")
                case e.LiquidationStarted() if "liquidation" not in kinds:
                    kinds.append("liquidation")
        is_done = not isinstance(step.events[0], e.Refused)
        if is_done and step.kind in ("pause_instrument", "pause_series"):
            kinds.append("pause")
        if is_done and step.kind in ("resume_instrument", "resume_series"):
            kinds.append("resume")
        if step.kind == "start_session":
            kinds.append("start")
        expected += [(step.seq, kind) for kind in kinds]
    named = [(mark.seq, "start" if mark.kind == "crash" else mark.kind) for mark in found.marks if mark.kind != "stop"]
    assert sorted(named) == sorted(expected)
    assert {"halt", "resume", "pause", "expiry", "liquidation"} <= {mark.kind for mark in found.marks}
    assert [mark.seq for mark in found.marks] == sorted(mark.seq for mark in found.marks)
    assert all(mark.ts_us == market.steps[mark.seq - 1].ts_us and mark.text for mark in found.marks)
    assert not any(user in mark.text for mark in found.marks for user in ("alice", "bob", "carol", "dave"))
    assert found.marks_left_out == 0


def test_marks_have_a_limit_and_say_how_many_are_missing(market: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    every = timeline_of(market.path, COUNT).marks
    monkeypatch.setattr(timeline_marks, "MARKS_MAX", 5)
    found = timeline_of(market.path, COUNT)
    assert len(found.marks) == 5 and found.marks_left_out == len(every) - 5
    assert all(mark in every for mark in found.marks)
    halts = [mark for mark in every if mark.text in ("the exchange was halted", "the halt ended")]
    assert [mark for mark in found.marks if mark in halts] == halts[-5:]


def test_steps_go_to_the_next_command_trade_or_second(market: Recorded) -> None:
    chance, steps = random.Random(SEED), market.steps
    clipped = 0
    for _ in range(400):
        at_seq = chance.randint(2, COUNT)
        seq, count = chance.randint(1, at_seq), chance.choice((-50, -3, -1, 0, 1, 2, 40, 1_000))
        by = chance.choice(("command", "trade", "second"))
        found = moment_of(market.path, at_seq, seq=seq, by=by, count=count)
        expected, is_clipped = seq, False
        for _ in range(abs(count)):
            after = naive_step(market, expected, at_seq, by, 1 if count > 0 else -1)
            if after is None:
                expected, is_clipped = (at_seq if count > 0 else 1), True
                break
            expected = after
        assert (found.seq, found.clipped) == (expected, is_clipped), (at_seq, seq, by, count)
        assert found.ts_us == steps[expected - 1].ts_us
        span = (found.first_seq, found.first_ts_us, found.last_seq, found.last_ts_us)
        assert span == (1, steps[0].ts_us, at_seq, steps[at_seq - 1].ts_us)
        clipped += is_clipped
    assert 50 < clipped < 350


def naive_step(market: Recorded, seq: int, last_seq: int, by: str, direction: int) -> int | None:
    """The next moment in this direction, command by command; None if there is none."""
    steps = market.steps[:last_seq]
    ahead = steps[seq:] if direction > 0 else steps[: seq - 1][::-1]
    second = steps[seq - 1].ts_us // 1_000_000
    for step in ahead:
        if by == "command" or (by == "trade" and trades_of(market, step, None)):
            return step.seq
        if by == "second" and step.ts_us // 1_000_000 != second:
            return max(one.seq for one in steps if one.ts_us // 1_000_000 == step.ts_us // 1_000_000)
    return None


def test_a_time_means_the_last_command_at_or_before_it(market: Recorded) -> None:
    for step in random.Random(2).sample(market.steps[:-1], 20):
        assert moment_of(market.path, COUNT, ts_us=step.ts_us, count=0).seq == step.seq
        assert moment_of(market.path, COUNT, ts_us=market.steps[step.seq].ts_us - 1, count=0).seq == step.seq
    assert moment_of(market.path, COUNT, ts_us=2**53 - 1, count=0).seq == COUNT
    assert ask(market.path, "public/get_moment", COUNT, ts_us=1)["reason"] == "unknown_moment"
    assert ask(market.path, "public/get_moment", 20, seq=21)["reason"] == "unknown_moment"


def test_times_select_a_range(market: Recorded) -> None:
    first, last = market.steps[99], market.steps[399]
    found = timeline_of(market.path, COUNT, start_us=first.ts_us, end_us=last.ts_us, buckets=3)
    check_buckets(market, found, 100, 400, None)
    found = timeline_of(market.path, COUNT, start_us=first.ts_us + 1, end_us=last.ts_us - 1, buckets=3)
    check_buckets(market, found, 101, 399, None)
    error = ask(market.path, "public/get_timeline", COUNT, start_us=last.ts_us + 10**15)
    assert (error["reason"], error["param"]) == ("invalid_params", "start_us")


def test_the_cost_does_not_grow_with_the_journal(tmp_path: Path, market: Recorded) -> None:
    """No part of the answer scans a table of commands or trades, and trades are found by their block."""
    with closing(open_history(market.path)) as history:
        plans = list[str]()

        def note(sql: str) -> None:
            plans.extend(row[3] for row in history.execute(f"EXPLAIN QUERY PLAN {sql}"))

        traced = list[str]()
        views = PastViews(history, COUNT)
        history.set_trace_callback(traced.append)
        assert timeline(views, SeqRange(), 10, "SOL") is not None
        history.set_trace_callback(None)
        for sql in traced:
            # The first command is the first row of its table.
            if not sql.endswith("ORDER BY seq LIMIT 1"):
                note(sql)
    scans = [plan for plan in plans if plan.startswith("SCAN") and "INDEX" not in plan]
    tables = {plan.split()[1] for plan in scans}
    of_trades = [plan for plan in plans if plan.startswith("SEARCH t ")]
    assert len(of_trades) >= 2 and all("trade_by_seq" in plan for plan in of_trades), of_trades
    assert not tables & {"command", "trade", "t", "p", "c", "trade_total", "event"}, scans


def test_a_loss_is_one_mark(market: Recorded) -> None:
    """All commands of a loss but the last are silent."""
    assert RecordLoss().__struct_config__.tag == "lost"
    with closing(sqlite3.connect(":memory:")) as copy, closing(open_history(market.path)) as history:
        history.backup(copy)
        at = [one.seq for one in market.steps][300:310]
        copy.executemany(
            "UPDATE command SET kind = 'lost', payload = '{\"type\":\"lost\"}' WHERE seq = ?", [(it,) for it in at]
        )
        copy.execute("UPDATE command SET payload = '{\"next_order_id\":9}' WHERE seq = ?", (at[-1],))
        marks, left_out = marks_between(PastViews(copy, COUNT), 1, COUNT, None)
    assert [mark.seq for mark in marks if mark.kind == "loss"] == [at[-1]] and left_out == 0


def test_a_running_exchange_answers_up_to_its_last_command(tmp_path: Path) -> None:
    asyncio.run(ask_running(tmp_path / "exchange.db"))


async def ask_running(path: Path) -> None:
    async with running_exchange(path) as server, connect(server.url, "alice") as alice:
        await alice.buy(INSTRUMENT, 1_000, 1_000_000)
        async with connect(server.url, "bob") as bob:
            await bob.sell(INSTRUMENT, 1_000, 1_000_000)
        head = await alice.get_head()
        found = await alice.get_timeline(3)
        assert found.seq == head.seq == found.last_seq
        assert (sum(one.trades for one in found.buckets), sum(one.volume_milli for one in found.buckets)) == (1, 1_000)
        assert [mark.kind for mark in found.marks] == ["start"]
        trade = await alice.get_moment(1, by="trade")
        assert (trade.seq, trade.clipped) == (head.seq, False)
        assert (await alice.get_moment(trade.seq, by="trade")).clipped
        assert (await alice.get_moment()).clipped
        before = await alice.get_timeline(at_seq=head.seq - 1)
        assert before.last_seq == head.seq - 1 and sum(one.trades for one in before.buckets) == 0
