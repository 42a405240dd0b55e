"""What Deribit's dialect asks the history: prices at the times of trades, marks, settlements, times of listing."""

import asyncio
from typing import Any

from tests.deribit_desk import CALL, DAY_US, MINUTE_US, PUT, SOON, DeribitDesk

TIMES = {"start_timestamp": 0, "end_timestamp": 9_000_000_000_000}


async def trade(buyer: Any, seller: Any, name: str, price: float, amount: float = 1) -> None:
    await seller.call("private/sell", instrument_name=name, price=price, amount=amount)
    await buyer.call("private/buy", instrument_name=name, price=price, amount=amount)


def test_past_trades_have_the_prices_of_their_time() -> None:
    """They are those that the channel told live, also after the index and the marks have moved."""

    async def conversation() -> None:
        desk = DeribitDesk()
        alice, bob, reader = await desk.open("alice", "bob", "carol")
        await reader.call("public/subscribe", channels=[f"trades.{CALL}.raw", "trades.option.SOL.raw"])
        await alice.call("private/subscribe", channels=["user.trades.any.any.raw"])
        for step, price in enumerate((8.0, 8.2, 8.2, 8.1, 8.1)):
            await desk.set_index(150 + step)
            await trade(alice, bob, CALL, price)
            await trade(bob, alice, PUT, price)
            await desk.wait(MINUTE_US)
        live = [one for data in reader.told(f"trades.{CALL}.raw") for one in data]
        assert [one["index_price"] for one in live] == [150, 151, 152, 153, 154]
        assert [one["tick_direction"] for one in live] == [0, 0, 1, 2, 3]
        assert all(one["mark_price"] > 0 and one["iv"] > 0 for one in live)
        assert len({one["mark_price"] for one in live}) == len({one["iv"] for one in live}) == 5
        for method, params in (
            ("public/get_last_trades_by_instrument", {"instrument_name": CALL}),
            ("public/get_last_trades_by_instrument_and_time", {"instrument_name": CALL, **TIMES}),
        ):
            assert await reader.call(method, **params, sorting="asc") == {"trades": live, "has_more": False}, method
        both = [one for data in reader.told("trades.option.SOL.raw") for one in data]
        for method in ("get_last_trades_by_currency", "get_last_trades_by_currency_and_time"):
            found = await reader.call(f"public/{method}", currency="SOL", sorting="asc", **TIMES)
            assert found == {"trades": both, "has_more": False}
        own = [one for data in alice.told("user.trades.any.any.raw") for one in data]
        assert {one["state"] for one in own} == {"filled"}
        for method, params in (
            ("get_user_trades_by_currency", {"currency": "any"}),
            ("get_user_trades_by_currency_and_time", {"currency": "SOL", **TIMES}),
        ):
            found = await alice.call(f"private/{method}", **params, sorting="asc")
            assert found == {"trades": own, "has_more": False}, method
        of_call = [one for one in own if one["instrument_name"] == CALL]
        found = await alice.call("private/get_user_trades_by_instrument", instrument_name=CALL, count=2)
        assert found == {"trades": of_call[:-3:-1], "has_more": True}
        order_id = of_call[0]["order_id"]
        assert await alice.call("private/get_user_trades_by_order", order_id=order_id) == of_call[:1]
        assert await bob.refusal("private/get_user_trades_by_order", order_id=order_id) == 10004

    asyncio.run(conversation())


def test_pages_of_trades() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        alice, bob = await desk.open("alice", "bob")
        for _ in range(5):
            await desk.set_index(150)
            await trade(alice, bob, CALL, 3)
            await desk.wait(MINUTE_US)
        every = (await alice.call("public/get_last_trades_by_instrument", instrument_name=CALL))["trades"]
        ids = [one["trade_seq"] for one in every]
        method = "public/get_last_trades_by_instrument"
        for has_history in (True, False):
            desk.exchange.has_history = has_history
            part = await alice.call(method, instrument_name=CALL, start_seq=ids[3], end_seq=ids[1])
            assert [one["trade_seq"] for one in part["trades"]] == ids[1:4]
            page = await alice.call(method, instrument_name=CALL, count=2)
            assert ([one["trade_seq"] for one in page["trades"]], page["has_more"]) == (ids[:2], True)
            times = {"start_timestamp": every[2]["timestamp"], "end_timestamp": every[1]["timestamp"]}
            found = await alice.call(f"{method}_and_time", instrument_name=CALL, **times)
            assert [one["trade_seq"] for one in found["trades"]] == ids[1:3]
            for of in ("public/get_last_trades_by_currency", "private/get_user_trades_by_currency"):
                found = await alice.call(of, currency="SOL", start_id=str(ids[2]), sorting="asc")
                assert [one["trade_seq"] for one in found["trades"]] == ids[2::-1]
            assert ("index_price" in page["trades"][0]) == has_history
            found = await alice.call("private/get_user_trades_by_instrument", instrument_name=CALL, end_seq=ids[3])
            assert [one["trade_seq"] for one in found["trades"]] == ids[3:]
        assert await alice.refusal("public/get_last_trades_by_currency", currency="SOL", start_id="ETH-1") == -32602
        assert await alice.refusal("public/get_last_trades_by_currency", currency="XRP") == -32602

    asyncio.run(conversation())


def test_a_partial_fill_leaves_the_order_open() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        alice, bob = await desk.open("alice", "bob")
        for price in (3.0, 3.1):
            await bob.call("private/sell", instrument_name=CALL, price=price, amount=1)
        placed = await alice.call("private/buy", instrument_name=CALL, price=3.1, amount=2)
        assert [one["state"] for one in placed["trades"]] == ["open", "filled"]
        assert await alice.call("private/get_user_trades_by_order", order_id=placed["order"]["order_id"]) == [
            *reversed(placed["trades"])
        ]

    asyncio.run(conversation())


