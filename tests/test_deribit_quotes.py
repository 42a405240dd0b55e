"""Deribit's methods of market makers, mass cancellations and reports of orders, against a real server."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.deribit_wire import answer_to, call, deribit_client, message, refusal
from tests.wire import INSTRUMENT, Server, Wire, exchange

GROUP = {"index_name": "sol_usdc", "mmp_group": "maker"}


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "exchange.db"


async def maker(server: Server, **limits: Any) -> Wire:
    """A client with cancel-on-disconnect and an MMP group."""
    wire = await deribit_client(server, "alice")
    await call(wire, "private/enable_cancel_on_disconnect")
    config = GROUP | {"interval": 60, "frozen_time": 0, "quantity_limit": 3, "max_quote_quantity": 5} | limits
    (made,) = await call(wire, "private/set_mmp_config", **config)
    assert (made["index_name"], made["mmp_group"], made["interval"]) == ("sol_usdc", "maker", 60)
    return wire


def quote(bid: Any = None, ask: Any = None, name: str = INSTRUMENT, **more: Any) -> dict[str, Any]:
    sides = {side: dict(zip(("price", "amount"), of, strict=True)) for side, of in (("bid", bid), ("ask", ask)) if of}
    return {"instrument_name": name} | sides | more


async def mass_quote(wire: Wire, *quotes: dict[str, Any], detailed: bool = True) -> Any:
    params = {"mmp_group": "maker", "quote_id": "1", "quotes": list(quotes), "detailed": detailed}
    return await call(wire, "private/mass_quote", **params)


def test_mass_quotes_and_their_cancellation(db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await maker(server)
            told = await mass_quote(alice, quote((1.2, 2), (1.4, 1.5), quote_set_id="near"))
            assert [(one["direction"], one["price"], one["amount"]) for one in told["orders"]] == [
                ("buy", 1.2, 2.0),
                ("sell", 1.4, 1.5),
            ]
            for order in told["orders"]:
                found = (order["quote"], order["mmp_group"], order["quote_set_id"], order["quote_id"])
                assert found == (True, "maker", "near", "1")
            assert (told["trades"], told["errors"]) == ([], [])
            short = await mass_quote(alice, quote((1.25, 2), (1.3005, 1)), detailed=False)
            assert short["errors_count"] == 1 and "orders" not in short
            (error,) = short["errors"]
            assert (error["instrument_name"], error["side"]) == (INSTRUMENT, "ask")
            assert (error["error"]["code"], error["error"]["message"]) == (10043, "price_wrong_tick")
            assert (await refusal(alice, "private/mass_quote", mmp_group="maker", quote_id="1", quotes=[quote()]))[
                0
            ] == -32602
            cancel = "private/cancel_quotes"
            assert await call(alice, cancel, cancel_type="quote_set_id", quote_set_id="far") == 0
            assert await call(alice, cancel, cancel_type="instrument_kind", kind="future", detailed=True) == []
            (group,) = await call(alice, cancel, cancel_type="instrument", instrument_name=INSTRUMENT, detailed=True)
            assert (group["type"], group["instrument_name"], group["currency"]) == ("quote", INSTRUMENT, "USDC")
            assert [one["order_state"] for one in group["result"]] == ["cancelled", "cancelled"]
            for cancel_type in ("all", "currency", "currency_pair"):
                await mass_quote(alice, quote((1.2, 1)))
                params = {"cancel_type": cancel_type, "currency": "SOL", "currency_pair": "sol_usdc"}
                assert await call(alice, cancel, **params) == 1
            for wrong in ({"cancel_type": "delta"}, {"cancel_type": "all", "freeze_quotes": True}, {}):
                assert (await refusal(alice, cancel, **wrong))[0] == -32602, wrong

    asyncio.run(conversation())


def test_mmp_groups_freeze_and_are_reset(db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await maker(server, quantity_limit=1)
            assert (await call(alice, "private/get_mmp_config"))[0]["quantity_limit"] == 1.0
            assert await call(alice, "private/get_mmp_config", mmp_group="other") == []
            assert await call(alice, "private/get_mmp_status") == []
            await call(alice, "private/subscribe", channels=["user.mmp_trigger.sol_usdc"])
            await mass_quote(alice, quote((1.2, 2)))
            bob = await deribit_client(server, "bob")
            await call(bob, "private/sell", instrument_name=INSTRUMENT, price=1.2, amount=1)
            told = (await message(alice))["params"]
            assert told["channel"] == "user.mmp_trigger.sol_usdc"
            assert told["data"] == GROUP | {"frozen_until": 0}
            assert await call(alice, "private/get_mmp_status", index_name="sol_usdc") == [told["data"]]
            params = {"mmp_group": "maker", "quote_id": "2", "quotes": [quote((1.2, 1))]}
            assert (await refusal(alice, "private/mass_quote", **params)) == (11030, "other_reject")
            history = await call(alice, "private/get_order_history_by_currency", currency="USDC")
            assert [(one["mmp_cancelled"], one["cancel_reason"]) for one in history] == [(True, "mmp_trigger")]
            assert await call(alice, "private/reset_mmp", **GROUP) == "ok"
            await mass_quote(alice, quote((1.2, 1)))
            assert await call(alice, "private/set_mmp_config", **GROUP, interval=0, frozen_time=0) == []
            assert await call(alice, "private/get_mmp_config") == []
            for wrong in ({"mmp_group": None}, {"index_name": "xrp_usdc"}, {"block_rfq": True}):
                assert "error" in await answer_to(alice, "private/reset_mmp", **GROUP | wrong), wrong

    asyncio.run(conversation())


def test_a_mass_quote_needs_cancel_on_disconnect(db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await deribit_client(server, "alice")
            await call(alice, "private/set_mmp_config", **GROUP, interval=1, frozen_time=1, quantity_limit=1)
            params = {"mmp_group": "maker", "quote_id": "1", "quotes": [quote((1.2, 1))]}
            assert (await refusal(alice, "private/mass_quote", **params))[0] == 11030

    asyncio.run(conversation())


def test_mass_cancellations(db: Path) -> None:
    order = {"instrument_name": INSTRUMENT, "amount": 1, "price": 1.2, "label": "a"}

    async def conversation() -> None:
        async with exchange(db) as server:
            alice = await deribit_client(server, "alice")
            for method, params in (
                ("cancel_all", {}),
                ("cancel_all_by_instrument", {"instrument_name": INSTRUMENT}),
                ("cancel_all_by_currency", {"currency": "SOL"}),
                ("cancel_all_by_currency_pair", {"currency_pair": "sol_usdc"}),
                ("cancel_all_by_kind_or_type", {"currency": ["SOL", "any"], "kind": "option"}),
                ("cancel_by_label", {"label": "a"}),
            ):
                placed = (await call(alice, "private/buy", **order))["order"]
                assert await call(alice, f"private/{method}", **params) == 1, method
                await call(alice, "private/buy", **order)
                (group,) = await call(alice, f"private/{method}", **params, detailed=True)
                assert (group["type"], len(group["result"])) == ("limit", 1)
                assert group["result"][0]["cancel_reason"] == "user_request"
                assert group["result"][0]["order_id"] != placed["order_id"]
            assert await call(alice, "private/cancel_all_by_currency", currency="SOL", kind="future") == 0
            by_type = {"currency": "any", "type": "stop_all"}
            assert (await refusal(alice, "private/cancel_all_by_kind_or_type", **by_type))[0] == -32602

    asyncio.run(conversation())


def test_what_orders_lock_is_what_their_cancellation_frees(db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice, bob = await deribit_client(server, "alice"), await deribit_client(server, "bob")
            # Alice owns one contract, so that her asks of three lock the collateral of two.
            await call(bob, "private/sell", instrument_name=INSTRUMENT, price=1.2, amount=1)
            await call(alice, "private/buy", instrument_name=INSTRUMENT, price=1.2, amount=1)
            orders = [("buy", 1.1, 2), ("sell", 1.5, 1), ("sell", 1.6, 2)]
            ids = [
                (await call(alice, f"private/{side}", instrument_name=INSTRUMENT, price=price, amount=amount))["order"][
                    "order_id"
                ]
                for side, price, amount in orders
            ]
            while ids:
                locked = await call(alice, "private/get_order_margin_by_ids", ids=ids)
                assert [one["order_id"] for one in locked] == ids
                before = await call(alice, "private/get_account_summary")
                await call(alice, "private/cancel", order_id=ids.pop(0))
                after = await call(alice, "private/get_account_summary")
                freed = round(before["initial_margin"] - after["initial_margin"], 6)
                assert freed == locked[0]["initial_margin"], locked
            assert (await refusal(alice, "private/get_order_margin_by_ids", ids=["99"]))[0] == 10004

    asyncio.run(conversation())


def test_the_log_of_trigger_orders(db: Path) -> None:
    stop = {"instrument_name": INSTRUMENT, "amount": 1, "type": "stop_limit", "trigger": "last_price", "label": "s"}

    async def conversation() -> None:
        async with exchange(db) as server:
            alice, bob = await deribit_client(server, "alice"), await deribit_client(server, "bob")
            await call(bob, "private/buy", instrument_name=INSTRUMENT, price=1.3, amount=2)
            await call(alice, "private/sell", instrument_name=INSTRUMENT, price=1.3, amount=1)
            first = (await call(alice, "private/buy", **stop, price=1.4, trigger_price=1.4))["order"]
            second = (await call(alice, "private/sell", **stop, price=1.1, trigger_price=1.2))["order"]
            await call(alice, "private/cancel", order_id=first["order_id"])
            await call(bob, "private/buy", instrument_name=INSTRUMENT, price=1.15, amount=1)
            carol = await deribit_client(server, "carol")
            await call(carol, "private/sell", instrument_name=INSTRUMENT, price=1.15, amount=2)
            log = await call(alice, "private/get_trigger_order_history", currency="USDC")
            assert [(one["trigger_order_id"], one["order_state"]) for one in log["entries"]] == [
                (second["order_id"], "triggered"),
                (first["order_id"], "cancelled"),
            ]
            assert [one["request"] for one in log["entries"]] == ["trigger:order", "trigger:cancel"]
            assert log["entries"][0]["order_id"] is not None and log["entries"][1]["order_id"] is None
            page = await call(alice, "private/get_trigger_order_history", currency="SOL", count=1)
            rest = {"currency": "SOL", "count": 1, "continuation": page["continuation"]}
            following = await call(alice, "private/get_trigger_order_history", **rest)
            assert following["entries"] == log["entries"][1:] and "continuation" not in following
            wrong = {"currency": "SOL", "continuation": "x"}
            assert (await refusal(alice, "private/get_trigger_order_history", **wrong))[0] == -32602

    asyncio.run(conversation())
