"""The read models as they were after any command, read from the history without a replay.

`PastViews` has the methods of `Views`, so that the same code answers questions about the past and about the present. It
reads each part of the history when a question needs it.
"""

import json
import sqlite3
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from msgspec.structs import replace

from exchange.domain.enums import OrderStatus
from exchange.domain.events import HaltSet, LimitsSet, SuspensionSet, decode_event
from exchange.domain.index_window import WINDOW_US, IndexWindow
from exchange.domain.margin_rates import nanos_to_micros
from exchange.domain.reasons import Reason
from exchange.domain.rules import FIRST_RULES_VERSION, Rules
from exchange.domain.units import MILLI_PER_CONTRACT, next_day_end_us
from exchange.history_db.file import HistoryError, alarm_of, open_history
from exchange.journal.records import Head
from exchange.matching.reopening import phases_at
from exchange.projections.balances import AccountBalances, PositionRecord
from exchange.projections.depth import Depth
from exchange.projections.orders import divide_rounding_half_up
from exchange.projections.record_page import RecordPage
from exchange.projections.rolling_statistics import NO_TRADES, US_PER_MINUTE, day_statistics
from exchange.projections.settlements import SERIES_KEPT, USER_SETTLEMENTS_KEPT, SettlementHistory
from exchange.projections.tape import INSTRUMENT_TRADES_KEPT, USER_TRADES_KEPT
from exchange.projections.views import Views
from exchange.projections.wire_types import (
    DayStatistics,
    IndexPrice,
    Instrument,
    MarkSurface,
    MmpGroupView,
    OrderView,
    Settlement,
    SmileView,
    Trade,
    UserSettlement,
    UserTrade,
)

_V = TypeVar("_V")
_MINUTES_OF_DAY = 1_440
# Books that are read one by one. One list of all open orders takes as long as two books.
_DEPTHS_ONE_BY_ONE = 1
# Above every id of an order or a trade.
_NO_ID = 2**63 - 1

# The newest version of an order at or before a command. Repetitions change nothing.
_VERSION_AT = """(SELECT v.seq, v.n FROM order_version v WHERE v.order_id = o.order_id AND v.seq <= :seq
    AND v.change <> 'repeated' ORDER BY v.seq DESC, v.n DESC LIMIT 1)"""
_LINK = """(SELECT json_array(l.link, l.fill_condition, json(l.order_ids)) FROM linked_order l
        WHERE l.order_id = o.order_id)"""
_ORDER = (
    """SELECT o.order_id, i.instrument_id, u.user_id, o.side, o.type, o.time_in_force, o.post_only, v.price_micros,
    v.size_milli, v.remaining_milli, v.cost_micros, v.change, placed.ts_us, updated.ts_us, o.client_order_id, v.reason,
    o.reduce_only, o.liquidation, o.label, o.trigger_order_id, b.displayed_milli, b.refresh_milli,
    (SELECT json_array(q.mmp_group, q.quote_set_id, q.quote_id) FROM quote_terms q
        WHERE q.order_id = o.order_id AND q.seq <= :seq ORDER BY q.seq DESC LIMIT 1),
    """
    + _LINK
    + """
    FROM {source}
    JOIN order_version v ON v.order_id = o.order_id AND (v.seq, v.n) = """
    + _VERSION_AT
    + """
    LEFT JOIN iceberg_version b ON b.order_id = o.order_id AND (b.seq, b.n) = (SELECT newest.seq, newest.n
        FROM iceberg_version newest WHERE newest.order_id = o.order_id AND newest.seq <= :seq
        ORDER BY newest.seq DESC, newest.n DESC LIMIT 1)
    JOIN instrument i ON i.instrument = o.instrument JOIN user u ON u.user = o.user
    JOIN command placed ON placed.seq = o.placed_seq JOIN command updated ON updated.seq = v.seq"""
)
# Trigger orders in their newest version at or before a command.
_TRIGGER_ORDER = f"""SELECT o.order_id, i.instrument_id, u.user_id, o.side, o.type, o.time_in_force, o.post_only,
    v.price_micros, v.size_milli, v.status, placed.ts_us, updated.ts_us, o.client_order_id, v.reason, o.reduce_only,
    o.label, o.trigger, v.trigger_price_micros, v.trigger_offset_micros, o.reference_micros,
    (SELECT b.refresh_milli FROM iceberg_version b WHERE b.order_id = o.order_id LIMIT 1), v.primary_order_id,
    {_LINK} FROM trigger_order o
    JOIN trigger_version v ON v.order_id = o.order_id AND (v.seq, v.n) = (SELECT newest.seq, newest.n
        FROM trigger_version newest WHERE newest.order_id = o.order_id AND newest.seq <= :seq
        ORDER BY newest.seq DESC, newest.n DESC LIMIT 1)
    JOIN instrument i ON i.instrument = o.instrument JOIN user u ON u.user = o.user
    JOIN command placed ON placed.seq = o.placed_seq JOIN command updated ON updated.seq = v.seq"""
