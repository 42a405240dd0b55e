"""Trades and finished orders by time and by order, from the whole history: the read models keep only the newest."""

from exchange.history_db.past_views import PastViews
from exchange.projections.record_page import RecordPage
from exchange.projections.wire_types import OrderView, Trade, UserTrade

_SIDES = ("taker", "maker")


def trades_in(views: PastViews, instrument_id: str, page: RecordPage) -> list[Trade]:
    """Return trades of the instrument, the newest first. O(trades of the page)."""
    first_id, last_id = _trade_ids(views, page)
    rows = views.query(
        "SELECT t.trade_id, t.price_micros, t.size_milli, t.taker_side, t.seq, t.ts_us, o.liquidation "
        "FROM (SELECT trade_id FROM trade WHERE instrument = :instrument AND ts_us BETWEEN "
        "(SELECT ts_us FROM trade WHERE trade_id = :first_id) AND "
        "(SELECT ts_us FROM trade WHERE trade_id <= :last_id ORDER BY trade_id DESC LIMIT 1) "
        "AND trade_id BETWEEN :first_id AND :last_id ORDER BY ts_us DESC, trade_id DESC LIMIT :count) found "
        "CROSS JOIN trade t ON t.trade_id = found.trade_id "
        "CROSS JOIN book_order o ON o.order_id = t.taker_order_id",
        instrument=views.key_of_instrument(instrument_id),
        first_id=first_id,
        last_id=last_id,
        count=page.count_max,
    )
    return [Trade(*[row[0], instrument_id, *row[1:-1], bool(row[-1])]) for row in rows]


def user_trades_in(
    views: PastViews, user_id: str, page: RecordPage, instrument_id: str | None, order_id: int | None
) -> list[UserTrade] | None:
    """Return trades of the user, in one instrument or of one order if they are given, the newest first.

    None if the user has no such order.
    """
    user = views.user_key(user_id)
    if order_id is not None and not _is_own(views, user, order_id):
        return None
    first_id, last_id = _trade_ids(views, page)
    fits = "trade_id BETWEEN :first_id AND :last_id"
    fits += "" if instrument_id is None else " AND instrument = :instrument"
    sides = [f"SELECT trade_id, '{side}' AS liquidity FROM trade WHERE {side} = :user AND {fits}" for side in _SIDES]
    if order_id is not None:
        sides = [f"{sql} AND {side}_order_id = :order_id" for sql, side in zip(sides, _SIDES, strict=True)]
    return views.user_trades_of(
        f"{' UNION ALL '.join(sides)} ORDER BY 1 DESC, 2 DESC LIMIT :count",
        user=user,
        first_id=first_id,
        last_id=last_id,
        order_id=order_id,
        instrument=None if instrument_id is None else views.key_of_instrument(instrument_id),
        count=page.count_max,
    )


def orders_in(
    views: PastViews, user_id: str, page: RecordPage, instrument_id: str | None, label: str | None
) -> list[OrderView]:
    """Return orders of the user that ended at these times, the highest id first."""
    first_seq, last_seq = views.seqs_of(page)
    fits = "" if instrument_id is None else " AND instrument = :instrument"
    fits += "" if label is None else " AND label = :label"
    fits += "" if page.before is None else " AND order_id < :before"
    user = views.user_key(user_id)
    ids = (
        "SELECT order_id FROM book_order WHERE user = :user AND status IN ('filled', 'cancelled') "
        f"AND updated_seq BETWEEN :first_seq AND :last_seq{fits}"
    )
    has_triggers = views.has_ended_triggers(user)
    if has_triggers:
        ids += (
            " UNION ALL SELECT order_id FROM trigger_order WHERE user = :user AND EXISTS ("
            "SELECT 1 FROM trigger_version v WHERE v.order_id = trigger_order.order_id AND v.status <> 'untriggered' "
            "AND v.seq BETWEEN :first_seq AND :last_seq)"
        )
        ids += fits
    return views.orders_of(
        f"{ids} ORDER BY order_id DESC LIMIT :count",
        has_triggers,
        user=user,
        first_seq=first_seq,
        last_seq=last_seq,
        instrument=None if instrument_id is None else views.key_of_instrument(instrument_id),
        label=label,
        before=page.before,
        count=page.count_max,
    )


def _is_own(views: PastViews, user: int | None, order_id: int) -> bool:
    """True if it is an order of the user, or a trigger order, which has no trades of its own."""
    fits = "WHERE order_id = :order_id AND user = :user AND placed_seq <= :seq"
    sql = f"SELECT 1 FROM book_order {fits} UNION ALL SELECT 1 FROM trigger_order {fits}"
    return views.query(sql, order_id=order_id, user=user).fetchone() is not None


def _trade_ids(views: PastViews, page: RecordPage) -> tuple[int, int]:
    """The first and the last trade at the times of the page with an id below its bound."""
    first_id, last_id = views.trade_ids(*views.seqs_of(page))
    return first_id, last_id if page.before is None else min(last_id, page.before - 1)
