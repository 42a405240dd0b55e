"""A simulation: the index walks, the bots decide, the exchange answers, and the clock goes a step on."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from exchange.amounts import iso_time
from exchange.bots.bot import BotRunner
from exchange.bots.demo_bots import demo_bots, missing_micros, walk_of
from exchange.engine.recovery import Report, recover
from exchange.journal.lock import JournalLock
from exchange.journal.opening import open_journal_reader
from exchange.projections.wire_types import AccountView
from exchange.runtime.demo import DEMO_RULES
from exchange.runtime.follower import save_and_prune
from exchange.runtime.node import open_journal
from exchange.runtime.server_settings import ServerSettings, admin_secret
from exchange.simulation.batching_journal import BatchingJournal
from exchange.simulation.in_process import InProcessExchange, LocalClient, ManualClock

Progress = Callable[[int, int], None]  # steps done, steps to do


class SimulationPlan(NamedTuple):
    """From when to when, in steps of how long, and what the bots and the index take their chances from."""

    seed: int
    start_us: int
    end_us: int
    step_us: int

    @property
    def steps(self) -> int:
        return (self.end_us - self.start_us) // self.step_us

    def steps_done(self, ts_us: int) -> int:
        """How many of them begin at or before this time."""
        return (ts_us - self.start_us) // self.step_us


class SimulationResult(NamedTuple):
    """Where it ended: the same plan on a new journal ends there again."""

    seq: int
    ts_us: int
    hash: str
    digest: str


class OtherJournalError(Exception):
    """The journal is not one of this plan; the message is for people."""


async def simulate(path: Path, plan: SimulationPlan, report: Report, progress: Progress) -> SimulationResult:
    """Carry out the plan on the journal at `path`: on a new one from its start, else from where it left off.

    Where all is done already, nothing is. Raises a JournalError, or OtherJournalError.
    """
    with JournalLock(path):
        settings = ServerSettings(path, snapshot_every=0, requests_per_second=0, demo=True, rules=DEMO_RULES)
        journal = await open_journal(settings, plan.start_us)
        try:
            _refuse_another_one(path, plan)
            engine, missing_events = recover(path, report, lambda done, total: None)
            if missing_events:
                await journal.append_events(missing_events)
            if plan.steps_done(engine.head.ts_us) < plan.steps:
                grouping = BatchingJournal(journal)
                clock = ManualClock(engine.head.ts_us)
                venue = InProcessExchange(settings, engine, grouping, clock=clock)
                await venue.open()
                await _DemoBots(venue, plan, admin_secret(path)).live(clock, progress)
                await venue.close()
                await grouping.flush()
                save_and_prune(path, engine.snapshot())
            return SimulationResult(engine.head.seq, engine.head.ts_us, engine.head.hash.hex(), engine.digest())
        finally:
            await journal.close()


def _refuse_another_one(path: Path, plan: SimulationPlan) -> None:
    """Simulated commands have no business in the journal of an exchange, nor behind those of another simulation."""
    with open_journal_reader(path) as reader:
        first = next(reader.records_where(1, 1), None)
    if first is None or first.ts_us != plan.start_us:
        began = f"begins at {iso_time(first.ts_us)}" if first is not None else "does not begin with its first command"
        raise OtherJournalError(
            f"{path} {began}, and the simulation at {iso_time(plan.start_us)}: name a new file with --db, or the "
            "time at which this one began with --from"
        )


class _DemoBots:
    """Everybody who is at the venue."""

    def __init__(self, venue: InProcessExchange, plan: SimulationPlan, secret: str) -> None:
        self._venue = venue
        self._plan = plan
        self._secret = secret
        self._admin = venue.client()
        self._players: list[tuple[LocalClient, BotRunner]] = []

    async def live(self, clock: ManualClock, progress: Progress) -> None:
        """Step by step to the end; the steps are the same ones wherever it begins."""
        plan = self._plan
        seed = f"{plan.seed}/{self._venue.views.seq}"
        await self._come_in(seed)
        walks = {
            index.asset: walk_of(index.asset, index.price_micros, plan.step_us // 1_000, seed)
            for index in list(self._venue.views.indexes.values())
        }
        for step in range(plan.steps_done(clock.ts_us) + 1, plan.steps + 1):
            clock.ts_us = plan.start_us + step * plan.step_us
            prices = [
                self._admin.call("admin/set_index_price", asset=asset, price=walk.step())
                for asset, walk in walks.items()
            ]
            asked = [
                line.request(request) for line, player in self._players for request in player.requests(clock.ts_us)
            ]
            await asyncio.gather(*prices, *asked)
            progress(step, plan.steps)

    async def _come_in(self, seed: str) -> None:
        """Everybody authenticates, and is given what he trades with."""
        await _enter(self._admin, "admin", self._secret)
        for member in demo_bots(seed):
            line, player = self._venue.client(), BotRunner(member.bot)
            await _enter(line, member.user_id)
            account = msgspec.json.decode(await line.call("private/get_account"), type=AccountView)
            if amount := missing_micros(member, account.equity_micros or 0):
                await self._admin.call("admin/deposit", user_id=member.user_id, amount=amount)
            line.play(player)
            self._players.append((line, player))


async def _enter(line: LocalClient, user_id: str, secret: str | None = None) -> None:
    await line.call("public/auth", grant_type="client_credentials", client_id=user_id, client_secret=secret)