# Between two looks at how far a bounded query is: a few milliseconds.
_STEPS_A_CALL = 100_000
_WAITING = ("open", "partially_filled", "untriggered")
# The trigger orders of a user that ended at or before a command, with the seq and number of the event.
_ENDED_TRIGGERS = """SELECT o.order_id, v.seq AS updated_seq, v.n FROM trigger_order o
    JOIN trigger_version v ON v.order_id = o.order_id AND v.status <> 'untriggered' AND v.seq <= :seq
    WHERE o.user = :user"""
# Orders that may be open: those of the last list, and those placed since.
_CANDIDATES = """(SELECT order_id FROM open_order_checkpoint WHERE seq = :checkpoint {listed}
    UNION SELECT order_id FROM book_order WHERE placed_seq > :checkpoint AND placed_seq <= :seq {placed}) candidate
    JOIN book_order o ON o.order_id = candidate.order_id"""

# All assets with index prices, by their first one. Each step finds the next asset in the index.
_ASSETS = """WITH RECURSIVE known (asset) AS (
    SELECT min(asset) FROM index_price
    UNION ALL SELECT (SELECT min(p.asset) FROM index_price p WHERE p.asset > known.asset) FROM known
    WHERE known.asset IS NOT NULL)
SELECT asset FROM known WHERE asset IS NOT NULL
ORDER BY (SELECT min(p.seq) FROM index_price p WHERE p.asset = known.asset)"""


class _OnDemand(dict[str, _V]):
    """A dictionary that loads each value when it is first asked for; a key without a value is not in it."""

    def __init__(self, load: Callable[[str], _V | None]) -> None:
        super().__init__()
        self._load = load

    def __missing__(self, key: str) -> _V:
        value = self._load(key)
        if value is None:
            raise KeyError(key)
        self[key] = value
        return value

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key: object) -> bool:
        return self.get(str(key)) is not None


class TooMuchToReadError(Exception):
    """A question that would read too many rows of the history."""


