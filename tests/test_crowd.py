"""A demo worth trading in: sane quotes around a smile, makers that correct the market, and an order flow that lasts."""

import asyncio
import itertools
import json
import random
import statistics
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from exchange.amounts import parse_time_us
from exchange.bots.crowd import Directional, Hedger, PurposefulTaker, PutSeller, StraddleSeller, Style
from exchange.bots.demo_bots import TAKER_CASH_MICROS, BotAccount, demo_bots, missing_micros
from exchange.bots.maker import MarketMaker
from exchange.bots.opinion import Opinion
from exchange.bots.requests import BotRequest, ClosePositionRequest, PlaceRequest
from exchange.bots.view import QuoteKey, View
from exchange.bots.walk import MarketWalk
from exchange.domain.enums import OptionType
from exchange.domain.instruments import parse_instrument_id
from exchange.domain.units import MICROS_PER_USDC, US_PER_SECOND
from exchange.engine.recovery import recover
from exchange.history.sql import SqlSession
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head
from exchange.projections.wire_types import Ticker
from exchange.runtime.demo import DEMO_RULES
from exchange.runtime.node import open_journal
from exchange.runtime.server_settings import UNLIMITED, ServerSettings, admin_secret
from exchange.simulation.batching_journal import BatchingJournal
from exchange.simulation.in_process import InProcessExchange, ManualClock
from exchange.simulation.simulate import DemoCrowd, SimulationPlan, simulate
from tests.test_bots import accept, market_view, of_kind

START_US = parse_time_us("2026-02-20T09:00:00Z")
HOUR_US = 3_600 * US_PER_SECOND
CALL = "SOL_USDC-21FEB26-150-C"


class Quote(NamedTuple):
    """The terms and the ticker of an option."""

    option_type: OptionType
    strike_micros: int
    ticker: Ticker

    @property
    def moneyness(self) -> float:
        """The strike relative to the index."""
        return self.strike_micros / (self.ticker.index_micros or 1)

    @property
    def relative_spread(self) -> float | None:
        """The spread relative to the mid; None unless both sides are quoted."""
        bid, ask = self.ticker.best_bid_micros, self.ticker.best_ask_micros
        return 2 * (ask - bid) / (ask + bid) if bid and ask else None


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> list[Quote]:
    """The quotes after a simulated hour."""
    path = tmp_path_factory.mktemp("hour") / "exchange.db"
    plan = SimulationPlan(7, START_US, START_US + HOUR_US, 60 * US_PER_SECOND)
    asyncio.run(simulate(path, plan, lambda text: None, lambda done, total: None))
    views = recover(path, lambda text: None, lambda done, total: None).engine.views
    return [
        Quote(one.option_type, one.strike_micros, views.ticker(one.instrument_id)) for one in views.live_instruments()
    ]


@pytest.mark.slow
def test_near_strikes_have_quotes_on_both_sides_and_sane_spreads(hour: list[Quote]) -> None:
    near = [one for one in hour if 0.96 < one.moneyness < 1.04]
    assert len(near) >= 12
    assert [one.ticker.instrument_id for one in near if not one.relative_spread] == []
    assert all(one.ticker.best_ask_micros for one in hour)
    assert statistics.median(one.relative_spread for one in hour if one.relative_spread) < 0.3


def test_worthless_wings_have_no_bid(hour: list[Quote]) -> None:
    """An option whose value is below its tick, out of the money near its expiration, is offered only."""
    worthless = [one for one in hour if one.ticker.mark_micros == 0]
    assert worthless and not any(one.ticker.best_bid_micros for one in worthless)


def test_put_call_parity_holds_within_costs(hour: list[Quote]) -> None:
    """Buying one side and selling the other gains no more than the fees of the two trades."""
    by_name = {one.ticker.instrument_id: one for one in hour}
    pairs = [(one, by_name[name[:-1] + "P"]) for name, one in by_name.items() if one.option_type == "call"]
    checked = 0
    for call, put in pairs:
        index = call.ticker.index_micros or 0
        forward = index - call.strike_micros
        for bought, sold, sign in ((put, call, 1), (call, put, -1)):
            bid, ask = sold.ticker.best_bid_micros, bought.ticker.best_ask_micros
            if bid and ask:
                fees = sum(min(index * 0.0005, price * 0.125) for price in (bid, ask))
                assert bid - ask - sign * forward <= fees, (call.ticker.instrument_id, sign)
                checked += 1
    assert checked > len(pairs)


def test_wings_stay_under_120_percent(hour: list[Quote]) -> None:
    volatilities = [one.ticker.mark_iv for one in hour]
    assert all(one is not None and 0.3 < float(one) < 1.2 for one in volatilities)


