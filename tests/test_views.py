"""The read models agree with the state in every market stream; values that only they have are computed again."""

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, cast

import msgspec
import pytest
from msgspec import structs

from exchange.domain.commands import Command, EndDay, OpenAccount, PlaceOrder, encode_command
from exchange.domain.events import (
    DeliveryPriceSet,
    Deposited,
    Event,
    LiquidationStarted,
    PositionSettled,
    Refused,
    ShortfallCovered,
    Traded,
    Withdrawn,
)
from exchange.domain.margin_rates import nanos_to_micros
from exchange.domain.units import NUMBER_MAX, US_PER_SECOND, next_day_end_us
from exchange.engine.engine import Engine, _indexes_of
from exchange.gateway import jsonrpc
from exchange.gateway.caller import Caller
from exchange.gateway.dry_run import dry_run_result
from exchange.gateway.results import DryRunResult
from exchange.gateway.trading import order_answer
from exchange.journal.records import chain
from exchange.matching.dry_run import dry_run
from exchange.matching.state import State
from exchange.projections.fold import Change
from exchange.projections.rolling_statistics import NO_TRADES, RollingStatistics, day_statistics
from exchange.projections.views import Views
from exchange.projections.views_codec import decode_views, encode_views
from exchange.projections.wire_types import DayStatistics
from tests.market_commands import market_steps

# In the last one the price bands refuse many orders.
SEEDS = (1, 2, 6, 7, 9, 10, 18)
# In these streams everything happens that can change the equity of an account; two are under rules version 2.
FULL_SEEDS = (10, 18, 24)
COUNT = 700
EVERY = 50  # commands, after which everything is looked at
MINUTE_US = 60_000_000


def run_market(engine: Engine, seed: int) -> Iterator[tuple[Command, list[Event], Change]]:
    """Carry out a market stream on `engine`, command by command."""
    for ts_us, command, _ in market_steps(seed, COUNT):
        (record,) = chain(engine.head, [(ts_us, encode_command(command).decode())])
        events, change = engine.step(record, command)
        yield command, events, change


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_views_agree_with_the_state(seed: int) -> None:
    engine = Engine()
    for _, _, change in run_market(engine, seed):
        if change.seq % EVERY == 0:
            compare(engine.views, engine.state)
            engine.views = decode_views(encode_views(engine.views))
    compare(engine.views, engine.state)


def compare(views: Views, state: State) -> None:
    assert views.rules == state.rules
    assert {asset: index.price_micros for asset, index in views.indexes.items()} == {
        asset: index.price_micros for asset, index in state.indexes.items()
    }
    assert list(views.instruments) == list(state.books)
    for instrument_id, book in state.books.items():
        instrument, depth = views.instruments[instrument_id], views.depths[instrument_id]
        assert (instrument.state, instrument.delivery_price_micros) == (book.state, book.delivery_micros)
        if book.state != "expired":
            assert views.marks.get(instrument_id) == book.mark_micros
        elif book.delivery_micros is not None:
            assert instrument_id not in views.marks
        for side, levels in ((book.bids, depth.bids()), (book.asks, depth.asks())):
            resting = [(level.price_micros, [order.remaining_milli for order in level]) for level in side]
            assert [(price, sum(sizes), len(sizes)) for price, sizes in resting] == [
                (level.price_micros, level.size_milli, level.count) for level in levels
            ]
        owned = [account.positions[instrument_id].position_milli for account in owners(state, instrument_id)]
        assert views.ticker(instrument_id).open_interest_milli == sum(max(0, quantity) for quantity in owned)
    assert list(views.balances.users) == list(state.accounts)
    for user_id, account in state.accounts.items():
        funds = views.balances.users[user_id]
        assert (funds.cash_micros, funds.locked_micros, funds.maintenance_micros, funds.shortfall_micros) == (
            account.cash_micros,
            account.locked_micros,
            account.maintenance_micros,
            account.shortfall_micros,
        )
        assert (funds.suspended, funds.open_orders_max, funds.position_max_milli) == (
            account.is_suspended,
            account.open_orders_max,
            account.position_max_milli,
        )
        details = {one.instrument_id: one for one in views.positions(user_id).positions}
        for instrument_id, position in account.positions.items():
            if position.position_milli:
                shown, short_milli = details[instrument_id], max(0, -position.position_milli)
                assert shown.initial_margin_micros == nanos_to_micros(position.book.initial_nanos, short_milli)
                assert shown.maintenance_margin_micros == position.maintenance_micros
        assert sum(one.maintenance_margin_micros for one in details.values()) == account.maintenance_micros
        orders = views.orders.of(user_id)
        assert list(orders.open) == list(account.open_orders)
        assert list(orders.finished) == list(account.closed_orders)
        assert list(orders.triggers) == list(account.triggers)
        assert list(orders.ended) == list(account.closed_triggers)
        assert {
            position.instrument_id: (position.quantity_milli, position.locked_micros)
            for position in views.account(user_id).positions
        } == {
            instrument_id: (position.position_milli, position.collateral_micros)
            for instrument_id, position in account.positions.items()
            if position.position_milli or position.collateral_micros
        }