class PastViews(Views):
    """The views after command `seq` of the history in `connection`. Raises HistoryError if it does not hold `seq`.

    `of_user`: only the instruments that this user ever held, and no settlements, for one of many moments of an account.
    """

    def __init__(self, connection: sqlite3.Connection, seq: int, of_user: int | None = None) -> None:
        super().__init__()
        self._connection = connection
        self._of_user = of_user
        row = connection.execute("SELECT ts_us, hash FROM command WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            first, last = connection.execute("SELECT min(seq), max(seq) FROM command").fetchone()
            alarm = alarm_of(connection)
            raise HistoryError(
                f"there is no seq {seq} in the history: it holds "
                + ("no commands" if last is None else f"seq {first} to {last}")
                + (f"; {alarm}" if alarm else "")
            )
        self.seq, self.ts_us, self.journal_hash = seq, row[0], bytes(row[1])
        self._users: dict[str, int] = {}
        self._instrument_keys: dict[str, int] = {}
        self._open_counts: Counter[str] | None = None
        self._open_by_instrument: defaultdict[str, list[OrderView]] | None = None
        self.is_halted = False
        self.reopening: dict[str, int] = {}
        self._load_settings()
        self._load_instruments()
        self._load_prices()
        self._load_phases()
        self.depths = _OnDemand(self._depth)
        self.balances.users = _Accounts(self._user_ids(), self._account)
        self.balances.open_interest_milli = _OnDemand(self._open_interest)
        last = self.query("SELECT trade_id FROM trade WHERE seq <= :seq ORDER BY seq DESC, trade_id DESC LIMIT 1")
        self._last_trade_id = (last.fetchone() or (0,))[0]
        self.settlements = SettlementHistory([] if of_user is not None else self._series())
        self.settlements.users = _OnDemand(self._settlements_of)

    def query(self, sql: str, **values: Any) -> sqlite3.Cursor:
        """Run a query with the parameter `:seq`."""
        return self._connection.execute(sql, {"seq": self.seq, **values})

    def at(self, seq: int, of_user: int | None = None) -> "PastViews":
        """The views at another moment of this history; with `of_user` as far as this account needs them."""
        return PastViews(self._connection, seq, of_user)

    def alarm(self) -> str | None:
        """Why the history ends with this command, before the journal; None if no alarm ended it here."""
        is_end = self.query("SELECT 1 FROM command WHERE seq > :seq LIMIT 1").fetchone() is None
        return alarm_of(self._connection) if is_end else None

    @contextmanager
    def bounded(self, steps_max: int) -> Iterator[None]:
        """Stop queries after about so many steps of SQLite's machine. Raises TooMuchToReadError."""
        calls_left = steps_max // _STEPS_A_CALL

        def has_ended() -> bool:
            nonlocal calls_left
            calls_left -= 1
            return calls_left < 0

        self._connection.set_progress_handler(has_ended, _STEPS_A_CALL)
        try:
            yield
        except sqlite3.OperationalError as error:
            if calls_left >= 0:
                raise
            raise TooMuchToReadError from error
        finally:
            self._connection.set_progress_handler(None, 0)

    def key_of_instrument(self, instrument_id: str) -> int | None:
        """The integer of an instrument in the history; None if it is not listed yet."""
        return self._instrument_keys.get(instrument_id)

    def user_key(self, user_id: str) -> int | None:
        """The integer of a user in the history; None if the user has no account yet."""
        row = self.query(
            "SELECT user FROM user WHERE user_id = :user_id AND opened_seq <= :seq", user_id=user_id
        ).fetchone()
        return None if row is None else int(row[0])

    def seqs_of(self, page: RecordPage) -> tuple[int, int]:
        """The first and the last command at the times of the page, up to the moment of these views."""
        first_seq, last_seq = 1, self.seq
        if page.start_us is not None:
            sql = "SELECT seq FROM command WHERE ts_us >= :start_us ORDER BY ts_us LIMIT 1"
            first_seq = (self.query(sql, start_us=page.start_us).fetchone() or (self.seq + 1,))[0]
        if page.end_us is not None:
            sql = "SELECT seq FROM command WHERE ts_us <= :end_us ORDER BY ts_us DESC LIMIT 1"
            last_seq = min(last_seq, (self.query(sql, end_us=page.end_us).fetchone() or (0,))[0])
        return first_seq, last_seq

    def trade_ids(self, first_seq: int, last_seq: int) -> tuple[int, int]:
        """The first and the last trade of these commands. Ids rise; the first is above the last if there is none."""
        sql = "SELECT max(trade_id) FROM trade WHERE seq = (SELECT max(seq) FROM trade WHERE seq <= :last_seq)"
        last_id = self.query(sql, last_seq=last_seq).fetchone()[0] or 0
        sql = "SELECT min(trade_id) FROM trade WHERE seq = (SELECT min(seq) FROM trade WHERE seq >= :first_seq)"
        return self.query(sql, first_seq=first_seq).fetchone()[0] or last_id + 1, last_id

    def _setting(self, subject: str) -> Any:
        row = self.query(
            "SELECT value FROM setting_version WHERE subject = :subject AND seq <= :seq ORDER BY seq DESC LIMIT 1",
            subject=subject,
        ).fetchone()
        return None if row is None else decode_event(row[0])

    def _load_settings(self) -> None:
        rules, halt = self._setting("rules"), self._setting("halt")
        self.fold.rules = Rules() if rules is None else rules.rules
        self.fold.rules_version = FIRST_RULES_VERSION if rules is None else rules.rules_version or FIRST_RULES_VERSION
        self.is_halted = isinstance(halt, HaltSet) and halt.halted

    def _load_phases(self) -> None:
        phases = {asset: self._setting(f"reopening {asset}") for asset in self.indexes}
        reopens_us = {asset: event.until_us for asset, event in phases.items() if event is not None}
        self.reopening = phases_at(self.rules, self.rules_version, reopens_us, self.ts_us)

    @property
    def _held(self) -> str:
        """SQL that selects the instruments of these views."""
        if self._of_user is None:
            return ""
        return "AND instrument IN (SELECT k.instrument FROM position_key k WHERE k.user = :of_user)"

    def _load_instruments(self) -> None:
        rows = self.query(
            "SELECT instrument, instrument_id, i.asset, option_type, strike_micros, i.expiration_s, tick_micros, "
            "min_size_milli, (SELECT v.state FROM instrument_version v WHERE v.instrument = i.instrument "
            "AND v.seq <= :seq ORDER BY v.seq DESC, v.n DESC LIMIT 1), "
            "(SELECT d.delivery_price_micros FROM series_settlement d WHERE d.asset = i.asset "
            "AND d.expiration_s = i.expiration_s AND d.delivery_price_micros IS NOT NULL AND d.seq <= :seq) "
            f"FROM instrument i WHERE created_seq <= :seq {self._held} ORDER BY number",
            of_user=self._of_user,
        )
        for key, *terms, delivery_micros in rows:
            self._instrument_keys[terms[0]] = key
            if terms[-1] == "delisted":
                continue
            instrument = Instrument(*terms)
            instrument.delivery_price_micros = delivery_micros
            self.instruments[instrument.instrument_id] = instrument

    def _load_prices(self) -> None:
        for (asset,) in self.query(_ASSETS).fetchall():
            row = self.query(
                "SELECT price_micros, seq, ts_us FROM index_price WHERE asset = :asset AND seq <= :seq "
                "ORDER BY seq DESC LIMIT 1",
                asset=asset,
            ).fetchone()
            if row is not None:
                self.indexes[asset] = IndexPrice(asset, *row)
        marks = self.query(
            "SELECT instrument_id, (SELECT m.mark_micros FROM mark_version m WHERE m.instrument = i.instrument "
            "AND m.seq <= :seq ORDER BY m.seq DESC, m.n DESC LIMIT 1) AS mark FROM instrument i "
            f"WHERE created_seq <= :seq {self._held} AND mark IS NOT NULL",
            of_user=self._of_user,
        )
        self.marks = dict(marks.fetchall())
        self.fold.windows = _OnDemand(self._window)
        self.fold.closing_indexes = _OnDemand(self._closing_index)
        self._load_surfaces()

    def _window(self, asset: str) -> IndexWindow | None:
        """The index with its average: the last price before the window of its day, moved by those within it."""
        index = self.indexes.get(asset)
        if index is None:
            return None
        rows = self.query(
            "WITH before AS (SELECT coalesce((SELECT p.seq FROM index_price p WHERE p.asset = :asset AND p.seq <= "
            "(SELECT c.seq FROM command c WHERE c.ts_us <= :begin_us ORDER BY c.ts_us DESC LIMIT 1) "
            "ORDER BY p.seq DESC LIMIT 1), 0) AS seq) SELECT price_micros, ts_us FROM index_price "
            "WHERE asset = :asset AND seq >= (SELECT seq FROM before) AND seq <= :seq ORDER BY seq",
            asset=asset,
            begin_us=next_day_end_us(index.ts_us) - WINDOW_US,
        ).fetchall()
        window = IndexWindow(*rows[0])
        for row in rows[1:]:
            window.move(*row)
        return window

    def _closing_index(self, instrument_id: str) -> int | None:
        """The index price at the close of an instrument that waits for its settlement; None for another one."""
        instrument = self.instruments[instrument_id]
        if instrument.state != "expired" or instrument.delivery_price_micros is not None:
            return None
        row = self.query(
            "SELECT price_micros FROM index_price WHERE asset = :asset AND seq <= (SELECT max(seq) FROM "
            "instrument_version WHERE instrument = :instrument AND state = 'expired' AND seq <= :seq) "
            "ORDER BY seq DESC LIMIT 1",
            asset=instrument.asset,
            instrument=self.key_of_instrument(instrument_id),
        ).fetchone()
        return None if row is None else int(row[0])

    def _load_surfaces(self) -> None:
        live = {(one.asset, one.expiration_s) for one in self.instruments.values() if one.state != "expired"}
        # The newest smile of each series, found one by one: there can be one for every index price.
        rows = self.query(
            "SELECT v.asset, v.expiration_s, v.level_ppm, v.skew_ppm, v.curvature_ppm, v.seq "
            f"FROM (SELECT DISTINCT asset, expiration_s FROM instrument WHERE created_seq <= :seq {self._held}) s "
            "CROSS JOIN smile_version v ON v.asset = s.asset AND v.expiration_s = s.expiration_s "
            "AND (v.seq, v.n) = (SELECT w.seq, w.n FROM smile_version w WHERE w.asset = s.asset "
            "AND w.expiration_s = s.expiration_s AND w.seq <= :seq ORDER BY w.seq DESC, w.n DESC LIMIT 1) "
            "ORDER BY v.asset, v.expiration_s",
            of_user=self._of_user,
        ).fetchall()
        by_asset: dict[str, list[Any]] = {}
        for row in rows:
            by_asset.setdefault(row[0], []).append(row)
        for asset in self.indexes:
            if smiles := by_asset.get(asset):
                seq = max(row[5] for row in smiles)
                (ts_us,) = self._connection.execute("SELECT ts_us FROM command WHERE seq = ?", (seq,)).fetchone()
                still_live = [SmileView(*row[1:5]) for row in smiles if row[:2] in live]
                self.surfaces[asset] = MarkSurface(asset, still_live, seq, ts_us)

    def open_orders(
        self, user_id: str | None = None, instrument_id: str | None = None, label: str | None = None
    ) -> list[OrderView]:
        """The orders that were open, oldest first; of one user, in one instrument, with one label, or all."""
        row = self.query("SELECT max(seq) FROM open_order_checkpoint WHERE seq <= :seq").fetchone()
        listed = placed = ""
        if instrument_id is not None:
            listed = placed = "AND instrument = :instrument"
        if user_id is not None:
            # The plus keeps SQLite from the index of users: fewer orders were placed since the last list.
            placed += " AND +user = :user"
        source = _CANDIDATES.format(listed=listed, placed=placed)
        rows = self.query(
            _ORDER.format(source=source)
            + " WHERE v.remaining_milli > 0 AND v.change <> 'cancelled'"
            + (" AND +o.user = :user" if user_id is not None else "")
            + " ORDER BY o.order_id",
            checkpoint=row[0] or 0,
            instrument=None if instrument_id is None else self.key_of_instrument(instrument_id),
            user=None if user_id is None else self.user_key(user_id),
        )
        orders = [_order(row) for row in rows]
        if user_id is not None:
            orders += self._untriggered(user_id, instrument_id)
            orders.sort(key=lambda order: order.order_id)
        return orders if label is None else [order for order in orders if order.label == label]

    def mmp_groups(self, user_id: str) -> list[MmpGroupView]:
        """The MMP groups of the user as they were, oldest first. A freeze that has ended may still be noted."""
        user = self.user_key(user_id)
        rows = self.query(
            "SELECT seq, mmp_group, asset, interval_s, frozen_s, quantity_limit_milli, delta_limit_milli, "
            "vega_limit_micros FROM mmp_config WHERE user = :user AND seq <= :seq ORDER BY seq",
            user=user,
        )
        groups: dict[str, tuple[int, MmpGroupView]] = {}
        for seq, *terms in rows:
            view = MmpGroupView(*terms)
            if view.interval_s:
                groups[view.mmp_group] = groups.get(view.mmp_group, (seq,))[0], view
            else:
                groups.pop(view.mmp_group, None)
        frozen = (
            "SELECT frozen_until_us FROM mmp_trigger WHERE user = :user AND mmp_group = :name "
            "AND seq BETWEEN :created AND :seq ORDER BY seq DESC, n DESC LIMIT 1"
        )
        found = []
        for name, (created_seq, view) in groups.items():
            row = self.query(frozen, user=user, name=name, created=created_seq).fetchone()
            found.append(view if row is None else replace(view, frozen_until_us=row[0]))
        return found

    def _untriggered(self, user_id: str, instrument_id: str | None) -> list[OrderView]:
        of_instrument = "" if instrument_id is None else "AND o.instrument = :instrument"
        rows = self.query(
            f"{_TRIGGER_ORDER} WHERE o.user = :user {of_instrument} AND o.placed_seq <= :seq "
            "AND v.status = 'untriggered'",
            user=self.user_key(user_id),
            instrument=None if instrument_id is None else self.key_of_instrument(instrument_id),
        )
        return [_trigger_order(row) for row in rows]

    def open_count(self, user_id: str) -> int:
        """The number of open orders of a user. The first call counts those of all users."""
        if self._open_counts is None:
            self._open_counts = Counter(order.user_id for order in self.open_orders())
        return self._open_counts[user_id]

    def find_order(
        self, user_id: str, order_id: int | None, client_order_id: str | None = None, label: str | None = None
    ) -> OrderView | None:
        """The user's order as it was; None if it was not placed yet.

        If several have this client_order_id or label, the newest open one, else the newest finished one.
        """
        if order_id is not None:
            order = self.order(order_id)
            return order if order is not None and order.user_id == user_id else None
        column, name = ("label", label) if client_order_id is None else ("client_order_id", client_order_id)
        rows = self.query(
            _ORDER.format(source="book_order o")
            + f" WHERE o.user = :user AND o.{column} = :name AND o.placed_seq <= :seq "
            "ORDER BY v.remaining_milli > 0 AND v.change <> 'cancelled' DESC, o.order_id DESC LIMIT 1",
            user=self.user_key(user_id),
            name=name,
        )
        found = [_order(row) for row in rows]
        rows = self.query(
            f"{_TRIGGER_ORDER} WHERE o.user = :user AND o.{column} = :name AND o.placed_seq <= :seq "
            "ORDER BY v.status = 'untriggered' DESC, o.order_id DESC LIMIT 1",
            user=self.user_key(user_id),
            name=name,
        )
        found += [_trigger_order(row) for row in rows]
        return max(found, key=lambda order: (order.status in _WAITING, order.order_id), default=None)

    def order(self, order_id: int) -> OrderView | None:
        """An order as it was; None if it was not placed yet."""
        sql = _ORDER.format(source="book_order o") + " WHERE o.order_id = :order_id AND o.placed_seq <= :seq"
        row = self.query(sql, order_id=order_id).fetchone()
        if row is not None:
            return _order(row)
        sql = f"{_TRIGGER_ORDER} WHERE o.order_id = :order_id AND o.placed_seq <= :seq"
        row = self.query(sql, order_id=order_id).fetchone()
        return None if row is None else _trigger_order(row)

    def _depth(self, instrument_id: str) -> Depth | None:
        if instrument_id not in self.instruments:
            return None
        if len(self.depths) >= _DEPTHS_ONE_BY_ONE:
            # Books of many instruments, such as for all tickers, are read together.
            if self._open_by_instrument is None:
                self._open_by_instrument = defaultdict(list)
                for order in self.open_orders():
                    self._open_by_instrument[order.instrument_id].append(order)
            orders = self._open_by_instrument[instrument_id]
        else:
            orders = self.open_orders(instrument_id=instrument_id)
        depth = Depth()
        for order in orders:
            depth.enter(order)
        return depth

    def finished_orders(
        self,
        user_id: str,
        count: int,
        before: int | None = None,
        instrument_id: str | None = None,
        label: str | None = None,
    ) -> list[OrderView]:
        """The orders that had ended with an `order_id` below `before`, the highest first.

        As in the live views, of each user only so many as the rules say, the last ones that ended, and as many trigger
        orders.
        """
        # SQLite reads the list of ids from one index, and then only the orders of this page. One command can end many.
        number = (
            "(SELECT v.n FROM order_version v WHERE v.order_id = book_order.order_id AND v.seq = updated_seq "
            "ORDER BY v.n DESC LIMIT 1)"
        )
        finished = "FROM book_order WHERE user = :user AND status IN ('filled', 'cancelled') AND updated_seq <= :seq"
        kept = f"SELECT order_id {finished} ORDER BY updated_seq DESC, {number} DESC LIMIT :kept"
        user = self.user_key(user_id)
        has_triggers = self.has_ended_triggers(user)
        if has_triggers:
            ended = f"SELECT order_id FROM ({_ENDED_TRIGGERS}) ORDER BY updated_seq DESC, n DESC LIMIT :kept"
            kept = f"SELECT order_id FROM ({kept}) UNION ALL SELECT order_id FROM ({ended})"
        fits = "" if instrument_id is None else "AND b.instrument = :instrument"
        fits += "" if label is None else " AND b.label = :label"
        orders = "book_order"
        if has_triggers:
            columns = "SELECT order_id, instrument, label FROM"
            orders = f"({columns} book_order UNION ALL {columns} trigger_order)"
        page = (
            f"SELECT f.order_id FROM ({kept}) f CROSS JOIN {orders} b ON b.order_id = f.order_id "
            f"WHERE f.order_id < :before {fits} ORDER BY f.order_id DESC LIMIT :count"
        )
        if not fits:
            page = f"SELECT order_id FROM ({kept}) WHERE order_id < :before ORDER BY order_id DESC LIMIT :count"
        return self.orders_of(
            page,
            has_triggers,
            user=user,
            kept=self.rules.finished_orders_kept,
            before=_NO_ID if before is None else before,
            instrument=None if instrument_id is None else self.key_of_instrument(instrument_id),
            label=label,
            count=count,
        )

    def day_statistics(self, instrument_id: str) -> DayStatistics:
        """Return the figures of the trades of the last 24 hours, by whole minutes; no trades after the expiration."""
        if self.instruments[instrument_id].state == "expired":
            return NO_TRADES
        first_us = (self.ts_us // US_PER_MINUTE - _MINUTES_OF_DAY + 1) * US_PER_MINUTE
        of_day = "FROM trade WHERE instrument = :instrument AND ts_us >= :first_us AND ts_us <= :ts_us"
        # Prices are multiples of 1,000 micros, so that the premium of each trade is a whole number.
        high, low, size, notional, first = self.query(
            "SELECT max(price_micros), min(price_micros), sum(size_milli), sum(price_micros * size_milli / 1000), "
            f"(SELECT price_micros {of_day} ORDER BY ts_us, trade_id LIMIT 1) {of_day}",
            instrument=self.key_of_instrument(instrument_id),
            first_us=first_us,
            ts_us=self.ts_us,
        ).fetchone()
        if high is None:
            return NO_TRADES
        return day_statistics(high, low, size, notional, first, self.last_price_micros(instrument_id))

    def last_price_micros(self, instrument_id: str) -> int | None:
        """Return the price of the last trade; None if there was none."""
        row = self.query(
            "SELECT price_micros FROM trade WHERE instrument = :instrument AND ts_us <= :ts_us "
            "ORDER BY ts_us DESC, trade_id DESC LIMIT 1",
            instrument=self.key_of_instrument(instrument_id),
            ts_us=self.ts_us,
        ).fetchone()
        return None if row is None else row[0]

    def trades(self, instrument_id: str, count: int, before: int | None = None) -> list[Trade]:
        """Return trades of the instrument with a `trade_id` below `before`, newest first."""
        rows = self.query(
            "SELECT t.*, o.liquidation FROM (SELECT trade_id, price_micros, size_milli, taker_side, seq, ts_us, "
            "taker_order_id FROM trade WHERE instrument = :instrument AND ts_us <= :ts_us "
            "ORDER BY ts_us DESC, trade_id DESC LIMIT :kept) t "
            "CROSS JOIN book_order o ON o.order_id = t.taker_order_id WHERE trade_id < :before LIMIT :count",
            instrument=self.key_of_instrument(instrument_id),
            ts_us=self.ts_us,
            kept=INSTRUMENT_TRADES_KEPT,
            before=_NO_ID if before is None else before,
            count=count,
        )
        return [Trade(*[row[0], instrument_id, *row[1:-2], bool(row[-1])]) for row in rows]

    def user_trades(
        self, user_id: str, count: int, before: int | None = None, instrument_id: str | None = None
    ) -> list[UserTrade]:
        """Return trades of the user with a `trade_id` below `before`, newest first."""
        # As in the live views, only the newest trades of a user. Their ids are read from two indexes in order.
        newest = (
            "SELECT trade_id, 'taker' AS liquidity FROM trade WHERE taker = :user AND trade_id <= :last UNION ALL "
            "SELECT trade_id, 'maker' FROM trade WHERE maker = :user AND trade_id <= :last "
            "ORDER BY 1 DESC, 2 DESC LIMIT :kept"
        )
        fits = "s.trade_id < :before" + ("" if instrument_id is None else " AND t.instrument = :instrument")
        return self.user_trades_of(
            newest,
            f"WHERE {fits} LIMIT :count",
            user=self.user_key(user_id),
            last=self._last_trade_id,
            kept=USER_TRADES_KEPT,
            before=_NO_ID if before is None else before,
            instrument=None if instrument_id is None else self.key_of_instrument(instrument_id),
            count=count,
        )

    def user_trades_of(self, ids: str, condition: str = "", **values: Any) -> list[UserTrade]:
        """Return the trades that the SQL `ids` selects by `trade_id` and `liquidity`, in its order, that fit."""
        rows = self.query(
            "SELECT t.trade_id, i.instrument_id, t.price_micros, t.size_milli, t.taker_side, t.seq, t.ts_us, "
            "o.order_id, iif(s.liquidity = 'taker', t.taker_side, iif(t.taker_side = 'bid', 'ask', 'bid')), "
            "s.liquidity, iif(s.liquidity = 'taker', t.taker_fee_micros, t.maker_fee_micros), o.client_order_id, "
            f"iif(s.liquidity = 'taker', o.liquidation, 0), o.label FROM ({ids}) s "
            "CROSS JOIN trade t ON t.trade_id = s.trade_id "
            "CROSS JOIN book_order o ON o.order_id = iif(s.liquidity = 'taker', t.taker_order_id, t.maker_order_id) "
            f"CROSS JOIN instrument i ON i.instrument = t.instrument {condition}",
            **values,
        )
        return [UserTrade(*[*row[:-2], bool(row[-2]), row[-1]]) for row in rows]

    def has_ended_triggers(self, user: int | None) -> bool:
        """True if a trigger order of this user had ended."""
        return self.query(f"{_ENDED_TRIGGERS} LIMIT 1", user=user).fetchone() is not None

    def orders_of(self, ids: str, has_triggers: bool, **values: Any) -> list[OrderView]:
        """Return the orders that the SQL `ids` selects, as they were, the highest id first.

        `has_triggers`: trigger orders may be among them.
        """
        source = f"({ids}) f JOIN book_order o ON o.order_id = f.order_id"
        rows = self.query(_ORDER.format(source=source) + " ORDER BY o.order_id DESC", **values)
        found = [_order(row) for row in rows]
        if has_triggers:
            rows = self.query(f"{_TRIGGER_ORDER} WHERE o.order_id IN ({ids})", **values)
            found += [_trigger_order(row) for row in rows]
            found.sort(key=lambda order: order.order_id, reverse=True)
        return found

    def _user_ids(self) -> list[str]:
        rows = self.query("SELECT user_id FROM user WHERE opened_seq <= :seq ORDER BY opened_seq, user")
        return [user_id for (user_id,) in rows]

    def _account(self, user_id: str) -> AccountBalances | None:
        user = self.user_key(user_id)
        if user is None:
            return None
        columns = "cash_micros, locked_micros, maintenance_micros"
        cash, locked, maintenance = self._first(columns, "balance_version", user, "n DESC") or (0, 0, 0)
        (shortfall,) = self._first("shortfall_micros", "shortfall", user, "n DESC") or (0,)
        # All rows of one command hold the same profit of the account.
        (realised,) = self._first("account_realised_micros", "profit_version", user, "instrument") or (0,)
        account = AccountBalances(cash, locked, maintenance, shortfall, realised, self._positions(user))
        suspension, limits = self._setting(f"suspension {user_id}"), self._setting(f"limits {user_id}")
        if isinstance(suspension, SuspensionSet):
            account.suspended = suspension.suspended
        if isinstance(limits, LimitsSet):
            account.open_orders_max, account.position_max_milli = limits.open_orders_max, limits.position_max_milli
        return account

    def _first(self, columns: str, table: str, user: int, last: str) -> Any:
        sql = f"SELECT {columns} FROM {table} WHERE user = :user AND seq <= :seq ORDER BY seq DESC, {last} LIMIT 1"
        return self.query(sql, user=user).fetchone()

    def _positions(self, user: int) -> dict[str, PositionRecord]:
        rows = self.query(
            "SELECT i.instrument_id, p.quantity_milli, p.uncovered_milli, "
            "iif(p.uncovered_milli > 0, (SELECT m.initial_nanos FROM mark_version m WHERE m.instrument = k.instrument "
            "AND m.seq <= :seq ORDER BY m.seq DESC, m.n DESC LIMIT 1), 0), "
            "(SELECT f.basis_micros || ' ' || iif(f.ended, 0, f.realised_micros) FROM profit_version f "
            "WHERE f.user = k.user AND f.instrument = k.instrument AND f.seq <= :seq ORDER BY f.seq DESC LIMIT 1) "
            "FROM position_key k CROSS JOIN position_version p ON p.user = k.user AND p.instrument = k.instrument "
            "AND (p.seq, p.n) = (SELECT v.seq, v.n FROM position_version v WHERE v.user = k.user "
            "AND v.instrument = k.instrument AND v.seq <= :seq ORDER BY v.seq DESC, v.n DESC LIMIT 1) "
            "JOIN instrument i ON i.instrument = k.instrument "
            "WHERE k.user = :user AND (p.quantity_milli <> 0 OR p.uncovered_milli <> 0) ORDER BY i.number",
            user=user,
        )
        positions = {}
        for instrument_id, quantity_milli, uncovered_milli, initial_nanos, profit in rows:
            locked_micros = nanos_to_micros(initial_nanos, uncovered_milli)
            basis_micros, realised_micros = map(int, (profit or "0 0").split())
            positions[instrument_id] = PositionRecord(quantity_milli, basis_micros, locked_micros, realised_micros)
        return positions

    def _open_interest(self, instrument_id: str) -> int | None:
        row = self.query(
            "SELECT sum(max((SELECT v.quantity_milli FROM position_version v WHERE v.user = k.user "
            "AND v.instrument = k.instrument AND v.seq <= :seq ORDER BY v.seq DESC, v.n DESC LIMIT 1), 0)) "
            "FROM position_key k WHERE k.instrument = :instrument",
            instrument=self.key_of_instrument(instrument_id),
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def _series(self) -> list[Settlement]:
        rows = self.query(
            "SELECT s.seq, c.ts_us, s.asset, s.expiration_s, s.delivery_price_micros FROM series_settlement s "
            "JOIN command c USING (seq) WHERE s.seq <= :seq ORDER BY s.seq, s.n"
        )
        newest: dict[tuple[str, int], Settlement] = {}
        for seq, ts_us, asset, expiration_s, price_micros in rows:
            newest.pop((asset, expiration_s), None)
            state: Literal["settled", "delayed"] = "delayed" if price_micros is None else "settled"
            newest[asset, expiration_s] = Settlement(seq, ts_us, asset, expiration_s, price_micros, state)
        return list(newest.values())[-SERIES_KEPT:]

    def _settlements_of(self, user_id: str) -> Any:
        rows = self.query(
            "SELECT s.seq, c.ts_us, i.instrument_id, s.quantity_milli, i.delivery_price_micros, s.payout_micros, "
            "s.fee_micros FROM position_settlement s JOIN command c USING (seq) JOIN instrument i USING (instrument) "
            "WHERE s.user = :user AND s.seq <= :seq ORDER BY s.seq DESC, s.n DESC LIMIT :kept",
            user=self.user_key(user_id),
            kept=USER_SETTLEMENTS_KEPT,
        )
        return deque(UserSettlement(*row) for row in reversed(rows.fetchall()))


def open_past_views(path: Path, head: Head) -> PastViews | None:
    """The views after the command `head` of the journal at `path`.

    None if there is no history that can be read, or if it does not hold this command.
    """
    try:
        views = PastViews(open_history(path), head.seq)
    except (HistoryError, sqlite3.Error):
        return None
    return views if views.journal_hash == head.hash else None


class _Accounts(_OnDemand[AccountBalances]):
    """The accounts by user: all names are known, each account is loaded when it is asked for."""

    def __init__(self, user_ids: list[str], load: Callable[[str], AccountBalances | None]) -> None:
        super().__init__(load)
        self._user_ids = dict.fromkeys(user_ids)

    def __iter__(self) -> Any:
        return iter(self._user_ids)

    def __len__(self) -> int:
        return len(self._user_ids)

    def __contains__(self, key: object) -> bool:
        return key in self._user_ids


def _order(row: Any) -> OrderView:
    (order_id, instrument_id, user_id, side, kind, time_in_force, post_only, price, size, remaining, cost, change,
     created_us, updated_us, name, reason, reduce_only, liquidation, label, trigger_order_id, displayed,
     refresh, quote, link) = row  # fmt: skip
    mmp_group, quote_set_id, quote_id = (None, None, None) if quote is None else json.loads(quote)
    link, fill_condition, linked_order_ids = (None, None, None) if link is None else json.loads(link)
    filled = size - remaining
    status: OrderStatus = "partially_filled" if filled else "open"
    if change == "cancelled" or not remaining:
        status = "cancelled" if change == "cancelled" else "filled"
    return OrderView(
        order_id,
        instrument_id,
        user_id,
        side,
        kind,
        time_in_force,
        bool(post_only),
        price,
        size,
        filled,
        remaining,
        divide_rounding_half_up(cost * MILLI_PER_CONTRACT, filled) if filled else None,
        status,
        created_us,
        updated_us,
        name,
        reason,
        bool(reduce_only),
        bool(liquidation),
        label,
        trigger_order_id,
        displayed_milli=displayed,
        refresh_milli=refresh,
        mmp_group=mmp_group,
        quote_set_id=quote_set_id,
        quote_id=quote_id,
        link=link,
        fill_condition=fill_condition,
        linked_order_ids=linked_order_ids,
    )


def _trigger_order(row: Any) -> OrderView:
    (order_id, instrument_id, user_id, side, kind, time_in_force, post_only, price, size, status, created_us,
     updated_us, name, reason, reduce_only, label, trigger, trigger_price, trigger_offset, reference,
     refresh, primary_order_id, link) = row  # fmt: skip
    link, fill_condition, linked_order_ids = (None, None, None) if link is None else json.loads(link)
    return OrderView(
        order_id,
        instrument_id,
        user_id,
        side,
        kind,
        time_in_force,
        bool(post_only),
        price,
        size,
        0,
        size,
        None,
        status,
        created_us,
        updated_us,
        name,
        reason if status == "cancelled" else None,
        bool(reduce_only),
        label=label,
        trigger=trigger,
        trigger_price_micros=trigger_price,
        trigger_offset_micros=trigger_offset,
        trigger_reference_price_micros=reference,
        reject_reason=Reason(reason) if status == "rejected" else None,
        refresh_milli=refresh,
        link=link,
        fill_condition=fill_condition,
        linked_order_ids=linked_order_ids,
        primary_order_id=primary_order_id,
    )