def test_a_smile_has_a_skew_a_curvature_and_a_term_structure() -> None:
    for seed in range(20):
        opinion = Opinion(random.Random(seed), None)
        for days in (0.04, 1, 7, 30):
            wings = [opinion.volatility("SOL", 100, strike, days / 365) for strike in (50, 80, 100, 125, 200)]
            assert wings[0] > wings[1] > wings[2] < wings[3] < wings[4] < 1.2
            assert wings[1] > wings[3], "no skew to the puts"
        levels = [opinion.volatility("BTC", 100, 100, days / 365) for days in (1, 7, 30, 365)]
        assert levels == sorted(set(levels)) and 0.45 < levels[0] < levels[-1] < 0.55
    views = {Opinion(random.Random(seed), None).volatility("SOL", 100, 90, 0.1) for seed in range(20)}
    assert len(views) == 20


def test_the_indexes_are_correlated_volatile_by_turns_and_jump() -> None:
    volatilities = {"BTC": 0.5, "SOL": 0.8}

    def prices(seed: int, steps: int) -> list[dict[str, int]]:
        walk = MarketWalk(dict.fromkeys(volatilities, 10**9), volatilities, 3_600_000, seed)
        return [walk.step() for _ in range(steps)]

    assert prices(1, 3) == prices(1, 3) != prices(2, 3)
    assert prices(1, 2)[-1] == {"BTC": 996719480, "SOL": 996749881}
    changes = [
        {asset: after[asset] / before[asset] - 1 for asset in volatilities}
        for before, after in itertools.pairwise(prices(3, 20_000))
    ]
    for asset, volatility in volatilities.items():
        squares = [one[asset] ** 2 for one in changes]
        variance = statistics.mean(squares)
        assert (variance * 365 * 24) ** 0.5 == pytest.approx(volatility, rel=0.1)
        assert max(squares) > 36 * variance, "no jump"
        calm = [min(square, 9 * variance) for square in squares]
        assert statistics.correlation(calm[1:], calm[:-1]) > 0.05, "calm and busy times do not alternate"
    columns = [[one[asset] for one in changes] for asset in volatilities]
    assert 0.6 < statistics.correlation(*columns) < 0.9


def one_quote(requests: list[BotRequest], key: QuoteKey) -> list[PlaceRequest]:
    return [one for one in of_kind(requests, PlaceRequest) if (one.instrument_id, one.side) == key]


def refuse(view: View, requests: list[BotRequest], key: QuoteKey, code: int) -> PlaceRequest:
    """Accept all requests but the quote of this key."""
    (refused,) = one_quote(requests, key)
    accept(view, [one for one in requests if one is not refused])
    view.on_error(refused, code)
    view.now_us += US_PER_SECOND
    return refused


@pytest.mark.parametrize(("side", "sign"), [("bid", -1), ("ask", 1)])
def test_a_refused_quote_is_repeated_and_a_better_price_is_taken(side: Any, sign: int) -> None:
    view, maker = market_view(), MarketMaker(1)
    key: QuoteKey = next(name for name, one in view.instruments.items() if one.strike_micros == 150_000_000), side
    first = refuse(view, maker.decide(view), key, 1021)
    requests = maker.decide(view)
    taken, second = one_quote(requests, key)
    assert second.price_micros == first.price_micros and second.post_only
    assert taken.time_in_force == "ioc" and not taken.post_only
    assert first.price_micros is not None and taken.price_micros is not None
    # It trades only at a price that pays the fee of a taker, too.
    assert sign * (taken.price_micros - first.price_micros) > 0
    view.on_error(second, 1021)
    requests = maker.decide(view)
    taken_again, third = one_quote(requests, key)
    assert taken_again.time_in_force == "ioc" and third.post_only
    assert third.price_micros is not None and sign * (third.price_micros - first.price_micros) > 0
    # Once a quote rests, the next one is at the maker's own price again.
    accept(view, [one for one in requests if one is not taken_again])
    maker.decide(view)
    view.orders.clear()
    assert one_quote(maker.decide(view), key)[0].price_micros == first.price_micros


def test_a_quote_refused_for_lack_of_cash_waits_longer_each_time() -> None:
    view, maker = market_view(), MarketMaker(1)
    key: QuoteKey = next(iter(view.instruments)), "ask"
    refuse(view, maker.decide(view), key, 1004)
    waited = []
    for _ in range(3):
        seconds = 1
        while not one_quote(requests := maker.decide(view), key):
            view.now_us += US_PER_SECOND
            seconds += 1
        waited.append(seconds)
        refuse(view, requests, key, 1004)
    assert waited == [3, 5, 9]


