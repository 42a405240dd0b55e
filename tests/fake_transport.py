"""The server's end of a connection without a socket, and a check of the bytes that the server writes to it."""

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from tests.wire import CLOSE, PING, PONG, TEXT


class FakeTransport(asyncio.Transport):
    """Keeps what the server writes. `unread` is the size that it reports of what the client has not read."""

    def __init__(self, protocol: asyncio.Protocol, peer: tuple[str, int], local: tuple[str, int]) -> None:
        super().__init__({"peername": peer, "sockname": local})
        self.protocol = protocol
        self.written = bytearray()
        self.unread = 0
        self.is_reading_paused = False
        self._is_closing = False
        self._is_lost = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol), protocol
        self.protocol = protocol

    def get_protocol(self) -> asyncio.Protocol:
        return self.protocol

    def write(self, data: Any) -> None:
        assert not self._is_closing, "the server writes to a closed connection"
        self.written += data

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        return self.unread

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False

    def is_closing(self) -> bool:
        return self._is_closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._is_closing = True
        asyncio.get_running_loop().call_soon(self.lose)

    def lose(self) -> None:
        """The connection is lost, also for a client that resets it."""
        self._is_closing = True
        if not self._is_lost:
            self._is_lost = True
            self.protocol.connection_lost(None)


class Conversation(NamedTuple):
    """What the server wrote: the status of its last answer over HTTP, its messages, and the code of its Close."""

    status: int | None
    messages: list[bytes]
    close_code: int | None


def conversation_of(written: bytes) -> Conversation:
    """Read what a server wrote. Raises AssertionError if it breaks HTTP or the WebSocket protocol."""
    if not written:
        return Conversation(None, [], None)
    head, separator, rest = written.partition(b"\r\n\r\n")
    assert separator and head.startswith(b"HTTP/1.1 "), head[:100]
    status = int(head.split(b" ", 2)[1])
    if status != 101:
        told = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
        length = int(told.partition(b": ")[2])
        assert len(rest) >= length, "half an answer"
        # Another request may have followed.
        return conversation_of(rest[length:]) if len(rest) > length else Conversation(status, [], None)
    messages: list[bytes] = []
    at = 0
    while at < len(rest):
        opcode, payload, at = _frame_at(rest, at)
        if opcode == CLOSE:
            assert at == len(rest), "the server writes after its Close"
            return Conversation(status, messages, int.from_bytes(payload[:2]) if payload else 1005)
        if opcode == TEXT:
            msgspec.json.decode(payload)
            messages.append(payload)
        else:
            assert opcode in (PING, PONG), opcode
    return Conversation(status, messages, None)


def _frame_at(written: bytes, at: int) -> tuple[int, bytes, int]:
    """The opcode and the payload of the frame at this place, and where the next one begins."""
    first, length, at = written[at], written[at + 1], at + 2
    assert first & 0xF0 == 0x80, "the server sent a fragment or used reserved bits"
    if length > 125:
        size = 2 if length == 126 else 8
        length, at = int.from_bytes(written[at : at + size]), at + size
    assert at + length <= len(written), "half a frame"
    return first & 0xF, written[at : at + length], at + length
