"""The historical volatility of an index follows from its prices, once a day over 15 days."""

import math
import random
import statistics
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.domain.commands import Command, Genesis, SetIndexPrice, StartSession
from exchange.domain.rules import Market, Rules, Series
from exchange.domain.units import US_PER_DAY
from exchange.gateway.exchange_port import PastQuestion
from exchange.history_db.update import update_history
from exchange.past.answers import PastAnswers
from exchange.projections.historical_volatility import historical_volatility
from tests.fake_exchange import START_US
from tests.market_story import write_steps

US_PER_HOUR = US_PER_DAY // 24
DAYS = 18
MARKET = Market(series=(Series("SOL", 10, 0, dailies=0, weeklies=0, monthlies=1),), index_jump_max=0)


def prices() -> list[tuple[int, int]]:
    """A price every ten hours, at times that are no full hours: a full hour has the price before it."""
    numbers, price, found = random.Random(1), 150_000_000, []
    for step in range(DAYS * 24 // 10):
        found.append((START_US + step * 10 * US_PER_HOUR + 1_234, price))
        price = price * numbers.randint(970, 1_030) // 1_000
    return found


def steps() -> Iterator[tuple[int, Command]]:
    yield START_US, Genesis(Rules(market=MARKET))
    yield START_US + 1, StartSession("test")
    for ts_us, price in prices():
        yield ts_us, SetIndexPrice("SOL", price)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PastAnswers]:
    path: Path = tmp_path_factory.mktemp("volatility") / "exchange.db"
    write_steps(path, steps())
    update_history(path, lambda *_: None, lambda *_: None)
    with closing(PastAnswers(path, lambda end: True)) as answers:
        yield answers


def ask(answers: PastAnswers, seq: int, **params: Any) -> Any:
    raw = msgspec.Raw(msgspec.json.encode({"asset": "SOL"} | params))
    answer = answers.answer(PastQuestion("public/get_historical_volatility", raw, "", seq))
    return answer.error["detail"] if answer.error is not None else msgspec.json.decode(answer.result)


def expected(ts_us: int, known: list[tuple[int, int]]) -> float:
    daily = [[price for at_us, price in known if at_us <= ts_us - day * US_PER_DAY][-1] for day in range(15, -1, -1)]
    returns = [math.log(after / before) for before, after in pairwise(daily)]
    return statistics.stdev(returns) * math.sqrt(365)


@pytest.mark.slow
def test_each_value_is_the_deviation_of_fifteen_daily_returns(answers: PastAnswers) -> None:
    known = prices()
    found = ask(answers, len(known) + 2, count=1_000)
    first_us = START_US + 15 * US_PER_DAY + US_PER_HOUR
    last_us = known[-1][0] // US_PER_HOUR * US_PER_HOUR
    assert [one["ts_us"] for one in found] == list(range(first_us, last_us + 1, US_PER_HOUR))
    for one in found:
        assert one["volatility"] == pytest.approx(expected(one["ts_us"], known), rel=1e-5)
    assert ask(answers, len(known) + 2) == found[-24:]
    assert ask(answers, len(known) + 2, count=2, end_us=found[-5]["ts_us"] + 1) == found[-6:-4]
    assert ask(answers, len(known) + 1, count=1_000)[-1] in found, "an earlier moment knows the same"


def test_a_young_or_unknown_index_has_none(answers: PastAnswers) -> None:
    assert ask(answers, 30) == []
    assert "nothing is listed on this asset" in ask(answers, 30, asset="XRP")


def test_a_constant_index_has_no_volatility() -> None:
    assert historical_volatility([150_000_000] * 16) == 0
    assert historical_volatility([100, 110, 100]) == pytest.approx(math.log(1.1) * math.sqrt(2 * 365), rel=1e-5)
