"""A simulation of the demo market.

In each step the clock advances, the index moves, the bots decide, and the exchange answers.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from exchange.amounts import iso_time
from exchange.bots.bot import BotRunner
from exchange.bots.demo_bots import BotAccount, demo_bots, missing_micros, walk_of
from exchange.bots.walk import MarketWalk
from exchange.domain.units import US_PER_SECOND
from exchange.engine.recovery import Report, recover
from exchange.free_space import SpaceGuard
from exchange.journal.lock import JournalLock
from exchange.journal.opening import open_journal_reader
from exchange.projections.wire_types import AccountView
from exchange.runtime.demo import DEMO_RULES
from exchange.runtime.follower import save_and_prune
from exchange.runtime.node import open_journal
from exchange.runtime.server_settings import UNLIMITED, ServerSettings, admin_secret
from exchange.simulation.batching_journal import BatchingJournal
from exchange.simulation.in_process import InProcessExchange, LocalClient, ManualClock

# Takers get their missing cash in the first step of each of these periods.
TOP_UP_US = 600 * US_PER_SECOND
# Called with the number of finished steps and the number of all steps.
Progress = Callable[[int, int], None]


class SimulationPlan(NamedTuple):
    """The period and the step of a simulation, in microseconds, and the seed of its bots and index prices."""

    seed: int
    start_us: int
    end_us: int
    step_us: int

    @property
    def steps(self) -> int:
        """The number of whole steps in the period."""
        return (self.end_us - self.start_us) // self.step_us

    def steps_done(self, ts_us: int) -> int:
        """How many steps begin at or before this time."""
        return (ts_us - self.start_us) // self.step_us


class SimulationResult(NamedTuple):
    """The last command and the digest of the state. The same plan on a new journal gives the same result."""

    seq: int
    ts_us: int
    hash: str
    digest: str


class OtherJournalError(Exception):
    """The journal does not begin with this simulation."""


async def simulate(path: Path, plan: SimulationPlan, report: Report, progress: Progress) -> SimulationResult:
    """Run the plan on the journal at `path`, creating it if it does not exist. Return the result.

    An interrupted simulation continues with its next step; a finished one only returns its result again. Raises
    JournalError, and OtherJournalError if the journal begins at another time than the plan.
    """
    with JournalLock(path):
        settings = ServerSettings(path, snapshot_every=0, limits=UNLIMITED, demo=True, rules=DEMO_RULES)
        journal = await open_journal(settings, plan.start_us)
        try:
            _check_beginning(path, plan)
            engine = recover(path, report, lambda done, total: None).engine
            if plan.steps_done(engine.head.ts_us) < plan.steps:
                batching = BatchingJournal(journal)
                clock = ManualClock(engine.head.ts_us)
                exchange = InProcessExchange(settings, engine, batching, clock=clock)
                await exchange.open()
                await DemoCrowd(exchange, plan, admin_secret(path)).run(clock, progress)
                await exchange.close()
                await batching.flush()
                if SpaceGuard(path, "snapshots", report).allows():
                    save_and_prune(path, engine.snapshot())
            return SimulationResult(engine.head.seq, engine.head.ts_us, engine.head.hash.hex(), engine.digest())
        finally:
            await journal.close()


def _check_beginning(path: Path, plan: SimulationPlan) -> None:
    """Refuse a journal that this simulation did not begin: simulated commands must not follow those of others."""
    with open_journal_reader(path) as reader:
        first = next(reader.records_where(1, 1), None)
    if first is None or first.ts_us != plan.start_us:
        began = f"begins at {iso_time(first.ts_us)}" if first is not None else "does not contain its first command"
        raise OtherJournalError(
            f"{path} {began}, but the simulation begins at {iso_time(plan.start_us)}: give a new file with --db, or "
            "the start time of the journal with --from"
        )


class DemoCrowd:
    """The administrator and the bots of a simulation."""

    def __init__(self, exchange: InProcessExchange, plan: SimulationPlan, secret: str) -> None:
        self._exchange = exchange
        self._plan = plan
        self._secret = secret
        self._admin = exchange.client()
        self._bots: list[tuple[LocalClient, BotRunner]] = []
        self._takers: list[tuple[LocalClient, BotAccount]] = []
        self._walk: MarketWalk | None = None

    async def run(self, clock: ManualClock, progress: Progress) -> None:
        """Run the remaining steps. Their times are the same if the simulation was interrupted."""
        plan = self._plan
        await self.start()
        for step in range(plan.steps_done(clock.ts_us) + 1, plan.steps + 1):
            clock.ts_us = plan.start_us + step * plan.step_us
            await self.step(clock.ts_us)
            progress(step, plan.steps)

    async def start(self) -> None:
        """Log in the administrator and the bots, and begin the walk of the indexes at their last prices."""
        seed = f"{self._plan.seed}/{self._exchange.views.seq}"
        await self._log_in_all(seed)
        prices_micros = {index.asset: index.price_micros for index in self._exchange.views.indexes.values()}
        self._walk = walk_of(prices_micros, self._plan.step_us // 1_000, seed)

    async def step(self, now_us: int) -> None:
        """Move every index, and let every bot act, at this time."""
        assert self._walk is not None, "the crowd has not started"
        if now_us % TOP_UP_US < self._plan.step_us:
            for client, account in self._takers:
                await self._top_up(client, account)
        prices = [
            self._admin.call("admin/set_index_price", asset=asset, price=price_micros)
            for asset, price_micros in self._walk.step().items()
        ]
        # The bots quote at the prices of this step.
        await asyncio.gather(*prices)
        requests = [client.request(request) for client, runner in self._bots for request in runner.requests(now_us)]
        await asyncio.gather(*requests)

    async def _log_in_all(self, seed: str) -> None:
        """Log in every bot, and deposit its missing cash."""
        await _log_in(self._admin, "admin", self._secret)
        for account in demo_bots(seed):
            client, runner = self._exchange.client(), BotRunner(account.bot)
            await _log_in(client, account.user_id)
            await self._top_up(client, account)
            client.attach(runner)
            self._bots.append((client, runner))
            if account.is_topped_up:
                self._takers.append((client, account))

    async def _top_up(self, client: LocalClient, account: BotAccount) -> None:
        """Deposit the missing cash of a bot."""
        view = msgspec.json.decode(await client.call("private/get_account"), type=AccountView)
        if amount := missing_micros(account, view.equity_micros or 0):
            await self._admin.call("admin/deposit", user_id=account.user_id, amount=amount)


async def _log_in(client: LocalClient, user_id: str, secret: str | None = None) -> None:
    await client.call("public/auth", grant_type="client_credentials", client_id=user_id, client_secret=secret)
