"""Bots decide from a view and a seed alone, quote both sides, and stay within their cash, also against a server."""

import asyncio
import itertools
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.bots.bot import Bot, BotRunner
from exchange.bots.live import run_bot
from exchange.bots.maker import MarketMaker
from exchange.bots.pricing import value
from exchange.bots.requests import (
    AccountRequest,
    BotRequest,
    CancelAllRequest,
    CancelRequest,
    ClosePositionRequest,
    EditRequest,
    IndexRequest,
    InstrumentsRequest,
    PlaceRequest,
    SubscribeRequest,
    TickersRequest,
    method_and_params,
)
from exchange.bots.taker import QUIET, Taker
from exchange.bots.view import View
from exchange.bots.walk import IndexWalk
from exchange.client import ExchangeError, connect
from exchange.client.messages import IndexMessage, OrdersMessage, PositionsMessage
from exchange.domain.enums import OptionType
from exchange.domain.expirations import expirations_s
from exchange.domain.instruments import instrument_id_of, parse_instrument_id
from exchange.domain.units import MICROS_PER_USDC, US_PER_SECOND
from exchange.projections.rolling_statistics import NO_TRADES
from exchange.projections.wire_types import IndexPrice, Instrument, OrderView, PositionView, Ticker
from exchange.runtime.demo import DEMO_RULES
from exchange.runtime.server_settings import admin_secret_file
from tests.bad_network import bad_network
from tests.fake_exchange import START_US
from tests.quotes import is_quoted
from tests.wire import exchange

CASH_MICROS = 10_000_000 * MICROS_PER_USDC


def market_view(spot_usdc: int = 150, cash_micros: int = CASH_MICROS) -> View:
    """A view of options on SOL with empty books."""
    view = View()
    view.now_us, view.available_micros = START_US, cash_micros
    view.prices_micros["SOL"] = spot_usdc * MICROS_PER_USDC
    option_types: tuple[OptionType, ...] = ("call", "put")
    for expiration_s in expirations_s(DEMO_RULES.market.series[0], START_US):  # type: ignore[union-attr]
        for strike_usdc in range(130, 180, 10):
            for option_type in option_types:
                terms = parse_instrument_id(instrument_id_of("SOL", expiration_s, strike_usdc, option_type))
                view.instruments[terms.instrument_id] = Instrument(*terms, 10_000, 100)
    return view


def accept(view: View, requests: list[BotRequest]) -> None:
    """Update the view as if the exchange had accepted the requests and nothing had traded."""
    changed: list[OrderView] = []
    for request in requests:
        match request:
            case PlaceRequest(side, instrument_id, size, price):
                order_id = max(view.orders, default=0) + len(changed) + 1
                changed.append(_order(order_id, instrument_id, side, price, size))
            case EditRequest(order_id, size, price):
                old = view.orders[order_id]
                changed.append(_order(order_id, old.instrument_id, old.side, price, size))
            case CancelRequest(order_id):
                changed.append(msgspec.structs.replace(view.orders[order_id], status="cancelled"))
            case _:
                pass
    view.on_message(OrdersMessage("user.orders", 10**6 + view.now_us, changed))


def _order(order_id: int, instrument_id: str, side: Any, price: int | None, size: int) -> OrderView:
    return OrderView(
        order_id, instrument_id, "maker", side, "limit", "gtc", True, price, size, 0, size, None, "open", 0, 0
    )


def of_kind(requests: list[BotRequest], kind: Any) -> list[Any]:
    return [request for request in requests if isinstance(request, kind)]


def move_index(view: View, spot_usdc: str) -> None:
    price = int(float(spot_usdc) * MICROS_PER_USDC)
    view.on_message(IndexMessage("index.SOL", 1, IndexPrice("SOL", price, 1, view.now_us)))
    view.now_us += US_PER_SECOND


