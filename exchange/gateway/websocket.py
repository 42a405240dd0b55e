"""The sans-I/O WebSocket protocol of websockets, with four rules of our own.

- The answer to a Close frame is held until `echo_close`, so that the requests before it can be answered first.
- A Close frame inside a fragmented message ends the connection as any other: with its own code.
- A handshake that is not HTTP is answered with 400.
- The frames after a handshake are parsed when the handshake is answered. Otherwise a broken frame in the same read
  would end the connection first, and the answer to the handshake would fail.
"""

import logging
from collections.abc import Generator
from http import HTTPStatus

from websockets.exceptions import InvalidMessage
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol

from exchange.gateway.limits import FRAME_MAX

quiet_log = logging.getLogger("exchange.websockets")
quiet_log.setLevel(logging.WARNING)


class _AnswerFirstProtocol(Protocol):
    """Parses no frame until the handshake is answered."""

    def parse(self) -> Generator[None]:
        """Parse frames: the base of `ServerProtocol.parse`, which reaches it after the request."""
        while self.state is State.CONNECTING:
            yield
        yield from super().parse()


class HeldCloseProtocol(ServerProtocol, _AnswerFirstProtocol):
    """The server's end of one connection. `held_close` is the client's Close frame that is not answered yet."""

    def __init__(self) -> None:
        super().__init__(max_size=FRAME_MAX, logger=quiet_log)
        self.held_close: Frame | None = None

    def queue_text(self, text: bytes) -> None:
        """Queue a text frame. As `send_text`, but faster: no extension changes it, and the state is OPEN."""
        size = len(text)
        if size < 126:
            self.writes.append(b"\x81%c" % size)
        elif size < 65_536:
            self.writes.append(b"\x81\x7e" + size.to_bytes(2))
        else:
            self.writes.append(b"\x81\x7f" + size.to_bytes(8))
        self.writes.append(text)

    def receive_data(self, data: bytes | bytearray) -> None:
        """Take bytes from the client."""
        super().receive_data(data)
        if self.state is State.CONNECTING and isinstance(self.handshake_exc, InvalidMessage):
            text = "this is not an HTTP request: connect with a WebSocket client\n"
            self.writes.insert(0, self.reject(HTTPStatus.BAD_REQUEST, text).serialize())
            # Only the first bytes are answered.
            self.handshake_exc = None

    def recv_frame(self, frame: Frame) -> None:
        """Take one frame. Raises ProtocolError if the client may not send it."""
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
            if self.state is State.OPEN:
                Close.parse(frame.data)
                self.held_close = frame
                self.parser = self._ignore_until_echo()
                next(self.parser)
                self.events.append(frame)
                return
        super().recv_frame(frame)

    def echo_close(self) -> None:
        """Answer the client's Close frame, and end the connection."""
        frame, self.held_close = self.held_close, None
        if frame is not None and self.state is State.OPEN:
            super().recv_frame(frame)
            self.events.clear()

    def _ignore_until_echo(self) -> Generator[None]:
        while not (yield from self.reader.at_eof()):
            self.reader.discard()
        yield
