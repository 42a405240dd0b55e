"""Market data, channels and the account in Deribit's dialect, in this process."""

import asyncio
from typing import Any

import msgspec

from exchange.domain.commands import PauseInstrument, SetHalt
from tests.deribit_desk import CALL, MINUTE_US, PUT, SOON, DeribitDesk


def test_lists_of_the_market() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        (alice,) = await desk.open("alice")
        dates = {"option": ["20FEB26", "21FEB26"]}
        for currency in ("SOL", "USDC", "any"):
            assert await alice.call("public/get_expirations", currency=currency, kind="option") == dates
        assert await alice.call("public/get_expirations", currency="grouped") == {"sol": dates}
        assert await alice.call("public/get_expirations", currency="SOL", kind="future") == {"option": []}
        pair = {"currency": "any", "currency_pair": "sol_usdc"}
        assert await alice.call("public/get_expirations", **pair) == dates
        listed = await alice.call("public/get_instrument", instrument_name=CALL)
        by_name = await alice.call("public/get_order_book", instrument_name=CALL)
        by_id = {"instrument_id": listed["instrument_id"]}
        assert await alice.call("public/get_order_book_by_instrument_id", **by_id) == by_name
        assert await alice.refusal("public/get_order_book_by_instrument_id", instrument_id=1) == 10020
        for method in ("public/get_announcements", "private/get_new_announcements"):
            assert await alice.call(method) == []
        # Some clients write the path of the method.
        assert await alice.call("/public/get_supported_index_names") == ["sol_usdc"]
        (extended,) = await alice.call("public/get_index_price_names", extended=True)
        assert (extended["name"], extended["option_combo_creation_enabled"]) == ("sol_usdc", False)
        bob = await desk.client("bob")
        for name, amount in ((CALL, 2), (PUT, 1)):
            await bob.call("private/sell", instrument_name=name, price=8, amount=amount)
            await alice.call("private/buy", instrument_name=name, price=8, amount=amount)
        (volumes,) = await alice.call("public/get_trade_volumes")
        assert (volumes["currency"], volumes["calls_volume"], volumes["puts_volume"]) == ("SOL", 2.0, 1.0)

    asyncio.run(conversation())


def test_delivery_prices_come_in_pages() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        (alice,) = await desk.open("alice")
        for day in range(3):
            await desk.wait(24 * 60 * MINUTE_US)
            await desk.set_index(150 + day)
        pages = [
            await alice.call("public/get_delivery_prices", index_name="sol_usdc", offset=offset, count=1)
            for offset in range(3)
        ]
        assert [one["records_total"] for one in pages] == [3, 3, 3]
        assert [one["data"][0]["date"] for one in pages] == ["2026-02-22", "2026-02-21", "2026-02-20"]

    asyncio.run(conversation())


def test_the_history_of_orders_in_pages() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        alice, bob = await desk.open("alice", "bob")
        order = {"instrument_name": CALL, "price": 8, "amount": 1}
        for _ in range(3):
            await alice.call("private/buy", **order)
            await alice.call("private/cancel_all")
        await bob.call("private/sell", **order)
        await alice.call("private/buy", **order)
        for of in ({"instrument_name": CALL}, {"currency": "SOL"}):
            method = f"private/get_order_history_by_{'instrument' if 'instrument_name' in of else 'currency'}"
            every = await alice.call(method, **of)
            assert len(every) == 4
            assert await alice.call(method, **of, offset=1, count=2) == every[1:3]
            assert await alice.call(method, **of, include_unfilled=False) == [
                one for one in every if one["filled_amount"]
            ]

    asyncio.run(conversation())


def test_channels_of_the_index() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        (alice,) = await desk.open("alice")
        names = ["markprice.options.sol_usdc", "estimated_expiration_price.sol_usdc"]
        silent = ["announcements", "platform_state.public_methods_state", "user.lock", "user.access_log"]
        assert await alice.call("private/subscribe", channels=names + silent) == names + silent
        await desk.set_index(151)
        await desk.wait((7 * 60 + 40) * MINUTE_US)
        await desk.set_index(152)
        first, last = alice.told(names[0])
        assert len(first) == len(last) > 4
        ticker = await alice.call("public/ticker", instrument_name=CALL)
        (mark,) = [one for one in last if one["instrument_name"] == CALL]
        assert (mark["mark_price"], mark["iv"]) == (ticker["mark_price"], ticker["mark_iv"])
        early, late = alice.told(names[1])
        assert (early["seconds"], early["price"], early["is_estimated"]) == (8 * 3_600 - 1, 151.0, False)
        soon = await alice.call("public/ticker", instrument_name=SOON)
        assert (late["is_estimated"], late["price"]) == (True, soon["estimated_delivery_price"])
        assert not any(alice.told(name) for name in silent)
        assert await alice.refusal("public/subscribe", channels=["deribit_price_statistics.sol_usdc"]) == 10033
        stranger = await desk.client()
        assert await stranger.refusal("public/subscribe", channels=["user.lock"]) == 13009

    asyncio.run(conversation())