def owners(state: State, instrument_id: str) -> list[Any]:
    return [account for account in state.accounts.values() if instrument_id in account.positions]


@pytest.mark.slow
@pytest.mark.parametrize("seed", FULL_SEEDS)
def test_equity_is_deposits_and_profit(seed: int) -> None:
    """equity = deposits - withdrawals + total_pnl + shortfall, for every account but the exchange's own."""
    engine = Engine()
    paid_in: Counter[str] = Counter()
    happened: Counter[type[Event]] = Counter()
    for command, events, change in run_market(engine, seed):
        happened.update(type(event) for event in events)
        if isinstance(command, OpenAccount) and not change.refused:
            paid_in[change.user_id] += engine.views.balances.users[change.user_id].cash_micros
        for event in events:
            if isinstance(event, Deposited):
                paid_in[event.user_id] += event.amount_micros
            elif isinstance(event, Withdrawn):
                paid_in[event.user_id] -= event.amount_micros
        if change.seq % EVERY == 0:
            for user_id in engine.views.balances.users:
                account = engine.views.account(user_id)
                assert account.equity_micros is not None and account.total_pnl_micros is not None
                assert account.realised_pnl_micros is not None and account.unrealised_pnl_micros is not None
                made = account.total_pnl_micros + account.shortfall_micros
                assert account.total_pnl_micros == account.realised_pnl_micros + account.unrealised_pnl_micros
                if user_id not in ("fees", "insurance"):
                    assert account.equity_micros == paid_in[user_id] + made, user_id
                unrealised = [position.unrealised_pnl_micros or 0 for position in account.positions]
                assert account.unrealised_pnl_micros == sum(unrealised)
    assert (
        happened[Traded] and happened[PositionSettled] and happened[LiquidationStarted] and happened[ShortfallCovered]
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_dry_run_predicts_the_answer(seed: int) -> None:
    """Every order of a stream is dry-run before it is placed."""
    engine, shown_count = Engine(), 0
    for ts_us, command, _ in market_steps(seed, COUNT):
        before: DryRunResult | None = None
        refused: dict[str, Any] | None = None
        if isinstance(command, PlaceOrder) and command.user_id in engine.views.balances.users:
            try:
                before = dry_run_result(engine.views, ts_us, command, dry_run(engine.state, ts_us, command))
            except jsonrpc.RpcError as error:
                refused = error.body
        (record,) = chain(engine.head, [(ts_us, encode_command(command).decode())])
        events, change = engine.step(record, command)
        if refused is not None:
            assert isinstance(events[0], Refused) and change.refused is not None
            assert jsonrpc.refused(change.refused, **band_data(change)).body == refused
        elif before is not None and not any(isinstance(event, LiquidationStarted) for event in events):
            shown_count += 1
            compare_dry_run(engine.views, command, before, change)
    assert shown_count > 50


def band_data(change: Change) -> dict[str, int]:
    """What the answer to an order beyond the band says about the band."""
    return {} if change.band is None else {"min_price": change.band[0], "max_price": change.band[1]}


def compare_dry_run(views: Views, command: Command, before: DryRunResult, change: Change) -> None:
    assert isinstance(command, PlaceOrder)
    answer = order_answer(cast(Caller, _Caller(views, command.user_id)), change)
    assert before.duplicate == answer.duplicate
    if not before.duplicate:
        assert before.order == structs.replace(answer.order, order_id=0)
        assert before.trades == [structs.replace(trade, trade_id=0, order_id=0, seq=0) for trade in answer.trades]
    assert before.balance == structs.replace(views.balance(command.user_id), seq=before.balance.seq)
    owned = [p for p in views.account(command.user_id).positions if p.instrument_id == command.instrument_id]
    after = owned[0] if owned else None
    assert (before.position.quantity_milli, before.position.average_price_micros, before.position.locked_micros) == (
        (after.quantity_milli, after.average_price_micros, after.locked_micros) if after else (0, None, 0)
    )


class _Caller:
    """The part of a session that an answer needs."""

    def __init__(self, views: Views, user_id: str) -> None:
        self.views = views
        self.user_id = user_id


def test_statistics_of_the_last_day() -> None:
    """Equal to those of the trades of the last 1,440 minutes, asked for often or seldom."""
    random = Random(1)
    often, seldom = RollingStatistics(), RollingStatistics()
    trades: list[tuple[int, int, int]] = []
    ts_us = 0
    for _ in range(1_000):
        ts_us += random.choice((0, 1, MINUTE_US // 3, 5 * MINUTE_US, 400 * MINUTE_US))
        trade = (1_000 * random.randint(1, 50), random.randint(1, 5_000), ts_us)
        trades.append(trade)
        for rolling in (often, seldom):
            rolling.add(*trade)
        now_us = ts_us + random.choice((0, 0, MINUTE_US, 1_439 * MINUTE_US, 1_440 * MINUTE_US))
        first_us = (now_us // MINUTE_US - 1_439) * MINUTE_US
        of_day = [(price, size) for price, size, at_us in trades if at_us >= first_us]
        assert often.statistics(now_us, trade[0]) == recomputed(of_day)
        if random.random() < 0.05:
            assert seldom.statistics(now_us, trade[0]) == recomputed(of_day)
    assert len(often.minutes) < 300, "minutes that are a day old are dropped"
    assert often.statistics(ts_us + 1_441 * MINUTE_US, 1_000) == NO_TRADES


def recomputed(trades: list[tuple[int, int]]) -> DayStatistics:
    if not trades:
        return NO_TRADES
    prices = [price for price, _ in trades]
    premium = sum(price * size // 1_000 for price, size in trades)
    return day_statistics(max(prices), min(prices), sum(size for _, size in trades), premium, prices[0], prices[-1])


def test_a_change_of_the_price_is_rounded_half_up() -> None:
    assert day_statistics(3_000, 2_000, 1, 1, 3_000, 2_000).price_change_ppm == -333_333
    assert day_statistics(5_000, 3_000, 1, 1, 3_000, 5_000).price_change_ppm == 666_667
    assert day_statistics(1, 1, 1, NUMBER_MAX + 1, 1, None) == DayStatistics(1, 1, 1, None, None)


@pytest.mark.slow
@pytest.mark.parametrize("seed", FULL_SEEDS[:1])
def test_an_image_of_version_4_has_the_statistics_of_its_trades(seed: int) -> None:
    engine = Engine()
    for _ in run_market(engine, seed):
        pass
    image = encode_views(engine.views)
    fields = msgspec.msgpack.decode(image)
    assert any(fields["turnovers"][name]["minutes"] for name in fields["turnovers"]) and fields["windows"]
    del fields["windows"], fields["closing_indexes"]
    for day in fields["turnovers"].values():
        day["minutes"] = [minute[:2] for minute in day["minutes"]]
        day["total_milli"] = sum(size for _, size in day["minutes"])
    old = msgspec.msgpack.encode(fields)
    restored = encode_views(decode_views(old, None, lambda: _indexes_of(engine.state)))
    assert msgspec.msgpack.decode(restored) == msgspec.msgpack.decode(image)
    for trades in fields["trades"].values():
        del trades[0]
    with pytest.raises(msgspec.ValidationError, match="not all trades of that day"):
        decode_views(msgspec.msgpack.encode(fields), None, lambda: _indexes_of(engine.state))


@pytest.mark.slow
@pytest.mark.parametrize("seed", FULL_SEEDS)
def test_the_estimated_delivery_price_becomes_the_delivery_price(seed: int) -> None:
    """The estimate at the end of the day is the price that the matcher then settles at."""
    engine, settled = Engine(), 0
    for ts_us, command, _ in market_steps(seed, COUNT):
        views = engine.views
        day_end_us = next_day_end_us(views.ts_us)
        estimates = {
            asset: (window.estimated_delivery_micros(day_end_us, day_end_us), window.ts_us < day_end_us)
            for asset, window in views.fold.windows.items()
        }
        (record,) = chain(engine.head, [(ts_us, encode_command(command).decode())])
        events, _ = engine.step(record, command)
        for event in events:
            if not isinstance(event, DeliveryPriceSet) or not isinstance(command, EndDay) or views.rules_version == 1:
                continue
            if event.expiration_s * US_PER_SECOND == day_end_us:
                assert (event.price_micros, True) == estimates[event.asset]
                settled += 1
    assert settled or engine.views.rules_version == 1