def test_makers_take_a_mispriced_order_and_quote_again(tmp_path: Path) -> None:
    """A stranger bids far above the value: the makers fill all of it, and their asks return to where they were."""
    step_us = 2 * US_PER_SECOND

    async def run() -> None:
        path = tmp_path / "exchange.db"
        settings = ServerSettings(path, snapshot_every=0, limits=UNLIMITED, demo=True, rules=DEMO_RULES)
        journal = await open_journal(settings, START_US)
        engine = recover(path, lambda text: None, lambda done, total: None).engine
        clock = ManualClock(START_US)
        exchange = InProcessExchange(settings, engine, BatchingJournal(journal), clock=clock)
        try:
            await exchange.open()
            crowd = DemoCrowd(exchange, SimulationPlan(7, START_US, START_US + HOUR_US, step_us), admin_secret(path))

            async def steps(count: int) -> None:
                for _ in range(count):
                    clock.ts_us += step_us
                    await crowd.step(clock.ts_us)

            await crowd.start()
            await steps(5)
            before = exchange.views.ticker(CALL)
            assert before.mark_micros and before.best_ask_micros
            stranger = exchange.client()
            await stranger.call("public/auth", grant_type="client_credentials", client_id="stranger")
            price = (before.mark_micros + 1_000_000) // 10_000 * 10_000
            bought = await stranger.call("private/buy", instrument_id=CALL, amount=1_500_000, price=price)
            assert json.loads(bytes(bought))["order"]["status"] == "partially_filled"
            await steps(6)
            after = exchange.views.ticker(CALL)
            assert not [one for one in exchange.views.orders.open_orders("stranger") if one.instrument_id == CALL]
            assert after.best_bid_micros and after.best_ask_micros
            assert after.best_bid_micros < after.best_ask_micros < price
        finally:
            await exchange.close()
            await journal.close()

    asyncio.run(run())


@pytest.mark.parametrize("style", [Directional, Hedger, StraddleSeller, PutSeller])
def test_a_taker_with_a_purpose_trades_in_its_style_and_is_repeatable(style: type[Style]) -> None:
    def decisions(seed: int) -> list[BotRequest]:
        view, taker = market_view(cash_micros=TAKER_CASH_MICROS), PurposefulTaker(seed, style())
        decided: list[BotRequest] = []
        for step in range(200):
            # The index rises all the time.
            view.prices_micros["SOL"] += 10_000
            view.now_us += US_PER_SECOND
            view.positions_milli = {next(iter(view.instruments)): 1_000} if step > 100 else {}
            decided += taker.decide(view)
        return decided

    requests = decisions(1)
    assert requests == decisions(1) != decisions(2)
    kinds = Counter(
        (one.side, parse_instrument_id(one.instrument_id).option_type) for one in of_kind(requests, PlaceRequest)
    )
    expected: dict[Any, set[tuple[str, str]]] = {
        Directional: {("bid", "call"), ("ask", "put")},
        Hedger: {("bid", "put"), ("ask", "call")},
        StraddleSeller: {("ask", "call"), ("ask", "put")},
        PutSeller: {("ask", "put")},
    }
    assert set(kinds) == expected[style]
    assert all(one.price_micros is None for one in of_kind(requests, PlaceRequest))
    assert bool(of_kind(requests, ClosePositionRequest)) == (style in (Directional, Hedger))


def test_the_demo_has_takers_of_several_kinds_and_tops_them_up() -> None:
    accounts = {one.user_id: one for one in demo_bots(1)}
    assert sum(name.startswith("maker") for name in accounts) == 3
    kinds = Counter(type(one.bot).__name__ for one in accounts.values() if one.is_topped_up)
    assert kinds == {"Taker": 4, "PurposefulTaker": 4}
    taker: BotAccount = accounts["trader-1"]
    assert missing_micros(taker, TAKER_CASH_MICROS // 2) == 0
    assert missing_micros(taker, 40_000 * MICROS_PER_USDC) == 60_000 * MICROS_PER_USDC


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_two_weeks_of_the_crowd(tmp_path: Path) -> None:
    """The order flow lasts, no maker is ruined, and the market liquidates now and then."""
    path, hours = tmp_path / "exchange.db", 14 * 24
    plan = SimulationPlan(7, START_US, START_US + hours * HOUR_US, 1_800 * US_PER_SECOND)
    asyncio.run(simulate(path, plan, lambda text: None, lambda done, total: None))
    # By day: in steps of half an hour, an hour has too few orders.
    flow: Counter[int] = Counter()
    with open_journal_reader(path) as reader:
        for record in reader.records(Head()):
            command = json.loads(record.payload)
            is_order = command["kind"] in ("place_order", "close_position")
            if is_order and command["user_id"].startswith("trader-"):
                flow[(record.ts_us - START_US) // (24 * HOUR_US)] += 1
    assert flow[hours // 24 - 1] >= 0.7 * flow[0] > 100
    views = recover(path, lambda text: None, lambda done, total: None).engine.views
    for maker in ("maker-1", "maker-2", "maker-3"):
        assert (views.account(maker).equity_micros or 0) > 9_000_000 * MICROS_PER_USDC
    with SqlSession(path) as session:
        ((liquidations,),) = session.run("SELECT count(*) FROM events WHERE kind = 'liquidation_started'")
    assert liquidations >= 1
