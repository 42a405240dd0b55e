"""The client whose request a method handles: its user, its connection, and the exchange. And the deferred result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from msgspec import UnsetType
from websockets.frames import CloseCode

from exchange.domain.enums import CancelScope
from exchange.gateway.channels import Channel
from exchange.gateway.exchange_port import ExchangePort
from exchange.gateway.quotas import ConnectionQuota
from exchange.keys.credentials import Login
from exchange.keys.key import NOBODY
from exchange.projections.views import Views


class CallerConnection(Protocol):
    """The settings of a connection that a method may change."""

    @property
    def next_seq(self) -> int:
        """The first command that the streams have not published yet."""
        ...

    def subscribe(self, channels: list[Channel], from_seq: int | None = None) -> list[str]:
        """Subscribe to channels. Returns their names."""
        ...

    def unsubscribe(self, channels: list[Channel]) -> list[str]:
        """Unsubscribe from channels. Returns the names of those that were subscribed."""
        ...

    def translate(self, translate: Callable[[bytes], list[bytes]]) -> None:
        """Send, for each notification, these texts instead."""
        ...

    def set_heartbeat(self, interval_seconds: int | None) -> None:
        """Send test requests after this many seconds of silence; None: never."""
        ...

    def on_test_reply(self) -> None:
        """The client called `public/test`."""
        ...

    @property
    def order_mark(self) -> int | UnsetType:
        """The number of this connection if the orders that it places depend on it."""
        ...

    @property
    def cancel_scope(self) -> CancelScope | None:
        """The orders that are cancelled when this connection ends; None: it has not asked for that."""
        ...

    def set_cancel_on_disconnect(self, scope: CancelScope | None) -> bool:
        """Switch it for this connection; None: off. Returns True if one of the user's has it for all orders."""
        ...

    def undo_cancel_on_disconnect(self) -> None:
        """Take back the last switch, because it could not be recorded."""
        ...

    def reject(self, reason: str, code: CloseCode = CloseCode.POLICY_VIOLATION) -> None:
        """Close the connection, after the answer of this request."""
        ...


class Caller:
    """One per connection. `user_id` is empty until the client has authenticated.

    `level` is its rights (`exchange.keys.key`), `login` how it authenticated, `opening` the login that waits until
    its account is open. `quota` is its share. `address` is the client's IP address, empty for a client in this
    process. `asked` has the parameters of the request that is being answered. `channels` and `tokens` belong to a
    dialect: its subscriptions, and the tokens of the login.
    """

    __slots__ = (
        "address",
        "asked",
        "channels",
        "connection",
        "exchange",
        "failed_logins",
        "level",
        "login",
        "opening",
        "quota",
        "tokens",
        "user_id",
    )

    def __init__(
        self, exchange: ExchangePort, connection: CallerConnection, quota: ConnectionQuota, address: str = ""
    ) -> None:
        self.exchange = exchange
        self.connection = connection
        self.address = address
        self.quota = quota
        self.user_id = ""
        self.level = NOBODY
        self.login: Login | None = None
        self.opening: Login | None = None
        self.failed_logins = 0
        self.asked: Any = None
        self.channels: Any = None
        self.tokens: Any = None

    @property
    def views(self) -> Views:
        """The read models of the exchange."""
        return self.exchange.views


class Inquiry(NamedTuple):
    """A deferred result: a handler returns it if the result takes time. `ask` takes the callback that receives it."""

    ask: Callable[[Callable[[Any], None]], None]
