"""Price bands: what the wire says of them, the rules that may be, and that readers compute the same as the matcher."""

import asyncio
import json

import pytest

from exchange.domain.commands import Command, CreateInstrument, Genesis, OpenAccount, PlaceOrder, SetIndexPrice
from exchange.domain.events import Event, Refused
from exchange.domain.reasons import Reason
from exchange.domain.rules import Band, Market, Rules, Series, band_of, complete_rules, validation_error
from exchange.matching.apply import apply
from exchange.matching.state import State
from exchange.matching.state_codec import decode_state, encode_state
from exchange.projections.views import Views
from exchange.runtime.rule_settings import edited_rules
from tests.fake_exchange import FakeExchange
from tests.market_commands import market_steps

USDC = 1_000_000
CALL = "SOL_USDC-27FEB26-150-C"
SERIES = Series("SOL", 10, 2, dailies=1, weeklies=1, monthlies=1)
MARKET = Market(series=(SERIES,), index_age_max_s=0)


def played(*commands: Command, market: Market = MARKET, version: int = 2) -> tuple[State, Views, list[Event]]:
    """Return state and views after these commands in a market at 150, and the last events."""
    state, views, events = State(), Views(), []
    first: list[Command] = [Genesis(Rules(market=market), version), OpenAccount("alice", 10**10)]
    for seq, command in enumerate([*first, SetIndexPrice("SOL", 150 * USDC), *commands], 1):
        events = apply(state, 1_771_545_600_000_000 + seq, command)
        views.project(seq, 1_771_545_600_000_000 + seq, events)
    state.check()
    return state, views, events


def bid(price: int) -> PlaceOrder:
    return PlaceOrder("alice", CALL, "bid", "limit", "gtc", price * USDC, 1_000)


def test_a_refused_price_is_told_its_band() -> None:
    state, views, events = played(bid(300))
    band = state.books[CALL].band
    assert band is not None and events == [Refused("alice", Reason.PRICE_BEYOND_BAND, band)]
    ticker = views.ticker(CALL)
    assert (ticker.min_price_micros, ticker.max_price_micros) == band


@pytest.mark.parametrize(
    ("market", "version"), [(Market(series=MARKET.series, index_age_max_s=0, band=None), 2), (MARKET, 1)]
)
def test_without_a_band_any_price_is_accepted(market: Market, version: int) -> None:
    _, views, events = played(bid(300), market=market, version=version)
    assert not isinstance(events[0], Refused)
    assert views.ticker(CALL).max_price_micros is None


@pytest.mark.parametrize("seed", range(4))
def test_readers_and_restored_states_have_the_same_bands(seed: int) -> None:
    state, views = State(), Views()
    for seq, (ts_us, command, _) in enumerate(market_steps(seed, 300), 1):
        views.project(seq, ts_us, apply(state, ts_us, command))
    restored = decode_state(encode_state(state))
    for books in state.live.values():
        for instrument_id, book in books.items():
            assert views.price_band(instrument_id) == book.band == restored.books[instrument_id].band


def test_a_band_of_an_asset_replaces_that_of_the_market() -> None:
    market = Market(series=(Series("SOL", 10, band=None), Series("BTC", 10, band=Band(1))), band=Band(2))
    assert [band_of(market, asset) for asset in ("SOL", "BTC", "ETH")] == [None, Band(1), Band(2)]
    assert band_of(Market(), "SOL") == Band()


def test_a_band_that_allows_no_price_is_refused() -> None:
    empty = Rules(market=Market(band=Band(0, 0)))
    assert "market.band allows no price but the mark" in (validation_error(empty) or "")
    assert validation_error(Rules(market=Market(band=None)), 1) == "market.band needs rules version 2"


def test_an_operator_switches_the_band_off_and_on() -> None:
    rules = complete_rules(Rules(market=Market()))
    off = edited_rules(rules, ["market.band=null"])
    assert isinstance(off.market, Market) and off.market.band is None
    on = edited_rules(off, ['market.band={"index_ppm":30000}'])
    assert isinstance(on.market, Market) and on.market.band == Band(30_000)


def test_a_low_option_keeps_a_tick_within_its_band() -> None:
    """A put with a strike below its tick, and a wing without value: one tick is always possible."""
    state, _, _ = played(CreateInstrument("SOL_USDC-27FEB26-1-P", 5 * USDC, 1))
    assert state.books["SOL_USDC-27FEB26-1-P"].band == (5 * USDC, 5 * USDC)


def test_the_wire_tells_the_band() -> None:
    asyncio.run(_ask_for_the_band())


async def _ask_for_the_band() -> None:
    exchange = FakeExchange(Rules(market=MARKET))
    await exchange.start()
    await exchange.execute(SetIndexPrice("SOL", 150 * USDC))
    alice = exchange.connect()

    async def ask(number: int, method: str, **params: object) -> dict[str, dict[str, object]]:
        alice.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        await exchange.settle()
        answer: dict[str, dict[str, object]] = json.loads(alice.take()[-1])
        return answer

    await ask(1, "public/auth", grant_type="client_credentials", client_id="alice")
    band = exchange.views.price_band(CALL)
    assert band is not None
    order = {"instrument_id": CALL, "amount": 1_000, "price": 300 * USDC}
    for number, more in ((2, {}), (3, {"dry_run": True})):
        refused = (await ask(number, "private/buy", **order, **more))["error"]
        assert refused["code"] == 1005
        data = refused["data"]
        assert isinstance(data, dict) and (data["min_price"], data["max_price"]) == band
    for number, method in ((4, "public/get_ticker"), (5, "public/get_order_book")):
        found = (await ask(number, method, instrument_id=CALL))["result"]
        assert (found["min_price"], found["max_price"]) == band
    await exchange.stop()
