"""Candles: those of the channels and of the history equal a recomputation from all trades and index prices."""

import json
import random
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

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
from exchange.projections.views import Views
from exchange.projections.views_codec import decode_views, encode_views
from exchange.projections.wire_types import Candle, Candles, Resolution
from tests.market_commands import market_steps
from tests.market_story import write_steps
from tests.random_commands import Step

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


def run_live(steps: list[Step], seed: int, restart_every: int) -> tuple[Views, dict[str, list[Price]], Recorder]:
    """Carry out the commands, with restarts, and subscribe to all candles as soon as there are such channels."""
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


def test_every_resolution_divides_a_day() -> None:
    """So that intervals begin at UTC midnight, and the statistics of a day hold each running candle of minutes."""
    assert all(86_400 % seconds == 0 for seconds in RESOLUTIONS.values())
    assert list(RESOLUTIONS.values()) == sorted(RESOLUTIONS.values())


def test_an_interval_of_which_trades_are_forgotten_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tape keeps so many trades. A candle of a part of the trades would be wrong: the next one is the first."""
    monkeypatch.setattr(tape, "INSTRUMENT_TRADES_KEPT", 2)
    _, prices, recorder = run_live(list(market_steps(SEED, 200)), SEED, restart_every=20)
    for channel, candles in recorder.candles.items():
        _, of, resolution = channel.split(".")
        length_us = interval_us(msgspec.convert(resolution, Resolution))
        for begin_us, candle in candles.items():
            assert recomputed(prices[of], length_us, begin_us, begin_us, 2**62) == [candle]


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
