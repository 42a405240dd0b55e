"""The venue for tests of bots: its clock, its market, its faults, and its pytest plugin."""

import asyncio
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.client import ExchangeError
from exchange.gateway.chaos import Chaos, ChaosPlan, Fault
from exchange.gateway.jsonrpc import RpcError
from exchange.history.verify import verify
from exchange.runtime.chaos_settings import ChaosError, read_chaos
from exchange.testing import ChaosEntry, MaintenancePlan, Venue
from tests import cli_support

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

CALL = "SOL_USDC-6MAR26-150-C"
ORDER = {"instrument_id": CALL, "price": 2_000_000, "amount": 1_000}


@pytest.fixture(scope="module")
def _shared() -> Iterator[Venue]:
    with Venue() as venue:
        yield venue


@pytest.fixture
def venue(_shared: Venue) -> Venue:
    _shared.reset(chaos=ChaosPlan(), crowd=False)
    return _shared


def test_each_reset_is_a_new_exchange_at_the_same_urls(venue: Venue) -> None:
    urls, path = (venue.url, venue.deribit_url, venue.http_url), venue.path
    venue.deposit("alice", 5)
    assert venue.account("alice").available_micros == 10_005_000_000
    venue.reset()
    assert (venue.url, venue.deribit_url, venue.http_url) == urls and venue.path != path
    assert venue.account("alice").available_micros == 0
    assert venue.call("public/get_instruments", asset="SOL")


def test_both_apis_trade_in_one_book(venue: Venue) -> None:
    venue.quote(CALL, bid="5.10", ask=Decimal("5.30"), size="0.5")
    bought = venue.deribit("private/buy", "alice", instrument_name=CALL, amount=0.5, type="market")
    assert bought["result"]["order"]["average_price"] == 5.3
    sold = venue.call("private/sell", "alice", instrument_id=CALL, amount=500, type="market")
    assert [trade["price"] for trade in sold["trades"]] == [5_100_000]
    assert [trade.price_micros for trade in venue.trades(CALL)] == [5_100_000, 5_300_000]
    venue.quote(CALL, ask=6)
    assert [order.side for order in venue.open_orders("house")] == ["ask"]
    venue.check()


def test_the_clock_moves_only_with_the_test(venue: Venue) -> None:
    before_us = venue.now_us
    venue.advance(0.5)
    assert venue.now_us == before_us + 500_000
    # Three days later: three ends of days, and the next series are listed.
    venue.advance(3 * 86_400)
    ended = [command for command in venue.commands() if command["kind"] == "end_day"]
    assert len(ended) == 3 and venue.instruments("SOL")[0].expiration_s * 1_000_000 > venue.now_us
    with pytest.raises(ValueError, match="time cannot go back"):
        venue.advance(-1)


def test_a_series_settles_at_the_price_of_the_test(venue: Venue) -> None:
    venue.quote(CALL, ask="5.30")
    venue.call("private/buy", "alice", instrument_id=CALL, amount=1_000, type="market")
    venue.settle(CALL, "171.123456")
    (settled,) = venue.call("private/get_settlements", "alice")
    assert settled["delivery_price"] == 171_123_456 and settled["payout"] == 21_123_456
    with pytest.raises(ValueError, match="has expired already"):
        venue.settle(CALL, 170)


def test_questions_about_the_past_are_answered(venue: Venue) -> None:
    venue.quote(CALL, ask="5.30")
    placed = venue.call("private/buy", "alice", instrument_id=CALL, amount=1_000, type="market")["order"]
    assert (
        venue.call("private/get_account", "alice", at_seq=venue.call("public/get_head")["seq"] - 1)["positions"] == []
    )
    story = venue.call("private/explain_order", "alice", order_id=placed["order_id"])
    assert [step["step"] for step in story["steps"]] == ["placed", "filled"]
    log = venue.call("private/get_transaction_log", "alice")["transactions"]
    assert [one["type"] for one in log] == ["trade", "opening"]


