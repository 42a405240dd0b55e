"""The one exception of the client."""

from collections.abc import Mapping
from typing import Any

import msgspec

from exchange.projections.wire_types import Receipt

# The code of an error that the client raises because of its connection. The exchange never sends it.
CONNECTION = 0
LOST = "connection_lost"


class ExchangeError(Exception):
    """A request failed.

    `code` and `reason` (a stable word) are those of docs/protocol.md. `detail` is a sentence for people. `data` holds
    the other fields of the error (`param`, `seq`, `retry_after_ms` ...).

    Code 0 is about the connection, and `reason` is one of:

    - `connection_failed`: the client could not connect.
    - `connection_lost`: the connection broke, and the exchange may have carried out the request or not. The client
      connects again.
    - `connection_ended`: the same, but the client does not connect again.
    - `connection_closed`: `Client.close` was called. The exchange may have carried out the request or not.
    """

    def __init__(
        self, code: int, message: str, reason: str = "", detail: str = "", data: Mapping[str, Any] | None = None
    ) -> None:
        text = f"{message}: {detail}" if detail else message
        super().__init__(text if code == CONNECTION else f"error {code}: {text}")
        self.code = code
        self.message = message
        self.reason = reason
        self.detail = detail
        self.data: Mapping[str, Any] = data or {}

    @property
    def receipt(self) -> Receipt | None:
        """The receipt of the refused command; None if it was not asked for, or if no command was recorded."""
        return msgspec.convert(self.data["receipt"], Receipt) if "receipt" in self.data else None

    @property
    def outcome_unknown(self) -> bool:
        """True if the connection broke before the answer came, and the client connects again.

        The exchange may have carried out the request or not. The caller has to find out, for example from the
        streams.
        """
        return self.code == CONNECTION and self.reason == LOST


def connection_failed(url: str, detail: object) -> ExchangeError:
    return ExchangeError(CONNECTION, f"cannot connect to {url}", "connection_failed", str(detail))


def connection_lost(detail: str) -> ExchangeError:
    return ExchangeError(CONNECTION, f"the exchange closed the connection ({detail})", LOST)


def connection_ended(detail: str) -> ExchangeError:
    return ExchangeError(CONNECTION, f"the exchange closed the connection ({detail})", "connection_ended")


def connection_closed() -> ExchangeError:
    return ExchangeError(CONNECTION, "this client is closed", "connection_closed", "connect again")
