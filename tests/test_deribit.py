"""Deribit's dialect, over WebSocket and HTTP, against a real server: names, units, errors, rights and channels."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange.domain.reasons import Reason
from exchange.gateway.deribit import units
from exchange.gateway.deribit.errors import ERRORS, error_of
from exchange.gateway.deribit.tokens import ACCESS_SECONDS, REFRESH_SECONDS, USER_TOKENS_MAX, Tokens
from exchange.gateway.error_kinds import ERROR_KINDS, METHOD_REASONS
from exchange.gateway.http_connection import HttpConnection
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.limits import FRAME_MAX
from exchange.keys.credentials import Login
from exchange.keys.key import TRADE, new_key
from exchange.keys.key_file import change_keys
from tests.deribit_wire import PATH, Http, basic, call, deribit_client, message, refusal, text_frame
from tests.wire import INSTRUMENT, Wire, exchange, request

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a conversation to its end, on either event loop."""
    new_loop = pytest.importorskip("uvloop").new_event_loop if request.param == "uvloop" else None

    def run_to_end(conversation: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(conversation)

    return run_to_end


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "exchange.db"


def test_a_conversation_in_the_words_of_deribit(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice, native = await deribit_client(server, "alice"), await server.client("bob")
            (listed,) = await call(alice, "public/get_instruments", currency="USDC", kind="option")
            assert (listed["instrument_name"], listed["strike"], listed["option_type"]) == (INSTRUMENT, 150.0, "call")
            assert (listed["base_currency"], listed["price_index"], listed["contract_size"]) == ("SOL", "sol_usdc", 1.0)
            assert listed["settlement_period"] == "day"
            await native.buy()
            book = await call(alice, "public/get_order_book", instrument_name=INSTRUMENT)
            assert (book["bids"], book["asks"], book["best_bid_price"]) == ([[1.5, 1.0]], [], 1.5)
            sold = await call(
                alice, "private/sell", instrument_name=INSTRUMENT, amount=0.4, price=1.5, label="a", type="limit"
            )
            order, (trade,) = sold["order"], sold["trades"]
            assert (order["order_state"], order["filled_amount"], order["average_price"]) == ("filled", 0.4, 1.5)
            assert (order["direction"], order["label"], order["time_in_force"]) == ("sell", "a", "good_til_cancelled")
            assert (trade["price"], trade["amount"], trade["liquidity"], trade["order_id"]) == (
                1.5,
                0.4,
                "T",
                order["order_id"],
            )
            assert trade["timestamp"] == order["last_update_timestamp"]
            # The orders of both dialects meet in one book, with one history.
            seen = await native.ask("public/get_trades", instrument_id=INSTRUMENT)
            assert [(one["price"], one["size"]) for one in seen["result"]] == [(1_500_000, 400)]
            position = await call(alice, "private/get_position", instrument_name=INSTRUMENT)
            assert (position["direction"], position["size"], position["average_price"]) == ("sell", -0.4, 1.5)
            resting = (await call(alice, "private/buy", instrument_name=INSTRUMENT, contracts=1, price=1.25))["order"]
            assert [one["order_id"] for one in await call(alice, "private/get_open_orders")] == [resting["order_id"]]
            edited = await call(alice, "private/edit", order_id=resting["order_id"], amount=2, price=1.3)
            assert (edited["order"]["amount"], edited["order"]["price"]) == (2.0, 1.3)
            state = await call(alice, "private/get_order_state", order_id=resting["order_id"])
            assert (state["order_state"], state["price"]) == ("open", 1.3)
            cancelled = await call(alice, "private/cancel", order_id=resting["order_id"])
            assert (cancelled["order_state"], cancelled["cancel_reason"]) == ("cancelled", "user_request")
            assert await call(alice, "private/cancel_all") == 0
            history = await call(alice, "private/get_order_history_by_currency", currency="USDC")
            assert [one["order_id"] for one in history] == [resting["order_id"], order["order_id"]]
            summary = await call(alice, "private/get_account_summary", currency="USDC", extended=True)
            assert (summary["currency"], summary["username"]) == ("USDC", "alice")
            assert summary["balance"] == 10_000.6
            assert summary["available_funds"] + summary["initial_margin"] == summary["balance"]

    run(conversation())


def test_answers_say_when_their_requests_arrived(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            wire = await deribit_client(server)
            # As on Deribit, the version of JSON-RPC may be missing.
            wire.writer.write(text_frame('{"id":3,"method":"public/test","params":{}}'))
            answer = await message(wire)
            assert (answer["id"], answer["testnet"], answer["jsonrpc"]) == (3, True, "2.0")
            assert answer["usOut"] - answer["usIn"] == answer["usDiff"] >= 0
            assert answer["usOut"] // 1_000 <= await call(wire, "public/get_time")

    run(conversation())


def test_refusals_have_the_codes_of_deribit(run: Run, db: Path) -> None:
    order = {"instrument_name": INSTRUMENT, "amount": 1, "price": 1.5}

    async def conversation() -> None:
        async with exchange(db) as server:
            wire = await deribit_client(server)
            assert await refusal(wire, "private/buy", **order) == (13009, "unauthorized")
            assert (await refusal(wire, "public/nothing"))[0] == -32601
            assert await refusal(wire, "private/create_combo") == (10033, "not_implemented")
            wire = await deribit_client(server, "alice")
            buy = "private/buy"
            assert await refusal(wire, buy, **order | {"price": 1.501}) == (10043, "price_wrong_tick")
            assert await refusal(wire, buy, **order | {"price": 1.0000001}) == (10043, "price_wrong_tick")
            assert await refusal(wire, buy, **order | {"amount": 100_000}) == (10009, "not_enough_funds")
            unknown, expired = "SOL_USDC-1JAN98-1-C", "SOL_USDC-1JAN26-1-C"
            assert await refusal(wire, buy, **order | {"instrument_name": unknown}) == (
                10020,
                "invalid_or_unsupported_instrument",
            )
            assert await refusal(wire, buy, **order | {"instrument_name": expired}) == (10012, "book_closed")
            for wrong in ({"amount": 1.0005}, {"price": 1e300}, {"amount": -1e-9}, {"amount": "NaN"}, {"amount": None}):
                assert (await refusal(wire, buy, **order | wrong))[0] == -32602, wrong
            assert (await refusal(wire, "private/cancel", order_id="SOL-1"))[0] == 10004
            placed = (await call(wire, buy, **order))["order"]["order_id"]
            await call(wire, "private/cancel", order_id=placed)
            assert await refusal(wire, "private/cancel", order_id=placed) == (11044, "not_open_order")

    run(conversation())


def test_every_refusal_of_an_order_has_a_code_of_its_own() -> None:
    for name in ("private/buy", "private/edit", "private/cancel", "private/cancel_all", "private/close_position"):
        for reason in METHOD_REASONS[name]:
            assert reason in ERRORS or ERROR_KINDS[reason].code == -32602, f"{reason} of {name}"
    assert all(error_of(reason.value).message for reason in Reason)


@pytest.mark.parametrize("text", ["0", "1.5", "0.000001", "999999999.999999", "12.34", "100", "1E+3"])
def test_prices_are_exact_both_ways(text: str) -> None:
    micros = units.micros_of(Decimal(text), "price")
    assert Decimal(micros).scaleb(-6) == Decimal(text)
    assert Decimal(repr(units.price(micros))) == Decimal(text)


@pytest.mark.parametrize(
    "text",
    [
        "0.0000001",
        "1.00000000000000000000000000000000001",
        "1E+400",
        "1E+999999999",
        "-1E-999999999",
        "Infinity",
        "NaN",
    ],
)
def test_no_price_is_rounded(text: str) -> None:
    with pytest.raises(RpcError):
        units.micros_of(Decimal(text), "price")
    with pytest.raises(RpcError):
        units.milli_of(Decimal(text), "amount")


def test_the_methods_answer_over_http(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            http = await Http.dial(server)
            status, answer = await http.get("public/get_instruments", currency="USDC")
            assert (status, answer["result"][0]["instrument_name"], "id" in answer) == (200, INSTRUMENT, False)
            # In a query string numbers are texts.
            order = {"instrument_name": INSTRUMENT, "amount": "1.5", "price": "1.25", "post_only": "true", "label": "7"}
            assert (await http.get("private/buy", **order))[0] == 401
            status, answer = await http.get("private/buy", basic("alice"), **order)
            placed = answer["result"]["order"]
            assert (status, placed["amount"], placed["price"], placed["label"]) == (200, 1.5, 1.25, "7")
            # The next request of the connection is of nobody again, and then of another user.
            assert (await http.get("private/get_open_orders"))[0] == 401
            assert (await http.get("private/get_open_orders", basic("bob")))[1]["result"] == []
            auth = {"grant_type": "client_credentials", "client_id": "alice", "client_secret": ""}
            body = {"jsonrpc": "2.0", "id": 9, "method": "public/auth", "params": auth}
            status, answer = await http.post("/api/v2", body)
            assert (status, answer["id"]) == (200, 9)
            token = f"Bearer {answer['result']['access_token']}"
            status, answer = await http.get("private/get_open_orders", token)
            assert [one["order_id"] for one in answer["result"]] == [placed["order_id"]]
            status, answer = await http.post("/api/v2/private/cancel", {"order_id": placed["order_id"]}, token)
            assert (status, answer["result"]["order_state"]) == (200, "cancelled")
            refreshed = {"grant_type": "refresh_token", "refresh_token": "unknown"}
            assert (await http.post("/api/v2/public/auth", refreshed))[0] == 401
            # The same connection may go on as a WebSocket.
            wire = Wire(http.reader, http.writer)
            assert (await wire.shake_hands(PATH)).startswith("HTTP/1.1 101 ")
            assert await refusal(wire, "private/get_open_orders") == (13009, "unauthorized")

    run(conversation())


def test_a_signature_authorizes_one_request(run: Run, db: Path) -> None:
    key = new_key("alice", "trade", 0)

    async def conversation() -> None:
        async with exchange(db) as server:
            change_keys(db, lambda keys: [*keys, key])
            http = await Http.dial(server)
            target = "/api/v2/private/get_positions?currency=USDC"

            def signed(nonce: str, method: str = "GET", body: str = "") -> str:
                stamp = str(server.node._credentials._now_us() // 1_000)
                text = f"{stamp}\n{nonce}\n{method}\n{target}\n{body}\n"
                signature = hmac.new(key.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
                return f"deri-hmac-sha256 id={key.client_id},ts={stamp},nonce={nonce},sig={signature}"

            async def status(authorization: str) -> int:
                return (await http.send(f"GET {target} HTTP/1.1", authorization))[0]

            once = signed("a")
            assert [await status(once), await status(once), await status(signed("b"))] == [200, 401, 200]
            assert await status(signed("c", "POST")) == 401
            assert await status(signed("d", body="x")) == 401
            # An account with a key cannot be entered without one.
            assert await status(basic("alice")) == 401
            assert await status(basic(key.client_id, key.secret)) == 200
            auth = {"grant_type": "client_credentials", "client_id": key.client_id, "client_secret": key.secret}
            token = (await http.post("/api/v2/public/auth", auth))[1]["result"]["access_token"]
            assert await status(f"Bearer {token}") == 200
            change_keys(db, lambda _keys: [key.revoked(1)])
            server.node._credentials.refresh()
            assert await status(f"Bearer {token}") == 401

    run(conversation())


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /api/v2/public/test HTTP/1.1\r\nOrigin: https://evil.example", 403),
        ("GET /api/v2/private/buy?amount=1 HTTP/1.1\r\nSec-Fetch-Site: cross-site", 403),
        ("GET /api/v2/public/nothing HTTP/1.1", 404),
        ("GET /api/v2 HTTP/1.1", 400),
        ("GET /api/v2/public/subscribe?channels=x HTTP/1.1", 400),
        ("GET /api/v2/private/get_positions HTTP/1.1\r\nAuthorization: Bearer nothing", 401),
        ("GET /api/v2/private/get_positions HTTP/1.1\r\nAuthorization: Basic !!!", 401),
        ("GET /api/v2/private/get_positions HTTP/1.1\r\nAuthorization: Magic", 401),
        ("POST /api/v2 HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked", 400),
        ("POST /api/v2 HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4", 400),
        ("POST /api/v2 HTTP/1.1\r\nContent-Length: 3\r\n\r\n{]}", 400),
        ("POST /api/v2/public/test HTTP/1.1\r\nContent-Length: 3\r\n\r\n[1]", 400),
        (f"POST /api/v2 HTTP/1.1\r\nContent-Length: {FRAME_MAX + 1}\r\n\r\n{'x' * (FRAME_MAX + 1)}", 413),
        (f"GET /api/v2/public/test?x={'x' * 70_000} HTTP/1.1", 431),
        (f"GET /api/v2/public/test?{'&'.join(f'x{n}=1' for n in range(101))} HTTP/1.1", 400),
        (f'POST /api/v2/public/test HTTP/1.1\r\nContent-Length: 40008\r\n\r\n{{"id":{"[" * 40_000}}}}}', 400),
        (f'POST /api/v2 HTTP/1.1\r\nContent-Length: 40008\r\n\r\n{{"id":{"[" * 40_000}}}}}', 400),
        ("GET /api/v2/public/test HTTP/1.1\r\nX-Any: a\x15b", 400),
        ("GET /api/v2/private/get_positions HTTP/1.1\r\nAuthorization: Basic ÿþ", 401),
        ("GET /api/v2/private/get_positions HTTP/1.1\r\nAuthorization: deri-hmac-sha256 id=a,ts=²,nonce=x,sig=y", 401),
        ("GET /api/v2/public/test HTTP/1.1\r\n" + "\r\n".join(f"A{n}: b" for n in range(80)), 431),
    ],
)
def test_bad_requests_over_http(run: Run, db: Path, head: str, status: int) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            http = await Http.dial(server)
            line, _, rest = head.partition("\r\n")
            headers, _, body = rest.partition("\r\n\r\n")
            more = [part for part in headers.split("\r\n") if part]
            found, answer = await http.send(line, "", *more, body=body.encode())
            assert (found, "error" in answer, "result" in answer) == (status, True, False)

    run(conversation())


def test_requests_in_one_read_and_in_many(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            http = await Http.dial(server)
            one = f"GET /api/v2/public/get_time HTTP/1.1\r\nHost: {http.host}\r\n\r\n".encode()
            http.writer.write(one * 50)
            assert [(await http.answer())[0] for _ in range(50)] == [200] * 50
            slow = await Http.dial(server)
            for byte in one:
                slow.writer.write(bytes([byte]))
                await slow.writer.drain()
                await asyncio.sleep(0)
            assert (await slow.answer())[0] == 200
            # A request that ends in the middle.
            slow.writer.write(one[:-10])
            slow.writer.write_eof()
            assert (await slow.answer())[0] == 400
            assert await slow.reader.read() == b""

    run(conversation())


def test_http_clients_that_hang_up_and_requests_without_id(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            http = await Http.dial(server)
            # Nobody waits for the answer. `exchange` checks that nothing of the connection is left.
            target = f"/api/v2/private/buy?instrument_name={INSTRUMENT}&amount=1&price=1.2"
            http.writer.write(
                f"GET {target} HTTP/1.1\r\nHost: {http.host}\r\nAuthorization: {basic('alice')}\r\n\r\n".encode()
            )
            await http.writer.drain()
            http.writer.transport.abort()
            while not server.engine.state.books[INSTRUMENT].bids:  # noqa: ASYNC110 - a book does not tell
                await asyncio.sleep(0)
            http = await Http.dial(server)
            body = {"jsonrpc": "2.0", "method": "public/test", "params": {}}
            status, answer = await http.post("/api/v2", body)
            assert (status, "id" in answer, "version" in answer["result"]) == (200, False, True)
            assert (await http.post("/api/v2", [body]))[0] == 400
            assert (await http.post("/api/v2", b"{}"))[0] == 400
            # An answer repeats the id, so a body that is not UTF-8 has none.
            status, answer = await http.post("/api/v2", b'{"id":"\xff","method":"public/test"}')
            assert (status, answer["error"]["code"], "id" in answer) == (400, -32700, False)
            # An answer that is queued leaves before the connection goes on as a WebSocket.
            http.writer.write(f"GET /api/v2/public/test HTTP/1.1\r\nHost: {http.host}\r\n\r\n".encode())
            head = await Wire(http.reader, http.writer).shake_hands(PATH)
            assert head.startswith("HTTP/1.1 200 ")

    run(conversation())


def test_a_websocket_on_a_path_of_http_is_refused(run: Run, db: Path) -> None:
    """Each side gave the connection to the other one, for ever, and the server did nothing else."""

    async def conversation() -> None:
        async with exchange(db) as server:
            for upgrade in ("Upgrade: websocket", "Connection: Upgrade\r\nUpgrade: websocket"):
                http = await Http.dial(server)
                head = f"GET /api/v2/public/test HTTP/1.1\r\nHost: {http.host}\r\n{upgrade}\r\n\r\n"
                http.writer.write(head.encode())
                answer = await asyncio.wait_for(http.reader.read(), 5)
                assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 426 ")), answer

    run(conversation())


def test_an_incomplete_request_ends_with_its_time(db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            http = await Http.dial(server)
            http.writer.write(b"POST /api/v2 HTTP/1.1\r\nContent-Length: 100\r\nHost: ")
            gateway = server.node.gateway
            while not any(isinstance(one, HttpConnection) for one in gateway._connections):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
            (connection,) = gateway._connections
            for _ in range(gateway.limits.handshake_s + 1):
                assert not connection.gone.done()
                http.writer.write(b"x")
                connection.on_tick()
            await connection.gone

    asyncio.run(conversation())


def test_tokens_end() -> None:
    now = [0.0]
    tokens, login = Tokens(lambda: now[0]), Login("alice", TRADE)
    pair = tokens.give(login)
    assert tokens.login_of(pair.access) == login
    assert tokens.login_of(pair.refresh) is None
    now[0] = ACCESS_SECONDS
    assert tokens.login_of(pair.access) is None
    assert tokens.take_refresh(pair.refresh) == (login, pair.session)
    assert tokens.take_refresh(pair.refresh) is None
    late = tokens.give(login)
    now[0] += REFRESH_SECONDS
    assert tokens.take_refresh(late.refresh) is None
    first, of_bob = tokens.give(login), tokens.give(Login("bob", TRADE))
    for _ in range(USER_TOKENS_MAX):
        tokens.give(login)
    assert tokens.login_of(first.access) is None
    # No user can end the tokens of others.
    assert tokens.login_of(of_bob.access) is not None
    assert tokens.login_of_refresh(of_bob.refresh) is not None


def test_books_from_rows_are_equal_to_those_of_the_exchange(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            trader, reader = await deribit_client(server, "alice"), await deribit_client(server)
            channels = [f"book.{INSTRUMENT}.raw", f"trades.{INSTRUMENT}.100ms", f"book.{INSTRUMENT}.none.1.100ms"]
            assert await call(reader, "public/subscribe", channels=channels) == channels
            await call(trader, "private/subscribe", channels=["user.orders.any.any.raw", "user.portfolio.usdc"])
            orders = [("buy", 1.2, 1), ("buy", 1.1, 2), ("buy", 1.2, 0.5), ("sell", 1.4, 1), ("sell", 1.3, 1)]
            for side, price, amount in orders:
                await call(trader, f"private/{side}", instrument_name=INSTRUMENT, price=price, amount=amount)
            bob = await deribit_client(server, "bob")
            await call(bob, "private/sell", instrument_name=INSTRUMENT, price=1.2, amount=1.5)
            await call(bob, "private/buy", instrument_name=INSTRUMENT, price=1.3, amount=0.25)
            book = await call(bob, "public/get_order_book", instrument_name=INSTRUMENT)
            sides: dict[str, dict[float, float]] = {"bids": {}, "asks": {}}
            trades: list[Any] = []
            top: dict[str, Any] = {"change_id": None}
            change_id = None
            while change_id != book["change_id"] or len(trades) < 2 or top["change_id"] != change_id:
                told = (await message(reader))["params"]
                if told["channel"] == channels[1]:
                    trades += told["data"]
                elif told["channel"] == channels[2]:
                    top = told["data"]
                else:
                    data = told["data"]
                    assert data.get("prev_change_id") == change_id
                    change_id = data["change_id"]
                    for side, rows in sides.items():
                        for action, price, amount in data[side]:
                            assert (action == "new") == (price not in rows)
                            rows[price] = amount
                            if action == "delete":
                                del rows[price]
            assert sorted(map(list, sides["bids"].items()), reverse=True) == book["bids"] == [[1.1, 2.0]]
            assert sorted(map(list, sides["asks"].items())) == book["asks"] == [[1.3, 0.75], [1.4, 1.0]]
            assert [(one["price"], one["amount"], one["direction"]) for one in trades] == [
                (1.2, 1.0, "sell"),
                (1.2, 0.5, "sell"),
                (1.3, 0.25, "buy"),
            ][-len(trades) :]
            assert (top["bids"], top["asks"]) == ([[1.1, 2.0]], [[1.3, 0.75]])
            assert sorted(await call(reader, "public/unsubscribe", channels=channels[:1])) == channels[:1]
            assert await call(reader, "public/unsubscribe_all") == "ok"

    run(conversation())


def test_own_channels_tell_of_own_orders_only(run: Run, db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice, bob = await deribit_client(server, "alice"), await deribit_client(server, "bob")
            stranger = await deribit_client(server)
            assert await refusal(stranger, "public/subscribe", channels=["user.orders.any.any.raw"]) == (
                13009,
                "unauthorized",
            )
            assert (await refusal(alice, "private/subscribe", channels=["user.nothing"]))[0] == -32602
            names = [f"user.orders.{INSTRUMENT}.raw", "user.trades.option.SOL.raw", "user.changes.any.any.raw"]
            await call(alice, "private/subscribe", channels=names)
            await call(bob, "private/buy", instrument_name=INSTRUMENT, price=1.2, amount=1)
            alice.writer.write(text_frame(request("private/sell", 7, instrument_name=INSTRUMENT, price=1.2, amount=1)))
            told: dict[str, Any] = {}
            while set(told) != set(names):
                got = await message(alice)
                if "params" in got:
                    told[got["params"]["channel"]] = got["params"]["data"]
            ((order,), (trade,), changes) = (told[name] for name in names)
            assert (order["direction"], order["order_state"], trade["direction"]) == ("sell", "filled", "sell")
            assert (changes["orders"], changes["trades"]) == ([order], [trade])
            assert [one["size"] for one in changes["positions"]] == [-1.0]

    run(conversation())


@pytest.mark.slow
def test_candles_and_the_transaction_log_come_from_the_history(db: Path) -> None:
    async def conversation() -> None:
        async with exchange(db) as server:
            alice, bob = await deribit_client(server, "alice"), await deribit_client(server, "bob")
            await call(bob, "private/buy", instrument_name=INSTRUMENT, price=1.2, amount=1)
            await call(alice, "private/sell", instrument_name=INSTRUMENT, price=1.2, amount=1)
            now_ms = await call(alice, "public/get_time")
            times = {"start_timestamp": now_ms - 60_000, "end_timestamp": now_ms + 60_000}
            chart = await call(
                alice, "public/get_tradingview_chart_data", instrument_name=INSTRUMENT, resolution="1", **times
            )
            assert (chart["status"], chart["close"][-1], sum(chart["volume"])) == ("ok", 1.2, 1.0)
            wrong = {"resolution": "7", "instrument_name": INSTRUMENT} | times
            assert (await refusal(alice, "public/get_tradingview_chart_data", **wrong))[0] == -32602
            log = await call(alice, "private/get_transaction_log", currency="USDC", **times)
            assert [(one["type"], one["change"]) for one in log["logs"]] == [("trade", 1.2), ("deposit", 10_000.0)]
            trades = await call(
                alice, "private/get_user_trades_by_instrument_and_time", instrument_name=INSTRUMENT, **times
            )
            assert [one["amount"] for one in trades["trades"]] == [1.0]
            assert trades["has_more"] is False

    asyncio.run(conversation())
