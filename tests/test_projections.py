"""Read models from explicit events: one command can change several orders, instruments and accounts."""

import json
from typing import Any

from exchange.catch_up.streams import Key, encode, key_of, update_of
from exchange.domain.enums import Side
from exchange.domain.events import (
    AccountOpened,
    BalanceChanged,
    Event,
    InstrumentCreated,
    LiquidationStarted,
    MarksSet,
    OrderAccepted,
    OrderCancelled,
    PositionChanged,
    ShortfallCovered,
    Traded,
)
from exchange.domain.units import NUMBER_MAX
from exchange.projections.balances import PositionRecord
from exchange.projections.fold import Change
from exchange.projections.settlements import SettlementHistory
from exchange.projections.views import Views
from exchange.projections.wire_types import Settlement

CALL, PUT = "SOL_USDC-28FEB26-150-C", "SOL_USDC-28FEB26-150-P"
USERS = ("alice", "bob", "carol")


def opened() -> Views:
    views = Views()
    listed: list[Event] = [
        InstrumentCreated(CALL, "SOL", "call", 150_000_000, 1_772_265_600, 10_000, 1),
        InstrumentCreated(PUT, "SOL", "put", 150_000_000, 1_772_265_600, 10_000, 1),
    ]
    views.project(1, 1, [*listed, *(AccountOpened(user_id) for user_id in USERS)])
    return views


def accepted(order_id: int, user_id: str, side: Side, instrument_id: str = CALL, is_liquidation: bool = False) -> Event:
    order = OrderAccepted(order_id, user_id, instrument_id, side, "limit", "gtc", 1_000_000, 1_000, False, None)
    if not is_liquidation:
        return order
    return OrderAccepted(
        order_id, user_id, instrument_id, side, "limit", "ioc", 1_000_000, 1_000, False, None, liquidation=True
    )


def traded(trade_id: int, maker: tuple[int, str, int], taker: tuple[int, str, int], instrument_id: str = CALL) -> Event:
    """Return a fill of 1,000 at 1.00 with a resting ask; each side is (order, user, remainder)."""
    return Traded(trade_id, instrument_id, 1_000_000, 1_000, "bid", *maker, 0, *taker, 0)


def told(change: Change, views: Views, *keys: Key) -> dict[Key, Any]:
    return {key: json.loads(text)["params"]["data"] for key, text in encode(update_of(change, views), set(keys))}


def test_an_order_after_which_others_are_liquidated() -> None:
    """It rests before the liquidations and may trade with them; `Change.order` is this order."""
    views = opened()
    views.project(2, 2, [accepted(1, "bob", "bid", PUT)])
    change = views.project(
        3,
        3,
        [
            accepted(2, "alice", "ask"),
            LiquidationStarted("bob", 5, 6),
            OrderCancelled(1, "bob", PUT, "bid", 1_000_000, 1_000, "liquidation"),
            accepted(3, "bob", "bid", is_liquidation=True),
            traded(1, (2, "alice", 0), (3, "bob", 0)),
            PositionChanged("alice", CALL, -1_000, 7),
            PositionChanged("bob", CALL, 1_000, 0),
        ],
    )
    assert change.order is not None and (change.order.order_id, change.order.status) == (2, "filled")
    assert [(order.order_id, order.liquidation) for order in change.orders.values()] == [
        (2, False),
        (1, False),
        (3, True),
    ]
    assert [(user_id, trade.liquidation) for user_id, trade in change.user_trades] == [("alice", False), ("bob", True)]
    assert sorted(change.books) == [CALL, PUT]
    assert not views.depths[CALL].asks() and not views.depths[PUT].bids()


def test_an_order_cancelled_by_the_liquidation_that_it_caused() -> None:
    views = opened()
    change = views.project(
        2,
        2,
        [
            accepted(1, "alice", "ask"),
            LiquidationStarted("alice", 5, 6),
            OrderCancelled(1, "alice", CALL, "ask", 1_000_000, 1_000, "liquidation"),
        ],
    )
    assert change.order is not None and change.order.cancel_reason == "liquidation"
    assert not views.depths[CALL].asks()


