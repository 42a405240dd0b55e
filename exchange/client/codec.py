"""JSON-RPC as a client reads and writes it."""

from typing import Any

import msgspec

from exchange.client.errors import ExchangeError


class ErrorObject(msgspec.Struct):
    code: int
    message: str
    data: dict[str, Any] = {}

    def as_exception(self) -> ExchangeError:
        return ExchangeError(
            self.code, self.message, self.data.get("reason", ""), self.data.get("detail", ""), self.data
        )


class Notification(msgspec.Struct):
    """What a channel sent. `seq` is that of the command, on streams."""

    channel: str
    data: msgspec.Raw
    seq: int = 0


class IncomingMessage(msgspec.Struct):
    """An answer, which has an id and a result or an error; or a notification, which has params."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorObject | None = None
    params: Notification | None = None


decode_received = msgspec.json.Decoder(IncomingMessage).decode


def request_text(request_id: int, method: str, params: dict[str, Any]) -> bytes:
    """A request; parameters that are None are left out."""
    given = {name: value for name, value in params.items() if value is not None}
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": given})