@pytest.mark.parametrize(
    ("option_type", "spot", "strike", "years", "volatility", "expected"),
    [
        ("call", 100, 100, 1, 0.2, 7.965567),
        ("put", 100, 100, 1, 0.2, 7.965567),
        ("call", 120, 100, 0.5, 0.3, 22.503775),
        ("put", 120, 100, 0.5, 0.3, 2.503775),
        ("call", 120, 100, 0, 0.3, 20),
        ("put", 120, 100, -1, 0.3, 0),
    ],
)
def test_option_values(
    option_type: OptionType, spot: float, strike: float, years: float, volatility: float, expected: float
) -> None:
    assert value(option_type, spot, strike, years, volatility) == pytest.approx(expected, abs=1e-6)


def test_an_index_walk_is_deterministic_and_has_the_given_volatility() -> None:
    walk = IndexWalk(150_000_000, 800_000, 1_000, 1)
    assert [walk.step() for _ in range(5)] == [149994257, 149989963, 149997011, 149983879, 149990318]
    hourly = IndexWalk(10**9, 800_000, 3_600_000, 2)
    prices = [hourly.step() for _ in range(20_000)]
    variance = sum((b / a - 1) ** 2 for a, b in itertools.pairwise(prices)) / len(prices)
    assert (variance * 365 * 24) ** 0.5 == pytest.approx(0.8, rel=0.02)
    volatile = IndexWalk(2, 10**8, 86_400_000, 3)
    assert all(volatile.step() > 0 for _ in range(1_000))


def test_a_maker_offers_every_option_bids_for_those_of_value_and_keeps_its_quotes() -> None:
    view, maker = market_view(), MarketMaker(1)
    requests = maker.decide(view)
    placed = of_kind(requests, PlaceRequest)
    best = {(one.instrument_id, one.side): one.price_micros for one in placed}
    assert len(best) == len(placed)
    worthless = set()
    for instrument_id, instrument in view.instruments.items():
        bid, ask, tick = best.get((instrument_id, "bid")), best[instrument_id, "ask"], instrument.tick_micros
        assert ask % tick == 0
        if bid is None:
            worthless.add(instrument_id)
            assert ask <= 3 * tick
        else:
            assert 0 < bid < ask and bid % tick == 0
    assert len(worthless) == 4 and all(name.startswith("SOL_USDC-20FEB26") for name in worthless)
    assert all(one.size_milli >= 100 and one.post_only for one in placed)
    accept(view, requests)
    view.now_us += US_PER_SECOND
    assert of_kind(maker.decide(view), PlaceRequest | EditRequest | CancelRequest) == []


def test_a_maker_edits_only_quotes_that_are_off_after_an_index_move() -> None:
    view, maker = market_view(), MarketMaker(1)
    accept(view, maker.decide(view))
    move_index(view, "150.01")
    assert of_kind(maker.decide(view), PlaceRequest | EditRequest | CancelRequest) == []
    move_index(view, "152")
    requests = maker.decide(view)
    edits = of_kind(requests, EditRequest)
    assert edits
    # Calls that were worthless get a bid, and puts that are now worthless lose theirs.
    for placed in of_kind(requests, PlaceRequest):
        assert placed.side == "bid" and view.instruments[placed.instrument_id].option_type == "call"
    for cancel in of_kind(requests, CancelRequest):
        order = view.orders[cancel.order_id]
        assert order.side == "bid" and view.instruments[order.instrument_id].option_type == "put"
    for edit in edits:
        order = view.orders[edit.order_id]
        is_call = view.instruments[order.instrument_id].option_type == "call"
        assert order.price_micros is not None and (edit.price_micros > order.price_micros) == is_call
    accept(view, requests)
    assert of_kind(maker.decide(view), PlaceRequest | EditRequest | CancelRequest) == []


