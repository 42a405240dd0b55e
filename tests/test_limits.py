"""The limits of clients: connections, silence, handshakes, credits, accounts, memory; and the file that sets them."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from exchange.gateway import server as gateway_server
from exchange.gateway.handshake import HandshakeRefusal
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.limits import MALFORMED_CREDITS, MEANINGS, PAST_CREDITS, REFUSED_CREDITS, GatewayLimits
from exchange.gateway.quotas import ConnectionQuota, Quotas
from exchange.runtime.limit_settings import LimitsError, read_limits
from tests import cli_support
from tests.wire import TEXT, Server, Wire, exchange, frame_bytes, request

LOOPBACK = "127.0.0.1"
NOT_EXEMPT = GatewayLimits(exempt_addresses=())
Serve = Callable[[Server], Coroutine[Any, Any, None]]


class Clock:
    def __init__(self) -> None:
        self.us = 0

    def __call__(self) -> int:
        return self.us


def serving(tmp_path: Path, limits: GatewayLimits, conversation: Serve) -> None:
    """Hold a conversation with an exchange that has these limits."""

    async def run() -> None:
        async with exchange(tmp_path / "exchange.db", limits=limits) as server:
            await conversation(server)

    asyncio.run(run())


async def head_of(server: Server, *more_lines: str) -> str:
    """The first line of the answer to a handshake with these headers, too."""
    wire = await server.dial()
    lines = ["GET / HTTP/1.1", "Host: 127.0.0.1", *more_lines, "", ""]
    wire.writer.write("\r\n".join(lines).encode())
    return (await wire.reader.readline()).decode().strip()


# Connections


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        (GatewayLimits(connections_max=2), "503"),
        (replace(NOT_EXEMPT, connections_per_address_max=2), "429"),
    ],
)
def test_more_connections_are_refused_until_one_is_closed(tmp_path: Path, limits: GatewayLimits, status: str) -> None:
    async def conversation(server: Server) -> None:
        # The test itself connected before, and hung up.
        while await connections_left(server):
            pass
        first, second = await server.connect(), await server.connect()
        assert f" {status} " in await head_of(server)
        assert f" {status} " in await head_of(server)
        await first.hang_up()
        while await connections_left(server) > 1:
            pass
        third = await server.connect()
        assert "result" in await third.ask("public/test") and "result" in await second.ask("public/test")

    serving(tmp_path, limits, conversation)


async def connections_left(server: Server) -> int:
    """The number of connections after a turn of the event loop."""
    await asyncio.sleep(0)
    return server.node.gateway.connected


def test_one_user_has_a_number_of_connections(tmp_path: Path) -> None:
    async def conversation(server: Server) -> None:
        first, _ = await server.client("alice"), await server.client("alice")
        third = await server.connect()
        login = {"grant_type": "client_credentials", "client_id": "alice"}
        error = (await third.ask("public/auth", **login))["error"]
        assert (error["code"], error["data"]["reason"]) == (1007, "too_many_connections")
        await third.log_in("bob")
        # The same connection may log in again.
        await first.log_in("alice")
        await first.hang_up()
        while await connections_left(server) > 2:
            pass
        await server.client("alice")

    serving(tmp_path, GatewayLimits(connections_per_user_max=2), conversation)


# Handshakes and silence


def test_a_long_handshake_is_refused(tmp_path: Path) -> None:
    async def conversation(server: Server) -> None:
        assert " 431 " in await head_of(server, *(f"X-{n}: y" for n in range(20)))
        assert " 431 " in await head_of(server, "X: " + "y" * 3_000)
        await server.connect()

    serving(tmp_path, GatewayLimits(handshake_headers_max=20, handshake_bytes_max=2_000), conversation)


@pytest.mark.slow
@pytest.mark.parametrize("does", ["nothing", "subscribe", "log in"])
def test_a_silent_client_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """Soon if it has no login and no channel, else later. It gets a ping before, and a pong ends the silence."""

    async def conversation(server: Server) -> None:
        wire: Wire = await server.connect()
        if does == "subscribe":
            await wire.ask("public/subscribe", channels=["status"])
        elif does == "log in":
            await wire.log_in("alice")
        monkeypatch.setattr(gateway_server, "TICK_SECONDS", 0.001)
        if does == "nothing":
            assert await wire.closing() == 1008
            return
        while (await wire.frame()).opcode == TEXT:
            pass
        connection = next(iter(server.node.gateway._connections))
        assert connection._silent_s >= 20
        wire.writer.write(frame_bytes(0xA, b""))
        assert await wire.closing() == 1008

    serving(tmp_path, GatewayLimits(unauthenticated_s=10, idle_s=40), conversation)


# Credits


def quota_of(limits: GatewayLimits, clock: Clock, address: str = LOOPBACK) -> ConnectionQuota:
    admitted = Quotas(limits, clock).admit(address)
    assert isinstance(admitted, ConnectionQuota)
    return admitted


def taken(quota: ConnectionQuota) -> int:
    """The number of requests until the first refusal."""
    count = 0
    try:
        while count < 10_000:
            quota.take()
            count += 1
    except RpcError:
        pass
    return count


def test_credits_of_a_user_hold_for_all_connections(tmp_path: Path) -> None:
    clock = Clock()
    quotas = Quotas(GatewayLimits(credits_per_second_per_user=10), clock)
    first, second, other = (quotas.admit(LOOPBACK) for _ in range(3))
    assert not isinstance(first, HandshakeRefusal) and not isinstance(second, HandshakeRefusal)
    assert not isinstance(other, HandshakeRefusal)
    first.log_in("alice")
    second.log_in("alice")
    other.log_in("bob")
    assert taken(first) == 10 and taken(second) == 0 and taken(other) == 10
    # A user that connects again has no new credits.
    first.close()
    second.close()
    quotas.on_tick()
    again = quotas.admit(LOOPBACK)
    assert not isinstance(again, HandshakeRefusal)
    again.log_in("alice")
    assert taken(again) == 0
    clock.us += 500_000
    assert taken(again) == 5
    again.close()
    clock.us += 60_000_000
    quotas.on_tick()
    assert quotas.users.keys() == {"bob"}, "a user that is gone stays in memory"


def test_credits_of_an_address_hold_for_all_its_clients() -> None:
    quotas = Quotas(GatewayLimits(credits_per_second_per_address=10), Clock())
    clients = [quotas.admit(address) for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2", LOOPBACK, "::ffff:127.0.0.1")]
    counts = [taken(client) for client in clients if isinstance(client, ConnectionQuota)]
    assert counts == [10, 0, 10, 10_000, 10_000]
    for client in clients:
        assert isinstance(client, ConnectionQuota)
        client.close()
        client.close()
    assert all(address.connections == 0 for address in quotas.addresses.values())


COSTS = {
    request("public/test"): 1,
    "not JSON": 1 + MALFORMED_CREDITS,
    "[]": 1 + MALFORMED_CREDITS,
    request("public/nothing"): 1 + REFUSED_CREDITS,
    request("public/test", pricee=1): 1 + REFUSED_CREDITS,
    request("public/get_rules", at_seq=1): 1 + PAST_CREDITS,
    f"[{request('public/test')},{request('public/test')}]": 2,
}


@pytest.mark.slow
@pytest.mark.parametrize("text", COSTS)
def test_requests_cost_credits(tmp_path: Path, text: str) -> None:
    async def conversation(server: Server) -> None:
        wire: Wire = await server.connect()
        wire.send(text)
        await wire.text()
        wire.send("{")
        error = (await wire.text())["error"]
        assert (error["code"], error["data"]["reason"]) == (1007, "rate_limit_exceeded")
        assert error["data"]["remaining_credits"] == 0 and error["data"]["retry_after_ms"] > 0

    # So few credits that the first frame uses up the last one.
    cost = COSTS[text]
    limits = GatewayLimits(credits_per_second_per_user=min(cost, 10))

    async def slow_clock(server: Server) -> None:
        now_us = server.node.now_us()
        server.node.gateway._quotas.now_us = lambda: now_us
        await conversation(server)

    serving(tmp_path, limits, slow_clock)


def test_each_quote_of_a_mass_quote_costs_a_credit(tmp_path: Path) -> None:
    async def conversation(server: Server) -> None:
        now_us = server.node.now_us()
        server.node.gateway._quotas.now_us = lambda: now_us
        wire: Wire = await server.connect()
        await wire.log_in("alice")
        side = {"price": 1_500_000, "amount": 1_000}
        quotes = [{"instrument_id": f"SOL_USDC-28FEB26-{150 + number}-C", "bid": side} for number in range(9)]
        params = {"mmp_group": "g", "quote_id": "q", "quotes": quotes}
        assert (await wire.ask("private/mass_quote", **params))["error"]["code"] != 1007
        assert "result" in await wire.ask("public/test")
        assert (await wire.ask("public/test"))["error"]["code"] == 1007

    serving(tmp_path, GatewayLimits(credits_per_second_per_user=10), conversation)


# Accounts


def test_accounts_are_opened_slowly(tmp_path: Path) -> None:
    async def conversation(server: Server) -> None:
        # The test itself opened the administrator's account.
        await server.client("alice")
        await server.client("alice")
        wire = await server.connect()
        login = {"grant_type": "client_credentials", "client_id": "bob"}
        error = (await wire.ask("public/auth", **login))["error"]
        assert error["code"] == 1007 and error["data"]["retry_after_ms"] > 1_000
        await wire.log_in("alice")

    serving(tmp_path, GatewayLimits(accounts_per_hour=2), conversation)


def test_accounts_of_one_address() -> None:
    clock = Clock()
    quotas = Quotas(GatewayLimits(accounts_per_hour_per_address=2, accounts_per_hour=5), clock)
    here, there = quotas.admit("10.0.0.1"), quotas.admit("10.0.0.2")
    assert isinstance(here, ConnectionQuota) and isinstance(there, ConnectionQuota)
    assert opened(here) == 2 and opened(there) == 2
    loopback = quotas.admit(LOOPBACK)
    assert isinstance(loopback, ConnectionQuota)
    assert opened(loopback) == 1
    clock.us += 30 * 60 * 1_000_000
    assert opened(here) == 1


def opened(quota: ConnectionQuota) -> int:
    count = 0
    try:
        while True:
            quota.open_account()
            count += 1
    except RpcError:
        return count


# Memory


def test_the_slowest_reader_is_closed_first(tmp_path: Path) -> None:
    async def conversation(server: Server) -> None:
        slower, slow, good = [await server.connect(receive_buffer=4_096) for _ in range(3)]
        for _ in range(60):
            slower.send(request("public/get_api"))
        slow.send(request("public/get_api"))
        assert await slower.closing() is None
        assert "result" in await good.ask("public/test")
        assert server.node.gateway.connected == 2

    serving(tmp_path, GatewayLimits(outboxes_bytes_max=300_000), conversation)


# The file


def test_a_file_sets_limits(tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text('connections_max = 7\nexempt_addresses = ["10.0.0.0/8"]\n', encoding="utf-8")
    assert read_limits(file) == GatewayLimits(connections_max=7, exempt_addresses=("10.0.0.0/8",))
    file.write_text(json.dumps({"idle_s": 0}), encoding="utf-8")
    assert read_limits(file) == GatewayLimits(idle_s=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conections_max = 7", "unknown field 'conections_max'; the limits are connections_max, "),
        ("connections_max = 0", "connections_max must be a whole number of at least 1"),
        ('connections_max = "many"', "connections_max must be a whole number, not a text"),
        ('exempt_addresses = ["here"]', "exempt_addresses: 'here' does not appear to be an IPv4 or IPv6 network"),
        ("connections_max", "neither TOML nor JSON"),
        ("[" * 9, "neither TOML nor JSON"),
    ],
)
def test_wrong_limits_are_named(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "limits.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(LimitsError, match=r"limits\.toml"):
        read_limits(file)
    run = cli_support.exchange("serve", "--db", tmp_path / "exchange.db", "--limits", file)
    assert run.exit_code == 2 and expected in run.output.replace("\n", " ")
    assert not (tmp_path / "exchange.db").exists()


def test_each_limit_is_explained() -> None:
    assert list(MEANINGS) == list(GatewayLimits.__struct_fields__)
