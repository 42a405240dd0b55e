"""`private/what_if`: the effect of edits on one account, its limits and its rights."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.client import ExchangeError, connect
from exchange.domain.commands import SetIndexPrice
from exchange.domain.events import IndexPriceSet
from exchange.gateway.exchange_port import WhatIfQuestion
from exchange.history.edits import Edits, IndexPath
from exchange.history.moment import Moment
from exchange.history.what_if import effect_on, what_if
from exchange.history.what_if_worker import COMMANDS_MAX, answer
from exchange.history_db.update import update_history
from exchange.past import what_if_service
from exchange.projections.wire_types import RealAndEdited, WhatIfResult
from exchange.runtime.server_settings import admin_secret_file
from tests.journals import write_journal
from tests.market_commands import market_steps
from tests.market_story import write_steps
from tests.small_market import buy, history, sell
from tests.wire import INSTRUMENT
from tests.wire import exchange as running_exchange

LAST_SEQ = 9


def ignore(*_: object) -> None:
    pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """alice sells to bob, and then carol to bob. The first order is that of seq 6."""
    path = tmp_path / "exchange.db"
    steps = history(
        sell("alice", 1_000, 1_500_000),
        buy("bob", 1_000, 1_600_000),
        sell("carol", 2_000, 2_000_000),
        buy("bob", 1_000, 2_000_000),
    )
    write_journal(path, steps)
    update_history(path, ignore, ignore)
    return path


def ask(path: Path, user_id: str, last_seq: int = LAST_SEQ, commands_max: int = COMMANDS_MAX, **params: Any) -> Any:
    raw = msgspec.Raw(msgspec.json.encode(params))
    found = answer(path, WhatIfQuestion(user_id, raw, last_seq), commands_max)
    return found.error or msgspec.convert(msgspec.json.decode(found.result), WhatIfResult)


def test_an_order_left_out(path: Path) -> None:
    found = ask(path, "alice", without_orders=[1])
    assert (found.from_seq, found.to_seq, found.commands) == (5, 9, 4)
    assert (found.dropped, found.replaced, found.first_seq) == (1, 0, 6)
    assert found.cash_micros == RealAndEdited(1_001_500_000, 1_000_000_000)
    assert found.fills == RealAndEdited(1, 0)
    assert found.positions == {"SOL_USDC-28FEB26-150-C": RealAndEdited(-1_000, 0)}
    # bob's first bid rests then: carol sells to it, and his second bid takes the rest of her order.
    assert found.changed == what_if(path, Edits([(6, 6)]), Moment(), ignore).changed > 0


def test_other_fees_hold_from_the_genesis_or_from_a_command_on(path: Path) -> None:
    every, later = (ask(path, "bob", rules={"fees": "0/10000"}, **of) for of in ({}, {"from_seq": 7}))
    assert every.cash_micros.real == later.cash_micros.real == 996_500_000
    # A taker pays 1 % of the premium: 1.50, and 2.00 for the second order.
    assert every.cash_micros.edited == 996_500_000 - 35_000
    assert later.cash_micros.edited == 996_500_000 - 20_000
    assert (every.from_seq, later.from_seq) == (0, 7)
    assert (every.first_seq, later.first_seq) == (7, 9)
    assert ask(path, "bob", rules={"fees": "0/10000"}, to_seq=7, last_seq=7).cash_micros.edited == 998_485_000


def test_what_cannot_be_answered(path: Path) -> None:
    errors = {
        "order_not_found": ask(path, "alice", without_orders=[2]),
        "what_if_too_long": ask(path, "alice", without_orders=[1], commands_max=3),
        "invalid_params": ask(path, "alice", rules={"nonsense": "1"}),
        "history_unavailable": ask(path.with_name("other.db"), "alice", rules={"fees": "0/0"}),
    }
    assert {reason: error["reason"] for reason, error in errors.items()} == {reason: reason for reason in errors}
    assert (errors["what_if_too_long"]["commands"], errors["what_if_too_long"]["commands_max"]) == (4, 3)
    assert "nonsense" in errors["invalid_params"]["detail"] and "--set" not in errors["invalid_params"]["detail"]
    assert ask(path, "nobody", rules={"fees": "0/1"})["reason"] == "invalid_params"


def test_prices_of_an_index_path() -> None:
    one = IndexPath([(10, 100), (20, 200), (40, 0)], 0)
    assert [one.price_micros(us) for us in (9, 10, 15, 20, 30, 39, 40, 1_000)] == [None, 100, 150, 200, 100, 10, 0, 0]


@pytest.mark.parametrize("seed", (3, 5, 8))
def test_another_index_path(seed: int, tmp_path: Path) -> None:
    """The recorded prices as a path change nothing. Lower ones are those of a market with such commands.

    No command names an order by its id, because ids can differ.
    """
    path = tmp_path / "exchange.db"
    steps = [step for step in market_steps(seed, 300) if getattr(step.command, "order_id", None) is None]
    write_steps(path, ((step.ts_us, step.command) for step in steps))
    prices = [(step, step.command) for step in steps if isinstance(step.command, SetIndexPrice)]
    done = [(step.ts_us, command) for step, command in prices if isinstance(step.events[0], IndexPriceSet)]
    asset = done[0][1].asset
    recorded = [(ts_us, command.price_micros) for ts_us, command in done if command.asset == asset]
    user_id = "alice"
    same = effect_on(path, Edits(index_paths={asset: IndexPath(recorded, 0)}), Moment(), user_id, COMMANDS_MAX)
    assert same.comparison.is_same or same.replaced
    lower = [(ts_us, price_micros * 9 // 10) for ts_us, price_micros in recorded]
    edits = Edits(index_paths={asset: IndexPath(lower, 0)})
    found = effect_on(path, edits, Moment(), user_id, COMMANDS_MAX)
    assert found.replaced >= len(recorded) and found.first_seq is not None
    edited = [(step.ts_us, edits.with_index_path(step.ts_us, step.command)) for step in steps]
    state = write_steps(tmp_path / "edited.db", edited)
    assert found.user.cash_micros.edited == state.accounts[user_id].cash_micros
    assert found.comparison.total_cash_micros.edited == state.total_cash_micros


def test_a_running_exchange_answers_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(ask_running(tmp_path / "exchange.db", monkeypatch))


async def ask_running(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_exchange(path) as server, connect(server.url, "alice") as alice:
        bought = await alice.buy(INSTRUMENT, 1_000, 1_000_000)
        async with connect(server.url, "bob") as bob, connect(server.url, "bob") as also_bob:
            await bob.sell(INSTRUMENT, 1_000, 1_000_000)
            both = await asyncio.gather(
                bob.what_if(rules={"fees": "0/10000"}),
                also_bob.what_if(rules={"fees": "0/10000"}),
                return_exceptions=True,
            )
            (refused,) = [one for one in both if isinstance(one, ExchangeError)]
            assert (refused.code, refused.reason) == (1007, "rate_limit_exceeded")
            (found,) = [one for one in both if isinstance(one, WhatIfResult)]
            assert found.cash_micros.edited == found.cash_micros.real - 10_000
            for wrong, reason in (
                ({"rules": {"fees": "0/0"}, "user_id": "alice"}, "not_permitted"),
                ({"without_orders": [bought.order.order_id]}, "order_not_found"),
                ({}, "invalid_params"),
                ({"rules": {"fees": "0/0"}, "to_seq": 10**6}, "unknown_moment"),
                ({"index_paths": {"XRP": [(1, 1)]}}, "unknown_asset"),
            ):
                with pytest.raises(ExchangeError) as raised:
                    await bob.what_if(**wrong)
                assert raised.value.reason == reason
            monkeypatch.setattr(what_if_service, "RUN_SECONDS", 0.001)
            with pytest.raises(ExchangeError) as raised:
                await bob.what_if(rules={"fees": "0/0"})
            assert raised.value.reason == "what_if_too_long"
            monkeypatch.undo()
        async with connect(server.url, "admin", admin_secret_file(path).read_text().strip()) as admin:
            found = await admin.what_if(user_id="alice", without_orders=[bought.order.order_id])
            assert (found.user_id, found.dropped, found.fills) == ("alice", 1, RealAndEdited(1, 0))
