"""The exchange port of an engine in this process: all that a node, a replay and the tests' exchange share."""

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import msgspec

from exchange.catch_up.request import CatchUpHandle, CatchUpRequest, Done, Take
from exchange.catch_up.service import CatchUpService
from exchange.domain.commands import ChangeRules, PlaceOrder
from exchange.domain.events import Event
from exchange.domain.rules import Rules
from exchange.engine.engine import Engine
from exchange.gateway.exchange_port import (
    ExchangePort,
    MarginQuote,
    PastDone,
    PastQuestion,
    SimulatedMargins,
    SimulatedPosition,
    WhatIfQuestion,
)
from exchange.gateway.jsonrpc import RpcError
from exchange.gateway.methods import METHODS, Method
from exchange.gateway.server import Gateway
from exchange.matching.apply import apply
from exchange.matching.dry_run import dry_run, margin_quote, simulated_account
from exchange.matching.reopening import phases_of
from exchange.matching.state_codec import copy_state
from exchange.past.service import BEHIND_SECONDS, PastService
from exchange.past.what_if_service import WhatIfService
from exchange.projections.fold import Change
from exchange.projections.views import Views


class EnginePort(ExchangePort):
    """An exchange port that answers from `engine`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def views(self) -> Views:
        return self.engine.views

    @property
    def head_hash(self) -> bytes:
        return self.engine.head.hash

    @property
    def rules(self) -> Rules:
        return self.engine.state.rules

    @property
    def is_halted(self) -> bool:
        return self.engine.state.is_halted

    def reopening(self) -> dict[str, int]:
        return phases_of(self.engine.state, self.now_us())

    def dry_run(self, command: PlaceOrder) -> list[Event] | None:
        return None if self.is_busy else dry_run(self.engine.state, self.now_us(), command)

    def dry_run_rules(self, command: ChangeRules) -> list[Event]:
        return apply(copy_state(self.engine.state), self.now_us(), command)

    def margin(self, command: PlaceOrder) -> MarginQuote:
        return MarginQuote(*margin_quote(self.engine.state, self.now_us(), command))

    def simulate(self, user_id: str, quantities: Mapping[str, int], replaces: bool) -> SimulatedMargins:
        account = simulated_account(self.engine.state, user_id, quantities, replaces)
        positions = {
            name: SimulatedPosition(one.position_milli, one.collateral_micros, one.maintenance_micros)
            for name, one in sorted(account.positions.items())
            if one.position_milli or one.collateral_micros
        }
        return SimulatedMargins(account.cash_micros, account.locked_micros, account.maintenance_micros, positions)


class ServedExchange(EnginePort):
    """An exchange on the journal at `path`, with a gateway. As a publisher it sends changes to the gateway's clients.

    Catch-ups are read from the journal, and the past from the history.
    """

    # How long a question about the past waits for a history that is behind.
    history_wait_seconds = BEHIND_SECONDS

    def __init__(self, path: Path, engine: Engine, methods: Mapping[str, Method] = METHODS) -> None:
        super().__init__(engine)
        self.path = path
        self.gateway = Gateway(self, methods)
        self.catch_up_service = CatchUpService(path, self.gateway.recent, self.gateway.send_all)
        self.past_service = PastService(path, self.why_history_ends, self.history_wait_seconds)
        self._what_ifs = WhatIfService(path)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def first_seq(self) -> int:
        return self.catch_up_service.first_seq

    def catch_up(self, request: CatchUpRequest, take: Take, done: Done) -> CatchUpHandle:
        return self.catch_up_service.start(request, take, done)

    def ask_past(self, question: PastQuestion, done: PastDone) -> None:
        def deliver(outcome: msgspec.Raw | RpcError) -> None:
            done(outcome)
            self.gateway.send_all()

        self.past_service.ask(question, deliver)

    @abstractmethod
    def why_history_ends(self) -> str:
        """Why the history does not reach further now, as a clause for users."""

    def ask_what_if(self, question: WhatIfQuestion, done: PastDone) -> None:
        def deliver(outcome: msgspec.Raw | RpcError) -> None:
            done(outcome)
            self.gateway.send_all()

        if (refused := self._what_ifs.admit(question.user_id)) is not None:
            asyncio.get_running_loop().call_soon(deliver, refused)
        else:
            self.start_task(self._what_ifs.run(question, deliver))

    def publish(self, change: Change) -> None:
        """Send one command's messages on the streams."""
        self.gateway.publish(change)

    def flush(self) -> None:
        """Send the changes of books and tickers."""
        self.gateway.flush()

    def start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` as a task that `cancel_tasks` cancels."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def cancel_tasks(self) -> None:
        """Cancel the tasks and wait until they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
