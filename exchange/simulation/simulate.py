"""A simulation: the index walks, the bots decide, the exchange answers, and the clock goes a step on."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from exchange.bots.bot import Player
from exchange.bots.crowd import members, missing_micros, walk_of
from exchange.projections.shapes import AccountView
from exchange.runtime.demo import DEMO_RULES
from exchange.runtime.follower import save
from exchange.runtime.node import open_journal
from exchange.runtime.recovery import Report, recover
from exchange.runtime.settings import Settings, admin_secret
from exchange.simulation.journal import GroupingJournal
from exchange.simulation.venue import Line, SetClock, Venue
from journal.lock import JournalLock

Progress = Callable[[int, int], None]  # steps done, steps to do


class Plan(NamedTuple):
    """From when to when, in steps of how long, and what the bots and the index take their chances from."""

    seed: int
    start_us: int
    end_us: int
    step_us: int


class Outcome(NamedTuple):
    """Where it ended: the same plan on a new journal ends there again."""

    seq: int
    ts_us: int
    hash: str
    digest: str


async def simulate(path: Path, plan: Plan, report: Report, progress: Progress) -> Outcome:
    """Carry out the plan on the journal at `path`: on a new one from its start, else from where the journal ends.

    Raises a JournalError.
    """
    with JournalLock(path):
        settings = Settings(path, snapshot_every=0, requests_per_second=0, demo=True, rules=DEMO_RULES)
        journal = await open_journal(settings, plan.start_us)
        try:
            core, missing_events = recover(path, report, lambda done, total: None)
            if missing_events:
                await journal.append_events(missing_events)
            grouping = GroupingJournal(journal)
            clock = SetClock(max(plan.start_us, core.head.ts_us))
            venue = Venue(settings, core, grouping, clock=clock)
            await venue.open()
            await _Crowd(venue, plan, admin_secret(path)).live(clock, progress)
            await venue.close()
            await grouping.flush()
            save(path, core.snapshot())
            return Outcome(core.head.seq, core.head.ts_us, core.head.hash.hex(), core.digest())
        finally:
            await journal.close()


class _Crowd:
    """Everybody who is at the venue."""

    def __init__(self, venue: Venue, plan: Plan, secret: str) -> None:
        self._venue = venue
        self._plan = plan
        self._secret = secret
        self._admin = venue.line()
        self._players: list[tuple[Line, Player]] = []

    async def live(self, clock: SetClock, progress: Progress) -> None:
        """Step by step to the end; the steps are the same ones wherever it begins."""
        plan = self._plan
        seed = f"{plan.seed}/{self._venue.views.seq}"
        await self._come_in(seed)
        walks = {
            index.asset: walk_of(index.asset, index.price_micros, plan.step_us // 1_000, seed)
            for index in list(self._venue.views.indexes.values())
        }
        total = (plan.end_us - plan.start_us) // plan.step_us
        for step in range((clock.ts_us - plan.start_us) // plan.step_us + 1, total + 1):
            clock.ts_us = plan.start_us + step * plan.step_us
            prices = [
                self._admin.call("admin/set_index_price", asset=asset, price=walk.step())
                for asset, walk in walks.items()
            ]
            asked = [
                line.request(request) for line, player in self._players for request in player.requests(clock.ts_us)
            ]
            await asyncio.gather(*prices, *asked)
            progress(step, total)

    async def _come_in(self, seed: str) -> None:
        """Everybody authenticates, and is given what he trades with."""
        await _enter(self._admin, "admin", self._secret)
        for member in members(seed):
            line, player = self._venue.line(), Player(member.bot)
            await _enter(line, member.user_id)
            account = msgspec.json.decode(await line.call("private/get_account"), type=AccountView)
            if amount := missing_micros(member, account.equity_micros or 0):
                await self._admin.call("admin/deposit", user_id=member.user_id, amount=amount)
            line.play(player)
            self._players.append((line, player))


async def _enter(line: Line, user_id: str, secret: str | None = None) -> None:
    await line.call("public/auth", grant_type="client_credentials", client_id=user_id, client_secret=secret)
