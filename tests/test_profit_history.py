"""The profit of an account over time: its parts sum to the change of the equity, and each point is the account then."""

import asyncio
import random
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.client import ExchangeError, connect
from exchange.gateway.exchange_port import PastQuestion
from exchange.history_db.file import open_history
from exchange.history_db.past_views import PastViews
from exchange.history_db.update import update_history
from exchange.past.answers import PastAnswers
from exchange.projections.wire_types import ProfitHistory, ProfitPoint
from exchange.runtime.server_settings import admin_secret_file
from tests.market_commands import market_steps
from tests.market_story import write_steps
from tests.wire import INSTRUMENT
from tests.wire import exchange as running_exchange

COUNT = 700
# In these streams accounts are liquidated, the insurance pays, series settle, and cash is paid in and out.
SEEDS = (3, 5, 8)


def ignore(*_: object) -> None:
    pass


def ask(path: Path, user_id: str, at_seq: int, **params: Any) -> Any:
    raw = msgspec.Raw(msgspec.json.encode(params))
    with closing(PastAnswers(path, lambda end: True)) as answers:
        answer = answers.answer(PastQuestion("private/get_profit_history", raw, user_id, at_seq))
    assert answer.behind is None, answer
    return answer.error or msgspec.json.decode(answer.result)


def parts_of(point: ProfitPoint) -> list[int]:
    parts = [point.trading_micros, point.settlement_micros, point.fees_micros, point.liquidation_micros]
    return [part for part in parts if part is not None]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_parts_sum_to_the_change_of_the_equity(seed: int, tmp_path: Path) -> None:
    path, chance = tmp_path / "exchange.db", random.Random(seed)
    write_steps(path, ((step.ts_us, step.command) for step in market_steps(seed, COUNT)))
    update_history(path, ignore, ignore)
    with closing(open_history(path)) as history:
        user_ids = list(PastViews(history, COUNT).balances.users)
        moved = [0] * 5
        spans = [sorted(chance.sample(range(1, COUNT), 2)) for _ in user_ids] + [[1, COUNT]] * len(user_ids)
        for user_id, (first_seq, last_seq) in zip(user_ids * 2, spans, strict=True):
            asked = {"from_seq": first_seq, "to_seq": last_seq, "points": chance.choice((2, 40, 2_000))}
            found = msgspec.convert(ask(path, user_id, COUNT, **asked), ProfitHistory)
            first = found.points[0]
            assert (first.seq, found.points[-1].seq, found.seq) == (first_seq, last_seq, COUNT)
            assert parts_of(first) == [0] * 4 and first.payments_micros == 0 and first.equity_micros is not None
            for point in found.points:
                assert point.equity_micros is not None and point.payments_micros is not None
                assert point.profit_micros == sum(parts_of(point))
                change_micros = point.equity_micros - first.equity_micros
                assert change_micros - point.payments_micros == point.profit_micros, (user_id, point)
                check_account(PastViews(history, point.seq), user_id, point)
            last = [*parts_of(found.points[-1]), found.points[-1].payments_micros or 0]
            moved = [count + (part != 0) for count, part in zip(moved, last, strict=True)]
    assert all(moved), f"a part that never moves in the stream of {seed}: {moved}"


def check_account(views: PastViews, user_id: str, point: ProfitPoint) -> None:
    """Equity, margins and Greeks are those that get_account shows."""
    if user_id not in views.balances.users:
        assert (point.equity_micros, point.locked_micros, point.maintenance_micros, point.greeks) == (0, 0, 0, {})
        return
    account = views.account(user_id)
    shown = (account.equity_micros, account.locked_micros, account.maintenance_micros, account.greeks)
    assert (point.equity_micros, point.locked_micros, point.maintenance_micros, point.greeks) == shown
    assert point.ts_us == views.ts_us


def test_only_the_administrator_may_ask_about_another_account(tmp_path: Path) -> None:
    asyncio.run(ask_running(tmp_path / "exchange.db"))


async def ask_running(path: Path) -> None:
    async with running_exchange(path) as server, connect(server.url, "alice") as alice:
        await alice.buy(INSTRUMENT, 1_000, 1_000_000)
        async with connect(server.url, "bob") as bob:
            await bob.sell(INSTRUMENT, 1_000, 1_000_000)
            own = await bob.get_profit_history(2)
            assert (own.user_id, own.points[-1].trading_micros) == ("bob", 0)
            assert own.points[-1].payments_micros == own.points[-1].equity_micros
            with pytest.raises(ExchangeError) as refused:
                await bob.get_profit_history(user_id="alice")
            assert (refused.value.code, refused.value.reason) == (1025, "not_permitted")
            assert (await bob.get_profit_history(2, user_id="bob")).user_id == "bob"
        secret = admin_secret_file(path).read_text().strip()
        async with connect(server.url, "admin", secret) as admin:
            assert (await admin.get_profit_history(2, user_id="bob", to_seq=own.seq)).points == own.points
            with pytest.raises(ExchangeError) as refused:
                await admin.get_profit_history(user_id="nobody")
            assert refused.value.reason == "unknown_user"
