"""What sessions need of the exchange behind them: its views, a place to hand commands in, and the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from exchange.catch_up.request import CatchUpHandle, CatchUpRequest, Done, Take
from exchange.domain.commands import Command, PlaceOrder
from exchange.domain.events import Event
from exchange.domain.reasons import Reason
from exchange.domain.rules import Rules
from exchange.gateway.jsonrpc import RpcError
from exchange.projections.order_timeline import TimelineStep
from exchange.projections.views import Change, Views


class MarginQuote(NamedTuple):
    """What an order would take: `needed_micros` of what is available, and why it would be refused.

    A short contract's initial and maintenance margin, rounded up; None where they do not follow an index.
    """

    needed_micros: int
    initial_micros: int | None
    maintenance_micros: int | None
    reason: Reason | None


class ExchangePort(Protocol):
    """The exchange as the gateway sees it."""

    @property
    def views(self) -> Views: ...

    @property
    def rules(self) -> Rules: ...

    @property
    def is_busy(self) -> bool:
        """Whether so many commands wait for the journal that no more can be taken now."""
        ...

    @property
    def is_halted(self) -> bool:
        """Whether the administrator has halted everything."""
        ...

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be changed, because this is a replay."""
        ...

    def now_us(self) -> int:
        """Exchange time."""
        ...

    def submit(self, command: Command, done: Callable[[Change | None], None]) -> None:
        """Hand in a command. `done` hears what it changed, once that is durable; None: it was not recorded."""
        ...

    def dry_run(self, command: PlaceOrder) -> list[Event] | None:
        """What the order would cause now, its order_id and trade_ids 0. Nothing comes of it. None: too busy.

        Only where `is_read_only` is false; `margin` likewise.
        """
        ...

    def margin(self, command: PlaceOrder) -> MarginQuote:
        """What the order would take now."""
        ...

    def explain(self, user_id: str, order_id: int, done: Callable[[list[TimelineStep] | RpcError], None]) -> None:
        """Look up the life of the user's own order, as it is now, without keeping anyone else waiting.

        `done` hears it once it is found: empty where there is no such order; or why it could not be read.
        """
        ...

    @property
    def first_seq(self) -> int:
        """The first command that can be looked back at; those before are in archives that are not here."""
        ...

    def catch_up(self, request: CatchUpRequest, take: Take, done: Done) -> CatchUpHandle:
        """Start to replay missed notifications: later, `take` receives them in order, and `done` is called once."""
        ...

    @property
    def requests_per_second(self) -> int:
        """The rate at which one connection may send requests; 0: any."""
        ...

    def is_admin_secret(self, secret: str | None) -> bool: ...