def test_times_of_listing_are_asked_once() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        (alice,) = await desk.open("alice")
        started_ms = desk.exchange.now_us() // 1_000
        desk.exchange.has_history = False
        listed = await alice.call("public/get_instruments", currency="SOL")
        assert "creation_timestamp" not in listed[0]
        desk.exchange.has_history = True
        listed = await alice.call("public/get_instruments", currency="SOL")
        assert all(0 <= one["creation_timestamp"] - started_ms <= 1 for one in listed)
        desk.exchange.has_history = False
        assert await alice.call("public/get_instruments", currency="SOL") == listed
        assert await alice.call("public/get_instrument", instrument_name=listed[0]["instrument_name"]) == listed[0]
        desk.exchange.has_history = True
        await desk.wait(DAY_US)
        await desk.set_index(150)
        later = await alice.call("public/get_instruments", currency="SOL")
        fresh = [one for one in later if one not in listed]
        assert fresh and all(one["creation_timestamp"] > started_ms + 1_000 for one in fresh)
        (old, *_) = await alice.call("public/get_instruments", currency="SOL", expired=True)
        assert old["state"] == "delivered"

    asyncio.run(conversation())


def test_mark_prices_of_the_past() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        (alice,) = await desk.open("alice")
        told = []
        for usdc in (151, 152, 153):
            await desk.wait(MINUTE_US)
            await desk.set_index(usdc)
            ticker = await alice.call("public/ticker", instrument_name=CALL)
            told.append([ticker["timestamp"], ticker["mark_price"]])
        method = "public/get_mark_price_history"
        found = await alice.call(method, instrument_name=CALL, **TIMES)
        assert found[-3:] == told
        times = {"start_timestamp": told[1][0], "end_timestamp": told[1][0]}
        assert await alice.call(method, instrument_name=CALL, **times) == told[1:2]
        assert await alice.refusal(method, instrument_name="SOL_USDC-1JAN98-1-C", **times) == 10020

    asyncio.run(conversation())


def test_prices_of_the_index() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        (alice,) = await desk.open("alice")
        for usdc in (151, 152):
            await desk.wait(MINUTE_US)
            await desk.set_index(usdc)
        method, now_ms = "public/get_index_chart_data", desk.exchange.now_us() // 1_000
        minutes = await alice.call(method, index_name="sol_usdc", range="1h")
        assert minutes[-2:] == [[now_ms - 60_000, 151.0], [now_ms, 152.0]]
        for name in ("1d", "2d", "1m", "1y", "all"):
            assert (await alice.call(method, index_name="sol_usdc", range=name))[-1][1] == 152.0, name
        assert await alice.refusal(method, index_name="sol_usdc", range="3d") == -32602
        assert await alice.refusal(method, index_name="xrp_usdc", range="1d") == -32602

    asyncio.run(conversation())


def test_settlements_of_options_and_of_positions() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        alice, bob = await desk.open("alice", "bob")
        public, own = "public/get_last_settlements_by", "private/get_settlement_history_by"
        empty = {"settlements": [], "continuation": "none"}
        for method in (public, own):
            assert await alice.call(f"{method}_currency", currency="SOL") == empty
        await trade(alice, bob, SOON, 3, 2)
        await desk.wait(7 * 60 * MINUTE_US)
        await desk.set_index(155)
        await desk.wait(60 * MINUTE_US)
        await desk.set_index(155)
        (one,) = (await alice.call(f"{public}_currency", currency="SOL"))["settlements"]
        assert (one["type"], one["instrument_name"], one["position"]) == ("delivery", SOON, 2.0)
        assert one["mark_price"] == round(one["index_price"] - 150, 6) > 0
        assert one["profit_loss"] == one["session_profit_loss"] == 2 * one["mark_price"]
        for client, sign in ((alice, 1), (bob, -1)):
            (found,) = (await client.call(f"{own}_instrument", instrument_name=SOON))["settlements"]
            assert found == one | {
                name: sign * one[name] for name in ("position", "profit_loss", "session_profit_loss")
            }
        carol = await desk.client("carol")
        assert await carol.call(f"{own}_currency", currency="SOL") == empty
        for params in ({"type": "bankruptcy"}, {"search_start_timestamp": one["timestamp"] - 1}):
            assert await alice.call(f"{public}_instrument", instrument_name=SOON, **params) == empty
        at = {"search_start_timestamp": one["timestamp"], "type": "delivery"}
        assert (await alice.call(f"{public}_instrument", instrument_name=SOON, **at))["settlements"] == [one]
        assert await alice.refusal(f"{public}_instrument") == -32602

    asyncio.run(conversation())


def test_settlements_come_in_pages() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        alice, bob = await desk.open("alice", "bob")
        names = [SOON, SOON.replace("-C", "-P"), SOON.replace("150", "140")]
        for name in names:
            await trade(alice, bob, name, 3)
        await desk.wait(9 * 60 * MINUTE_US)
        await desk.set_index(150)
        method = "private/get_settlement_history_by_currency"
        every = (await alice.call(method, currency="SOL"))["settlements"]
        assert sorted(one["instrument_name"] for one in every) == sorted(names)
        paged: list[Any] = []
        continuation = None
        while continuation != "none":
            page = await alice.call(method, currency="SOL", count=1, continuation=continuation)
            paged += page["settlements"]
            continuation = page["continuation"]
        assert paged == every

    asyncio.run(conversation())
