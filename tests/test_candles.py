"""Candles: those of the channels and of the history equal a recomputation from all trades and index prices."""

import asyncio
import json
import os
import random
import signal
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from exchange.client import CandlesMessage, Client, connect
from exchange.domain.commands import encode_command
from exchange.domain.events import Event, IndexPriceSet, Traded
from exchange.domain.units import US_PER_DAY, US_PER_SECOND
from exchange.engine.engine import Engine
from exchange.gateway.channels import Channel, parse_channel
from exchange.gateway.exchange_port import PastQuestion
from exchange.gateway.limits import FLAT_CANDLES_MAX
from exchange.gateway.subscriptions import Subscriptions
from exchange.history_db.update import update_history
from exchange.journal.records import chain
from exchange.past.answers import PastAnswers
from exchange.projections import tape
from exchange.projections.candles import CANDLES_MAX, RESOLUTIONS, IndexCandles, interval_us
from exchange.projections.recent import RecentTrades
from exchange.projections.tape import Tape
from exchange.projections.views import Views
from exchange.projections.views_codec import decode_views, encode_views
from exchange.projections.wire_types import Candle, Candles, Resolution, Trade
from exchange.runtime.follower import read_status
from tests.market_commands import market_steps
from tests.market_story import write_steps
from tests.random_commands import Step
from tests.wire import INSTRUMENT, Wire
from tests.wire import exchange as running_exchange

# Of a second, a minute, an hour and a day, and two that no minute divides or is divided by.
CHOSEN: tuple[Resolution, ...] = ("1s", "15s", "1m", "3m", "1h", "1d")
# The commands of these streams are a week.
SEED, COUNT = 3, 400


class Price(NamedTuple):
    """A trade, or a price of an index without size."""

    ts_us: int
    price_micros: int
    size_milli: int = 0


