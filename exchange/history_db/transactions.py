"""The transaction log of an account: each movement of its cash with its cause and the balance after it.

It reads the same rows as the SQL view `cash_flows`, a page at a time: each part is bounded by the index of its user, so
that a page of an account with a million trades reads few rows more than it has.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from exchange.history_db.past_views import PastViews
from exchange.projections.record_page import RecordPage
from exchange.projections.wire_types import Transaction

# Ids of transactions are seq * 2^20 + the number of the event within its command.
_EVENT_BITS = 20
# Versions of the balance that are read at once, as a multiple of the entries of a page; most change locks alone.
_VERSIONS_PER_ENTRY = 4
_PREMIUM = "t.price_micros * t.size_milli / 1000"
_BY_SEQ = "t.seq BETWEEN :first_seq AND :last_seq"
_OF_TRADES = "t.trade_id BETWEEN :first_trade AND :last_trade"
# Each part: seq, n, type, instrument, trade_id, change of the cash (fee deducted), fee.
_PARTS = (
    f"SELECT t.seq, t.n, t.reason, NULL, NULL, t.amount_micros, 0 FROM payment t WHERE t.user = :user AND {_BY_SEQ}",
    "SELECT t.seq, t.n, iif(o.liquidation, 'liquidation', 'trade'), t.instrument, t.trade_id, "
    f"iif(t.taker_side = 'bid', -1, 1) * ({_PREMIUM}) - t.taker_fee_micros, t.taker_fee_micros FROM trade t "
    f"CROSS JOIN book_order o ON o.order_id = t.taker_order_id WHERE t.taker = :user AND {_OF_TRADES}",
    "SELECT t.seq, t.n, 'trade', t.instrument, t.trade_id, "
    f"iif(t.taker_side = 'bid', 1, -1) * ({_PREMIUM}) - t.maker_fee_micros, t.maker_fee_micros FROM trade t "
    f"WHERE t.maker = :user AND {_OF_TRADES}",
    "SELECT t.seq, t.n, 'settlement', t.instrument, NULL, t.payout_micros - t.fee_micros, t.fee_micros "
    f"FROM position_settlement t WHERE t.user = :user AND {_BY_SEQ}",
    "SELECT t.seq, t.n, 'shortfall', NULL, NULL, t.amount_micros, 0 FROM shortfall t "
    f"WHERE t.user = :user AND {_BY_SEQ} AND t.amount_micros > 0",
    "SELECT t.seq, t.n, t.reason, t.instrument, NULL, -t.amount_micros, 0 FROM insurance_payment t "
    f"WHERE t.user = :user AND {_BY_SEQ}",
    "SELECT t.seq, t.n, 'liquidation', t.instrument, NULL, t.quantity_milli * t.price_micros / 1000, 0 "
    f"FROM takeover t WHERE t.user = :user AND {_BY_SEQ}",
)
# The other side of these movements, for the accounts of the exchange.
_PARTS_OF_EXCHANGE = {
    "fees": (
        "SELECT t.seq, t.n, 'fee', t.instrument, t.trade_id, t.taker_fee_micros + t.maker_fee_micros, 0 FROM trade t "
        f"WHERE {_OF_TRADES}",
        f"SELECT t.seq, t.n, 'fee', t.instrument, NULL, t.fee_micros, 0 FROM position_settlement t WHERE {_BY_SEQ}",
    ),
    "insurance": (
        "SELECT t.seq, t.n, 'shortfall', NULL, NULL, -t.amount_micros, 0 FROM shortfall t "
        f"WHERE {_BY_SEQ} AND t.amount_micros > 0",
        f"SELECT t.seq, t.n, t.reason, t.instrument, NULL, t.amount_micros, 0 FROM insurance_payment t WHERE {_BY_SEQ}",
        "SELECT t.seq, t.n, 'liquidation', t.instrument, NULL, -(t.quantity_milli * t.price_micros / 1000), 0 "
        f"FROM takeover t WHERE {_BY_SEQ}",
    ),
}


class _Movement(NamedTuple):
    seq: int
    n: int
    kind: Any
    instrument: int | None
    trade_id: int | None
    change_micros: int
    fee_micros: int


def transactions_of(views: PastViews, user_id: str, page: RecordPage) -> list[Transaction]:
    """Return a page of the transaction log of an account, as it was at the moment of `views`."""
    user = views.user_key(user_id)
    found: list[Transaction] = []
    if user is None:
        return found
    first_seq, last_seq = views.seqs_of(page)
    if page.before is not None:
        last_seq = min(last_seq, page.before >> _EVENT_BITS)
    while len(found) < page.count_max and last_seq >= first_seq:
        begin_seq = _begin_of_part(views, user, page.count_max, first_seq, last_seq)
        part = _between(views, user_id, user, begin_seq, last_seq)
        found += [one for one in part if page.before is None or one.id < page.before]
        last_seq = begin_seq - 1
    return found[: page.count_max]


def movement_sums(
    views: PastViews, user_id: str, user: int, first_seq: int, last_seq: int
) -> Iterator[tuple[int, str, int, int]]:
    """Yield seq, type, change of the cash and fee of the movements of these commands, summed by command and type."""
    first_trade, last_trade = views.trade_ids(first_seq, last_seq)
    parts = " UNION ALL ".join((*_PARTS, *_PARTS_OF_EXCHANGE.get(user_id, ())))
    yield from views.query(
        "SELECT seq, type, sum(change), sum(fee) FROM (SELECT NULL AS seq, NULL AS n, NULL AS type, "
        "NULL AS instrument, NULL AS trade_id, NULL AS change, NULL AS fee WHERE 0 "
        f"UNION ALL {parts}) GROUP BY seq, type",
        user=user,
        first_seq=first_seq,
        last_seq=last_seq,
        first_trade=first_trade,
        last_trade=last_trade,
    )


def _begin_of_part(views: PastViews, user: int, count: int, first_seq: int, last_seq: int) -> int:
    """The first command of the next part to read: each movement of cash has a version of the balance."""
    row = views.query(
        "SELECT seq FROM balance_version WHERE user = :user AND seq BETWEEN :first_seq AND :last_seq "
        "ORDER BY seq DESC, n DESC LIMIT 1 OFFSET :versions",
        user=user,
        first_seq=first_seq,
        last_seq=last_seq,
        versions=_VERSIONS_PER_ENTRY * count,
    ).fetchone()
    return first_seq if row is None else int(row[0])


def _between(views: PastViews, user_id: str, user: int, first_seq: int, last_seq: int) -> Iterator[Transaction]:
    """The transactions of these commands, the newest first."""
    balance_micros = _cash_micros(views, user, last_seq)
    for movement, ts_us, cause, instrument_id in _movements(views, user_id, user, first_seq, last_seq):
        yield Transaction(
            (movement.seq << _EVENT_BITS) + movement.n,
            movement.seq,
            ts_us,
            movement.kind,
            cause,
            instrument_id,
            movement.trade_id,
            movement.change_micros,
            movement.fee_micros,
            balance_micros,
        )
        balance_micros -= movement.change_micros


def _movements(
    views: PastViews, user_id: str, user: int, first_seq: int, last_seq: int
) -> Iterator[tuple[_Movement, int, str, str | None]]:
    """The movements with time and kind of their commands, and their instruments. Those of one event are one."""
    first_trade, last_trade = views.trade_ids(first_seq, last_seq)
    parts = " UNION ALL ".join((*_PARTS, *_PARTS_OF_EXCHANGE.get(user_id, ())))
    rows = views.query(
        "SELECT m.seq, m.n, min(m.type), m.instrument, m.trade_id, sum(m.change), sum(m.fee), c.ts_us, c.kind, "
        "i.instrument_id FROM (SELECT NULL AS seq, NULL AS n, NULL AS type, NULL AS instrument, NULL AS trade_id, "
        f"NULL AS change, NULL AS fee WHERE 0 UNION ALL {parts}) m "
        "CROSS JOIN command c ON c.seq = m.seq LEFT JOIN instrument i ON i.instrument = m.instrument "
        "GROUP BY m.seq, m.n ORDER BY m.seq DESC, m.n DESC",
        user=user,
        first_seq=first_seq,
        last_seq=last_seq,
        first_trade=first_trade,
        last_trade=last_trade,
    )
    for row in rows:
        yield _Movement(*row[:7]), *row[7:]


def _cash_micros(views: PastViews, user: int, seq: int) -> int:
    """The cash of the account after command `seq`."""
    row = views.query(
        "SELECT cash_micros FROM balance_version WHERE user = :user AND seq <= :last_seq "
        "ORDER BY seq DESC, n DESC LIMIT 1",
        user=user,
        last_seq=seq,
    ).fetchone()
    return 0 if row is None else int(row[0])
