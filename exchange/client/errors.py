"""What can go wrong, as one exception."""

from collections.abc import Mapping
from typing import Any

CONNECTION = 0  # the code of what is not an answer of the exchange, but the want of one
LOST = "connection_lost"


class ExchangeError(Exception):
    """A request failed: `code` and the stable word `reason` are those of docs/protocol.md, `detail` is for people.

    `data` is what else the error says (`param`, `seq`, `retry_after_ms` ...). Code 0 is about the connection:
    `connection_failed` (nobody is there), `connection_lost` (it is not known whether the request was carried out; the
    client goes on), `connection_ended` (nor is it known here, and nothing more can be asked), `connection_closed` (by
    us, likewise).
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
    def outcome_unknown(self) -> bool:
        """Whether nobody knows if the request was carried out; the client goes on."""
        return self.code == CONNECTION and self.reason == LOST


def connection_failed(url: str, detail: object) -> ExchangeError:
    return ExchangeError(CONNECTION, f"cannot connect to {url}", "connection_failed", str(detail))


def connection_lost(detail: str) -> ExchangeError:
    return ExchangeError(CONNECTION, f"the exchange closed the connection ({detail})", LOST)


def connection_ended(detail: str) -> ExchangeError:
    return ExchangeError(CONNECTION, f"the exchange closed the connection ({detail})", "connection_ended")


def connection_closed() -> ExchangeError:
    return ExchangeError(CONNECTION, "this client is closed", "connection_closed", "connect again")