def recomputed(prices: list[Price], length_us: int, first_us: int, last_us: int, end_us: int) -> list[Candle]:
    """The candles that begin at `first_us` to `last_us`, and before `end_us`: each from all prices, one by one."""
    candles: list[Candle] = []
    for begin_us in range(first_us, min(last_us, end_us - 1) + 1, length_us):
        within = [one for one in prices if begin_us <= one.ts_us < begin_us + length_us]
        before = [one for one in prices if one.ts_us < begin_us]
        if within:
            values = [one.price_micros for one in within]
            volume = sum(one.size_milli for one in within)
            notional = sum(one.price_micros * one.size_milli // 1_000 for one in within)
            candle = Candle(begin_us, values[0], max(values), min(values), values[-1], volume, notional)
            candles.append(candle)
        elif before:
            close = before[-1].price_micros
            candles.append(Candle(begin_us, close, close, close, close, 0, 0))
    return candles


class Recorder:
    """A subscriber that keeps the newest candle of each interval, by channel. Messages never go back in seq."""

    user_id = ""

    def __init__(self) -> None:
        self.subscribed: dict[str, Channel] = {}
        self.candles: dict[str, dict[int, Candle]] = {}
        self.last_seq: dict[str, int] = {}

    def notify(self, channel_name: str, text: bytes) -> None:
        candles = msgspec.convert(json.loads(text)["params"]["data"], Candles)
        assert candles.seq >= self.last_seq.get(channel_name, 0)
        self.last_seq[channel_name] = candles.seq
        known = self.candles.setdefault(channel_name, {})
        begins = [one.ts_us for one in candles.candles]
        assert begins == sorted(begins) and begins[0] >= max(known, default=0), "only the last candle is running"
        known |= {one.ts_us: one for one in candles.candles}


def prices_of(ts_us: int, events: list[Event]) -> Iterator[tuple[str, Price]]:
    for event in events:
        if isinstance(event, Traded):
            yield event.instrument_id, Price(ts_us, event.price_micros, event.size_milli)
        elif isinstance(event, IndexPriceSet):
            yield event.asset, Price(ts_us, event.price_micros)


def run_live(
    steps: list[Step], seed: int, restart_every: int, forgets: bool = False
) -> tuple[Views, dict[str, list[Price]], Recorder]:
    """Carry out the commands, with restarts, and subscribe to all candles as soon as there are such channels.

    `forgets`: the recorder begins again with each restart.
    """
    chance, engine, recorder = random.Random(seed), Engine(), Recorder()
    subscriptions, prices = Subscriptions(engine.views), dict[str, list[Price]]()
    for number, (ts_us, command, _) in enumerate(steps, 1):
        (record,) = chain(engine.head, [(ts_us, encode_command(command).decode())])
        events, change = engine.step(record, command)
        for of, price in prices_of(ts_us, events):
            prices.setdefault(of, []).append(price)
        # A connection may subscribe after a command is applied, and before it is published.
        join_all(subscriptions, engine.views, recorder)
        subscriptions.publish(change)
        if chance.random() < 0.6:
            subscriptions.flush()
        if number % restart_every == 0:
            subscriptions.flush()
            engine.views = decode_views(encode_views(engine.views))
            subscriptions = Subscriptions(engine.views)
            recorder.subscribed = {}
            if forgets:
                recorder.candles = {}
            join_all(subscriptions, engine.views, recorder)
    subscriptions.flush()
    return engine.views, prices, recorder


def join_all(subscriptions: Subscriptions, views: Views, recorder: Recorder) -> None:
    # An expired instrument has no candles any more.
    names = [one.instrument_id for one in views.live_instruments()] + list(views.indexes)
    for name in (f"candles.{of}.{resolution}" for of in names for resolution in CHOSEN):
        if name not in recorder.subscribed:
            recorder.subscribed[name] = channel = parse_channel(name, views)
            subscriptions.begin(recorder, channel)


def end_us_of(views: Views, of: str) -> int:
    instrument = views.instruments.get(of)
    return 2**62 if instrument is None else instrument.expiration_s * US_PER_SECOND


def check_live(views: Views, prices: dict[str, list[Price]], recorder: Recorder) -> int:
    """Compare all candles that were sent, and that none with a trade or price is missing. Returns their number."""
    count = 0
    for channel, candles in recorder.candles.items():
        _, of, resolution = channel.split(".")
        length_us = interval_us(msgspec.convert(resolution, Resolution))
        for begin_us, candle in candles.items():
            assert recomputed(prices[of], length_us, begin_us, begin_us, end_us_of(views, of)) == [candle], channel
        wanted = {price.ts_us - price.ts_us % length_us for price in prices[of]}
        assert wanted <= set(candles), channel
        begins = sorted(candles)
        for begin_us, next_us in pairwise(begins):
            gap = (next_us - begin_us) // length_us - 1
            # After a long time without commands, a message has the last flat candles.
            assert gap == 0 or next_us + (FLAT_CANDLES_MAX - 1) * length_us in candles, channel
        count += len(candles)
    return count


def ask(answers: PastAnswers, seq: int, **params: Any) -> Any:
    """The candles as of `seq`; an error as its detail."""
    question = PastQuestion("public/get_candles", msgspec.Raw(msgspec.json.encode(params)), "", seq)
    answer = answers.answer(question)
    assert answer.behind is None, answer
    if answer.error is not None:
        return answer.error["detail"]
    found = msgspec.json.decode(answer.result, type=Candles)
    assert found.seq == seq
    return found.candles


def check_history(path: Path, steps: list[Step], prices: dict[str, list[Price]], views: Views, moments: int) -> int:
    """Compare the answers at many moments, each with the prices up to it. Returns the number of candles."""
    chance, count = random.Random(SEED), 0
    with closing(PastAnswers(path, lambda end: True)) as answers:
        for _ in range(moments):
            of = chance.choice(sorted(prices))
            resolution = chance.choice(CHOSEN)
            length_us = interval_us(resolution)
            seq = chance.randint(2, len(steps))
            now_us = steps[seq - 1].ts_us
            known = [price for price in prices[of] if price.ts_us <= now_us]
            if not known:
                continue
            anchor_us = chance.choice([now_us, *[one.ts_us for one in known]])
            last_us = min(now_us, anchor_us + chance.randint(0, 20) * length_us)
            first_us = max(0, anchor_us - chance.randint(0, 20) * length_us)
            which = {"instrument_id": of} if "_" in of else {"asset": of}
            found = ask(answers, seq, **which, resolution=resolution, start_us=first_us, end_us=last_us)
            aligned_us = first_us - first_us % length_us
            assert found == recomputed(known, length_us, aligned_us, last_us, end_us_of(views, of)), (of, resolution)
            count += len(found)
    return count


def recorded(path: Path, seed: int, count: int) -> list[Step]:
    steps = list(market_steps(seed, count))
    write_steps(path, ((step.ts_us, step.command) for step in steps))
    update_history(path, lambda *_: None, lambda *_: None)
    return steps


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Step]]:
    path = tmp_path_factory.mktemp("week") / "exchange.db"
    return path, recorded(path, SEED, COUNT)


