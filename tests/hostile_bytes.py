"""Hostile connections from a seed: the bytes of handshakes and frames, valid and broken, in pieces of any size.

A `Script` says what a client sends, and what it knows beforehand of the answer.
"""

import os
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from exchange.gateway.limits import FRAGMENTS_MAX, FRAME_MAX
from tests.frames import FrameMaker
from tests.fuzzed_exchange import LOGINS
from tests.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame_bytes

LOCAL = ("127.0.0.1", 8765)
OWN = "127.0.0.1:8765"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = {
    "Host": OWN,
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}
FOREIGN_HOSTS: tuple[str, ...] = (
    "evil.example",
    "evil.example:8765",
    "127.0.0.1",
    "127.0.0.1:80",
    "0.0.0.0:8765",
    "localhost.evil:8765",
)
FOREIGN_HOSTS += ("", "127.0.0.1:8765@evil.example", "evil.example#127.0.0.1:8765", "127.0.0.1:8765 evil", "[::]:8765")
FOREIGN_ORIGINS: tuple[str, ...] = (
    "https://evil.example",
    "null",
    "http://127.0.0.1",
    "http://127.0.0.1:80",
    "https://127.0.0.1:8765",
)
FOREIGN_ORIGINS += (
    "file://",
    "http://127.0.0.1:8765.evil.example",
    "http://evil@127.0.0.1:8765",
    "",
    "http://[::]:8765",
)
_ODD_VALUES = (
    "",
    "x" * 3_000,
    "13",
    "websocket",
    "keep-alive, Upgrade",
    "é",
    "\x00",
    KEY,
    "0",
    "chunked",
    "a" * 20_000,
)
_ODD_HEADERS = (
    *HEADERS,
    "Content-Length",
    "Transfer-Encoding",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Protocol",
    "X",
)
_METHODS = ("POST", "get", "OPTIONS", "CONNECT", "GET GET", "", "PRI * HTTP/2.0\r\n\r\nSM")
_ODD_LENGTHS = (0, 1, 125, 126, 127, FRAME_MAX, FRAME_MAX + 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1)


class Script(NamedTuple):
    """The pieces that a client sends.

    `opens`: the handshake is valid (True), is one that must be refused (False), or may be either (None).
    `texts`: the messages, if each must be answered; otherwise None.
    """

    pieces: list[bytes]
    opens: bool | None
    texts: list[bytes] | None