def test_the_crowd_of_a_seed_always_does_the_same(venue: Venue) -> None:
    def lived(seed: int) -> list[object]:
        venue.reset(crowd=True, seed=seed)
        venue.advance(5)
        return [command for command in venue.commands() if command["kind"] != "start_session"]

    first, other = lived(1), lived(2)
    assert lived(1) == first != other and len(first) > 100


def test_the_journal_of_a_venue_is_like_any_other(venue: Venue, tmp_path: Path) -> None:
    venue.quote(CALL, ask="5.30")
    venue.advance(86_400)
    verdict = verify(venue.path, fast=False, progress=lambda _done, _total: None)
    assert verdict.damage is None and verdict.history_seq == 0


def test_a_user_with_a_key_signs_in_with_it(venue: Venue) -> None:
    key = venue.key("alice")
    assert venue.key("alice") == key and key.user_id == "alice"
    order = {"instrument_name": CALL, "amount": 1, "price": 2}
    assert venue.deribit("private/buy", "alice", **order)["result"]["order"]["order_state"] == "open"
    assert len(venue.call("private/get_open_orders", "alice")) == 1


def test_floats_and_unknown_amounts_are_refused(venue: Venue) -> None:
    with pytest.raises(TypeError, match="is a float, which is not exact: write"):
        venue.quote(CALL, ask=5.3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0000001"):
        venue.set_index("SOL", Decimal("0.0000001"))
    with pytest.raises(ExchangeError, match="1004"):
        venue.quote("SOL_USDC-6MAR26-151-C", ask=5)


@pytest.mark.parametrize(
    ("fault", "is_placed"),
    [("rate_limit", False), ("disconnect", False), ("late_disconnect", True), ("lost_answer", True)],
)
def test_a_planned_fault_happens_once(venue: Venue, fault: Fault, is_placed: bool) -> None:
    async def trade() -> str:
        async with venue.client("alice") as client:
            venue.fail_next("private/buy", fault)
            try:
                # The first request for an order alone; the client would repeat it.
                await asyncio.wait_for(client.request("private/cancel", {"order_id": 77}), 5)
            except ExchangeError as error:
                assert error.code == 1003
            connection = client._connection
            try:
                await asyncio.wait_for(connection.call("private/buy", ORDER, may_repeat=False), 1)
            except ExchangeError as error:
                return error.reason
            except TimeoutError:
                return "no answer"
            return "answered"

    outcome = asyncio.run(trade())
    expected = {"rate_limit": "rate_limit_exceeded", "lost_answer": "no answer"}.get(fault, "connection_lost")
    assert outcome == expected
    assert len(venue.open_orders("alice")) == is_placed
    (met,) = venue.faults
    assert met._replace(connection=0, request=0) == ChaosEntry(0, 0, "private/buy", fault)


def test_a_typed_client_places_each_order_once_whatever_happens(venue: Venue) -> None:
    venue.reset(chaos=ChaosPlan(seed=3, latency_ms=(0, 3), disconnect=0.1, late_disconnect=0.1))

    async def trade() -> int:
        async with venue.client("alice") as client:
            for _ in range(40):
                await client.buy(CALL, 1_000, 2_000_000)
            return client.reconnect_count

    assert asyncio.run(trade()) > 0
    placed = [command for command in venue.commands() if command["kind"] == "place_order"]
    assert len(venue.open_orders("alice")) == len({command["client_order_id"] for command in placed}) == 40


def test_the_same_requests_meet_the_same_faults(venue: Venue) -> None:
    plan = ChaosPlan(seed=5, rate_limit=0.3, lost_answer=0.2)

    def faults() -> list[ChaosEntry]:
        chaos = Chaos(plan)
        connection = chaos.of_connection(lambda _text: None, lambda: None, lambda: None)
        for _ in range(50):
            try:
                connection.on_request("private/buy", lambda _answer: None)
            except RpcError as error:
                assert error.data["reason"] == "rate_limit_exceeded"
        return list(chaos.log)

    assert faults() == faults() and len(faults()) > 10


def test_faults_come_over_http_too(venue: Venue) -> None:
    venue.fail_next("private/buy", "rate_limit")
    order = {"instrument_name": CALL, "amount": 1, "price": 2}
    assert venue.deribit("private/buy", "alice", **order)["error"]["code"] == 10028
    assert venue.deribit("private/buy", "alice", **order)["result"]["order"]["order_state"] == "open"
    venue.fail_next("private/buy", "late_disconnect")
    with pytest.raises(OSError):
        venue.deribit("private/buy", "alice", **order)
    assert len(venue.open_orders("alice")) == 2


def test_messages_are_late_and_stay_in_order(venue: Venue) -> None:
    venue.reset(chaos=ChaosPlan(latency_ms=(20, 40)))

    async def trade() -> None:
        async with venue.client("alice") as client:
            begun = time.monotonic()
            answers = await asyncio.gather(*[client.buy(CALL, 1_000, 2_000_000) for _ in range(20)])
            assert time.monotonic() - begun >= 0.02
            assert [one.order.order_id for one in answers] == sorted(one.order.order_id for one in answers)

    asyncio.run(trade())


def test_maintenance_closes_connections_and_refuses_new_ones(venue: Venue) -> None:
    async def trade() -> None:
        async with venue.client("alice") as client:
            await client.get_time_us()
            venue.begin_maintenance()
            impatient = venue.client("bob")
            with pytest.raises(ExchangeError, match="503"):
                await impatient.__aenter__()
            waiting = asyncio.ensure_future(client.buy(CALL, 1_000, 2_000_000))
            venue.end_maintenance()
            await asyncio.wait_for(waiting, 30)
            assert client.reconnect_count > 0

    asyncio.run(trade())
    assert len(venue.open_orders("alice")) == 1


def test_maintenance_begins_by_the_plan() -> None:
    chaos = Chaos(ChaosPlan(maintenance=MaintenancePlan(every_s=1, for_s=60)))
    assert chaos.why_refused() is None and not chaos.is_maintenance_due()
    chaos._begins_seconds = time.monotonic()
    assert chaos.is_maintenance_due() and not chaos.is_maintenance_due()
    refusal = chaos.why_refused()
    assert refusal is not None and refusal.status == 503


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate_limit = 2", "rate_limit"),
        ("rate_limit = 0.7\nlost_answer = 0.6", "are 1.3 together, but at most 1 is possible"),
        ("latency_ms = [9, 3]", "the shortest delay, 9, is above the longest, 3"),
        ("lost_answers = 0.1", "a plan has seed, latency_ms, rate_limit"),
        ("[maintenance]\nevery_s = 0\nfor_s = 1", "every_s"),
        ("= 1", "is neither TOML nor JSON"),
    ],
)
def test_a_wrong_plan_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "chaos.toml"
    file.write_text(text)
    with pytest.raises(ChaosError, match=message):
        read_chaos(file)


def test_the_server_names_a_wrong_plan(tmp_path: Path) -> None:
    file = tmp_path / "chaos.toml"
    file.write_text("rate_limit = 2")
    run = cli_support.exchange("serve", "--db", tmp_path / "exchange.db", "--chaos", file)
    assert run.exit_code == 2 and "rate_limit" in run.output and not (tmp_path / "exchange.db").exists()


def test_the_plugin_gives_each_test_a_new_venue(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_first(venue):
            venue.deposit("alice", 1)
            assert venue.account("alice").available_micros == 10_001_000_000

        def test_second(venue):
            assert venue.account("alice").available_micros == 0

        @pytest.mark.venue(start="2030-01-01T00:00:00Z")
        def test_options(venue, new_venue):
            assert venue.now_us == 1_893_456_000_000_000
            assert new_venue().url != venue.url
        """
    )
    pytester.runpytest_subprocess("-p", "exchange.testing.plugin", "--strict-markers").assert_outcomes(passed=3)
