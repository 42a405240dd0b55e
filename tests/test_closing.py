"""A client that closes the connection first gets the answers to all requests that it sent before the Close."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK

from tests.wire import CLOSE, CONT, INSTRUMENT, TEXT, Closed, Server, Wire, exchange, frame_bytes, request

aiohttp = pytest.importorskip("aiohttp")

# Commands with queries between them, so that some requests wait for others.
COUNT = 20


def requests() -> list[str]:
    texts = [request("public/auth", 0, grant_type="client_credentials", client_id="alice")]
    for n in range(1, COUNT):
        if n % 5:
            texts.append(request("private/buy", n, instrument_id=INSTRUMENT, price=1_500_000, amount=100))
        else:
            texts.append(request("private/get_balance", n))
    return texts


def assert_all_answered(answers: list[Any]) -> None:
    assert [answer["id"] for answer in answers] == list(range(COUNT))
    assert all("result" in answer for answer in answers)


async def connections_left(server: Server) -> int:
    """The number of connections after a turn of the event loop."""
    await asyncio.sleep(0)
    return server.node.gateway.connected


def close_frame() -> bytes:
    return frame_bytes(CLOSE, (1000).to_bytes(2) + b"bye")


@pytest.mark.parametrize("after", ["", "more frames", "the end of the stream"])
def test_a_raw_client(tmp_path: Path, after: str) -> None:
    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            wire: Wire = await server.connect()
            for text in requests():
                wire.lawyer.sent(text.encode())
            frames = [frame_bytes(TEXT, text.encode()) for text in requests()]
            # What follows a Close is ignored, even if it breaks the protocol.
            rest = frame_bytes(TEXT, request("public/test").encode()) + b"\xff" * 50 if after == "more frames" else b""
            wire.writer.write(b"".join([*frames, close_frame(), rest]))
            if after == "the end of the stream":
                wire.writer.write_eof()
            assert_all_answered([await wire.text() for _ in range(COUNT)])
            with pytest.raises(Closed) as closed:
                await wire.frame()
            assert closed.value.code == 1000
            assert await wire.reader.read() == b""

    asyncio.run(conversation())


def test_a_close_inside_a_message_ends_the_connection_normally(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            wire: Wire = await server.connect()
            text = request("public/test").encode()
            wire.send(request("public/test"))
            wire.writer.write(frame_bytes(TEXT, text, fin=False) + frame_bytes(CONT, b"", fin=False) + close_frame())
            assert "result" in await wire.text()
            assert await wire.closing() == 1000

    asyncio.run(conversation())


def test_a_client_that_reads_no_answers_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Close is decoded together with the requests before it, and most of these wait until the client reads."""
    for name, value in (("CLOSE_SECONDS", 0.01), ("UNSENT_MAX", 1_000), ("SLICE_BYTES", 2**20)):
        monkeypatch.setattr(f"exchange.gateway.socket_connection.{name}", value)

    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            wire: Wire = await server.connect(receive_buffer=4_096)
            texts = [request("public/get_api", n) for n in range(400)]
            wire.writer.write(b"".join(frame_bytes(TEXT, text.encode()) for text in texts) + close_frame())
            await wire.writer.drain()
            while await connections_left(server):
                pass

    asyncio.run(conversation())


def test_the_client_of_websockets(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server, connect(server.url, compression=None) as client:
            # One write, so that the requests and the Close arrive together.
            for text in requests():
                client.protocol.send_text(text.encode())
            client.protocol.send_close(1000)
            client.transport.write(b"".join(client.protocol.data_to_send()))
            answers = []
            with pytest.raises(ConnectionClosedOK):
                while True:
                    answers.append(json.loads(await client.recv()))
            assert_all_answered(answers)

    asyncio.run(conversation())


def test_the_client_of_aiohttp(tmp_path: Path) -> None:
    async def conversation() -> None:
        async with (
            exchange(tmp_path / "exchange.db") as server,
            aiohttp.ClientSession() as session,
            session.ws_connect(server.url, autoclose=False) as client,
        ):
            for text in requests():
                await client.send_str(text)
            await client.send_frame((1000).to_bytes(2), aiohttp.WSMsgType.CLOSE)
            answers = []
            while (message := await client.receive()).type is aiohttp.WSMsgType.TEXT:
                answers.append(json.loads(message.data))
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1000)
            assert_all_answered(answers)

    asyncio.run(conversation())
