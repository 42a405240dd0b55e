"""Tokens and logout in Deribit's dialect, against a real server."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from exchange.keys.key import new_key
from exchange.keys.key_file import change_keys
from tests.deribit_wire import Http, answer_to, basic, call, deribit_client, refusal
from tests.wire import INSTRUMENT, Server, Wire, exchange

ORDER = {"instrument_name": INSTRUMENT, "amount": 1, "price": 1.2}


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "exchange.db"


async def tokens_of(server: Server, user_id: str) -> tuple[Wire, Any]:
    wire = await deribit_client(server)
    params = {"grant_type": "client_credentials", "client_id": user_id, "client_secret": "", "state": "s"}
    tokens = await call(wire, "public/auth", **params)
    assert (tokens["state"], tokens["token_type"]) == ("s", "bearer")
    return wire, tokens


def test_a_token_in_the_parameters_logs_in(db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            _, alice = await tokens_of(server, "alice")
            _, bob = await tokens_of(server, "bob")
            wire = await deribit_client(server)
            assert (await refusal(wire, "private/buy", **ORDER))[0] == 13009
            assert (await refusal(wire, "private/buy", **ORDER, access_token="x"))[0] == 13009
            assert (await refusal(wire, "private/buy", **ORDER, access_token=7))[0] == -32602
            placed = await call(wire, "private/buy", **ORDER, access_token=alice["access_token"])
            assert placed["order"]["order_state"] == "open"
            # The connection is Alice's now.
            assert len(await call(wire, "private/get_open_orders")) == 1
            assert (await refusal(wire, "private/get_open_orders", access_token=bob["access_token"]))[0] == 13004
            http = await Http.dial(server)
            status, answer = await http.get("private/get_open_orders", access_token=alice["access_token"])
            assert (status, len(answer["result"])) == (200, 1)
            assert (await http.get("private/get_open_orders"))[0] == 401

    asyncio.run(conversation())


def test_a_token_has_the_rights_of_its_key(db: Path) -> None:
    key = new_key("alice", "read", 0)

    async def conversation() -> None:
        async with exchange(db) as server:
            await tokens_of(server, "alice")
            change_keys(db, lambda keys: [*keys, key])
            wire = await deribit_client(server)
            params = {"grant_type": "client_credentials", "client_id": key.client_id, "client_secret": key.secret}
            tokens = await call(wire, "public/auth", **params)
            other = await deribit_client(server)
            brought = {"access_token": tokens["access_token"]}
            assert await call(other, "private/get_open_orders", **brought) == []
            assert (await refusal(other, "private/buy", **ORDER, **brought))[0] == 13021
            change_keys(db, lambda _keys: [key.revoked(1)])
            server.node._credentials.refresh()
            late = await deribit_client(server)
            assert (await refusal(late, "private/get_open_orders", **brought))[0] == 13004

    asyncio.run(conversation())


def test_forked_and_exchanged_tokens(db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            wire, tokens = await tokens_of(server, "alice")
            refresh = tokens["refresh_token"]
            forked = await call(wire, "public/fork_token", refresh_token=refresh, session_name="bot")
            assert forked["scope"].startswith("session:bot ") and forked["sid"] != tokens["sid"]
            number = (await call(wire, "private/get_account_summary", extended=True))["id"]
            exchanged = await call(wire, "public/exchange_token", refresh_token=refresh, subject_id=number)
            for other in (forked, exchanged):
                brought = {"access_token": other["access_token"]}
                assert await call(await deribit_client(server), "private/get_open_orders", **brought) == []
            wrong = {"refresh_token": refresh, "subject_id": number + 1}
            assert (await refusal(wire, "public/exchange_token", **wrong))[0] == 13021
            refreshed = {"grant_type": "refresh_token", "refresh_token": refresh}
            assert (await call(wire, "public/auth", **refreshed))["sid"] == tokens["sid"]
            for method, more in (("fork_token", {"session_name": "a"}), ("exchange_token", {"subject_id": number})):
                assert (await refusal(wire, f"public/{method}", refresh_token=refresh, **more))[0] == 13004

    asyncio.run(conversation())


@pytest.mark.parametrize("invalidate", [True, False])
def test_logout_keeps_orders_and_ends_the_tokens(db: Path, invalidate: bool) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            wire, tokens = await tokens_of(server, "alice")
            await call(wire, "private/enable_cancel_on_disconnect")
            await call(wire, "private/buy", **ORDER)
            assert (await answer_to(wire, "private/logout", invalidate_token=invalidate))["result"] == "ok"
            assert await wire.closing() == 1000
            again = await deribit_client(server, "alice")
            assert len(await call(again, "private/get_open_orders")) == 1
            late = await deribit_client(server)
            brought = {"access_token": tokens["access_token"]}
            answer = await answer_to(late, "private/get_open_orders", **brought)
            assert ("error" in answer) == invalidate
            assert (await Http.dial(server)).reader is not None
            assert (await (await Http.dial(server)).get("private/logout"))[0] in (400, 401)

    asyncio.run(conversation())


def test_methods_that_make_no_sense_here_say_why(db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            wire = await deribit_client(server)
            for method, word in (
                ("private/withdraw", "play money"),
                ("private/create_subaccount", "one account"),
                ("private/execute_block_trade", "block trades"),
                ("private/create_combo", "combos"),
                ("public/get_funding_rate_value", "futures"),
                ("public/get_volatility_index_data", "volatility index"),
            ):
                error = (await answer_to(wire, method))["error"]
                assert (error["code"], error["message"]) == (10033, "not_implemented")
                assert word in error["data"]["reason"], method
            channel = "deribit_volatility_index.sol_usdc"
            error = (await answer_to(wire, "public/subscribe", channels=[channel]))["error"]
            assert error["code"] == 10033 and "volatility index" in error["data"]["reason"]

    asyncio.run(conversation())


def test_an_http_connection_ends_with_its_login(db: Path) -> None:
    """It stayed open and answered nothing any more."""

    async def conversation() -> None:
        async with exchange(db) as server:
            http = await Http.dial(server)
            assert (await http.get("private/get_positions", basic("alice"), currency="any"))[0] == 200
            change_keys(db, lambda keys: [*keys, new_key("alice", "trade", 0)])
            assert await asyncio.wait_for(http.reader.read(), 10) == b""

    asyncio.run(conversation())
