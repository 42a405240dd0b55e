"""Clients of Deribit's dialect against a real server, over WebSocket and HTTP."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import urlencode

from tests.wire import TEXT, Server, Wire, frame_bytes, request

PATH = "/ws/api/v2"


async def deribit_client(server: Server, user_id: str = "") -> Wire:
    """A client on Deribit's path, logged in as a user if one is given."""
    wire = await server.dial()
    assert (await wire.shake_hands(PATH)).startswith("HTTP/1.1 101 ")
    if user_id:
        answer = await call(wire, "public/auth", grant_type="client_credentials", client_id=user_id, client_secret="")
        assert answer["token_type"] == "bearer"
    return wire


async def answer_to(wire: Wire, method: str, **params: Any) -> Any:
    """The whole answer. Notifications before it are skipped."""
    wire.writer.write(text_frame(request(method, 7, **params)))
    while "id" not in (answer := await message(wire)):
        pass
    return answer


async def call(wire: Wire, method: str, **params: Any) -> Any:
    answer = await answer_to(wire, method, **params)
    assert "error" not in answer, answer
    return answer["result"]


async def refusal(wire: Wire, method: str, **params: Any) -> tuple[int, str]:
    error = (await answer_to(wire, method, **params))["error"]
    return error["code"], error["message"]


async def message(wire: Wire) -> Any:
    return json.loads((await wire.frame()).payload)


def text_frame(text: str) -> bytes:
    return frame_bytes(TEXT, text.encode())


class Http:
    """A client over one HTTP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self.reader, self.writer, self.host = reader, writer, host

    @classmethod
    async def dial(cls, server: Server) -> "Http":
        wire = await server.dial()
        return cls(wire.reader, wire.writer, wire.host)

    async def get(self, method: str, authorization: str = "", **params: Any) -> tuple[int, Any]:
        query = urlencode(params)
        target = f"/api/v2/{method}" + (f"?{query}" if query else "")
        return await self.send(f"GET {target} HTTP/1.1", authorization)

    async def post(self, path: str, body: Any, authorization: str = "") -> tuple[int, Any]:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.send(f"POST {path} HTTP/1.1", authorization, f"Content-Length: {len(text)}", body=text)

    async def send(self, line: str, authorization: str = "", *more: str, body: bytes = b"") -> tuple[int, Any]:
        headers = [line, f"Host: {self.host}", *more]
        if authorization:
            headers.append(f"Authorization: {authorization}")
        self.writer.write("\r\n".join([*headers, "", ""]).encode() + body)
        return await self.answer()

    async def answer(self) -> tuple[int, Any]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(row.split(":")[1]) for row in head.split("\r\n") if row.lower().startswith("content-length"))
        return int(head.split()[1]), json.loads(await self.reader.readexactly(length))


def basic(user_id: str, secret: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user_id}:{secret}".encode()).decode()
