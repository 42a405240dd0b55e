"""The handshake: which pages and which names of the exchange are welcome, with raw requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.datastructures import Headers

from exchange.client import ExchangeError, connect
from exchange.gateway.handshake import AllowedPeers, Authority, parse_host, parse_origin, refusal_of
from exchange.gateway.server import Gateway
from tests.cli_support import complained, exchange
from tests.fake_exchange import FakeExchange
from tests.wire import TEXT, Wire, frame_bytes

LOCAL = ("127.0.0.1", 8765)


def status(*headers: tuple[str, str], local: tuple[str, int] = LOCAL, tls: bool = False, **allowed: str) -> int:
    """The status of a refusal, or 101."""
    peers = AllowedPeers(
        tuple(parse_origin(one) for one in allowed.get("origins", "").split()),
        tuple(parse_host(one) for one in allowed.get("hosts", "").split()),
    )
    refusal = refusal_of(Headers(headers), local, peers, tls)
    return 101 if refusal is None else refusal.status


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8765",
        "localhost:8765",
        "LOCALHOST:8765",
        "localhost.:8765",
        "[::1]:8765",
        "[0:0::1]:8765",
        "127.9.9.9:8765",
    ],
)
def test_the_exchanges_own_names_are_welcome(host: str) -> None:
    assert status(("Host", host)) == 101
    assert status(("Host", host), ("Origin", f"http://{host}")) == 101


@pytest.mark.parametrize(
    "host",
    [
        "rebind.evil.example:8765",
        "127.0.0.1.evil.example:8765",
        "localhost.evil.example:8765",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:8766",
        # Browsers let pages connect to it, and it reaches every server of the machine.
        "0.0.0.0:8765",
        "[::]:8765",
        "[::ffff:10.0.0.1]:8765",
        "[1:2]:8765",
        "10.0.0.1:8765",
        "2130706433:8765",
        "0x7f.1:8765",
        "user@127.0.0.1:8765",
        "127.0.0.1:8765/",
        "127.0.0.1:99999",
        "",
    ],
)
def test_another_host_is_refused(host: str) -> None:
    assert status(("Host", host)) == 403
    assert status(("Host", "127.0.0.1:8765"), ("Origin", f"http://{host}")) == 403


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://evil.example:8765",
        "null",
        "file://",
        "http://127.0.0.1:3000",
        "http://localhost",
        "https://127.0.0.1:8765",
        "chrome-extension://abcdefgh",
        "http://127.0.0.1:8765.evil.example",
        "http://127.0.0.1:8765, http://evil.example",
    ],
)
def test_another_origin_is_refused(origin: str) -> None:
    assert status(("Host", "127.0.0.1:8765"), ("Origin", origin)) == 403


def test_every_header_counts() -> None:
    own, foreign = ("Host", "127.0.0.1:8765"), ("Host", "evil.example")
    assert status(own, foreign) == status(foreign, own) == 403
    assert status(own, own) == 400
    assert status() == 400
    assert status(own, ("Origin", "http://127.0.0.1:8765"), ("Origin", "https://evil.example")) == 403


def test_listed_origins_and_hosts_are_welcome() -> None:
    own, proxied = ("Host", "127.0.0.1:8765"), ("Host", "Exchange.example")
    page = ("Origin", "https://Exchange.example")
    assert status(proxied) == status(own, page) == 403
    assert status(proxied, page, hosts="exchange.example", origins="https://exchange.example:443") == 101
    # A name is no origin, and an origin is no name.
    assert status(proxied, page, hosts="exchange.example") == 403
    assert status(proxied, origins="https://exchange.example") == 403
    assert status(("Host", "exchange.example:8443"), hosts="exchange.example") == 101
    assert status(("Host", "exchange.example:8443"), hosts="exchange.example:8444") == 403
    assert status(("Host", "exchange.example"), hosts="exchange.example:443", tls=True) == 101
    assert status(own, ("Origin", "null"), origins="null") == 101


def test_an_address_that_others_reach_is_a_name_of_the_exchange() -> None:
    """No DNS entry can stand behind an address, so the browser of a client really called this one."""
    local = ("192.168.7.5", 8765)
    assert status(("Host", "192.168.7.5:8765"), local=local) == 101
    assert status(("Host", "192.168.7.6:8765"), local=local) == 403
    assert status(("Host", "[fe80::5]:443"), ("Origin", "https://[fe80::5]"), local=("fe80::5", 443), tls=True) == 101
    assert status(("Host", "[fe80::5]"), ("Origin", "http://[fe80::5]"), local=("fe80::5", 443), tls=True) == 403


def test_what_is_no_host_or_origin_is_a_clear_error() -> None:
    assert parse_host("[::1]:1") == Authority("::1", 1)
    for option, value in (("--allow-origin", "exchange.example"), ("--allow-host", "https://exchange.example")):
        error = complained(exchange("serve", option, value), 2)
        assert f"Invalid value for '{option}'" in error and "expected" in error and value in error


@asynccontextmanager
async def gateway(allowed: AllowedPeers = AllowedPeers(), host: str = "127.0.0.1") -> AsyncIterator[str]:
    """A gateway on a real socket; yields its URL."""
    fake = FakeExchange()
    await fake.start()
    opened = Gateway(fake)
    opened.allowed_peers = allowed
    url = await opened.bind(host, 0)
    await opened.open()
    try:
        yield url
    finally:
        await opened.close()
        await fake.stop()


async def answer_to(url: str, *headers: str, after: bytes = b"") -> tuple[int, str]:
    """The status and the body of the answer to a handshake with these headers instead of `Host`.

    `after`: bytes that follow the handshake in the same write.
    """
    wire = await Wire.dial(url)
    lines = ["GET / HTTP/1.1", *headers, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    wire.writer.write("\r\n".join([*lines, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]).encode() + after)
    head = (await wire.reader.readuntil(b"\r\n\r\n")).decode()
    body = "" if head.startswith("HTTP/1.1 101") else (await wire.reader.read()).decode()
    await wire.hang_up()
    return int(head.split()[1]), body


def test_the_refusal_says_why() -> None:
    async def conversation() -> None:
        async with gateway() as url:
            own = "Host: " + url.removeprefix("ws://").rstrip("/")
            assert (await answer_to(url, own))[0] == 101
            assert (await answer_to(url, own, own.replace("Host: ", "Origin: http://")))[0] == 101
            assert await answer_to(url, own, "Origin: https://evil.example") == (
                403,
                "pages of 'https://evil.example' may not connect to this exchange: allow them with --allow-origin\n",
            )
            assert await answer_to(url, "Host: rebound.example:8765") == (
                403,
                f"Host 'rebound.example:8765' is not a name of this exchange: connect to {own.removeprefix('Host: ')}, "
                "or allow it with --allow-host\n",
            )
            assert await answer_to(url) == (400, "0 Host headers: send one\n")
        async with gateway(AllowedPeers(("https://good.example",))) as url:
            own = "Host: " + url.removeprefix("ws://").rstrip("/")
            assert (await answer_to(url, own, "Origin: https://good.example"))[0] == 101

    asyncio.run(conversation())


@pytest.mark.parametrize(
    "broken", [frame_bytes(TEXT, b"{}", masked=False), frame_bytes(3, b""), b"\x00"], ids=["no mask", "opcode", "half"]
)
def test_a_broken_frame_in_the_read_of_the_handshake(broken: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The frame waits for the answer to the handshake. It once made that answer fail."""

    async def conversation() -> None:
        async with gateway() as url:
            assert (await answer_to(url, "Host: evil.example", after=broken))[0] == 403
            assert (await answer_to(url, "Host: " + url.removeprefix("ws://").rstrip("/"), after=broken))[0] == 101

    asyncio.run(conversation())
    assert not caplog.records


def test_the_client_says_why_it_was_refused() -> None:
    async def conversation() -> None:
        async with gateway() as url:
            with pytest.raises(ExchangeError, match="HTTP 404: nothing is served at /ws"):
                async with connect(f"{url}ws"):
                    pass

    asyncio.run(conversation())


def test_an_exchange_on_all_addresses_names_one_that_programs_of_this_machine_reach() -> None:
    async def conversation() -> None:
        async with gateway(host="0.0.0.0") as url:
            assert url.startswith("ws://127.0.0.1:")
            async with connect(url):
                pass

    asyncio.run(conversation())