def test_states_of_instruments_and_of_the_platform() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        (alice,) = await desk.open("alice")
        names = ["instrument.state.option.SOL", "platform_state", "instrument.state.future.SOL"]
        await alice.call("public/subscribe", channels=names)
        await desk.exchange.execute(PauseInstrument(CALL))
        (told,) = alice.told(names[0])
        assert (told["instrument_name"], told["state"]) == (CALL, "locked")
        assert (await alice.call("public/ticker", instrument_name=CALL))["state"] == "locked"
        await desk.exchange.execute(SetHalt(True))
        await desk.exchange.execute(SetHalt(False))
        assert alice.told("platform_state") == [{"maintenance": True}, {"maintenance": False}]
        await desk.wait(8 * 60 * MINUTE_US)
        await desk.set_index(150)
        states = {one["instrument_name"]: one["state"] for one in alice.told(names[0])}
        assert states[SOON] == "delivered" and "open" in states.values()
        assert not alice.told(names[2])

    asyncio.run(conversation())


def test_incremental_tickers_tell_what_changed() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        alice, bob = await desk.open("alice", "bob")
        channel = f"incremental_ticker.{CALL}.raw"
        await alice.call("public/subscribe", channels=[channel])
        await desk.exchange.settle()
        for amount in (1, 2):
            await bob.call("private/buy", instrument_name=CALL, price=7, amount=amount)
            desk.exchange.clock.ts_us += 1_000
        await desk.set_index(151)
        snapshot, *changes = alice.told(channel)
        assert snapshot["type"] == "snapshot" and {one["type"] for one in changes} == {"change"}
        assert "index_price" not in changes[0] and changes[0]["best_bid_amount"] == 1.0
        merged = dict(snapshot)
        for change in changes:
            merged |= change
        merged.pop("type")
        assert merged == await alice.call("public/ticker", instrument_name=CALL)

    asyncio.run(conversation())


def test_changes_have_whole_positions() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        alice, bob = await desk.open("alice", "bob")
        await alice.call("private/subscribe", channels=["user.changes.any.any.raw"])
        for side, other in (("buy", "sell"), ("sell", "buy")):
            await bob.call(f"private/{other}", instrument_name=CALL, price=8, amount=1)
            await alice.call(f"private/{side}", instrument_name=CALL, price=8, amount=1)
            told = [one for data in alice.told("user.changes.any.any.raw") for one in data["positions"]]
            assert told[-1] == await alice.call("private/get_position", instrument_name=CALL)
        assert (told[-1]["direction"], told[-1]["size"]) == ("zero", 0.0)

    asyncio.run(conversation())


def test_the_one_account_of_a_user() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        alice, bob = await desk.open("alice", "bob")
        await bob.call("private/sell", instrument_name=CALL, price=8, amount=1)
        await alice.call("private/buy", instrument_name=CALL, price=8, amount=1)
        await alice.call("private/buy", instrument_name=PUT, price=1, amount=1)
        summary = await alice.call("private/get_account_summary", currency="USDC", extended=True)
        (account,) = await alice.call("private/get_subaccounts", with_portfolio=True)
        assert (account["id"], account["username"], account["type"]) == (summary["id"], "alice", "main")
        assert all(summary[name] == value for name, value in account["portfolio"]["usdc"].items())
        (details,) = await alice.call("private/get_subaccounts_details", currency="SOL", with_open_orders=True)
        assert (details["uid"], len(details["positions"]), len(details["open_orders"])) == (account["id"], 1, 1)
        summaries = await alice.call("private/get_account_summaries", extended=True)
        assert summaries["username"] == "alice" and summaries["summaries"][0]["equity"] == summary["equity"]
        assert await alice.call("private/get_user_locks") == [{"currency": "USDC", "locked": False}]
        margins = await alice.call("private/get_margins", instrument_name=CALL, amount=1, price=8)
        assert margins["buy_taker_fee"] == margins["sell_taker_fee"] > 0

    asyncio.run(conversation())


def test_simulated_portfolios_are_those_of_the_exchange() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        alice, bob = await desk.open("alice", "bob")
        await bob.call("private/sell", instrument_name=CALL, price=8, amount=1)
        await alice.call("private/buy", instrument_name=CALL, price=8, amount=1)
        method = "private/simulate_portfolio"
        summary = await alice.call("private/get_account_summary", currency="USDC")
        same = await alice.call(method, currency="USDC")
        assert {name: same[name] for name in same if same[name] != summary[name]} == {}
        short: dict[str, Any] = {PUT: -2}
        for sizes in (short, msgspec.json.encode(short).decode()):
            found = await alice.call(method, currency="USDC", simulated_positions=sizes)
            native = desk.exchange.simulate("alice", {PUT: -2_000}, False)
            assert found["initial_margin"] == native.locked_micros / 1e6 > summary["initial_margin"]
        alone = await alice.call(method, currency="USDC", simulated_positions={}, add_positions=False)
        assert alone["options_value"] == alone["options_delta"] == 0
        for wrong in ("[", {"SOL_USDC-1JAN98-1-C": 1}, {CALL: 1e9}, {CALL: 0.0001}):
            assert await alice.refusal(method, currency="USDC", simulated_positions=wrong) in (-32602, 10020)
        assert await alice.refusal(method, currency="BTC") == -32602

    asyncio.run(conversation())


def test_whether_orders_depend_on_the_connection() -> None:
    async def conversation() -> None:
        desk = DeribitDesk()
        (alice,) = await desk.open("alice")
        method = "private/get_cancel_on_disconnect"
        assert await alice.call(method) == {"scope": "connection", "enabled": False}
        await alice.call("private/enable_cancel_on_disconnect", scope="account")
        assert await alice.call(method) == {"scope": "connection", "enabled": False}
        assert await alice.call(method, scope="account") == {"scope": "account", "enabled": True}
        await alice.call("private/disable_cancel_on_disconnect")
        assert await alice.call(method, scope="account") == {"scope": "account", "enabled": False}

    asyncio.run(conversation())