class ScriptMaker:
    """Makes scripts. A third of them keep the protocol, so that the answers are known."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._frames = FrameMaker(random)

    def script(self) -> Script:
        """The script of the next connection."""
        random = self.random
        handshake, opens = self._handshake()
        texts = [random.choice(LOGINS).encode(), *(self._text() for _ in range(random.randrange(8)))]
        if opens and random.random() < 0.4:
            sent = b"".join([handshake, *(part for text in texts for part in self._fragmented(text))])
            return Script(list(self._pieces(sent)), opens, texts)
        frames = [part for text in texts for part in (self._fragmented(text) if random.random() < 0.5 else self._odd())]
        for _ in range(random.randrange(4)):
            frames.insert(random.randrange(len(frames) + 1), b"".join(self._odd()))
        return Script(list(self._pieces(self._damaged(handshake, frames))), opens, None)

    def _damaged(self, handshake: bytes, frames: list[bytes]) -> bytes:
        """The bytes of the connection. Some bytes of the frames are changed in one of four."""
        content = bytearray(b"".join(frames))
        if content and self.random.random() < 0.25:
            for _ in range(self.random.randrange(1, 4)):
                content[self.random.randrange(len(content))] = self.random.randrange(256)
        return handshake + content

    def _text(self) -> bytes:
        return self._frames.frame().decode(errors="ignore").encode()

    def _handshake(self) -> tuple[bytes, bool | None]:
        random, headers = self.random, list(HEADERS.items())
        kind = random.random()
        if kind < 0.6:
            return _request("GET", "/", headers), True
        if kind < 0.7:
            headers[0] = ("Host", random.choice(FOREIGN_HOSTS))
            return _request("GET", "/", headers), False
        if kind < 0.8:
            headers.insert(random.randrange(6), ("Origin", random.choice(FOREIGN_ORIGINS)))
            return _request("GET", "/", headers), False
        if kind < 0.9:
            return self._odd_request(headers), None
        damaged = bytearray(_request("GET", "/", headers))
        for _ in range(random.randrange(1, 4)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        return random.choice((bytes(damaged), random.randbytes(300), b"\r\n" * 5_000, b"\x16\x03\x01\x02\x00")), None

    def _odd_request(self, headers: list[tuple[str, str]]) -> bytes:
        random = self.random
        for _ in range(random.randrange(1, 4)):
            header = (random.choice(_ODD_HEADERS), random.choice(_ODD_VALUES))
            at = random.randrange(len(headers) + 1)
            headers[at : at + random.randrange(2)] = [header] * random.choice((1, 1, 2, 200))
        method = random.choice(("GET", "GET", "GET", *_METHODS))
        return _request(
            method, random.choice(("/", "/", "/?a=b", "/x", "*", "//", "http://evil.example/", "")), headers
        )

    def _fragmented(self, text: bytes) -> list[bytes]:
        """The frames of a message: one, or several with control frames between them."""
        random = self.random
        if random.random() < 0.6:
            return [frame_bytes(TEXT, text)]
        count = random.randrange(2, 6)
        cuts = sorted(random.randrange(len(text) + 1) for _ in range(count - 1))
        parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        frames: list[bytes] = []
        for n, part in enumerate(parts):
            frames.append(frame_bytes(TEXT if n == 0 else CONT, part, fin=n == count - 1))
            if random.random() < 0.3:
                frames.append(frame_bytes(random.choice((PING, PONG)), random.randbytes(random.randrange(126))))
        return frames

    def _odd(self) -> list[bytes]:
        """Frames that break the protocol, or that are unusual."""
        random = self.random
        payload = random.choice((b"", b"{}", self._text()[:1_000], random.randbytes(130), b"\x03\xe8", b"\xed\xa0\x80"))
        match random.randrange(10):
            case 0:
                return [frame_bytes(random.randrange(16), payload, fin=random.random() < 0.5)]
            case 1:
                return [frame_bytes(TEXT, payload, reserved=random.randrange(8))]
            case 2:
                return [frame_bytes(TEXT, payload, masked=False)]
            case 3:
                code = random.choice(
                    (0, 999, 1_000, 1_001, 1_004, 1_005, 1_006, 1_012, 1_015, 3_000, 4_999, 5_000, 65_535)
                )
                reason = random.choice((b"", b"bye", b"\xff", b"x" * 124))
                return [frame_bytes(CLOSE, code.to_bytes(2) + reason)]
            case 4:
                return [frame_bytes(CLOSE, payload)]
            case 5:
                return [frame_bytes(TEXT if n == 0 else CONT, b"", fin=False) for n in range(FRAGMENTS_MAX + 2)]
            case 6:
                return [
                    frame_bytes(TEXT, b"x" * FRAME_MAX),
                    frame_bytes(CONT, b"x", fin=False),
                    frame_bytes(TEXT, b"{}"),
                ]
            case 7:
                length = random.choice(_ODD_LENGTHS)
                return [bytes([0x81, 0xFF]) + length.to_bytes(8) + os.urandom(4) + payload]
            case 8:
                return [frame_bytes(BINARY, payload)]
            case _:
                return [random.randbytes(random.randrange(50))]

    def _pieces(self, sent: bytes) -> Iterator[bytes]:
        """The bytes as they arrive: at once, byte by byte, or in pieces of random sizes."""
        size_max = self.random.choice((1, 3, 100, 5_000, FRAME_MAX, FRAME_MAX * 10))
        size_max = max(size_max, len(sent) // 200)
        start = 0
        while start < len(sent):
            end = start + self.random.randrange(1, size_max + 1)
            yield sent[start:end]
            start = end


def _request(method: str, path: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8")
