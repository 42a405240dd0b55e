"""JSON-RPC as the client encodes and decodes it."""

from typing import Any

import msgspec

from exchange.client.errors import ExchangeError


class ErrorObject(msgspec.Struct):
    """The error of an answer."""

    code: int
    message: str
    data: dict[str, Any] = {}

    def as_exception(self) -> ExchangeError:
        return ExchangeError(
            self.code, self.message, self.data.get("reason", ""), self.data.get("detail", ""), self.data
        )


class Notification(msgspec.Struct):
    """A message of a channel. On streams, `seq` is the command that caused it."""

    channel: str
    data: msgspec.Raw
    seq: int = 0


class IncomingMessage(msgspec.Struct):
    """An answer, with an id and a result or an error; or a notification, with params."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorObject | None = None
    params: Notification | None = None


decode_message = msgspec.json.Decoder(IncomingMessage).decode


def encode_request(request_id: int, method: str, params: dict[str, Any]) -> bytes:
    """Encode a request. Parameters that are None are left out."""
    given = {name: value for name, value in params.items() if value is not None}
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": given})