@pytest.mark.slow
def test_candles_of_a_week_equal_a_recomputation(week: tuple[Path, list[Step]]) -> None:
    """Live, across restarts, with sessions that join at any moment; and from the history at any moment."""
    path, steps = week
    assert steps[-1].ts_us - steps[0].ts_us > 7 * US_PER_DAY
    views, prices, recorder = run_live(steps, SEED, restart_every=90)
    assert check_live(views, prices, recorder) > 1_000
    assert check_history(path, steps, prices, views, 150) > 1_000


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20, 26))
def test_candles_of_other_weeks_equal_a_recomputation(tmp_path: Path, seed: int) -> None:
    steps = recorded(tmp_path / "exchange.db", seed, 1_500)
    views, prices, recorder = run_live(steps, seed, restart_every=37)
    check_live(views, prices, recorder)
    assert check_history(tmp_path / "exchange.db", steps, prices, views, 600) > 1_000


def test_what_is_live_continues_the_history(week: tuple[Path, list[Step]]) -> None:
    """A client that subscribes first, and then asks, has every candle, however late the history answers."""
    path, steps = week
    views, prices, recorder = run_live(steps, SEED, restart_every=COUNT)
    with closing(PastAnswers(path, lambda end: True)) as answers:
        for of in ("SOL", "BTC"):
            live = recorder.candles[f"candles.{of}.1h"]
            joined_us = min(live)
            for seq in (COUNT // 2, COUNT):
                before = ask(answers, seq, asset=of, resolution="1h", start_us=steps[0].ts_us)
                merged = {one.ts_us: one for one in before} | {
                    begin_us: one for begin_us, one in live.items() if begin_us >= joined_us
                }
                first_us = steps[0].ts_us - steps[0].ts_us % interval_us("1h")
                expected = recomputed(prices[of], interval_us("1h"), first_us, views.ts_us, 2**62)
                assert [merged[begin_us] for begin_us in sorted(merged)] == expected


def test_bad_questions_name_the_parameter_and_what_to_do(week: tuple[Path, list[Step]]) -> None:
    path, _ = week
    with closing(PastAnswers(path, lambda end: True)) as answers:

        def detail(**params: Any) -> str:
            found = ask(answers, COUNT, **params)
            assert isinstance(found, str)
            return found

        assert detail(asset="SOL", resolution="7m").endswith("2h, 3h, 6h, 12h, 1d")
        years = {"start_us": 1_772_000_000_000_000 - 3_650 * US_PER_DAY, "end_us": 1_772_000_000_000_000}
        assert detail(asset="SOL", resolution="1s", **years) == (
            "315,360,001 candles of 1s: one answer has at most 5,000; give a later start_us, an earlier end_us or a "
            "longer resolution"
        )
        assert detail(resolution="1m") == "give exactly one of instrument_id and asset"
        assert detail(asset="SOL", instrument_id="x", resolution="1m").startswith("give exactly one")
        assert detail(asset="SOL", resolution="1m", start_us=1, count=1).startswith("give start_us or count, not both")
        assert (
            detail(asset="SOL", resolution="1m", start_us=2, end_us=1)
            == "start_us 2 is after end_us 1: give an earlier start"
        )
        assert "asset" in detail(asset="XRP", resolution="1m")
        assert ask(answers, COUNT, asset="SOL", resolution="1s", count=CANDLES_MAX)[-1].volume_milli == 0


def test_an_answer_reads_a_bounded_number_of_rows(
    week: tuple[Path, list[Step]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.history_db.past_views._STEPS_A_CALL", 10)
    with closing(PastAnswers(week[0], lambda end: True)) as answers:
        assert ask(answers, COUNT, asset="SOL", resolution="1d", count=20)
        monkeypatch.setattr("exchange.history_db.candles._STEPS_MAX", 100)
        detail = "the candles of this time follow from too many trades or prices: ask for a shorter time"
        assert ask(answers, COUNT, asset="SOL", resolution="1d", count=20) == detail
        monkeypatch.undo()
        assert ask(answers, COUNT, asset="SOL", resolution="1d", count=20), "the connection can read again"


def test_every_resolution_divides_a_day() -> None:
    """So that intervals begin at UTC midnight, and the statistics of a day hold each running candle of minutes."""
    assert all(86_400 % seconds == 0 for seconds in RESOLUTIONS.values())
    assert list(RESOLUTIONS.values()) == sorted(RESOLUTIONS.values())


def test_a_candle_of_a_part_of_the_trades_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tape keeps so many trades. If all of them are in the interval, there may have been more."""
    monkeypatch.setattr(tape, "INSTRUMENT_TRADES_KEPT", 2)
    trades = [Trade(n, INSTRUMENT, 1_000 * n, 10, "bid", n, n * US_PER_SECOND) for n in (61, 62)]
    kept = Tape({INSTRUMENT: RecentTrades(2, trades)})
    assert kept.running_candle(INSTRUMENT, 61 * US_PER_SECOND) is None
    known = kept.running_candle(INSTRUMENT, 62 * US_PER_SECOND)
    assert known is not None and known.view() == Candle(62 * US_PER_SECOND, 62_000, 62_000, 62_000, 62_000, 10, 620)


def test_the_first_candle_is_unknown_until_the_next_interval_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Views, "trade_candle", lambda *_: None)
    _, prices, recorder = run_live(list(market_steps(SEED, 299)), SEED, restart_every=150, forgets=True)
    assert any("_" in channel for channel in recorder.candles)
    for channel, candles in recorder.candles.items():
        _, of, resolution = channel.split(".")
        length_us = interval_us(msgspec.convert(resolution, Resolution))
        for begin_us, candle in candles.items():
            assert recomputed(prices[of], length_us, begin_us, begin_us, 2**62) == [candle]


@pytest.mark.slow
def test_a_trade_counts_once_for_a_channel_that_began_between_it_and_its_message() -> None:
    engine, prices, joined = Engine(), dict[str, list[Price]](), 0
    for ts_us, command, _ in market_steps(SEED, 300):
        subscriptions, recorder = Subscriptions(engine.views), Recorder()
        (record,) = chain(engine.head, [(ts_us, encode_command(command).decode())])
        events, change = engine.step(record, command)
        for of, price in prices_of(ts_us, events):
            prices.setdefault(of, []).append(price)
        join_all(subscriptions, engine.views, recorder)
        subscriptions.publish(change)
        subscriptions.flush()
        for channel in [one for one in recorder.candles if one.endswith(".1d")]:
            of = channel.split(".")[1]
            (candle,) = recorder.candles[channel].values()
            assert recomputed(prices[of], US_PER_DAY, candle.ts_us, candle.ts_us, 2**62) == [candle]
            joined += bool(change.trades)
    assert joined


def test_an_older_snapshot_has_no_candles_of_the_running_intervals() -> None:
    """They begin with the next interval, so that none lacks prices."""
    candles = IndexCandles.unknown(3_600 * US_PER_SECOND + 5)
    hour_us = interval_us("1h")
    candles.add(150, 3_601 * US_PER_SECOND)
    assert candles.at(hour_us, 150, 3_602 * US_PER_SECOND) is None
    candles.add(160, 7_200 * US_PER_SECOND)
    candles.add(155, 7_201 * US_PER_SECOND)
    running = candles.at(hour_us, 155, 7_201 * US_PER_SECOND)
    assert running is not None and running.view() == Candle(7_200 * US_PER_SECOND, 160, 160, 155, 155, 0, 0)


def test_a_replay_that_moves_begins_again_with_the_candles_of_that_moment() -> None:
    steps = list(market_steps(SEED, 200))
    views, prices, _ = run_live(steps, SEED, restart_every=1_000)
    earlier, recorder = Engine(), Recorder()
    for ts_us, command, _ in steps[:100]:
        (record,) = chain(earlier.head, [(ts_us, encode_command(command).decode())])
        earlier.step(record, command)
    subscriptions = Subscriptions(views)
    join_all(subscriptions, views, recorder)
    recorder.candles, recorder.last_seq = {}, {}
    subscriptions.on_seek(earlier.views)
    assert recorder.candles["candles.SOL.1h"]
    known = {of: [one for one in prices[of] if one.ts_us <= steps[99].ts_us] for of in prices}
    for channel, candles in recorder.candles.items():
        _, of, resolution = channel.split(".")
        length_us = interval_us(msgspec.convert(resolution, Resolution))
        begin_us = steps[99].ts_us - steps[99].ts_us % length_us
        assert list(candles.values()) == recomputed(known[of], length_us, begin_us, begin_us, 2**62)


@pytest.mark.slow
def test_a_client_has_all_candles_while_the_history_lags_and_after_a_restart(tmp_path: Path) -> None:
    """The answer waits for the history, and the channel does not."""
    path = tmp_path / "exchange.db"

    async def trade(alice: Wire, bob: Wire) -> None:
        await alice.buy()
        order = {"instrument_id": INSTRUMENT, "price": 1_500_000, "amount": 1_000}
        assert (await bob.ask("private/sell", **order))["result"]["trades"]

    async def volume_of(client: Client, channel: CandlesMessage) -> int:
        found = await client.get_candles(INSTRUMENT, "1d")
        assert found.seq >= channel.seq and found.candles[-1] == channel.data.candles[-1]
        return sum(one.volume_milli for one in found.candles)

    async def conversation() -> None:
        async with running_exchange(path) as server, connect(server.url) as client:
            alice, bob = await server.client("alice"), await server.client("bob")
            await trade(alice, bob)
            subscription = await client.subscribe(f"candles.{INSTRUMENT}.1d")
            first = await anext(subscription)
            assert isinstance(first, CandlesMessage) and await volume_of(client, first) == 1_000
            while (follower := read_status(path)) is None:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.01)
            os.kill(follower.pid, signal.SIGSTOP)
            await trade(alice, bob)
            second = await anext(subscription)
            assert isinstance(second, CandlesMessage) and second.seq > first.seq
            asked = asyncio.create_task(volume_of(client, second))
            await bob.ask("public/test")
            assert not asked.done()
            os.kill(follower.pid, signal.SIGCONT)
            assert await asked == 2_000
        async with running_exchange(path) as server, connect(server.url) as client:
            third = await anext(await client.subscribe(f"candles.{INSTRUMENT}.1d"))
            assert isinstance(third, CandlesMessage) and await volume_of(client, third) == 2_000

    asyncio.run(conversation())