def test_trades_of_one_command_in_several_instruments() -> None:
    views = opened()
    views.project(2, 2, [accepted(1, "alice", "ask")])
    views.project(3, 3, [accepted(2, "alice", "ask", PUT)])
    change = views.project(
        4,
        4,
        [
            accepted(3, "bob", "bid", is_liquidation=True),
            traded(1, (1, "alice", 0), (3, "bob", 0)),
            accepted(4, "bob", "bid", PUT, is_liquidation=True),
            traded(2, (2, "alice", 0), (4, "bob", 0), PUT),
            PositionChanged("alice", CALL, -1_000, 7),
            PositionChanged("alice", PUT, -1_000, 8),
        ],
    )
    heard = told(change, views, (f"trades.{CALL}", ""), (f"trades.{PUT}", ""), key_of("user.positions", "alice"))
    assert [[trade["trade_id"] for trade in heard[f"trades.{name}", ""]] for name in (CALL, PUT)] == [[1], [2]]
    assert [position["instrument_id"] for position in heard["user.positions", "alice"]] == [CALL, PUT]


def test_a_shortfall_of_an_account_without_cash_changes_its_balance() -> None:
    """Its cash and locks did not change, so no event of them is there."""
    views = opened()
    change = views.project(
        2, 2, [ShortfallCovered("alice", 5, 5), ShortfallCovered("bob", 7, 7), BalanceChanged("bob", 0, 0)]
    )
    keys = [key_of("user.balance", user_id) for user_id in USERS]
    assert {key[1]: data["shortfall"] for key, data in told(change, views, *keys).items()} == {"alice": 5, "bob": 7}


def test_a_reopened_position_starts_without_profit() -> None:
    position = PositionRecord()
    assert position.trade(1_000, 2_000_000, 10) == -10
    assert position.trade(-1_000, 3_000_000, 20) == 999_980
    assert position.realised_micros == 999_970
    assert position.trade(-500, 3_000_000, 5) == -5 and position.realised_micros == -5
    assert position.trade(1_000, 4_000_000, 0) == -500_000, "beyond nothing, to the other side"
    assert (position.quantity_milli, position.average_price_micros, position.realised_micros) == (
        500,
        4_000_000,
        -500_005,
    )
    assert position.settle(1_500_000, 100) == -500_100 and position.realised_micros == -1_000_105
    assert position.quantity_milli == position.basis_micros == 0


def test_a_profit_beyond_the_largest_number_is_null() -> None:
    """A thousand accounts may each owe one account the largest number."""
    views = opened()
    views.project(2, 2, [accepted(1, "alice", "ask")])
    change = views.project(3, 3, [accepted(2, "bob", "bid"), traded(1, (1, "alice", 0), (2, "bob", 0))])
    views.balances.users["bob"].positions[CALL].quantity_milli = 10**15
    views.project(4, 4, [MarksSet("SOL", {CALL: 10**13})])
    (position,) = told(change, views, key_of("user.positions", "bob"))["user.positions", "bob"]
    assert position["unrealised_pnl"] is None and position["realised_pnl"] == 0
    account = views.account("bob")
    assert (account.equity_micros, account.total_pnl_micros, account.unrealised_pnl_micros) == (None, None, None)
    assert account.realised_pnl_micros == 0
    views.balances.users["bob"].positions[CALL].quantity_milli = (NUMBER_MAX + 1_000_000) // 10**10
    assert views.account("bob").unrealised_pnl_micros is not None


def test_a_page_of_settlements_does_not_split_a_command() -> None:
    settlements = SettlementHistory()
    for seq, asset in ((1, "SOL"), (2, "BTC"), (2, "ETH"), (2, "SOL"), (3, "BTC")):
        settlements.on_series(Settlement(seq, seq, asset, 1_000 + seq, 5_000, "settled"))

    def page(count: int, before: int | None = None) -> list[tuple[int, str]]:
        return [(one.seq, one.asset) for one in settlements.newest(count, before)]

    assert page(1) == [(3, "BTC")]
    assert page(2) == page(4) == [(3, "BTC"), (2, "SOL"), (2, "ETH"), (2, "BTC")]
    assert page(1, before=3) == [(2, "SOL"), (2, "ETH"), (2, "BTC")]
    assert page(9, before=2) == [(1, "SOL")] and page(1, before=1) == []
    assert [one.expiration_s for one in settlements.delivered("BTC", 5)] == [1_003, 1_002]
    assert [one.expiration_s for one in settlements.delivered("BTC", 1, before_s=1_003)] == [1_002]
    settlements.on_series(Settlement(4, 4, "SOL", 1_001, 6_000, "settled"))
    assert page(1) == [(4, "SOL")] and (1, "SOL") not in page(100), "it stands once"