def test_a_maker_skews_against_its_position_and_respects_its_limit() -> None:
    view, maker = market_view(), MarketMaker(1)
    instrument_id = next(iter(view.instruments))
    flat = {one.side: one for one in of_kind(maker.decide(view), PlaceRequest) if one.instrument_id == instrument_id}

    def quotes(position_quotes: int) -> dict[str, PlaceRequest]:
        position = PositionView(instrument_id, position_quotes * flat["bid"].size_milli, None, 0, None, None, None)
        view.on_message(PositionsMessage("user.positions", 1 + len(view.positions_milli), [position]))
        placed = of_kind(MarketMaker(1).decide(view), PlaceRequest)
        return {one.side: one for one in placed if one.instrument_id == instrument_id}

    long, short = quotes(3), quotes(-3)
    assert long["bid"].price_micros < flat["bid"].price_micros < short["bid"].price_micros
    assert long["ask"].price_micros < flat["ask"].price_micros < short["ask"].price_micros
    assert list(quotes(10)) == ["ask"] and list(quotes(-10)) == ["bid"]


def test_a_maker_stays_within_its_cash() -> None:
    rich = len(of_kind(MarketMaker(1).decide(market_view()), PlaceRequest))
    view = market_view(cash_micros=50_000 * MICROS_PER_USDC)
    poor = of_kind(MarketMaker(1).decide(view), PlaceRequest)
    assert 0 < len(poor) < rich
    accept(view, list(poor))
    view.available_micros = -1
    (first,) = of_kind(MarketMaker(1).decide(view), PlaceRequest | EditRequest | CancelRequest)
    assert isinstance(first, CancelRequest) and view.orders[first.order_id].side == "ask"
    view.available_micros = -CASH_MICROS
    assert len(of_kind(MarketMaker(1).decide(view), CancelRequest)) == len(poor)


def test_a_maker_cancels_duplicate_orders_and_those_of_removed_instruments() -> None:
    view, maker = market_view(), MarketMaker(1)
    accept(view, maker.decide(view))
    first = view.orders[1]
    view.on_message(OrdersMessage("user.orders", 10**18, [_order(999, first.instrument_id, first.side, 10_000, 100)]))
    assert of_kind(maker.decide(view), PlaceRequest | EditRequest | CancelRequest) == [CancelRequest(999)]
    view.on_error(CancelRequest(999), 1008)
    gone = view.instruments.pop(first.instrument_id)
    cancels = of_kind(maker.decide(view), PlaceRequest | EditRequest | CancelRequest)
    assert {view.orders[one.order_id].instrument_id for one in cancels} == {gone.instrument_id} and len(cancels) == 2


@pytest.mark.parametrize("make", [MarketMaker, Taker])
def test_the_same_seed_gives_the_same_decisions(make: Any) -> None:
    def decisions(seed: int) -> list[list[BotRequest]]:
        view, bot = market_view(), make(seed)
        view.tickers = [_ticker(name) for name in view.instruments]
        decided: list[list[BotRequest]] = []
        for _ in range(50):
            decided.append(bot.decide(view))
            accept(view, decided[-1])
            move_index(view, str(150 + random.Random(len(decided)).random()))
        return decided

    assert decisions(1) == decisions(1) != decisions(2)


def test_a_taker_sends_every_kind_of_request_and_trades_quiet_options() -> None:
    """Only recent trades count: the quiet options have a large volume from earlier."""
    view, taker = market_view(), Taker(3)
    names = list(view.instruments)
    quiet, busy = names[:QUIET], names[QUIET:]
    sent: list[BotRequest] = []
    for step in range(300):
        view.tickers = [_ticker(name, 1_000_000) for name in quiet] + [_ticker(name, 100 * step) for name in busy]
        if not step:
            taker.decide(view)
            continue
        requests = taker.decide(view)
        accept(view, [one for one in requests if not isinstance(one, PlaceRequest) or one.price_micros is not None])
        sent += requests
        view.now_us += US_PER_SECOND
        view.positions_milli = {busy[0]: 1_000} if len(sent) > 400 else {}
    placed = of_kind(sent, PlaceRequest)
    at_market = [one for one in placed if one.price_micros is None]
    assert {one.side for one in placed} == {"bid", "ask"}
    assert {one.instrument_id for one in at_market} == set(quiet)
    assert {one.time_in_force for one in placed if one.price_micros is not None} == {"day"}
    assert len({one.size_milli for one in placed}) > 2
    assert of_kind(sent, CancelRequest) and ClosePositionRequest(busy[0]) in sent and TickersRequest("SOL") in sent


def _ticker(instrument_id: str, volume: int = 0) -> Ticker:
    return Ticker(
        instrument_id,
        1,
        0,
        "open",
        1_000_000,
        100,
        1_100_000,
        100,
        None,
        None,
        None,
        150_000_000,
        volume,
        0,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        NO_TRADES,
    )


def test_a_runner_first_requests_instruments_and_the_account() -> None:
    class ClosingBot:
        def decide(self, view: View) -> list[BotRequest]:
            return [ClosePositionRequest("x")]

    runner = BotRunner(ClosingBot())
    assert runner.requests(1) == [InstrumentsRequest()]
    runner.view.instruments = market_view().instruments
    assert runner.requests(2) == [
        SubscribeRequest(("index.SOL", "user.orders", "user.positions", "user.balance")),
        CancelAllRequest(),
        AccountRequest(),
        IndexRequest("SOL"),
    ]
    assert runner.requests(3) == [ClosePositionRequest("x")] and runner.view.now_us == 3


def test_messages_older_than_a_result_are_ignored() -> None:
    view = View()
    view.on_result(CancelAllRequest(), b'{"cancelled":0,"order_ids":[],"seq":9}')
    view.on_message(OrdersMessage("user.orders", 9, [_order(1, "x", "bid", 1, 1)]))
    assert not view.orders
    view.on_message(OrdersMessage("user.orders", 10, [_order(1, "x", "bid", 1, 1)]))
    assert list(view.orders) == [1]


def test_requests_become_protocol_methods() -> None:
    assert method_and_params(PlaceRequest("ask", "x", 5, 7, "day", True)) == (
        "private/sell",
        {
            "instrument_id": "x",
            "amount": 5,
            "price": 7,
            "time_in_force": "day",
            "post_only": True,
            "reject_post_only": True,
        },
    )
    assert method_and_params(PlaceRequest("bid", "x", 5)) == (
        "private/buy",
        {"instrument_id": "x", "amount": 5, "type": "market"},
    )
    assert method_and_params(EditRequest(1, 5, 7)) == ("private/edit", {"order_id": 1, "amount": 5, "price": 7})
    assert method_and_params(ClosePositionRequest("x")) == ("private/close_position", {"instrument_id": "x"})


@pytest.mark.slow
def test_a_maker_and_a_taker_against_a_server(tmp_path: Path) -> None:
    """Every option is offered, most are bid for, both bots trade, and the quotes follow the index after a break."""

    async def run() -> None:
        async with exchange(tmp_path / "exchange.db", demo=True, rules=DEMO_RULES) as running:
            secret = admin_secret_file(running.path).read_text().strip()
            async with (
                connect(running.url, "admin", secret) as admin,
                bad_network(running.url) as network,
                connect(network.url, "maker") as maker,
                connect(running.url, "taker") as taker,
            ):
                await admin.call("admin/deposit", user_id="maker", amount=CASH_MICROS)
                bots: list[tuple[Any, Bot]] = [(maker, MarketMaker(1)), (taker, Taker(1))]
                bot_tasks = [asyncio.create_task(run_bot(client, bot)) for client, bot in bots]
                taker_trades = await taker.subscribe("user.trades")
                maker_trades = await maker.subscribe("user.trades")
                await anext(taker_trades)
                await anext(maker_trades)
                while not is_quoted(await admin.get_tickers()):
                    await asyncio.wait(bot_tasks, timeout=0.1)
                before = {one.instrument_id: one.best_bid_micros for one in await admin.get_tickers("SOL")}
                await admin.call("admin/set_index_price", asset="SOL", price=155 * MICROS_PER_USDC)
                await network.lose_answers()
                while before == {one.instrument_id: one.best_bid_micros for one in await admin.get_tickers("SOL")}:
                    await asyncio.wait(bot_tasks, timeout=0.1)
                assert not any(task.done() for task in bot_tasks) and maker.reconnect_count
            results = await asyncio.gather(*bot_tasks, return_exceptions=True)
            assert all(isinstance(result, ExchangeError) for result in results)

    asyncio.run(run())
